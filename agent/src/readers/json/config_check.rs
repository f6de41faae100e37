//! The JSON of `ase-agent config check --output json`, described by `docs/config-check.schema.json`.

use serde_json::{Value, json};

use crate::{model::catalog::Catalog, readers::VERSION};

/// A mistake in a file: line and column from 1, where they are known, and what is wrong.
type Mistake = (Option<(u64, u64)>, String);

/// Whether a file is good, what it makes with which warnings, or every mistake in it.
pub fn checked_to_json(file: &str, made: Option<(&Catalog, &[String])>, mistakes: &[Mistake]) -> String {
    let catalog = made.map(|(catalog, _)| catalog);
    let document = json!({
        "schema": "ase-agent/config-check/1",
        "version": VERSION,
        "file": file,
        "good": mistakes.is_empty(),
        "profile": catalog.map(|catalog| &catalog.profile),
        "cloud": catalog.map(|catalog| &catalog.cloud),
        "endpoints": catalog.map(|catalog| catalog.endpoints.len()),
        "slots_not_configured": catalog.map(|catalog| catalog.slots.len()),
        "warnings": made.map(|(_, warnings)| warnings),
        "mistakes": mistakes.iter().map(entry).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn entry((at, message): &Mistake) -> Value {
    json!({"line": at.map(|(line, _)| line), "column": at.map(|(_, column)| column), "message": message})
}
