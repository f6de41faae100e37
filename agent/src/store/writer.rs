//! The thread that writes: it opens the store, gathers orders into one transaction, sets the store aside when it turns out
//! damaged, begins anew where its files are gone, and tries a disk that refuses again, ever more seldom.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    time::{Duration, Instant},
};

use ase_probes::clock;

use super::{
    Shared, StoreError, addresses, aside, database,
    place::{self, Place, Recalled},
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
    /// Remember the outcome with this number, soon.
    Outcome(u64, OutcomeRow),
    /// Remember an incident, at once.
    Incident(Box<IncidentRow>),
    /// Write the file of addresses, soon.
    Addresses(String),
    /// Say when everything before is on the disk.
    Flush(SyncSender<bool>),
}

/// Orders that share a transaction.
#[derive(Debug, Default)]
struct Batch {
    state: Option<StateRow>,
    outcomes: Vec<OutcomeRow>,
    /// The number of the last outcome.
    last_outcome: Option<u64>,
    incidents: Vec<IncidentRow>,
    addresses: Option<String>,
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
            Order::Outcome(number, outcome) => {
                self.outcomes.push(outcome);
                self.last_outcome = Some(number);
            }
            Order::Incident(incident) => {
                self.incidents.push(*incident);
                self.is_urgent = true;
            }
            Order::Addresses(text) => self.addresses = Some(text),
            Order::Flush(reply) => {
                self.replies.push(reply);
                self.is_urgent = true;
            }
        }
    }

    fn len(&self) -> usize {
        self.outcomes.len() + self.incidents.len()
    }

    fn is_empty(&self) -> bool {
        self.state.is_none() && self.addresses.is_none() && self.len() == 0
    }

    /// Forgets the oldest beyond what may wait for the disk.
    fn bound(&mut self, shared: &Shared) {
        let surplus = self.outcomes.len().saturating_sub(MOST_KEPT);
        self.outcomes.drain(..surplus);
        shared.dropped.fetch_add(surplus as u64, Ordering::Relaxed);
        let surplus = self.incidents.len().saturating_sub(MOST_KEPT);
        self.incidents.drain(..surplus);
    }
}

