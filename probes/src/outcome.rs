//! What one attempt learned, whatever it asked. A failing dependency is an outcome, never an error. Only here and in
//! `probe` are the protocols named together.

use std::net::SocketAddr;

use nix::errno::Errno;

use crate::{
    dns, http, ntp,
    seen::{Exchange, Phases, Seen},
    tcp, tds,
    tls::Handshake,
    verdict::Verdict,
};

/// What the protocol itself brought.
#[derive(Clone, Debug, Default)]
pub enum Protocol {
    /// Nobody accepted the bare connection.
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
    /// What it rests on, whatever the protocol.
    pub seen: Seen,
    /// What the protocol itself brought.
    pub protocol: Protocol,
}

impl<R: Into<Protocol>> From<Exchange<R>> for Outcome {
    fn from(exchange: Exchange<R>) -> Self {
        let Exchange { address, phases, verdict, seen, reply } = exchange;
        Self { address, phases, verdict, seen, protocol: reply.into() }
    }
}

impl From<dns::Reply> for Protocol {
    fn from(reply: dns::Reply) -> Self {
        Self::Dns(Box::new(reply))
    }
}

impl From<ntp::Reply> for Protocol {
    fn from(reply: ntp::Reply) -> Self {
        Self::Ntp(Box::new(reply))
    }
}

impl From<http::Reply> for Protocol {
    fn from(reply: http::Reply) -> Self {
        Self::Http(Box::new(reply))
    }
}

impl From<tds::Reply> for Protocol {
    fn from(reply: tds::Reply) -> Self {
        Self::Tds(Box::new(reply))
    }
}

impl From<Option<tcp::Reply>> for Protocol {
    fn from(reply: Option<tcp::Reply>) -> Self {
        reply.map_or(Self::Nothing, Self::Tcp)
    }
}

impl Outcome {
    /// The decoded answer, if this was a DNS exchange that brought one.
    pub fn dns_answer(&self) -> Option<&dns::Answer> {
        self.dns_reply()?.answer.as_ref()
    }

    /// What a DNS exchange brought, an answer or not.
    pub fn dns_reply(&self) -> Option<&dns::Reply> {
        match &self.protocol {
            Protocol::Dns(reply) => Some(reply),
            Protocol::Nothing | Protocol::Ntp(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
        }
    }

    /// The TLS handshake, as far as it got.
    pub fn handshake(&self) -> Option<&Handshake> {
        match &self.protocol {
            Protocol::Http(reply) => reply.tls.as_ref(),
            Protocol::Tds(reply) => reply.tls.as_ref(),
            Protocol::Nothing | Protocol::Dns(_) | Protocol::Ntp(_) | Protocol::Tcp(_) => None,
        }
    }

    /// The HTTP answer, if this was an HTTP exchange that brought one.
    pub fn http_answer(&self) -> Option<&http::Answer> {
        match &self.protocol {
            Protocol::Http(reply) => reply.answer.as_ref(),
            Protocol::Nothing | Protocol::Dns(_) | Protocol::Ntp(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
        }
    }

    /// The NTP packet, if this was an NTP exchange that brought one.
    pub fn ntp_packet(&self) -> Option<&ntp::Packet> {
        match &self.protocol {
            Protocol::Ntp(reply) => reply.packet.as_ref(),
            Protocol::Nothing | Protocol::Dns(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
        }
    }

    /// Whether the exchange rests on a bare accept, which an appliance can give in the peer's place.
    pub fn is_bare_accept(&self) -> bool {
        self.seen.stop.is_none() && matches!(&self.protocol, Protocol::Tcp(reply) if reply.greeting.is_empty())
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
        match &self.protocol {
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
