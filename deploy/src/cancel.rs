//! Cancellation of a call from another thread. Knows no engine.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A switch that ends the calls that were given it. Clones are the same switch, and it stays thrown.
///
/// ```
/// let token = classifold::CancelToken::new();
/// let other = token.clone();
/// std::thread::spawn(move || other.cancel()).join().unwrap();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Arc<State>);

#[derive(Default)]
struct State {
    is_cancelled: AtomicBool,
    next: AtomicU64,
    callbacks: Mutex<Vec<(u64, Callback)>>,
}

type Callback = Box<dyn Fn() + Send>;

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelToken")
            .field(&self.is_cancelled())
            .finish()
    }
}

impl CancelToken {
    /// A switch that is not thrown yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the calls under way, and those to come, with an error of [`Kind::Cancelled`](crate::Kind::Cancelled).
    /// Returns at once; ONNX Runtime stops behind the operator that it computes.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        for (_, callback) in self.callbacks().iter() {
            callback();
        }
    }

    /// Whether it was thrown.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Calls `callback` when the switch is thrown, at once where it is already, until the result is dropped. For
    /// engines of other kinds.
    pub fn on_cancel(&self, callback: impl Fn() + Send + 'static) -> OnCancel<'_> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut callbacks = self.callbacks();
        // Under the lock: a call of `cancel` has either set this already or will find the callback.
        if self.is_cancelled() {
            callback();
        }
        callbacks.push((id, Box::new(callback)));
        OnCancel { token: self, id }
    }

    fn callbacks(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Callback)>> {
        self.0
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A callback of a [`CancelToken`], until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct OnCancel<'t> {
    token: &'t CancelToken,
    id: u64,
}

impl Drop for OnCancel<'_> {
    fn drop(&mut self) {
        self.token.callbacks().retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_run_once_each_and_not_after_they_are_dropped() {
        let (token, count) = (CancelToken::new(), Arc::new(AtomicU64::new(0)));
        let add = |amount| {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(amount, Ordering::SeqCst);
            }
        };
        drop(token.on_cancel(add(1)));
        let kept = token.on_cancel(add(10));
        token.cancel();
        // Too late for the switch, not for the callback.
        let late = token.on_cancel(add(100));
        assert_eq!(count.load(Ordering::SeqCst), 110);
        drop((kept, late));
        assert!(token.callbacks().is_empty());
    }
}
