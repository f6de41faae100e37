//! The shell around the cases: makes the follow-up measurements that they want, within a budget, and takes in what those
//! teach.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{clock, verdict::Verdict};
use rand::{SeedableRng, rngs::StdRng};
use tokio::task::{JoinError, JoinSet};

use crate::{
    diagnosis::{
        ask::{Errand, Key, Measured},
        cases::{Cases, Moment, Wanted},
        held_flows::{self, HeldFlows, Returned},
        measure::Measurer,
        neighbours::Neighbours,
    },
    model::{
        contrast::Ask,
        diagnosis::Ledger,
        endpoint::EndpointView,
        settings::Settings,
        visit::{Untested, Visit},
    },
    resolvers::names::NameView,
};

/// New flows that follow-up measurements open per period.
pub const FLOWS: u32 = 60;
/// The length of a budget period.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Measurements under way at once.
const CONCURRENCY: usize = 8;
/// Cases are thought over at most this often.
const PACE: Duration = Duration::from_millis(100);

/// What a task brought.
#[derive(Debug)]
enum Ended {
    Measured(Key, Measured),
    Held(Option<Key>, Returned),
}

/// The cases, the measurements under way, and their budget.
#[derive(Debug)]
pub struct Diagnosing {
    is_on: bool,
    cases: Cases,
    measurer: Arc<Measurer>,
    waiting: VecDeque<Errand>,
    under_way: BTreeSet<Key>,
    measurements: JoinSet<Ended>,
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
            cases: Cases::new(settings.diagnosis.sql_redirect, has_past),
            measurer: Arc::new(Measurer::new(settings)),
            waiting: VecDeque::new(),
            under_way: BTreeSet::new(),
            measurements: JoinSet::new(),
            held: has_past.then(HeldFlows::default),
            budget: Budget { began: clock::now(), spent: 0 },
            reviewed: None,
            is_news: false,
            rng,
        }
    }

    /// Takes new settings in force. Cases begin anew, open incidents go on where they are found again.
    pub fn reload(&mut self, settings: &Settings) {
        let rng = StdRng::from_rng(&mut self.rng);
        let earlier = std::mem::replace(self, Self::new(settings, self.held.is_some(), rng));
        self.cases = earlier.cases;
        self.cases.clear();
        self.is_news = true;
    }

    /// Says what a visit means in the light of all that is known. The visit stays as it was observed.
    pub fn judge(&mut self, index: usize, visit: &Visit, around: &Neighbours<'_>) -> Result<Verdict, Untested> {
        if !self.is_on {
            return visit.result;
        }
        self.is_news = true;
        self.cases.take_in(index, visit, around, moment(around.now))
    }

    /// Thinks the open cases over and brings the endpoints' views up to date. Says which endpoints' visits and which
    /// names' comparisons would tell more.
    pub fn review(&mut self, views: &mut [Arc<EndpointView>], names: &[Arc<NameView>], settings: &Settings) -> Wanted {
        let now = clock::now();
        if !self.is_news || self.reviewed.is_some_and(|at| now.duration_since(at) < PACE) {
            return Wanted::default();
        }
        (self.is_news, self.reviewed) = (false, Some(now));
        let platform = settings.resolvers.azure.ip();
        let (now, wall) = (clock::now(), clock::wall());
        let mut wanted = self.cases.review(&Neighbours { views, names, platform, now: wall }, Moment { now, wall });
        for (index, view) in views.iter_mut().enumerate() {
            let status = self.cases.restate(index, view.status);
            if view.status != status {
                Arc::make_mut(view).status = status;
            }
        }
        self.cases.settle(&Neighbours { views, names, platform, now: wall }, Moment { now, wall });
        for (index, view) in views.iter_mut().enumerate() {
            let diagnosis = self.cases.diagnosis(index);
            if view.diagnosis != diagnosis {
                Arc::make_mut(view).diagnosis = diagnosis;
            }
        }
        for errand in std::mem::take(&mut wanted.errands) {
            let waits = self.waiting.iter().any(|waiting| waiting.key == errand.key);
            if !waits && !self.under_way.contains(&errand.key) {
                self.waiting.push_back(errand);
            }
        }
        self.hold(views, now);
        wanted
    }

    /// Opens the flows that are to be held.
    fn hold(&mut self, views: &[Arc<EndpointView>], now: Instant) {
        for address in self.held.iter_mut().flat_map(|held| held.wanted(views, now)) {
            let measurer = Arc::clone(&self.measurer);
            self.measurements.spawn(async move { Ended::Held(None, held_flows::open(measurer, address).await) });
        }
    }

    /// The incidents.
    pub fn ledger(&self) -> &Ledger {
        &self.cases.ledger
    }

    /// Whether nothing is under way and nothing waits.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.measurements.is_empty() && !self.is_news
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
            Some(ended) = self.measurements.join_next() => self.take_in(ended),
        }
    }

    /// When something can begin, or the cases are to be thought over again.
    fn next_due(&self) -> Option<Instant> {
        let review = self.is_news.then(|| self.reviewed.map_or_else(clock::now, |at| at + PACE));
        let errand = self.waiting.front().filter(|_| self.measurements.len() < CONCURRENCY);
        let errand = errand.map(|errand| self.budget.next_free(errand.flows()));
        review.into_iter().chain(errand).min()
    }

    fn begin(&mut self) {
        let now = clock::now();
        while self.measurements.len() < CONCURRENCY
            && let Some(errand) = self.waiting.front()
            && self.budget.take(errand.flows(), now)
            && let Some(errand) = self.waiting.pop_front()
        {
            self.under_way.insert(errand.key.clone());
            let port = errand.key.peer.port();
            if errand.key.ask == Ask::HeldFlow {
                match self.held.as_mut().and_then(|held| held.take(port)) {
                    Some(flow) => drop(
                        self.measurements
                            .spawn(async move { Ended::Held(Some(errand.key), held_flows::look(port, flow).await) }),
                    ),
                    None => self.learn(errand.key, Measured::default()),
                }
                continue;
            }
            let (measurer, rng) = (Arc::clone(&self.measurer), StdRng::from_rng(&mut self.rng));
            self.measurements.spawn(async move {
                let measured = measurer.measure(&errand, rng).await;
                Ended::Measured(errand.key, measured)
            });
        }
    }

    fn take_in(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok(Ended::Measured(key, measured)) => self.learn(key, measured),
            Ok(Ended::Held(key, returned)) => {
                let measured = self.held.as_mut().and_then(|held| held.put_back(returned, clock::now()));
                if let Some(key) = key {
                    self.learn(key, measured.unwrap_or_default());
                }
            }
            Err(error) => {
                tracing::error!(%error, "a follow-up measurement died; this is a defect of the agent");
                self.under_way.clear();
                self.is_news = true;
            }
        }
    }

    fn learn(&mut self, key: Key, measured: Measured) {
        self.is_news = true;
        self.under_way.remove(&key);
        tracing::debug!(ask = ?key.ask, peer = %key.peer, answers = ?measured.answers, "a follow-up measurement ended");
        self.cases.learn(key, measured, moment(clock::wall()));
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
