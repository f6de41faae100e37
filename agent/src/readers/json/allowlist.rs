//! The JSON of `ase-agent allowlist`: `ase-agent/allowlist/1`, described by `docs/allowlist.schema.json`, and the collections of
//! rules of a firewall policy as a template deploys them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    model::catalog::Catalog,
    readers::{
        VERSION,
        allowlist::{
            Blocked, Requirement, Sources,
            azure::{By, by},
        },
        summary::rfc3339,
    },
};

/// The name and version of the shape.
const SCHEMA: &str = "ase-agent/allowlist/1";
/// The edition of the resource provider whose shape is written (Microsoft.Network firewallPolicies/ruleCollectionGroups).
const API: &str = "2023-11-01";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    profile: &'a str,
    cloud: &'a str,
    edition: &'a str,
    sources: SourceEntry,
    requirements: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct SourceEntry {
    subnet: Vec<String>,
    public: Vec<String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    names: Vec<&'a str>,
    protocol: &'static str,
    ports: Vec<u16>,
    service_tag: Option<&'static str>,
    severity: &'static str,
    purpose: &'a str,
    source: &'a str,
    configured: bool,
    addresses: Vec<Address>,
    looks: usize,
    changes: usize,
    worked_first: Option<String>,
    worked_last: Option<String>,
    blocked: Vec<BlockedEntry<'a>>,
    lost_otherwise: Vec<BlockedEntry<'a>>,
}

#[derive(Serialize)]
struct Address {
    address: String,
    first_seen: String,
    last_seen: String,
}

#[derive(Serialize)]
struct BlockedEntry<'a> {
    endpoint: &'a str,
    addresses: Vec<String>,
    cause: Option<&'a str>,
    owner: Option<&'static str>,
    since: Option<String>,
    evidence: &'a [String],
}

impl<'a> BlockedEntry<'a> {
    fn of(blocked: &'a Blocked) -> Self {
        let seen = &blocked.seen;
        Self {
            endpoint: &blocked.id,
            addresses: seen.addresses.iter().map(ToString::to_string).collect(),
            cause: seen.cause.as_ref().map(|(label, _)| label.as_str()),
            owner: seen.owner.map(|owner| owner.label()),
            since: seen.since.map(rfc3339),
            evidence: &seen.evidence,
        }
    }
}

impl<'a> Entry<'a> {
    fn of(requirement: &'a Requirement) -> Self {
        let observed = requirement.observed.iter();
        Self {
            name: &requirement.name,
            names: requirement.hosts.iter().map(String::as_str).collect(),
            protocol: requirement.protocol,
            ports: requirement.ports.iter().copied().collect(),
            service_tag: requirement.tag,
            severity: requirement.severity.label(),
            purpose: &requirement.purpose,
            source: &requirement.source,
            configured: !requirement.is_open,
            addresses: observed
                .map(|(address, when)| Address {
                    address: address.to_string(),
                    first_seen: rfc3339(when.first),
                    last_seen: rfc3339(when.last),
                })
                .collect(),
            looks: requirement.churn.0,
            changes: requirement.churn.1,
            worked_first: requirement.worked.map(|worked| rfc3339(worked.first)),
            worked_last: requirement.worked.map(|worked| rfc3339(worked.last)),
            blocked: requirement.blocked.iter().map(BlockedEntry::of).collect(),
            lost_otherwise: requirement.otherwise_lost.iter().map(BlockedEntry::of).collect(),
        }
    }
}

/// Renders the requirements as one document.
pub fn allowlist_to_json(requirements: &[Requirement], sources: &Sources, catalog: &Catalog) -> String {
    let document = Document {
        schema: SCHEMA,
        version: VERSION,
        profile: &catalog.profile,
        cloud: &catalog.cloud,
        edition: &catalog.edition,
        sources: SourceEntry {
            subnet: sources.subnet.iter().map(ToString::to_string).collect(),
            public: sources.public.iter().map(ToString::to_string).collect(),
        },
        requirements: requirements.iter().map(Entry::of).collect(),
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

/// Renders a group of rule collections of a firewall policy, as a resource of a template.
pub fn firewall_to_json(requirements: &[Requirement], sources: &Sources) -> String {
    let from = sources.subnet_words();
    let (mut applications, mut networks) = (Vec::new(), Vec::new());
    for requirement in requirements {
        match by(requirement) {
            None => {}
            Some(By::Names(names, protocols)) => {
                let protocols: Vec<Value> =
                    protocols.iter().map(|(name, port)| json!({"protocolType": name, "port": port})).collect();
                applications.push(json!({"ruleType": "ApplicationRule", "name": requirement.rule_name(),
                    "protocols": protocols, "sourceAddresses": from, "targetFqdns": names}));
            }
            Some(By::Addresses(to)) => networks.push(network(requirement, &from, "destinationAddresses", &to)),
            Some(By::Resolved(to)) => networks.push(network(requirement, &from, "destinationFqdns", &to)),
        }
    }
    let collection = |name: &str, priority: u32, rules: Vec<Value>| {
        json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": name, "priority": priority,
            "action": {"type": "Allow"}, "rules": rules})
    };
    let mut collections = Vec::new();
    if !networks.is_empty() {
        collections.push(collection("ase-network", 1_000, networks));
    }
    if !applications.is_empty() {
        collections.push(collection("ase-application", 1_100, applications));
    }
    let resource = json!({"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "apiVersion": API,
        "name": "POLICY/ase-agent", "properties": {"priority": 1_000, "ruleCollections": collections}});
    format!("{resource:#}")
}

fn network(requirement: &Requirement, from: &[String], key: &str, to: &[String]) -> Value {
    let ports: Vec<String> = requirement.ports.iter().map(u16::to_string).collect();
    json!({"ruleType": "NetworkRule", "name": requirement.rule_name(), "ipProtocols": [requirement.protocol],
        "sourceAddresses": from, key: to, "destinationPorts": ports})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        readers::allowlist::{Observations, Sighting, of},
        sample,
    };

    #[test]
    fn the_document_fits_its_schema() {
        let snapshot = sample::snapshot();
        let looks = [Sighting::of(&snapshot)];
        let list = of(&snapshot.catalog, Observations { looks: &looks, worked: None, kept: &[] });
        let text = allowlist_to_json(&list, &Sources::default(), &snapshot.catalog);
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let schema: Value =
            serde_json::from_str(include_str!("../../../../docs/allowlist.schema.json")).expect("the schema is JSON");
        let validator = jsonschema::validator_for(&schema).expect("the schema compiles");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert_eq!(document["version"], VERSION);
    }
}
