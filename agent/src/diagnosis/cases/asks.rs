//! Which measurement answers which ask for which endpoint: endpoints that ask the same share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use ase_probes::cause::Cause;

use super::{Ask, Case, Cases, Moment, QUIET, Wanted};
use crate::{
    diagnosis::{
        ask::{CANARY, Errand, Key},
        conclude::Conclusion,
        neighbours::{Neighbours, port_of},
    },
    model::contrast::Contrast,
};

/// Clocks that are read at once where this machine's own may be wrong.
const CLOCKS: usize = 12;
/// Endpoints of one port for which the same is measured; the others are taken to be like them.
const REPRESENTATIVES: usize = 2;

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

fn errand(key: Key, index: usize, case: &Case, around: &Neighbours<'_>) -> Errand {
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

impl Cases {
    /// What would settle an endpoint's case: measurements, visits and comparisons.
    pub(super) fn want(
        &self,
        index: usize,
        conclusion: &Conclusion,
        around: &Neighbours<'_>,
        at: Moment,
        asked: &mut BTreeMap<(Ask, (u16, bool)), usize>,
        wanted: &mut Wanted,
    ) {
        let Some(case) = self.cases.get(&index) else { return };
        let view = &around.views[index];
        let port = port_of(&view.endpoint);
        let asks: BTreeSet<Ask> = conclusion.open.iter().map(|contrast| contrast.ask()).collect();
        if asks.contains(&Ask::Neighbours) || case.diagnosis.rule.is_empty() {
            wanted.visits.extend(around.worth_a_visit(index, &case.target(&view.endpoint), case.since));
        }
        if conclusion.open.contains(&Contrast::ClockWrong) {
            wanted.visits.extend(around.clocks_to_read(case.since).take(CLOCKS));
        }
        if asks.contains(&Ask::Comparison) {
            wanted.names.insert(view.endpoint.host.clone());
        }
        for ask in asks {
            let count = asked.entry((ask, port)).or_default();
            if *count >= REPRESENTATIVES {
                continue;
            }
            let keys = keys(ask, view.endpoint.id.0.clone(), case.sign.peer, port, around);
            let Some(key) = keys.into_iter().next() else { continue };
            *count += 1;
            let stale = match self.fresh(&key, case, at.now) {
                None => true,
                Some(learned) if case.sign.symptom.is_quiet() => {
                    at.now.duration_since(learned.at) >= view.endpoint.interval * QUIET
                }
                Some(_) => !self.knows(&key, at.now),
            };
            if stale {
                wanted.errands.push(errand(key, index, case, around));
            }
        }
    }
}
