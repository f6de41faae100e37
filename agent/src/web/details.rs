//! The pages of single endpoints and incidents. Each is rendered once per snapshot, when it is first asked for, and everybody who
//! asks while that snapshot is the newest gets the same bytes; what the store remembers of it is read again only where it may
//! have changed.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ase_probes::clock;
use axum::{body::Bytes, http::StatusCode};
use tokio::sync::{OnceCell, watch};

use super::{live::Live, pages::Pages};
use crate::{
    engine::snapshot::Snapshot,
    readers::{
        links::Loss,
        page::{
            self, Place,
            course::{REACH, Recalled},
        },
    },
    store::{
        history::{self, Wanted},
        rows::IncidentRow,
    },
};

/// Pages of one snapshot that are kept, and what is kept of the store: more than pages are told of changes. What is asked
/// beyond that is answered, and not kept.
const MOST: usize = 64;
/// What the kept pages of one snapshot take together, in bytes, before no more are kept: an incident that hits ten thousand
/// endpoints has a page of more than a megabyte.
const ROOM: usize = 4 << 20;

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// The endpoint with this id, at a path with so many slashes in it: what the page leads to depends on them.
    Endpoint { id: String, slashes: usize },
    /// The incident with this key.
    Incident(String),
}

/// A page, and whether what was asked for is known.
type Answer = (StatusCode, Bytes);

/// The pages. Clones share what is rendered and read.
#[derive(Clone)]
pub(super) struct Details {
    pages: Pages,
    live: Live,
    shown: Arc<Mutex<Shown>>,
    outcomes: Arc<Mutex<Kept<Recalled>>>,
    incidents: Arc<Mutex<Kept<Option<IncidentRow>>>>,
}

/// What is rendered of one snapshot, or is being rendered.
#[derive(Default)]
struct Shown {
    of: Weak<Snapshot>,
    answers: BTreeMap<Asked, Arc<OnceCell<Answer>>>,
}

/// The number of the last row about something, and whether the store says that it is written.
type State = (u64, bool);

/// What was read of the store, the last at the end: under which name, at which state of what it is about.
struct Kept<T>(VecDeque<(String, State, Arc<T>)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Kept<T> {
    /// What was read under this name, unless it may have changed since.
    fn get(&self, name: &str, state: State) -> Option<Arc<T>> {
        let found = self.0.iter().find(|(known, at, _)| known == name && *at == state)?;
        Some(Arc::clone(&found.2))
    }

    fn put(&mut self, name: String, state: State, read: Arc<T>) {
        self.0.retain(|(known, ..)| *known != name);
        self.0.push_back((name, state, read));
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }
}

impl Details {
    /// The pages of the snapshots behind `pages`.
    pub(super) fn new(pages: Pages, live: Live) -> Self {
        Self { pages, live, shown: Arc::default(), outcomes: Arc::default(), incidents: Arc::default() }
    }

    /// What is to be answered. To be called within a runtime: a task of it lets the pages go once they are old.
    pub(super) async fn answer(&self, asked: Asked) -> Answer {
        let mut snapshots = self.pages.snapshots();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        match self.place(&asked, &snapshot, snapshots) {
            Some(place) => place.get_or_init(|| self.render(&asked, &snapshot)).await.clone(),
            None => self.render(&asked, &snapshot).await,
        }
    }

    /// Where the page of this snapshot is kept; `None` where too many are.
    fn place(
        &self,
        asked: &Asked,
        snapshot: &Arc<Snapshot>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) -> Option<Arc<OnceCell<Answer>>> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(shown.of.as_ptr(), Arc::as_ptr(snapshot)) {
            *shown = Shown { of: Arc::downgrade(snapshot), answers: BTreeMap::new() };
            tokio::spawn(forget(snapshots, Arc::downgrade(snapshot), Arc::clone(&self.shown)));
        }
        let taken: usize = shown.answers.values().filter_map(|place| Some(place.get()?.1.len())).sum();
        let has_room = shown.answers.len() < MOST && taken < ROOM || shown.answers.contains_key(asked);
        has_room.then(|| Arc::clone(shown.answers.entry(asked.clone()).or_default()))
    }

    async fn render(&self, asked: &Asked, snapshot: &Snapshot) -> Answer {
        let (what, place, page) = match asked {
            Asked::Endpoint { id, slashes } => {
                let place = Place { id, slashes: *slashes };
                ("endpoint", place, self.endpoint(snapshot, place).await)
            }
            Asked::Incident(key) => ("incident", Place::from(key), self.incident(snapshot, key).await),
        };
        match page {
            Some(page) => (StatusCode::OK, self.pages.shared(page)),
            None => (StatusCode::NOT_FOUND, self.pages.shared(page::missing(snapshot, what, place))),
        }
    }

    async fn endpoint(&self, snapshot: &Snapshot, asked: Place<'_>) -> Option<String> {
        // Who asks for what is not watched has nothing read.
        let view = snapshot.endpoints.iter().find(|view| *view.endpoint.id.0 == *asked.id)?;
        let state = (view.handed_over, snapshot.store.outcomes_written >= view.handed_over);
        let past = self.outcomes_of(asked.id.to_owned(), state).await.unwrap_or_default();
        page::endpoint(snapshot, &self.live.course(), asked, &past)
    }

    async fn incident(&self, snapshot: &Snapshot, key: &str) -> Option<String> {
        if let Some(asked) = page::named(snapshot, key) {
            let row = self.remembered(snapshot, page::key(snapshot, &asked)).await;
            return Some(page::incident(snapshot, &asked, row.as_deref().and_then(Option::as_ref)));
        }
        let row = self.remembered(snapshot, key.to_owned()).await?;
        Some(page::remembered_incident(snapshot, row.as_ref().as_ref()?))
    }

    /// What the store remembers of an endpoint's last day, read again where a row of it was handed over or written since;
    /// `None` where it cannot be read.
    async fn outcomes_of(&self, id: String, state: State) -> Option<Arc<Recalled>> {
        let since = clock::wall().saturating_sub(REACH);
        let whole_since = self.live.course().since();
        let read = {
            let id = id.clone();
            move |folder: &Path| Some(Recalled::of(history::outcomes(folder, since, &id).ok()?, whole_since))
        };
        self.kept(&self.outcomes, id, state, read).await
    }

    /// The incident that the store remembers under this key, read again after any was written; `None` where it cannot be read.
    async fn remembered(&self, snapshot: &Snapshot, key: String) -> Option<Arc<Option<IncidentRow>>> {
        let read = {
            let key = key.clone();
            move |folder: &Path| {
                let wanted = Loss::of_key(&key).map_or(Wanted::Id(&key), |loss| Wanted::Cause(loss.cause));
                history::incidents(folder, wanted).ok().map(|rows| page::remembered(rows, &key))
            }
        };
        self.kept(&self.incidents, key, (snapshot.store.incidents_written, true), read).await
    }

    /// What was read under this name at this state, or is read now.
    async fn kept<T: Send + 'static>(
        &self,
        kept: &Mutex<Kept<T>>,
        name: String,
        state: State,
        read: impl FnOnce(&Path) -> Option<T> + Send + 'static,
    ) -> Option<Arc<T>> {
        let known = kept.lock().unwrap_or_else(PoisonError::into_inner).get(&name, state);
        if known.is_some() {
            return known;
        }
        let read = Arc::new(self.live.read(read).await.flatten()?);
        kept.lock().unwrap_or_else(PoisonError::into_inner).put(name, state, Arc::clone(&read));
        Some(read)
    }
}

