//! Batches made out of order and taken in order, a bounded number of them ahead.

use super::Batch;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What workers and the one taker share.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Batches made or in the making before their turn, at most.
    ahead: usize,
}

#[derive(Debug)]
struct State {
    /// The next batch to make.
    next: usize,
    /// The next batch to take.
    due: usize,
    end: usize,
    ready: BTreeMap<usize, Result<Batch>>,
    workers: usize,
    stopped: bool,
}

impl Queue {
    pub(super) fn new(batches: Range<usize>, ahead: usize) -> Self {
        let state = State {
            next: batches.start,
            due: batches.start,
            end: batches.end,
            ready: BTreeMap::new(),
            workers: 0,
            stopped: false,
        };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            ahead,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a worker that is about to start.
    pub(super) fn enter(&self) {
        self.lock().workers += 1;
    }

    /// Makes batches until there are none left or nobody takes them.
    pub(super) fn work(&self, mut make: impl FnMut(usize, &dyn Fn() -> bool) -> Result<Batch>) {
        let _leave = Leave(self);
        while let Some(index) = self.claim() {
            let batch = make(index, &|| self.lock().stopped);
            self.lock().ready.insert(index, batch);
            self.changed.notify_all();
        }
    }

    /// The next batch to make, once it is not too far ahead.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.next >= state.end {
                return None;
            }
            if state.next < state.due + self.ahead {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.wait(state);
        }
    }

    /// The next batch in order; `None` at the end and after an error.
    pub(super) fn take(&self) -> Option<Result<Batch>> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.due >= state.end {
                return None;
            }
            let due = state.due;
            let found = state.ready.remove(&due);
            let found = found.or_else(|| (state.workers == 0).then_some(Err(Error::WorkerEnded)));
            if let Some(found) = found {
                state.due += 1;
                state.stopped = found.is_err();
                drop(state);
                self.changed.notify_all();
                return Some(found);
            }
            state = self.wait(state);
        }
    }

    /// Lets the workers end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// Counts a worker out, however it ends.
struct Leave<'a>(&'a Queue);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Queue};
    use crate::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn batch(index: usize) -> Batch {
        Batch {
            images: vec![],
            shape: [0; 4],
            labels: vec![],
            indices: vec![index],
        }
    }

    #[test]
    fn batches_come_in_order_and_never_too_far_ahead() {
        let queue = Queue::new(3..40, 4);
        let (made, most) = (AtomicUsize::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..5 {
                queue.enter();
                scope.spawn(|| {
                    queue.work(|index, _| {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(batch(index))
                    });
                });
            }
            for due in 3..40 {
                assert_eq!(queue.take().unwrap().unwrap().indices, [due]);
                most.fetch_max(
                    made.load(Ordering::SeqCst).saturating_sub(due),
                    Ordering::SeqCst,
                );
                thread::yield_now();
            }
            assert!(queue.take().is_none());
        });
        // Taking batch `due` allows batches up to `due + 4`.
        assert!(most.into_inner() <= 5);
    }

    #[test]
    fn an_error_and_a_panic_end_the_epoch() {
        let queue = Queue::new(0..9, 9);
        queue.enter();
        queue.work(|index, _| {
            if index == 2 {
                Err(Error::WorkerEnded)
            } else {
                Ok(batch(index))
            }
        });
        assert!(queue.take().unwrap().is_ok() && queue.take().unwrap().is_ok());
        assert!(queue.take().unwrap().is_err());
        assert!(queue.take().is_none());

        let queue = Queue::new(0..9, 9);
        queue.enter();
        thread::scope(|scope| {
            let worker = scope.spawn(|| queue.work(|_, _| panic!("a worker's panic, expected")));
            assert!(matches!(queue.take(), Some(Err(Error::WorkerEnded))));
            assert!(worker.join().is_err());
        });
    }
}
