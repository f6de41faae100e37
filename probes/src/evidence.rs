//! What the kernel and the peer left behind: facts, each with one line of plain words. It draws no conclusions.

use std::{fmt, io, net::IpAddr, time::Duration};

use nix::errno::Errno;

use crate::{deadline::Elapsed, verdict::Phase};

/// Bytes a second below which an answer would never end: the shortest page of a monitor takes four seconds then.
pub(crate) const LEAST: usize = 64;

/// The operation that a system error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creating the socket.
    Socket,
    /// Setting a socket option.
    Option,
    /// Binding the source address, port or interface.
    Bind,
    /// Connecting, as far as the system call itself knows: whatever it says comes from this machine.
    Connect,
    /// Waiting for what comes of a connection.
    Handshake,
    /// Sending.
    Send,
    /// Receiving.
    Receive,
}

impl Operation {
    /// Returns the system call's name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Option => "setsockopt",
            Self::Bind => "bind",
            Self::Connect | Self::Handshake => "connect",
            Self::Send => "send",
            Self::Receive => "recv",
        }
    }
}

/// What ended an exchange early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A system call failed.
    Os {
        /// Which one.
        operation: Operation,
        /// The error number of `errno(3)`.
        errno: i32,
    },
    /// The deadline passed while waiting for the peer.
    TimedOut,
    /// The peer closed the connection before its answer was whole.
    Closed,
    /// The peer sent more than a probe accepts; names the limit.
    TooMuch(&'static str),
    /// The peer sends so little at a time that its answer would never end.
    Drips,
    /// The peer broke the protocol; says how.
    Malformed(&'static str),
    /// The peer ended the TLS handshake with this alert (RFC 8446 section 6).
    Alert(u8),
    /// The certificate did not verify; the chain is in the TLS record.
    Certificate,
    /// The peer does what this agent cannot; says what.
    Beyond(&'static str),
    /// The question itself breaks this rule, so that nothing was sent.
    Unasked(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os { operation, errno } => {
                let errno = Errno::from_raw(*errno);
                write!(f, "{}: {errno:?} ({})", operation.label(), errno.desc())
            }
            Self::TimedOut => f.write_str("no answer before the deadline"),
            Self::Closed => f.write_str("the peer closed the connection early"),
            Self::TooMuch(limit) => write!(f, "the peer sent more than {limit}"),
            Self::Drips => write!(f, "the answer drips: less than {LEAST} bytes a second"),
            Self::Malformed(how) => write!(f, "the answer breaks the protocol: {how}"),
            Self::Alert(number) => write!(f, "TLS alert {number} received"),
            Self::Certificate => f.write_str("the certificate does not verify"),
            Self::Beyond(what) => write!(f, "this agent's limit: {what}"),
            Self::Unasked(rule) => write!(f, "the question cannot be asked: {rule}"),
        }
    }
}

/// Turns an I/O error of `operation` into evidence.
pub(crate) fn os(operation: Operation) -> impl Fn(io::Error) -> Trouble {
    move |error| Trouble::Os { operation, errno: error.raw_os_error().unwrap_or(0) }
}

impl From<Elapsed> for Trouble {
    fn from(_: Elapsed) -> Self {
        Self::TimedOut
    }
}

/// How an exchange ended early, as far as the connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nobody spoke.
    Silence,
    /// The connection was reset or closed.
    Cut,
    /// The connection was refused.
    Refused,
    /// Something else, which the trouble names.
    Other,
}

impl Trouble {
    /// How the exchange ended, as far as the connection tells.
    pub fn ending(&self) -> Ending {
        match self {
            Self::TimedOut => Ending::Silence,
            Self::Closed => Ending::Cut,
            Self::Os { errno, .. } => match Errno::from_raw(*errno) {
                Errno::ETIMEDOUT => Ending::Silence,
                Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED => Ending::Cut,
                Errno::ECONNREFUSED => Ending::Refused,
                _ => Ending::Other,
            },
            Self::TooMuch(_)
            | Self::Drips
            | Self::Malformed(_)
            | Self::Alert(_)
            | Self::Certificate
            | Self::Beyond(_)
            | Self::Unasked(_) => Ending::Other,
        }
    }
}

/// Where and how an exchange ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The phase it was in.
    pub phase: Phase,
    /// What ended it.
    pub trouble: Trouble,
    /// Time since the phase began.
    pub elapsed: Duration,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} phase: {} after {}", self.phase.label(), self.trouble, Millis(self.elapsed))
    }
}

