//! What every endpoint's latest visit showed, kept by port, host, address and DNS server: the questions that tell causes
//! apart are answered from here at a cost that does not grow with the number of endpoints. All moments are those of the
//! cases' steady clock, which nobody sets.

mod certificates;
mod clocks;
mod contrasts;
mod pages;
mod sizes;
mod working;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    outcome::Outcome,
    probe::Probe,
    tls::Invalid,
    verdict::{Finding, Verdict},
};

use super::moments::Moments;
use crate::{
    model::{
        catalog::{Endpoint, Host},
        remap::Remap,
        visit::Visit,
    },
    net::port::Port,
};
use certificates::Certificates;
use pages::Pages;
use sizes::Sizes;

/// What one endpoint's latest visit showed about its neighbourhood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// It worked.
    Works,
    /// It was tested and failed.
    Fails(Finding),
    /// It was not tested since.
    Nothing,
}

/// How packets to an endpoint travel.
pub fn port_of(endpoint: &Endpoint) -> Port {
    let by_datagram = match &endpoint.target.probe {
        Probe::Ntp(_) => true,
        Probe::Dns(question) => question.transport == ase_probes::dns::Transport::Udp,
        Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => false,
    };
    Port { number: endpoint.target.port, by_datagram }
}

/// Whom a lost exchange was with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: Port,
}

/// What the certificate of a visit showed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Certificate {
    /// It verified.
    Verified,
    /// No trusted authority issued it; its issuer.
    Unknown(Arc<str>),
}

/// What an endpoint's latest visit showed.
#[derive(Clone, Debug, PartialEq)]
struct Last {
    /// When it began, by the cases' steady clock.
    began: Duration,
    /// When the last visit began, which may have asked nobody.
    tried: Duration,
    /// When the last visit began that showed that it works.
    worked: Option<Duration>,
    /// What was wrong with it then although it worked.
    flaw: Option<Cause>,
    /// Where it proved itself, the latest first.
    right: Vec<IpAddr>,
    showing: Showing,
    /// Whether it failed in any way: a name that does not resolve tests nothing, and yet nothing works.
    failed: bool,
    peer: Option<SocketAddr>,
    address: Option<IpAddr>,
    /// The same, or where its name led before, where it does not resolve now.
    led_to: Option<IpAddr>,
    /// The DNS server that resolved its name.
    server: Option<SocketAddr>,
    /// The peer's clock minus ours, in seconds.
    clock: Option<f64>,
    certificate: Option<Certificate>,
    /// The digest of the page that came in the place of the expected one.
    page: Option<u64>,
    sizes: Sizes,
}

impl Last {
    fn of(visit: &Visit, began: Duration) -> Self {
        let resolution = visit.resolution.as_ref();
        let peer = visit.outcomes.first().map(|outcome| outcome.address);
        let address = peer.map(|peer| peer.ip()).or_else(|| resolution?.addresses.first().copied());
        let found = resolution.filter(|resolution| !resolution.addresses.is_empty());
        Self {
            began,
            tried: began,
            worked: matches!(visit.result, Ok(Verdict::Healthy | Verdict::Degraded(_))).then_some(began),
            flaw: None,
            right: working::proved(visit),
            showing: match visit.result {
                Ok(Verdict::Healthy | Verdict::Degraded(_)) => Showing::Works,
                Ok(Verdict::Failed(finding)) if !visit.outcomes.is_empty() => Showing::Fails(finding),
                Ok(Verdict::Failed(_) | Verdict::Inconclusive(_)) | Err(_) => Showing::Nothing,
            },
            failed: match visit.result {
                Ok(Verdict::Failed(_)) => true,
                Ok(Verdict::Inconclusive(finding)) => finding.cause.is_local(),
                Ok(Verdict::Healthy | Verdict::Degraded(_)) | Err(_) => false,
            },
            peer,
            address,
            led_to: address,
            server: found.and_then(|resolution| resolution.server),
            clock: visit.outcomes.iter().find_map(clocks::offset),
            page: pages::digest(visit),
            sizes: Sizes::of(visit, began),
            certificate: visit.outcomes.iter().find_map(Outcome::handshake).and_then(|handshake| {
                match (&handshake.invalid, handshake.chain.first()) {
                    (Some(Invalid::UnknownIssuer), Some(leaf)) => {
                        Some(Certificate::Unknown(leaf.issuer.as_str().into()))
                    }
                    (None, Some(_)) => Some(Certificate::Verified),
                    (_, _) => None,
                }
            }),
        }
    }
}

/// One endpoint: where it belongs, and what its latest visit showed.
#[derive(Clone, Debug)]
struct Place {
    endpoint: Arc<Endpoint>,
    port: Port,
    /// Its host and its host's domain, by number.
    host: usize,
    domain: usize,
    last: Option<Last>,
}

impl Place {
    fn address(&self) -> Option<IpAddr> {
        match self.endpoint.target.host {
            Host::Address(address) => Some(address),
            Host::Name(_) => self.last.as_ref().and_then(|last| last.address),
        }
    }

