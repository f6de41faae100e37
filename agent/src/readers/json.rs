//! The JSON of `/api/v1/status` and of `ase-agent check --output json`: one versioned shape, described by
//! `docs/status.schema.json`. Times are RFC 3339 in UTC, durations are seconds.

mod address;
mod dns;
mod early;
mod history;
mod incidents;
mod machine;
mod resolver;
mod risk;

use std::collections::BTreeMap;

use ase_probes::{
    outcome::Outcome,
    tls::{Handshake, Invalid},
    verdict::Finding,
};
use serde::Serialize;

use crate::{
    engine::snapshot::{ClassView, Snapshot},
    model::{
        catalog::{Slot, Workload},
        diagnosis::Scope,
        endpoint::{EndpointView, Status, earliest_expiry},
        settings::ResolverSource,
        visit::Untested,
    },
    readers::{
        summary::{Summary, rfc3339, rfc3339_seconds},
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
    agent: Agent<'a>,
    machine: MachineEntry<'a>,
    summary: Totals,
    endpoints: Vec<EndpointEntry<'a>>,
    classes: Vec<ClassEntry>,
    resolvers: ResolverEntry<'a>,
    incidents: Vec<IncidentEntry<'a>>,
    risk: Option<RiskEntry>,
    early: EarlyEntry,
    store: StoreEntry,
    dns: DnsEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<&'a Witness>,
}

use address::{AddressEntry, UnaskedEntry};
use dns::DnsEntry;
use early::{EarlyEntry, StoreEntry};
use incidents::IncidentEntry;
use machine::MachineEntry;
use risk::RiskEntry;

pub use history::history_to_json;
pub use resolver::{resolved_to_json, round_to_json, survey_to_json};

/// Renders a snapshot as one line of JSON; `version` is the agent's own.
pub fn to_json(snapshot: &Snapshot, version: &str) -> String {
    serde_json::to_string(&Document::of(snapshot, version)).expect("plain structs with string keys serialise")
}

/// Renders one look as indented JSON, and what a daemon beside it says; `version` is the agent's own.
pub fn check_to_json(snapshot: &Snapshot, witness: Option<&Witness>, version: &str) -> String {
    let document = Document { daemon: witness, ..Document::of(snapshot, version) };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

impl<'a> Document<'a> {
    /// The document of a snapshot; `version` is the agent's own.
    pub fn of(snapshot: &'a Snapshot, version: &'a str) -> Self {
        let watched = snapshot.endpoints.iter().map(|view| EndpointEntry::watched(view));
        let unfilled = snapshot.catalog.slots.iter().map(EndpointEntry::unfilled);
        Self {
            schema: SCHEMA,
            at: rfc3339(snapshot.at),
            agent: Agent::of(snapshot, version),
            machine: MachineEntry::of(&snapshot.machine),
            summary: Totals::of(&Summary::of(snapshot)),
            endpoints: watched.chain(unfilled).collect(),
            classes: snapshot.classes.iter().map(ClassEntry::of).collect(),
            resolvers: ResolverEntry::of(snapshot),
            incidents: incidents::entries(&snapshot.incidents),
            risk: snapshot.risk.as_ref().map(RiskEntry::of),
            early: EarlyEntry::of(snapshot),
            store: StoreEntry::of(&snapshot.store),
            dns: DnsEntry::of(snapshot),
            daemon: None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Agent<'a> {
    version: &'a str,
    vantage: &'a str,
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

/// Why something is as it is; every field is null where nothing was found.
#[derive(Clone, Debug, Default, Serialize)]
struct Why {
    cause: Option<&'static str>,
    summary: Option<&'static str>,
    phase: Option<&'static str>,
    side: Option<&'static str>,
    scope: Option<&'static str>,
    confidence: Option<&'static str>,
    next_step: Option<&'static str>,
    owner: Option<&'static str>,
}

impl Why {
    fn of(finding: Option<Finding>) -> Self {
        let Some(finding) = finding else { return Self::default() };
        let definition = finding.cause.definition();
        Self {
            cause: Some(definition.label),
            summary: Some(definition.summary),
            phase: Some(finding.phase.label()),
            side: Some(finding.side.label()),
            scope: None,
            confidence: Some(finding.confidence.label()),
            next_step: Some(definition.next_step),
            owner: Some(definition.owner.label()),
        }
    }
}

/// An endpoint, or a slot that is not filled.
#[derive(Clone, Debug, Serialize)]
struct EndpointEntry<'a> {
    id: &'a str,
    class: &'static str,
    host: Option<String>,
    port: u16,
    status: &'static str,
    reason: Option<String>,
    #[serde(flatten)]
    why: Why,
    severity: &'static str,
    since: Option<String>,
    evidence: Vec<String>,
    addresses: Vec<AddressEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    untested_addresses: Vec<UnaskedEntry>,
    certificate: Option<CertificateEntry<'a>>,
    attempts: u64,
    failures: BTreeMap<&'static str, u64>,
    last_visit: Option<String>,
    last_visit_seconds: Option<f64>,
    last_success: Option<String>,
    purpose: &'a str,
    workload: Option<&'static str>,
    basis: Option<&'static str>,
    source: &'a str,
    as_of: &'a str,
    documented_as: Option<&'a str>,
    note: Option<&'a str>,
    hint: Option<&'a str>,
}

impl<'a> EndpointEntry<'a> {
    fn watched(view: &'a EndpointView) -> Self {
        let (endpoint, about, visit) = (&view.endpoint, &view.endpoint.about, view.last.as_deref());
        let outcomes = visit.map(|visit| visit.outcomes.as_slice()).unwrap_or_default();
        Self {
            id: &endpoint.id.0,
            class: endpoint.class.label(),
            host: Some(endpoint.host.to_string()),
            port: endpoint.port,
            status: view.status.label(),
            reason: untested(view.status).map(Untested::reason),
            why: Why { scope: scope(view), ..Why::of(view.status.finding()) },
            severity: endpoint.severity.label(),
            since: Some(rfc3339(view.since)),
            evidence: visit.map(crate::model::visit::Visit::evidence).unwrap_or_default(),
            addresses: outcomes.iter().map(AddressEntry::of).collect(),
            untested_addresses: visit.into_iter().flat_map(|visit| &visit.unasked).map(UnaskedEntry::of).collect(),
            certificate: CertificateEntry::of(view),
            attempts: view.attempts,
            failures: view.failures.iter().map(|(cause, count)| (cause.label(), *count)).collect(),
            last_visit: visit.map(|visit| rfc3339(visit.began)),
            last_visit_seconds: visit.map(|visit| visit.took.as_secs_f64()),
            last_success: view.last_success.map(rfc3339),
            purpose: &about.purpose,
            workload: Some(workload(about.workload)),
            basis: Some(about.basis.label()),
            source: &about.source,
            as_of: &about.as_of,
            documented_as: about.documented_as.as_deref(),
            note: about.note.as_deref(),
            hint: None,
        }
    }

    fn unfilled(slot: &'a Slot) -> Self {
        Self {
            id: &slot.name,
            class: slot.class.label(),
            host: None,
            port: slot.port,
            status: "not_configured",
            reason: None,
            why: Why::default(),
            severity: slot.severity.label(),
            since: None,
            evidence: Vec::new(),
            addresses: Vec::new(),
            untested_addresses: Vec::new(),
            certificate: None,
            attempts: 0,
            failures: BTreeMap::new(),
            last_visit: None,
            last_visit_seconds: None,
            last_success: None,
            purpose: &slot.purpose,
            workload: None,
            basis: None,
            source: &slot.source,
            as_of: &slot.as_of,
            documented_as: None,
            note: None,
            hint: Some(&slot.hint),
        }
    }
}

/// How much is lost for the same reason; an endpoint whose case is not open stands for itself.
fn scope(view: &EndpointView) -> Option<&'static str> {
    let finding = view.status.finding()?;
    let diagnosis = view.diagnosis.as_ref().filter(|diagnosis| diagnosis.finding.cause == finding.cause);
    Some(diagnosis.map_or(Scope::Endpoint, |diagnosis| diagnosis.scope).label())
}

fn untested(status: Status) -> Option<Untested> {
    match status {
        Status::Healthy | Status::Degraded(_) | Status::Failed(_) => None,
        Status::Unknown(untested) => Some(untested),
    }
}

fn workload(workload: Workload) -> &'static str {
    match workload {
        Workload::Any => "any",
        Workload::Linux => "linux",
        Workload::Windows => "windows",
    }
}

/// The certificate that the peer showed at the last visit.
#[derive(Clone, Debug, Serialize)]
struct CertificateEntry<'a> {
    subject: &'a str,
    issuer: &'a str,
    names: &'a [String],
    not_before: String,
    not_after: String,
    chain_expires: Option<String>,
    invalid: Option<&'a str>,
    tls_version: Option<&'static str>,
}

impl<'a> CertificateEntry<'a> {
    fn of(view: &'a EndpointView) -> Option<Self> {
        let shown = |tls: &&Handshake| !tls.chain.is_empty();
        let tls = view.last.as_ref()?.outcomes.iter().filter_map(Outcome::handshake).find(shown)?;
        let leaf = tls.chain.first()?;
        Some(Self {
            subject: &leaf.subject,
            issuer: &leaf.issuer,
            names: &leaf.names,
            not_before: rfc3339_seconds(leaf.not_before),
            not_after: rfc3339_seconds(leaf.not_after),
            chain_expires: earliest_expiry(view).map(rfc3339_seconds),
            invalid: tls.invalid.as_ref().map(invalid),
            tls_version: tls.version,
        })
    }
}

fn invalid(invalid: &Invalid) -> &str {
    match invalid {
        Invalid::Expired => "expired",
        Invalid::NotYetValid => "not yet valid",
        Invalid::WrongName => "wrong name",
        Invalid::UnknownIssuer => "unknown issuer",
        Invalid::Other(words) => words,
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
    use crate::{readers::summary, sample};
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
    fn the_totals_are_those_of_the_report() {
        let snapshot = sample::snapshot();
        let (document, summary) = (document(&snapshot), summary::Summary::of(&snapshot));
        assert_eq!(document["summary"]["exit_code"], summary.exit_code());
        assert_eq!(document["summary"]["sentence"], summary.sentence());
        assert_eq!(document["endpoints"].as_array().map(Vec::len), Some(summary.endpoints() + summary.not_configured));
    }
}
