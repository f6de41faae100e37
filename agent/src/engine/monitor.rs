//! The one loop: it makes the visits that the state wants, tells the state what happened and when, and publishes
//! snapshots. It decides nothing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::clock;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
};

use crate::{
    engine::{
        events::{Commands, Event, Progress, Tell},
        publishing::Publisher,
        pulse::Clocks,
        room::VisitNumber,
        snapshot::Snapshot,
        state::State,
        surroundings::Surroundings,
    },
    model::{diagnosis::Incident, rounds::Rounds, settings::Settings, visit::Visit},
    visit::{terms::Terms, visitor::Visitor},
};

/// The first visits of a daemon are spread over this time.
pub const FIRST_ROUND: Rounds = Rounds::Endless { spread: Duration::from_secs(5) };

/// A visit that ended, with the task it ran in; an error if it died.
type Finished = Result<(task::Id, Visit), JoinError>;

/// The loop: the state, and what is under way.
#[derive(Debug)]
pub struct Monitor {
    state: State,
    rounds: Rounds,
    surroundings: Surroundings,
    visitor: Arc<Visitor>,
    terms: Arc<Terms>,
    visits: JoinSet<Visit>,
    under_way: BTreeMap<task::Id, VisitNumber>,
    rng: StdRng,
    publisher: Publisher,
}

impl Monitor {
    /// Prepares the loop of a process that may have so many files open, and publishes a first snapshot in which nothing
    /// was visited yet.
    pub fn new(settings: Settings, rounds: Rounds, files: usize, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let at = Clocks::read();
        let (visitor, terms) = (Visitor::new(&settings.resolvers), Terms::of(&settings));
        let surroundings = Surroundings::start(&settings);
        let mut state = State::new(settings, rounds, files, StdRng::from_rng(&mut rng), at);
        Self {
            publisher: Publisher::new(state.snapshot(&surroundings, at)),
            state,
            rounds,
            surroundings,
            visitor: Arc::new(visitor),
            terms: Arc::new(terms),
            visits: JoinSet::new(),
            under_way: BTreeMap::new(),
            rng,
        }
    }

    /// A receiver of every snapshot to come; it holds the latest one already.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.publisher.subscribe()
    }

    /// Lets a single look end at this moment: no visit takes longer, and nothing is waited for that comes later.
    pub fn end_at(&mut self, ends: Instant) {
        self.state.end_at(ends);
    }

    /// What is settled, and what is waited for.
    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// The incidents that are open now.
    pub fn incidents(&self) -> &[Arc<Incident>] {
        &self.state.diagnosing.ledger().open
    }

    /// Ends a single look and says what it left out; what is under way then is cut off.
    pub fn conclude(&mut self) {
        self.visits = JoinSet::new();
        let is_over = !self.is_settled();
        self.surroundings.conclude();
        let at = Clocks::read();
        self.state.conclude(is_over, at);
        self.act(Commands { begin: Vec::new(), tell: Tell::Now }, at);
    }

    /// Does the next thing there is to do: begins what is due, or takes in what ended. Cancel safe.
    pub async fn step(&mut self) {
        // Time passes for what is known when it is published, so a snapshot that is due comes first.
        let snapshot = self.publisher.due().or_else(|| self.state.snapshot_due());
        let due = snapshot.map_or(self.state.due(), |due| due.min(self.state.due()));
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {
                let at = Clocks::read();
                let commands = self.state.tick(at);
                self.act(commands, at);
            }
            Some(ended) = self.visits.join_next_with_id() => self.ended(ended),
            step = self.state.comparing.step(&mut self.rng) => self.happened(Event::Compared(step)),
            () = self.state.diagnosing.step() => self.happened(Event::Measured),
        }
    }

    /// Whether every endpoint was visited, no bad sample waits for its confirmation, every name was compared, no
    /// measurement would tell more, and all of it is published.
    pub fn is_settled(&self) -> bool {
        self.state.is_settled() && self.publisher.due().is_none()
    }

    /// Takes new settings in force. Endpoints that stay keep what is known of them, their place in the
    /// schedule and the visit that is under way.
    pub fn reload(&mut self, settings: Settings) {
        let terms = Terms { rests: Arc::clone(&self.terms.rests), ..Terms::of(&settings) };
        let visitor = Visitor::new(&settings.resolvers);
        terms.flows.inherit(&self.terms.flows);
        (self.visitor, self.terms) = (Arc::new(visitor), Arc::new(terms));
        self.surroundings.reload(&settings);
        self.happened(Event::Reloaded(Box::new(settings)));
    }

    /// Notes that new settings were bad and the old ones stay in force.
    pub fn reload_failed(&mut self) {
        self.happened(Event::ReloadFailed);
    }

    /// Begins no more visits and waits for those under way, at most for the drain time. Cancel safe.
    pub async fn drain(&mut self) {
        let drain = self.state.settings.pace.drain;
        let wait = async {
            while let Some(ended) = self.visits.join_next_with_id().await {
                if let Some(event) = self.event(ended) {
                    let _told_at_the_end = self.state.note(event, Clocks::read());
                }
            }
        };
        if tokio::time::timeout(drain, wait).await.is_err() {
            tracing::warn!(cut = self.visits.len(), "visits were cut off at the end of the drain time");
        }
    }

    /// Cuts off what is under way, and remembers: waits so long for the disk, and no longer.
    pub async fn close(&mut self, within: Duration) {
        self.visits.abort_all();
        let Some(closing) = self.state.close(Clocks::read()) else { return };
        if !closing.wait(within).await {
            tracing::warn!(waited_seconds = within.as_secs(), "not everything could be remembered");
        }
    }

    /// Takes in this visit and every other one that ended meanwhile.
    fn ended(&mut self, ended: Finished) {
        let mut next = Some(ended);
        while let Some(ended) = next {
            if let Some(event) = self.event(ended) {
                self.happened(event);
            }
            next = self.visits.try_join_next_with_id();
        }
    }

    fn event(&mut self, ended: Finished) -> Option<Event> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let number = self.under_way.remove(&id)?;
        let visit = ended.map_err(|error| tracing::error!(%error, "a task died")).ok();
        Some(Event::Visited(number, visit.map(|(_, visit)| Box::new(visit))))
    }

    fn happened(&mut self, event: Event) {
        let at = Clocks::read();
        let commands = self.state.take_in(event, at);
        self.act(commands, at);
    }

    fn act(&mut self, commands: Commands, at: Clocks) {
        for begin in commands.begin {
            let (visitor, terms) = (Arc::clone(&self.visitor), Arc::clone(&self.terms));
            let rng = StdRng::from_rng(&mut self.rng);
            let visit = self
                .visits
                .spawn(async move { visitor.visit(&begin.endpoint.target, &terms, &begin.occasion, rng).await });
            self.under_way.insert(visit.id(), begin.visit);
        }
        match commands.tell {
            Tell::Nothing => {}
            Tell::Soon => self.publisher.changed(at.now),
            Tell::Now => self.publisher.hurry(at.now),
        }
        if self.publisher.is_due(clock::now()) {
            if matches!(self.rounds, Rounds::Endless { .. }) {
                self.surroundings.look(&self.state.settings);
                if let Some(settings) = self.surroundings.adopted(&self.state.settings) {
                    // This publishes, too.
                    return self.reload(settings);
                }
            }
            self.publisher.publish(self.state.snapshot(&self.surroundings, at));
        }
    }
}
