//! The memory under the state directory: outage clocks, incidents and a history of outcomes, in one SQLite file.
//!
//! A thread of its own writes; the loop hands over through a bounded queue and never waits. What is committed survives
//! `kill -9` and a power cut: the journal is a write-ahead log and every commit is synced (`synchronous = FULL`).
//! Incidents and clocks are committed at once, outcomes within five seconds. A store that is damaged or newer than this
//! agent is set aside with a warning, and the agent runs on with an empty one. A store that cannot be used, at the start or
//! later, is tried again; one whose directory is gone is made anew.

pub mod account;
pub mod addresses;
pub mod archive;
mod aside;
mod database;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod history;
mod incidents;
pub mod keeping;
mod place;
pub mod rows;
mod seal;
pub mod stretches;
mod table;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    time::{Duration, Instant},
};

use ase_probes::clock;
use tokio::sync::oneshot;

use crate::model::endpoint::StoreView;
use addresses::Addresses;
use place::Recalled;
use rows::{IncidentRow, OutcomeRow, StateRow};
use writer::{Order, Writer};

/// The store's file in the state directory.
pub const FILE: &str = "memory.db";
/// The file that one agent at a time holds locked.
const LOCK: &str = "lock";
/// Orders that may wait for the disk.
const QUEUE: usize = 4096;
/// Incidents that wait here while the queue is full; the oldest is kept, the newest is given up.
const MOST_WAITING: usize = 256;

/// How long the start waits for the disk before it goes on without a memory.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// How long the end waits for the disk at most.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// A disk that takes longer than this for what it was given hangs.
const HANGS_AFTER: Duration = Duration::from_secs(10);
/// Time between two looks at a thread that is ending.
const GLANCE: Duration = Duration::from_millis(1);

/// Why there is no memory.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be used.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another agent uses it.
    #[error("{path} is locked by another agent: give each its own `state_dir`")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// SQLite cannot use the file, and a new one neither.
    #[error("cannot use {path}: {source}")]
    Sqlite {
        /// The store.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The store's content is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The store.
        path: PathBuf,
        /// Where it shows.
        what: String,
    },
    /// The disk did not answer in time; it is waited for.
    #[error("cannot use {}: no answer within {}s", path.display(), within.as_secs())]
    Slow {
        /// The directory.
        path: PathBuf,
        /// How long was waited.
        within: Duration,
    },
    /// A newer agent wrote it.
    #[error("{path} has schema version {found}, this agent knows versions up to {known}")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
}

/// What the writer and its owner both see.
#[derive(Debug, Default)]
struct Shared {
    ok: AtomicBool,
    dropped: AtomicU64,
    resets: AtomicU64,
    /// The number of the last outcome that the thread has written or given up.
    outcomes: AtomicU64,
    /// Rows of incidents that are on the disk.
    incidents: AtomicU64,
    /// Since when the disk has owed an answer; `None` while it owes none.
    asked: Mutex<Option<Instant>>,
}

impl Shared {
    fn disk_is_asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now());
    }

    fn disk_answered(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn hangs(&self, now: Instant) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|asked| now.saturating_duration_since(asked) > HANGS_AFTER)
    }
}

/// The memory as the loop sees it.
#[derive(Debug)]
pub struct Store {
    orders: Option<SyncSender<Order>>,
    /// Outcomes that were handed over so far: each has the number of those before it and itself.
    outcomes: u64,
    waiting: Vec<IncidentRow>,
    shared: Arc<Shared>,
    /// What the thread found when it opened the store.
    opened: mpsc::Receiver<Result<Recalled, StoreError>>,
    recalled: Option<StateRow>,
    open_incidents: Vec<IncidentRow>,
    addresses: Addresses,
    /// Tells whether all was written when the thread ends.
    ended: Option<oneshot::Receiver<bool>>,
}

impl Store {
    /// Opens the store below `folder`, which is made where it is missing, and starts the thread that writes. `now` is
    /// the wall clock, for the name of what is set aside.
    ///
    /// # Errors
    /// When the directory cannot be used now. A damaged or newer store is no error: it is set aside.
    pub fn open(folder: &Path, now: Duration) -> Result<Self, StoreError> {
        match Self::start(folder, now)? {
            (store, None) => Ok(store),
            (_, Some(error)) => Err(error),
        }
    }

