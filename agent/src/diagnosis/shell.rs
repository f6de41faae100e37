//! The shell around the cases: makes the follow-up measurements that they want, within a budget, and takes in what those
//! teach.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{clock, verdict::Verdict};
use rand::{SeedableRng, rngs::StdRng};
use tokio::task::{Id, JoinError, JoinSet};

use crate::{
    diagnosis::{
        ask::{Errand, Key, Measured},
        cases::{Cases, Moment, Wanted, Watched},
        held_flows::{self, HeldFlows, Returned},
        incidents::Change,
        measure::Measurer,
        neighbourhood::port_of,
        neighbours::Neighbours,
    },
    model::{
        catalog::Host,
        contrast::Ask,
        diagnosis::Ledger,
        endpoint::{EndpointView, Status},
        remap::Remap,
        settings::Settings,
        visit::{Judgement, Visit},
    },
    resolvers::names::Comparisons,
};

/// New flows that follow-up measurements open per period: one a second on average, far below what endpoints cost anyway.
pub const FLOWS: u32 = 60;
/// The length of a budget period.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Measurements under way at once: what the first failures of an outage want, side by side, so that the answers come
/// within one time-out.
pub const CONCURRENCY: usize = 8;
/// Cases are thought over at most this often: no person and no scrape would notice more.
const PACE: Duration = Duration::from_millis(100);
/// What each open case adds to the time between two reviews.
const PACE_PER_CASE: Duration = Duration::from_micros(100);

/// What a task brought.
#[derive(Debug)]
enum Brought {
    Measured(Measured),
    Held(Returned),
}

/// What a task is about: it may die, and bring nothing.
#[derive(Debug)]
struct About {
    /// What it measures; `None` where it opens a flow to hold.
    key: Option<Key>,
    /// The port whose held flow it has, or opens.
    port: Option<u16>,
}

/// The cases, the measurements under way, and their budget.
#[derive(Debug)]
pub struct Diagnosing {
    is_on: bool,
    cases: Cases,
    measurer: Arc<Measurer>,
    waiting: VecDeque<Errand>,
    under_way: BTreeMap<Id, About>,
    measurements: JoinSet<Brought>,
    held: Option<HeldFlows>,
    budget: Budget,
    reviewed: Option<Instant>,
    is_news: bool,
    rng: StdRng,
}

impl Diagnosing {
    /// Prepares diagnoses under these settings.
    ///
    /// Flows are held open only by an agent that has a past to compare with.
    pub fn new(settings: &Settings, has_past: bool, rng: StdRng) -> Self {
        Self {
            is_on: settings.diagnosis.enabled,
            cases: Cases::new(&Watched::under(settings), has_past),
            measurer: Arc::new(Measurer::new(settings)),
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            measurements: JoinSet::new(),
            held: has_past.then(HeldFlows::default),
            budget: Budget { began: clock::now(), spent: 0 },
            reviewed: None,
            is_news: false,
            rng,
        }
    }

    /// Takes new settings in force. Endpoints that stay keep their cases and incidents; held flows stay open, and
    /// measurements under way come to their end.
    pub fn reload(&mut self, settings: &Settings, remap: &Remap) {
        let was_on = std::mem::replace(&mut self.is_on, settings.diagnosis.enabled);
        self.measurer = Arc::new(Measurer::new(settings));
        // Where the same is watched, a review out of turn would move the next one, and the visits that it brings forward.
        if was_on != self.is_on || !remap.is_identity(settings.catalog.endpoints.len()) {
            self.waiting.clear();
            self.is_news = true;
        }
        if self.is_on {
            self.cases.reload(&Watched::under(settings), remap);
        } else {
            let mut ledger = std::mem::take(&mut self.cases.ledger);
            // Nobody will see whether what comes and goes comes again.
            ledger.episodes.clear();
            self.cases = Cases::new(&Watched::under(settings), self.held.is_some());
            self.cases.ledger = ledger;
        }
        if was_on != self.is_on {
            self.cases.look_at_all();
        }
    }

