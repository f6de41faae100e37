//! What is watched: every endpoint with the question that proves it, and the slots nobody filled yet.
//! A catalogue is finished and valid; how it came about (profile, configuration) is not its business.

use std::{fmt, sync::Arc, time::Duration};

use ase_probes::class::Class;

pub use crate::model::target::{Addresses, ExpectAddress, Host, ResolvedBy, Target};

/// The stable name of an endpoint, unique in its catalogue: `login.live.com:443`, `168.63.129.16:53/udp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub Arc<str>);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    /// The pack of the profile that it belongs to; `None` where it is always watched.
    pub pack: Option<String>,
    /// How well founded the probed host is.
    pub basis: Basis,
    /// The host that takes its place, watched on the same port.
    pub successor: Option<String>,
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
    /// Whom to ask, and what.
    pub target: Target,
    /// How bad its loss is.
    pub severity: Severity,
    /// Time between two visits, longer than the target's time-out.
    pub interval: Duration,
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

/// What it means that something of a catalogue is lost, for the product that the catalogue is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stakes {
    /// Whether the platform suspends the product when a loss lasts.
    pub suspends: bool,
    /// What a loss means, in words that follow "a loss means:".
    pub means: String,
}

/// Rows of a profile that only some need, watched together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Its name, under which `packs:` names it.
    pub name: String,
    /// Who needs it, in a few words.
    pub what: String,
    /// Whether its rows are watched.
    pub is_watched: bool,
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
    /// What a loss means.
    pub stakes: Stakes,
    /// Whether apps that the custom DNS leaves without an answer get one of Azure DNS.
    pub falls_back: bool,
    /// Rows that only some need, in the order of their names.
    pub packs: Vec<Pack>,
    /// The endpoints, ordered by class and id; ids are unique.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The slots that are not filled.
    pub slots: Vec<Slot>,
}
