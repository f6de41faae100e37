//! Reloads, one at a time: the configuration is read on a thread of its own, so that nothing under way is delayed, and
//! whoever asks meanwhile shares the next reading. A reading begins after it was asked for, so it sees what was written
//! before.

use std::sync::Arc;

use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
};

/// Who waits for the end of a reload; it hears the error that kept the old configuration in force.
pub type Reply = oneshot::Sender<Result<(), String>>;

/// The reload under way and the one that waits.
#[derive(Debug)]
pub struct Reloads<L, T> {
    load: Arc<L>,
    under_way: Option<JoinHandle<T>>,
    replies: Vec<Reply>,
    /// Who asked since the one under way began; `None` if nobody did.
    next: Option<Vec<Reply>>,
}

impl<T: Send + 'static, L: Fn() -> T + Send + Sync + 'static> Reloads<L, T> {
    /// Nothing is to be read yet; `load` will.
    pub fn new(load: L) -> Self {
        Self { load: Arc::new(load), under_way: None, replies: Vec::new(), next: None }
    }

    /// Asks for a reload.
    pub fn ask(&mut self, reply: Option<Reply>) {
        self.next.get_or_insert_default().extend(reply);
        self.begin();
    }

    /// Waits for the end of the reload under way, for ever if there is none. Returns what was read, and who is to hear of
    /// it; what was read is `None` if the reading died. Cancel safe.
    pub async fn loaded(&mut self) -> (Option<T>, Vec<Reply>) {
        let loaded = match &mut self.under_way {
            Some(reading) => reading.await.ok(),
            None => std::future::pending().await,
        };
        self.under_way = None;
        let replies = std::mem::take(&mut self.replies);
        self.begin();
        (loaded, replies)
    }

    fn begin(&mut self) {
        if self.under_way.is_none()
            && let Some(replies) = self.next.take()
        {
            let load = Arc::clone(&self.load);
            self.replies = replies;
            self.under_way = Some(spawn_blocking(move || load()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    #[tokio::test]
    async fn a_storm_of_requests_is_two_readings_and_everybody_is_answered() {
        let (release, released) = mpsc::channel::<()>();
        let (released, readings) = (Mutex::new(released), AtomicUsize::new(0));
        let mut reloads = Reloads::new(move || {
            drop(released.lock().map(|gate| gate.recv()));
            readings.fetch_add(1, Ordering::SeqCst) + 1
        });
        let (mut answers, mut heard) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let (reply, answer) = oneshot::channel();
            reloads.ask(Some(reply));
            answers.push(answer);
        }
        for _ in 0..2 {
            release.send(()).expect("the reading waits");
            let (loaded, replies) = reloads.loaded().await;
            heard.push((loaded, replies.len()));
            replies.into_iter().for_each(|reply| reply.send(Ok(())).expect("somebody waits"));
        }
        assert_eq!(heard, [(Some(1), 1), (Some(2), 99)]);
        for answer in answers {
            assert_eq!(answer.await, Ok(Ok(())));
        }
        assert!(reloads.under_way.is_none() && reloads.next.is_none());
    }
}
