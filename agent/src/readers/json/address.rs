//! What a visit learned at each address, as JSON.

use std::{collections::BTreeMap, time::Duration};

use ase_probes::{outcome::Outcome, verdict::Verdict};
use serde::Serialize;

use crate::model::visit::Unasked;

/// An address about which the last visit learned nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UnaskedEntry {
    address: String,
    reason: String,
}

impl UnaskedEntry {
    /// The entry of what a visit brought.
    pub(super) fn of(unasked: &Unasked) -> Self {
        Self { address: unasked.address.to_string(), reason: unasked.why.reason() }
    }
}

/// One exchange of the last visit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AddressEntry {
    address: String,
    verdict: &'static str,
    cause: Option<&'static str>,
    phase: Option<&'static str>,
    phases_seconds: BTreeMap<&'static str, f64>,
    round_trip_seconds: Option<f64>,
    evidence: Vec<String>,
}

impl AddressEntry {
    /// The entry of what a visit brought.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let finding = outcome.verdict.finding();
        Self {
            address: outcome.address.to_string(),
            verdict: verdict(&outcome.verdict),
            cause: finding.map(|finding| finding.cause.label()),
            phase: finding.map(|finding| finding.phase.label()),
            phases_seconds: outcome.phases.iter().map(|(phase, time)| (phase.label(), time.as_secs_f64())).collect(),
            round_trip_seconds: outcome.seen.round_trip.as_ref().map(Duration::as_secs_f64),
            evidence: outcome.evidence(),
        }
    }
}

fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded(_) => "degraded",
        Verdict::Failed(_) => "failed",
        Verdict::Inconclusive(_) => "unknown",
    }
}
