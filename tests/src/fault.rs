//! A faulty path as a pure function: a packet and the time go in, packets with delays come out. It has no clock and no
//! socket, and its chance is seeded, so that every run is the same.

mod actions;
mod compile;
mod dice;
mod flow;
mod interloper;
pub mod packet;
pub mod rules;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::Result;

pub use self::{compile::Lookup, flow::Flow};
use self::{
    compile::{Ready, Seen, is_near, is_nowhere},
    dice::Dice,
    flow::Flows,
    interloper::{Interloper, Verdict},
    packet::{Kind, View},
    rules::{Action, Direction, From, Path, Rule, Then},
};

/// The hop of an appliance, where most faults happen.
const APPLIANCE: u8 = 2;
/// The port of time servers.
const NTP: u16 = 123;
/// The first router: the gateway of the guest's subnet.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 53, 1, 1);
/// The appliance.
const APPLIANCE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 53, 2, 4);
/// The first router's address of IPv6.
const GATEWAY_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x53, 1, 0, 0, 0, 0, 1);
/// The appliance's address of IPv6.
const APPLIANCE_ADDRESS_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x53, 2, 0, 0, 0, 0, 4);

/// A packet that leaves the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// How long after the packet that caused it.
    pub after: Duration,
    /// Which way it goes.
    pub direction: Direction,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// Packets and bytes that the box was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes with the IP header.
    pub bytes: u64,
}

