//! The incidents as series: which diagnosis is in force for which class, how many are open, how many there were.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ase_probes::{cause::Cause, class::Class};

use super::Page;
use crate::{engine::snapshot::Snapshot, model::catalog::EndpointId};

/// Adds the series.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    let ledger = &snapshot.incidents;
    let views = snapshot.endpoints.iter().filter(|_| !ledger.open.is_empty());
    let classes: BTreeMap<&EndpointId, Class> = views.map(|view| (&view.endpoint.id, view.endpoint.class)).collect();
    let mut active: BTreeSet<[&'static str; 5]> = BTreeSet::new();
    let mut began: BTreeMap<(&'static str, &'static str), Duration> = BTreeMap::new();
    for incident in &ledger.open {
        let (finding, scope) = (incident.finding, incident.scope.label());
        let (cause, side, confidence) = (finding.cause.label(), finding.side.label(), finding.confidence.label());
        let of_incident: BTreeSet<Class> =
            incident.endpoints.iter().filter_map(|id| classes.get(id).copied()).collect();
        for class in &of_incident {
            let since = began.entry((class.label(), cause)).or_insert(incident.since);
            *since = incident.since.min(*since);
        }
        active.extend(of_incident.iter().map(|class| [class.label(), cause, scope, side, confidence]));
    }
    let labels = ["class", "cause", "scope", "side", "confidence"];
    page.gauges(
        "ase_diagnosis_active",
        "1 for every diagnosis in force, by class; absent while there is none, because 42 causes times all labels would be idle series.",
        active.iter().map(|values| -> ([_; 5], f64) { (std::array::from_fn(|at| (labels[at], values[at])), 1.0) }),
    );
    page.gauges(
        "ase_diagnosis_since_timestamp_seconds",
        "When the oldest open incident of a class with this cause began: with the cause it names its page, /incident/CAUSE-SECONDS.",
        began.iter().map(|((class, cause), since)| ([("class", *class), ("cause", *cause)], since.as_secs_f64())),
    );
    page.gauge(
        "ase_incidents_open",
        "Incidents that are open: broken components, not endpoints.",
        ledger.open.len() as f64,
    );
    let causes = Cause::ALL.iter().filter(|cause| **cause != Cause::None);
    page.counters(
        "ase_incidents_total",
        "Incidents since the start, by cause.",
        causes.map(|cause| ([("cause", cause.label())], ledger.opened.get(cause).copied().unwrap_or_default())),
    );
}
