//! What is watched: every endpoint with the question that proves it, and the slots nobody filled yet.
//! A catalogue is finished and valid; how it came about (profile, configuration) is not its business.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use ase_probes::{class::Class, probe::Probe};

use crate::net::address::{AddressClass, class_of};

/// The stable name of an endpoint, unique in its catalogue: `login.live.com:443`, `168.63.129.16:53/udp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub Arc<str>);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom an endpoint's probe speaks to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name, resolved at each visit; lower case, without the final dot.
    Name(String),
    /// A fixed address.
    Address(IpAddr),
}

impl Host {
    /// Whether it is an address of the operator's own network (RFC 1918) or of a test bench (RFC 2544): limits that
    /// protect public servers do not apply.
    pub fn is_own(&self) -> bool {
        match self {
            Self::Address(address) => {
                matches!(class_of(*address), AddressClass::Private | AddressClass::Benchmark)
            }
            Self::Name(_) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// How bad the loss of an endpoint is for the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, harms nothing by itself.
    Info,
    /// The environment runs on, with something missing.
    Warning,
    /// The environment degrades and, when the loss lasts, is suspended.
    Critical,
}

impl Severity {
    /// Returns the word used in files, reports and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Which of a name's addresses a visit tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Every resolved address, both families.
    All,
    /// The first address that the resolver gave.
    #[default]
    First,
}

impl Addresses {
    /// How many addresses of one name are asked at most.
    pub fn most(self) -> usize {
        match self {
            Self::All => 8,
            Self::First => 1,
        }
    }
}

/// Which kind of address a name is expected to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpectAddress {
    /// No expectation.
    #[default]
    Any,
    /// A private address, for example behind a private endpoint.
    Private,
    /// A public address.
    Public,
}

/// Which apps need an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// Every environment.
    #[default]
    Any,
    /// Only environments that host Linux apps.
    Linux,
    /// Only environments that host Windows apps.
    Windows,
}

/// How well founded the choice of the probed host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The host itself stands in the documentation.
    Documented,
    /// The host appears in an official API example.
    ApiExample,
    /// A plausible host, not documented.
    Suggested,
    /// The operator named it.
    Configured,
}

impl Basis {
    /// Returns the word used in files, reports and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::ApiExample => "api-example",
            Self::Suggested => "suggested",
            Self::Configured => "configured",
        }
    }
}

/// Where a row comes from and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The name as documented, where it differs from the host: a wildcard, `*`, a service.
    pub documented_as: Option<String>,
    /// What the environment needs it for, for example `cert-revocation`.
    pub purpose: String,
    /// Which apps need it.
    pub workload: Workload,
    /// How well founded the probed host is.
    pub basis: Basis,
    /// The document the row was taken from.
    pub source: String,
    /// The edition of that document, `YYYY-MM-DD`.
    pub as_of: String,
    /// What a reader should know about the row.
    pub note: Option<String>,
}

/// One thing that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its stable name.
    pub id: EndpointId,
    /// The class it counts in.
    pub class: Class,
    /// Whom the probe speaks to.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// The question that proves the peer.
    pub probe: Probe,
    /// Which addresses are tried.
    pub addresses: Addresses,
    /// Which kind of address is expected.
    pub expect_address: ExpectAddress,
    /// How bad its loss is.
    pub severity: Severity,
    /// Time between two visits.
    pub interval: Duration,
    /// The bound of one visit over all its phases, shorter than the interval.
    pub timeout: Duration,
    /// Where the row comes from.
    pub about: About,
}

/// A row that no profile can know, and that the configuration has not filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The key under `slots:` that fills it.
    pub name: String,
    /// The class its endpoints will count in.
    pub class: Class,
    /// The port its endpoints will have.
    pub port: u16,
    /// What the environment needs it for.
    pub purpose: String,
    /// How to fill it, one sentence.
    pub hint: String,
    /// How bad the loss of its endpoints will be.
    pub severity: Severity,
    /// The document the row was taken from.
    pub source: String,
    /// The edition of that document, `YYYY-MM-DD`.
    pub as_of: String,
}

/// Everything that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The profile it was made from.
    pub profile: String,
    /// The cloud, for example `public`.
    pub cloud: String,
    /// The newest edition among its rows, `YYYY-MM-DD`.
    pub edition: String,
    /// The endpoints, ordered by class and id; ids are unique.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The slots that are not filled.
    pub slots: Vec<Slot>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_servers_are_known_by_their_addresses() {
        let is_own = |text: &str| Host::Address(text.parse().expect("an address")).is_own();
        assert!(["10.1.2.3", "192.168.0.1", "198.18.0.1", "198.19.255.255", "fd00::1"].into_iter().all(is_own));
        assert!(!["20.1.2.3", "198.17.0.1", "198.20.0.1", "2001:db8::1"].into_iter().any(is_own));
        assert!(!Host::Name("time.windows.com".to_owned()).is_own());
    }
}