    fn showing(&self, since: Duration) -> Showing {
        self.last.as_ref().filter(|last| last.began >= since).map_or(Showing::Nothing, |last| last.showing)
    }
}

/// Endpoints with something in common, by when they were visited last and what that showed.
#[derive(Clone, Debug, Default)]
struct Cohort {
    works: Moments,
    fails: Moments,
    /// Every member; one that was never visited was visited at zero.
    members: Moments,
}

impl Cohort {
    fn set(&mut self, index: usize, last: Option<&Last>, is_member: bool) {
        let began = last.map_or(Duration::ZERO, |last| last.began);
        self.members.set(last.map_or(Duration::ZERO, |last| last.tried), index, is_member);
        match last.map_or(Showing::Nothing, |last| last.showing) {
            Showing::Works => self.works.set(began, index, is_member),
            Showing::Fails(_) => self.fails.set(began, index, is_member),
            Showing::Nothing => {}
        }
    }
}

impl Cohort {
    fn works_but(&self, since: Duration, but: &BTreeSet<usize>) -> bool {
        self.works.since(since).any(|index| !but.contains(&index))
    }
}

/// All endpoints of one port, and those among them that lie outside this network.
#[derive(Clone, Debug, Default)]
struct PortGroup {
    all: Cohort,
    outside: Cohort,
    /// How many hosts there are on it.
    hosts: usize,
}

/// All endpoints, grouped.
#[derive(Clone, Debug)]
pub struct Neighbourhood {
    places: Vec<Place>,
    platform: IpAddr,
    name_servers: BTreeSet<IpAddr>,
    host_numbers: BTreeMap<Host, usize>,
    /// The hosts that have names, by their labels from the last to the first.
    names: BTreeMap<String, usize>,
    all: Cohort,
    failed: Moments,
    outside: Cohort,
    ports: BTreeMap<Port, PortGroup>,
    hosts: Vec<Cohort>,
    addresses: BTreeMap<IpAddr, Cohort>,
    servers: BTreeMap<SocketAddr, Moments>,
    /// Failures on port 80 that show the block page of a firewall.
    blocked: Moments,
    clocks: Moments,
    certificates: Certificates,
    pages: Pages,
}

