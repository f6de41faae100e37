//! How a DNS server can treat its clients.

use std::{net::IpAddr, time::Duration};

use serde::Deserialize;

use super::{Entry, Zone};

/// How the server treats every question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Mood {
    /// It answers.
    #[default]
    Good,
    /// The host is there, the service is not: ports are refused.
    Absent,
    /// It accepts connections and says nothing, over UDP and TCP.
    Silent,
    /// It cannot find out.
    ServFail,
    /// It cannot find out, and says so only when its own patience is over.
    ServFailSlowly {
        /// That patience.
        milliseconds: u64,
    },
    /// It does not want to.
    Refuses,
    /// It cannot find out about these names; none means all.
    Fails {
        /// Names, and suffixes with a leading dot.
        names: Vec<String>,
    },
    /// It says that these names do not exist; none means all.
    Denies {
        /// Names, and suffixes with a leading dot.
        names: Vec<String>,
    },
    /// It knows these names and no address; none means all.
    Empties {
        /// Names, and suffixes with a leading dot.
        names: Vec<String>,
    },
    /// It says something else about these names than its zone: split horizon, hijack, sinkhole, an old answer.
    Says {
        /// What it says; an entry without addresses keeps those of the zone.
        names: Zone,
    },
    /// It gives one of a name's addresses at a time, the next one to each question for it.
    Rotates {
        /// Between these addresses.
        names: Zone,
    },
    /// It invents an address for every name that does not exist.
    Rewrites {
        /// That address.
        address: IpAddr,
        /// Names that do not exist for it, though its zone has them.
        #[serde(default)]
        lost: Vec<String>,
    },
    /// It cuts answers over UDP.
    Truncates {
        /// What becomes of TCP, which the client must use then.
        tcp: Stream,
    },
    /// It answers over UDP.
    UdpOnly {
        /// What becomes of TCP.
        tcp: Stream,
    },
    /// It cannot bear EDNS (RFC 6891); questions without it are answered.
    EdnsIntolerant {
        /// What it does.
        refusal: EdnsRefusal,
    },
    /// It answers, late.
    Slow {
        /// How late.
        milliseconds: u64,
    },
    /// It answers so many questions over UDP in a second, and ignores the rest.
    RateLimited {
        /// How many.
        per_second: u32,
    },
    /// Its answers are broken.
    Broken {
        /// How.
        how: Breakage,
    },
    /// It answers, and somebody on the path answers too, with a denial.
    Raced,
    /// It answers twice, the same.
    Twice,
    /// It leads every name over a chain of canonical names.
    Chains {
        /// How many.
        length: u8,
        /// Whether their names are long, so that the answer is too large for a datagram without EDNS.
        #[serde(default)]
        wide: bool,
    },
}

/// What becomes of DNS over TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// It is answered.
    #[default]
    Answers,
    /// The port is refused.
    Refused,
    /// The connection is accepted and nothing comes.
    Silent,
}

/// What a server does with EDNS that it cannot bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdnsRefusal {
    /// It ignores the question.
    Silence,
    /// FORMERR with the question.
    FormErr,
    /// FORMERR without the question: twelve bytes.
    BareFormErr,
    /// NOTIMP.
    NotImp,
}

/// How an answer is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breakage {
    /// Another id.
    WrongId,
    /// Another question.
    WrongQuestion,
    /// Cut in the middle.
    Short,
    /// A name that points at itself.
    PointerLoop,
    /// Counts of records that are not there.
    Counts,
    /// Bytes that are no DNS.
    Garbage,
    /// It is a question, not an answer.
    NotAnAnswer,
}

impl Mood {
    /// Whether nobody listens at all.
    pub(super) fn is_absent(&self) -> bool {
        *self == Self::Absent
    }

    /// Whether nobody listens on TCP.
    pub(super) fn refuses_streams(&self) -> bool {
        self.is_absent() || self.stream() == Stream::Refused
    }

    /// What becomes of TCP.
    pub(super) fn stream(&self) -> Stream {
        match self {
            Self::Truncates { tcp } | Self::UdpOnly { tcp } => *tcp,
            _ => Stream::Answers,
        }
    }

    /// The time before an answer.
    pub(super) fn delay(&self) -> Duration {
        match self {
            Self::Slow { milliseconds } | Self::ServFailSlowly { milliseconds } => Duration::from_millis(*milliseconds),
            _ => Duration::ZERO,
        }
    }
}

/// Whether a mood's list of names holds this one.
pub(super) fn concerns(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|of| of == name || (of.starts_with('.') && name.ends_with(of.as_str())))
}

/// What is said instead of the zone's entry.
pub(super) fn said(zone: &Zone, name: &str, entry: &Entry) -> Zone {
    let mut entry = entry.clone();
    if let (true, Some(own)) = (entry.addresses.is_empty(), zone.get(name)) {
        entry.addresses.clone_from(&own.addresses);
    }
    Zone::from([(name.to_owned(), entry)])
}

/// Letters that make a name long.
const PADDING: usize = 50;

/// The name's entry behind so many more canonical names.
pub(super) fn chained(zone: &Zone, name: &str, length: u8, wide: bool) -> Zone {
    let Some(mut entry) = zone.get(name).cloned() else { return Zone::new() };
    let padding = if wide { "x".repeat(PADDING) } else { String::new() };
    entry.chain.extend((1..=length).map(|number| format!("link{number}{padding}.{name}")));
    Zone::from([(name.to_owned(), entry)])
}
