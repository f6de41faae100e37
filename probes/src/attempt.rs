//! What every probe is given: whom to ask, how long, from where, and with which nonce.

use std::net::SocketAddr;

use crate::{
    deadline::Deadline,
    egress::{Egress, Shape},
};

/// The circumstances of one attempt. The question itself is the probe's.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The peer.
    pub address: SocketAddr,
    /// The end of all phases together.
    pub deadline: Deadline,
    /// Source address and interface.
    pub egress: &'a Egress,
    /// Unpredictable bits for ids and timestamps that the peer must echo (RFC 5452, RFC 9109).
    pub nonce: u64,
    /// How its packets differ from plain probing.
    pub shape: Shape,
}

#[cfg(test)]
mod tests;
