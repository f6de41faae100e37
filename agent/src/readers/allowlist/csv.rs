//! What has to be allowed, as CSV (RFC 4180): one line for each requirement, lists with spaces between.

use super::Requirement;
use crate::readers::{paper::printable, summary::rfc3339};

const HEAD: [&str; 13] = [
    "requirement",
    "names",
    "protocol",
    "ports",
    "service_tag",
    "severity",
    "purpose",
    "addresses_seen",
    "first_seen",
    "last_seen",
    "looks",
    "changes",
    "source",
];

/// Renders it.
pub fn render(requirements: &[Requirement]) -> String {
    let mut text = line(HEAD.map(str::to_owned).into());
    requirements.iter().for_each(|requirement| text.push_str(&line(cells(requirement))));
    text
}

fn cells(requirement: &Requirement) -> Vec<String> {
    let seen = requirement.seen();
    let list = |parts: Vec<String>| parts.join(" ");
    vec![
        requirement.name.clone(),
        list(requirement.hosts.iter().cloned().collect()),
        requirement.protocol.to_owned(),
        requirement.ports_words(" "),
        requirement.tag.unwrap_or_default().to_owned(),
        requirement.severity.label().to_owned(),
        requirement.purpose.clone(),
        list(requirement.observed.keys().map(ToString::to_string).collect()),
        seen.map(|seen| rfc3339(seen.first)).unwrap_or_default(),
        seen.map(|seen| rfc3339(seen.last)).unwrap_or_default(),
        requirement.churn.0.to_string(),
        requirement.churn.1.to_string(),
        requirement.source.clone(),
    ]
}

fn line(cells: Vec<String>) -> String {
    cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// A cell, quoted where it must be; one that a spreadsheet would take for a formula is made text by an apostrophe.
fn quoted(cell: &str) -> String {
    let cell = printable(cell);
    let cell = if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell };
    if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}
