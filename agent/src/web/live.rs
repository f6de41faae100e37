//! What keeps open pages up to date: it follows the snapshots, remembers what went before, and tells every page that is open,
//! at most once a second, which parts changed. It renders nothing while no page is open.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use futures_util::{Stream, stream};
use serde_json::{Map, Value};
use tokio::{
    sync::{Semaphore, broadcast, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::told::Told;
use crate::{
    engine::snapshot::Snapshot,
    readers::page::{
        self,
        course::{Course, PAST, Recalled},
    },
    store::history::{self, Wanted},
};

/// Time between two messages: a change stands on an open page within two seconds.
const PACE: Duration = Duration::from_secs(1);
/// A page that hears nothing for longer than twice this says that the agent does not answer.
const BEAT: Duration = Duration::from_secs(5);
/// A stream ends after this, before its connection is too old, and the page opens a new one.
const LIFETIME: Duration = Duration::from_secs(240);
/// Pages that are told of changes at once; the rest are refused and fetch now and then. Connections stay for scrapes.
const MOST_OPEN: usize = 50;
/// Messages that wait for a slow page; one that falls behind further is told to fetch the whole page.
const WAITING: usize = 8;
/// The key of changed parts in a message.
const PARTS: &str = "parts";
/// What stands before the JSON of a message.
const DATA: &str = "data: ";
/// Bytes of a message without its parts, rather more than they are.
const FRAME: usize = 1024;
/// Readings of the store at once: each takes a thread, and time of the processors that probing needs.
const READINGS: usize = 2;
/// How long a page waits for what the store remembers before it is shown without.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// What went before, and the pages that are open. Clones share it.
#[derive(Clone)]
pub struct Live {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What snapshots of this process are known by.
    process: String,
    course: Arc<Mutex<Course>>,
    state_dir: Option<PathBuf>,
    /// Each is made once and shared by all pages.
    messages: broadcast::Sender<Bytes>,
    told: Arc<Mutex<Told>>,
    open: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
}

/// One open page; its place is free again when this is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// Over these snapshots, and what the store below `state_dir` remembers.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, state_dir: Option<PathBuf>) -> Self {
        let (messages, room) = (broadcast::Sender::new(WAITING), Arc::new(Semaphore::new(READINGS)));
        let process = page::process(&snapshots.borrow());
        Self {
            snapshots,
            process,
            course: Arc::default(),
            state_dir,
            messages,
            told: Arc::default(),
            open: Arc::default(),
            room,
        }
    }

    /// What went before.
    pub fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went before up to this snapshot, whether or not pages were told of it.
    pub(super) fn course_to(&self, snapshot: &Snapshot) -> MutexGuard<'_, Course> {
        let mut course = self.course();
        course.take(snapshot);
        course
    }

    /// What reading in the state directory brings; `None` where there is none, or where it takes too long. However many ask,
    /// few read, and whoever stops asking before his turn has nothing read.
    pub(super) async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Path) -> T + Send + 'static) -> Option<T> {
        timeout(READ_WITHIN, self.read_whole(read)).await.ok().flatten()
    }

    /// The same, however long it takes.
    async fn read_whole<T: Send + 'static>(&self, read: impl FnOnce(&Path) -> T + Send + 'static) -> Option<T> {
        let folder = self.state_dir.clone()?;
        let place = Arc::clone(&self.room).acquire_owned().await.ok()?;
        let read = move || {
            // Taken until it was read, whether or not anybody still waits for it.
            let _place = place;
            read(&folder)
        };
        spawn_blocking(read).await.ok()
    }

    /// Lets nobody read for as long as what it returns lives.
    #[cfg(test)]
    pub(super) async fn occupy(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.room.acquire_many(READINGS as u32).await.expect("it is never closed")
    }

    /// Follows the snapshots until there will be none any more.
    pub async fn follow(self) {
        let mut snapshots = self.snapshots.clone();
        let started = snapshots.borrow().agent.started;
        // What takes longer comes later.
        drop(timeout(READ_WITHIN, tokio::spawn(self.clone().recall(started))).await);
        loop {
            let next = Instant::now() + PACE;
            self.take(&snapshots.borrow_and_update().clone());
            if snapshots.changed().await.is_err() {
                return;
            }
            sleep_until(next).await;
        }
    }

    /// Reads what the store remembers of the time before `started`. What it does not give is not shown.
    async fn recall(self, started: Duration) {
        let read = move |folder: &Path| {
            let mut outcomes = Recalled::default();
            let since = started.saturating_sub(PAST);
            let read = history::each_outcome(folder, since, |row| outcomes.take(row));
            // Since when anything is known is told by the oldest incident, however long ago that was.
            let incidents = history::incidents(folder, Wanted::Since(Duration::ZERO));
            if let Some(error) = read.as_ref().err().or(incidents.as_ref().err()) {
                tracing::debug!(%error, "the page shows not all that went before");
            }
            (outcomes, incidents.unwrap_or_default())
        };
        if let Some((outcomes, incidents)) = self.read_whole(read).await {
            self.course().recall(outcomes, incidents, started);
        }
    }

    /// Takes a snapshot in, and tells open pages what changed.
    fn take(&self, snapshot: &Snapshot) {
        self.course().take(snapshot);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.messages.receiver_count() == 0 {
            *told = Told::default();
            return;
        }
        let is_whole = told.begin(snapshot.number, snapshot.at, page::layout(snapshot));
        let mut parts = Map::new();
        page::each_part(snapshot, &self.course(), |id, mark, html| {
            if told.is_due(&id, mark) && !is_whole {
                parts.insert(id, html.as_str().trim().into());
            }
        });
        drop(told);
        let message = if is_whole {
            self.whole(snapshot.number, snapshot.at)
        } else {
            let mut said = self.stand(snapshot.number, snapshot.at);
            if !parts.is_empty() {
                said.insert("title".to_owned(), page::title(snapshot).into());
                said.insert(PARTS.to_owned(), parts.into());
            }
            framed(&said.into())
        };
        // Nobody may be left who listens.
        drop(self.messages.send(message));
    }

    /// The messages for one page that is open now; `None` where too many are.
    pub fn listen(&self) -> Option<impl Stream<Item = Bytes> + Send + 'static> {
        let place = Place(Arc::clone(&self.open));
        // The place counts before it is known to be free, so that two cannot take the last one.
        let taken = self.open.fetch_add(1, Ordering::Relaxed);
        if taken >= MOST_OPEN {
            return None;
        }
        let messages = self.messages.subscribe();
        let first = self.first();
        let end = Instant::now() + LIFETIME;
        let rest = stream::unfold((messages, place, self.clone()), move |(mut messages, place, mut live)| async move {
            let beat = (Instant::now() + BEAT).min(end);
            let message = tokio::select! {
                message = timeout_at(beat, messages.recv()) => match message {
                    Ok(Ok(message)) => message,
                    Ok(Err(broadcast::error::RecvError::Lagged(_))) => live.newest(),
                    Ok(Err(broadcast::error::RecvError::Closed)) => return None,
                    Err(_) if Instant::now() >= end => return None,
                    Err(_) => live.beat(),
                },
                () = gone(&mut live.snapshots) => return None,
            };
            Some((message, (messages, place, live)))
        });
        Some(stream::StreamExt::chain(stream::iter([first]), rest))
    }

    /// What a page hears first: up to when the messages tell everything. An older page has to be fetched anew.
    fn first(&self) -> Bytes {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.at().is_zero() {
            let snapshot = Arc::clone(&self.snapshots.borrow());
            told.begin(snapshot.number, snapshot.at, page::layout(&snapshot));
            page::each_part(&snapshot, &self.course(), |id, mark, _| _ = told.is_due(&id, mark));
        }
        self.whole(told.number(), told.at())
    }

    /// What a page hears that missed some: everything up to now has to be fetched.
    fn newest(&self) -> Bytes {
        let (number, at) = {
            let snapshot = self.snapshots.borrow();
            (snapshot.number, snapshot.at)
        };
        self.whole(number, at)
    }

    /// What a page hears where nothing changed: up to when the messages told everything. A page that said it stood later would
    /// take the next message for an old one.
    fn beat(&self) -> Bytes {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        framed(&self.stand(told.number(), told.at()).into())
    }

    fn whole(&self, number: u64, at: Duration) -> Bytes {
        let mut said = self.stand(number, at);
        said.insert("whole".to_owned(), true.into());
        framed(&said.into())
    }

    /// What every message says: which snapshot of which process it tells of, and when that was taken.
    fn stand(&self, number: u64, at: Duration) -> Map<String, Value> {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let said = [("process", self.process.clone().into()), ("number", number.into()), ("at", at.into())];
        said.into_iter().map(|(key, value): (&str, Value)| (key.to_owned(), value)).collect()
    }
}

