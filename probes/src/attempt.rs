//! What every probe is given: whom to ask, how long, from where, and with which nonce.

use std::net::SocketAddr;

use crate::{egress::Egress, limits::Deadline, tls::Trust};

/// The circumstances of one attempt. The question itself is the probe's.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The peer.
    pub address: SocketAddr,
    /// The end of all phases together.
    pub deadline: Deadline,
    /// Source address and interface.
    pub egress: &'a Egress,
    /// The authorities that certificates are verified against.
    pub trust: &'a Trust,
    /// Unpredictable bits for ids and timestamps that the peer must echo (RFC 5452, RFC 9109).
    pub nonce: u64,
    /// How its packets differ from plain probing.
    pub shape: Shape,
}

/// How the packets of one attempt differ from plain probing; the default is plain probing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The largest TCP segment in either direction, in bytes (`TCP_MAXSEG`): small ones pass an MTU black hole.
    pub segment_size: Option<u16>,
    /// Hops that a packet may travel (`IP_TTL`, `IPV6_UNICAST_HOPS`): the last device within them names itself.
    pub hop_limit: Option<u8>,
    /// Answers with a smaller hop limit than this are dropped unseen (`IP_MINTTL`, `IPV6_MINHOPCOUNT`): it measures how
    /// far away the answer was made.
    pub min_hop_limit: Option<u8>,
    /// The local port, where the kernel shall not choose one. TCP connections are then closed with a reset, so that the
    /// same port can be used again at once.
    pub source_port: Option<u16>,
    /// UDP only: answers from other addresses than the peer's are heard too.
    pub any_source: bool,
}

#[cfg(test)]
mod tests;
