//! Work at a disk, which may hang: it is done on a thread of its own, and who sent it asks now and then what came of it.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    thread,
    time::Duration,
};

/// One piece of work at a time.
#[derive(Debug)]
pub struct Errand<T> {
    under_way: Option<Receiver<T>>,
}

impl<T> Default for Errand<T> {
    fn default() -> Self {
        Self { under_way: None }
    }
}

impl<T: Send + 'static> Errand<T> {
    /// Whether it was sent and nothing came of it yet.
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Sends it, unless one is under way. Where the machine gives no thread, nothing comes of it.
    pub fn send(&mut self, work: impl FnOnce() -> T + Send + 'static) {
        if self.is_under_way() {
            return;
        }
        let (bring, brought) = mpsc::sync_channel(1);
        // Who sent it may be gone.
        let thread = thread::Builder::new().name("disk".to_owned()).spawn(move || drop(bring.send(work())));
        self.under_way = thread.is_ok().then_some(brought);
    }

    /// What came of it, where it is back.
    pub fn result(&mut self) -> Option<T> {
        match self.under_way.as_ref()?.try_recv() {
            Ok(result) => self.over(Some(result)),
            Err(TryRecvError::Disconnected) => self.over(None),
            Err(TryRecvError::Empty) => None,
        }
    }

    /// What came of it, waiting no longer than this; later it can still be asked for.
    pub fn wait(&mut self, patience: Duration) -> Option<T> {
        match self.under_way.as_ref()?.recv_timeout(patience) {
            Ok(result) => self.over(Some(result)),
            Err(RecvTimeoutError::Disconnected) => self.over(None),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }

    fn over(&mut self, result: Option<T>) -> Option<T> {
        self.under_way = None;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any machine takes; only a test that fails waits so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_disk_that_hangs_holds_nobody_up_and_is_asked_once() {
        let (mend, hangs) = mpsc::channel::<u8>();
        let mut errand = Errand::default();
        errand.send(move || hangs.recv_timeout(PATIENCE));
        assert_eq!((errand.result(), errand.wait(Duration::from_millis(1))), (None, None));
        assert!(errand.is_under_way());
        errand.send(|| Ok(2));
        mend.send(1).expect("it waits");
        assert_eq!(errand.wait(PATIENCE), Some(Ok(1)));
        assert!(!errand.is_under_way() && errand.result().is_none());
        errand.send(|| Ok(3));
        assert_eq!(errand.wait(PATIENCE), Some(Ok(3)));
    }
}
