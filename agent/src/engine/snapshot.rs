//! The one read model. Metrics, status page, JSON and reports see a snapshot and nothing else, so that they agree.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ase_probes::{class::Class, local_facts::LocalFacts, verdict::Phase};
use ipnet::IpNet;

use crate::{
    early::EarlyView,
    engine::histogram::Histogram,
    exports::view::ExportsView,
    imports::memory::Memory,
    model::{
        catalog::{Catalog, Severity},
        diagnosis::Ledger,
        endpoint::{EndpointView, Status, StoreView},
        settings::{Resolvers, Settings},
    },
    net::external_url::ExternalUrl,
    resolvers::{host_files::HostDns, load::Loads, names::NameViews, trial::Trial},
    risk::estimate::Estimate,
};

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

    /// Counts one of its endpoints.
    pub fn count(&mut self, view: &EndpointView) {
        self.endpoints += 1;
        match view.status {
            Status::Healthy | Status::Degraded(_) => self.up += 1,
            Status::Unknown(_) => self.unknown += 1,
            Status::Failed(_) => {
                self.failed += 1;
                self.worst = self.worst.max(Some(view.endpoint.severity));
            }
        }
    }
}

impl SelfView {
    /// An agent that has just started under these settings. `now` is the time since the Unix epoch.
    pub fn new(settings: &Settings, now: Duration) -> Self {
        Self {
            vantage: settings.vantage.clone(),
            external_url: settings.external_url.clone(),
            started: now,
            ready: settings.catalog.endpoints.is_empty(),
            schedule_lag: Duration::ZERO,
            schedule_wait: Duration::ZERO,
            schedule_delays: Histogram::default(),
            in_flight: 0,
            sockets: 0,
            budget_spent: 0,
            reload_ok: true,
            loaded: now,
            origin: settings.origin.clone(),
            warnings: settings.warnings.clone(),
            reload_from: settings.reload_from.clone(),
        }
    }

    /// Takes new settings in force.
    pub fn reload(&mut self, settings: &Settings, now: Duration) {
        let Self { vantage, external_url, origin, warnings, reload_from, .. } = Self::new(settings, now);
        (self.vantage, self.external_url, self.origin) = (vantage, external_url, origin);
        (self.warnings, self.reload_from) = (warnings, reload_from);
        (self.loaded, self.reload_ok) = (now, true);
    }
}

/// What the agent says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfView {
    /// Where the agent stands.
    pub vantage: String,
    /// The URL under which people reach the pages.
    pub external_url: Option<ExternalUrl>,
    /// When it started, since the Unix epoch.
    pub started: Duration,
    /// Whether every endpoint was visited once.
    pub ready: bool,
    /// The largest delay of the loop itself in the last minute: a visit was due and there was room, but it did not begin.
    pub schedule_lag: Duration,
    /// The longest time in the last minute that a visit which was due waited for room.
    pub schedule_wait: Duration,
    /// Every delay of the loop since the start.
    pub schedule_delays: Histogram,
    /// Visits under way.
    pub in_flight: usize,
    /// Sockets that all visits under way may hold.
    pub sockets: usize,
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
    /// Clients in these networks may ask for a reload, beside those on this machine.
    pub reload_from: Vec<IpNet>,
}

/// The state of everything at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its place among those that this process published: it never goes back, as the clock may.
    pub number: u64,
    /// When it was taken, since the Unix epoch.
    pub at: Duration,
    /// The agent itself.
    pub agent: SelfView,
    /// What this machine says about itself, on the way to the platform's own address.
    pub machine: Arc<LocalFacts>,
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
    pub names: NameViews,
    /// The incidents that are open, and how many there were.
    pub incidents: Ledger,
    /// How close the environment is to suspension; `None` in a one-shot check, which has no past.
    pub risk: Option<Estimate>,
    /// What moves before a class is lost; `None` in a one-shot check, which has no past.
    pub early: Option<EarlyView>,
    /// What was exported from Azure and what it says of the incidents; `None` where the configuration names no exports.
    pub exports: Option<ExportsView>,
    /// The memory under the state directory.
    pub store: StoreView,
    /// What the management API said of the environment; `None` where that was never imported.
    pub environment: Option<Arc<Memory>>,
    /// Durations by class and phase; `Phase::None` holds the whole visit.
    pub durations: Arc<BTreeMap<(Class, Phase), Histogram>>,
    /// What a single look did not ask and why, in plain words; empty for a daemon.
    pub left_out: Vec<String>,
}
