//! Everything the agent runs with: the configuration after it was read, checked and completed from the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ase_probes::{egress::Egress, tls::Trust};
use ipnet::IpNet;

use crate::{
    model::{
        assumptions::Assumptions,
        catalog::{Catalog, Host},
        exports::Exports,
    },
    net::{external_url::ExternalUrl, policy::AddressPolicy},
};

/// Where the list of custom DNS servers came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolverSource {
    /// The configuration names them.
    Config,
    /// A resolver file of the host, for example `/etc/resolv.conf`.
    File(String),
}

/// The DNS servers the agent asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolvers {
    /// The servers an app in this network uses, in order; at least one.
    pub custom: Vec<SocketAddr>,
    /// Where that list came from.
    pub source: ResolverSource,
    /// Azure DNS, the reference.
    pub azure: SocketAddr,
}

/// What the operator declared about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Names and suffixes that are meant to be private.
    pub private: BTreeSet<String>,
    /// Further suffixes whose addresses vary by design.
    pub managed: BTreeSet<String>,
    /// Addresses known to be sinkholes.
    pub sinkholes: BTreeSet<IpAddr>,
    /// Origins by name: addresses that belong to one service, wherever its names lead.
    pub origins: BTreeMap<String, Vec<IpNet>>,
    /// Names that are compared beside the endpoints' own.
    pub compared: BTreeSet<String>,
}

/// How hard the agent works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Visits under way at once.
    pub concurrency: usize,
    /// New flows to one destination (address and port) per minute; SNAT ports are finite.
    pub flows_per_destination: u32,
    /// Wait before a bad sample is confirmed with a new socket and source port.
    pub confirm_after: Duration,
    /// Interval while an endpoint fails, at first; it doubles up to the endpoint's own interval.
    pub failing_interval: Duration,
    /// Time that visits under way get to end after SIGTERM.
    pub drain: Duration,
}

/// What the agent does to find out why something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagnosisKeys {
    /// Whether follow-up measurements are made and incidents are formed at all.
    pub enabled: bool,
    /// Whether the redirect ports of SQL gateways are sampled.
    pub sql_redirect: bool,
}

impl Default for DiagnosisKeys {
    fn default() -> Self {
        Self { enabled: true, sql_redirect: true }
    }
}

/// Everything the agent runs with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the configuration came from, for messages: a path, or `built-in defaults`.
    pub origin: String,
    /// What is watched.
    pub catalog: Arc<Catalog>,
    /// The DNS servers.
    pub resolvers: Resolvers,
    /// Source address and interface.
    pub egress: Egress,
    /// The trusted authorities.
    pub trust: Trust,
    /// How hard the agent works.
    pub pace: Pace,
    /// Which addresses may be reached.
    pub policy: AddressPolicy,
    /// What is assumed about suspension.
    pub assumptions: Assumptions,
    /// How causes are found out.
    pub diagnosis: DiagnosisKeys,
    /// What the operator declared about names, for the comparison of resolvers.
    pub declared: Declared,
    /// Time between two comparisons of one name.
    pub compare_every: Duration,
    /// Where clocks, incidents and outcomes are remembered; `None` remembers nothing beyond the end of the process.
    pub state_dir: Option<PathBuf>,
    /// Where the web server listens.
    pub listen: SocketAddr,
    /// The URL under which people reach the pages; `None` where nobody said.
    pub external_url: Option<ExternalUrl>,
    /// Clients in these networks may ask for a reload over HTTP, beside those on this machine.
    pub reload_from: Vec<IpNet>,
    /// Where this agent stands, for example the subnet's name; part of every JSON report.
    pub vantage: String,
    /// Files that were exported from Azure; `None` where there are none.
    pub exports: Option<Exports>,
    /// What was noticed while completing the configuration and does not prevent a start.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The settings with the web server at this address, if there is one, and with a warning where others can reach it.
    pub fn listening(mut self, address: Option<SocketAddr>) -> Self {
        self.listen = address.unwrap_or(self.listen);
        if !self.listen.ip().to_canonical().is_loopback() {
            self.warnings.push(format!(
                "listen ({}) can be reached from other machines: whoever reaches it reads every page, without encryption \
                 and without a password",
                self.listen
            ));
        }
        self
    }
}

/// Every name that the catalogue or the configuration watches, each once.
pub fn names(settings: &Settings) -> Vec<String> {
    let mut names = names_of(&settings.catalog);
    names.extend(settings.declared.compared.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// Every name of a catalogue.
fn names_of(catalog: &Catalog) -> Vec<String> {
    let hosts = catalog.endpoints.iter().map(|endpoint| &endpoint.target.host);
    hosts
        .filter_map(|host| match host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        })
        .collect()
}
