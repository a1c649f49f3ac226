//! Pictures made out of order and taken in order, a bounded number of them ahead.

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What workers and the one taker share.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Pictures made or in the making before their turn, at most.
    ahead: usize,
}

#[derive(Debug)]
struct State<T> {
    /// The next picture to make.
    next: usize,
    /// The next picture to take.
    due: usize,
    end: usize,
    ready: BTreeMap<usize, Result<T>>,
    workers: usize,
    stopped: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(places: Range<usize>, ahead: usize) -> Self {
        let state = State {
            next: places.start,
            due: places.start,
            end: places.end,
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
        // The state is whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a worker that is about to start.
    pub(super) fn enter(&self) {
        self.lock().workers += 1;
    }

    /// Makes pictures until there are none left or nobody takes them.
    pub(super) fn work(&self, mut make: impl FnMut(usize) -> Result<T>) {
        let _leave = Leave(self);
        while let Some(place) = self.claim() {
            let made = make(place);
            self.lock().ready.insert(place, made);
            self.changed.notify_all();
        }
    }

    /// The next picture to make, once it is not too far ahead.
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

    /// The next pictures in order, `count` of them or the rest, and the place of the first; `None`
    /// at the end and after an error.
    pub(super) fn take(&self, count: usize) -> Option<(usize, Result<Vec<T>>)> {
        let mut state = self.lock();
        if state.stopped || state.due >= state.end {
            return None;
        }
        let first = state.due;
        let count = count.min(state.end - first);
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let due = state.due;
            match state.ready.remove(&due) {
                Some(Ok(made)) => {
                    taken.push(made);
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
        Some((first, Ok(taken)))
    }

    /// Lets the workers end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// A panic, which the worker's thread has printed.
fn worker_ended() -> Error {
    Error::with_hint(
        "a thread that prepares images ended early",
        "this is a fault of the program: please report it",
    )
}

/// Counts a worker out, however it ends.
struct Leave<'a, T>(&'a Queue<T>);

impl<T> Drop for Leave<'_, T> {
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
    fn pictures_come_in_order_and_never_too_far_ahead() {
        let queue = Queue::new(3..40, 8);
        let (made, most) = (AtomicUsize::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..5 {
                queue.enter();
                scope.spawn(|| {
                    queue.work(|place| {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(place)
                    });
                });
            }
            for due in (3..40).step_by(4) {
                let expected: Vec<usize> = (due..40.min(due + 4)).collect();
                let (place, taken) = queue.take(4).unwrap();
                assert_eq!((place, taken.unwrap()), (due, expected));
                most.fetch_max(
                    made.load(Ordering::SeqCst).saturating_sub(due),
                    Ordering::SeqCst,
                );
                thread::yield_now();
            }
            assert!(queue.take(4).is_none());
        });
        // Having taken up to `due + 4` allows pictures up to `due + 12`.
        assert!(most.into_inner() <= 12);
    }

    #[test]
    fn an_error_and_a_panic_end_the_epoch() {
        let queue = Queue::new(0..9, 9);
        queue.enter();
        queue.work(|place| match place {
            5 => Err(worker_ended()),
            _ => Ok(place),
        });
        assert_eq!(queue.take(3).unwrap().1.unwrap(), [0, 1, 2]);
        assert!(queue.take(3).unwrap().1.is_err());
        assert!(queue.take(3).is_none());

        let queue = Queue::<()>::new(0..9, 9);
        queue.enter();
        thread::scope(|scope| {
            let worker = scope.spawn(|| queue.work(|_| panic!("a worker's panic, expected")));
            let (first, result) = queue.take(2).unwrap();
            assert_eq!(first, 0);
            assert!(result.unwrap_err().to_string().ends_with("ended early"));
            assert!(worker.join().is_err());
        });
    }
}
