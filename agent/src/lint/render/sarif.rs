//! The report as SARIF 2.1.0 (OASIS), for the checks of code hosts.

use serde_json::{Value, json};

use crate::lint::finding::{Finding, Kind, Report, Severity, Unjudged};

/// Renders it; `files` are those that were read, the first stands where a finding names none. What could not be judged is a
/// note, so that a check without findings does not pass for a fine one.
pub fn render(report: &Report, files: &[String]) -> String {
    let is_said = |open: &&Unjudged| report.findings.iter().any(|finding| finding.message == open.why);
    let unsaid = report.could_not_judge.iter().filter(|one| !is_said(one)).map(open);
    let all = report.findings.iter().cloned().chain(unsaid);
    document(all.map(|finding| result(&finding, files)).collect())
}

/// What could not be judged as a finding.
fn open(open: &Unjudged) -> Finding {
    Finding {
        requirement: open.requirement.clone(),
        rule: open.rule.clone(),
        at: open.at.clone(),
        ..Finding::new(Kind::CannotTell, Severity::Info, open.why.clone())
    }
}

/// The document of some results.
pub(super) fn document(results: Vec<Value>) -> String {
    let rules: Vec<Value> = Kind::ALL.iter().map(|kind| rule(*kind)).collect();
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

/// One result; a file's name stands in it as a reference to a URI (RFC 3986 section 4.1).
pub(super) fn result(finding: &Finding, files: &[String]) -> Value {
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
            "physicalLocation": {"artifactLocation": {"uri": reference(file)}},
            "logicalLocations": [{"fullyQualifiedName": if at.is_empty() { finding.id() } else { at.to_owned() }}],
        }],
        "partialFingerprints": {"finding/v1": format!("{}@{}", finding.id(), finding.rule.as_deref().unwrap_or_default())},
    })
}

/// A path as a reference to a URI: what would mean something else there is written by its number.
fn reference(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte);
    let plain = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_reference_whatever_stands_in_it() {
        assert_eq!(reference("infra/nsg.json"), "infra/nsg.json");
        assert_eq!(reference("my group#1 ü.json"), "my%20group%231%20%C3%BC.json");
    }
}
