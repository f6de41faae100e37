//! The pages that show the newest snapshot. Each is rendered once per snapshot, when it is first asked for, and everybody
//! who asks while that snapshot is the newest gets the same bytes. It knows no connection.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use ase_probes::clock;
use axum::body::Bytes;
use tokio::sync::watch;

use crate::{
    engine::{histogram::Histogram, snapshot::Snapshot},
    readers::metrics::Serving,
};

/// What can be shown of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/metrics`.
    Metrics,
    /// `/api/v1/status`.
    Status,
    /// `/`.
    Landing,
}

impl Page {
    /// Every page, in the order of its place among the shared bodies.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Status, Self::Landing];

    /// Returns the word for it in a label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Status => "status",
            Self::Landing => "landing",
        }
    }
}

/// Turns a snapshot into a page's text.
pub type Render = dyn Fn(Page, &Snapshot, &Serving) -> String + Send + Sync;

/// The pages over a stream of snapshots. Clones share what is rendered.
#[derive(Clone)]
pub struct Pages {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    render: Arc<Render>,
    shared: Arc<Mutex<Shared>>,
}

/// What is rendered of the newest snapshot, and how long rendering took so far.
#[derive(Default)]
struct Shared {
    /// The snapshot that the bodies show. It is not kept alive: its visits may be many megabytes.
    of: Weak<Snapshot>,
    bodies: [Option<Bytes>; Page::ALL.len()],
    took: [Histogram; Page::ALL.len()],
}

impl Pages {
    /// Pages that this function renders.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, render: Arc<Render>) -> Self {
        Self { snapshots, render, shared: Arc::default() }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The page of the newest snapshot. To be called within a runtime: a task of it lets the bodies go once they are old.
    pub fn body(&self, page: Page) -> Bytes {
        let mut snapshots = self.snapshots.clone();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(shared.of.as_ptr(), Arc::as_ptr(&snapshot)) {
            shared.of = Arc::downgrade(&snapshot);
            shared.bodies = Default::default();
            tokio::spawn(forget(snapshots, Arc::downgrade(&snapshot), Arc::clone(&self.shared)));
        }
        if let Some(body) = &shared.bodies[page as usize] {
            return body.clone();
        }
        let (began, serving) = (clock::now(), shared.serving(clock::wall().saturating_sub(snapshot.at)));
        let body = Bytes::from((self.render)(page, &snapshot, &serving));
        shared.took[page as usize].observe(clock::now().duration_since(began));
        shared.bodies[page as usize] = Some(body.clone());
        body
    }
}

impl Shared {
    fn serving(&self, snapshot_age: Duration) -> Serving {
        let renders = Page::ALL.into_iter().map(|page| (page.label(), self.took[page as usize]));
        Serving { snapshot_age, renders: renders.collect() }
    }
}

/// Lets the bodies of a snapshot go when the next one comes, unless they show a newer one already.
async fn forget(mut snapshots: watch::Receiver<Arc<Snapshot>>, of: Weak<Snapshot>, shared: Arc<Mutex<Shared>>) {
    // An error means that no snapshot will ever come: nobody watches any more.
    drop(snapshots.changed().await);
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if Weak::ptr_eq(&shared.of, &of) {
        shared.bodies = Default::default();
        shared.of = Weak::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn counting() -> (watch::Sender<Arc<Snapshot>>, Pages) {
        let (sender, snapshots) = watch::channel(Arc::new(sample::snapshot()));
        let render = |page: Page, snapshot: &Snapshot, serving: &Serving| {
            let counts = serving.renders.iter().map(|(_, took)| took.count()).collect::<Vec<_>>();
            format!("{page:?} of {}, rendered {counts:?} times before", snapshot.agent.vantage)
        };
        (sender, Pages::new(snapshots, Arc::new(render)))
    }

    #[tokio::test]
    async fn a_page_is_rendered_once_per_snapshot_and_shared() {
        let (sender, pages) = counting();
        let (one, other) = (pages.body(Page::Metrics), pages.clone().body(Page::Metrics));
        assert_eq!(one.as_ptr(), other.as_ptr(), "the same bytes, not a copy");
        assert_eq!(one, "Metrics of snet-mirror, rendered [0, 0, 0] times before");
        assert_eq!(pages.body(Page::Status), "Status of snet-mirror, rendered [1, 0, 0] times before");
        sender.send_modify(|snapshot| Arc::make_mut(snapshot).agent.vantage = "next".to_owned());
        assert_eq!(pages.body(Page::Metrics), "Metrics of next, rendered [1, 1, 0] times before");
    }

    #[tokio::test]
    async fn neither_an_old_snapshot_nor_its_pages_are_kept() {
        let (sender, pages) = counting();
        let old = Arc::downgrade(&pages.snapshot());
        drop(pages.body(Page::Status));
        sender.send_replace(Arc::new(sample::snapshot()));
        assert_eq!(old.strong_count(), 0);
        let is_empty = || pages.shared.lock().expect("nobody panicked").bodies.iter().all(Option::is_none);
        assert!(!is_empty());
        while !is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
