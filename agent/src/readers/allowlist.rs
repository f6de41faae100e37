//! What has to be allowed: the catalogue as requirements, with the names behind wildcards, the service tag that covers them, and the
//! addresses that were observed, since when and how often they changed. Pure; `allowlist/` has the forms to hand over.

pub mod azure;
pub mod csv;
pub mod message;
pub mod table;
mod tags;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ase_probes::{cause::Owner, class::Class};
use ipnet::IpNet;

use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::{Catalog, Endpoint, Host, Severity},
        endpoint::{EndpointView, Status},
    },
    store::addresses::{Addresses, Known},
};

/// How one endpoint was seen at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it failed.
    pub has_failed: bool,
    /// Who mends what it failed by.
    pub owner: Option<Owner>,
    /// What it failed by, as a label and in plain words.
    pub cause: Option<(String, &'static str)>,
    /// Since when it stands so, since the Unix epoch.
    pub since: Option<Duration>,
    /// What that rests on.
    pub evidence: Vec<String>,
    /// The addresses that were asked.
    pub addresses: BTreeSet<IpAddr>,
}

/// Everything that was seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// When, since the Unix epoch.
    pub at: Duration,
    /// By the endpoint's id.
    pub endpoints: BTreeMap<String, Seen>,
}

impl Sighting {
    /// What a snapshot shows.
    pub fn of(snapshot: &Snapshot) -> Self {
        let endpoints = snapshot.endpoints.iter().filter(|view| view.last.is_some());
        let seen = |view: &EndpointView| {
            let finding = view.status.finding();
            let visit = view.last.as_ref();
            Seen {
                has_failed: matches!(view.status, Status::Failed(_)),
                owner: finding.map(|finding| finding.cause.definition().owner),
                cause: finding.map(|one| (one.cause.label().to_owned(), one.cause.definition().summary)),
                since: Some(view.since),
                evidence: visit.map(|visit| visit.evidence()).unwrap_or_default(),
                addresses: visit.iter().flat_map(|visit| &visit.outcomes).map(|one| one.address.ip()).collect(),
            }
        };
        Self { at: snapshot.at, endpoints: endpoints.map(|view| (view.endpoint.id.to_string(), seen(view))).collect() }
    }
}

/// When an address was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// First, since the Unix epoch.
    pub first: Duration,
    /// Last.
    pub last: Duration,
}

/// Something that is blocked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The endpoint's id.
    pub id: String,
    /// Its host and port.
    pub to: (String, u16),
    /// How it was seen last.
    pub seen: Seen,
}

/// One thing that has to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The name as documented: a wildcard, a service, a host, an address.
    pub name: String,
    /// The concrete names and addresses that are asked for it.
    pub hosts: BTreeSet<String>,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// The ports.
    pub ports: BTreeSet<u16>,
    /// Whether a name in it is asked by HTTP (false) or HTTPS (true); `None` where neither.
    pub is_tls: Option<bool>,
    /// The service tag that covers all of it.
    pub tag: Option<&'static str>,
    /// What it is needed for.
    pub purpose: String,
    /// How bad its loss is.
    pub severity: Severity,
    /// The document, and its edition.
    pub source: String,
    /// Whether nobody said which hosts these are: a slot that is not filled.
    pub is_open: bool,
    /// The addresses that were seen.
    pub observed: BTreeMap<IpAddr, Observed>,
    /// Looks at it, and how many of them showed other addresses than the one before.
    pub churn: (usize, usize),
    /// When one of its endpoints was first and last known to work, as a state directory remembers.
    pub worked: Option<Observed>,
    /// What of it is blocked now.
    pub blocked: Vec<Blocked>,
    /// What of it failed by something that no rule can mend.
    pub otherwise_lost: Vec<Blocked>,
}

/// From where flows come, for those who write rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The subnet's prefixes: what boxes inside the network and over a VPN see.
    pub subnet: Vec<IpNet>,
    /// The addresses that flows to the Internet leave as.
    pub public: Vec<IpAddr>,
}

impl Sources {
    /// The subnet's prefixes in words; a placeholder where nobody said them.
    pub fn subnet_words(&self) -> Vec<String> {
        if self.subnet.is_empty() {
            vec!["SUBNET_PREFIX".to_owned()]
        } else {
            self.subnet.iter().map(ToString::to_string).collect()
        }
    }
}

/// What is known beside the catalogue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observations<'a> {
    /// Looks, the oldest first.
    pub looks: &'a [Sighting],
    /// When endpoints were known to work, by id.
    pub worked: Option<&'a BTreeMap<String, Observed>>,
    /// The addresses over days, as state directories remember them.
    pub kept: &'a [Addresses],
}