/// A path with faults.
#[derive(Debug)]
pub struct Engine {
    path: Path,
    rules: Vec<Ready>,
    /// When the rules came into force.
    since: Duration,
    dice: Dice,
    flows: Flows,
    interloper: Interloper,
    /// By the flow as the servers see it: the host that the guest asked.
    redirected: BTreeMap<Flow, IpAddr>,
    /// Per rule: the flows that it keeps a place for, or has forgotten.
    tables: Vec<BTreeSet<Flow>>,
    /// Per rule: when its token bucket is full of waiting bytes no more.
    busy_until: Vec<Duration>,
    counts: BTreeMap<(&'static str, u16), Count>,
    /// When each time server was asked.
    asked: BTreeMap<IpAddr, Vec<Duration>>,
}

impl Engine {
    /// A path with these rules.
    ///
    /// # Errors
    /// The first rule that makes no sense, with its key and value.
    pub fn new(path: Path, rules: &[Rule], lookup: Lookup<'_>) -> Result<Self> {
        let mut engine = Self {
            path,
            rules: Vec::new(),
            since: Duration::ZERO,
            dice: Dice(path.seed),
            flows: Flows::default(),
            interloper: Interloper::default(),
            redirected: BTreeMap::new(),
            tables: Vec::new(),
            busy_until: Vec::new(),
            counts: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        engine.set_rules(Duration::ZERO, rules, lookup)?;
        Ok(engine)
    }

    /// Puts other rules into force; flows live on.
    ///
    /// # Errors
    /// The first rule that makes no sense, with its key and value; the former ones stay in force.
    pub fn set_rules(&mut self, now: Duration, rules: &[Rule], lookup: Lookup<'_>) -> Result<()> {
        let ready = rules.iter().enumerate().map(|(index, rule)| Ready::new(index, rule, lookup));
        self.rules = ready.collect::<Result<_>>()?;
        self.since = now;
        self.tables = vec![BTreeSet::new(); rules.len()];
        self.busy_until = vec![Duration::ZERO; rules.len()];
        Ok(())
    }

    /// What the box was given so far, by protocol and far port.
    pub fn counts(&self) -> &BTreeMap<(&'static str, u16), Count> {
        &self.counts
    }

    /// When a time server was asked, whether or not the question reached it, since the start.
    pub fn asked(&self, server: IpAddr) -> &[Duration] {
        self.asked.get(&server).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes a packet that goes this way, at this time since the start.
    pub fn take(&mut self, now: Duration, direction: Direction, bytes: &[u8]) -> Vec<Emission> {
        let Some(view) = View::of(bytes) else { return Vec::new() };
        self.count(direction, &view, bytes.len());
        if direction == Direction::Out && view.kind == Kind::Udp && view.destination_port == NTP {
            self.asked.entry(view.destination).or_default().push(now);
        }
        match direction {
            Direction::Out => self.outwards(now, view, bytes.to_vec()),
            Direction::In => self.inwards(now, view, bytes.to_vec()),
        }
    }

    fn count(&mut self, direction: Direction, view: &View, length: usize) {
        let protocol = match view.kind {
            Kind::Tcp { .. } => "tcp",
            Kind::Udp => "udp",
            Kind::Icmp => "icmp",
            Kind::Other => "other",
        };
        let count = self.counts.entry((protocol, Flow::of(direction, view).port)).or_default();
        count.packets += 1;
        count.bytes += length as u64;
    }

    fn outwards(&mut self, now: Duration, view: View, bytes: Vec<u8>) -> Vec<Emission> {
        let flow = Flow::of(Direction::Out, &view);
        let distance = self.distance(flow.host);
        // The appliance's rules see what reaches it; a packet may die before.
        if view.hop_limit < APPLIANCE.min(distance) {
            return self.expired(&view, &bytes);
        }
        let record = self.flows.note(now, Direction::Out, flow, &view);
        if self.interloper.owns(&flow) {
            let payload = bytes.get(view.payload.clone()).unwrap_or_default();
            let (hop, segments) = self.interloper.answer(&flow, &view, payload).unwrap_or_default();
            return self.to_guest(hop, segments);
        }
        let passage = self.apply(now, Direction::Out, flow, record, view.clone(), bytes);
        let mut out = passage.emissions;
        if is_nowhere(flow.host) && passage.redirect.is_none() && view.hop_limit > distance {
            return out;
        }
        for (delay, mut bytes) in passage.passing {
            if view.hop_limit <= distance {
                out.extend(self.expired(&view, &bytes));
                continue;
            }
            packet::set_hop_limit(&mut bytes, view.hop_limit - distance);
            match self.interloper.outwards(&flow, &view, bytes) {
                Verdict::Pass(bytes) => out.push(self.to_server(distance, delay, passage.redirect, bytes)),
                Verdict::Answer(hop, segments) => out.extend(self.to_guest(hop, segments)),
                Verdict::Forward(segments) => {
                    out.extend(segments.into_iter().map(|bytes| self.to_server(distance, delay, None, bytes)));
                }
            }
        }
        out
    }

    fn inwards(&mut self, now: Duration, mut view: View, mut bytes: Vec<u8>) -> Vec<Emission> {
        let mut flow = Flow::of(Direction::In, &view);
        let mut distance = self.distance(flow.host);
        if let Some(asked) = self.redirected.get(&flow) {
            distance = distance.max(APPLIANCE);
            packet::set_source(&mut bytes, *asked);
            (view.source, flow.host) = (*asked, *asked);
        }
        if view.hop_limit <= distance {
            return Vec::new();
        }
        packet::set_hop_limit(&mut bytes, view.hop_limit - distance);
        let record = self.flows.note(now, Direction::In, flow, &view);
        let bytes = match self.interloper.inwards(&flow, &view, bytes) {
            Verdict::Pass(bytes) => bytes,
            Verdict::Answer(hop, segments) => return self.to_guest(hop, segments),
            Verdict::Forward(segments) => {
                return segments
                    .into_iter()
                    .map(|bytes| self.to_server(distance, Duration::ZERO, None, bytes))
                    .collect();
            }
        };
        let Some(view) = View::of(&bytes) else { return Vec::new() };
        let passage = self.apply(now, Direction::In, flow, record, view, bytes);
        let mut out = passage.emissions;
        out.extend(passage.passing.into_iter().map(|(delay, bytes)| Emission {
            after: self.round_trip(distance) / 2 + delay,
            direction: Direction::In,
            bytes,
        }));
        out
    }

    /// Routers between the guest and a host.
    fn distance(&self, host: IpAddr) -> u8 {
        if is_near(host) { 1 } else { self.path.hops }
    }

    /// The time to a hop and back; the peer itself counts as the last one.
    fn round_trip(&self, hop: u8) -> Duration {
        self.path.rtt.0 * u32::from(hop) / u32::from(self.path.hops.max(1))
    }

    /// The address of the router at a hop, in the version of the packet's destination.
    fn router(hop: u8, destination: IpAddr) -> IpAddr {
        match (hop, destination) {
            (0 | 1, IpAddr::V4(_)) => GATEWAY.into(),
            (APPLIANCE, IpAddr::V4(_)) => APPLIANCE_ADDRESS.into(),
            (hop, IpAddr::V4(_)) => Ipv4Addr::new(198, 51, 100, hop).into(),
            (0 | 1, IpAddr::V6(_)) => GATEWAY_6.into(),
            (APPLIANCE, IpAddr::V6(_)) => APPLIANCE_ADDRESS_6.into(),
            (hop, IpAddr::V6(_)) => Ipv6Addr::new(0x2001, 2, 0, 0xffff, 0, 0, 0, hop.into()).into(),
        }
    }

    /// What the router says where a packet's hops end.
    fn expired(&self, view: &View, bytes: &[u8]) -> Vec<Emission> {
        let expired = if view.destination.is_ipv4() { (11, 0) } else { (3, 0) };
        let error = packet::icmp_error(Self::router(view.hop_limit, view.destination), expired, 0, bytes);
        self.to_guest(view.hop_limit, error.into_iter().collect())
    }

    /// Packets that were made at a hop, or by the peer one beyond the last, on their way to the guest.
    fn to_guest(&self, hop: u8, packets: Vec<Vec<u8>>) -> Vec<Emission> {
        let after = self.round_trip(hop.min(self.path.hops));
        let passed = hop.saturating_sub(1);
        packets
            .into_iter()
            .map(|mut bytes| {
                let hops = packet::hop_limit(&bytes).saturating_sub(passed);
                packet::set_hop_limit(&mut bytes, hops);
                Emission { after, direction: Direction::In, bytes }
            })
            .collect()
    }

    fn to_server(&self, distance: u8, delay: Duration, redirect: Option<IpAddr>, mut bytes: Vec<u8>) -> Emission {
        let mut distance = distance;
        if let Some(target) = redirect {
            packet::set_destination(&mut bytes, target);
            distance = self.distance(target).max(APPLIANCE);
        }
        Emission { after: self.round_trip(distance) / 2 + delay, direction: Direction::Out, bytes }
    }

    /// The hop where something is made; the peer itself is one beyond the last.
    fn hop(&self, hop: Option<u8>, host: IpAddr) -> u8 {
        hop.unwrap_or(APPLIANCE).min(self.distance(host) + 1)
    }

    /// The hop that a packet must reach before an action can befall it.
    fn reach(&self, action: &Action, host: IpAddr) -> u8 {
        match action {
            Action::Reset { hop, .. } | Action::Accept { hop, .. } => self.hop(*hop, host),
            Action::Icmp { from: Some(From::Hop(hop)), .. } => self.hop(Some(*hop), host),
            Action::Icmp { from: Some(From::Destination), .. } => self.distance(host) + 1,
            Action::Icmp { .. }
            | Action::Drop
            | Action::Pass
            | Action::Delay { .. }
            | Action::Lose(_)
            | Action::Duplicate { .. }
            | Action::Reorder { .. }
            | Action::Corrupt { .. }
            | Action::ReplyFrom(_)
            | Action::Redirect { .. }
            | Action::Mtu { .. }
            | Action::Nat { .. }
            | Action::Sessions { .. }
            | Action::Idle { .. }
            | Action::Rate { .. }
            | Action::ForgeDns { .. } => APPLIANCE.min(self.distance(host)),
        }
    }
}

/// What the rules made of a packet.
#[derive(Debug, Default)]
struct Passage {
    /// What passes, each with its delay.
    passing: Vec<(Duration, Vec<u8>)>,
    /// What was made on the way.
    emissions: Vec<Emission>,
    /// Where it is sent instead.
    redirect: Option<IpAddr>,
}
