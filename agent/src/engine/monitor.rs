//! The one loop that owns all mutable state: it begins visits when they are due, takes in what they learned
//! and publishes snapshots. It judges nothing and formats nothing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    class::Class,
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
        publishing::Publisher,
        schedule::{Rhythm, STALL, Sample, Schedule},
        snapshot::Snapshot,
        state::Known,
    },
    model::{
        catalog::Endpoint,
        diagnosis::Incident,
        endpoint::Status,
        rounds::Rounds,
        settings::{Pace, Settings},
        visit::{Untested, Visit},
    },
    visit::visitor::Visitor,
};

/// RFC 8633 practice: one time server is not asked more often than this in the steady state.
const NTP_INTERVAL: Duration = Duration::from_secs(64);
/// Bursts to one time server keep this distance.
const NTP_CONFIRM_AFTER: Duration = Duration::from_secs(2);
/// Pause before a visit is tried again whose destination's flow budget was spent.
const BUDGET_PAUSE: Duration = Duration::from_secs(15);

/// A visit that ended, with the task it ran in; an error if it died.
type Ended = Result<(task::Id, Visit), JoinError>;

/// The loop: what is known, what is due, what is under way.
#[derive(Debug)]
pub struct Monitor {
    known: Known,
    rounds: Rounds,
    visitor: Arc<Visitor>,
    schedule: Schedule,
    visits: JoinSet<Visit>,
    under_way: BTreeMap<task::Id, usize>,
    rng: StdRng,
    publisher: Publisher,
}

impl Monitor {
    /// Prepares the loop and publishes a first snapshot in which nothing was visited yet.
    pub fn new(settings: Settings, rounds: Rounds, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let known = Known::new(settings, rounds, StdRng::from_rng(&mut rng));
        Self {
            rounds,
            visitor: Arc::new(Visitor::new(&known.settings)),
            schedule: plan(&known.settings, rounds),
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
        tokio::select! {
            () = timer => self.begin(),
            Some(ended) = self.visits.join_next_with_id() => self.take_in(ended),
            step = self.known.comparing.step(&mut self.rng) => {
                self.known.hear(step);
                self.changed();
            }
            () = self.known.diagnosing.step() => self.changed(),
        }
    }

    /// Whether every endpoint was visited, no bad sample waits for its confirmation, every name was compared, no
    /// measurement would tell more, and all of it is published.
    pub fn is_settled(&self) -> bool {
        self.visits.is_empty()
            && self.schedule.next_due().is_none()
            && self.known.comparing.is_settled()
            && self.known.diagnosing.is_settled()
            && self.publisher.due().is_none()
    }

    /// How many endpoints have a confirmed status.
    pub fn settled(&self) -> usize {
        self.known.views.iter().filter(|view| view.status != Status::Unknown(Untested::NotYet)).count()
    }

    /// Takes new settings in force. Endpoints that stay as they were keep what is known of them.
    pub fn reload(&mut self, settings: Settings) {
        self.visits = JoinSet::new();
        self.under_way.clear();
        self.known.reload(settings, self.rounds);
        self.visitor = Arc::new(Visitor::new(&self.known.settings));
        self.schedule = plan(&self.known.settings, self.rounds);
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
            let visitor = Arc::clone(&self.visitor);
            let rng = StdRng::from_rng(&mut self.rng);
            let visit = self.visits.spawn(async move { visitor.visit(&endpoint, rng).await });
            self.under_way.insert(visit.id(), due.task);
        }
        self.consider(now);
    }

    /// Takes in this visit and every other one that ended meanwhile.
    fn take_in(&mut self, ended: Ended) {
        self.settle(ended);
        while let Some(ended) = self.visits.try_join_next_with_id() {
            self.settle(ended);
        }
        self.changed();
    }

    fn settle(&mut self, ended: Ended) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(task) = self.under_way.remove(&id) else { return };
        match ended {
            Ok((_, visit)) => self.record(task, visit),
            Err(error) => {
                tracing::error!(%error, endpoint = %self.known.views[task].endpoint.id, "a visit died; this is a defect of the agent");
                self.schedule.finished(task, Sample::Unknown, clock::now());
            }
        }
    }

    fn record(&mut self, task: usize, mut visit: Visit) {
        let now = clock::now();
        if visit.result == Err(Untested::BudgetSpent) && visit.outcomes.is_empty() {
            self.known.agent.budget_spent += 1;
            self.schedule.put_off(task, BUDGET_PAUSE, now);
            return;
        }
        let began = now.checked_sub(visit.took).unwrap_or(now);
        if self.schedule.stalled_since(began) >= STALL && is_silence(&visit) {
            visit.remarks.push(
                "this machine stood still for more than a second meanwhile: the silence proves nothing".to_owned(),
            );
            visit.result = Ok(Finding::new(Cause::LocalSetup, Phase::Local, Confidence::Likely).failed());
        } else {
            visit.result = self.known.judge(task, &visit);
        }
        self.schedule.finished(task, sample(&visit), now);
        self.known.record(task, visit, self.schedule.is_confirming(task));
    }

    /// Something was learned.
    fn changed(&mut self) {
        let now = clock::now();
        self.publisher.changed(now);
        self.consider(now);
    }

    /// Thinks over what is known, and publishes it if that is due. An incident that begins, changes or ends does not wait.
    fn consider(&mut self, now: Instant) {
        self.known.review().visits.iter().for_each(|task| self.schedule.hurry(*task, now));
        if !same(&self.known.diagnosing.ledger().open, &self.publisher.latest().incidents.open) {
            self.publisher.hurry(now);
        }
        if self.publisher.is_due(now) {
            self.known.agent.schedule_lag = self.schedule.lag();
            self.known.agent.in_flight = self.visits.len();
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

fn plan(settings: &Settings, rounds: Rounds) -> Schedule {
    let pace = &settings.pace;
    let rhythms = settings.catalog.endpoints.iter().map(|endpoint| rhythm(endpoint, pace));
    Schedule::new(rhythms, pace.concurrency, rounds, clock::now())
}

fn rhythm(endpoint: &Endpoint, pace: &Pace) -> Rhythm {
    let interval = endpoint.interval;
    match endpoint.class {
        Class::Ntp if !endpoint.host.is_own() => Rhythm {
            interval,
            confirm_after: pace.confirm_after.max(NTP_CONFIRM_AFTER),
            failing_interval: pace.failing_interval.max(NTP_INTERVAL),
        },
        Class::Dns | Class::Ntp | Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => {
            Rhythm { interval, confirm_after: pace.confirm_after, failing_interval: pace.failing_interval }
        }
    }
}

/// Whether a visit failed because nobody answered in time.
fn is_silence(visit: &Visit) -> bool {
    let stop = visit.outcomes.first().and_then(|outcome| outcome.seen.stop.as_ref());
    matches!(visit.result, Ok(Verdict::Failed(_))) && stop.is_none_or(|stop| stop.trouble.ending() == Ending::Silence)
}

fn sample(visit: &Visit) -> Sample {
    match visit.result {
        Ok(Verdict::Failed(finding)) if finding.cause == Cause::NtpDenied => Sample::AskedToSlowDown,
        Ok(Verdict::Failed(_)) => Sample::Bad,
        Ok(Verdict::Healthy | Verdict::Degraded(_)) => Sample::Good,
        Ok(Verdict::Inconclusive(_)) | Err(_) => Sample::Unknown,
    }
}