/// The requirements of a catalogue, the worst loss first.
pub fn of(catalog: &Catalog, known: Observations<'_>) -> Vec<Requirement> {
    let mut found: BTreeMap<(String, &'static str, String), Requirement> = BTreeMap::new();
    for endpoint in &catalog.endpoints {
        let about = &endpoint.about;
        let name = about.documented_as.clone().unwrap_or_else(|| endpoint.target.host.to_string());
        let key = (name, protocol(endpoint), about.purpose.clone());
        let requirement = found.entry(key.clone()).or_insert_with(|| begun(key.0, endpoint));
        add(requirement, endpoint, known);
    }
    let slots = catalog.slots.iter().map(|slot| Requirement {
        name: slot.name.clone(),
        hosts: BTreeSet::new(),
        protocol: "TCP",
        ports: [slot.port].into(),
        is_tls: None,
        tag: tags::of_class(slot.class),
        purpose: slot.purpose.clone(),
        severity: slot.severity,
        source: format!("{}, edition {}", slot.source, slot.as_of),
        is_open: true,
        observed: BTreeMap::new(),
        churn: (0, 0),
        worked: None,
        blocked: Vec::new(),
        otherwise_lost: Vec::new(),
    });
    let mut all: Vec<Requirement> = found.into_values().chain(slots).collect();
    all.sort_by_key(|requirement| std::cmp::Reverse(requirement.severity));
    all
}

fn begun(name: String, endpoint: &Endpoint) -> Requirement {
    let about = &endpoint.about;
    Requirement {
        name,
        hosts: BTreeSet::new(),
        protocol: protocol(endpoint),
        ports: BTreeSet::new(),
        is_tls: None,
        tag: tags::of(endpoint),
        purpose: about.purpose.clone(),
        severity: endpoint.severity,
        source: format!("{}, edition {}", about.source, about.as_of),
        is_open: false,
        observed: BTreeMap::new(),
        churn: (0, 0),
        worked: None,
        blocked: Vec::new(),
        otherwise_lost: Vec::new(),
    }
}

fn add(requirement: &mut Requirement, endpoint: &Endpoint, known: Observations<'_>) {
    requirement.hosts.insert(endpoint.target.host.to_string());
    requirement.ports.insert(endpoint.target.port);
    requirement.severity = requirement.severity.max(endpoint.severity);
    requirement.is_tls = match endpoint.class {
        Class::Https => Some(true),
        Class::Http => requirement.is_tls.or(Some(false)),
        Class::Dns | Class::Ntp | Class::Sql | Class::Monitoring | Class::Tcp => requirement.is_tls,
    };
    // A tag that covers one name of several covers not all.
    requirement.tag = requirement.tag.filter(|tag| tags::of(endpoint) == Some(*tag));
    let id = &*endpoint.id.0;
    if let Host::Address(address) = endpoint.target.host
        && let (Some(first), Some(last)) = (known.looks.first(), known.looks.last())
    {
        requirement.observed.entry(address).or_insert(Observed { first: first.at, last: last.at });
    }
    let mut before: Option<&BTreeSet<IpAddr>> = None;
    for look in known.looks {
        let Some(seen) = look.endpoints.get(id).filter(|seen| !seen.addresses.is_empty()) else { continue };
        for address in &seen.addresses {
            let observed = requirement.observed.entry(*address).or_insert(Observed { first: look.at, last: look.at });
            observed.first = observed.first.min(look.at);
            observed.last = observed.last.max(look.at);
        }
        requirement.churn.0 += 1;
        requirement.churn.1 += usize::from(before.is_some_and(|before| *before != seen.addresses));
        before = Some(&seen.addresses);
    }
    known.kept.iter().filter_map(|kept| kept.of(id)).for_each(|over_days| remember(requirement, over_days));
    if let Some(worked) = known.worked.and_then(|worked| worked.get(id)) {
        let all = requirement.worked.get_or_insert(*worked);
        (all.first, all.last) = (all.first.min(worked.first), all.last.max(worked.last));
    }
    let now = known.looks.last().and_then(|look| look.endpoints.get(id)).filter(|seen| seen.has_failed);
    if let Some(seen) = now {
        let to = (endpoint.target.host.to_string(), endpoint.target.port);
        let blocked = Blocked { id: id.to_owned(), to, seen: seen.clone() };
        match seen.owner {
            Some(Owner::NetworkTeam) => requirement.blocked.push(blocked),
            Some(Owner::Nobody | Owner::ThisMachine | Owner::DnsTeam | Owner::Peer) | None => {
                requirement.otherwise_lost.push(blocked);
            }
        }
    }
}

/// Adds what a state directory remembers of an endpoint: its visits count as looks.
fn remember(requirement: &mut Requirement, over_days: &Known) {
    for (address, span) in &over_days.each {
        let (first, last) = (span.first, span.last);
        let observed = requirement.observed.entry(*address).or_insert(Observed { first, last });
        (observed.first, observed.last) = (observed.first.min(first), observed.last.max(last));
    }
    requirement.churn.0 += usize::try_from(over_days.visits).unwrap_or(usize::MAX);
    requirement.churn.1 += usize::try_from(over_days.changes).unwrap_or(usize::MAX);
}

/// The transport of an endpoint's question; that of DNS stands in its id.
fn protocol(endpoint: &Endpoint) -> &'static str {
    match endpoint.class {
        Class::Ntp => "UDP",
        Class::Dns if !endpoint.id.0.ends_with("/tcp") => "UDP",
        Class::Dns | Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => "TCP",
    }
}

impl Requirement {
    /// The ports in words.
    pub fn ports_words(&self, between: &str) -> String {
        self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(between)
    }

    /// The first and the last time that one of its addresses was seen.
    pub fn seen(&self) -> Option<Observed> {
        let first = self.observed.values().map(|one| one.first).min()?;
        let last = self.observed.values().map(|one| one.last).max()?;
        Some(Observed { first, last })
    }

    /// A name for a rule: letters, digits and hyphens (Azure takes those, and 80 characters at most).
    pub fn rule_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = self.name.chars().map(plain).collect();
        let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
        let name = if words.is_empty() { self.purpose.chars().map(plain).collect() } else { words.join("-") };
        let name: String = format!("{}-{name}", self.protocol.to_ascii_lowercase()).chars().take(60).collect();
        format!("{}-{}", name.trim_end_matches('-'), self.ports_words("-").chars().take(18).collect::<String>())
    }
}

#[cfg(test)]
mod tests;