    /// Says what a visit means in the light of all that is known. The visit stays as it was observed.
    pub fn judge(&mut self, index: usize, visit: &Visit, around: &Neighbours<'_>, at: Moment) -> Judgement {
        if !self.is_on {
            return visit.result;
        }
        let judgement = self.cases.take_in(index, visit, around, at);
        // A visit is news for every case that is open, and where none is open, nothing can change.
        // An incident that comes and goes is over by time alone: without a review nobody would notice.
        self.is_news |= self.cases.is_stirred() || self.ledger().has_quiet();
        if judgement == Ok(Verdict::Healthy)
            && !port_of(&around.views[index].endpoint).by_datagram
            && let Some(outcome) = visit.outcomes.first()
        {
            self.hold(outcome.address, at.now);
        }
        judgement
    }

    /// Takes in that the comparisons of these names now make other incidents than before, and says whose visits would tell
    /// whether the trouble is over.
    pub fn hear_compared(&mut self, compared: &[Arc<str>], around: &Neighbours<'_>, at: Moment) -> Vec<usize> {
        if !self.is_on {
            return Vec::new();
        }
        self.is_news |= !compared.is_empty();
        let hosts = compared.iter().map(|name| Host::Name(name.to_string()));
        hosts.flat_map(|host| self.cases.hear_compared(&host, around, at)).collect()
    }

    /// Nothing more will be learned, so that the next review is the last.
    pub fn conclude(&mut self) {
        self.cases.conclude();
        (self.is_news, self.reviewed) = (true, None);
    }

    /// Thinks the open cases over and brings the views of endpoints up to date that it changes; `Wanted::changed` names
    /// them. Says which endpoints' visits and which names' comparisons would tell more.
    pub fn review(
        &mut self,
        views: &mut [Arc<EndpointView>],
        names: &Comparisons,
        settings: &Settings,
        at: Moment,
    ) -> Wanted {
        let now = at.now;
        if !self.is_news || self.reviewed.is_some_and(|at| now < at + self.pace()) {
            return Wanted::default();
        }
        (self.is_news, self.reviewed) = (false, Some(now));
        let platform = settings.resolvers.azure.ip();
        let (mut wanted, changes) = self.cases.think_over(views, names, at);
        changes.iter().for_each(log);
        let around = Neighbours { views, names, platform, now: at.wall };
        self.queue(std::mem::take(&mut wanted.errands), &around);
        wanted
    }

    /// How an endpoint stands that a visit showed so, in the light of what is known by now.
    pub fn restate(&self, index: usize, status: Status) -> Status {
        if self.is_on { self.cases.restate(index, status) } else { status }
    }

    /// The time between two reviews: one takes about 10 µs per open case, and shall not take more than a tenth of it.
    fn pace(&self) -> Duration {
        PACE + PACE_PER_CASE * u32::try_from(self.cases.open()).unwrap_or(u32::MAX)
    }

    /// Queues the measurements that are wanted now, and drops those that no open case wants any more.
    fn queue(&mut self, errands: Vec<(Key, usize)>, around: &Neighbours<'_>) {
        let wanted: BTreeSet<&Key> = errands.iter().map(|(key, _)| key).collect();
        self.waiting.retain(|waiting| wanted.contains(&waiting.key));
        let mut known: BTreeSet<Key> = self.waiting.iter().map(|waiting| waiting.key.clone()).collect();
        known.extend(self.under_way.values().filter_map(|about| about.key.clone()));
        for (key, index) in errands {
            if known.insert(key.clone()) {
                self.waiting.push_back(self.cases.errand(key, index, around));
            }
        }
    }

    /// Opens a flow to hold to a peer that works, where its port has none.
    fn hold(&mut self, peer: SocketAddr, now: Instant) {
        if self.held.as_mut().is_some_and(|held| held.wants(peer, now)) {
            let (measurer, about) = (Arc::clone(&self.measurer), About { key: None, port: Some(peer.port()) });
            self.spawn(about, async move { Brought::Held(held_flows::open(measurer, peer).await) });
        }
    }

    fn spawn(&mut self, about: About, task: impl Future<Output = Brought> + Send + 'static) {
        let id = self.measurements.spawn(task).id();
        self.under_way.insert(id, about);
    }

