//! Finds the broken component behind endpoints that fail together: the most general one that every failure used and no
//! success did. One broken component makes one group, however many endpoints it takes along.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    verdict::{Finding, Phase},
};

use super::neighbourhood::Neighbourhood;
use crate::{
    model::{catalog::Host, diagnosis::Scope},
    net::port::Port,
};

/// Endpoints outside that must fail, on at least two ports, before everything outside is called lost: two may share a
/// server or a rule, and one port may have a rule of its own.
const EGRESS_FAILURES: usize = 3;

/// One endpoint that fails, or works with something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The endpoint's index.
    pub index: usize,
    /// What its diagnosis says.
    pub finding: Finding,
    /// Who was asked when it failed.
    pub peer: Option<SocketAddr>,
    /// Whether the endpoint itself was not tested, because its name did not resolve.
    pub is_resolving: bool,
    /// When it began to fail, since the Unix epoch.
    pub since: Duration,
}

/// The component that a group of failures shares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// This machine.
    Vm,
    /// Everything outside this network.
    Egress,
    /// A port.
    Port(Port),
    /// A class.
    Class(&'static str),
    /// A DNS server.
    Resolver(IpAddr),
    /// A host.
    Host(Host),
    /// A server's address.
    Address(IpAddr),
    /// Single endpoints that have only the cause and the port in common.
    Endpoints(Port),
}

impl Component {
    /// How much is lost with it.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Vm => Scope::Vm,
            Self::Egress => Scope::Egress,
            Self::Port(_) => Scope::Port,
            Self::Class(_) => Scope::Class,
            Self::Resolver(_) | Self::Host(_) | Self::Address(_) => Scope::Host,
            Self::Endpoints(_) => Scope::Endpoint,
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vm => f.write_str("this machine"),
            Self::Egress => f.write_str("everything outside this network"),
            Self::Port(port) => write!(f, "{port} to every host"),
            Self::Class(class) => write!(f, "the class {class}"),
            Self::Resolver(address) => write!(f, "the DNS server {address}"),
            Self::Host(host) => write!(f, "the host {host}"),
            Self::Address(address) => write!(f, "the address {address}"),
            Self::Endpoints(port) => write!(f, "single hosts on {port}"),
        }
    }
}

/// A component and the failures it explains, by index into the list of failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The component.
    pub component: Component,
    /// The failures.
    pub members: Vec<usize>,
}

/// Groups failures by the component they share. Every failure is in exactly one group.
pub fn localise(failing: &[Failing], neighbourhood: &Neighbourhood) -> Vec<Group> {
    let by_cause = collect(0..failing.len(), |number| Some(failing[number].finding.cause));
    let crowd = Crowd { failing, neighbourhood };
    by_cause.into_iter().flat_map(|(cause, members)| crowd.groups(cause, members)).collect()
}

/// All failures and what surrounds them.
struct Crowd<'a> {
    failing: &'a [Failing],
    neighbourhood: &'a Neighbourhood,
}

