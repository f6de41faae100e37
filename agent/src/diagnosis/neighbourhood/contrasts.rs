//! Which contrasts neighbouring endpoints answer, at no cost, and whose visits would answer what is still open.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ase_probes::cause::Cause;

use super::{Cohort, Neighbourhood, Peer, Place, PortGroup, Showing, from_the_end};
use crate::{
    diagnosis::ask::Beside,
    model::{catalog::Host, contrast::Contrast},
    net::port::Port,
};

/// Failures among endpoints that are alike before none of them is said to work, unless there is only one: one may have a
/// fault of its own. So many visits are wished for on the same port.
const ALIKE: usize = 2;
/// Failures beside a failure before nothing is said to work: two may share a server, three rarely do. So many visits are
/// wished for on other ports, each on another: where nobody shares the endpoint's port, they alone must be able to say it.
const FAILURES: usize = 3;
/// So many ports are looked at one by one.
const FEW_PORTS: usize = 16;
/// Endpoints among which those of other ports are looked for, where there are more.
const ENOUGH: usize = 64;

impl Neighbourhood {
    /// What the neighbours answer about an endpoint that has failed since `since`; `None` while too few of them were
    /// tested, and for a contrast that they cannot answer.
    pub fn answer(
        &self,
        contrast: Contrast,
        (index, target): (usize, &Peer),
        since: Duration,
        now: Duration,
    ) -> Option<bool> {
        let host = self.host_numbers.get(&target.host).copied();
        let on_other_host = |other: usize| Some(self.places[other].host) != host;
        match contrast {
            Contrast::SamePortWorks => {
                self.works(since, || self.ports.get(&target.port).map(|port| &port.all).into_iter(), on_other_host)
            }
            Contrast::SameHostWorks => {
                let cohort = || host.map(|host| &self.hosts[host]).into_iter();
                self.works(since, cohort, |other| self.places[other].port != target.port)
            }
            Contrast::OtherPortsWork => self.other_ports_work(host, target.port, since),
            Contrast::AnythingWorks => self.anything_works(index, since),
            Contrast::HostHttpBlocked => self.host_http_blocked(host, since),
            Contrast::PlainHttpBlocked => self.plain_http_blocked(since),
            Contrast::ClockWrong => self.clock_wrong(since, now),
            Contrast::IssuerShared => self.issuer_shared(index, since),
            Contrast::PageShared => self.page_shared((index, target), since),
            Contrast::IssuersPlural => self.issuers_plural(index, since),
            _ => None,
        }
    }

    /// Whether anything outside works on other ports at other hosts. It is looked for by port, or by host where those are fewer:
    /// a host with a thousand ports does not look through all of them at each.
    fn other_ports_work(&self, host: Option<usize>, port: Port, since: Duration) -> Option<bool> {
        let is_elsewhere = |place: &Place| Some(place.host) != host && place.port != port;
        if self.ports.len() <= self.hosts.len().max(FEW_PORTS) {
            let others = || self.ports.iter().filter(|(other, _)| **other != port);
            let is_chosen = |other: usize| is_elsewhere(&self.places[other]);
            return self.works(since, || others().map(|(_, group)| &group.outside), is_chosen);
        }
        let others = || self.hosts.iter().enumerate().filter(|(other, _)| Some(*other) != host);
        let is_chosen = |other: usize| is_elsewhere(&self.places[other]) && self.is_outside(other);
        self.works(since, || others().map(|(_, cohort)| cohort), is_chosen)
    }

    /// Whether any of the chosen endpoints works; `None` while too few of them were tested to say no: [`ALIKE`] must have
    /// failed, or the only one.
    fn works<'a, G: Iterator<Item = &'a Cohort>>(
        &'a self,
        since: Duration,
        groups: impl Fn() -> G,
        is_chosen: impl Fn(usize) -> bool,
    ) -> Option<bool> {
        if groups().any(|cohort| cohort.works.since(since).any(&is_chosen)) {
            return Some(true);
        }
        let failing = groups().flat_map(|cohort| cohort.fails.since(since)).filter(|other| is_chosen(*other));
        let failing: Vec<usize> = failing.take(ALIKE).collect();
        let first = *failing.first()?;
        let is_only =
            || !groups().flat_map(|cohort| cohort.members.iter()).any(|other| other != first && is_chosen(other));
        (failing.len() == ALIKE || is_only()).then_some(false)
    }

    /// Whether any other endpoint works; a name that does not resolve counts as a failure here.
    fn anything_works(&self, index: usize, since: Duration) -> Option<bool> {
        if self.all.works.since(since).any(|other| other != index) {
            return Some(true);
        }
        let failed = self.failed.since(since).filter(|other| *other != index).take(FAILURES).count();
        (failed == FAILURES).then_some(false)
    }

    /// Whether the page came at the host itself. `None` while its own port 80 was not tested since then.
    fn host_http_blocked(&self, host: Option<usize>, since: Duration) -> Option<bool> {
        let Some(here) = host.map(|host| &self.hosts[host]) else { return Some(false) };
        let is_plain = |other: &usize| self.places[*other].port.number == 80;
        if here.fails.since(since).filter(is_plain).any(|other| self.is_blocked(other)) {
            return Some(true);
        }
        let waits = here.members.before(since).any(|other| is_plain(&other));
        (!waits).then_some(false)
    }

