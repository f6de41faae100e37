//! What visits and comparisons measured, summed up: durations by class and phase, and how each DNS server answers.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use ase_probes::{class::Class, outcome::Protocol, probe::Probe, verdict::Phase};

use crate::{
    engine::histogram::Histogram,
    model::{catalog::Host, settings::Settings, visit::Visit},
    resolvers::{compare::DnsOutcome, load::Loads, survey},
};

/// The sums. They are shared with every snapshot until they change.
#[derive(Debug)]
pub struct Sums {
    /// Durations by class and phase; `Phase::None` holds the whole visit.
    pub durations: Arc<BTreeMap<(Class, Phase), Histogram>>,
    /// What our own questions showed about each DNS server.
    pub loads: Arc<Loads>,
}

impl Sums {
    /// Nothing was measured yet.
    pub fn new(settings: &Settings) -> Self {
        let loads = Arc::new(Loads::new(servers_of(settings)));
        Self { durations: Arc::default(), loads }
    }

    /// Follows new settings; what is known of classes and servers stays.
    pub fn reload(&mut self, settings: &Settings) {
        let mut loads = Loads::new(servers_of(settings));
        loads.inherit(&self.loads);
        self.loads = Arc::new(loads);
    }

    /// Takes in how long a visit to an endpoint of this class took.
    pub fn visited(&mut self, class: Class, visit: &Visit) {
        let durations = Arc::make_mut(&mut self.durations);
        for (phase, elapsed) in visit.phases.iter() {
            durations.entry((class, phase)).or_default().observe(elapsed);
        }
        durations.entry((class, Phase::None)).or_default().observe(visit.took);
    }

    /// Takes in how DNS servers answered in a visit.
    pub fn asked(&mut self, visit: &Visit) {
        heard_in(visit).for_each(|(server, outcome)| Arc::make_mut(&mut self.loads).hear(server, outcome, visit.began));
    }

    /// Takes in how DNS servers answered, now in time since the Unix epoch.
    pub fn heard(&mut self, heard: Vec<(SocketAddr, DnsOutcome)>, now: Duration) {
        let loads = Arc::make_mut(&mut self.loads);
        heard.into_iter().for_each(|(server, outcome)| loads.hear(server, outcome, now));
    }
}

/// Every DNS server that is asked: for names, as the reference, and as an endpoint.
fn servers_of(settings: &Settings) -> Vec<SocketAddr> {
    let watched = settings.catalog.endpoints.iter().filter_map(|endpoint| {
        match (&endpoint.target.probe, &endpoint.target.host) {
            (Probe::Dns(_), Host::Address(address)) => Some(SocketAddr::new(*address, endpoint.target.port)),
            (_, _) => None,
        }
    });
    settings.resolvers.custom.iter().copied().chain([settings.resolvers.azure]).chain(watched).collect()
}

/// How DNS servers answered in a visit: each that was asked for the name, and the endpoint where it is one over UDP.
fn heard_in(visit: &Visit) -> impl Iterator<Item = (SocketAddr, DnsOutcome)> {
    let failures = visit.resolution.iter().flat_map(|resolution| &resolution.failures);
    let exchanges = failures.chain(&visit.outcomes).filter_map(|outcome| match &outcome.protocol {
        Protocol::Dns(reply) => Some((outcome.address, survey::normal(&outcome.seen, reply).outcome)),
        Protocol::Nothing | Protocol::Ntp(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
    });
    let found = visit.resolution.iter().filter(|resolution| !resolution.addresses.is_empty());
    let found = found.filter_map(|resolution| Some((resolution.server?, DnsOutcome::Answer)));
    exchanges.chain(found)
}
