//! The built-in dependency catalogues: data files embedded in the binary, read strictly.

use std::{collections::BTreeMap, net::IpAddr};

use ase_probes::class::Class;
use serde::Deserialize;

pub use crate::model::listed::{Document, Level};
use crate::model::{
    catalog::{Basis, ResolvedBy, Workload},
    listed,
};

/// The embedded files: profile, cloud, text.
const FILES: [(&str, &str, &str); 13] = [
    ("ase-v2", "public", include_str!("../../profiles/ase-v2-public.yaml")),
    ("ase-v2", "usgov", include_str!("../../profiles/ase-v2-usgov.yaml")),
    ("ase-v2", "china", include_str!("../../profiles/ase-v2-china.yaml")),
    ("ase-v3", "public", include_str!("../../profiles/ase-v3-public.yaml")),
    ("ase-v3", "usgov", include_str!("../../profiles/ase-v3-usgov.yaml")),
    ("ase-v3", "china", include_str!("../../profiles/ase-v3-china.yaml")),
    ("vnet-integration", "public", include_str!("../../profiles/vnet-integration-public.yaml")),
    ("vnet-integration", "usgov", include_str!("../../profiles/vnet-integration-usgov.yaml")),
    ("vnet-integration", "china", include_str!("../../profiles/vnet-integration-china.yaml")),
    ("apim-classic", "public", include_str!("../../profiles/apim-classic-public.yaml")),
    ("apim-classic", "usgov", include_str!("../../profiles/apim-classic-usgov.yaml")),
    ("apim-classic", "china", include_str!("../../profiles/apim-classic-china.yaml")),
    ("custom", "public", include_str!("../../profiles/custom.yaml")),
];

/// Profiles of which rules and routes can be judged, but of which no document names what the service asks for by itself.
pub(crate) const LINT_ONLY: [&str; 2] = ["apim-v2", "container-apps"];

/// A profile of one cloud.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profile's name.
    pub profile: String,
    /// The cloud.
    pub cloud: String,
    /// What it is, one line.
    pub title: String,
    /// The documents it was taken from, by short name.
    pub sources: BTreeMap<String, Document>,
    /// What a loss means.
    pub loss: LossRow,
    /// Rows that only some need, by the name that the configuration calls them by.
    #[serde(default)]
    pub packs: BTreeMap<String, PackRow>,
    /// How bad the loss of an endpoint is, by purpose.
    pub severities: BTreeMap<String, Level>,
    /// The DNS row.
    pub dns: DnsRow,
    /// The endpoints that are known.
    pub rows: Vec<Row>,
    /// The endpoints that only the configuration can know.
    pub slots: Vec<SlotRow>,
}

/// [`Class`] as files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are those of Class")]
pub enum ClassName {
    Dns,
    Ntp,
    Http,
    Https,
    Sql,
    Monitoring,
    Tcp,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Dns => Self::Dns,
            ClassName::Ntp => Self::Ntp,
            ClassName::Http => Self::Http,
            ClassName::Https => Self::Https,
            ClassName::Sql => Self::Sql,
            ClassName::Monitoring => Self::Monitoring,
            ClassName::Tcp => Self::Tcp,
        }
    }
}

/// [`Workload`] as files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WorkloadName {
    /// Only Linux apps need it.
    Linux,
    /// Only Windows apps need it.
    Windows,
}

impl From<WorkloadName> for Workload {
    fn from(name: WorkloadName) -> Self {
        match name {
            WorkloadName::Linux => Self::Linux,
            WorkloadName::Windows => Self::Windows,
        }
    }
}

/// [`ResolvedBy`] as files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ResolvedByName {
    /// The custom DNS, as apps do.
    Custom,
    /// Azure DNS alone, as the platform does.
    Azure,
}

impl From<ResolvedByName> for ResolvedBy {
    fn from(name: ResolvedByName) -> Self {
        match name {
            ResolvedByName::Custom => Self::Custom,
            ResolvedByName::Azure => Self::Azure,
        }
    }
}

/// [`Basis`] as files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BasisName {
    /// The host stands in the documentation.
    Documented,
    /// The host appears in an official example.
    ApiExample,
    /// A plausible host.
    Suggested,
}

impl From<BasisName> for Basis {
    fn from(name: BasisName) -> Self {
        match name {
            BasisName::Documented => Self::Documented,
            BasisName::ApiExample => Self::ApiExample,
            BasisName::Suggested => Self::Suggested,
        }
    }
}

/// What proves an HTTP peer, as files write it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// `expect: any`
    Any,
    /// `expect: crl`
    Crl,
    /// `expect: {status: [200, 204]}`
    Status(Vec<u16>),
    /// `expect: {contains: TEXT}`
    Contains(String),
}

/// What a loss means for the product that the profile is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossRow {
    /// Whether the platform suspends it when a loss lasts.
    pub suspends: bool,
    /// What a loss means, in words that follow "a loss means:".
    pub means: String,
}