    /// Whether an endpoint's latest visit met the block page of a firewall.
    fn is_blocked(&self, index: usize) -> bool {
        let showing = self.places[index].last.as_ref().map(|last| last.showing);
        matches!(showing, Some(Showing::Fails(finding)) if finding.cause == Cause::HttpBlocked)
    }

    fn plain_http_blocked(&self, since: Duration) -> Option<bool> {
        if self.blocked.any_since(since) {
            return Some(true);
        }
        let mut plain = self.ports.iter().filter(|(port, _)| port.number == 80).map(|(_, cohort)| &cohort.all);
        plain.any(|cohort| cohort.works.any_since(since) || cohort.fails.any_since(since)).then_some(false)
    }

    /// Whether an address is the right one for an endpoint: its own, or where it worked before.
    pub fn is_right(&self, index: usize, address: IpAddr) -> bool {
        let place = &self.places[index];
        match place.endpoint.target.host {
            Host::Address(own) => own == address,
            Host::Name(_) => place.last.as_ref().is_some_and(|last| last.right.contains(&address)),
        }
    }

    /// The endpoints whose visits would answer the contrasts of an endpoint, at most six. One that was visited since then
    /// is not asked again: it has said what it knows.
    pub fn worth_a_visit(&self, index: usize, target: &Peer, since: Duration) -> Vec<usize> {
        if self.all.members.before(since).all(|other| other == index) {
            return Vec::new();
        }
        let host = self.host_numbers.get(&target.host).copied();
        let is_other = |other: &usize| *other != index;
        let same_port = self.ports.get(&target.port).map(|port| port.all.members.before(since));
        let same_port = same_port.into_iter().flatten().filter(is_other);
        let mut chosen: Vec<usize> =
            same_port.filter(|other| Some(self.places[*other].host) != host).take(ALIKE).collect();
        let same_host = host.map(|host| self.hosts[host].members.before(since)).into_iter().flatten().filter(is_other);
        chosen.extend(same_host.filter(|other| self.places[*other].port != target.port).take(1));
        let elsewhere = self.on_other_ports((index, target.port, host), &chosen, since);
        chosen.extend(elsewhere.into_iter().take(FAILURES));
        chosen
    }

    /// Endpoints outside on other ports than what an endpoint asked, one of each, that were not visited since: of many ports
    /// those whose turn was longest ago. What else is watched at the host that it asked says less, since the host may be down.
    fn on_other_ports(
        &self,
        (index, port, host): (usize, Port, Option<usize>),
        chosen: &[usize],
        since: Duration,
    ) -> Vec<usize> {
        let is_elsewhere = |other: &usize| Some(self.places[*other].host) != host;
        if self.ports.len() <= FEW_PORTS {
            let others = self.ports.iter().filter(|(other, _)| **other != port);
            let one_of = |group: &PortGroup| {
                let waiting = || group.outside.members.before(since).filter(|other| *other != index);
                waiting().find(is_elsewhere).or_else(|| waiting().find(|other| !chosen.contains(other)))
            };
            return others.filter_map(|(_, group)| one_of(group)).collect();
        }
        let mut ports = BTreeSet::new();
        let waiting = self.outside.members.before(since).filter(is_elsewhere).take(ENOUGH);
        let waiting = waiting.filter(|other| *other != index && self.places[*other].port != port);
        waiting.filter(|other| ports.insert(self.places[*other].port)).collect()
    }

    /// Whether any endpoint whose name lies below a zone works since then, but these.
    pub fn works_below(&self, zone: &str, since: Duration, but: &BTreeSet<usize>) -> bool {
        let above = from_the_end(zone) + ".";
        let below = self.names.range(above.clone()..).take_while(|(name, _)| name.starts_with(&above));
        below.into_iter().any(|(_, number)| self.hosts[*number].works_but(since, but))
    }

    /// Another host with a name that works on the endpoint's port since then.
    pub fn works_beside(&self, index: usize, since: Duration) -> Option<Beside> {
        self.beside(index, self.ports.get(&self.places[index].port)?.all.works.since(since))
    }

    /// Another host with a name that works outside this network on any port since then, by a connection.
    pub fn works_outside_beside(&self, index: usize, since: Duration) -> Option<Beside> {
        let works = self.outside.works.since(since);
        self.beside(index, works.filter(|other| !self.places[*other].port.by_datagram))
    }

    fn beside(&self, index: usize, works: impl Iterator<Item = usize>) -> Option<Beside> {
        let others = works.map(|other| &self.places[other]).filter(|place| place.host != self.places[index].host);
        others.into_iter().find_map(|place| match &place.endpoint.target.host {
            Host::Name(name) => Some(Beside { name: name.clone(), address: place.last.as_ref()?.peer? }),
            Host::Address(_) => None,
        })
    }
}
