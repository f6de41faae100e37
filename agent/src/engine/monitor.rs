//! The one loop that owns all mutable state: it begins visits when they are due, takes in what they learned
//! and publishes snapshots. It judges nothing and formats nothing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    clock,
    evidence::Ending,
    verdict::{Confidence, Finding, Phase, Verdict},
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
};

use crate::{
    engine::{
        look::{Look, Order, Shown},
        plan,
        publishing::Publisher,
        pulse::{Clocks, Pulse},
        room::{Bounds, VisitNumber},
        schedule::{Ended, Rhythm, Sample, Schedule},
        snapshot::Snapshot,
        state::Known,
    },
    model::{
        diagnosis::Incident,
        endpoint::Status,
        remap::Remap,
        rounds::Rounds,
        settings::Settings,
        visit::{Untested, Visit},
    },
    visit::{
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};

/// Visits that wait for room this long are worth a word: the alert `AseAgentBehind` begins there too.
const SLOW: Duration = Duration::from_secs(5);

/// A visit that ended, with the task it ran in; an error if it died.
type Finished = Result<(task::Id, Visit), JoinError>;

/// How far a single look has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Endpoints with a confirmed status.
    pub settled: usize,
    /// Endpoints that failed, and again.
    pub failed: usize,
    /// Visits under way.
    pub visits: usize,
    /// Visits that are planned: first ones that wait for room, and confirmations.
    pub planned: usize,
    /// Names that are yet to be compared.
    pub names: usize,
    /// Follow-up measurements under way.
    pub measurements: usize,
}

