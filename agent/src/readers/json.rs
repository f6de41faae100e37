//! The JSON of `/api/v1/status` and of `ase-agent check --output json`: one versioned shape, described by
//! `docs/status.schema.json`. Times are RFC 3339 in UTC, durations are seconds.

mod address;
mod allowlist;
mod baseline;
mod certificate;
mod config_check;
mod dns;
mod doctor;
mod early;
mod endpoint;
mod environment;
mod explain;
mod exports;
mod history;
mod import;
mod incidents;
mod knock;
mod looks;
mod machine;
mod note;
mod portal;
mod preflight;
mod probe;
mod resolver;
mod risk;
#[cfg(test)]
mod schema_tests;
mod tcpping;
mod trace;
mod why;

use serde::Serialize;

use crate::{
    engine::snapshot::{ClassView, Snapshot},
    model::settings::ResolverSource,
    readers::{
        headline,
        summary::{Summary, rfc3339},
        witness::Witness,
    },
};

/// The name and version of the shape. Fields are added within a version; none is removed or changes its meaning.
pub const SCHEMA: &str = "ase-agent/status/1";

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    at: String,
    /// Present while this machine's clock is known to be wrong: every time here is by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<String>,
    agent: Agent<'a>,
    machine: MachineEntry<'a>,
    summary: Totals,
    endpoints: Endpoints<'a>,
    classes: Vec<ClassEntry>,
    resolvers: ResolverEntry<'a>,
    incidents: Vec<IncidentEntry<'a>>,
    risk: Option<RiskEntry<'a>>,
    early: EarlyEntry,
    store: StoreEntry,
    dns: DnsEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<EnvironmentEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exports: Option<ExportsEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<&'a Witness>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    left_out: &'a [String],
}

use dns::DnsEntry;
use early::{EarlyEntry, StoreEntry};
use endpoint::Endpoints;
use environment::EnvironmentEntry;
use exports::ExportsEntry;
use incidents::IncidentEntry;
use machine::MachineEntry;
use risk::RiskEntry;

pub use allowlist::{allowlist_to_json, firewall_to_json};
pub use baseline::{baseline_from_json, baseline_to_json, comparison_to_json};
pub use config_check::checked_to_json;
pub use doctor::examined_to_json;
pub use explain::causes_to_json;
pub use history::history_to_json;
pub use import::{ImportHead, environment_to_json, inbound_to_json, outbound_to_json};
pub use knock::knocks_to_json;
pub use looks::look_from_json;
pub use portal::portal_to_json;
pub use preflight::preflight_to_json;
pub use probe::probe_to_json;
pub use resolver::{resolved_to_json, round_to_json, survey_to_json};
pub use tcpping::tcpping_to_json;
pub use trace::{Earlier, earlier_trace, trace_to_json};

/// Renders a snapshot as one line of JSON; `version` is the agent's own.
pub fn to_json(snapshot: &Snapshot, version: &str) -> String {
    serde_json::to_string(&Document::of(snapshot, version)).expect("plain structs with string keys serialise")
}