impl Crowd<'_> {
    fn groups(&self, cause: Cause, mut left: Vec<usize>) -> Vec<Group> {
        if cause.is_local() || cause == Cause::NextHopDown {
            return vec![Group { component: Component::Vm, members: left }];
        }
        if cause == Cause::DnsIntercepted {
            return vec![Group { component: Component::Port(Port::udp(53)), members: left }];
        }
        if follows_the_flow(cause) {
            let component = self.reach(&left);
            return vec![Group { component, members: left }];
        }
        let mut groups = self.resolvers(&mut left);
        if self.is_egress(&left) {
            let members = take(&mut left, |number| self.is_outside(*number));
            groups.push(Group { component: Component::Egress, members });
        }
        groups.extend(self.whole(
            &mut left,
            |number| Some(self.port(number)),
            |port, here, since| {
                let hosts: BTreeSet<&Host> = here.iter().map(|number| self.host(*number)).collect();
                let is_lost = hosts.len() > 1 && !self.neighbourhood.works_on(*port, since);
                is_lost.then_some(Component::Port(*port))
            },
        ));
        groups.extend(self.whole(
            &mut left,
            |number| Some(self.host(number).clone()),
            |host, here, since| {
                let is_lost = here.len() > 1 && !self.neighbourhood.works_at(host, since);
                is_lost.then(|| Component::Host(host.clone()))
            },
        ));
        groups.extend(self.whole(
            &mut left,
            |number| self.address(number),
            |address, here, since| {
                let is_lost = here.len() > 1 && !self.neighbourhood.works_at_address(*address, since);
                is_lost.then_some(Component::Address(*address))
            },
        ));
        let single = |(port, members)| Group { component: Component::Endpoints(port), members };
        groups.extend(collect(left, |number| Some(self.port(number))).into_iter().map(single));
        groups
    }

    /// Names that a DNS server did not resolve, with the server itself where it is watched.
    fn resolvers(&self, left: &mut Vec<usize>) -> Vec<Group> {
        let asked = collect(left.iter().copied(), |number| self.resolver(number));
        let mut groups = Vec::new();
        for resolver in asked.into_keys() {
            let wanted = |number: &usize| self.resolver(*number) == Some(resolver) || self.is_server(*number, resolver);
            let members = take(left, wanted);
            let component = if self.neighbourhood.resolves(resolver, self.since(&members)) {
                Component::Endpoints(Port::udp(resolver.port()))
            } else {
                Component::Resolver(resolver.ip())
            };
            groups.push(Group { component, members });
        }
        groups
    }

    /// Takes out the failures that have something in common of which `component` says that it is lost as a whole, given
    /// those failures and when the first of them began.
    fn whole<K: Ord>(
        &self,
        left: &mut Vec<usize>,
        key: impl Fn(usize) -> Option<K>,
        component: impl Fn(&K, &[usize], Duration) -> Option<Component>,
    ) -> Vec<Group> {
        let mut groups = Vec::new();
        for (key, members) in collect(left.iter().copied(), key) {
            if let Some(component) = component(&key, &members, self.since(&members)) {
                groups.push(Group { component, members });
            }
        }
        let taken: BTreeSet<usize> = groups.iter().flat_map(|group| group.members.iter().copied()).collect();
        left.retain(|number| !taken.contains(number));
        groups
    }

    fn host(&self, number: usize) -> &Host {
        &self.neighbourhood.endpoint(self.failing[number].index).target.host
    }

    fn port(&self, number: usize) -> Port {
        self.neighbourhood.port(self.failing[number].index)
    }

    fn address(&self, number: usize) -> Option<IpAddr> {
        self.neighbourhood.address(self.failing[number].index)
    }

    fn is_outside(&self, number: usize) -> bool {
        self.neighbourhood.is_outside(self.failing[number].index)
    }

    /// The DNS server that did not resolve an endpoint's name.
    fn resolver(&self, number: usize) -> Option<SocketAddr> {
        let failure = &self.failing[number];
        failure.peer.filter(|_| failure.is_resolving && failure.finding.phase == Phase::Dns)
    }

    fn is_server(&self, number: usize, resolver: SocketAddr) -> bool {
        *self.host(number) == Host::Address(resolver.ip()) && self.port(number).number == resolver.port()
    }

    fn since(&self, members: &[usize]) -> Duration {
        members.iter().map(|number| self.failing[*number].since).min().unwrap_or_default()
    }

    fn is_egress(&self, members: &[usize]) -> bool {
        let outside: Vec<usize> = members.iter().copied().filter(|number| self.is_outside(*number)).collect();
        let ports: BTreeSet<Port> = outside.iter().map(|number| self.port(*number)).collect();
        outside.len() >= EGRESS_FAILURES && ports.len() > 1 && !self.neighbourhood.works_outside(self.since(&outside))
    }

    /// How far a fault reaches that takes some flows and spares others.
    fn reach(&self, members: &[usize]) -> Component {
        let ports: BTreeSet<Port> = members.iter().map(|number| self.port(*number)).collect();
        let hosts: BTreeSet<&Host> = members.iter().map(|number| self.host(*number)).collect();
        match (ports.first(), hosts.first()) {
            (Some(port), _) if ports.len() == 1 && hosts.len() > 1 => Component::Port(*port),
            (_, Some(host)) if hosts.len() == 1 => Component::Host((*host).clone()),
            (_, _) => Component::Egress,
        }
    }
}

/// Collects numbers by what they have in common; those that have nothing are left out.
fn collect<K: Ord>(
    numbers: impl IntoIterator<Item = usize>,
    key: impl Fn(usize) -> Option<K>,
) -> BTreeMap<K, Vec<usize>> {
    let mut collected: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for number in numbers {
        if let Some(key) = key(number) {
            collected.entry(key).or_default().push(number);
        }
    }
    collected
}

/// Causes that take some flows to a destination and spare others, so that a success there excludes nothing.
pub fn follows_the_flow(cause: Cause) -> bool {
    matches!(cause, Cause::FlowHashLoss | Cause::FlowTableFull | Cause::PacketLoss | Cause::Slow)
}

fn take(left: &mut Vec<usize>, wanted: impl Fn(&usize) -> bool) -> Vec<usize> {
    let (taken, kept) = left.iter().partition(|number| wanted(number));
    *left = kept;
    taken
}

#[cfg(test)]
#[path = "localise_tests.rs"]
mod tests;
