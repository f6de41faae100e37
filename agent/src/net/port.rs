//! A port together with the transport that uses it: TCP 53 and UDP 53 are two different ways out of a network.

use std::fmt;

/// A port number, and whether it is reached by datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether packets to it are UDP datagrams.
    pub by_datagram: bool,
}

impl Port {
    /// A TCP port.
    pub const fn tcp(number: u16) -> Self {
        Self { number, by_datagram: false }
    }

    /// A UDP port.
    pub const fn udp(number: u16) -> Self {
        Self { number, by_datagram: true }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.by_datagram { "UDP" } else { "TCP" }, self.number)
    }
}
