//! Whoever completes handshakes in a peer's place: the accept-only proxy, the denying firewall, the relaying one.

use std::collections::BTreeMap;

use super::{
    dice::initial_sequence,
    flow::Flow,
    packet::{self, Kind, Segment, View, flags},
    rules::Then,
};

/// What Azure Firewall answers to an HTTP request that no application rule allows.
const DENIAL: &str = "HTTP/1.1 470 status code 470\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 70\r\n\
    Connection: close\r\n\r\nAction: Deny. Reason: No rule matched. Proceeding with default action.";
/// Data in one forged segment, in bytes.
const CHUNK: usize = 1300;

/// A connection that is not the peer's.
#[derive(Clone, Debug)]
struct Accepted {
    then: Then,
    hop: u8,
    own: u32,
    is_answered: bool,
    relay: Relay,
}

/// How far a relay has come.
#[derive(Clone, Debug)]
enum Relay {
    Waiting,
    Connecting(Vec<Vec<u8>>),
    Joined(u32),
}

/// Every connection that something accepted for a peer.
#[derive(Debug, Default)]
pub(super) struct Interloper(BTreeMap<Flow, Accepted>);

/// What becomes of a packet of such a connection.
pub(super) enum Verdict {
    /// It is not of one, or passes as it is.
    Pass(Vec<u8>),
    /// These go to the guest, from this hop.
    Answer(u8, Vec<Vec<u8>>),
    /// These go to the peer.
    Forward(Vec<Vec<u8>>),
}

impl Interloper {
    /// Accepts a connection that a SYN opens; answers with the SYN/ACK.
    pub(super) fn accept(&mut self, seed: u64, flow: Flow, view: &View, then: &Then, hop: u8) -> Vec<u8> {
        let own = initial_sequence(seed, &flow);
        let accepted = Accepted { then: then.clone(), hop, own, is_answered: false, relay: Relay::Waiting };
        self.0.insert(flow, accepted);
        reply(view, own, flags::SYN | flags::ACK, &[])
    }

    /// Whether a flow's packets end here.
    pub(super) fn owns(&self, flow: &Flow) -> bool {
        self.0.get(flow).is_some_and(|accepted| accepted.then != Then::Relay)
    }

    /// Answers a packet of a connection that ends here; `first` is its payload.
    pub(super) fn answer(&mut self, flow: &Flow, view: &View, first: &[u8]) -> Option<(u8, Vec<Vec<u8>>)> {
        let accepted = self.0.get_mut(flow)?;
        let Kind::Tcp { flags: seen, .. } = view.kind else { return None };
        let (own, hop) = (accepted.own.wrapping_add(1), accepted.hop);
        if seen & flags::RST != 0 {
            self.0.remove(flow);
            return Some((hop, Vec::new()));
        }
        if seen & flags::SYN != 0 {
            // The same ports again: repeated, or a new connection after the last one's end.
            accepted.is_answered = false;
            return Some((hop, vec![reply(view, accepted.own, flags::SYN | flags::ACK, &[])]));
        }
        let has_news = !view.payload.is_empty() || seen & flags::FIN != 0;
        if accepted.is_answered {
            // Repeated data is acknowledged again, behind all that was said.
            let said = own.wrapping_add(said(&accepted.then));
            return Some((hop, if has_news { vec![reply(view, said, flags::ACK, &[])] } else { Vec::new() }));
        }
        let at_once = accepted.then == Then::CloseAtOnce;
        accepted.is_answered = (has_news && accepted.then != Then::Silence) || at_once;
        if !has_news && !at_once {
            return Some((hop, Vec::new()));
        }
        let segments = match &accepted.then {
            Then::Silence | Then::Relay => vec![reply(view, own, flags::ACK, &[])],
            Then::Reset => vec![reply(view, own, flags::RST | flags::ACK, &[])],
            Then::Close | Then::CloseAtOnce => vec![reply(view, own, flags::FIN | flags::ACK, &[])],
            Then::Text(text) => speech(view, own, text),
            // Without a look into TLS it can say nothing: it cuts when it has read the server name.
            Then::AzureFirewallDeny if !speaks_http(first) => vec![reply(view, own, flags::RST | flags::ACK, &[])],
            Then::AzureFirewallDeny => speech(view, own, DENIAL),
        };
        Some((hop, segments))
    }

