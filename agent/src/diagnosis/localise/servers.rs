//! Which DNS servers are behind names that do not resolve: those that show the cause, and no other that was asked as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use ase_probes::{cause::Cause, verdict::Phase};

use super::{Component, Crowd, Failing, Group, Here, Left, take};
use crate::{diagnosis::neighbourhood::Neighbourhood, model::catalog::Host, net::port::Port};

/// What ails the endpoints at fixed addresses, DNS servers among them.
pub(super) fn troubles(failing: &[Failing], neighbourhood: &Neighbourhood) -> BTreeMap<SocketAddr, BTreeSet<Cause>> {
    let mut troubles: BTreeMap<SocketAddr, BTreeSet<Cause>> = BTreeMap::new();
    for failure in failing {
        if let Host::Address(address) = neighbourhood.endpoint(failure.index).target.host {
            let port = neighbourhood.port(failure.index).number;
            troubles.entry(SocketAddr::new(address, port)).or_default().insert(failure.finding.cause);
        }
    }
    troubles
}

impl Crowd<'_> {
    /// Names that DNS servers did not resolve, with the servers themselves where they are watched. A name is lost when the
    /// last of them failed, so that those that were asked for the same name belong together.
    pub(super) fn resolvers(&self, left: &mut Left) -> Vec<Group> {
        let mut asked: Vec<BTreeSet<SocketAddr>> = Vec::new();
        for number in left.numbers.iter() {
            let mut servers = self.servers(*number);
            if !servers.is_empty() {
                let (shared, apart): (Vec<_>, Vec<_>) =
                    asked.into_iter().partition(|others| !others.is_disjoint(&servers));
                servers.extend(shared.into_iter().flatten());
                asked = apart;
                asked.push(servers);
            }
        }
        let mut groups = Vec::new();
        for servers in asked {
            let wanted = |number: &usize| {
                !self.servers(*number).is_disjoint(&servers) || servers.iter().any(|one| self.is_server(*number, *one))
            };
            let members = take(&mut left.numbers, wanted);
            let addresses: Vec<IpAddr> = servers.iter().map(SocketAddr::ip).collect();
            // One that resolves other names is not lost; what fails is the names. Unless it is itself in trouble.
            let is_lost = |here: &Here| {
                let is_ill = |server: &SocketAddr| here.members.iter().any(|number| self.is_server(*number, *server));
                let resolves =
                    |server: &SocketAddr| self.neighbourhood.resolves(*server, here.since) && !is_ill(server);
                (!servers.iter().any(resolves)).then(|| Component::Resolvers(addresses.clone()))
            };
            let mut names = Left { numbers: members, younger: Vec::new() };
            if let Some((component, here)) = self.broken(&names.numbers, is_lost) {
                names.explain(std::slice::from_ref(&here));
                groups.push(Group { component, members: here.members, since: here.since });
            }
            groups.extend(self.zones(names, addresses));
        }
        groups
    }

    /// Whether a DNS server may fail for this cause: one that is watched and fails in other ways only does not.
    fn may_show(&self, server: SocketAddr, cause: Cause) -> bool {
        self.troubles.get(&server).is_none_or(|causes| causes.contains(&cause))
    }

    /// All DNS servers of this network together, where several are watched and each is lost as a whole, while another one
    /// answers on their port.
    pub(super) fn every_server(&self, left: &mut Vec<usize>) -> Option<Group> {
        let servers = self.neighbourhood.name_servers();
        let address = |number: &usize| match self.host(*number) {
            Host::Address(address) if servers.contains(address) => Some(*address),
            Host::Address(_) | Host::Name(_) => None,
        };
        let members: BTreeSet<usize> = left.iter().copied().filter(|number| address(number).is_some()).collect();
        let failing: BTreeSet<IpAddr> = members.iter().filter_map(address).collect();
        if servers.len() < 2 || failing.len() < servers.len() {
            return None;
        }
        let numbers: Vec<usize> = members.iter().copied().collect();
        let (since, own) = (self.since(&numbers), self.indices(&numbers));
        let works = |server: &IpAddr| self.neighbourhood.works_at(&Host::Address(*server), since, &own);
        if servers.iter().any(works) || !self.neighbourhood.works_on(Port::udp(53), since, &own) {
            return None;
        }
        let component = Component::Resolvers(servers.iter().copied().collect());
        Some(self.group(component, take(left, |number| members.contains(number))))
    }

    /// The DNS servers that did not resolve an endpoint's name, for the cause that it has.
    fn servers(&self, number: usize) -> BTreeSet<SocketAddr> {
        let failure = &self.failing[number];
        if !failure.is_resolving || failure.finding.phase != Phase::Dns {
            return BTreeSet::new();
        }
        let asked: BTreeSet<SocketAddr> = failure.servers.iter().copied().chain(failure.peer).collect();
        let alike = asked.iter().copied().filter(|server| self.may_show(*server, failure.finding.cause));
        let alike: BTreeSet<SocketAddr> = alike.collect();
        if alike.is_empty() { asked } else { alike }
    }

    fn is_server(&self, number: usize, resolver: SocketAddr) -> bool {
        *self.host(number) == Host::Address(resolver.ip()) && self.port(number).number == resolver.port()
    }
}
