//! The endpoints and the slots that are not filled, as JSON. An entry is made when it is written and dropped then: all of
//! 10 000 at once would be several times the text.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

use super::{
    address::{AddressEntry, UnaskedEntry},
    certificate::CertificateEntry,
    why::Why,
};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::{ResolvedBy, Slot, Workload},
        diagnosis::Scope,
        endpoint::{EndpointView, Status},
        visit::{Untested, Visit},
    },
    readers::{links, summary::rfc3339},
};

/// All of them, the watched ones first, or those alone that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints<'a> {
    snapshot: &'a Snapshot,
    only_failed: bool,
}

impl<'a> Endpoints<'a> {
    /// Those of a snapshot.
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, only_failed: false }
    }

    /// Those of a snapshot that failed.
    pub(super) fn that_failed(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, only_failed: true }
    }
}

impl Serialize for Endpoints<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { snapshot, only_failed } = *self;
        let is_listed = |view: &&Arc<EndpointView>| !only_failed || matches!(view.status, Status::Failed(_));
        let watched = snapshot.endpoints.iter().filter(is_listed).map(|view| EndpointEntry {
            page: links::endpoint(snapshot, &view.endpoint.id),
            ..EndpointEntry::watched(view)
        });
        let slots = snapshot.catalog.slots.iter().filter(|_| !only_failed);
        serializer.collect_seq(watched.chain(slots.map(EndpointEntry::unfilled)))
    }
}

/// An endpoint, or a slot that is not filled.
#[derive(Clone, Debug, Serialize)]
struct EndpointEntry<'a> {
    id: &'a str,
    class: &'static str,
    host: Option<String>,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_by: Option<&'static str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

impl<'a> EndpointEntry<'a> {
    fn watched(view: &'a EndpointView) -> Self {
        let (endpoint, about, visit) = (&view.endpoint, &view.endpoint.about, view.last.as_deref());
        let outcomes = visit.map(|visit| visit.outcomes.as_slice()).unwrap_or_default();
        Self {
            id: &endpoint.id.0,
            class: endpoint.class.label(),
            host: Some(endpoint.target.host.to_string()),
            port: endpoint.target.port,
            resolved_by: Some(endpoint.target.resolved_by)
                .filter(|by| *by != ResolvedBy::Custom)
                .map(ResolvedBy::label),
            status: view.status.label(),
            reason: untested(view.status).map(Untested::reason),
            why: Why { scope: scope(view), ..Why::of(view.status.finding()) },
            severity: endpoint.severity.label(),
            since: Some(rfc3339(view.since)),
            evidence: visit.map(Visit::evidence).unwrap_or_default(),
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
            page: None,
        }
    }

    fn unfilled(slot: &'a Slot) -> Self {
        Self {
            id: &slot.name,
            class: slot.class.label(),
            host: None,
            port: slot.port,
            resolved_by: None,
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
            page: None,
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
