//! Which measurement answers which ask for which endpoint: endpoints that ask the same share it.

use std::{net::SocketAddr, sync::Arc};

use ase_probes::cause::Cause;

use super::{Ask, Case};
use crate::{
    diagnosis::{contrast::Contrast, neighbours::Neighbours},
    follow_up::{CANARY, Errand, Key},
};

/// What one endpoint's exchange proves for all: the fault lies before the first router.
pub(super) const SEEN_ELSEWHERE: &[(Contrast, Cause)] = &[
    (Contrast::NextHopDownElsewhere, Cause::NextHopDown),
    (Contrast::FirewallElsewhere, Cause::LocalFirewall),
    (Contrast::SetupElsewhere, Cause::LocalSetup),
];

/// The ways to ask that follow-up measurements answer.
pub(super) const ASKED: &[Ask] = &[
    Ask::TcpCanary,
    Ask::UdpCanary,
    Ask::DnsCanary,
    Ask::Control,
    Ask::SmallSegments,
    Ask::SmallDatagram,
    Ask::OtherName,
    Ask::DnsOverTcp,
    Ask::SourcePorts,
    Ask::HeldFlow,
    Ask::AnySource,
    Ask::ThisMachine,
    Ask::BogusHost,
    Ask::FewHops,
    Ask::RedirectPorts,
];

/// The measurement that answers an ask for an endpoint; empty where none can.
pub(super) fn keys(
    ask: Ask,
    about: Arc<str>,
    peer: Option<SocketAddr>,
    port: (u16, bool),
    around: &Neighbours<'_>,
) -> Option<Key> {
    let shared = |peer| Some(Key { ask, peer, about: None });
    // A name that did not resolve was lost at the server's port, not at the endpoint's.
    let asked_port = peer.map_or(port.0, |peer| peer.port());
    match ask {
        // Who asks a peer on this machine asks nobody on the path.
        Ask::TcpCanary | Ask::UdpCanary | Ask::DnsCanary if peer.is_none_or(|peer| peer.ip().is_loopback()) => None,
        Ask::TcpCanary | Ask::UdpCanary => shared(SocketAddr::new(CANARY, asked_port)),
        Ask::DnsCanary => shared(SocketAddr::new(CANARY, 53)),
        Ask::Control | Ask::ThisMachine => shared(SocketAddr::new(around.platform, 53)),
        Ask::HeldFlow => shared(SocketAddr::new(around.platform, asked_port)),
        Ask::SmallDatagram | Ask::DnsOverTcp | Ask::AnySource => shared(peer?),
        Ask::SmallSegments | Ask::OtherName | Ask::SourcePorts | Ask::BogusHost | Ask::FewHops | Ask::RedirectPorts => {
            Some(Key { ask, peer: peer?, about: Some(about) })
        }
        Ask::Neighbours | Ask::Comparison | Ask::Memory => None,
    }
}

pub(super) fn errand(key: Key, index: usize, case: &Case, around: &Neighbours<'_>) -> Errand {
    let endpoint = Arc::clone(&around.views[index].endpoint);
    let visit = around.views[index].last.as_deref();
    let answer = visit.and_then(|visit| visit.outcomes.first()).and_then(|outcome| outcome.http_answer());
    Errand {
        beside: around.works_beside(index, case.since),
        page: answer.map(|answer| (answer.status, answer.body_start.clone())),
        endpoint,
        key,
    }
}
