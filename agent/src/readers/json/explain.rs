//! The JSON of `ase-agent explain --output json`, described by `docs/explain.schema.json`.

use ase_probes::cause::Cause;
use serde::Serialize;

use crate::readers::{VERSION, explain::elsewhere};

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    version: &'static str,
    causes: Vec<CauseEntry>,
}

#[derive(Serialize)]
struct CauseEntry {
    cause: &'static str,
    summary: &'static str,
    side: &'static str,
    owner: &'static str,
    next_step: &'static str,
    check_first: &'static str,
    nel: Option<&'static str>,
    curl: Option<u8>,
}

impl CauseEntry {
    fn of(cause: Cause) -> Self {
        let (definition, other) = (cause.definition(), elsewhere(cause));
        Self {
            cause: definition.label,
            summary: definition.summary,
            side: definition.side.label(),
            owner: definition.owner.label(),
            next_step: definition.next_step,
            check_first: definition.check_first,
            nel: other.nel,
            curl: other.curl,
        }
    }
}

/// Renders these causes as one document.
pub fn causes_to_json(causes: &[Cause]) -> String {
    let causes = causes.iter().copied().map(CauseEntry::of).collect();
    let document = Document { schema: "ase-agent/explain/1", version: VERSION, causes };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_has_every_cause_and_fits_its_schema() {
        let document: Value = serde_json::from_str(&causes_to_json(Cause::ALL)).expect("JSON");
        let schema: Value = serde_json::from_str(include_str!("../../../../docs/explain.schema.json")).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert_eq!(document["causes"].as_array().map(Vec::len), Some(Cause::ALL.len()));
    }
}
