//! Object pool of engines, shared by threads. Knows no model.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// How long a call waits for an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    None,
    Until(Instant),
    Endless,
}

/// A pool of engines: a thread waits for one, uses it and gives it back.
pub struct Pool {
    idle: Mutex<Vec<Box<dyn Engine>>>,
    returned: Condvar,
    size: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Gives the engine back when it is dropped, so that a panic loses none.
struct Lease<'p> {
    pool: &'p Pool,
    engine: Option<Box<dyn Engine>>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(engine);
            self.pool.returned.notify_one();
        }
    }
}

impl Pool {
    /// A pool of engines that all do the same.
    pub fn new(engines: Vec<Box<dyn Engine>>) -> Self {
        Self {
            size: engines.len(),
            idle: Mutex::new(engines),
            returned: Condvar::new(),
        }
    }

    /// Number of engines, idle or in use.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Calls `work` with an engine, once one is idle; `None` where the pool has none at all.
    pub fn with<T>(&self, work: impl FnOnce(&mut dyn Engine) -> T) -> Option<T> {
        if self.size == 0 {
            return None;
        }
        self.lend(self.take(), work)
    }

    /// Waits for an engine.
    fn take(&self) -> Box<dyn Engine> {
        span!("wait");
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // The engine that was used last: its memory is still in the caches.
            match idle.pop() {
                Some(engine) => return engine,
                None => {
                    idle = self
                        .returned
                        .wait(idle)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }

    /// As [`Pool::with`], for as long as the caller waits.
    ///
    /// # Errors
    /// The time has passed, `token` was cancelled, or the pool has no engine.
    pub(crate) fn with_patience<T>(
        &self,
        patience: Patience,
        token: &CancelToken,
        work: impl FnOnce(&mut dyn Engine) -> T,
    ) -> Result<T> {
        let none = || Error::run("there is no engine");
        if self.size == 0 {
            return Err(none());
        }
        let engine = self.take_with_patience(patience, token)?;
        self.lend(engine, work).ok_or_else(none)
    }

    fn take_with_patience(
        &self,
        patience: Patience,
        token: &CancelToken,
    ) -> Result<Box<dyn Engine>> {
        /// A cancelled token does not wake those who wait for an engine: they look at it.
        const LOOK: Duration = Duration::from_millis(5);
        span!("wait");
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if token.is_cancelled() {
                return Err(Error::cancelled());
            }
            if let Some(engine) = idle.pop() {
                return Ok(engine);
            }
            let left = match patience {
                Patience::None => Duration::ZERO,
                Patience::Until(deadline) => deadline.saturating_duration_since(Instant::now()),
                Patience::Endless => LOOK,
            };
            if left.is_zero() {
                return Err(Error::busy());
            }
            let waited = self.returned.wait_timeout(idle, left.min(LOOK));
            idle = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lend<T>(
        &self,
        engine: Box<dyn Engine>,
        work: impl FnOnce(&mut dyn Engine) -> T,
    ) -> Option<T> {
        span!("run");
        let mut lease = Lease {
            pool: self,
            engine: Some(engine),
        };
        lease.engine.as_mut().map(|engine| work(engine.as_mut()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::engine::FakeEngine;

    fn pool(size: usize) -> Pool {
        let engine = || Box::new(FakeEngine::new(1, Duration::from_millis(1))) as Box<dyn Engine>;
        Pool::new((0..size).map(|_| engine()).collect())
    }

    #[test]
    fn never_more_threads_work_than_there_are_engines() {
        let (pool, now, most) = (pool(2), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    pool.with(|engine| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        engine.run(&[1.0], 1).unwrap();
                        now.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(pool.idle.lock().unwrap().len(), 2);
    }

    #[test]
    fn an_engine_comes_back_after_a_panic() {
        let pool = pool(1);
        let work = std::panic::AssertUnwindSafe(|| pool.with(|_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(work).is_err());
        assert_eq!(pool.with(|engine| engine.num_outputs()), Some(1));
    }

    #[test]
    fn an_empty_pool_does_not_wait() {
        assert_eq!(pool(0).with(|_| ()), None);
    }
}
