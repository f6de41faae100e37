//! How far a fault reaches that takes some flows or packets and spares others, so that a success excludes nothing by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use ase_probes::cause::Cause;

use super::{Component, Crowd, Here, Singles};
use crate::{model::catalog::Host, net::port::Port};

/// Ports on which hosts must be lost before others that work count as exceptions: each may have a rule of its own.
const LOST_PORTS: usize = 3;
/// Hosts that must be lost before: of few, a rule for each is as likely.
const LOST_HOSTS: usize = 10;
/// Hosts that must be lost for each that works beside them: an environment has few service endpoints, and many dependencies.
const LOST_FOR_ONE: usize = 5;

impl Crowd<'_> {
    /// How much of what lies outside is lost with these failures, if it is all, or all but few hosts to which another way leads:
    /// service endpoints and routes of their own go past a firewall that is down. To those count who have worked meanwhile,
    /// whatever they show now. A port that works at several hosts, or at as many as it is lost at, is open.
    pub(super) fn lost_outside(&self, here: &Here, mut working: BTreeSet<usize>) -> Option<Component> {
        // As many as are lost are no exceptions: however many there are, no more are looked at.
        let most = here.members.len();
        working.extend(self.neighbourhood.working_outside(here.since).take(most));
        if working.is_empty() {
            return Some(Component::Egress);
        }
        if working.len() >= most {
            return None;
        }
        let target = |index: &usize| &self.neighbourhood.endpoint(*index).target;
        let mut works: BTreeMap<Port, BTreeSet<&Host>> = BTreeMap::new();
        for index in &working {
            works.entry(self.neighbourhood.port(*index)).or_default().insert(&target(index).host);
        }
        let mut lost: BTreeMap<Port, BTreeSet<&Host>> = BTreeMap::new();
        for number in &here.members {
            lost.entry(self.port(*number)).or_default().insert(self.host(*number));
        }
        let is_few = |(port, hosts): (&Port, &BTreeSet<&Host>)| match lost.get(port) {
            Some(lost) => lost.len() > hosts.len(),
            None => hosts.len() == 1 && self.neighbourhood.hosts_on(*port) == 1,
        };
        // Who fails for another reason meanwhile, as names that expire do, is lost as well.
        let failing = self.neighbourhood.failing(here.since);
        let failing = failing.filter(|index| self.was_outside(*index) && !working.contains(index));
        let mut hosts: BTreeSet<&Host> = lost.values().flatten().copied().collect();
        hosts.extend(failing.map(|index| &target(&index).host));
        let exceptions = works.values().flatten().collect::<BTreeSet<_>>().len();
        let are_exceptions = lost.len() >= LOST_PORTS && hosts.len() >= LOST_HOSTS.max(LOST_FOR_ONE * exceptions);
        (are_exceptions && works.iter().all(is_few)).then_some(Component::MostOutside)
    }

    /// How far such a fault reaches.
    pub(super) fn reach_of(&self, cause: Cause, members: &[usize]) -> Component {
        let reach = self.reach(members);
        let is_whole = match cause {
            Cause::Slow => self.is_all_slow(&reach, members),
            Cause::MtuBlackhole => self.is_all_hit(&reach, members),
            _ => true,
        };
        match reach {
            reach if is_whole => reach,
            Component::Port(port, _) => Component::Endpoints(Singles::Port(port)),
            _ => Component::Endpoints(Singles::Scattered),
        }
    }

    /// The same by those who are hit alone.
    pub(super) fn reach(&self, members: &[usize]) -> Component {
        let ports: BTreeSet<Port> = members.iter().map(|number| self.port(*number)).collect();
        let hosts: BTreeSet<&Host> = members.iter().map(|number| self.host(*number)).collect();
        match (ports.first(), hosts.first()) {
            (Some(port), _) if ports.len() == 1 && hosts.len() > 1 => self.whole_port(*port),
            (_, Some(host)) if hosts.len() == 1 => Component::Host((*host).clone()),
            (_, _) => Component::Egress,
        }
    }

    /// Slowness hits every flow on its way, so that everything outside or a whole port is slow only where no more endpoints
    /// there keep their pace. Two slow servers among a hundred are two slow servers.
    fn is_all_slow(&self, reach: &Component, members: &[usize]) -> bool {
        let (slow, since) = (self.indices(members), self.since(members));
        let keeps_pace = |index: &usize| !slow.contains(index) && !(self.grows)(*index);
        let most = |others: &mut dyn Iterator<Item = usize>, slow: usize| {
            others.filter(|index| keeps_pace(index)).take(slow + 1).count() <= slow
        };
        match reach {
            Component::Egress => most(&mut self.neighbourhood.working_outside(since), slow.len()),
            Component::Port(port, _) => most(&mut self.neighbourhood.working_on(*port, since), slow.len()),
            _ => true,
        }
    }

    /// Packets that vanish for their size vanish for everybody on the same way: neither everything outside nor a whole port is
    /// hit where, on a port of those who are, full segments come from as many other hosts meanwhile. Most answers are small and
    /// show nothing; neither does what came over the other family, or what is known of this machine's own packets.
    fn is_all_hit(&self, reach: &Component, members: &[usize]) -> bool {
        if !matches!(reach, Component::Egress | Component::Port(..)) {
            return true;
        }
        let families: BTreeSet<Option<bool>> =
            members.iter().map(|number| self.failing[*number].peer.map(|peer| peer.is_ipv6())).collect();
        let [Some(is_ipv6)] = families.into_iter().collect::<Vec<_>>()[..] else { return true };
        let is_alike = |number: &usize| {
            self.is_outside(*number) && self.neighbourhood.misses_the_peers(self.failing[*number].index)
        };
        if !members.iter().all(is_alike) {
            return true;
        }
        let times: Vec<RangeInclusive<Duration>> =
            members.iter().filter_map(|number| self.known_hit(*number)).collect();
        let ports: BTreeSet<Port> = members.iter().map(|number| self.port(*number)).collect();
        ports.iter().all(|port| {
            let hit = members.iter().filter(|number| self.port(**number) == *port);
            let hit: BTreeSet<&Host> = hit.map(|number| self.host(*number)).collect();
            self.neighbourhood.full_on(*port, is_ipv6, &times).difference(&hit).count() < hit.len()
        })
    }

    /// From when on, and until when, an endpoint is known to be hit: before, the fault may have begun in the middle of its
    /// visit, and afterwards it may be mended.
    fn known_hit(&self, number: usize) -> Option<RangeInclusive<Duration>> {
        let failure = &self.failing[number];
        Some(failure.noticed..=self.neighbourhood.visited(failure.index)?)
    }

    pub(super) fn whole_port(&self, port: Port) -> Component {
        Component::Port(port, self.neighbourhood.hosts_on(port))
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