/// Rows and slots that are watched together or not at all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackRow {
    /// Who needs them, in a few words.
    pub what: String,
    /// Whether they are watched where the configuration names no packs.
    pub default: bool,
}

/// Who answers apps that the custom DNS leaves without an answer, as files write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FallbackName {
    /// Azure DNS.
    #[default]
    Azure,
    /// Nobody.
    None,
}

/// The DNS servers, asked over UDP and over TCP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are those of Row")]
pub struct DnsRow {
    /// The name that is asked for.
    pub question: String,
    /// Whether the servers are watched although nobody names them.
    #[serde(default = "watched")]
    pub watched: bool,
    /// Who answers apps that the custom DNS leaves without an answer.
    #[serde(default)]
    pub fallback: FallbackName,
    pub purpose: String,
    pub source: String,
    pub note: Option<String>,
}

fn watched() -> bool {
    true
}

/// An endpoint that the profile knows, on one or several ports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name or address that is probed.
    pub host: String,
    /// Its ports.
    pub ports: Vec<u16>,
    /// Its class; without one the port decides.
    pub class: Option<ClassName>,
    /// What the environment needs it for; decides the severity.
    pub purpose: String,
    /// The short name of the document.
    pub source: String,
    /// The documented name where it differs from the host.
    pub documented_as: Option<String>,
    /// Documented wildcards that this row stands for.
    #[serde(default)]
    pub covers: Vec<String>,
    /// How well founded the host is.
    pub basis: Option<BasisName>,
    /// Which apps need it.
    pub workload: Option<WorkloadName>,
    /// The pack that it belongs to; without one it is always watched.
    pub pack: Option<String>,
    /// Whose DNS servers resolve it; without it the custom DNS, as apps do.
    pub resolved_by: Option<ResolvedByName>,
    /// The severity, where it differs from the purpose's.
    pub severity: Option<Level>,
    /// What is asked for.
    pub path: Option<String>,
    /// What proves the peer.
    pub expect: Option<Expect>,
    /// The host that takes its place, where one is known; it is watched beside it.
    pub successor: Option<String>,
    /// What a reader should know.
    pub note: Option<String>,
}

/// An endpoint that only the configuration can know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are those of Row")]
pub struct SlotRow {
    pub name: String,
    pub documented_as: String,
    pub class: ClassName,
    pub ports: Vec<u16>,
    pub purpose: String,
    pub source: String,
    pub workload: Option<WorkloadName>,
    pub pack: Option<String>,
    pub hint: String,
    pub note: Option<String>,
}

/// Why there is no such profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No profile has this name.
    #[error("profile ({0}) must be one of: {1}")]
    Unknown(String, String),
    /// The profile is one of rules and routes alone.
    #[error(
        "profile ({0}) is one of `ase-agent lint` alone: no document names the endpoints that it asks for; watch what you know of \
         it with `profile: custom` and `endpoints.add`, or choose one of: {1}"
    )]
    LintOnly(String, String),
    /// The profile has no edition for this cloud.
    #[error("cloud ({0}) must be one of: {1}")]
    Cloud(String, String),
    /// An embedded file is broken; a test prevents it.
    #[error("the built-in profile is broken: {0}")]
    Broken(String),
}

impl Profile {
    /// Loads a built-in profile.
    ///
    /// # Errors
    /// [`ProfileError`], which names what there is.
    pub fn load(name: &str, cloud: &str) -> Result<Self, ProfileError> {
        let of_name: Vec<_> = FILES.iter().filter(|(profile, ..)| *profile == name).collect();
        let every = || names(FILES.iter().map(|file| file.0));
        if LINT_ONLY.contains(&name) {
            return Err(ProfileError::LintOnly(name.to_owned(), every()));
        }
        if of_name.is_empty() {
            return Err(ProfileError::Unknown(name.to_owned(), every()));
        }
        let file = of_name.iter().find(|(_, of_cloud, _)| *of_cloud == cloud);
        let clouds = || names(of_name.iter().map(|file| file.1));
        let (.., text) = file.ok_or_else(|| ProfileError::Cloud(cloud.to_owned(), clouds()))?;
        listed::read(text).map_err(ProfileError::Broken)
    }

    /// The newest edition among its documents; `none` where it rests on none.
    pub fn edition(&self) -> String {
        self.sources.values().map(|document| document.as_of.clone()).max().unwrap_or_else(|| "none".to_owned())
    }

    /// Every built-in profile.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        FILES.iter().filter_map(|(name, cloud, _)| Self::load(name, cloud).ok())
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut list: Vec<&str> = names.collect();
    list.dedup();
    list.join(", ")
}

impl Row {
    /// The class of one of its ports.
    pub fn class_of(&self, port: u16) -> Class {
        match (self.class, port) {
            (Some(class), _) => class.into(),
            (None, 80) => Class::Http,
            (None, 443) => Class::Https,
            (None, 123) => Class::Ntp,
            (None, 1433) => Class::Sql,
            (None, 12000) => Class::Monitoring,
            (None, _) => Class::Tcp,
        }
    }

    /// Whether the host is an address.
    pub fn is_literal(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
