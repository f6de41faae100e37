//! The DNS probe: one question to one named server, over UDP or TCP. Only a reply with our id and our
//! question counts; everything else is counted as a stray and waited past.

mod ask;
mod exchange;
mod extended_error;
mod records;
mod reply;
mod reverse;
mod wire;

pub use extended_error::ExtendedError;
pub use reply::{Answer, DeadEnd, Reply, Unreadable, WhyPlain};
pub use reverse::reverse_name;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    attempt::Attempt,
    cause::Cause,
    evidence::Trouble,
    seen::{Exchange, Seen},
    transport,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// The record type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The zone's start of authority.
    Soa,
    /// The name of a host, asked by its address (RFC 1035 section 3.5).
    Ptr,
}

/// How the question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// One datagram (RFC 1035 section 4.2.1).
    Udp,
    /// Two bytes of length before the message (RFC 7766).
    Tcp,
}

impl Transport {
    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Which answers are healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The question is about the name: it must have an address.
    Address,
    /// The question is about the server: yes and no are both answers.
    AnyAnswer,
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
    /// Which answers are healthy.
    pub expect: Expect,
    /// Time to wait for a second, different answer after the first: whoever injects answers races the real server.
    pub linger: Duration,
    /// The payload size in bytes that we offer with EDNS (RFC 6891); `None` asks without EDNS, as RFC 1035 does.
    pub edns: Option<u16>,
}

/// The EDNS payload size of plain probing: no fragments on any common path (DNS flag day 2020).
const EDNS_PAYLOAD: u16 = 1232;

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
    /// 4: the server does not know this kind of question.
    NotImp,
    /// 5: the server does not want to.
    Refused,
    /// 16: the server does not know this version of EDNS (RFC 6891 section 9).
    BadVers,
    /// Any other code.
    Other(u16),
}

impl Rcode {
    /// Whether it answers the question, by yes or no; any other code leaves it open.
    pub fn is_yes_or_no(self) -> bool {
        matches!(self, Self::NoError | Self::NxDomain)
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoError => f.write_str("NOERROR"),
            Self::FormErr => f.write_str("FORMERR"),
            Self::ServFail => f.write_str("SERVFAIL"),
            Self::NxDomain => f.write_str("NXDOMAIN"),
            Self::NotImp => f.write_str("NOTIMP"),
            Self::Refused => f.write_str("REFUSED"),
            Self::BadVers => f.write_str("BADVERS"),
            Self::Other(code) => write!(f, "RCODE{code}"),
        }
    }
}

impl Question {
    /// A question about a name's addresses.
    pub fn address(name: String, record: RecordType, transport: Transport) -> Self {
        Self { name, record, transport, expect: Expect::Address, linger: Duration::ZERO, edns: Some(EDNS_PAYLOAD) }
    }

    /// A question for the names of an address.
    pub fn pointer(address: IpAddr, transport: Transport) -> Self {
        let name = reverse_name(address);
        Self { record: RecordType::Ptr, ..Self::liveness(name, transport) }
    }

    /// A question that any live server can answer.
    pub fn liveness(name: String, transport: Transport) -> Self {
        Self {
            name,
            record: RecordType::A,
            transport,
            expect: Expect::AnyAnswer,
            linger: Duration::ZERO,
            edns: Some(EDNS_PAYLOAD),
        }
    }

    /// The same question, waiting this long for a second answer that says something else.
    pub fn lingering(self, linger: Duration) -> Self {
        Self { linger, ..self }
    }

    /// The same question, offering this EDNS payload size in bytes, or without EDNS: large answers get lost where
    /// fragments do, and old servers and devices break on EDNS itself.
    pub fn offering(self, edns: Option<u16>) -> Self {
        Self { edns, ..self }
    }

    /// Makes one exchange, exactly as it stands.
    pub async fn run(&self, attempt: &Attempt<'_>) -> Exchange<Reply> {
        let (trace, reply) = exchange::make(self, attempt).await;
        let verdict = self.judge(attempt.address, &trace.seen, &reply);
        trace.conclude(attempt.address, verdict, reply)
    }

    /// Says what the exchange means.
    fn judge(&self, server: SocketAddr, seen: &Seen, reply: &Reply) -> Verdict {
        if seen.is_reply_from_elsewhere(server) {
            return Finding::new(Cause::AsymmetricReply, Phase::Dns, Confidence::Confirmed).failed();
        }
        match (&seen.stop, &reply.answer) {
            (None, Some(answer)) => self.judge_answer(answer),
            (Some(stop), _) if reply.unreadable.is_some() || stop.trouble == Trouble::TimedOut && reply.strays > 0 => {
                Finding::new(Cause::ProtocolViolation, Phase::Dns, Confidence::Likely).failed()
            }
            (Some(stop), _) => transport::judge(stop, seen, server.ip()).failed(),
            (None, None) => Finding::new(Cause::Unknown, Phase::Dns, Confidence::Possible).failed(),
        }
    }

    fn judge_answer(&self, answer: &Answer) -> Verdict {
        let finding = |cause| Finding::new(cause, Phase::Dns, Confidence::Confirmed);
        let for_name = self.expect == Expect::Address;
        match answer.rcode {
            // A whole answer cannot be cut: over TCP there is room for 64 KiB.
            Rcode::NoError if for_name && answer.is_cut_to_nothing() && self.transport == Transport::Tcp => {
                Finding::new(Cause::ProtocolViolation, Phase::Dns, Confidence::Likely).failed()
            }
            Rcode::NoError if answer.is_referral() && for_name => finding(Cause::DnsRefused).failed(),
            Rcode::NoError if answer.is_referral() => Verdict::Degraded(finding(Cause::DnsRefused)),
            Rcode::NoError if for_name && answer.addresses.is_empty() && !answer.truncated => {
                finding(Cause::DnsNodata).failed()
            }
            Rcode::NxDomain if for_name => finding(Cause::DnsNxdomain).failed(),
            Rcode::NoError | Rcode::NxDomain => Verdict::Healthy,
            Rcode::ServFail => finding(Cause::DnsServfail).failed(),
            Rcode::Refused => finding(Cause::DnsRefused).failed(),
            Rcode::FormErr | Rcode::NotImp | Rcode::BadVers | Rcode::Other(_) => {
                finding(Cause::ProtocolViolation).failed()
            }
        }
    }
}

/// What must hold for any message: limits, normal form, and a verdict for whatever was read.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let [kind, message @ ..] = bytes else { return };
    let record = [RecordType::A, RecordType::Aaaa, RecordType::Soa][usize::from(kind % 3)];
    let question = Question::address("Login.Example".to_owned(), record, Transport::Udp);
    // The id is ours, as in every message that gets this far.
    let mut ours = message.to_vec();
    ours.iter_mut().zip([0, 7]).for_each(|(byte, id)| *byte = id);
    let Ok(answer) = wire::decode(&ours, 7, &question) else { return };
    assert!(answer.chain.len() <= wire::MAX_CHAIN && answer.addresses.len() <= 512, "within the limits");
    assert!(
        answer.chain.iter().all(|name| !name.ends_with('.') && *name == name.to_ascii_lowercase()),
        "in normal form"
    );
    assert_eq!(answer.length, message.len());
    let reply = Reply { answer: Some(answer), ..Reply::default() };
    reply.describe(&mut Vec::new());
    let server = SocketAddr::from(([10, 0, 0, 4], 53));
    _ = question.judge(server, &Seen::default(), &reply);
}

#[cfg(test)]
#[path = "dns/exchange_tests.rs"]
mod tests;
