//! Finds the broken component behind endpoints that fail together: the most general one that every failure used and no
//! success did. One broken component makes one group, however many endpoints it takes along.

mod reach;
mod servers;
mod waves;
mod zone;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Finding};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::neighbourhood::Neighbourhood;
use crate::{
    model::{catalog::Host, diagnosis::Scope},
    net::port::Port,
};
use waves::{Here, Left};

pub(super) use waves::APART;

/// Endpoints outside that must fail, on at least two ports, before everything outside is called lost: two may share a
/// server or a rule, and one port may have a rule of its own.
const EGRESS_FAILURES: usize = 3;

/// Addresses of one prefix that must fail before the prefix is called lost: two may share a rack.
const PREFIX_ADDRESSES: usize = 3;
/// Addresses of DNS servers that are listed in the name of what they have in common.
const LISTED: usize = 3;
/// The prefixes that networks are given in, the shortest first: from those of a large provider, since in what is shorter
/// unrelated hosts meet by chance, to the longest that is routed between networks, and a site's (RFC 6177).
const PREFIX_LENGTHS: [(u8, u8); 9] =
    [(16, 32), (17, 34), (18, 36), (19, 38), (20, 40), (21, 42), (22, 44), (23, 46), (24, 48)];

/// One endpoint that fails, or works with something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The endpoint's index.
    pub index: usize,
    /// What its diagnosis says.
    pub finding: Finding,
    /// Who was asked when it failed.
    pub peer: Option<SocketAddr>,
    /// The DNS servers that did not resolve its name, each in the way that the finding tells.
    pub servers: Vec<SocketAddr>,
    /// The router that said that its peer cannot be reached.
    pub router: Option<IpAddr>,
    /// Whether the endpoint itself was not tested, because its name did not resolve.
    pub is_resolving: bool,
    /// When it began to fail, by the steady clock.
    pub since: Duration,
    /// Since when it is known to fail for this cause, by the same clock.
    pub noticed: Duration,
    /// Whether it failed again.
    pub is_confirmed: bool,
    /// Whether it comes and goes as many others do, too fast to be confirmed.
    pub comes_and_goes_with_others: bool,
}

/// The component that a group of failures shares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// This machine.
    Vm,
    /// Everything outside this network.
    Egress,
    /// The same but for few hosts, to which another way leads.
    MostOutside,
    /// A port, and how many hosts are watched there.
    Port(Port, usize),
    /// A class.
    Class(&'static str),
    /// The DNS servers that were all asked.
    Resolvers(Vec<IpAddr>),
    /// A zone of names, at the DNS servers that were all asked and resolve other names.
    Zone(String, Vec<IpAddr>),
    /// What a router on the way does not let pass.
    Router(IpAddr),
    /// All addresses of a prefix.
    Prefix(IpNet),
    /// A host.
    Host(Host),
    /// A server's address.
    Address(IpAddr),
    /// Single endpoints that have little more than the cause in common.
    Endpoints(Singles),
}

/// What single endpoints have in common beside the cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Singles {
    /// The port.
    Port(Port),
    /// Nothing: they are on several ports.
    Scattered,
    /// One name, and the DNS servers that do not resolve it.
    Name(String, Vec<IpAddr>),
    /// The DNS servers that do not resolve their names.
    Names(Vec<IpAddr>),
}

impl Component {
    /// How much is lost with it.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Vm => Scope::Vm,
            Self::Egress | Self::MostOutside => Scope::Egress,
            Self::Port(..) => Scope::Port,
            Self::Class(_) => Scope::Class,
            Self::Resolvers(_) | Self::Host(_) | Self::Address(_) | Self::Router(_) | Self::Prefix(_) => Scope::Host,
            Self::Zone(..) | Self::Endpoints(_) => Scope::Endpoint,
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vm => f.write_str("this machine"),
            Self::Egress => f.write_str("everything outside this network"),
            Self::MostOutside => f.write_str("almost everything outside this network"),
            Self::Port(port, 2) => write!(f, "{port} to both hosts"),
            Self::Port(port, _) => write!(f, "{port} to every host"),
            Self::Class(class) => write!(f, "the class {class}"),
            Self::Resolvers(servers) => f.write_str(&listed(servers)),
            Self::Zone(zone, servers) => write!(f, "the zone {zone} at {}", listed(servers)),
            Self::Router(address) => write!(f, "what lies behind the router {address}"),
            Self::Prefix(prefix) => write!(f, "the addresses in {prefix}"),
            Self::Host(host) => write!(f, "the host {host}"),
            Self::Address(address) => write!(f, "the address {address}"),
            Self::Endpoints(Singles::Port(port)) => write!(f, "single hosts on {port}"),
            Self::Endpoints(Singles::Scattered) => f.write_str("single hosts on several ports"),
            Self::Endpoints(Singles::Name(name, servers)) => write!(f, "the name {name} at {}", listed(servers)),
            Self::Endpoints(Singles::Names(servers)) => write!(f, "single names at {}", listed(servers)),
        }
    }
}

