//! The JSON of `ase-agent witness knock --output json`, described by `docs/witness.schema.json`.

use serde::Serialize;

use super::note::document;
use crate::{
    readers::{
        knock::Knocks,
        notes::{Note, exit_code},
    },
    witness::proof::{Knocked, Proof},
};

#[derive(Serialize)]
struct Body<'a> {
    host: &'a str,
    address: String,
    source: Option<String>,
    seen_as: Option<String>,
    clock_ahead_seconds: Option<f64>,
    exit_code: u8,
    ports: Vec<PortEntry>,
}

#[derive(Serialize)]
struct PortEntry {
    port: u16,
    transport: &'static str,
    proved: &'static str,
    reached: Option<String>,
    round_trip_seconds: Option<f64>,
    witness_listens: Option<bool>,
    came_to_witness: Option<bool>,
    cause: Option<&'static str>,
}

/// Renders one run as one document.
pub fn knocks_to_json(knocks: &Knocks<'_>, notes: &[Note]) -> String {
    let body = Body {
        host: knocks.host,
        address: knocks.address.to_string(),
        source: knocks.source.map(|source| source.to_string()),
        seen_as: knocks.seen_as().map(|seen| seen.to_string()),
        clock_ahead_seconds: knocks.ahead(),
        exit_code: exit_code(notes),
        ports: knocks.knocked.iter().map(PortEntry::of).collect(),
    };
    document("ase-agent/witness/1", knocks.began, body, notes)
}

impl PortEntry {
    fn of(knocked: &Knocked) -> Self {
        let is_there = knocked.answer.is_some();
        Self {
            port: knocked.port.number,
            transport: knocked.port.transport.label(),
            proved: Proof::of(knocked).label(),
            reached: knocked.answer.as_ref().map(|answer| answer.reached.to_string()),
            round_trip_seconds: knocked.exchange.seen.round_trip.map(|time| time.as_secs_f64()),
            witness_listens: is_there.then_some(true).or(knocked.witnessed.map(|witnessed| witnessed.listens)),
            came_to_witness: is_there.then_some(true).or(knocked.witnessed.map(|witnessed| witnessed.came)),
            cause: knocked.exchange.verdict.finding().map(|finding| finding.cause.label()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::readers::knock::tests::{knocks, sample};

    #[test]
    fn the_document_has_every_port_and_fits_its_schema() {
        let knocked = sample();
        let knocks = knocks("a\u{1b}.example", &knocked);
        let document: Value = serde_json::from_str(&knocks_to_json(&knocks, &knocks.notes())).expect("JSON");
        let schema = include_str!("../../../../docs/witness.schema.json");
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        let proved: Vec<_> = document["ports"].as_array().expect("ports").iter().map(|port| &port["proved"]).collect();
        assert_eq!(proved, ["answered", "dropped_in", "dropped_back", "refused"]);
        assert_eq!(document["exit_code"], 1);
        assert_eq!(document["seen_as"], "10.0.2.7:40000");
    }
}