impl Neighbourhood {
    /// Nobody was visited yet. The platform's own address lies inside, wherever it is.
    pub fn new(endpoints: &[Arc<Endpoint>], platform: IpAddr) -> Self {
        let mut host_numbers: BTreeMap<Host, usize> = BTreeMap::new();
        let mut domains: BTreeMap<String, usize> = BTreeMap::new();
        let mut names = BTreeMap::new();
        let mut places = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let next = host_numbers.len();
            let host = *host_numbers.entry(endpoint.target.host.clone()).or_insert(next);
            if let Host::Name(name) = &endpoint.target.host {
                names.insert(from_the_end(name), host);
            }
            let next = domains.len();
            let domain = *domains.entry(domain(&endpoint.target.host)).or_insert(next);
            places.push(Place { endpoint: Arc::clone(endpoint), port: port_of(endpoint), host, domain, last: None });
        }
        let mut new = Self {
            platform,
            name_servers: endpoints.iter().filter_map(name_server).filter(|server| *server != platform).collect(),
            all: Cohort::default(),
            failed: Moments::default(),
            outside: Cohort::default(),
            ports: BTreeMap::new(),
            hosts: vec![Cohort::default(); host_numbers.len()],
            addresses: BTreeMap::new(),
            servers: BTreeMap::new(),
            blocked: Moments::default(),
            clocks: Moments::default(),
            certificates: Certificates::default(),
            pages: Pages::default(),
            names,
            host_numbers,
            places,
        };
        (0..new.places.len()).for_each(|index| new.set(index, true));
        let hosts: BTreeSet<(Port, usize)> = new.places.iter().map(|place| (place.port, place.host)).collect();
        hosts.iter().for_each(|(port, _)| new.ports.entry(*port).or_default().hosts += 1);
        new
    }

    /// The same for another catalogue: endpoints that stay keep what they showed.
    pub fn remapped(&self, endpoints: &[Arc<Endpoint>], platform: IpAddr, remap: &Remap) -> Self {
        let mut new = Self::new(endpoints, platform);
        for (before, place) in self.places.iter().enumerate() {
            if let (Some(after), Some(last)) = (remap.get(before), &place.last) {
                new.show(after, last.clone());
            }
        }
        new
    }

    /// Takes in what a visit showed, as it was observed, with when it began by the clock that all moments here are of.
    pub fn take_in(&mut self, index: usize, visit: &Visit, began: Duration) {
        self.show(index, Last::of(visit, began));
    }

    /// Notes a visit that asked nobody: what was shown before stands, and nobody is wished for again that has just been tried.
    pub fn tried(&mut self, index: usize, visit: &Visit, began: Duration) {
        let nothing = || Last::of(visit, began);
        let last = self.places[index].last.clone().map_or_else(nothing, |last| Last { tried: began, ..last });
        self.show(index, last);
    }

    fn show(&mut self, index: usize, last: Last) {
        self.set(index, false);
        let before = self.places[index].last.as_ref();
        self.places[index].last = Some(match before {
            Some(before) => last.after(before),
            None => last,
        });
        self.set(index, true);
    }

    /// Enters an endpoint in every cohort that it belongs to, or takes it out of them.
    fn set(&mut self, index: usize, is_member: bool) {
        let is_outside = self.is_outside(index);
        let place = &self.places[index];
        let last = place.last.as_ref();
        self.all.set(index, last, is_member);
        self.hosts[place.host].set(index, last, is_member);
        let port = self.ports.entry(place.port).or_default();
        port.all.set(index, last, is_member);
        if is_outside {
            port.outside.set(index, last, is_member);
            self.outside.set(index, last, is_member);
        }
        if let Some(address) = place.address() {
            self.addresses.entry(address).or_default().set(index, last, is_member);
        }
        let Some(last) = last else { return };
        if last.failed {
            self.failed.set(last.began, index, is_member);
        }
        if let Some(server) = last.server {
            self.servers.entry(server).or_default().set(last.began, index, is_member);
        }
        if place.port.number == 80
            && matches!(last.showing, Showing::Fails(finding) if finding.cause == Cause::HttpBlocked)
        {
            self.blocked.set(last.began, index, is_member);
        }
        if last.clock.is_some() {
            self.clocks.set(last.began, index, is_member);
        }
        if let Some(page) = last.page {
            let seen = self.pages.entry(page).or_default();
            seen.set(index, (place.domain, place.address()), last.began, is_member);
            if seen.is_empty() {
                self.pages.remove(&page);
            }
        }
        if let Some(certificate) = &last.certificate {
            self.certificates.set(index, place.domain, last.began, certificate, is_member);
        }
        if !is_member {
            self.forget_empty(index);
        }
    }

    /// Addresses come and go with names; those that nobody has any more are dropped.
    fn forget_empty(&mut self, index: usize) {
        if let Some(address) = self.places[index].address()
            && self.addresses.get(&address).is_some_and(|cohort| cohort.members.is_empty())
        {
            self.addresses.remove(&address);
        }
    }

    /// The platform's own address.
    pub fn platform(&self) -> IpAddr {
        self.platform
    }

    /// The DNS servers that are watched, but the platform's own.
    pub fn name_servers(&self) -> &BTreeSet<IpAddr> {
        &self.name_servers
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// An endpoint.
    pub fn endpoint(&self, index: usize) -> &Arc<Endpoint> {
        &self.places[index].endpoint
    }

    /// How packets to an endpoint travel.
    pub fn port(&self, index: usize) -> Port {
        self.places[index].port
    }

    /// The address that an endpoint's latest visit asked, or its own.
    pub fn address(&self, index: usize) -> Option<IpAddr> {
        self.places[index].address()
    }

    /// The endpoints of a host.
    pub fn at_host(&self, host: &Host) -> Vec<usize> {
        let number = self.host_numbers.get(host);
        number.map(|number| self.hosts[*number].members.iter().collect()).unwrap_or_default()
    }

    /// Whom an endpoint's latest visit asked first.
    pub fn peer(&self, index: usize) -> Option<SocketAddr> {
        self.places[index].last.as_ref()?.peer
    }

    /// When an endpoint's latest visit began.
    pub fn visited(&self, index: usize) -> Option<Duration> {
        self.places[index].last.as_ref().map(|last| last.began)
    }

    /// When an endpoint's latest visit began that showed that it works, whatever it shows now.
    pub fn worked(&self, index: usize) -> Option<Duration> {
        self.places[index].last.as_ref()?.worked
    }

    /// What an endpoint's latest visit showed, if it began at `since` or later.
    pub fn showing(&self, index: usize, since: Duration) -> Showing {
        self.places[index].showing(since)
    }
}

/// Where a DNS server is that an endpoint asks at a fixed address.
fn name_server(endpoint: &Arc<Endpoint>) -> Option<IpAddr> {
    match (&endpoint.target.probe, &endpoint.target.host) {
        (Probe::Dns(_), Host::Address(address)) => Some(*address),
        (_, _) => None,
    }
}

/// A name with its labels in the opposite order, so that those of a zone stand side by side.
fn from_the_end(name: &str) -> String {
    name.rsplit('.').collect::<Vec<_>>().join(".")
}

/// The last two labels of a name, which unrelated hosts do not share; an address stands for itself.
pub fn domain(host: &Host) -> String {
    match host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => {
            let labels: Vec<&str> = name.rsplit('.').take(2).collect();
            labels.into_iter().rev().collect::<Vec<_>>().join(".")
        }
    }
}

#[cfg(test)]
#[path = "neighbourhood_tests.rs"]
mod tests;