    /// Starts the thread, which opens the store like [`Store::open`], and goes on trying where that fails. Returns why it
    /// failed at first.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(folder: &Path, now: Duration) -> Result<(Self, Option<StoreError>), StoreError> {
        let shared = Arc::new(Shared::default());
        let (orders, queue) = mpsc::sync_channel(QUEUE);
        let (tell_opened, opened) = mpsc::channel();
        let (tell_ended, ended) = oneshot::channel();
        let writer = Writer::new(folder.to_owned(), Arc::clone(&shared), tell_opened);
        // Whoever would hear it may have stopped waiting.
        let write = move || {
            let _heard = tell_ended.send(writer.run(&queue, now));
        };
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(write);
        thread.map_err(place::io("start the thread of", folder))?;
        let mut store = Self {
            orders: Some(orders),
            outcomes: 0,
            waiting: Vec::new(),
            shared,
            opened,
            recalled: None,
            open_incidents: Vec::new(),
            addresses: Addresses::default(),
            ended: Some(ended),
        };
        let first = store.opened.recv_timeout(OPEN_WITHIN);
        let slow = |_| Err(StoreError::Slow { path: folder.to_owned(), within: OPEN_WITHIN });
        let failed = first.unwrap_or_else(slow).map(|recalled| store.take_up(recalled)).err();
        Ok((store, failed))
    }

    /// The clocks as an earlier process left them.
    pub fn recalled(&self) -> Option<&StateRow> {
        self.recalled.as_ref()
    }

    /// The incidents that were open when an earlier process ended.
    pub fn open_incidents(&self) -> &[IncidentRow] {
        &self.open_incidents
    }

    /// Hands out the addresses that an earlier process had seen.
    pub fn take_addresses(&mut self) -> Addresses {
        std::mem::take(&mut self.addresses)
    }

    /// Whether the store opened since the last call; what an earlier process left is known then.
    pub fn opened_late(&mut self) -> bool {
        let Ok(Ok(recalled)) = self.opened.try_recv() else { return false };
        self.take_up(recalled);
        true
    }

    fn take_up(&mut self, recalled: Recalled) {
        (self.recalled, self.open_incidents) = (recalled.state, recalled.incidents);
        self.addresses = recalled.addresses;
    }

    /// Hands over the clocks. If the queue is full they are left out: the next step hands over newer ones.
    pub fn save(&mut self, state: StateRow) {
        self.hurry();
        self.hand_over(Order::State(Box::new(state)));
    }

    /// Hands over an outcome and returns its number; dropped and counted if the disk is too slow.
    pub fn add(&mut self, outcome: OutcomeRow) -> Option<u64> {
        let number = self.outcomes + 1;
        if !self.hand_over(Order::Outcome(number, outcome)) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.outcomes = number;
        Some(number)
    }

    /// Hands over an incident, new or changed. It waits here while the queue is full.
    pub fn report(&mut self, incident: IncidentRow) {
        self.waiting.truncate(MOST_WAITING);
        self.waiting.push(incident);
        self.hurry();
    }

    /// Hands over the addresses that were seen, as their file. If the queue is full they are left out: later ones hold them too.
    pub fn note_addresses(&mut self, text: String) {
        self.hand_over(Order::Addresses(text));
    }

    /// Waits until everything that was handed over is on the disk; `false` if it is not.
    pub fn flush(&mut self) -> bool {
        self.hurry();
        let (reply, answer) = mpsc::sync_channel(1);
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(Order::Flush(reply)).is_ok());
        sent && self.waiting.is_empty() && answer.recv().unwrap_or(false)
    }

    /// How it does.
    pub fn view(&self) -> StoreView {
        self.view_at(clock::now())
    }

    fn view_at(&self, now: Instant) -> StoreView {
        StoreView {
            ok: Some(self.shared.ok.load(Ordering::Relaxed) && !self.shared.hangs(now)),
            resets: self.shared.resets.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            outcomes_written: self.shared.outcomes.load(Ordering::Relaxed),
            incidents_written: self.shared.incidents.load(Ordering::Relaxed),
            recalled: self.recalled.as_ref().map(|state| state.saved),
            ..StoreView::default()
        }
    }

    /// Gives no more orders. What was handed over is written; whether it was tells the result.
    pub fn close(&mut self) -> Closing {
        self.hurry();
        drop(self.orders.take());
        Closing { ended: self.ended.take(), is_whole: self.waiting.is_empty() }
    }

    /// Hands over incidents that wait.
    fn hurry(&mut self) {
        while let Some(incident) = self.waiting.first() {
            if !self.hand_over(Order::Incident(Box::new(incident.clone()))) {
                return;
            }
            self.waiting.remove(0);
        }
    }

    /// Whether the queue had room.
    fn hand_over(&self, order: Order) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
    }
}

impl Drop for Store {
    /// Lets the thread write what was handed over, and waits for it, but not for a disk that hangs.
    fn drop(&mut self) {
        let mut closing = self.close();
        let until = clock::now() + CLOSE_WITHIN;
        while closing.result().is_none() && clock::now() < until {
            std::thread::sleep(GLANCE);
        }
    }
}

/// A store that writes its last.
#[derive(Debug)]
pub struct Closing {
    ended: Option<oneshot::Receiver<bool>>,
    is_whole: bool,
}

impl Closing {
    /// Waits until everything that was handed over is on the disk, but no longer than this; `false` if it is not.
    pub async fn wait(self, within: Duration) -> bool {
        let Some(ended) = self.ended else { return false };
        let written = tokio::time::timeout(within, ended).await;
        self.is_whole && written.is_ok_and(|written| written.unwrap_or(false))
    }

    /// Whether it was written, where the thread has ended.
    fn result(&mut self) -> Option<bool> {
        match self.ended.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Err(oneshot::error::TryRecvError::Empty)) => None,
            Some(Ok(written)) => Some(written && self.is_whole),
            Some(Err(oneshot::error::TryRecvError::Closed)) | None => Some(false),
        }
    }
}

#[cfg(test)]
mod tests;
