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

use crate::{
    diagnosis::neighbours::{Neighbours, Showing, address_of, port_of},
    model::{
        catalog::{Endpoint, Host},
        diagnosis::Scope,
    },
};

/// Endpoints outside that must fail, on at least two ports, before everything outside is called lost.
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
    /// A port, and whether by datagram.
    Port(u16, bool),
    /// A class.
    Class(&'static str),
    /// A DNS server.
    Resolver(IpAddr),
    /// A host.
    Host(Host),
    /// A server's address.
    Address(IpAddr),
    /// Single endpoints that have only the cause and the port in common.
    Endpoints(u16, bool),
}

impl Component {
    /// How much is lost with it.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Vm => Scope::Vm,
            Self::Egress => Scope::Egress,
            Self::Port(_, _) => Scope::Port,
            Self::Class(_) => Scope::Class,
            Self::Resolver(_) | Self::Host(_) | Self::Address(_) => Scope::Host,
            Self::Endpoints(_, _) => Scope::Endpoint,
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = |by_datagram: &bool| if *by_datagram { "UDP" } else { "TCP" };
        match self {
            Self::Vm => f.write_str("this machine"),
            Self::Egress => f.write_str("everything outside this network"),
            Self::Port(port, by_datagram) => write!(f, "{} {port} to every host", transport(by_datagram)),
            Self::Class(class) => write!(f, "the class {class}"),
            Self::Resolver(address) => write!(f, "the DNS server {address}"),
            Self::Host(host) => write!(f, "the host {host}"),
            Self::Address(address) => write!(f, "the address {address}"),
            Self::Endpoints(port, by_datagram) => write!(f, "single hosts on {} {port}", transport(by_datagram)),
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
pub fn localise(failing: &[Failing], neighbours: &Neighbours<'_>) -> Vec<Group> {
    let mut by_cause: BTreeMap<Cause, Vec<usize>> = BTreeMap::new();
    for (number, failure) in failing.iter().enumerate() {
        by_cause.entry(failure.finding.cause).or_default().push(number);
    }
    let crowd = Crowd { failing, neighbours };
    by_cause.into_iter().flat_map(|(cause, members)| crowd.groups(cause, members)).collect()
}

/// All failures and what surrounds them.
struct Crowd<'a> {
    failing: &'a [Failing],
    neighbours: &'a Neighbours<'a>,
}

impl Crowd<'_> {
    fn groups(&self, cause: Cause, mut left: Vec<usize>) -> Vec<Group> {
        if cause.is_local() || cause == Cause::NextHopDown {
            return vec![Group { component: Component::Vm, members: left }];
        }
        let mut groups = Vec::new();
        if cause == Cause::DnsIntercepted {
            return vec![Group { component: Component::Port(53, true), members: left }];
        }
        if follows_the_flow(cause) {
            let component = self.reach(&left);
            return vec![Group { component, members: left }];
        }
        while let Some(resolver) = left.iter().find_map(|number| self.resolver(*number)) {
            let asked = |number: &usize| self.resolver(*number) == Some(resolver);
            let members: Vec<usize> = take(&mut left, |number| asked(number) || self.is_server(*number, resolver));
            let component = if self.resolver_works(&members, resolver) {
                Component::Endpoints(resolver.port(), true)
            } else {
                Component::Resolver(resolver.ip())
            };
            groups.push(Group { component, members });
        }
        if self.is_egress(&left) {
            let members = take(&mut left, |number| self.neighbours.is_outside(self.failing[*number].index));
            groups.push(Group { component: Component::Egress, members });
        }
        for port in self.ports(&left) {
            if self.is_whole_port(&left, port) {
                let members = take(&mut left, |number| self.port(*number) == port);
                groups.push(Group { component: Component::Port(port.0, port.1), members });
            }
        }
        groups.extend(self.hosts(&mut left));
        for port in self.ports(&left) {
            let members = take(&mut left, |number| self.port(*number) == port);
            groups.push(Group { component: Component::Endpoints(port.0, port.1), members });
        }
        groups
    }

    fn endpoint(&self, number: usize) -> &Endpoint {
        &self.neighbours.views[self.failing[number].index].endpoint
    }

    fn port(&self, number: usize) -> (u16, bool) {
        port_of(self.endpoint(number))
    }

