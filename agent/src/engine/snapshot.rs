//! The one read model. Metrics, status page, JSON and reports see a snapshot and nothing else, so that they agree.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ase_probes::{
    cause::Cause,
    class::Class,
    verdict::{Finding, Phase, Verdict},
};

use crate::{
    diagnosis::{Diagnosis, Ledger},
    early::EarlyView,
    model::{
        catalog::{Catalog, Endpoint, Severity},
        settings::Resolvers,
    },
    resolvers::{host_files::HostDns, load::Loads, names::NameView, trial::Trial},
    risk::estimate::Estimate,
    visit::visitor::{Untested, Visit},
};

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The peer proved itself.
    Healthy,
    /// It answers, but something about it is wrong.
    Degraded(Finding),
    /// It did not prove itself, twice in a row.
    Failed(Finding),
    /// It could not be tested.
    Unknown(Untested),
}

impl Status {
    /// Returns the word used in reports and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the finding behind it, if there is one.
    pub fn finding(self) -> Option<Finding> {
        match self {
            Self::Healthy => None,
            Self::Degraded(finding) | Self::Failed(finding) => Some(finding),
            Self::Unknown(untested) => untested.finding(),
        }
    }
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Healthy => Self::Healthy,
            Verdict::Degraded(finding) => Self::Degraded(finding),
            Verdict::Failed(finding) => Self::Failed(finding),
            Verdict::Inconclusive(finding) => Self::Unknown(Untested::Inconclusive(finding)),
        }
    }
}

/// One endpoint as it stands.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// What is watched.
    pub endpoint: Arc<Endpoint>,
    /// How it stands, confirmed.
    pub status: Status,
    /// When the status last changed, since the Unix epoch.
    pub since: Duration,
    /// The last visit, with its evidence; `None` before the first.
    pub last: Option<Arc<Visit>>,
    /// Visits begun. Counted before the visit, also when the name does not resolve.
    pub attempts: u64,
    /// Visits that ended in failure, by cause.
    pub failures: BTreeMap<Cause, u64>,
    /// Why it is as it is, where a visit showed a sign of trouble.
    pub diagnosis: Option<Arc<Diagnosis>>,
    /// When the peer last proved itself, since the Unix epoch.
    pub last_success: Option<Duration>,
    /// The outcomes of the last eight visits that tested it, newest in the lowest bit, 1 for success (RFC 5905 reach
    /// register). Visits that tested nothing leave it alone.
    pub reach: u8,
}

/// One class as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassView {
    /// The class.
    pub class: Class,
    /// Endpoints that are watched.
    pub endpoints: usize,
    /// Endpoints that are healthy or degraded.
    pub up: usize,
    /// Endpoints that failed.
    pub failed: usize,
    /// Endpoints that could not be tested.
    pub unknown: usize,
    /// The worst severity among the failed endpoints.
    pub worst: Option<Severity>,
    /// Slots that are not filled.
    pub not_configured: usize,
}

impl ClassView {
    /// Whether the class works: `None` while nothing of it could be tested.
    pub fn is_up(&self) -> Option<bool> {
        if self.up + self.failed == 0 { None } else { Some(self.worst < Some(Severity::Critical) && self.up > 0) }
    }
}

/// Upper bounds of the duration buckets, in seconds.
pub const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Durations of one class and phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Observations per bucket of [`BUCKETS`], not cumulative; the last counts what is larger than all.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Sum of all observations in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Adds an observation.
    pub fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    /// The number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What the agent says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfView {
    /// Where the agent stands.
    pub vantage: String,
    /// When it started, since the Unix epoch.
    pub started: Duration,
    /// Whether every endpoint was visited once.
    pub ready: bool,
    /// The largest lateness of a visit in the last minute.
    pub schedule_lag: Duration,
    /// Visits under way.
    pub in_flight: usize,
    /// Visits put off because the destination's flow budget was spent.
    pub budget_spent: u64,
    /// Whether the last reload took.
    pub reload_ok: bool,
    /// When the configuration in force was loaded, since the Unix epoch.
    pub loaded: Duration,
    /// Where the configuration in force came from.
    pub origin: String,
    /// Warnings of the configuration in force.
    pub warnings: Vec<String>,
}

/// How the memory under the state directory does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreView {
    /// Whether it takes what it is given; `None` where the agent remembers nothing beyond its end.
    pub ok: Option<bool>,
    /// How often a damaged or newer store was set aside, as far as its remains are still there.
    pub resets: u64,
    /// Outcomes that were not written because the disk was too slow.
    pub dropped: u64,
    /// When the clocks that this process took up were saved, since the Unix epoch; `None` if it began at zero.
    pub recalled: Option<Duration>,
}

/// The state of everything at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken, since the Unix epoch.
    pub at: Duration,
    /// The agent itself.
    pub agent: SelfView,
    /// The DNS servers in use.
    pub resolvers: Resolvers,
    /// What the host's files say about DNS.
    pub host_dns: HostDns,
    /// What is watched, with the slots that are not filled.
    pub catalog: Arc<Catalog>,
    /// Every endpoint, in the catalogue's order.
    pub endpoints: Vec<Arc<EndpointView>>,
    /// Every class that has endpoints or slots, in order.
    pub classes: Vec<ClassView>,
    /// What our own questions showed about each DNS server.
    pub resolver_loads: Arc<Loads>,
    /// The last trial of the DNS servers; `None` before the first.
    pub trial: Option<Arc<Trial>>,
    /// Every name that is compared, in order.
    pub names: Vec<Arc<NameView>>,
    /// The incidents that are open, and how many there were.
    pub incidents: Ledger,
    /// How close the environment is to suspension; `None` in a one-shot check, which has no past.
    pub risk: Option<Estimate>,
    /// What moves before a class is lost; `None` in a one-shot check, which has no past.
    pub early: Option<EarlyView>,
    /// The memory under the state directory.
    pub store: StoreView,
    /// Durations by class and phase; `Phase::None` holds the whole visit.
    pub durations: Arc<BTreeMap<(Class, Phase), Histogram>>,
}
