//! The DNS probe: one question to one named server, over UDP or TCP. Only a reply with our id and our
//! question counts; everything else is counted as a stray and waited past.

use std::{net::IpAddr, time::Duration};

/// The record type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The zone's start of authority.
    Soa,
}

/// How the question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// One datagram (RFC 1035 section 4.2.1).
    Udp,
    /// Two bytes of length before the message (RFC 7766).
    Tcp,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, absolute, with or without the trailing dot.
    pub name: String,
    /// The record type.
    pub record: RecordType,
    /// How to send it.
    pub transport: Transport,
}

/// The response code (RFC 1035 section 4.1.1, RFC 6895).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rcode {
    /// 0: the name exists.
    NoError,
    /// 1: the server did not understand.
    FormErr,
    /// 2: the server could not find out.
    ServFail,
    /// 3: the name does not exist.
    NxDomain,
    /// 5: the server does not want to.
    Refused,
    /// Any other code.
    Other(u16),
}

/// Everything a DNS exchange showed. Empty lists where nothing came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The answer to our question; `None` if none came.
    pub answer: Option<Answer>,
    /// Datagrams that were not the answer: wrong id, wrong question, undecodable.
    pub strays: u32,
}

/// The answer to our question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub rcode: Rcode,
    /// AA: the server is an authority for the name.
    pub authoritative: bool,
    /// TC: the answer did not fit.
    pub truncated: bool,
    /// RA: the server recurses.
    pub recursion_available: bool,
    /// AD: the server validated the answer (RFC 4035).
    pub authentic: bool,
    /// The CNAME targets after the asked name, lower case without the final dot, in order; at most 16.
    pub chain: Vec<String>,
    /// The addresses at the end of the chain.
    pub addresses: Vec<IpAddr>,
    /// The smallest time to live among the answer records.
    pub min_ttl: Option<Duration>,
    /// The zone of the SOA record in the authority section.
    pub soa_zone: Option<String>,
    /// The server's EDNS payload size in bytes, if it speaks EDNS (RFC 6891).
    pub edns_payload: Option<u16>,
    /// Length of the message in bytes.
    pub length: usize,
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, _lines: &mut Vec<String>) {}
}

impl Question {
    /// Makes one attempt.
    pub async fn run(&self, _attempt: &crate::attempt::Attempt<'_>) -> crate::outcome::Outcome {
        unimplemented!("written next")
    }
}
