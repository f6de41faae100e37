//! The pages that show the newest snapshot. Each is rendered and packed once per snapshot, when it is first asked for, and
//! everybody who asks while that snapshot is the newest gets the same bytes. It knows no connection.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
};

use ase_probes::{clock, own_process};
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, header},
};
use flate2::{Compression, write::GzEncoder};
use tokio::sync::watch;

use super::{accepting::Tally, coding};

use crate::{
    engine::{histogram::Histogram, snapshot::Snapshot},
    readers::metrics::{PageCount, Serving},
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
    tally: Arc<Tally>,
}

/// How hard gzip tries. The next steps save a tenth of the bytes and take half as long again.
const EFFORT: Compression = Compression::new(4);

/// What is rendered of the newest snapshot, and how long rendering took so far.
#[derive(Default)]
struct Shared {
    /// The snapshot that the bodies show. It is not kept alive: its visits may be many megabytes.
    of: Weak<Snapshot>,
    plain: [Option<Bytes>; Page::ALL.len()],
    packed: [Option<Bytes>; Page::ALL.len()],
    took: [Histogram; Page::ALL.len()],
    requests: [u64; Page::ALL.len()],
    sizes: [usize; Page::ALL.len()],
}

/// Bytes that are counted for as long as anybody keeps them.
struct Counted {
    bytes: Vec<u8>,
    tally: Arc<Tally>,
}

impl Counted {
    /// Keeps no more memory than is counted: a page is written into room for more, three times as much as it needs, and a
    /// client that reads slowly holds it for as long as it reads.
    fn new(mut bytes: Vec<u8>, tally: &Arc<Tally>) -> Self {
        bytes.shrink_to_fit();
        tally.under_way.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { bytes, tally: Arc::clone(tally) }
    }

    fn shared(bytes: Vec<u8>, tally: &Arc<Tally>) -> Bytes {
        Bytes::from_owner(Self::new(bytes, tally))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.under_way.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Pages {
    /// Pages that this function renders.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, render: Arc<Render>) -> Self {
        Self { snapshots, render, shared: Arc::default(), tally: Arc::default() }
    }

    /// What the connections that take these pages say about themselves.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// A text as bytes that all who take it share, counted for as long as anybody does.
    pub(super) fn shared(&self, text: String) -> Bytes {
        Counted::shared(text.into_bytes(), &self.tally)
    }

    /// The snapshots that are to come.
    pub(super) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// The page of the newest snapshot in the coding that the request asks for, and the headers that say so.
    pub fn answer(&self, page: Page, asked: &HeaderMap) -> (HeaderMap, Bytes) {
        let is_packed = coding::takes_gzip(asked);
        let mut headers = HeaderMap::from_iter([(header::VARY, HeaderValue::from_static("accept-encoding"))]);
        if is_packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        (headers, self.bytes(page, is_packed))
    }

    /// The page of the newest snapshot, plain or packed. To be called within a runtime: a task of it lets the bodies go once
    /// they are old.
    fn bytes(&self, page: Page, is_packed: bool) -> Bytes {
        let mut snapshots = self.snapshots.clone();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.requests[page as usize] += 1;
        if !std::ptr::eq(shared.of.as_ptr(), Arc::as_ptr(&snapshot)) {
            shared.of = Arc::downgrade(&snapshot);
            shared.forget();
            tokio::spawn(forget(snapshots, Arc::downgrade(&snapshot), Arc::clone(&self.shared)));
        }
        let began = clock::now();
        let (plain, is_new) = match &shared.plain[page as usize] {
            Some(body) => (body.clone(), false),
            None => (self.rendered(page, &snapshot, &shared), true),
        };
        let packed = is_packed.then(|| match &shared.packed[page as usize] {
            Some(body) => (body.clone(), false),
            None => (Counted::shared(pack(&plain), &self.tally), true),
        });
        if is_new || packed.as_ref().is_some_and(|(_, is_new)| *is_new) {
            shared.took[page as usize].observe(clock::now().duration_since(began));
        }
        shared.sizes[page as usize] = plain.len();
        shared.plain[page as usize] = Some(plain.clone());
        match packed {
            Some((packed, _)) => {
                shared.packed[page as usize] = Some(packed.clone());
                packed
            }
            None => plain,
        }
    }

    fn rendered(&self, page: Page, snapshot: &Snapshot, shared: &Shared) -> Bytes {
        let serving = shared.serving(snapshot, &self.tally);
        Counted::shared((self.render)(page, snapshot, &serving).into_bytes(), &self.tally)
    }
}

/// The bytes in gzip (RFC 1952).
fn pack(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), EFFORT);
    let packed = encoder.write_all(plain).and_then(|()| encoder.finish());
    packed.expect("memory takes what is written to it")
}

