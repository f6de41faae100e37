//! The memory under the state directory: outage clocks, incidents and a history of outcomes, in one SQLite file.
//!
//! A thread of its own writes; the loop hands over through a bounded queue and never waits. What is committed survives
//! `kill -9` and a power cut: the journal is a write-ahead log and every commit is synced (`synchronous = FULL`).
//! Incidents and clocks are committed at once, outcomes within five seconds. A store that is damaged or newer than this
//! agent is set aside with a warning, and the agent runs on with an empty one.

pub mod archive;
mod aside;
mod database;
pub mod history;
pub mod keeping;
pub mod rows;
mod seal;
pub mod stretches;
mod writer;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::model::endpoint::StoreView;
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
}

/// The memory as the loop sees it.
#[derive(Debug)]
pub struct Store {
    orders: Option<SyncSender<Order>>,
    waiting: Vec<IncidentRow>,
    shared: Arc<Shared>,
    recalled: Option<StateRow>,
    open_incidents: Vec<IncidentRow>,
    thread: Option<JoinHandle<()>>,
    _lock: File,
}

impl Store {
    /// Opens the store below `folder`, which is made where it is missing, and starts the thread that writes. `now` is
    /// the wall clock, for the name of what is set aside.
    ///
    /// # Errors
    /// When the directory cannot be used at all. A damaged or newer store is no error: it is set aside.
    pub fn open(folder: &Path, now: Duration) -> Result<Self, StoreError> {
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { operation, path, source }
        };
        fs::create_dir_all(folder).map_err(io("make", folder))?;
        let lock_path = folder.join(LOCK);
        let lock = File::options().create(true).append(true).open(&lock_path).map_err(io("open", &lock_path))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => StoreError::Locked { path: lock_path.clone() },
            fs::TryLockError::Error(source) => io("lock", &lock_path)(source),
        })?;
        let opened = writer::open_or_set_aside(&folder.join(FILE), now)?;
        let shared = Arc::new(Shared { ok: AtomicBool::new(true), ..Shared::default() });
        shared.resets.store(aside::remains(folder), Ordering::Relaxed);
        let (orders, queue) = mpsc::sync_channel(QUEUE);
        let writer = Writer::new(opened.database, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(move || writer.run(&queue));
        let thread = thread.map_err(io("start the thread of", folder))?;
        Ok(Self {
            orders: Some(orders),
            waiting: Vec::new(),
            shared,
            recalled: opened.state,
            open_incidents: opened.incidents,
            thread: Some(thread),
            _lock: lock,
        })
    }

    /// The clocks as an earlier process left them.
    pub fn recalled(&self) -> Option<&StateRow> {
        self.recalled.as_ref()
    }

    /// The incidents that were open when an earlier process ended.
    pub fn open_incidents(&self) -> &[IncidentRow] {
        &self.open_incidents
    }

    /// Hands over the clocks. If the queue is full they are left out: the next step hands over newer ones.
    pub fn save(&mut self, state: StateRow) {
        self.hurry();
        self.hand_over(Order::State(Box::new(state)));
    }

    /// Hands over an outcome; dropped and counted if the disk is too slow.
    pub fn add(&mut self, outcome: OutcomeRow) {
        if !self.hand_over(Order::Outcome(outcome)) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over an incident, new or changed. It waits here while the queue is full.
    pub fn report(&mut self, incident: IncidentRow) {
        self.waiting.truncate(MOST_WAITING);
        self.waiting.push(incident);
        self.hurry();
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
        StoreView {
            ok: Some(self.shared.ok.load(Ordering::Relaxed)),
            resets: self.shared.resets.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            recalled: self.recalled.as_ref().map(|state| state.saved),
            ..StoreView::default()
        }
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
    /// Lets the thread write what was handed over, and waits for it.
    fn drop(&mut self) {
        self.hurry();
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
