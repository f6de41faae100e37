//! The values behind some series. It knows no exposition format.

use std::{collections::BTreeMap, net::SocketAddr};

use ase_probes::{
    dns::Transport,
    ntp::Packet,
    outcome::{Outcome, Protocol},
    verdict::Phase,
};

use crate::{
    engine::snapshot::{ClassView, Snapshot},
    model::{
        catalog::{Endpoint, Host, Severity},
        endpoint::{EndpointView, Status},
    },
};

/// Whether the endpoint could not be tested.
pub(super) fn is_unknown(view: &EndpointView) -> bool {
    matches!(view.status, Status::Unknown(_))
}

/// The confirmed state. While it is unknown, the reach register remembers the last one: an endpoint counts as lost when
/// its last two conclusive visits failed, as in the confirmation of a failure.
pub(super) fn is_good(view: &EndpointView) -> bool {
    match view.status {
        Status::Healthy | Status::Degraded(_) => true,
        Status::Failed(_) => false,
        Status::Unknown(_) => view.reach & 0b11 != 0,
    }
}

/// The kernel's round trip of the last visit in seconds, from the first address that has one.
pub(super) fn round_trip(view: &EndpointView) -> Option<f64> {
    outcomes(view).find_map(|outcome| outcome.seen.round_trip).map(|elapsed| elapsed.as_secs_f64())
}

/// Whether the class works, or did when it was last known.
pub(super) fn is_up(snapshot: &Snapshot, class: &ClassView) -> bool {
    class.is_up().unwrap_or_else(|| {
        let mut views = snapshot.endpoints.iter().filter(|view| view.endpoint.class == class.class).peekable();
        let some = views.peek().is_some();
        some && views.all(|view| is_good(view) || view.endpoint.severity < Severity::Critical)
    })
}

/// One view per key: where two endpoints ask the same server, the one visited last speaks for it.
pub(super) fn newest<'a, K: Ord>(views: impl Iterator<Item = (K, &'a EndpointView)>) -> BTreeMap<K, &'a EndpointView> {
    let began = |view: &EndpointView| view.last.as_ref().map(|visit| visit.began);
    let mut newest = BTreeMap::new();
    for (key, view) in views {
        let slot = newest.entry(key).or_insert(view);
        if began(view) > began(slot) {
            *slot = view;
        }
    }
    newest
}

/// The server as a label: its name or address, with the port where it is not the usual one.
pub(super) fn server(endpoint: &Endpoint, usual: u16) -> String {
    match &endpoint.target.host {
        host if endpoint.target.port == usual => host.to_string(),
        Host::Address(address) => SocketAddr::new(*address, endpoint.target.port).to_string(),
        Host::Name(name) => format!("{name}:{}", endpoint.target.port),
    }
}

/// The NTP reply of the last visit, from the first address that gave one.
pub(super) fn packet(view: &EndpointView) -> Option<&Packet> {
    outcomes(view).find_map(|outcome| match &outcome.protocol {
        Protocol::Ntp(reply) => reply.packet.as_ref(),
        Protocol::Nothing | Protocol::Dns(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
    })
}

/// Root distance without the terms that grow with time since the reply (RFC 5905 section 11.2).
pub(super) fn root_distance(packet: &Packet) -> f64 {
    (packet.root_delay + packet.delay).as_secs_f64() / 2.0 + packet.root_dispersion.as_secs_f64()
}

/// The share of successes among the last eight visits, or among all while there were fewer.
pub(super) fn reach_ratio(view: &EndpointView) -> f64 {
    let visits = view.attempts.clamp(1, 8) as f64;
    f64::from(view.reach.count_ones()) / visits
}

/// The label of a transport.
pub(super) fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

/// The time that the DNS server took to answer, in seconds.
pub(super) fn response(view: &EndpointView) -> Option<f64> {
    let answered = |outcome: &&Outcome| match &outcome.protocol {
        Protocol::Dns(reply) => reply.answer.is_some(),
        Protocol::Nothing | Protocol::Ntp(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => false,
    };
    let time = outcomes(view).find(answered)?.phases.of(Phase::Dns)?;
    Some(time.as_secs_f64())
}

fn outcomes(view: &EndpointView) -> impl Iterator<Item = &Outcome> {
    view.last.iter().flat_map(|visit| &visit.outcomes)
}