/// Renders one look as indented JSON, and what a daemon beside it says; `version` is the agent's own.
pub fn check_to_json(snapshot: &Snapshot, witness: Option<&Witness>, version: &str) -> String {
    let document = Document { daemon: witness, ..Document::of(snapshot, version) };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

/// Like [`check_to_json`], with those endpoints alone that failed; every sum is of all.
pub fn failed_to_json(snapshot: &Snapshot, witness: Option<&Witness>, version: &str) -> String {
    let endpoints = Endpoints::that_failed(snapshot);
    let document = Document { daemon: witness, endpoints, ..Document::of(snapshot, version) };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

impl<'a> Document<'a> {
    /// The document of a snapshot; `version` is the agent's own.
    pub fn of(snapshot: &'a Snapshot, version: &'a str) -> Self {
        Self {
            schema: SCHEMA,
            at: rfc3339(snapshot.at),
            clock: headline::clock(snapshot).map(|clock| format!("every time here is by {clock}")),
            agent: Agent::of(snapshot, version),
            machine: MachineEntry::of(&snapshot.machine),
            summary: Totals::of(&Summary::of(snapshot)),
            endpoints: Endpoints::of(snapshot),
            classes: snapshot.classes.iter().map(ClassEntry::of).collect(),
            resolvers: ResolverEntry::of(snapshot),
            incidents: incidents::entries(snapshot),
            risk: RiskEntry::of(snapshot),
            early: EarlyEntry::of(snapshot),
            store: StoreEntry::of(&snapshot.store),
            dns: DnsEntry::of(snapshot),
            environment: snapshot.environment.as_deref().map(EnvironmentEntry::of),
            exports: ExportsEntry::of(snapshot),
            daemon: None,
            left_out: &snapshot.left_out,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Agent<'a> {
    version: &'a str,
    vantage: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_url: Option<String>,
    profile: &'a str,
    cloud: &'a str,
    edition: &'a str,
    started: String,
    ready: bool,
    origin: &'a str,
    loaded: String,
    reload_ok: bool,
    warnings: &'a [String],
    schedule_lag_seconds: f64,
    schedule_wait_seconds: f64,
    visits_in_flight: usize,
    sockets_limit: usize,
    flow_budget_spent: u64,
}

impl<'a> Agent<'a> {
    fn of(snapshot: &'a Snapshot, version: &'a str) -> Self {
        let (agent, catalog) = (&snapshot.agent, &snapshot.catalog);
        Self {
            version,
            vantage: &agent.vantage,
            external_url: agent.external_url.as_ref().map(ToString::to_string),
            profile: &catalog.profile,
            cloud: &catalog.cloud,
            edition: &catalog.edition,
            started: rfc3339(agent.started),
            ready: agent.ready,
            origin: &agent.origin,
            loaded: rfc3339(agent.loaded),
            reload_ok: agent.reload_ok,
            warnings: &agent.warnings,
            schedule_lag_seconds: agent.schedule_lag.as_secs_f64(),
            schedule_wait_seconds: agent.schedule_wait.as_secs_f64(),
            visits_in_flight: agent.in_flight,
            sockets_limit: agent.sockets,
            flow_budget_spent: agent.budget_spent,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Totals {
    sentence: String,
    exit_code: u8,
    endpoints: usize,
    healthy: usize,
    degraded: usize,
    failed: usize,
    unknown: usize,
    not_configured: usize,
    classes_lost: Vec<&'static str>,
}

impl Totals {
    fn of(summary: &Summary) -> Self {
        Self {
            sentence: summary.sentence(),
            exit_code: summary.exit_code(),
            endpoints: summary.endpoints(),
            healthy: summary.healthy,
            degraded: summary.degraded,
            failed: summary.failed,
            unknown: summary.unknown,
            not_configured: summary.not_configured,
            classes_lost: summary.lost.clone(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct ClassEntry {
    class: &'static str,
    up: Option<bool>,
    endpoints: usize,
    answering: usize,
    failed: usize,
    unknown: usize,
    not_configured: usize,
    worst: Option<&'static str>,
}

impl ClassEntry {
    fn of(class: &ClassView) -> Self {
        Self {
            class: class.class.label(),
            up: class.is_up(),
            endpoints: class.endpoints,
            answering: class.up,
            failed: class.failed,
            unknown: class.unknown,
            not_configured: class.not_configured,
            worst: class.worst.map(|severity| severity.label()),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct ResolverEntry<'a> {
    custom: Vec<String>,
    source: &'a str,
    azure: String,
}

impl<'a> ResolverEntry<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let resolvers = &snapshot.resolvers;
        Self {
            custom: resolvers.custom.iter().map(ToString::to_string).collect(),
            source: match &resolvers.source {
                ResolverSource::Config => "configuration",
                ResolverSource::File(path) => path,
            },
            azure: resolvers.azure.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{endpoint::Status, visit::Untested},
        readers::summary,
        sample,
    };
    use jsonschema::Validator;
    use serde_json::{Value, json};

    fn schema() -> Validator {
        let text = include_str!("../../../docs/status.schema.json");
        let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
        jsonschema::meta::validate(&schema).expect("the schema is a schema");
        jsonschema::validator_for(&schema).expect("the schema compiles")
    }

    fn document(snapshot: &Snapshot) -> Value {
        serde_json::from_str(&to_json(snapshot, "0.1.0")).expect("the document is JSON")
    }

    fn endpoint<'a>(document: &'a Value, id: &str) -> &'a Value {
        let endpoints = document["endpoints"].as_array().expect("a list");
        endpoints.iter().find(|entry| entry["id"] == id).expect("the endpoint is in the sample")
    }

    #[test]
    fn every_state_of_the_sample_fits_the_schema() {
        let (schema, mut snapshot) = (schema(), sample::snapshot());
        let errors = |snapshot: &Snapshot| {
            schema.iter_errors(&document(snapshot)).map(|error| error.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(errors(&snapshot), [""; 0]);
        for reason in [Untested::NotYet, Untested::BudgetSpent, Untested::Forbidden([127, 0, 0, 1].into())] {
            sample::set_all(&mut snapshot, Status::Unknown(reason));
            assert_eq!(errors(&snapshot), [""; 0]);
        }
        std::sync::Arc::make_mut(&mut snapshot.incidents.open[0]).finding.cause = ase_probes::cause::Cause::LocalClock;
        assert_eq!((errors(&snapshot), document(&snapshot)["clock"].is_string()), (Vec::new(), true));
    }

    type Mutation = fn(&mut Value);

    #[test]
    fn a_document_that_strays_from_the_shape_is_refused() {
        let (schema, good) = (schema(), document(&sample::snapshot()));
        let mutations: [(&str, Mutation); 8] = [
            ("another version", |d| d["schema"] = json!("ase-agent/status/2")),
            ("an unknown status", |d| d["endpoints"][0]["status"] = json!("fine")),
            ("an unknown cause", |d| d["endpoints"][0]["cause"] = json!("gremlins")),
            ("an unknown key", |d| d["endpoints"][0]["extra"] = json!(1)),
            ("a missing key", |d| drop(d["endpoints"][0].as_object_mut().map(|entry| entry.remove("port")))),
            ("a time that is none", |d| d["at"] = json!("yesterday")),
            ("a failure without a cause", |d| {
                let entries = d["endpoints"].as_array_mut().expect("a list");
                let failed = entries.iter_mut().find(|entry| entry["status"] == "failed").expect("one failed");
                failed["cause"] = Value::Null;
            }),
            ("a slot without a hint", |d| {
                let entries = d["endpoints"].as_array_mut().expect("a list");
                entries.last_mut().expect("the slot comes last")["hint"] = Value::Null;
            }),
        ];
        assert!(schema.is_valid(&good));
        for (what, mutate) in mutations {
            let mut bad = good.clone();
            mutate(&mut bad);
            assert!(!schema.is_valid(&bad), "{what} must not pass");
        }
    }

    #[test]
    fn the_schema_knows_exactly_the_causes_that_exist() {
        let schema: Value = serde_json::from_str(include_str!("../../../docs/status.schema.json")).expect("JSON");
        let listed = schema["$defs"]["cause"]["enum"].as_array().expect("a list");
        let labels: Vec<_> = ase_probes::cause::Cause::ALL.iter().map(|cause| json!(cause.label())).collect();
        assert_eq!(listed, &labels);
    }

    #[test]
    fn a_failure_carries_its_cause_its_advice_and_its_evidence() {
        let document = document(&sample::snapshot());
        let lost = endpoint(&document, "asedb-a.database.windows.net:1433");
        assert_eq!(
            (&lost["status"], &lost["cause"], &lost["phase"]),
            (&json!("failed"), &json!("dropped"), &json!("connect"))
        );
        assert_eq!((&lost["confidence"], &lost["owner"]), (&json!("possible"), &json!("network team")));
        assert!(lost["evidence"][0].as_str().is_some_and(|line| line.contains("203.0.113.40:1433")), "{lost}");
        assert_eq!(lost["failures"], json!({"dropped": 4}));
        let healthy = endpoint(&document, "login.microsoftonline.com:443");
        assert_eq!((&healthy["cause"], &healthy["next_step"]), (&Value::Null, &Value::Null));
        assert_eq!(healthy["certificate"]["not_after"], "2027-05-11T01:46:40Z");
        assert_eq!(healthy["addresses"][0]["phases_seconds"]["tls"], json!(0.014));
    }

    #[test]
    fn what_was_not_tested_says_why() {
        let document = document(&sample::snapshot());
        let untested = endpoint(&document, "management.azure.com:443");
        assert_eq!((&untested["status"], &untested["cause"]), (&json!("unknown"), &json!("local_ports")));
        assert_eq!(untested["reason"], "this machine has no free local ports");
        let slot = endpoint(&document, "event_hub");
        assert_eq!((&slot["status"], &slot["host"]), (&json!("not_configured"), &Value::Null));
        assert!(slot["hint"].as_str().is_some_and(|hint| hint.contains("slots")));
    }

    #[test]
    fn the_document_of_failures_lists_nothing_else_and_counts_all() {
        let snapshot = sample::snapshot();
        let document: Value = serde_json::from_str(&failed_to_json(&snapshot, None, "0.1.0")).expect("JSON");
        assert!(schema().is_valid(&document));
        let listed = document["endpoints"].as_array().expect("a list");
        assert_eq!((listed.len(), &document["summary"]["endpoints"]), (3, &json!(12)));
        assert!(listed.iter().all(|entry| entry["status"] == "failed"), "{listed:?}");
    }

    #[test]
    fn the_totals_are_those_of_the_report() {
        let snapshot = sample::snapshot();
        let (document, summary) = (document(&snapshot), summary::Summary::of(&snapshot));
        assert_eq!(document["summary"]["exit_code"], summary.exit_code());
        assert_eq!(document["summary"]["sentence"], summary.sentence());
        assert_eq!(document["endpoints"].as_array().map(Vec::len), Some(summary.endpoints() + summary.not_configured));
    }
}