/// The first wait before a disk that refused is tried again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait: a disk that mends is used again soon, one that does not costs nothing.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// With nothing to write, it is looked this often whether the files are still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A store that refuses.
#[derive(Debug)]
struct Refusal {
    words: String,
    again: Instant,
    wait: Duration,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    place: Option<Place>,
    shared: Arc<Shared>,
    /// Who waits for the first attempt to open the store, or for what an earlier process left in one that opened late.
    opened: Sender<Result<Recalled, StoreError>>,
    refusal: Option<Refusal>,
    /// What a store that has to begin anew is given first.
    clocks: Option<StateRow>,
    unended: BTreeMap<String, IncidentRow>,
    was_open: bool,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, shared: Arc<Shared>, opened: Sender<Result<Recalled, StoreError>>) -> Self {
        let (clocks, unended) = (None, BTreeMap::new());
        Self { folder, place: None, shared, opened, refusal: None, clocks, unended, was_open: false }
    }

    /// Opens the store at `now`, and writes until nobody gives orders any more. Returns whether all of it is on the disk.
    pub(super) fn run(mut self, queue: &Receiver<Order>, now: Duration) -> bool {
        let mut batch = Batch::default();
        if let Err(error) = self.open(now, &mut batch) {
            self.refused(&error);
            drop(self.opened.send(Err(error)));
        }
        loop {
            match queue.recv_timeout(self.patience()) {
                Ok(first) => {
                    batch.take(first);
                    gather(queue, &mut batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return batch.is_empty() || self.commit(&mut batch),
            }
            let is_due = self.refusal.as_ref().is_none_or(|refusal| refusal.again <= clock::now());
            if is_due || !batch.replies.is_empty() {
                self.commit(&mut batch);
            }
            batch.bound(&self.shared);
            batch.is_urgent = false;
        }
    }

    /// How long to wait for orders before there is something else to do.
    fn patience(&self) -> Duration {
        self.refusal.as_ref().map_or(LOOK_EVERY, |refusal| refusal.again.saturating_duration_since(clock::now()))
    }

    /// Writes a batch and empties it; returns whether it could. What the disk does not take stays for the next attempt.
    fn commit(&mut self, batch: &mut Batch) -> bool {
        self.shared.disk_is_asked();
        let result = self.attempt(batch);
        self.shared.disk_answered();
        match &result {
            Ok(()) => self.accepted(),
            Err(error) => self.refused(error),
        }
        let replies = std::mem::take(&mut batch.replies);
        if result.is_ok() {
            self.note(std::mem::take(batch));
        }
        for reply in replies {
            // Who asked may have stopped waiting.
            let _heard = reply.send(result.is_ok());
        }
        result.is_ok()
    }

    fn attempt(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        if self.place.as_ref().is_some_and(|place| !place.is_there()) {
            tracing::warn!(folder = %self.folder.display(), "the store's files are gone; they are made anew");
            self.place = None;
        }
        if self.place.is_none() {
            self.open(clock::wall(), batch)?;
        }
        if let Some(text) = batch.addresses.take() {
            note_addresses(&self.folder, &text);
        }
        match self.write(batch) {
            Err(StoreError::Damaged { path, what }) => {
                self.begin_anew((&path, &what), batch)?;
                self.write(batch)
            }
            result => result,
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let Some(place) = self.place.as_mut().filter(|_| !batch.is_empty()) else { return Ok(()) };
        let written = place.database.write(batch.state.as_ref(), &batch.outcomes, &batch.incidents);
        written.map_err(|error| database::from_sqlite(place.database.path(), error))
    }

    /// The store turned out damaged while it was in use: what this process knows begins the next one.
    fn begin_anew(&mut self, (path, what): (&Path, &str), batch: &mut Batch) -> Result<(), StoreError> {
        tracing::warn!(path = %path.display(), what, "the store is damaged; history begins anew");
        let now = clock::wall();
        aside::set_aside(path, "damaged", now).map_err(place::io("set aside", path))?;
        let resets = self.shared.resets.fetch_add(1, Ordering::Relaxed) + 1;
        self.place = None;
        self.open(now, batch)?;
        // Of those that were set aside only the newest remain to be counted.
        self.shared.resets.fetch_max(resets, Ordering::Relaxed);
        Ok(())
    }

    /// Opens the store. One that opens late hands over what an earlier process left there, which the clocks of this one
    /// are not written over before they took it up; one that has to begin anew is given what this process knows.
    fn open(&mut self, now: Duration, batch: &mut Batch) -> Result<(), StoreError> {
        let (place, recalled) = Place::open(&self.folder, now)?;
        self.place = Some(place);
        self.shared.resets.store(aside::remains(&self.folder), Ordering::Relaxed);
        self.shared.ok.store(true, Ordering::Relaxed);
        if self.was_open {
            batch.state = batch.state.take().or_else(|| self.clocks.clone());
            let is_told = |id: &String| batch.incidents.iter().any(|incident| incident.id == *id);
            let unended = self.unended.iter().filter(|(id, _)| !is_told(id));
            let unended: Vec<IncidentRow> = unended.map(|(_, incident)| incident.clone()).collect();
            batch.incidents.splice(0..0, unended);
            return Ok(());
        }
        self.was_open = true;
        if recalled.state.is_some() {
            batch.state = None;
        }
        batch.addresses = None;
        drop(self.opened.send(Ok(recalled)));
        Ok(())
    }

    fn accepted(&mut self) {
        self.shared.ok.store(true, Ordering::Relaxed);
        if self.refusal.take().is_some() {
            tracing::info!(folder = %self.folder.display(), "the store takes what it is given again");
        }
    }

    /// Says why, once for each reason, and sets the time of the next attempt.
    fn refused(&mut self, error: &StoreError) {
        self.shared.ok.store(false, Ordering::Relaxed);
        let words = error.to_string();
        let before = self.refusal.take();
        if before.as_ref().is_none_or(|before| before.words != words) {
            tracing::error!(error = words, "the store takes nothing; it is tried again");
        }
        let wait = before.map_or(FIRST_WAIT, |before| (before.wait * 2).min(LONGEST_WAIT));
        self.refusal = Some(Refusal { words, again: clock::now() + wait, wait });
    }

    /// Remembers what a store that has to begin anew needs.
    fn note(&mut self, batch: Batch) {
        self.clocks = batch.state.or(self.clocks.take());
        if let Some(number) = batch.last_outcome {
            self.shared.outcomes.store(number, Ordering::Relaxed);
        }
        self.shared.incidents.fetch_add(batch.incidents.len() as u64, Ordering::Relaxed);
        for incident in batch.incidents {
            match incident.closed {
                Some(_) => drop(self.unended.remove(&incident.id)),
                None => drop(self.unended.insert(incident.id.clone(), incident)),
            }
        }
    }
}

/// Addresses are written beside the store; without them it is as good as with them.
fn note_addresses(folder: &Path, text: &str) {
    if let Err(error) = addresses::write(folder, text) {
        tracing::warn!(%error, folder = %folder.display(), "the addresses that were seen are not remembered");
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
