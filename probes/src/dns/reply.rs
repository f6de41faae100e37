//! What a DNS exchange showed: the answer, what came in its place, and what the server said about itself.

use std::{fmt, net::IpAddr, time::Duration};

use super::{ExtendedError, Rcode};

/// Everything a DNS exchange showed. Empty lists where nothing came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The answer to our question; `None` if none came.
    pub answer: Option<Answer>,
    /// Datagrams that were not the answer: wrong id, wrong question, unreadable.
    pub strays: u32,
    /// Whether a second answer to the same question said something else, within the question's `linger`.
    pub conflicting: bool,
    /// The last message with our id that could not be read.
    pub unreadable: Option<Unreadable>,
    /// Why the question was answered without EDNS only; `None` where EDNS was no trouble.
    pub plain: Option<WhyPlain>,
    /// Length in bytes of the server's answer over TCP, where the one over UDP could not be read.
    pub length_over_tcp: Option<usize>,
}

/// A message with our id that breaks the protocol or a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong with it, in plain words.
    pub what: &'static str,
    /// Whether it ends before what it announces, although its header does not say that it was cut.
    pub is_cut: bool,
    /// Its length in bytes.
    pub length: usize,
}

/// Datagrams without EDNS have 512 bytes at most (RFC 1035 section 4.2.1).
const WITHOUT_EDNS: usize = 512;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {} bytes", self.what, self.length)?;
        match (self.is_cut, self.length) {
            (true, WITHOUT_EDNS) => f.write_str(" without TC: exactly what a datagram without EDNS may hold"),
            (true, _) => f.write_str(" without TC"),
            (false, _) => Ok(()),
        }
    }
}

/// Why a question was asked again without EDNS, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyPlain {
    /// The one with EDNS was refused with this code.
    Refused(Rcode),
    /// The answer to the one with EDNS could not be read.
    Unreadable(&'static str),
    /// The one with EDNS was not answered.
    Silent,
    /// The answer to the one with EDNS was large and did not arrive.
    Large,
}

impl fmt::Display for WhyPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::Large {
            return f.write_str(
                "large answers over UDP do not arrive, small ones do: let fragments pass, or set the server's EDNS size to 1232",
            );
        }
        f.write_str("the question was answered without EDNS only (RFC 6891); with it ")?;
        match self {
            Self::Refused(rcode) => write!(f, "the answer is {rcode}"),
            Self::Unreadable(what) => write!(f, "the answer cannot be read: {what}"),
            Self::Silent | Self::Large => f.write_str("no answer came"),
        }
    }
}

/// Why a chain of canonical names leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadEnd {
    /// It comes back to a name that it has passed.
    Circle,
    /// It has more links than are followed.
    TooLong,
}

impl fmt::Display for DeadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Circle => "the aliases lead in a circle",
            Self::TooLong => "the aliases lead over more than 64 names",
        })
    }
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
    /// The CNAME targets after the asked name, lower case without the final dot, in order; at most 64. A circle ends with
    /// the name that comes a second time.
    pub chain: Vec<String>,
    /// Why the chain leads nowhere, if it does: the zone is wrong.
    pub dead_end: Option<DeadEnd>,
    /// The addresses at the end of the chain.
    pub addresses: Vec<IpAddr>,
    /// The host names at the end of the chain, as PTR records give them, lower case without the final dot.
    pub hosts: Vec<String>,
    /// The smallest time to live among the answer records.
    pub min_ttl: Option<Duration>,
    /// The zone of the SOA record in the answer or the authority section.
    pub soa_zone: Option<String>,
    /// The server's EDNS payload size in bytes, if it speaks EDNS (RFC 6891).
    pub edns_payload: Option<u16>,
    /// How the server explains its answer (RFC 8914).
    pub extended_errors: Vec<ExtendedError>,
    /// What is odd about the message and takes nothing from the answer.
    pub oddity: Option<&'static str>,
    /// Length of the message in bytes.
    pub length: usize,
}

/// Links of a chain that resolvers may not follow to its end (Unbound gives up after 11).
const LONG_CHAIN: usize = 11;
/// Names of a chain that are shown at most.
const SHOWN_NAMES: usize = 20;

impl Answer {
    /// Whether the server, which does not recurse, only says whom else to ask: the C library then asks the next server, and
    /// so does nobody who needs an address.
    pub fn is_referral(&self) -> bool {
        let is_empty = self.addresses.is_empty() && self.chain.is_empty() && self.soa_zone.is_none();
        self.rcode == Rcode::NoError && is_empty && !(self.authoritative || self.recursion_available || self.truncated)
    }

    /// Whether it was cut, and holds no address.
    pub(super) fn is_cut_to_nothing(&self) -> bool {
        self.truncated && self.addresses.is_empty()
    }

    /// The chain as it is shown, from the asked name's target on.
    pub fn chain_in_words(&self) -> String {
        let more = self.chain.len().saturating_sub(SHOWN_NAMES);
        let shown = self.chain[..self.chain.len() - more].join(" -> ");
        if more > 0 { format!("{shown} -> and {more} more") } else { shown }
    }

    /// What the server says about its answer, or what is wrong with it, each in plain words; empty where all is usual.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(dead_end) = self.dead_end {
            remarks.push(format!("{dead_end}: {}; the zone is wrong", self.chain_in_words()));
        } else if self.chain.len() > LONG_CHAIN {
            let links = self.chain.len();
            remarks.push(format!("{links} aliases are more than some resolvers follow (Unbound: {LONG_CHAIN})"));
        }
        if self.is_referral() {
            remarks.push("the server does not recurse: it only says whom else to ask".to_owned());
        }
        remarks.extend(self.extended_errors.iter().map(|error| format!("the server explains: {error}")));
        remarks.extend(self.oddity.map(|oddity| format!("the answer is odd: {oddity}")));
        remarks
    }

    fn describe(&self, lines: &mut Vec<String>) {
        let flags = [(self.authoritative, " aa"), (self.truncated, " tc"), (self.authentic, " ad")];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        let zone = self.soa_zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
        let count = self.addresses.len();
        lines.push(format!("DNS answer {}{flags}: {count} addresses, {} bytes{zone}", self.rcode, self.length));
        if self.dead_end.is_none() && !self.chain.is_empty() {
            lines.push(format!("DNS chain: {}", self.chain_in_words()));
        }
    }
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        self.answer.iter().for_each(|answer| answer.describe(lines));
        lines.extend(self.remarks());
        lines.extend(self.unreadable.map(|unreadable| format!("the answer cannot be read: {unreadable}")));
        if self.strays > 0 {
            lines.push(format!("{} datagrams were not the answer", self.strays));
        }
    }

    /// What is worth knowing beside the answer, each in plain words; empty where all is usual.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.answer.as_ref().map(Answer::remarks).unwrap_or_default();
        remarks.extend(self.plain.map(|why| why.to_string()));
        if self.conflicting {
            remarks.push("a second answer to the same question says something else".to_owned());
        }
        if let Some(length) = self.length_over_tcp {
            remarks.push(format!(
                "over TCP the same server's answer is whole ({length} bytes): something on the path spoils datagrams, \
                 such as a device that cuts DNS at 512 bytes or does not know EDNS"
            ));
        }
        remarks
    }
}
