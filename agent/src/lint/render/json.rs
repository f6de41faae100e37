//! The report as JSON, `ase-agent/lint/1`.

use serde_json::{Value, json};

use crate::lint::finding::{Finding, Packet, Report, Unjudged};

/// The name and version of the format. Fields are only added.
pub const SCHEMA: &str = "ase-agent/lint/1";

/// Renders the report of a profile.
pub fn render(report: &Report, profile: &str) -> String {
    let value = json!({
        "schema": SCHEMA,
        "profile": profile,
        "verdict": report.verdict().label(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "could_not_judge": report.could_not_judge.iter().map(unjudged).collect::<Vec<_>>(),
        "suppressed": report.suppressed.iter().map(|(one, reason)| json!({"finding": finding(one), "reason": reason})).collect::<Vec<_>>(),
        "notes": report.notes,
    });
    let mut text = serde_json::to_string_pretty(&value).expect("plain values can be written");
    text.push('\n');
    text
}

/// One finding.
pub fn finding(finding: &Finding) -> Value {
    json!({
        "id": finding.id(),
        "kind": finding.kind.id(),
        "severity": finding.severity.label(),
        "requirement": finding.requirement,
        "rule": finding.rule,
        "by": finding.by,
        "resource": finding.resource,
        "at": finding.at,
        "message": finding.message,
        "packet": finding.packet.as_ref().map(packet),
        "source": finding.source,
        "fix": finding.fix,
        "confirm": finding.confirm,
    })
}

/// One packet.
pub fn packet(packet: &Packet) -> Value {
    json!({
        "direction": packet.direction,
        "protocol": packet.protocol,
        "source": packet.source,
        "source_port": packet.source_port,
        "destination": packet.destination,
        "destination_port": packet.destination_port,
    })
}

fn unjudged(open: &Unjudged) -> Value {
    json!({"requirement": open.requirement, "rule": open.rule, "at": open.at, "why": open.why})
}