/// The loop: what is known, what is due, what is under way.
#[derive(Debug)]
pub struct Monitor {
    known: Known,
    rounds: Rounds,
    look: Option<Look>,
    visitor: Arc<Visitor>,
    terms: Arc<Terms>,
    schedule: Schedule,
    pulse: Pulse,
    is_slow: bool,
    files: usize,
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
        let known = Known::new(settings, rounds, StdRng::from_rng(&mut rng));
        Self {
            rounds,
            look: None,
            visitor: Arc::new(Visitor::new(&known.settings.resolvers)),
            terms: Arc::new(Terms::of(&known.settings)),
            schedule: schedule(&known.settings, rounds, files),
            pulse: Pulse::new(Clocks::read()),
            is_slow: false,
            files,
            visits: JoinSet::new(),
            under_way: BTreeMap::new(),
            rng,
            publisher: Publisher::new(known.snapshot()),
            known,
        }
    }

    /// A receiver of every snapshot to come; it holds the latest one already.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.publisher.subscribe()
    }

    /// Lets a single look end at this moment: no visit takes longer, and nothing is waited for that comes later.
    pub fn end_at(&mut self, ends: Instant) {
        self.look = Some(Look::until(ends));
    }

    /// What is settled, and what is waited for.
    pub fn progress(&self) -> Progress {
        let count = |which: fn(&Status) -> bool| self.known.views.iter().filter(|view| which(&view.status)).count();
        Progress {
            settled: count(|status| *status != Status::Unknown(Untested::NotYet)),
            failed: count(|status| matches!(status, Status::Failed(_))),
            visits: self.visits.len(),
            planned: self.schedule.planned(),
            names: self.known.comparing.remaining(),
            measurements: self.known.diagnosing.under_way(),
        }
    }

    /// The incidents that are open now.
    pub fn incidents(&self) -> &[Arc<Incident>] {
        &self.known.diagnosing.ledger().open
    }

    /// Ends a single look and says what it left out; what is under way then is cut off.
    pub fn conclude(&mut self) {
        self.visits = JoinSet::new();
        let (unvisited, unconfirmed) = self.known.give_up();
        let waiting = self.known.diagnosing.waiting();
        let is_over = !self.is_settled();
        let mut left_out: Vec<String> = self.known.comparing.left_out().into_iter().collect();
        let mut note = |count: usize, what: &str, why: &str| match count {
            0 => {}
            1 => left_out.push(format!("1 {what} was {why}")),
            many => left_out.push(format!("{many} {what}s were {why}")),
        };
        note(unvisited, "endpoint", "not visited: the time of this look was over");
        note(unconfirmed, "failure", "not confirmed: the time of this look was over");
        note(waiting, "telling measurement", "not made: the budget of new flows, or the time, was spent");
        if is_over {
            note(self.known.comparing.remaining(), "name", "not compared: the time of this look was over");
        }
        self.known.left_out = left_out;
        self.publisher.hurry(clock::now());
        self.changed();
    }

    /// Does the next thing there is to do: begins what is due, or takes in what ended. Cancel safe.
    pub async fn step(&mut self) {
        // Time passes for what is known when it is published, so a snapshot that is due comes first.
        let due = self.schedule.next_due().into_iter().chain(self.publisher.due().or_else(|| self.known.due())).min();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let beat = self.pulse.due();
        tokio::select! {
            () = timer => {
                self.beat();
                self.begin();
            }
            Some(ended) = self.visits.join_next_with_id() => {
                self.beat();
                self.take_in(ended);
            }
            step = self.known.comparing.step(&mut self.rng) => {
                self.beat();
                self.known.hear(step);
                self.changed();
            }
            () = self.known.diagnosing.step() => {
                self.beat();
                self.changed();
            }
            () = tokio::time::sleep_until(beat.into()) => self.beat(),
        }
    }

    /// Whether every endpoint was visited, no bad sample waits for its confirmation, every name was compared, no
    /// measurement would tell more, and all of it is published.
    pub fn is_settled(&self) -> bool {
        self.schedule.is_over()
            && self.known.comparing.is_settled()
            && self.known.diagnosing.is_settled(self.look.as_ref().map(Look::ends))
            && self.publisher.due().is_none()
    }

    /// Takes new settings in force. Endpoints that stay as they were keep what is known of them, their place in the
    /// schedule and the visit that is under way.
    pub fn reload(&mut self, settings: Settings) {
        let remap = Remap::between(&self.known.settings.catalog.endpoints, &settings.catalog.endpoints);
        let bounds = plan::bounds(&settings.pace, self.files);
        self.schedule.reload(rhythms(&settings).collect(), bounds, &remap, clock::now());
        self.known.reload(settings, self.rounds);
        self.visitor = Arc::new(Visitor::new(&self.known.settings.resolvers));
        let terms = Terms::of(&self.known.settings);
        terms.flows.inherit(&self.terms.flows);
        self.terms = Arc::new(terms);
        self.publisher.hurry(clock::now());
        self.changed();
    }

    /// Notes that new settings were bad and the old ones stay in force.
    pub fn reload_failed(&mut self) {
        self.known.agent.reload_ok = false;
        self.publisher.hurry(clock::now());
        self.changed();
    }

    /// Begins no more visits and waits for those under way, at most for the drain time. Then remembers.
    pub async fn drain(&mut self) {
        let drain = self.known.settings.pace.drain;
        let wait = async {
            while let Some(ended) = self.visits.join_next_with_id().await {
                self.settle(ended);
            }
        };
        if tokio::time::timeout(drain, wait).await.is_err() {
            tracing::warn!(cut = self.visits.len(), "visits were cut off at the end of the drain time");
            self.visits.abort_all();
        }
        self.known.close();
    }

    /// Looks at the clocks: whatever is concluded from silence afterwards knows whether this machine stood still.
    fn beat(&mut self) {
        if let Some(stall) = self.pulse.beat(Clocks::read()) {
            let seconds = stall.lasted.as_secs_f64();
            tracing::warn!(seconds, kind = ?stall.kind, "the agent did not run for a while");
        }
    }

    fn begin(&mut self) {
        let now = clock::now();
        let due = self.schedule.take_due(now);
        if !due.is_empty() || self.known.due().is_some_and(|at| at <= now) {
            self.publisher.changed(now);
        }
        for due in due {
            let view = Arc::make_mut(&mut self.known.views[due.task]);
            view.attempts += 1;
            let endpoint = Arc::clone(&view.endpoint);
            let last = view.last.as_ref().filter(|_| self.schedule.is_confirming(due.task));
            let confirm = last.map(|last| last.failed.clone()).unwrap_or_default();
            let (visitor, terms) = (Arc::clone(&self.visitor), Arc::clone(&self.terms));
            let rng = StdRng::from_rng(&mut self.rng);
            let within = self.look.as_ref().map(|look| look.left(now));
            let occasion = Occasion { confirm, within };
            let visit = self.visits.spawn(async move { visitor.visit(&endpoint.target, &terms, &occasion, rng).await });
            self.under_way.insert(visit.id(), due.visit);
        }
        self.consider(now);
    }

    /// Takes in this visit and every other one that ended meanwhile.
    fn take_in(&mut self, ended: Finished) {
        self.settle(ended);
        while let Some(ended) = self.visits.try_join_next_with_id() {
            self.settle(ended);
        }
        self.changed();
    }

    fn settle(&mut self, finished: Finished) {
        let id = finished.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(number) = self.under_way.remove(&id) else { return };
        match (finished, self.schedule.task_of(number)) {
            (Ok((_, visit)), Some(task)) => self.record(number, task, visit),
            // A reload has dropped its endpoint.
            (Ok((_, visit)), None) => drop(self.schedule.finished(number, plan::ended(&visit), clock::now())),
            (Err(error), task) => {
                let endpoint = task.map(|task| self.known.views[task].endpoint.id.to_string());
                tracing::error!(%error, endpoint, "a visit died; this is a defect of the agent");
                let died = Ended { sample: Sample::Unknown, asked: true };
                self.schedule.finished(number, died, clock::now());
            }
        }
    }

    fn record(&mut self, number: VisitNumber, task: usize, mut visit: Visit) {
        let now = clock::now();
        let began = now.checked_sub(visit.took).unwrap_or(now);
        let shown = Shown::by(&visit, &self.known.views[task].endpoint);
        let was_confirming = self.schedule.is_confirming(task);
        match self.pulse.stalled_since(began).filter(|_| is_silence(&visit)) {
            Some(stall) => {
                visit.remarks.push(stall.remark());
                visit.result = Ok(Finding::new(Cause::LocalStall, Phase::Local, Confidence::Likely).failed());
            }
            None => visit.result = self.known.judge(task, &visit),
        }
        let ended = plan::ended(&visit);
        self.schedule.finished(number, ended, now);
        match ended.sample {
            Sample::PutOff(_) => self.known.agent.budget_spent += 1,
            Sample::Good | Sample::Bad | Sample::Unknown | Sample::AskedToSlowDown => {
                self.known.record(task, visit, self.schedule.is_confirming(task));
            }
        }
        let counts = ended.sample == Sample::Bad && (was_confirming || self.schedule.is_confirming(task));
        self.obey(task, if counts { shown } else { shown.without_failure() }, now);
    }

    /// In a single look a few failures are asked again for all that are alike.
    fn obey(&mut self, task: usize, shown: Shown, now: Instant) {
        for order in self.look.iter_mut().flat_map(|look| look.hear(task, shown)) {
            match order {
                Order::Wait(task) => self.schedule.hold(task),
                Order::Ask(task) => self.schedule.release(task, now),
                Order::Confirm(task, others) => {
                    self.schedule.hold(task);
                    self.known.confirm(task, others);
                }
            }
        }
    }

    /// Something was learned.
    fn changed(&mut self) {
        let now = clock::now();
        self.publisher.changed(now);
        self.consider(now);
    }

    fn look_at_the_schedule(&mut self) {
        let (agent, lateness) = (&mut self.known.agent, self.schedule.lateness());
        (agent.schedule_lag, agent.schedule_wait) = (lateness.lag(), lateness.wait());
        agent.schedule_delays = *lateness.lags();
        agent.in_flight = self.schedule.room().in_flight();
        agent.sockets = self.schedule.room().bounds().sockets;
    }

    /// Says once that visits wait for room, and once that they do no longer.
    fn say_if_slow(&mut self) {
        let waited = self.schedule.lateness().wait();
        let (seconds, Bounds { active, sockets }) = (waited.as_secs_f64(), self.schedule.room().bounds());
        match (waited >= SLOW, std::mem::replace(&mut self.is_slow, waited >= SLOW)) {
            (true, false) => tracing::warn!(
                seconds,
                active,
                sockets,
                "endpoints are asked more slowly than configured: visits wait for `pace.concurrency` or for file descriptors"
            ),
            (false, true) => tracing::info!("visits no longer wait for room"),
            (true, true) | (false, false) => {}
        }
    }

    /// Thinks over what is known, and publishes it if that is due. An incident that begins, changes or ends does not wait.
    fn consider(&mut self, now: Instant) {
        self.known.review().visits.iter().for_each(|task| self.schedule.bring_forward(*task, now));
        if !same(&self.known.diagnosing.ledger().open, &self.publisher.latest().incidents.open) {
            self.publisher.hurry(now);
        }
        if self.publisher.is_due(now) {
            self.say_if_slow();
            self.look_at_the_schedule();
            self.known.advance();
            self.publisher.publish(self.known.snapshot());
        }
    }
}

/// Whether these are the same incidents, and none of them changed: the ledger makes a new one for every change.
fn same(open: &[Arc<Incident>], published: &[Arc<Incident>]) -> bool {
    open.len() == published.len() && open.iter().zip(published).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// The first visits of a daemon are spread over this time.
pub const FIRST_ROUND: Rounds = Rounds::Endless { spread: Duration::from_secs(5) };

fn schedule(settings: &Settings, rounds: Rounds, files: usize) -> Schedule {
    Schedule::new(rhythms(settings), plan::bounds(&settings.pace, files), rounds, clock::now())
}

fn rhythms(settings: &Settings) -> impl Iterator<Item = Rhythm> {
    settings.catalog.endpoints.iter().map(|endpoint| plan::rhythm(endpoint, &settings.pace))
}

/// Whether a visit failed because nobody answered in time.
fn is_silence(visit: &Visit) -> bool {
    let stop = visit.outcomes.first().and_then(|outcome| outcome.seen.stop.as_ref());
    matches!(visit.result, Ok(Verdict::Failed(_))) && stop.is_none_or(|stop| stop.trouble.ending() == Ending::Silence)
}
