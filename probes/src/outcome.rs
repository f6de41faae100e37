//! What one attempt learned. A failing dependency is an outcome, never an error.

use std::{net::SocketAddr, time::Duration};

use nix::errno::Errno;

use crate::{
    dns,
    evidence::{IcmpError, Stop, TcpInfo},
    http, ntp, tcp, tds,
    tls::Handshake,
    verdict::{Phase, Verdict},
};

/// The time each phase took. A phase that was not reached has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([Option<Duration>; Phase::ALL.len()]);

impl Phases {
    /// Adds to the time of one phase.
    pub fn record(&mut self, phase: Phase, elapsed: Duration) {
        let slot = &mut self.0[phase as usize];
        *slot = Some(slot.unwrap_or_default() + elapsed);
    }

    /// The phases that were reached, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.into_iter().zip(self.0).filter_map(|(phase, time)| time.map(|time| (phase, time)))
    }

    /// The time of one phase.
    pub fn of(&self, phase: Phase) -> Option<Duration> {
        self.0[phase as usize]
    }

    /// The sum of all phases.
    pub fn total(&self) -> Duration {
        self.0.iter().flatten().sum()
    }

    /// Adds another exchange's phases, for one that took several steps.
    pub fn add(&mut self, other: &Self) {
        for (phase, elapsed) in other.iter() {
            self.record(phase, elapsed);
        }
    }
}

/// What came back, before anyone says what it means.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where and how the exchange ended early; `None` when it ran to its end.
    pub stop: Option<Stop>,
    /// The ICMP error that the kernel matched to the flow.
    pub icmp: Option<IcmpError>,
    /// The error number of `errno(3)` that the kernel made of an ICMP message for the established TCP connection. It keeps
    /// neither the message nor its sender then, and the connection lives on.
    pub echo: Option<i32>,
    /// The kernel's account of the TCP connection at its end.
    pub tcp: Option<TcpInfo>,
    /// The round trip as the kernel measured it: SYN to SYN-ACK, or datagram to datagram.
    pub round_trip: Option<Duration>,
    /// Who sent the UDP reply that was taken; another address than the peer's shows only with
    /// [`Shape::any_source`](crate::egress::Shape::any_source).
    pub reply_source: Option<SocketAddr>,
    /// The hop limit (TTL) with which the UDP reply arrived.
    pub hop_limit: Option<u8>,
    /// What the protocol itself brought.
    pub protocol: Protocol,
}

impl Seen {
    /// Whether the reply that was taken came from another address or port than the peer's: no application hears it.
    pub(crate) fn is_reply_from_elsewhere(&self, peer: SocketAddr) -> bool {
        self.reply_source.is_some_and(|source| (source.ip(), source.port()) != (peer.ip(), peer.port()))
    }
}

/// What the protocol itself brought.
#[derive(Clone, Debug, Default)]
pub enum Protocol {
    /// The exchange did not get that far.
    #[default]
    Nothing,
    /// A DNS exchange.
    Dns(Box<dns::Reply>),
    /// An NTP exchange.
    Ntp(Box<ntp::Reply>),
    /// An HTTP or HTTPS exchange.
    Http(Box<http::Reply>),
    /// A TDS exchange.
    Tds(Box<tds::Reply>),
    /// A bare TCP connection.
    Tcp(tcp::Reply),
}

/// What one attempt at one address learned.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The peer.
    pub address: SocketAddr,
    /// How long each phase took.
    pub phases: Phases,
    /// What it means.
    pub verdict: Verdict,
    /// What it rests on.
    pub seen: Seen,
}

impl Outcome {
    /// The decoded answer, if this was a DNS exchange that brought one.
    pub fn dns_answer(&self) -> Option<&dns::Answer> {
        match &self.seen.protocol {
            Protocol::Dns(reply) => reply.answer.as_ref(),
            Protocol::Nothing | Protocol::Ntp(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
        }
    }

    /// The TLS handshake, as far as it got.
    pub fn handshake(&self) -> Option<&Handshake> {
        match &self.seen.protocol {
            Protocol::Http(reply) => reply.tls.as_ref(),
            Protocol::Tds(reply) => reply.tls.as_ref(),
            Protocol::Nothing | Protocol::Dns(_) | Protocol::Ntp(_) | Protocol::Tcp(_) => None,
        }
    }

    /// The HTTP answer, if this was an HTTP exchange that brought one.
    pub fn http_answer(&self) -> Option<&http::Answer> {
        match &self.seen.protocol {
            Protocol::Http(reply) => reply.answer.as_ref(),
            Protocol::Nothing | Protocol::Dns(_) | Protocol::Ntp(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
        }
    }

    /// The NTP packet, if this was an NTP exchange that brought one.
    pub fn ntp_packet(&self) -> Option<&ntp::Packet> {
        match &self.seen.protocol {
            Protocol::Ntp(reply) => reply.packet.as_ref(),
            Protocol::Nothing | Protocol::Dns(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
        }
    }

    /// Whether the exchange rests on a bare accept, which an appliance can give in the peer's place.
    pub fn is_bare_accept(&self) -> bool {
        self.seen.stop.is_none() && matches!(&self.seen.protocol, Protocol::Tcp(reply) if reply.greeting.is_empty())
    }

    /// The evidence in plain words, one line each, the decisive one first.
    pub fn evidence(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.seen.stop.as_ref().map(|stop| format!("{}: {stop}", self.address)));
        lines.extend(self.seen.icmp.map(|icmp| icmp.to_string()));
        lines.extend(self.seen.echo.map(|errno| {
            let errno = Errno::from_raw(errno);
            format!("an ICMP message came for the established connection: {errno:?} ({})", errno.desc())
        }));
        if let Some(source) = self.seen.reply_source.filter(|source| *source != self.address) {
            lines.push(format!("the reply came from {source}, not from {} that was asked", self.address));
        }
        match &self.seen.protocol {
            Protocol::Nothing => {}
            Protocol::Dns(reply) => reply.describe(&mut lines),
            Protocol::Ntp(reply) => reply.describe(&mut lines),
            Protocol::Http(reply) => reply.describe(&mut lines),
            Protocol::Tds(reply) => reply.describe(&mut lines),
            Protocol::Tcp(reply) => reply.describe(&mut lines),
        }
        if self.seen.stop.is_some() {
            lines.extend(self.seen.tcp.map(|info| info.to_string()));
        }
        lines.extend(self.seen.hop_limit.map(|hops| format!("the reply arrived with hop limit {hops}")));
        lines
    }
}