    /// Carries a packet of the guest's into a relay.
    pub(super) fn outwards(&mut self, flow: &Flow, view: &View, mut bytes: Vec<u8>) -> Verdict {
        let Some(accepted) = self.0.get_mut(flow).filter(|accepted| accepted.then == Then::Relay) else {
            return Verdict::Pass(bytes);
        };
        let Kind::Tcp { sequence, flags: seen, .. } = view.kind else { return Verdict::Pass(bytes) };
        let (hop, own) = (accepted.hop, accepted.own.wrapping_add(1));
        match &mut accepted.relay {
            Relay::Joined(shift) => {
                packet::shift(&mut bytes, 0, *shift);
                Verdict::Pass(bytes)
            }
            Relay::Waiting if seen & flags::FIN != 0 && view.payload.is_empty() => {
                Verdict::Answer(hop, vec![reply(view, own, flags::FIN | flags::ACK, &[])])
            }
            Relay::Waiting if view.payload.is_empty() => Verdict::Forward(Vec::new()),
            Relay::Waiting => {
                accepted.relay = Relay::Connecting(vec![bytes]);
                Verdict::Forward(vec![opening(view, sequence)])
            }
            Relay::Connecting(held) => {
                let first = held.first().and_then(|held| View::of(held)).map(|view| view.kind);
                let is_again = first == Some(view.kind);
                if is_again {
                    return Verdict::Forward(vec![opening(view, sequence)]);
                }
                held.push(bytes);
                Verdict::Forward(Vec::new())
            }
        }
    }

    /// Carries a packet of the peer's out of a relay.
    pub(super) fn inwards(&mut self, flow: &Flow, view: &View, mut bytes: Vec<u8>) -> Verdict {
        let Some(accepted) = self.0.get_mut(flow).filter(|accepted| accepted.then == Then::Relay) else {
            return Verdict::Pass(bytes);
        };
        let Kind::Tcp { sequence, flags: seen, .. } = view.kind else { return Verdict::Pass(bytes) };
        match &mut accepted.relay {
            Relay::Joined(shift) => {
                packet::shift(&mut bytes, 0u32.wrapping_sub(*shift), 0);
                Verdict::Pass(bytes)
            }
            Relay::Connecting(_) if seen & flags::RST != 0 => {
                packet::shift(&mut bytes, accepted.own.wrapping_add(1).wrapping_sub(sequence), 0);
                Verdict::Pass(bytes)
            }
            Relay::Connecting(held) if seen & flags::SYN != 0 => {
                let shift = sequence.wrapping_sub(accepted.own);
                let mut segments = vec![reply(view, view_ack(view), flags::ACK, &[])];
                for mut bytes in std::mem::take(held) {
                    packet::shift(&mut bytes, 0, shift);
                    segments.push(bytes);
                }
                accepted.relay = Relay::Joined(shift);
                Verdict::Forward(segments)
            }
            Relay::Connecting(_) | Relay::Waiting => Verdict::Forward(Vec::new()),
        }
    }
}

/// Whether bytes begin an HTTP request, and not TLS or TDS.
fn speaks_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

/// A segment back to the sender of `view`.
fn reply(view: &View, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = ((view.destination, view.destination_port), (view.source, view.source_port));
    Segment { from, to, sequence, acknowledged: view.next_sequence(), flags, payload }.packet()
}

/// A text and the end of the connection.
fn speech(view: &View, own: u32, text: &str) -> Vec<Vec<u8>> {
    let mut sequence = own;
    let mut segments = Vec::new();
    for chunk in text.as_bytes().chunks(CHUNK) {
        segments.push(reply(view, sequence, flags::PSH | flags::ACK, chunk));
        sequence = sequence.wrapping_add(chunk.len() as u32);
    }
    segments.push(reply(view, sequence, flags::FIN | flags::ACK, &[]));
    segments
}

/// How much was said with its FIN, as sequence numbers.
fn said(then: &Then) -> u32 {
    match then {
        Then::Silence | Then::Reset | Then::Relay => 0,
        Then::Close | Then::CloseAtOnce => 1,
        Then::Text(text) => text.len() as u32 + 1,
        Then::AzureFirewallDeny => DENIAL.len() as u32 + 1,
    }
}

/// The relay's own SYN to the peer: data that begins at `sequence` follows.
fn opening(view: &View, sequence: u32) -> Vec<u8> {
    let (from, to) = ((view.source, view.source_port), (view.destination, view.destination_port));
    let sequence = sequence.wrapping_sub(1);
    Segment { from, to, sequence, acknowledged: 0, flags: flags::SYN, payload: &[] }.packet()
}

fn view_ack(view: &View) -> u32 {
    if let Kind::Tcp { acknowledged, .. } = view.kind { acknowledged } else { 0 }
}