/// A message as it goes to every page: JSON on one line, in the frame of server-sent events (HTML, section 9.2.6).
fn framed(said: &Value) -> Bytes {
    let html = said[PARTS].as_object().into_iter().flatten().filter_map(|(_, part)| part.as_str());
    // Quotes of attributes are escaped.
    let mut bytes = Vec::with_capacity(FRAME + html.map(|part| part.len() + part.len() / 8).sum::<usize>());
    bytes.extend_from_slice(DATA.as_bytes());
    serde_json::to_writer(&mut bytes, said).expect("memory takes what is written to it");
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

/// Waits until no snapshot will ever come: the agent ends, and a page must not keep its connection open.
async fn gone(snapshots: &mut watch::Receiver<Arc<Snapshot>>) {
    while snapshots.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{catalog::EndpointId, endpoint::EndpointView},
        sample,
    };

    use std::collections::BTreeMap;

    const ENDPOINTS: u64 = 100;
    /// Each endpoint is visited once in so many seconds.
    const INTERVAL: u64 = 5;
    const SECONDS: u64 = 100;

    #[tokio::test]
    async fn few_read_at_once_and_who_stops_asking_has_nothing_read() {
        let (_sender, receiver) = watch::channel(Arc::new(sample::snapshot()));
        let live = Live::new(receiver, Some(PathBuf::from("/nonexistent")));
        let (disk, hangs) = std::sync::mpsc::channel::<()>();
        let (begun, hangs) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(hangs)));
        let ask = || {
            let (live, begun, hangs) = (live.clone(), Arc::clone(&begun), Arc::clone(&hangs));
            tokio::spawn(async move {
                let read = move |_: &Path| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    hangs.lock().map(|hangs| hangs.recv()).ok();
                };
                live.read(read).await
            })
        };
        let asked: Vec<_> = (0..20).map(|_| ask()).collect();
        while begun.load(Ordering::SeqCst) < READINGS {
            tokio::task::yield_now().await;
        }
        for one in &asked {
            one.abort();
        }
        for one in asked {
            assert!(one.await.is_err_and(|error| error.is_cancelled()));
        }
        drop(disk);
        assert_eq!(ask().await.expect("it does not panic"), Some(()));
        assert_eq!(
            begun.load(Ordering::SeqCst),
            READINGS + 1,
            "those that were given up before their turn read nothing"
        );
    }

    /// The sample's first endpoint that was visited, so many times.
    fn crowd() -> Snapshot {
        let mut snapshot = sample::snapshot();
        let one = snapshot.endpoints.iter().find(|view| view.last.is_some()).expect("the sample was visited").clone();
        let named = |number: u64| {
            let mut view = EndpointView::clone(&one);
            Arc::make_mut(&mut view.endpoint).id = EndpointId(format!("host-{number}.example:443").into());
            Arc::new(view)
        };
        snapshot.endpoints = (0..ENDPOINTS).map(named).collect();
        snapshot
    }

    fn visit(view: &mut Arc<EndpointView>, at: Duration, second: u64) {
        let visit = Arc::make_mut(view).last.as_mut().expect("it was visited");
        let visit = Arc::make_mut(visit);
        (visit.began, visit.took) = (at, Duration::from_millis(10 + second));
    }

    #[tokio::test]
    async fn a_page_of_endpoints_that_stand_as_they_stood_is_told_a_fifth_of_their_visits() {
        let mut snapshot = crowd();
        let (_sender, receiver) = watch::channel(Arc::new(snapshot.clone()));
        let live = Live::new(receiver, None);
        let mut messages = live.messages.subscribe();
        live.take(&snapshot);
        let mut heard = || -> Value {
            let message = messages.try_recv().expect("a page is open");
            let framed = std::str::from_utf8(&message).expect("text");
            let said = framed.strip_prefix(DATA).and_then(|rest| rest.strip_suffix("\n\n")).expect("an event");
            assert!(!said.contains('\n'), "an event of one line: {said}");
            serde_json::from_str(said).expect("JSON")
        };
        assert_eq!(heard()["whole"], true);
        let parts = |snapshot: &Snapshot| {
            let mut parts = BTreeMap::new();
            page::each_part(snapshot, &live.course(), |id, mark, html| drop(parts.insert(id, (mark, html))));
            parts
        };
        let mut before = parts(&snapshot);
        let (mut told, mut every) = (0, 0);
        for second in 1..=SECONDS {
            snapshot.at += Duration::from_secs(1);
            let at = snapshot.at;
            let due = snapshot.endpoints.iter_mut().skip((second % INTERVAL) as usize).step_by(INTERVAL as usize);
            due.for_each(|view| visit(view, at, second));
            live.take(&snapshot);
            let after = parts(&snapshot);
            let is_row = |id: &str| after.get(id).is_some_and(|(mark, _)| mark.standing.is_some());
            let changed = after.iter().filter(|(id, part)| is_row(id) && before.get(*id) != Some(part));
            every += changed.map(|(_, (_, row))| row.as_str().trim().len()).sum::<usize>();
            let message = heard();
            let rows = message["parts"].as_object().into_iter().flatten().filter(|(id, _)| is_row(id));
            told += rows.filter_map(|(_, html)| html.as_str()).map(str::len).sum::<usize>();
            before = after;
        }
        println!("{} bytes of rows are told of {} by all visits", told as u64, every as u64);
        assert!(told > 0 && told * 4 < every, "{told} bytes of rows are told, {every} would be by every visit");
    }
}
