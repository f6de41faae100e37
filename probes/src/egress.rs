//! How packets leave: the source address and interface that a probe is told to use, what is special about them, and who notes
//! them down.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{
    evidence::{Operation, Trouble, os},
    journal::{Journal, Page},
    kernel,
};

/// The source address and interface of a probe; the default leaves both to the routing table and notes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// The address to send from, if the probe's family is the same.
    pub source: Option<IpAddr>,
    /// The interface to send through (`SO_BINDTODEVICE`, unprivileged since Linux 5.7).
    pub interface: Option<String>,
    /// Where every message is noted, for whoever wants to see the exchange itself.
    pub journal: Option<Journal>,
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
    /// UDP only: nobody may cut the packet up, and what the kernel learned of the path's MTU does not count
    /// (`IP_PMTUDISC_PROBE` in `ip(7)`).
    pub is_whole: bool,
    /// UDP only: answers from other addresses than the peer's are heard too.
    pub any_source: bool,
}

impl Egress {
    /// Where a new flow to `peer` is noted, if anybody wants to see it.
    pub(crate) fn page(&self, peer: SocketAddr) -> Option<Page> {
        self.journal.as_ref().map(|journal| journal.page(peer))
    }

    /// Opens a non-blocking socket towards `peer`, bound as asked, that collects ICMP errors.
    pub(crate) fn socket(&self, peer: SocketAddr, kind: Type, shape: Shape) -> Result<Socket, Trouble> {
        let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
        let socket = Socket::new(Domain::for_address(peer), kind.nonblocking(), Some(protocol));
        let socket = socket.map_err(os(Operation::Socket))?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes())).map_err(os(Operation::Bind))?;
        }
        shape.apply(&socket, peer, kind).map_err(os(Operation::Option))?;
        let source = self.source.filter(|source| source.is_ipv4() == peer.is_ipv4());
        if source.is_some() || shape.source_port.is_some() {
            let any = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let local = SocketAddr::new(source.unwrap_or(any), shape.source_port.unwrap_or(0));
            socket.bind(&local.into()).map_err(os(Operation::Bind))?;
        }
        Ok(socket)
    }
}

/// Sets how many hops the next packets of a socket may travel.
pub(crate) fn limit_hops(socket: &SockRef<'_>, peer: SocketAddr, hops: u8) -> std::io::Result<()> {
    match peer {
        SocketAddr::V4(_) => socket.set_ttl_v4(u32::from(hops)),
        SocketAddr::V6(_) => socket.set_unicast_hops_v6(u32::from(hops)),
    }
}

impl Shape {
    /// Sets what is asked for; plain probing costs no system call here.
    fn apply(self, socket: &Socket, peer: SocketAddr, kind: Type) -> std::io::Result<()> {
        if let Some(bytes) = self.segment_size.filter(|_| kind == Type::STREAM) {
            socket.set_tcp_mss(u32::from(bytes))?;
        }
        if let Some(hops) = self.hop_limit {
            limit_hops(&SockRef::from(socket), peer, hops)?;
        }
        if self.is_whole {
            kernel::keep_whole(socket, peer)?;
        }
        if let Some(hops) = self.min_hop_limit {
            kernel::set_min_hop_limit(socket, peer, hops)?;
        }
        if self.source_port.is_some() {
            // Asking again from the same port is the point: no earlier connection may linger on it, here or on the path.
            socket.set_reuse_address(true)?;
            if kind == Type::STREAM {
                socket.set_linger(Some(Duration::ZERO))?;
            }
        }
        Ok(())
    }
}
