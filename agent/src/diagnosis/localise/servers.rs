//! Which DNS servers are behind names that do not resolve: those that show the cause, and no other that was asked as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use ase_probes::{cause::Cause, verdict::Phase};

use super::{APART, Component, Crowd, Failing, Group, Here, Left, collect, take};
use crate::{
    diagnosis::neighbourhood::Neighbourhood,
    model::{catalog::Host, target::ResolvedBy},
    net::port::Port,
};

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
    pub(super) fn resolvers(&self, left: &mut Left<'_>) -> Vec<Group> {
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
        // Other names that do not resolve now, by the first of the servers that were asked; of some it is not told yet.
        let mut untold: BTreeSet<usize> =
            left.others.iter().copied().filter(|index| self.neighbourhood.is_unresolved(*index)).collect();
        let others: Vec<usize> =
            (0..self.failing.len()).filter(|number| untold.remove(&self.failing[*number].index)).collect();
        let others = collect(others, |number| self.servers(number).first().copied());
        let mut groups = Vec::new();
        for servers in asked {
            let wanted = |number: &usize| {
                !self.servers(*number).is_disjoint(&servers) || servers.iter().any(|one| self.is_server(*number, *one))
            };
            let mut names = Left { numbers: take(&mut left.numbers, wanted), younger: Vec::new(), others: left.others };
            let few = self.before_the_servers(&names.numbers, &servers);
            self.leave_alone(&mut names, few, left);
            let addresses: Vec<IpAddr> = servers.iter().map(SocketAddr::ip).collect();
            // One that resolves other names is not lost; what fails is the names. Unless it is itself in trouble.
            let is_theirs = |number: &&usize| self.servers(**number).is_subset(&servers);
            let at_them = servers.iter().filter_map(|server| others.get(server)).flatten();
            let at_them = at_them.filter(is_theirs).map(|number| self.failing[*number].index);
            // Of whom it is not told whether one of them was asked, only those count that ask the same side.
            let side = |index: usize| self.neighbourhood.endpoint(index).target.resolved_by;
            let asked_by = names.numbers.iter().filter(|number| !self.servers(**number).is_empty());
            let sides: Vec<ResolvedBy> = asked_by.map(|number| side(self.failing[*number].index)).collect();
            let untold = untold.iter().copied().filter(|index| sides.contains(&side(*index)));
            let at_them: Vec<usize> = at_them.chain(untold).collect();
            let is_lost = |here: &Here| {
                let is_ill = |server: &SocketAddr| here.members.iter().any(|number| self.is_server(*number, *server));
                // Whoever else fails now had a name that one of these resolved, or was one of these.
                let resolved = self.any_has_worked(&at_them, here.since);
                let worked = self.any_worked(&names.younger, here.since);
                let resolves = |server: &SocketAddr| {
                    (resolved || self.neighbourhood.resolves(*server, here.since)) && !is_ill(server)
                };
                (!worked && !servers.iter().any(resolves)).then(|| Component::Resolvers(addresses.clone()))
            };
            if let Some((component, here)) = self.broken_after(&names.numbers, few, is_lost) {
                names.explain(std::slice::from_ref(&here));
                groups.push(Group { component, members: here.members, since: here.since });
            }
            left.younger.extend(&names.younger);
            groups.extend(self.zones(names, addresses));
        }
        groups
    }

    /// How many of the first of these may have failed before their DNS servers did: few beside all, or those no more than
    /// half that failed long before a watched one was last seen to work.
    fn before_the_servers(&self, members: &[usize], servers: &BTreeSet<SocketAddr>) -> usize {
        let own = members.iter().filter(|number| servers.iter().any(|server| self.is_server(**number, *server)));
        let worked = own.filter_map(|number| self.worked(*number)).max();
        let is_before = |number: &&usize| worked.is_some_and(|worked| worked > self.failing[**number].since + APART);
        let before = members.iter().filter(is_before).count();
        self.few(members).max(if 2 * before <= members.len() { before } else { 0 })
    }

    /// Gives servers back that broke last and to which no name has been lost yet: what failed long before shows nothing
    /// of them.
    fn leave_alone(&self, names: &mut Left<'_>, few: usize, left: &mut Left<'_>) {
        let last = self.last_wave(&names.numbers, few);
        let is_alone = |here: &Here| here.members.iter().all(|number| self.servers(*number).is_empty());
        if let Some(here) = last.filter(is_alone) {
            names.explain(std::slice::from_ref(&here));
            left.numbers.extend(here.members);
            left.numbers.sort_unstable();
        }
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
        // They are lost together since the last of them is.
        let last = numbers.iter().filter_map(|number| self.worked(*number)).max();
        let is_together = |number: &usize| last.is_none_or(|last| last <= self.failing[*number].since + APART);
        let own = self.indices(&numbers);
        let together: BTreeSet<usize> = numbers.into_iter().filter(is_together).collect();
        let since = self.since(&together.iter().copied().collect::<Vec<_>>());
        let works = |server: &IpAddr| self.neighbourhood.works_at(&Host::Address(*server), since, &own);
        if servers.iter().any(works) || !self.neighbourhood.works_on(Port::udp(53), since, &own) {
            return None;
        }
        let component = Component::Resolvers(servers.iter().copied().collect());
        Some(self.group(component, take(left, |number| together.contains(number))))
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
