//! The jobs that wait: the longest first, and only so many at once of those that need much of the processor, because what
//! they measure takes time-outs and no more.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many heavy jobs run at once.
const HEAVY_AT_ONCE: usize = 5;

/// A job as the queue sees it.
pub(super) trait Weighed {
    /// Whether it needs much of the processor.
    fn is_heavy(&self) -> bool;
    /// Whether it is over soon.
    fn is_short(&self) -> bool;
}

/// Jobs that wait.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    is_changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: Vec<T>,
    heavy: usize,
}

impl<T: Weighed> Queue<T> {
    /// These jobs, put in order.
    pub(super) fn new(mut jobs: Vec<T>) -> Self {
        jobs.sort_by_key(|job| (!job.is_heavy(), job.is_short()));
        Self { inner: Mutex::new(Inner { waiting: jobs, heavy: 0 }), is_changed: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next job that may run, and waits where none may yet; `None` when no job is left.
    pub(super) fn take(&self) -> Option<T> {
        let mut inner = self.inner();
        loop {
            let has_room = inner.heavy < HEAVY_AT_ONCE;
            if let Some(index) = inner.waiting.iter().position(|job| has_room || !job.is_heavy()) {
                let job = inner.waiting.remove(index);
                inner.heavy += usize::from(job.is_heavy());
                return Some(job);
            }
            if inner.waiting.is_empty() {
                return None;
            }
            inner = self.is_changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a job is over.
    pub(super) fn done(&self, job: &T) {
        self.inner().heavy -= usize::from(job.is_heavy());
        self.is_changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Job(bool, bool);

    impl Weighed for Job {
        fn is_heavy(&self) -> bool {
            self.0
        }

        fn is_short(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn the_longest_come_first_and_few_heavy_ones_run_at_once() {
        let heavy = (0..=HEAVY_AT_ONCE).map(|_| Job(true, false));
        let queue = Queue::new([Job(false, true), Job(false, false)].into_iter().chain(heavy).collect());
        let taken: Vec<Job> = (0..HEAVY_AT_ONCE + 2).filter_map(|_| queue.take()).collect();
        assert!(taken[..HEAVY_AT_ONCE].iter().all(Weighed::is_heavy));
        assert!(taken[HEAVY_AT_ONCE..].iter().map(Weighed::is_short).eq([false, true]));
        queue.done(&taken[0]);
        assert!(queue.take().is_some_and(|job| job.is_heavy()) && queue.take().is_none());
    }
}