    /// The incidents.
    pub fn ledger(&self) -> &Ledger {
        &self.cases.ledger
    }

    /// The same, for who knows of earlier processes when they began.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.cases.ledger
    }

    /// Whether nothing is under way and nothing waits that can begin before the end, if there is one.
    pub fn is_settled(&self, ends: Option<Instant>) -> bool {
        let too_late = |errand: &Errand| ends.is_some_and(|ends| self.budget.next_free(errand.flows()) >= ends);
        self.waiting.front().is_none_or(too_late) && self.measurements.is_empty() && !self.is_news
    }

    /// Whether more visits may show that the path loses packets.
    pub fn may_be_lossy(&self) -> bool {
        self.cases.may_be_lossy()
    }

    /// Measurements under way.
    pub fn under_way(&self) -> usize {
        self.measurements.len()
    }

    /// Measurements that wait for the budget of flows.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Does the next thing there is to do: begins a measurement, takes one in, or asks for another review. Cancel safe.
    pub async fn step(&mut self) {
        let due = self.next_due();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => self.begin(),
            Some(ended) = self.measurements.join_next_with_id() => self.take_in(ended),
        }
    }

    /// When something can begin, or the cases are to be thought over again.
    fn next_due(&self) -> Option<Instant> {
        let review = self.review_due(clock::now());
        let errand = self.waiting.front().filter(|_| self.measurements.len() < CONCURRENCY);
        let errand = errand.map(|errand| self.budget.next_free(errand.flows()));
        review.into_iter().chain(errand).min()
    }

    /// When the cases are to be thought over again, if they are: now, where they never were.
    pub fn review_due(&self, now: Instant) -> Option<Instant> {
        self.is_news.then(|| self.reviewed.map_or(now, |at| at + self.pace()))
    }

    fn begin(&mut self) {
        let now = clock::now();
        while self.measurements.len() < CONCURRENCY
            && let Some(errand) = self.waiting.front()
            && self.budget.take(errand.flows(), now)
            && let Some(errand) = self.waiting.pop_front()
        {
            let port = errand.key.peer.port();
            if errand.key.ask == Ask::HeldFlow {
                match self.held.as_mut().and_then(|held| held.take(port)) {
                    Some(flow) => {
                        let about = About { key: Some(errand.key), port: Some(port) };
                        self.spawn(about, async move { Brought::Held(held_flows::look(port, flow).await) });
                    }
                    None => self.learn(errand.key, Measured::default()),
                }
                continue;
            }
            let (measurer, rng) = (Arc::clone(&self.measurer), StdRng::from_rng(&mut self.rng));
            let about = About { key: Some(errand.key.clone()), port: None };
            self.spawn(about, async move { Brought::Measured(measurer.measure(&errand, rng).await) });
        }
    }

    fn take_in(&mut self, ended: Result<(Id, Brought), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(About { key, port }) = self.under_way.remove(&id) else { return };
        let measured = match ended {
            Ok((_, Brought::Measured(measured))) => Some(measured),
            Ok((_, Brought::Held(returned))) => {
                self.held.as_mut().and_then(|held| held.put_back(returned, clock::now()))
            }
            Err(error) => {
                tracing::error!(%error, "a follow-up measurement died; this is a defect of the agent");
                if let (Some(held), Some(port)) = (&mut self.held, port) {
                    held.give_up(port, clock::now());
                }
                None
            }
        };
        if let Some(key) = key {
            self.learn(key, measured.unwrap_or_default());
        }
    }

    fn learn(&mut self, key: Key, measured: Measured) {
        self.is_news = true;
        tracing::debug!(ask = ?key.ask, peer = %key.peer, answers = ?measured.answers, "a follow-up measurement ended");
        self.cases.learn(key, measured, moment(clock::wall()));
    }
}