fn listed(servers: &[IpAddr]) -> String {
    let listed: Vec<String> = servers.iter().take(LISTED).map(ToString::to_string).collect();
    match &listed[..] {
        [only] => format!("the DNS server {only}"),
        [one, other] => format!("both DNS servers, {one} and {other}"),
        all if all.len() == servers.len() => format!("all {} DNS servers: {}", all.len(), all.join(", ")),
        some => {
            let (all, more) = (servers.len(), servers.len() - some.len());
            format!("all {all} DNS servers: {} and {more} more", some.join(", "))
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
    /// When the first of those began that broke with it.
    pub since: Duration,
}

/// Groups failures by the component they share. Every failure is in exactly one group. `grows` says of an endpoint that works
/// whether it is getting slow as well.
pub fn localise(failing: &[Failing], neighbourhood: &Neighbourhood, grows: &dyn Fn(usize) -> bool) -> Vec<Group> {
    let by_cause = collect(0..failing.len(), |number| Some(failing[number].finding.cause));
    let crowd = Crowd { failing, neighbourhood, grows, troubles: servers::troubles(failing, neighbourhood) };
    by_cause.into_iter().flat_map(|(cause, members)| crowd.groups(cause, members)).collect()
}

/// All failures and what surrounds them.
struct Crowd<'a> {
    failing: &'a [Failing],
    neighbourhood: &'a Neighbourhood,
    grows: &'a dyn Fn(usize) -> bool,
    /// What ails the endpoints at fixed addresses, DNS servers among them.
    troubles: BTreeMap<SocketAddr, BTreeSet<Cause>>,
}

impl Crowd<'_> {
    fn groups(&self, cause: Cause, members: Vec<usize>) -> Vec<Group> {
        if cause.is_local() || cause == Cause::NextHopDown {
            return vec![self.group(Component::Vm, members)];
        }
        if cause == Cause::DnsIntercepted {
            return vec![self.group(self.whole_port(Port::udp(53)), members)];
        }
        if follows_the_flow(cause) {
            return vec![self.group(self.reach_of(cause, &members), members)];
        }
        let others = self.others(cause, &members);
        let mut left = Left { numbers: members, younger: Vec::new(), others: &others };
        let turning = self.turning(&mut left.numbers);
        let mut groups: Vec<Group> = turning.into_iter().chain(self.resolvers(&mut left)).collect();
        groups.extend(self.every_server(&mut left.numbers));
        groups.extend(self.egress(&mut left));
        groups.extend(self.whole(
            &mut left,
            |index, _| Some(self.neighbourhood.port(index)),
            |port, here| {
                let hosts: BTreeSet<&Host> = here.witnesses.iter().map(|number| self.host(*number)).collect();
                let is_lost =
                    hosts.len() > 1 && !self.neighbourhood.works_on(*port, here.since, &self.indices(&here.members));
                is_lost.then(|| self.whole_port(*port))
            },
        ));
        // What several hosts share goes before a host: of those in a lost prefix one may have several ports.
        groups.extend(self.whole(
            &mut left,
            |_, failure| failure?.router,
            |router, here| (self.addresses(&here.witnesses).len() > 1).then_some(Component::Router(*router)),
        ));
        for lengths in PREFIX_LENGTHS {
            groups.extend(self.whole(
                &mut left,
                |index, _| self.neighbourhood.led_to(index).and_then(|address| prefix_of(address, lengths)),
                |prefix, here| {
                    let is_lost = self.addresses(&here.witnesses).len() >= PREFIX_ADDRESSES
                        && !self.neighbourhood.works_within(*prefix, here.since, &self.indices(&here.members));
                    let of_all = || common_prefix(&self.addresses(&here.members));
                    is_lost.then(|| Component::Prefix(of_all().unwrap_or(*prefix)))
                },
            ));
        }
        groups.extend(self.whole(
            &mut left,
            |index, _| Some(self.neighbourhood.endpoint(index).target.host.clone()),
            |host, here| {
                let is_lost = here.witnesses.len() > 1
                    && !self.neighbourhood.works_at(host, here.since, &self.indices(&here.members));
                is_lost.then(|| Component::Host(host.clone()))
            },
        ));
        groups.extend(self.whole(
            &mut left,
            |index, _| self.neighbourhood.led_to(index),
            |address, here| {
                let is_lost = here.witnesses.len() > 1
                    && !self.neighbourhood.works_at_address(*address, here.since, &self.indices(&here.members));
                is_lost.then_some(Component::Address(*address))
            },
        ));
        for (port, members) in collect(left.numbers, |number| Some(self.port(number))) {
            let singles = self.part_pending(members).into_iter().filter(|members| !members.is_empty());
            groups.extend(singles.map(|members| self.group(Component::Endpoints(Singles::Port(port)), members)));
        }
        groups
    }

    fn group(&self, component: Component, members: Vec<usize>) -> Group {
        let since = self.since(&members);
        Group { component, members, since }
    }

    /// Takes out what comes and goes for many, where what works in between shows nothing better, and with it what fails
    /// within the same component since.
    fn turning(&self, left: &mut Vec<usize>) -> Option<Group> {
        let mut members = take(left, |number| self.failing[*number].comes_and_goes_with_others);
        let component = (!members.is_empty()).then(|| self.reach(&members))?;
        let since = self.since(&members);
        members.extend(take(left, |number| {
            let is_within = match &component {
                Component::Egress => self.is_outside(*number),
                Component::Port(port, _) => self.port(*number) == *port,
                Component::Host(host) => self.host(*number) == host,
                _ => false,
            };
            is_within && self.failing[*number].since >= since
        }));
        Some(self.group(component, members))
    }

    /// Takes out the failures that have something in common of which `component` says that it is lost as a whole, given
    /// those failures. What an endpoint has, `key` says by its index.
    fn whole<K: Ord>(
        &self,
        left: &mut Left<'_>,
        key: impl Fn(usize, Option<&Failing>) -> Option<K>,
        component: impl Fn(&K, &Here) -> Option<Component>,
    ) -> Vec<Group> {
        let of = |number: usize| key(self.failing[number].index, Some(&self.failing[number]));
        let younger = collect(left.younger.iter().copied(), of);
        let others = collect(left.others.iter().copied(), |index| key(index, None));
        let (mut groups, mut found) = (Vec::new(), Vec::new());
        for (key, members) in collect(left.numbers.iter().copied(), of) {
            let works = |since| {
                younger.get(&key).is_some_and(|younger| self.any_worked(younger, since))
                    || others.get(&key).is_some_and(|others| self.any_has_worked(others, since))
            };
            let is_lost = |here: &Here| component(&key, here).filter(|_| !works(here.since));
            if let Some((component, here)) = self.broken(&members, is_lost) {
                groups.push(Group { component, since: here.since, members: here.members.clone() });
                found.push(here);
            }
        }
        left.explain(&found);
        groups
    }

    /// The endpoints behind these failures.
    fn indices(&self, numbers: &[usize]) -> BTreeSet<usize> {
        numbers.iter().map(|number| self.failing[*number].index).collect()
    }

    fn addresses(&self, numbers: &[usize]) -> BTreeSet<IpAddr> {
        numbers.iter().filter_map(|number| self.address(*number)).collect()
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
        self.was_outside(self.failing[number].index)
    }

    /// Whether an endpoint lies outside, or did when its name resolved.
    fn was_outside(&self, index: usize) -> bool {
        self.neighbourhood.lies_outside(self.neighbourhood.led_to(index))
    }

    fn since(&self, members: &[usize]) -> Duration {
        members.iter().map(|number| self.failing[*number].since).min().unwrap_or_default()
    }

    /// Takes out the failures outside, where nothing there works but what another way leads to.
    fn egress(&self, left: &mut Left<'_>) -> Option<Group> {
        let outside = |numbers: &[usize]| -> Vec<usize> {
            numbers.iter().copied().filter(|number| self.is_outside(*number)).collect()
        };
        let others: Vec<usize> = left.others.iter().copied().filter(|index| self.was_outside(*index)).collect();
        let younger = outside(&left.younger);
        let have_worked = |since: Duration| -> BTreeSet<usize> {
            let younger = younger.iter().filter(|number| self.any_worked(&[**number], since));
            let others = others.iter().filter(|index| self.any_has_worked(&[**index], since));
            younger.map(|number| self.failing[*number].index).chain(others.copied()).collect()
        };
        let is_lost = |here: &Here| {
            let ports: BTreeSet<Port> = here.witnesses.iter().map(|number| self.port(*number)).collect();
            let are_enough = here.witnesses.len() >= EGRESS_FAILURES && ports.len() > 1;
            are_enough.then(|| self.lost_outside(here, have_worked(here.since)))?
        };
        let (component, here) = self.broken(&outside(&left.numbers), is_lost)?;
        left.explain(std::slice::from_ref(&here));
        Some(Group { component, members: here.members, since: here.since })
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
    matches!(cause, Cause::FlowHashLoss | Cause::FlowTableFull | Cause::PacketLoss | Cause::Slow | Cause::MtuBlackhole)
}

/// The network of such a length that an address lies in.
fn prefix_of(address: IpAddr, (v4, v6): (u8, u8)) -> Option<IpNet> {
    Some(match address {
        IpAddr::V4(address) => Ipv4Net::new(address, v4).ok()?.trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new(address, v6).ok()?.trunc().into(),
    })
}

/// The longest of those networks that holds all these addresses.
fn common_prefix(addresses: &BTreeSet<IpAddr>) -> Option<IpNet> {
    let of = |lengths: &(u8, u8)| {
        let prefixes: Option<BTreeSet<IpNet>> = addresses.iter().map(|address| prefix_of(*address, *lengths)).collect();
        prefixes.filter(|prefixes| prefixes.len() == 1)?.pop_first()
    };
    PREFIX_LENGTHS.iter().rev().find_map(of)
}

fn take(left: &mut Vec<usize>, wanted: impl Fn(&usize) -> bool) -> Vec<usize> {
    let (taken, kept) = left.iter().partition(|number| wanted(number));
    *left = kept;
    taken
}

#[cfg(test)]
#[path = "localise_tests.rs"]
mod tests;
