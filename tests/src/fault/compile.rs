//! Rules made ready: names become addresses, words become ranges, and what is wrong is named with its key and value.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use anyhow::{Context, Result, anyhow, ensure};

use super::{
    dice::hash,
    flow::Flow,
    packet::{Kind, View, flags, in_v6, server_name},
    rules::{Action, Direction, Match, Protocol, Rule, SegmentKind},
};

/// Finds the address of a name that the lab serves.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<IpAddr>;

/// A set of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    /// The first bits of the address, with those of IPv4 in IPv6's writing.
    Prefix(u128, u128),
    /// All but the virtual network and the platform.
    Internet,
}

impl Net {
    fn holds(self, address: IpAddr) -> bool {
        match self {
            Self::Prefix(net, mask) => u128::from(in_v6(address)) & mask == net,
            Self::Internet => !is_near(address),
        }
    }
}

/// Whether an address lies in the virtual network or is the platform's: no appliance stands before those.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4 == Ipv4Addr::new(168, 63, 129, 16),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast(),
    }
}

/// Whether nobody can be at an address (RFC 5737, RFC 3849): packets there vanish at the end of the path.
pub(super) fn is_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [192, 0, 2],
        IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0xdb8],
    }
}

/// A rule made ready.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) rule: Rule,
    hosts: Vec<Net>,
    not_hosts: Vec<Net>,
    ports: Vec<RangeInclusive<u16>>,
    guest_ports: Vec<RangeInclusive<u16>>,
    /// Where a redirection leads.
    pub(super) target: Option<IpAddr>,
    /// Packets that matched all but `first` and `after`.
    matched: u64,
}

/// A packet with all that rules ask about it.
pub(super) struct Seen<'a> {
    pub(super) direction: Direction,
    pub(super) bytes: &'a [u8],
    pub(super) view: &'a View,
    pub(super) flow: Flow,
    /// Whether the flow began after the rules came into force.
    pub(super) is_new: bool,
    pub(super) seed: u64,
}

impl Ready {
    pub(super) fn new(index: usize, rule: &Rule, lookup: Lookup<'_>) -> Result<Self> {
        let keys = &rule.r#match;
        let at = |key: &str| format!("box[{index}].{key}");
        let hosts = |key: &str, words: &[String]| -> Result<Vec<Net>> {
            words.iter().map(|word| net(word, lookup)).collect::<Result<_>>().with_context(|| at(key))
        };
        let ranges = |key: &str, words: &[String]| -> Result<Vec<RangeInclusive<u16>>> {
            words.iter().map(|word| ports(word)).collect::<Result<_>>().with_context(|| at(key))
        };
        let target = if let Action::Redirect { to } = &rule.r#do {
            Some(address(to, lookup).with_context(|| at("do.redirect.to"))?)
        } else {
            None
        };
        check(keys, &rule.r#do).with_context(|| format!("box[{index}]"))?;
        Ok(Self {
            rule: rule.clone(),
            hosts: hosts("match.host", &keys.host)?,
            not_hosts: hosts("match.not-host", &keys.not_host)?,
            ports: ranges("match.port", &keys.port)?,
            guest_ports: ranges("match.guest-port", &keys.guest_port)?,
            target,
            matched: 0,
        })
    }

    /// Whether the packet is one of this rule's; counts it if so.
    pub(super) fn applies(&mut self, seen: &Seen<'_>) -> bool {
        if !self.is_of(seen) {
            return false;
        }
        self.matched += 1;
        let keys = &self.rule.r#match;
        keys.first.is_none_or(|first| self.matched <= first) && keys.after.is_none_or(|after| self.matched > after)
    }

