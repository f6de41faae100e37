//! The thread that writes: it gathers orders into one transaction, and sets the store aside when it turns out damaged.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

use ase_probes::clock;

use super::{
    Shared, StoreError, aside,
    database::{self, Database},
    rows::{IncidentRow, OutcomeRow, StateRow},
};

/// Outcomes wait this long for others, so that many share one sync.
const GATHER: Duration = Duration::from_secs(5);
/// Orders in one transaction at most.
const MOST_AT_ONCE: usize = 1024;
/// What could not be written and waits for the disk to mend.
const MOST_KEPT: usize = 4096;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Remember the clocks, at once.
    State(Box<StateRow>),
    /// Remember an outcome, soon.
    Outcome(OutcomeRow),
    /// Remember an incident, at once.
    Incident(Box<IncidentRow>),
    /// Say when everything before is on the disk.
    Flush(SyncSender<bool>),
}

/// Orders that share a transaction.
#[derive(Debug, Default)]
struct Batch {
    state: Option<StateRow>,
    outcomes: Vec<OutcomeRow>,
    incidents: Vec<IncidentRow>,
    replies: Vec<SyncSender<bool>>,
    is_urgent: bool,
}

impl Batch {
    fn take(&mut self, order: Order) {
        match order {
            Order::State(state) => {
                self.state = Some(*state);
                self.is_urgent = true;
            }
            Order::Outcome(outcome) => self.outcomes.push(outcome),
            Order::Incident(incident) => {
                self.incidents.push(*incident);
                self.is_urgent = true;
            }
            Order::Flush(reply) => {
                self.replies.push(reply);
                self.is_urgent = true;
            }
        }
    }

    fn len(&self) -> usize {
        self.outcomes.len() + self.incidents.len()
    }
}

/// A store that was checked, and what an earlier process left in it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) state: Option<StateRow>,
    pub(super) incidents: Vec<IncidentRow>,
}

/// Opens the store, or sets aside what is there and opens an empty one.
pub(super) fn open_or_set_aside(path: &Path, now: Duration) -> Result<Opened, StoreError> {
    let why = match open(path) {
        Ok(opened) => return Ok(opened),
        Err(StoreError::Damaged { path, what }) => {
            tracing::warn!(path = %path.display(), what, "the store is damaged; clocks and history begin anew");
            "damaged"
        }
        Err(StoreError::Newer { path, found, known }) => {
            tracing::warn!(path = %path.display(), found, known, "a newer agent wrote the store; clocks and history begin anew");
            "newer"
        }
        Err(error @ (StoreError::Io { .. } | StoreError::Locked { .. } | StoreError::Sqlite { .. })) => {
            return Err(error);
        }
    };
    let moved = aside::set_aside(path, why, now);
    let moved = moved.map_err(|source| StoreError::Io { operation: "set aside", path: path.to_owned(), source })?;
    tracing::warn!(path = %moved.display(), "the old store was set aside");
    open(path)
}

fn open(path: &Path) -> Result<Opened, StoreError> {
    let database = Database::open(path)?;
    Ok(Opened { state: database.state()?, incidents: database.open_incidents()?, database })
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    database: Database,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(database: Database, shared: Arc<Shared>) -> Self {
        Self { database, shared }
    }

    /// Writes until nobody gives orders any more.
    pub(super) fn run(mut self, queue: &Receiver<Order>) {
        let mut batch = Batch::default();
        while let Ok(first) = queue.recv() {
            batch.take(first);
            gather(queue, &mut batch);
            self.commit(&mut batch);
        }
    }

    /// Writes a batch and empties it. What the disk does not take waits for the next one, within bounds.
    fn commit(&mut self, batch: &mut Batch) {
        let mut result = self.database.write(batch.state.as_ref(), &batch.outcomes, &batch.incidents);
        if let Err(error) = result {
            result = match database::from_sqlite(self.database.path(), error) {
                StoreError::Damaged { path, what } => self.begin_anew(&path, &what, batch),
                StoreError::Sqlite { source, .. } => Err(source),
                StoreError::Io { .. } | StoreError::Locked { .. } | StoreError::Newer { .. } => Ok(()),
            };
        }
        let was_ok = self.shared.ok.swap(result.is_ok(), Ordering::Relaxed);
        match &result {
            Ok(()) if !was_ok => tracing::info!("the store takes what it is given again"),
            Err(error) if was_ok => {
                tracing::error!(%error, path = %self.database.path().display(), "the store takes nothing")
            }
            Ok(()) | Err(_) => {}
        }
        for reply in batch.replies.drain(..) {
            // Who asked may have stopped waiting.
            let _heard = reply.send(result.is_ok());
        }
        batch.is_urgent = false;
        if result.is_ok() {
            *batch = Batch::default();
            return;
        }
        let surplus = batch.outcomes.len().saturating_sub(MOST_KEPT);
        batch.outcomes.drain(..surplus);
        self.shared.dropped.fetch_add(surplus as u64, Ordering::Relaxed);
        let surplus = batch.incidents.len().saturating_sub(MOST_KEPT);
        batch.incidents.drain(..surplus);
    }

    /// The store turned out damaged while it was in use.
    fn begin_anew(&mut self, path: &Path, what: &str, batch: &Batch) -> rusqlite::Result<()> {
        tracing::warn!(path = %path.display(), what, "the store is damaged; history begins anew");
        let opened = aside::set_aside(path, "damaged", clock::wall())
            .map_err(|source| StoreError::Io { operation: "set aside", path: path.to_owned(), source })
            .and_then(|_| Database::open(path));
        match opened {
            Ok(database) => {
                self.database = database;
                self.shared.resets.fetch_add(1, Ordering::Relaxed);
                self.database.write(batch.state.as_ref(), &batch.outcomes, &batch.incidents)
            }
            Err(error) => {
                tracing::error!(%error, "no new store either");
                Err(rusqlite::Error::InvalidPath(path.to_owned()))
            }
        }
    }
}

/// Takes what else is there, and waits a little for more if nothing is urgent.
fn gather(queue: &Receiver<Order>, batch: &mut Batch) {
    let until = clock::now() + GATHER;
    while batch.len() < MOST_AT_ONCE {
        let patience = if batch.is_urgent { Duration::ZERO } else { until.saturating_duration_since(clock::now()) };
        match queue.recv_timeout(patience) {
            Ok(order) => batch.take(order),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}
