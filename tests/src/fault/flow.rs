//! Flows: which packets belong together, when a flow began, when it was last seen, and whether it has ended.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::{
    packet::{Kind, View, flags},
    rules::Direction,
};

/// A UDP flow that says nothing for so long has ended.
const UDP_LIFE: Duration = Duration::from_secs(30);

/// The guest's half and the far half of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Whether it is TCP; the rest is UDP, and ICMP with ports 0.
    pub is_tcp: bool,
    /// The far end.
    pub host: IpAddr,
    /// Its port.
    pub port: u16,
    /// The guest's port.
    pub guest_port: u16,
}

impl Flow {
    /// The flow of a packet that goes this way.
    pub(super) fn of(direction: Direction, view: &View) -> Self {
        let is_tcp = matches!(view.kind, Kind::Tcp { .. });
        let (host, port, guest_port) = match direction {
            Direction::Out => (view.destination, view.destination_port, view.source_port),
            Direction::In => (view.source, view.source_port, view.destination_port),
        };
        Self { is_tcp, host, port, guest_port }
    }
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) begun: Duration,
    /// When its packet before the present one came.
    pub(super) before: Duration,
    last: Duration,
    has_fin: [bool; 2],
    ended: Option<Duration>,
}

/// Every flow seen so far.
#[derive(Debug, Default)]
pub(super) struct Flows(BTreeMap<Flow, Record>);

impl Flows {
    /// Notes a packet.
    pub(super) fn note(&mut self, now: Duration, direction: Direction, flow: Flow, view: &View) -> Record {
        let flags = if let Kind::Tcp { flags, .. } = view.kind { flags } else { 0 };
        let opens = direction == Direction::Out && flags & flags::SYN != 0;
        let fresh = Record { begun: now, before: now, last: now, has_fin: [false; 2], ended: None };
        let record = self.0.entry(flow).or_insert(fresh);
        if (opens && record.ended.is_some()) || (!flow.is_tcp && now.saturating_sub(record.last) > UDP_LIFE) {
            *record = fresh;
        }
        record.before = std::mem::replace(&mut record.last, now);
        if flags & flags::FIN != 0 {
            record.has_fin[usize::from(direction == Direction::In)] = true;
        }
        if flags & flags::RST != 0 || record.has_fin == [true; 2] {
            record.ended.get_or_insert(now);
        }
        *record
    }

    /// When a flow ended: for UDP, when it was last heard of.
    pub(super) fn ended(&self, flow: &Flow) -> Option<Duration> {
        let record = self.0.get(flow)?;
        if flow.is_tcp { record.ended } else { Some(record.last) }
    }
}