    fn is_of(&self, seen: &Seen<'_>) -> bool {
        let (keys, flow) = (&self.rule.r#match, &seen.flow);
        let payload = || seen.bytes.get(seen.view.payload.clone()).unwrap_or_default();
        keys.direction.is_none_or(|direction| direction == seen.direction)
            && keys.protocol.is_none_or(|protocol| Some(protocol) == protocol_of(seen.view.kind))
            && (self.hosts.is_empty() || self.hosts.iter().any(|net| net.holds(flow.host)))
            && !self.not_hosts.iter().any(|net| net.holds(flow.host))
            && (self.ports.is_empty() || self.ports.iter().any(|range| range.contains(&flow.port)))
            && (self.guest_ports.is_empty() || self.guest_ports.iter().any(|range| range.contains(&flow.guest_port)))
            && keys.segment.is_none_or(|kind| Some(kind) == segment_of(seen.view))
            && keys.longer_than.is_none_or(|length| seen.bytes.len() > length)
            && keys.shorter_than.is_none_or(|length| seen.bytes.len() < length)
            && (!keys.fragment || seen.view.is_fragment)
            && (!keys.new_flows || seen.is_new)
            && keys.flow_share.is_none_or(|share| hash(seen.seed, flow) * 100.0 < share)
            && (keys.sni.is_empty() || server_name(payload()).is_some_and(|name| is_among(name, &keys.sni)))
            && keys.holds.as_ref().is_none_or(|text| holds(payload(), text.as_bytes()))
    }
}

/// What is wrong beyond the shape of a rule.
fn check(keys: &Match, action: &Action) -> Result<()> {
    let percent = |key: &str, value: Option<f64>| {
        let wrong = value.filter(|value| !(0.0..=100.0).contains(value));
        wrong.map_or(Ok(()), |value| Err(anyhow!("{key} ({value}) must be a number of percent from 0 to 100")))
    };
    percent("match.flow-share", keys.flow_share)?;
    if let Action::Lose(value) | Action::Reorder { percent: value, .. } | Action::Corrupt { percent: value, .. } =
        action
    {
        percent("percent", Some(*value))?;
    }
    let is_about_tcp = matches!(action, Action::Accept { .. } | Action::Reset { .. });
    ensure!(!is_about_tcp || keys.protocol == Some(Protocol::Tcp), "accept and reset need match.protocol to be tcp");
    let is_about_replies = matches!(action, Action::ReplyFrom(_));
    ensure!(!is_about_replies || keys.direction == Some(Direction::In), "reply-from needs match.direction to be in");
    Ok(())
}

fn address(word: &str, lookup: Lookup<'_>) -> Result<IpAddr> {
    let parsed = word.parse().ok().or_else(|| lookup(word));
    parsed.ok_or_else(|| anyhow!("host ({word}) must be an address or a name that the lab serves"))
}

fn net(word: &str, lookup: Lookup<'_>) -> Result<Net> {
    if word == "internet" {
        return Ok(Net::Internet);
    }
    let Some((start, length)) = word.split_once('/') else {
        return address(word, lookup).map(|address| Net::Prefix(in_v6(address).into(), u128::MAX));
    };
    let start: Option<IpAddr> = start.parse().ok();
    let width = start.map_or(0, |start| if start.is_ipv4() { 32 } else { 128 });
    let parts = start.zip(length.parse::<u32>().ok().filter(|length| *length <= width));
    let (start, length) =
        parts.ok_or_else(|| anyhow!("prefix ({word}) must be an address and a length up to 32, or 128 of IPv6"))?;
    let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
    Ok(Net::Prefix(u128::from(in_v6(start)) & mask, mask))
}

fn ports(word: &str) -> Result<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let range = first.parse().ok().zip(last.parse().ok()).filter(|(first, last)| first <= last);
    let (first, last) =
        range.ok_or_else(|| anyhow!("port ({word}) must be a number up to 65535, or a range like 11000-11999"))?;
    Ok(first..=last)
}

fn protocol_of(kind: Kind) -> Option<Protocol> {
    match kind {
        Kind::Tcp { .. } => Some(Protocol::Tcp),
        Kind::Udp => Some(Protocol::Udp),
        Kind::Icmp => Some(Protocol::Icmp),
        Kind::Other => None,
    }
}

fn segment_of(view: &View) -> Option<SegmentKind> {
    let Kind::Tcp { flags, .. } = view.kind else { return None };
    let has = |flag: u8| flags & flag != 0;
    Some(match () {
        () if has(flags::RST) => SegmentKind::Rst,
        () if has(flags::SYN) && has(flags::ACK) => SegmentKind::SynAck,
        () if has(flags::SYN) => SegmentKind::Syn,
        () if has(flags::FIN) => SegmentKind::Fin,
        () if !view.payload.is_empty() => SegmentKind::Data,
        () => SegmentKind::Ack,
    })
}

fn is_among(name: &str, words: &[String]) -> bool {
    words.iter().any(|word| match word.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name == word,
    })
}

fn holds(payload: &[u8], text: &[u8]) -> bool {
    payload.windows(text.len().max(1)).any(|window| window == text)
}
