//! Who moves a connection on: whoever waits for something on it, and tasks that end with it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use tokio::task::JoinSet;

/// A connection that makes progress only while someone waits for something on it.
pub(super) struct Driven<'a, C> {
    connection: Option<Pin<&'a mut C>>,
}

impl<'a, C: Future> Driven<'a, C> {
    pub(super) fn new(connection: Pin<&'a mut C>) -> Self {
        Self { connection: Some(connection) }
    }

    pub(super) fn poll<F: Future>(
        &mut self,
        mut work: Pin<&mut F>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<F::Output> {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(cx).is_ready()
        {
            self.connection = None;
        }
        work.poll(cx)
    }
}

/// The tasks of one HTTP/2 connection, which end with it.
#[derive(Default)]
pub(super) struct Tasks(Spawner);

#[derive(Clone, Default)]
pub(super) struct Spawner(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(super) fn spawner(&self) -> Spawner {
        self.0.clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async {
            work.await;
        });
    }
}
