//! How packets leave: the source address and interface that a probe is told to use.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::evidence::{Operation, Trouble};

/// The source address and interface of a probe; the default leaves both to the routing table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// The address to send from, if the probe's family is the same.
    pub source: Option<IpAddr>,
    /// The interface to send through (`SO_BINDTODEVICE`, unprivileged since Linux 5.7).
    pub interface: Option<String>,
}

/// Turns an I/O error of `operation` into evidence.
pub(crate) fn os(operation: Operation) -> impl Fn(std::io::Error) -> Trouble {
    move |error| Trouble::Os { operation, errno: error.raw_os_error().unwrap_or(0) }
}

impl Egress {
    /// Opens a non-blocking socket towards `peer`, bound as asked, that collects ICMP errors.
    pub(crate) fn socket(&self, peer: SocketAddr, kind: Type) -> Result<Socket, Trouble> {
        let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
        let socket = Socket::new(Domain::for_address(peer), kind, Some(protocol)).map_err(os(Operation::Socket))?;
        socket.set_nonblocking(true).map_err(os(Operation::Option))?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes())).map_err(os(Operation::Bind))?;
        }
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == peer.is_ipv4()) {
            socket.bind(&SocketAddr::new(source, 0).into()).map_err(os(Operation::Bind))?;
        }
        Ok(socket)
    }
}