impl Shared {
    fn forget(&mut self) {
        (self.plain, self.packed) = (Default::default(), Default::default());
    }

    fn serving(&self, snapshot: &Snapshot, tally: &Tally) -> Serving {
        let each = |page: Page| PageCount {
            page: page.label(),
            renders: self.took[page as usize],
            requests: self.requests[page as usize],
            bytes: self.sizes[page as usize],
        };
        Serving {
            snapshot_age: clock::wall().saturating_sub(snapshot.at),
            pages: Page::ALL.map(each).to_vec(),
            connections: tally.open.load(Ordering::Relaxed),
            shed: tally.shed.load(Ordering::Relaxed),
            process: own_process::read(),
        }
    }
}

/// Lets the bodies of a snapshot go when the next one comes, unless they show a newer one already.
async fn forget(mut snapshots: watch::Receiver<Arc<Snapshot>>, of: Weak<Snapshot>, shared: Arc<Mutex<Shared>>) {
    // An error means that no snapshot will ever come: nobody watches any more.
    drop(snapshots.changed().await);
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if Weak::ptr_eq(&shared.of, &of) {
        shared.forget();
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
            let counts = serving.pages.iter().map(|page| page.renders.count()).collect::<Vec<_>>();
            format!("{page:?} of {}, rendered {counts:?} times before", snapshot.agent.vantage)
        };
        (sender, Pages::new(snapshots, Arc::new(render)))
    }

    #[tokio::test]
    async fn a_page_is_rendered_once_per_snapshot_and_shared() {
        let (sender, pages) = counting();
        let (one, other) = (pages.bytes(Page::Metrics, false), pages.clone().bytes(Page::Metrics, false));
        assert_eq!(one.as_ptr(), other.as_ptr(), "the same bytes, not a copy");
        assert_eq!(one, "Metrics of snet-mirror, rendered [0, 0, 0] times before");
        assert_eq!(pages.bytes(Page::Status, false), "Status of snet-mirror, rendered [1, 0, 0] times before");
        sender.send_modify(|snapshot| Arc::make_mut(snapshot).agent.vantage = "next".to_owned());
        assert_eq!(pages.bytes(Page::Metrics, false), "Metrics of next, rendered [1, 1, 0] times before");
    }

    #[tokio::test]
    async fn neither_an_old_snapshot_nor_its_pages_are_kept() {
        let (sender, pages) = counting();
        let old = Arc::downgrade(&pages.snapshot());
        drop(pages.bytes(Page::Status, false));
        sender.send_replace(Arc::new(sample::snapshot()));
        assert_eq!(old.strong_count(), 0);
        let is_empty = || pages.shared.lock().expect("nobody panicked").plain.iter().all(Option::is_none);
        assert!(!is_empty());
        while !is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_page_that_is_kept_holds_no_more_memory_than_is_counted() {
        let (tally, snapshot) = (Arc::<Tally>::default(), sample::snapshot());
        let text = crate::readers::metrics::render(&snapshot, "1.0");
        assert!(text.capacity() > text.len(), "it was written into room for more");
        let packed = pack(text.as_bytes());
        let kept = [text.into_bytes(), packed].map(|bytes| Counted::new(bytes, &tally));
        let memory: usize = kept.iter().map(|page| page.bytes.capacity()).sum();
        assert_eq!(memory, tally.under_way.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_packed_page_is_made_once_and_holds_the_same_and_what_is_kept_is_counted() {
        let (sender, pages) = counting();
        let asked = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))]);
        let (headers, packed) = pages.answer(Page::Metrics, &asked);
        assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
        assert_eq!(pages.answer(Page::Metrics, &asked).1.as_ptr(), packed.as_ptr(), "the same bytes, not a copy");
        let (headers, plain) = pages.answer(Page::Metrics, &HeaderMap::new());
        assert!(!headers.contains_key(header::CONTENT_ENCODING) && headers[header::VARY] == "accept-encoding");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).expect("it is gzip");
        assert_eq!(text, plain);
        let under_way = || pages.tally().under_way.load(Ordering::Relaxed);
        assert_eq!(under_way(), plain.len() + packed.len());
        sender.send_replace(Arc::new(sample::snapshot()));
        while under_way() > plain.len() + packed.len()
            || pages.shared.lock().expect("nobody panicked").packed[0].is_some()
        {
            tokio::task::yield_now().await;
        }
        drop((packed, plain));
        assert_eq!(under_way(), 0);
    }
}
