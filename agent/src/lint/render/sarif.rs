//! The report as SARIF 2.1.0 (OASIS), for the checks of code hosts.

use serde_json::{Value, json};

use crate::lint::finding::{Finding, Kind, Report, Severity};

/// Renders it; `files` are those that were read, the first stands where a finding names none.
pub fn render(report: &Report, files: &[String]) -> String {
    let rules: Vec<Value> = Kind::ALL.iter().map(|kind| rule(*kind)).collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, files)).collect();
    let value = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "ase-agent", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&value).expect("plain values can be written");
    text.push('\n');
    text
}

fn rule(kind: Kind) -> Value {
    let definition = kind.definition();
    json!({
        "id": definition.id,
        "shortDescription": {"text": definition.title},
        "fullDescription": {"text": definition.text},
    })
}

fn result(finding: &Finding, files: &[String]) -> Value {
    let level = match finding.severity {
        Severity::Critical => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let at = finding.at.as_deref().unwrap_or_default();
    let named = files.iter().find(|file| at.starts_with(file.as_str()));
    let file = named.or(files.first()).map_or("input.json", String::as_str);
    let index = Kind::ALL.iter().position(|kind| *kind == finding.kind);
    json!({
        "ruleId": finding.kind.id(),
        "ruleIndex": index,
        "level": level,
        "message": {"text": finding.message},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": file}},
            "logicalLocations": [{"fullyQualifiedName": if at.is_empty() { finding.id() } else { at.to_owned() }}],
        }],
        "partialFingerprints": {"finding/v1": format!("{}@{}", finding.id(), finding.rule.as_deref().unwrap_or_default())},
    })
}