    fn ports(&self, members: &[usize]) -> BTreeSet<(u16, bool)> {
        members.iter().map(|number| self.port(*number)).collect()
    }

    /// The DNS server that did not resolve an endpoint's name.
    fn resolver(&self, number: usize) -> Option<SocketAddr> {
        let failure = &self.failing[number];
        failure.peer.filter(|_| failure.is_resolving && failure.finding.phase == Phase::Dns)
    }

    fn is_server(&self, number: usize, resolver: SocketAddr) -> bool {
        let endpoint = self.endpoint(number);
        endpoint.host == Host::Address(resolver.ip()) && endpoint.port == resolver.port()
    }

    /// Whether a DNS server resolves other names since the first of these failed.
    fn resolver_works(&self, members: &[usize], resolver: SocketAddr) -> bool {
        let since = self.since(members);
        self.neighbours.views.iter().any(|view| {
            let visit = view.last.as_deref().filter(|visit| visit.began >= since);
            let resolution = visit.and_then(|visit| visit.resolution.as_ref());
            resolution.is_some_and(|found| found.server == Some(resolver) && !found.addresses.is_empty())
        })
    }

    fn since(&self, members: &[usize]) -> Duration {
        members.iter().map(|number| self.failing[*number].since).min().unwrap_or_default()
    }

    /// Whether any of the chosen endpoints works since the first of these failed.
    fn any_works(&self, members: &[usize], chosen: impl Fn(usize) -> bool) -> bool {
        let since = self.since(members);
        let mut others = (0..self.neighbours.views.len()).filter(|index| chosen(*index));
        others.any(|index| self.neighbours.showing(index, since) == Showing::Works)
    }

    fn is_egress(&self, members: &[usize]) -> bool {
        let outside: Vec<usize> =
            members.iter().copied().filter(|number| self.neighbours.is_outside(self.failing[*number].index)).collect();
        outside.len() >= EGRESS_FAILURES
            && self.ports(&outside).len() > 1
            && !self.any_works(&outside, |index| self.neighbours.is_outside(index))
    }

    fn is_whole_port(&self, members: &[usize], port: (u16, bool)) -> bool {
        let on_port: Vec<usize> = members.iter().copied().filter(|number| self.port(*number) == port).collect();
        let hosts: BTreeSet<&Host> = on_port.iter().map(|number| &self.endpoint(*number).host).collect();
        hosts.len() > 1 && !self.any_works(&on_port, |index| port_of(&self.neighbours.views[index].endpoint) == port)
    }

    /// Hosts all of whose endpoints fail, by name, then by address.
    fn hosts(&self, left: &mut Vec<usize>) -> Vec<Group> {
        let mut groups = Vec::new();
        let names: BTreeSet<Host> = left.iter().map(|number| self.endpoint(*number).host.clone()).collect();
        for host in names {
            let here: Vec<usize> = left.iter().copied().filter(|number| self.endpoint(*number).host == host).collect();
            let works = self.any_works(&here, |index| self.neighbours.views[index].endpoint.host == host);
            if here.len() > 1 && !works {
                let members = take(left, |number| self.endpoint(*number).host == host);
                groups.push(Group { component: Component::Host(host), members });
            }
        }
        let address = |index: usize| address_of(&self.neighbours.views[index]);
        let addresses: BTreeSet<IpAddr> =
            left.iter().filter_map(|number| address(self.failing[*number].index)).collect();
        for ip in addresses {
            let here: Vec<usize> =
                left.iter().copied().filter(|number| address(self.failing[*number].index) == Some(ip)).collect();
            if here.len() > 1 && !self.any_works(&here, |index| address(index) == Some(ip)) {
                let members = take(left, |number| address(self.failing[*number].index) == Some(ip));
                groups.push(Group { component: Component::Address(ip), members });
            }
        }
        groups
    }

    /// How far a fault reaches that takes some flows and spares others.
    fn reach(&self, members: &[usize]) -> Component {
        let ports = self.ports(members);
        let hosts: BTreeSet<&Host> = members.iter().map(|number| &self.endpoint(*number).host).collect();
        match (ports.first(), members.first()) {
            (Some(port), _) if ports.len() == 1 && hosts.len() > 1 => Component::Port(port.0, port.1),
            (Some(_), Some(first)) if hosts.len() == 1 => Component::Host(self.endpoint(*first).host.clone()),
            (_, _) => Component::Egress,
        }
    }
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
