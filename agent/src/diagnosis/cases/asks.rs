//! Which measurement answers which ask for which endpoint: endpoints that ask the same share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ase_probes::{dns::Transport, probe::Probe};

use super::{Cases, Moment, Wanted, lessons::Learned};
use crate::{
    diagnosis::{
        ask::{Beside, Errand, Key},
        conclude::Section,
        neighbours::Neighbours,
    },
    model::{
        catalog::{Endpoint, Host},
        contrast::{Ask, Contrast},
    },
    net::{
        address::{CANARY, canary_beside, is_private},
        port::Port,
    },
};

/// The port of name servers (RFC 1035 section 4.2).
const DNS: u16 = 53;
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
        Ask::TcpCanary | Ask::UdpCanary => {
            shared(SocketAddr::new(peer.map_or(CANARY, |peer| canary_beside(peer.ip())), asked_port))
        }
        Ask::DnsCanary => shared(SocketAddr::new(CANARY, 53)),
        Ask::Control | Ask::ThisMachine => shared(SocketAddr::new(platform, 53)),
        Ask::HeldFlow => shared(SocketAddr::new(platform, asked_port)),
        // A time server of somebody else's is asked by its visits alone, which give it rest; a DNS server that did not
        // resolve its name is another peer.
        Ask::AnySource | Ask::SourcePorts if endpoint.is_public_time_server() && asked_port == endpoint.target.port => {
            None
        }
        Ask::SmallDatagram | Ask::DnsOverTcp | Ask::AnySource => shared(peer?),
        // Whoever asks a name server asks the same of it.
        Ask::SourcePorts if asked_port == DNS && !is_by_stream(endpoint) => shared(peer?),
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

/// Whether a name server is watched over TCP.
fn is_by_stream(endpoint: &Endpoint) -> bool {
    matches!(&endpoint.target.probe, Probe::Dns(question) if question.transport == Transport::Tcp)
}

/// What is wanted so far, and for how many endpoints of a port each question is asked.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// What is wanted.
    pub wanted: Wanted,
    /// Counted apart are those that have failed for longer than chance makes it.
    asked: BTreeMap<(Ask, Port, bool), usize>,
}

impl Cases {
    /// Adds what would settle an endpoint's case: measurements, visits and comparisons.
    pub(super) fn want(&self, index: usize, at: Moment, wishes: &mut Wishes) {
        let Some(case) = self.cases.get(&index) else { return };
        let wanted = &mut wishes.wanted;
        let open: BTreeSet<Ask> = case.open.iter().map(|contrast| contrast.ask()).collect();
        let since = self.since(case);
        if open.contains(&Ask::Neighbours) {
            wanted.visits.extend(self.neighbourhood.worth_a_visit(index, &case.target, since));
        }
        if case.open.contains(&Contrast::ClockWrong) {
            wanted.visits.extend(self.neighbourhood.clocks_to_read(since, self.steady.now()).take(CLOCKS));
        }
        let host = &self.neighbourhood.endpoint(index).target.host;
        if open.contains(&Ask::Comparison) && matches!(host, Host::Name(_)) {
            wanted.names.insert(host.clone());
        }
        let asker = case.asker(index);
        for ask in &Section::of(case.sign.symptom).asks {
            let Some(key) = self.key(*ask, &asker) else { continue };
            if *ask == Ask::FewHops && !self.can_tell_distance(index, asker.peer, since) {
                continue;
            }
            let learned = self.usable(&key, (index, case), at.now);
            // Who is silent for longer than chance makes it is asked anew, whatever is known of those that pass in turn.
            let lasting = self.memory.lasting(index).filter(|_| *ask == Ask::SourcePorts);
            let is_outlived = |learned: &Learned| lasting.is_some_and(|began| !learned.is_since(began));
            let is_open = open.contains(ask) || learned.is_some_and(is_outlived);
            let learned = learned.filter(|learned| !is_outlived(learned));
            if !is_open && learned.is_none() {
                continue;
            }
            let alike = (*ask, self.neighbourhood.port(index), lasting.is_some());
            let count = wishes.asked.entry(alike).or_default();
            *count += 1;
            // An answer that is in use is asked for again before it is too old to count.
            let is_due = |learned: &Learned| learned.is_old(at.now) || is_open && !self.lessons.knows(&key, at.now);
            if learned.map_or(is_open, is_due) && *count <= REPRESENTATIVES {
                wishes.wanted.errands.push((key, index));
            }
        }
    }

    /// Whether an endpoint's distance tells anything: it is told from another's, and what is nearby answers from nearby.
    fn can_tell_distance(&self, index: usize, peer: Option<SocketAddr>, since: Duration) -> bool {
        let is_far = |peer: IpAddr| !is_private(peer) && peer != self.neighbourhood.platform();
        peer.is_some_and(|peer| is_far(peer.ip())) && self.beside(Ask::FewHops, index, since).is_some()
    }

    /// The host that works and is measured beside an endpoint: for its name on the same port, for its distance on any.
    fn beside(&self, ask: Ask, index: usize, since: Duration) -> Option<Beside> {
        let same_port = self.neighbourhood.works_beside(index, since);
        same_port.or_else(|| self.neighbourhood.works_outside_beside(index, since).filter(|_| ask == Ask::FewHops))
    }

    /// All that a measurement about an endpoint needs to know.
    pub fn errand(&self, key: Key, index: usize, around: &Neighbours<'_>) -> Errand {
        let visit = around.views[index].last.as_deref();
        let answer = visit.and_then(|visit| visit.outcomes.first()).and_then(|outcome| outcome.http_answer());
        let since = self.cases.get(&index).map_or(self.steady.now(), |case| self.since(case));
        Errand {
            beside: self.beside(key.ask, index, since),
            page: answer.map(|answer| (answer.status, answer.body_start.clone())),
            endpoint: Arc::clone(self.neighbourhood.endpoint(index)),
            key,
        }
    }
}
