//! What this machine says about itself as JSON. A fact is null where there is none or it cannot be read; `hidden` tells
//! the second case apart.

use std::net::IpAddr;

use ase_probes::local_facts::{LocalFacts, NextHop, Usage};
use serde::Serialize;

/// The facts about the way to the platform's own address.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MachineEntry<'a> {
    link_up: Option<bool>,
    port_range: Option<(u16, u16)>,
    files: Option<UsageEntry>,
    tracked_flows: Option<UsageEntry>,
    tcp_sockets: Option<u64>,
    tcp_waiting: Option<u64>,
    udp_sockets: Option<u64>,
    source: Option<IpAddr>,
    next_hop: Option<HopEntry<'a>>,
    neighbour_answered: Option<bool>,
    hidden: Vec<HiddenEntry>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct UsageEntry {
    used: u64,
    limit: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct HopEntry<'a> {
    device: &'a str,
    address: IpAddr,
}

#[derive(Clone, Debug, Serialize)]
struct HiddenEntry {
    fact: &'static str,
    reason: String,
}

impl<'a> MachineEntry<'a> {
    /// The entry of these facts.
    pub(super) fn of(facts: &'a LocalFacts) -> Self {
        Self {
            link_up: facts.link.ok(),
            port_range: facts.port_range.ok().map(|range| (range.first, range.last)),
            files: facts.files.ok().map(UsageEntry::from),
            tracked_flows: facts.tracked_flows.ok().map(UsageEntry::from),
            tcp_sockets: facts.tcp_sockets.ok(),
            tcp_waiting: facts.tcp_waiting.ok(),
            udp_sockets: facts.udp_sockets.ok(),
            source: facts.source.ok().and_then(Result::ok),
            next_hop: facts.next_hop.as_ref().ok().map(HopEntry::from),
            neighbour_answered: facts.neighbour.ok().map(|neighbour| neighbour.answered),
            hidden: facts
                .hidden()
                .into_iter()
                .map(|(fact, why)| HiddenEntry { fact, reason: why.to_string() })
                .collect(),
        }
    }
}

impl From<Usage> for UsageEntry {
    fn from(Usage { used, limit }: Usage) -> Self {
        Self { used, limit }
    }
}

impl<'a> From<&'a NextHop> for HopEntry<'a> {
    fn from(hop: &'a NextHop) -> Self {
        Self { device: &hop.device, address: hop.address }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_sandbox_hides_is_listed_and_what_is_not_there_is_not() {
        let snapshot = crate::sample::snapshot();
        let entry = serde_json::to_value(MachineEntry::of(&snapshot.machine)).expect("plain structs serialise");
        let hidden = |fact: &str| json!({"fact": fact, "reason": "address family not supported by protocol"});
        assert_eq!(
            entry["hidden"],
            json!([hidden("the route"), hidden("the link state"), hidden("the neighbour table")])
        );
        assert_eq!((&entry["link_up"], &entry["tracked_flows"]), (&json!(null), &json!(null)));
        assert_eq!(entry["files"], json!({"used": 23, "limit": 16_384}));
        assert_eq!(entry["port_range"], json!([32_768, 60_999]));
    }
}
