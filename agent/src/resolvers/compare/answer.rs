//! One server's answer for one name in normal form: order, case and duplicates gone.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ase_probes::cause::Cause;

/// Addresses of one answer that a sentence names; the others are counted.
const SAID: usize = 3;

/// How a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DnsOutcome {
    /// With addresses.
    Answer,
    /// The name exists and has no address.
    Nodata,
    /// The name does not exist.
    Nxdomain,
    /// SERVFAIL.
    Servfail,
    /// REFUSED, or a referral from a server that does not recurse.
    Refused,
    /// FORMERR, NOTIMP or another code that refuses the form of the question, with EDNS and without.
    Formerr,
    /// Nothing came in time.
    Timeout,
    /// What came could not be read.
    Malformed,
    /// It was not asked, by a fault of this machine: that says nothing about the server.
    Unasked(Cause),
}

impl DnsOutcome {
    /// Whether the server said neither yes nor no.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Answer | Self::Nodata | Self::Nxdomain => false,
            Self::Servfail | Self::Refused | Self::Formerr | Self::Timeout | Self::Malformed | Self::Unasked(_) => true,
        }
    }

    /// Whether the server denied the name.
    pub fn is_negative(self) -> bool {
        matches!(self, Self::Nodata | Self::Nxdomain)
    }

    /// Returns the word used in reports and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Nodata => "nodata",
            Self::Nxdomain => "nxdomain",
            Self::Servfail => "servfail",
            Self::Refused => "refused",
            Self::Formerr => "formerr",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::Unasked(_) => "unasked",
        }
    }

    /// The fault of this machine for which the server was not asked.
    pub fn fault(self) -> Option<Cause> {
        match self {
            Self::Unasked(cause) => Some(cause),
            Self::Answer
            | Self::Nodata
            | Self::Nxdomain
            | Self::Servfail
            | Self::Refused
            | Self::Formerr
            | Self::Timeout
            | Self::Malformed => None,
        }
    }
}

/// One server's answer for one name, A and AAAA together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How the server answered.
    pub outcome: DnsOutcome,
    /// The canonical names below the asked one, lower case without the final dot, in order.
    pub chain: Vec<String>,
    /// The addresses of this one answer.
    pub addresses: BTreeSet<IpAddr>,
    /// The addresses of the last rounds together, this one included; what rotates is compared whole.
    pub recent: BTreeSet<IpAddr>,
    /// The zone that the authority section names.
    pub soa_zone: Option<String>,
    /// Whether a second, different answer came to the same question.
    pub conflicting: bool,
    /// Whether the server answers as an authority: it hosts the zone itself.
    pub authoritative: bool,
    /// The smallest time to live among the answer's records.
    pub ttl: Option<Duration>,
    /// Time from the question to the answer.
    pub response: Option<Duration>,
    /// Why the answer is none, in plain words: the server's own explanation, or what is wrong with what it sent.
    pub why: Option<String>,
    /// What is odd about the answer and takes nothing from it, in plain words.
    pub remarks: Vec<String>,
}

impl Answer {
    /// What came, in plain words: the first addresses, or how there is none.
    pub fn said(&self) -> String {
        if self.addresses.is_empty() {
            return self.outcome.label().to_owned();
        }
        let mut named: Vec<String> = self.addresses.iter().take(SAID).map(IpAddr::to_string).collect();
        let more = self.addresses.len() - named.len();
        named.extend((more > 0).then(|| format!("{more} more")));
        named.join(", ")
    }

    /// A negative or failed answer.
    pub fn without_addresses(outcome: DnsOutcome) -> Self {
        Self {
            outcome,
            chain: Vec::new(),
            addresses: BTreeSet::new(),
            recent: BTreeSet::new(),
            soa_zone: None,
            conflicting: false,
            authoritative: false,
            ttl: None,
            response: None,
            why: None,
            remarks: Vec::new(),
        }
    }

    /// How the server answered and why so, where that is known.
    pub(super) fn in_words(&self) -> String {
        match &self.why {
            Some(why) => format!("{} ({why})", self.outcome.label()),
            None => self.outcome.label().to_owned(),
        }
    }

    /// A positive answer.
    pub fn with(chain: &[&str], addresses: &[&str]) -> Self {
        let addresses: BTreeSet<IpAddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        Self {
            chain: chain.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect(),
            recent: addresses.clone(),
            addresses,
            ..Self::without_addresses(DnsOutcome::Answer)
        }
    }

    /// Whether a private endpoint's zone is part of the answer.
    /// The zone of private endpoints that its chain leads through.
    pub fn private_zone(&self) -> Option<String> {
        let name = self.chain.iter().find(|name| is_privatelink(name))?;
        let start = name.split('.').position(|label| label.eq_ignore_ascii_case("privatelink"))?;
        Some(name.split('.').skip(start).collect::<Vec<_>>().join("."))
    }

    pub(super) fn names_privatelink(&self) -> bool {
        self.chain.iter().chain(&self.soa_zone).any(|name| is_privatelink(name))
    }
}

/// The zone to forward, so that names of private endpoints are found: the public one, of which the zone of the endpoints is a
/// part. Forwarding that part alone does not help a server that takes the public answer whole, alias and address at once
/// (Microsoft, "Azure Private Endpoint DNS integration", on-premises workloads).
pub fn zone_to_forward(private_zone: &str) -> &str {
    match private_zone.split_once('.') {
        Some((label, public)) if label.eq_ignore_ascii_case("privatelink") => public,
        _ => private_zone,
    }
}

/// Whether a name lies in a private endpoint's zone (`privatelink.*`).
pub(super) fn is_privatelink(name: &str) -> bool {
    name.split('.').any(|label| label.eq_ignore_ascii_case("privatelink"))
}