/// An ICMP error that the kernel matched to our socket (`ip(7)`, `IP_RECVERR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// True for ICMPv6 (RFC 4443), false for ICMPv4 (RFC 792).
    pub v6: bool,
    /// The message's type.
    pub kind: u8,
    /// The message's code.
    pub code: u8,
    /// The next hop's MTU where the message carries one, else 0.
    pub mtu: u32,
    /// Who sent the message.
    pub offender: Option<IpAddr>,
    /// Whether the offender is this socket's own host, and not the peer there: the neighbour on the link did not answer, or
    /// a local firewall rejects.
    pub from_self: bool,
}

impl IcmpError {
    /// Whether the packet's hop limit ran out on its way (RFC 792 type 11 code 0, RFC 4443 type 3 code 0).
    pub(crate) fn is_time_exceeded(&self) -> bool {
        (self.kind, self.code) == if self.v6 { (3, 0) } else { (11, 0) }
    }

    /// Whether a router only asks for smaller packets (RFC 1191, RFC 8201): no failure by itself.
    pub(crate) fn is_about_mtu(&self) -> bool {
        if self.v6 { self.kind == 2 } else { (self.kind, self.code) == (3, 4) }
    }

    /// Whether nobody listens at the port (RFC 792 type 3 code 3, RFC 4443 type 1 code 4): who says so has the address.
    pub(crate) fn is_port_unreachable(&self) -> bool {
        (self.kind, self.code) == if self.v6 { (1, 4) } else { (3, 3) }
    }

    /// Whether the sender has no way to the host: what a kernel tells itself about a neighbour that does not answer.
    pub(crate) fn is_host_unreachable(&self) -> bool {
        (self.kind, self.code) == if self.v6 { (1, 3) } else { (3, 1) }
    }
}

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.v6 { "ICMPv6" } else { "ICMP" };
        write!(f, "{version} type {} code {} from ", self.kind, self.code)?;
        match (self.offender, self.from_self) {
            (Some(_), true) if self.is_host_unreachable() => {
                f.write_str("this host itself (the next hop does not answer)")
            }
            (Some(_), true) => f.write_str("this host itself"),
            (Some(address), false) => write!(f, "{address}"),
            (None, _) => f.write_str("an unnamed device"),
        }?;
        if self.is_about_mtu() { write!(f, ", who passes no more than {} bytes", self.mtu) } else { Ok(()) }
    }
}

/// The kernel's own account of a TCP connection (`linux/tcp.h`, `struct tcp_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Whether the handshake is done and the connection not reset (`TCP_ESTABLISHED` or `TCP_CLOSE_WAIT` in
    /// `net/tcp_states.h`).
    pub is_established: bool,
    /// Smoothed round trip time; right after the handshake this is the SYN's own round trip.
    pub round_trip: Duration,
    /// Segments sent again since the start, SYNs included.
    pub retransmits: u32,
    /// Segments that the peer reports to have got twice (RFC 2883): they were not lost, only acknowledged late.
    pub spurious: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Payload bytes that the peer acknowledged.
    pub bytes_acked: u64,
    /// Time since the peer's last acknowledgement, in steps of the kernel's timer (up to 10 ms).
    pub last_ack: Duration,
    /// The path MTU in bytes that the kernel works with.
    pub path_mtu: u32,
    /// The peer's segment size in bytes.
    pub segment_size: u32,
    /// The longest segment that came, in bytes, as the kernel keeps it: at most 536 until a longer one comes, and less than
    /// the longest where several alike came after it.
    pub received_segment: u32,
}

impl fmt::Display for TcpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many =
            |number: u32, what: &str| if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") };
        let (again, open) = (many(self.retransmits, "retransmit"), many(self.unacked, "segment"));
        write!(f, "TCP: {again}, {open} unacknowledged, {} bytes received, ", self.bytes_received)?;
        // Without a handshake none was measured.
        if !self.round_trip.is_zero() {
            write!(f, "round trip {}, ", Millis(self.round_trip))?;
        }
        // The interface's, unless ICMP told the kernel a smaller one: beside a black hole it proves nothing.
        write!(f, "path MTU {} as this machine believes", self.path_mtu)
    }
}

/// Shows a duration in milliseconds with three digits of fraction below ten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        if millis < 10.0 { write!(f, "{millis:.3} ms") } else { write!(f, "{millis:.0} ms") }
    }
}

/// Bytes from a peer, shown with control characters escaped and cut at 512 characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(512) {
            write!(f, "{}", byte.escape_ascii())?;
        }
        if self.0.len() > 512 { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_mtu_is_said_to_be_what_this_machine_believes() {
        let said = TcpInfo { path_mtu: 1500, ..TcpInfo::default() }.to_string();
        assert!(said.ends_with(", path MTU 1500 as this machine believes"), "{said}");
    }
}
