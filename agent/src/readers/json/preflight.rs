//! The JSON of `ase-agent preflight --output json`, described by `docs/preflight.schema.json`.

use serde::Serialize;

use crate::{
    engine::snapshot::Snapshot,
    readers::{
        VERSION,
        preflight::{ABOUT_SERVERS, Check, Preflight, Reason},
        summary::rfc3339,
    },
};

/// The name and version of the shape.
const SCHEMA: &str = "ase-agent/preflight/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    at: String,
    vantage: &'a str,
    profile: &'a str,
    cloud: &'a str,
    edition: &'a str,
    verdict: &'static str,
    sentence: String,
    exit_code: u8,
    checks: Vec<CheckEntry<'a>>,
    dns_servers: Servers,
    left_out: &'a [String],
}

#[derive(Serialize)]
struct CheckEntry<'a> {
    check: &'static str,
    title: &'static str,
    state: &'static str,
    looked: &'a str,
    reasons: Vec<ReasonEntry<'a>>,
}

#[derive(Serialize)]
struct ReasonEntry<'a> {
    state: &'static str,
    what: &'a str,
    next_step: Option<&'a str>,
    owner: Option<&'static str>,
}

#[derive(Serialize)]
struct Servers {
    custom: Vec<String>,
    azure: String,
    changed: Option<String>,
    note: &'static str,
}

impl<'a> CheckEntry<'a> {
    fn of(check: &'a Check) -> Self {
        Self {
            check: check.id,
            title: check.title,
            state: check.state().label(),
            looked: &check.looked,
            reasons: check.reasons.iter().map(ReasonEntry::of).collect(),
        }
    }
}

impl<'a> ReasonEntry<'a> {
    fn of(reason: &'a Reason) -> Self {
        Self { state: reason.state.label(), what: &reason.what, next_step: reason.next.as_deref(), owner: reason.owner }
    }
}

/// Renders it as one document.
pub fn preflight_to_json(preflight: &Preflight, snapshot: &Snapshot) -> String {
    let (verdict, catalog, resolvers) = (preflight.verdict(), &snapshot.catalog, &snapshot.resolvers);
    let document = Document {
        schema: SCHEMA,
        version: VERSION,
        at: rfc3339(snapshot.at),
        vantage: &snapshot.agent.vantage,
        profile: &catalog.profile,
        cloud: &catalog.cloud,
        edition: &catalog.edition,
        verdict: verdict.label(),
        sentence: preflight.sentence(),
        exit_code: verdict.exit_code(),
        checks: preflight.checks.iter().map(CheckEntry::of).collect(),
        dns_servers: Servers {
            custom: resolvers.custom.iter().map(ToString::to_string).collect(),
            azure: resolvers.azure.to_string(),
            changed: snapshot.host_dns.changed.map(rfc3339),
            note: ABOUT_SERVERS,
        },
        left_out: &snapshot.left_out,
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::{readers::preflight::Known, sample};

    #[test]
    fn the_document_fits_its_schema() {
        let snapshot = sample::snapshot();
        let preflight =
            Preflight::of(Known { snapshot: &snapshot, exported: None, private: &BTreeSet::new(), planned: None });
        let document: Value = serde_json::from_str(&preflight_to_json(&preflight, &snapshot)).expect("JSON");
        let schema: Value =
            serde_json::from_str(include_str!("../../../../docs/preflight.schema.json")).expect("the schema is JSON");
        let validator = jsonschema::validator_for(&schema).expect("the schema compiles");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert_eq!((&document["verdict"], &document["exit_code"]), (&Value::from("no_go"), &Value::from(1)));
    }
}
