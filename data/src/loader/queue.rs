//! Bounded reorder queue: several workers produce items in any order, one consumer takes them in order.

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// State that workers and consumer share.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Most items finished or in progress before their turn.
    ahead: usize,
}

#[derive(Debug)]
struct State<T> {
    /// Index of the next item to produce.
    next: usize,
    /// Index of the next item to take.
    due: usize,
    end: usize,
    ready: BTreeMap<usize, Result<T>>,
    workers: usize,
    stopped: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(range: Range<usize>, ahead: usize) -> Self {
        let state = State {
            next: range.start,
            due: range.start,
            end: range.end,
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

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is consistent between any two statements, so a panic in a worker does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a worker, before its thread starts: `take` must not believe that all have ended.
    pub(super) fn add_worker(&self) {
        self.lock().workers += 1;
    }

    /// A worker's loop: produces items until none is left or the queue is stopped.
    pub(super) fn work(&self, mut produce: impl FnMut(usize) -> Result<T>) {
        let _guard = WorkerGuard(self);
        while let Some(index) = self.claim() {
            let item = produce(index);
            self.lock().ready.insert(index, item);
            // All: the consumer and the workers wait on the same condition.
            self.changed.notify_all();
        }
    }

    /// Index of the next item to produce, once it is not too far ahead.
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

    /// The next `count` items in order, or the rest, and the index of the first. `None` at the end and
    /// after an error.
    pub(super) fn take(&self, count: usize) -> Option<(usize, Result<Vec<T>>)> {
        let mut state = self.lock();
        if state.stopped || state.due >= state.end {
            return None;
        }
        let first = state.due;
        let count = count.min(state.end - first);
        let mut items = Vec::with_capacity(count);
        while items.len() < count {
            let due = state.due;
            match state.ready.remove(&due) {
                Some(Ok(item)) => {
                    items.push(item);
                    state.due += 1;
                    self.changed.notify_all();
                }
                Some(Err(error)) => {
                    state.stopped = true;
                    self.changed.notify_all();
                    return Some((first, Err(error)));
                }
                None if state.workers == 0 => {
                    state.stopped = true;
                    return Some((first, Err(worker_ended())));
                }
                None => state = self.wait(state),
            }
        }
        Some((first, Ok(items)))
    }

    /// Makes the workers end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// The error of a worker that panicked; its thread has printed the panic.
fn worker_ended() -> Error {
    Error::with_hint(
        "a thread that prepares images ended early",
        "this is a fault of the program: please report it",
    )
}

/// Unregisters a worker when it ends, also by a panic.
struct WorkerGuard<'a, T>(&'a Queue<T>);

impl<T> Drop for WorkerGuard<'_, T> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{Queue, worker_ended};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn images_come_in_order_and_never_too_far_ahead() {
        let queue = Queue::new(3..40, 8);
        let (made, most) = (AtomicUsize::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..5 {
                queue.add_worker();
                scope.spawn(|| {
                    queue.work(|index| {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(index)
                    });
                });
            }
            for due in (3..40).step_by(4) {
                let expected: Vec<usize> = (due..40.min(due + 4)).collect();
                let (first, items) = queue.take(4).unwrap();
                assert_eq!((first, items.unwrap()), (due, expected));
                most.fetch_max(
                    made.load(Ordering::SeqCst).saturating_sub(due),
                    Ordering::SeqCst,
                );
                thread::yield_now();
            }
            assert!(queue.take(4).is_none());
        });
        // Having items up to `due + 4` allows images up to `due + 12`.
        assert!(most.into_inner() <= 12);
    }

    #[test]
    fn an_error_and_a_panic_end_the_epoch() {
        let queue = Queue::new(0..9, 9);
        queue.add_worker();
        queue.work(|index| match index {
            5 => Err(worker_ended()),
            _ => Ok(index),
        });
        assert_eq!(queue.take(3).unwrap().1.unwrap(), [0, 1, 2]);
        assert!(queue.take(3).unwrap().1.is_err());
        assert!(queue.take(3).is_none());

        let queue = Queue::<()>::new(0..9, 9);
        queue.add_worker();
        thread::scope(|scope| {
            let worker = scope.spawn(|| queue.work(|_| panic!("a worker's panic, expected")));
            let (first, result) = queue.take(2).unwrap();
            assert_eq!(first, 0);
            assert!(result.unwrap_err().to_string().ends_with("ended early"));
            assert!(worker.join().is_err());
        });
    }
}