/// Lets the pages of a snapshot go when the next one comes, unless they show a newer one already.
async fn forget(mut snapshots: watch::Receiver<Arc<Snapshot>>, of: Weak<Snapshot>, shown: Arc<Mutex<Shown>>) {
    // An error means that no snapshot will ever come: nobody watches any more.
    drop(snapshots.changed().await);
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    if Weak::ptr_eq(&shown.of, &of) {
        *shown = Shown::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::{
        sample,
        store::{Store, rows::OutcomeRow},
    };

    /// Far less than a page waits for a store that nobody may read.
    const SOON: Duration = Duration::from_secs(5);

    const ENDPOINT: &str = "168.63.129.16:53";

    /// A store that remembers an hour of the endpoint and an incident of an earlier process, and the pages over it.
    struct Stage {
        details: Details,
        live: Live,
        snapshots: watch::Sender<Arc<Snapshot>>,
        store: Store,
        hour: Duration,
        _folder: tempfile::TempDir,
    }

    impl Stage {
        fn next(&self, change: impl FnOnce(&mut Snapshot)) {
            self.snapshots.send_modify(|snapshot| change(Arc::make_mut(snapshot)));
        }
    }

    fn row(result: &'static str, began: Duration, ended: Duration) -> OutcomeRow {
        OutcomeRow {
            endpoint: ENDPOINT.into(),
            class: "dns".into(),
            result: result.into(),
            cause: None,
            phase: None,
            began,
            ended,
            count: 100,
            took: Duration::from_millis(3),
        }
    }

    fn of_endpoint(snapshot: &mut Snapshot) -> &mut crate::model::endpoint::EndpointView {
        let mut views = snapshot.endpoints.iter_mut();
        Arc::make_mut(views.find(|view| *view.endpoint.id.0 == *ENDPOINT).expect("the sample has it"))
    }

    fn stage() -> Stage {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut snapshot = sample::snapshot();
        snapshot.at = clock::wall();
        let hour = snapshot.at - Duration::from_secs(3600);
        let mut store = Store::open(folder.path(), snapshot.at).expect("a store can be made");
        store.add(row("healthy", hour, snapshot.at));
        let incident =
            IncidentRow { id: "1-1".to_owned(), component: "before".to_owned(), since: hour, ..Default::default() };
        store.report(incident);
        assert!(store.flush(), "the store takes it");
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot));
        let live = Live::new(receiver.clone(), Some(folder.path().to_owned()));
        let render = |_: super::super::pages::Page, _: &Snapshot, _: &crate::readers::metrics::Serving| String::new();
        let details = Details::new(Pages::new(receiver, Arc::new(render)), live.clone());
        Stage { details, live, snapshots, store, hour, _folder: folder }
    }

    fn asked() -> [Asked; 2] {
        [Asked::Endpoint { id: ENDPOINT.to_owned(), slashes: 0 }, Asked::Incident("1-1".to_owned())]
    }

    fn text((status, bytes): &Answer) -> String {
        assert_eq!(*status, StatusCode::OK);
        String::from_utf8(bytes.to_vec()).expect("a page is text")
    }

    #[tokio::test]
    async fn all_who_ask_within_one_snapshot_share_one_page() {
        let stage = stage();
        for asked in asked() {
            let together = [(); 20].map(|()| {
                let (details, asked) = (stage.details.clone(), asked.clone());
                tokio::spawn(async move { details.answer(asked).await })
            });
            let first = stage.details.answer(asked.clone()).await;
            for one in together {
                let one = one.await.expect("it does not panic");
                assert_eq!(one.1.as_ptr(), first.1.as_ptr(), "the same bytes, not a copy: {asked:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_store_is_read_again_only_where_what_is_asked_may_have_changed() {
        let stage = stage();
        for asked in asked() {
            let page = text(&stage.details.answer(asked).await);
            assert!(page.contains("Answered 100 %") || page.contains("<h1>before:"), "it is of the store: {page}");
        }
        let nobody_reads = stage.live.occupy().await;
        stage.next(|snapshot| {
            snapshot.agent.vantage = "next".to_owned();
            // A visit that only makes a stretch longer writes nothing.
            of_endpoint(snapshot).attempts += 1;
        });
        for asked in asked() {
            let page = timeout(SOON, stage.details.answer(asked.clone())).await.expect("it waits for no store");
            let page = text(&page);
            assert!(
                page.contains("next") && (page.contains("Answered 100 %") || page.contains("<h1>before:")),
                "{page}"
            );
        }
        stage.next(|snapshot| {
            snapshot.store.incidents_written += 1;
            of_endpoint(snapshot).handed_over += 1;
        });
        let [endpoint, incident] = asked();
        let waits = tokio::join!(
            timeout(Duration::from_millis(200), stage.details.answer(endpoint.clone())),
            timeout(Duration::from_millis(200), stage.details.answer(incident)),
        );
        assert!(waits.0.is_err() && waits.1.is_err(), "what may have changed is read");
        drop(nobody_reads);
        // Those who left had begun; who comes next takes it over.
        text(&timeout(SOON, stage.details.answer(endpoint)).await.expect("the store may be read again"));
    }

    #[tokio::test]
    async fn a_failure_stands_in_the_bars_as_soon_as_its_row_is_written() {
        let mut stage = stage();
        let [endpoint, _] = asked();
        assert!(text(&stage.details.answer(endpoint.clone()).await).contains("Answered 100 %"));
        // The visit ends, its row waits for others, and somebody looks meanwhile.
        let at = stage.snapshots.borrow().at;
        stage.next(|snapshot| of_endpoint(snapshot).attempts += 1);
        let number = stage.store.add(row("failed", stage.hour + Duration::from_secs(1800), at));
        let number = number.expect("the queue has room");
        stage.next(|snapshot| of_endpoint(snapshot).handed_over = number);
        stage.details.answer(endpoint.clone()).await;
        assert!(stage.store.flush(), "the store takes it");
        let written = stage.store.view().outcomes_written;
        assert_eq!(written, number);
        stage.next(|snapshot| snapshot.store.outcomes_written = written);
        let page = text(&stage.details.answer(endpoint).await);
        assert!(page.contains("Answered") && !page.contains("Answered 100 %"), "{page}");
    }

    #[tokio::test]
    async fn neither_many_pages_nor_old_ones_are_kept() {
        let stage = stage();
        for number in 0..2 * MOST {
            let (status, _) = stage.details.answer(Asked::Incident(format!("nobody-{number}"))).await;
            assert_eq!(status, StatusCode::NOT_FOUND);
        }
        let kept = || stage.details.shown.lock().expect("nobody panicked").answers.len();
        assert_eq!(kept(), MOST);
        assert_eq!(stage.details.incidents.lock().expect("nobody panicked").0.len(), MOST);
        stage.snapshots.send_replace(Arc::new(sample::snapshot()));
        while kept() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.details.pages.tally().under_way.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}
