//! Which measurement answers which ask for which endpoint: endpoints that ask the same share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{Cases, Moment, Wanted};
use crate::{
    diagnosis::{
        ask::{Errand, Key},
        conclude::Section,
        neighbours::Neighbours,
    },
    model::{
        catalog::{Endpoint, Host},
        contrast::{Ask, Contrast},
    },
    net::{address::CANARY, port::Port},
};

/// Clocks that are read at once where this machine's own may be wrong: four times as many as must agree, since some of
/// them will be lost for the same reason.
const CLOCKS: usize = 12;
/// Endpoints of one port for which the same is measured; the others are taken to be like them. One alone could have a
/// fault of its own.
pub(super) const REPRESENTATIVES: usize = 2;

/// The measurement that answers an ask for an endpoint; `None` where none can.
pub(super) fn key_of(ask: Ask, endpoint: &Endpoint, peer: Option<SocketAddr>, platform: IpAddr) -> Option<Key> {
    let shared = |peer| Some(Key { ask, peer, about: None });
    // A name that did not resolve was lost at the server's port, not at the endpoint's.
    let asked_port = peer.map_or(endpoint.target.port, |peer| peer.port());
    match ask {
        // A peer on this machine is reached without the network: questions about the path would tell nothing about it.
        Ask::TcpCanary | Ask::UdpCanary | Ask::DnsCanary if peer.is_none_or(|peer| peer.ip().is_loopback()) => None,
        Ask::TcpCanary | Ask::UdpCanary => shared(SocketAddr::new(CANARY, asked_port)),
        Ask::DnsCanary => shared(SocketAddr::new(CANARY, 53)),
        Ask::Control | Ask::ThisMachine => shared(SocketAddr::new(platform, 53)),
        Ask::HeldFlow => shared(SocketAddr::new(platform, asked_port)),
        // A time server of somebody else's is asked by its visits alone, which give it rest; a DNS server that did not
        // resolve its name is another peer.
        Ask::AnySource | Ask::SourcePorts if endpoint.is_public_time_server() && asked_port == endpoint.target.port => {
            None
        }
        Ask::SmallDatagram | Ask::DnsOverTcp | Ask::AnySource => shared(peer?),
        Ask::SmallSegments
        | Ask::OtherName
        | Ask::OldTls
        | Ask::SourcePorts
        | Ask::BogusHost
        | Ask::FewHops
        | Ask::RedirectPorts => Some(Key { ask, peer: peer?, about: Some(Arc::clone(&endpoint.id.0)) }),
        Ask::Neighbours | Ask::Comparison | Ask::Memory => None,
    }
}

/// What is wanted so far, and for how many endpoints of a port each question is asked.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// What is wanted.
    pub wanted: Wanted,
    asked: BTreeMap<(Ask, Port), usize>,
}

impl Cases {
    /// Adds what would settle an endpoint's case: measurements, visits and comparisons.
    pub(super) fn want(&self, index: usize, around: &Neighbours<'_>, at: Moment, wishes: &mut Wishes) {
        let Some(case) = self.cases.get(&index) else { return };
        let wanted = &mut wishes.wanted;
        let open: BTreeSet<Ask> = case.open.iter().map(|contrast| contrast.ask()).collect();
        let since = self.since(case);
        if open.contains(&Ask::Neighbours) {
            wanted.visits.extend(self.neighbourhood.worth_a_visit(index, &case.target, since));
        }
        if case.open.contains(&Contrast::ClockWrong) {
            wanted.visits.extend(self.neighbourhood.clocks_to_read(since, around.now).take(CLOCKS));
        }
        let host = &self.neighbourhood.endpoint(index).target.host;
        if open.contains(&Ask::Comparison) && matches!(host, Host::Name(_)) {
            wanted.names.insert(host.clone());
        }
        let asker = case.asker(index);
        for ask in &Section::of(case.sign.symptom).asks {
            let Some(key) = self.key(*ask, &asker) else { continue };
            let learned = self.lessons.get(&key, at.now).filter(|learned| asker.may_use(learned));
            let is_open = open.contains(ask);
            if !is_open && learned.is_none() {
                continue;
            }
            let count = wishes.asked.entry((*ask, self.neighbourhood.port(index))).or_default();
            *count += 1;
            // An answer that is in use is asked for again before it is too old to count.
            let is_wanted = learned
                .map_or(is_open, |learned| learned.is_old(at.now) || is_open && !self.lessons.knows(&key, at.now));
            if is_wanted && *count <= REPRESENTATIVES {
                wishes.wanted.errands.push((key, index));
            }
        }
    }

    /// All that a measurement about an endpoint needs to know.
    pub fn errand(&self, key: Key, index: usize, around: &Neighbours<'_>) -> Errand {
        let visit = around.views[index].last.as_deref();
        let answer = visit.and_then(|visit| visit.outcomes.first()).and_then(|outcome| outcome.http_answer());
        let since = self.cases.get(&index).map_or(around.now, |case| self.since(case));
        Errand {
            beside: self.neighbourhood.works_beside(index, since),
            page: answer.map(|answer| (answer.status, answer.body_start.clone())),
            endpoint: Arc::clone(self.neighbourhood.endpoint(index)),
            key,
        }
    }
}