fn log(change: &Change) {
    match change {
        Change::Began(incident) => tracing::warn!(
            id = incident.id,
            cause = incident.finding.cause.label(),
            component = incident.component,
            scope = incident.scope.label(),
            endpoints = incident.endpoints.len(),
            "an incident began"
        ),
        Change::Returned(incident) => tracing::warn!(
            id = incident.id,
            cause = incident.finding.cause.label(),
            component = incident.component,
            evidence = incident.evidence.first(),
            "an incident came back"
        ),
        Change::Changed(earlier, incident) => tracing::warn!(
            id = incident.id,
            cause = incident.finding.cause.label(),
            component = incident.component,
            scope = incident.scope.label(),
            endpoints = incident.endpoints.len(),
            earlier_component = earlier.component,
            earlier_endpoints = earlier.endpoints.len(),
            "an incident changed"
        ),
        Change::Ended(incident) => {
            tracing::info!(id = incident.id, cause = incident.finding.cause.label(), "an incident ended");
        }
    }
}

fn moment(wall: Duration) -> Moment {
    Moment { now: clock::now(), wall }
}

/// New flows that may still be opened.
#[derive(Debug)]
struct Budget {
    began: Instant,
    spent: u32,
}

impl Budget {
    fn take(&mut self, flows: u32, now: Instant) -> bool {
        if now.duration_since(self.began) >= PERIOD {
            (self.began, self.spent) = (now, 0);
        }
        let fits = self.spent + flows <= FLOWS;
        if fits {
            self.spent += flows;
        }
        fits
    }

    /// When so many flows may be opened.
    fn next_free(&self, flows: u32) -> Instant {
        if self.spent + flows <= FLOWS { clock::now() } else { self.began + PERIOD }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Mutex, PoisonError},
    };

    use super::*;
    use crate::{
        model::{catalog::EndpointId, diagnosis::Incident},
        sample,
    };

    /// What the log says.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn key(port: u16) -> Key {
        Key { ask: Ask::HeldFlow, peer: SocketAddr::from(([127, 0, 0, 1], port)), about: None }
    }

    #[tokio::test]
    async fn a_task_that_dies_takes_nothing_with_it_but_itself() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let watched = "{class: tcp, host: 127.0.0.1, port: 443}";
        let text = format!("profile: custom\nresolvers: {{custom: [127.0.0.1]}}\nendpoints: {{add: [{watched}]}}\n");
        std::fs::write(file.path(), text).expect("the file takes text");
        let settings = crate::config::load(Some(file.path())).expect("a good configuration");
        let mut diagnosing = Diagnosing::new(&settings, true, StdRng::from_seed([7; 32]));
        let (peer, now) = (key(443).peer, clock::now());
        assert!(diagnosing.held.as_mut().is_some_and(|held| held.wants(peer, now)), "its port has no flow yet");
        let lives = About { key: Some(key(80)), port: None };
        diagnosing.spawn(lives, std::future::pending());
        let dies = About { key: Some(key(443)), port: Some(443) };
        diagnosing.spawn(dies, async { panic!("a defect") });
        diagnosing.step().await;
        let held = diagnosing.held.as_mut().expect("a daemon holds flows");
        assert!(!held.wants(peer, now), "not at once");
        assert!(held.wants(peer, clock::now() + Duration::from_secs(3600)), "later it is opened again");
        let measured: Vec<_> = diagnosing.under_way.values().filter_map(|about| about.key.clone()).collect();
        assert_eq!(measured, [key(80)], "what still measures is known");
    }

    #[test]
    fn an_incident_that_grows_or_changes_its_component_is_logged_with_how_it_was() {
        let was = Arc::clone(&sample::snapshot().incidents.open[0]);
        let mut is = Incident::clone(&was);
        is.component = "everything outside this network".to_owned();
        is.endpoints.push(EndpointId("a:443".into()));
        let said = Said::default();
        let to = said.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(subscriber, || log(&Change::Changed(was, is.into())));
        let line = String::from_utf8(said.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("text");
        for words in [
            "WARN",
            "an incident changed",
            "everything outside",
            "endpoints=3",
            "earlier_component=\"TCP 1433",
            "earlier_endpoints=2",
        ] {
            assert!(line.contains(words), "{words}: {line}");
        }
    }
}
