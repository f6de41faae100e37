//! Who works where since a moment: on a port, at a host or an address, within a prefix, outside.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Verdict};
use ipnet::IpNet;

use super::{Last, Neighbourhood};
use crate::{
    model::{catalog::Host, visit::Visit},
    net::{address::is_private, port::Port},
};

/// Addresses of an endpoint that are known to be right: more than a name leads to in turn.
const RIGHT: usize = 16;

/// Where the peer itself proved in a visit that it is there: a bare accept is no proof.
pub(super) fn proved(visit: &Visit) -> Vec<IpAddr> {
    let healthy = visit.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Healthy);
    let proved = healthy.filter(|outcome| !outcome.is_bare_accept());
    proved.map(|outcome| outcome.address.ip()).take(RIGHT).collect()
}

impl Last {
    /// What a visit showed, with what those before it showed and it did not.
    pub(super) fn after(self, before: &Self) -> Self {
        let mut right = self.right;
        let earlier = before.right.iter().filter(|address| !right.contains(address)).copied();
        let earlier: Vec<IpAddr> = earlier.take(RIGHT.saturating_sub(right.len())).collect();
        right.extend(earlier);
        Self {
            worked: self.worked.or(before.worked),
            flaw: if self.worked.is_some() { self.flaw } else { before.flaw },
            right,
            led_to: self.address.or(before.led_to),
            sizes: self.sizes.after(before.sizes),
            ..self
        }
    }
}

impl Neighbourhood {
    /// Notes what is wrong with an endpoint, if it works nevertheless.
    pub fn note_flaw(&mut self, index: usize, cause: Cause) {
        if let Some(last) = self.places[index].last.as_mut().filter(|last| last.worked == Some(last.began)) {
            last.flaw = Some(cause);
        }
    }

    /// What was wrong with an endpoint when it worked last.
    pub fn flaw(&self, index: usize) -> Option<Cause> {
        self.places[index].last.as_ref()?.flaw
    }

    /// Whether an endpoint lies outside this network, as far as its latest address tells.
    pub fn is_outside(&self, index: usize) -> bool {
        self.lies_outside(self.address(index))
    }

    /// Whether an address lies outside this network; one that nobody knows is taken to.
    pub fn lies_outside(&self, address: Option<IpAddr>) -> bool {
        address.is_none_or(|address| !is_private(address) && address != self.platform)
    }

    /// The endpoints outside this network that work since then.
    pub fn working_outside(&self, since: Duration) -> impl Iterator<Item = usize> {
        self.outside.works.since(since)
    }

    /// The endpoints on a port that work since then.
    pub fn working_on(&self, port: Port, since: Duration) -> impl Iterator<Item = usize> {
        self.ports.get(&port).into_iter().flat_map(move |group| group.all.works.since(since))
    }

    /// How many hosts are watched on a port.
    pub fn hosts_on(&self, port: Port) -> usize {
        self.ports.get(&port).map_or(0, |group| group.hosts)
    }

    /// Whether any endpoint on a port works since then, but these: one that works with the same thing wrong shows nothing
    /// better.
    pub fn works_on(&self, port: Port, since: Duration, but: &BTreeSet<usize>) -> bool {
        self.ports.get(&port).is_some_and(|group| group.all.works_but(since, but))
    }

    /// Whether any endpoint of a host works since then, but these.
    pub fn works_at(&self, host: &Host, since: Duration, but: &BTreeSet<usize>) -> bool {
        self.host_numbers.get(host).is_some_and(|number| self.hosts[*number].works_but(since, but))
    }

    /// Whether any endpoint that was reached at an address works since then, but these.
    pub fn works_at_address(&self, address: IpAddr, since: Duration, but: &BTreeSet<usize>) -> bool {
        self.addresses.get(&address).is_some_and(|group| group.works_but(since, but))
    }

    /// Whether any endpoint that was reached within a prefix works since then, but these.
    pub fn works_within(&self, prefix: IpNet, since: Duration, but: &BTreeSet<usize>) -> bool {
        let within = self.addresses.range(prefix.network()..=prefix.broadcast());
        within.into_iter().any(|(_, group)| group.works_but(since, but))
    }

    /// The endpoints that fail since then, whatever stands in their way.
    pub fn failing(&self, since: Duration) -> impl Iterator<Item = usize> {
        self.failed.since(since)
    }

    /// The address that an endpoint has, or had when its name resolved.
    pub fn led_to(&self, index: usize) -> Option<IpAddr> {
        self.address(index).or_else(|| self.places[index].last.as_ref()?.led_to)
    }

    /// Whether an endpoint's latest visit found no address for its name.
    pub fn is_unresolved(&self, index: usize) -> bool {
        self.address(index).is_none()
    }

    /// Whether a DNS server resolved a name since then.
    pub fn resolves(&self, server: SocketAddr, since: Duration) -> bool {
        self.servers.get(&server).is_some_and(|moments| moments.any_since(since))
    }
}
