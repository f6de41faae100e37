//! The JSON of `ase-agent tcpping --output json`, described by `docs/tcpping.schema.json`.

use ase_probes::verdict::Verdict;
use serde::Serialize;

use crate::{
    model::visit::Visit,
    readers::tcpping::{Tally, Try},
};

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    target: &'a str,
    made: u32,
    successful: u32,
    average_seconds: Option<f64>,
    exit_code: u8,
    tries: Vec<Entry>,
    proof: Option<Proof>,
}

#[derive(Serialize)]
struct Entry {
    result: &'static str,
    address: Option<String>,
    seconds: Option<f64>,
    cause: Option<&'static str>,
    evidence: Vec<String>,
}

#[derive(Serialize)]
struct Proof {
    proved: bool,
    cause: Option<&'static str>,
    evidence: Vec<String>,
}

/// Renders the tally, the newest tries and the proof as one document.
pub fn tcpping_to_json(peer: &str, tally: &Tally, visits: &[Visit], proof: Option<&Visit>) -> String {
    let document = Document {
        schema: "ase-agent/tcpping/1",
        target: peer,
        made: tally.made,
        successful: tally.good,
        average_seconds: (tally.good > 0).then(|| tally.millis as f64 / 1000.0 / f64::from(tally.good)),
        exit_code: tally.exit_code(),
        tries: visits.iter().map(Entry::of).collect(),
        proof: proof.map(|visit| Proof {
            proved: matches!(visit.result, Ok(Verdict::Healthy)),
            cause: cause(visit),
            evidence: visit.evidence(),
        }),
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

impl Entry {
    fn of(visit: &Visit) -> Self {
        let one = Try::of(visit);
        Self {
            result: one.label(),
            address: visit.outcomes.first().map(|outcome| outcome.address.to_string()),
            seconds: one.time().map(|time| time.as_secs_f64()),
            cause: cause(visit),
            evidence: visit.evidence(),
        }
    }
}

fn cause(visit: &Visit) -> Option<&'static str> {
    Some(visit.result.ok()?.finding()?.cause.label())
}
