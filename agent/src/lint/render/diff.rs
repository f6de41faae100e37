//! A comparison as table, JSON (`ase-agent/lint-diff/1`), SARIF and Markdown.

use serde_json::{Value, json};

use crate::lint::{
    change::{Change, Diff, Standing, Turn},
    finding::{Finding, Kind, Severity},
    render::{json, markdown::cell, sarif},
};

/// The name and version of the JSON. Fields are only added.
const SCHEMA: &str = "ase-agent/lint-diff/1";
/// So many flows of one change are named in a line for people.
const NAMED_FLOWS: usize = 3;

/// For people at a terminal.
pub fn table(diff: &Diff, profile: &str) -> String {
    let mut text: String = diff.changes.iter().map(lines).collect();
    diff.notes.iter().for_each(|note| text.push_str(&format!("note      {note}\n")));
    text.push_str(&format!("\n{}\n", summary(diff, profile)));
    text
}

fn lines(change: &Change) -> String {
    let word = match change.turn {
        Turn::Breaks => "BREAKS",
        Turn::Opens => "OPEN",
        Turn::Mends => "MENDS",
        Turn::Differs => "differs",
    };
    let mut text = format!("{word:<8}  {:<8}  {}: {}\n", change.severity.label(), about(change), turned(change));
    let mut line = |word: &str, what: Option<String>| {
        if let Some(what) = what {
            text.push_str(&format!("            {word:<8} {what}\n"));
        }
    };
    let finding = change.finding.as_ref();
    let message = if change.turn == Turn::Mends { &change.before.message } else { &change.after.message };
    line("what", Some(message.clone()).filter(|message| !message.is_empty()));
    line("packet", change.packet.as_ref().map(ToString::to_string));
    if matches!(change.turn, Turn::Breaks) && change.severity > Severity::Info {
        line("fix", finding.and_then(|finding| finding.fix.clone()));
        line("confirm", finding.and_then(|finding| finding.confirm.clone()));
    }
    text
}

/// What it is about: the requirement, or the flows.
fn about(change: &Change) -> String {
    match change.flows.as_slice() {
        [] => change.about.clone(),
        [one] => format!("flow {one}"),
        many if many.len() <= NAMED_FLOWS => format!("flows {}", many.join(", ")),
        many => format!("flows {} and {} more", many[..NAMED_FLOWS].join(", "), many.len() - NAMED_FLOWS),
    }
}

/// `holds -> blocked [no-web]`.
fn turned(change: &Change) -> String {
    let side = |standing: &Standing| {
        let rule = standing.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
        format!("{}{rule}", standing.verdict)
    };
    format!("{} -> {}", side(&change.before), side(&change.after))
}

/// The result in one line.
pub fn summary(diff: &Diff, profile: &str) -> String {
    let count = |severity| {
        let breaks = |change: &&Change| change.turn == Turn::Breaks && change.severity == severity;
        diff.changes.iter().filter(breaks).count()
    };
    format!(
        "{profile}: {} critical and {} warnings break, {} get better, {} cannot be judged any more; {} findings stand on both \
         sides, {} flows compared",
        count(Severity::Critical),
        count(Severity::Warning),
        diff.count(Turn::Mends),
        diff.count(Turn::Opens),
        diff.unchanged,
        diff.flows
    )
}

/// For programs.
pub fn json(diff: &Diff, profile: &str) -> String {
    let side = |standing: &Standing| json!({"verdict": standing.verdict, "rule": standing.rule, "message": Some(&standing.message).filter(|text| !text.is_empty())});
    let change = |change: &Change| {
        json!({
            "about": change.about,
            "flows": change.flows,
            "turn": change.turn.label(),
            "severity": change.severity.label(),
            "before": side(&change.before),
            "after": side(&change.after),
            "packet": change.packet.as_ref().map(json::packet),
            "finding": change.finding.as_ref().map(json::finding),
        })
    };
    let value = json!({
        "schema": SCHEMA,
        "profile": profile,
        "verdict": diff.verdict(),
        "changes": diff.changes.iter().map(change).collect::<Vec<_>>(),
        "unchanged": diff.unchanged,
        "flows": diff.flows,
        "notes": diff.notes,
    });
    format!("{value:#}\n")
}

/// For the checks of code hosts: what breaks and what cannot be judged any more. What gets better is no result, as a host
/// would show it as a finding. `files` are those of the side after.
pub fn sarif(diff: &Diff, files: &[String]) -> String {
    let told = diff.changes.iter().filter(|change| matches!(change.turn, Turn::Breaks | Turn::Opens));
    sarif::document(told.map(|change| result(change, files)).collect())
}

fn result(change: &Change, files: &[String]) -> Value {
    let (kind, severity) = match change.turn {
        Turn::Breaks => (Kind::Blocked, change.severity),
        Turn::Opens | Turn::Mends | Turn::Differs => (Kind::CannotTell, Severity::Info),
    };
    let own = change.finding.clone().unwrap_or_else(|| Finding {
        requirement: Some(about(change)),
        rule: change.after.rule.clone(),
        ..Finding::new(kind, severity, String::new())
    });
    let what = [turned(change), change.after.message.clone()].join(": ");
    let packet = change.packet.as_ref().map(|packet| format!(" ({packet})")).unwrap_or_default();
    let message = format!("{}: {}{packet}", about(change), what.trim_end_matches(": "));
    let mut result = sarif::result(&Finding { message, ..own }, files);
    let was_fine = ["holds", "none", "allowed"].contains(&change.before.verdict.as_str());
    result["baselineState"] = json!(if was_fine { "new" } else { "updated" });
    result
}

/// For the comment of a pull request.
pub fn markdown(diff: &Diff, profile: &str) -> String {
    let mut text = format!("### {}\n\n", summary(diff, profile));
    if !diff.changes.is_empty() {
        text.push_str("| | severity | what | before | after | packet |\n|---|---|---|---|---|---|\n");
        diff.changes.iter().for_each(|change| text.push_str(&row(change)));
        text.push('\n');
    }
    for change in diff.changes.iter().filter(|change| change.turn == Turn::Breaks) {
        let Some(fix) = change.finding.as_ref().and_then(|finding| finding.fix.as_ref()) else { continue };
        text.push_str(&format!(
            "<details><summary>{}</summary>\n\n```sh\n{fix}\n```\n\n</details>\n",
            cell(&change.about)
        ));
    }
    diff.notes.iter().for_each(|note| text.push_str(&format!("- {}\n", cell(note))));
    text
}

fn row(change: &Change) -> String {
    let side = |standing: &Standing| {
        let rule = standing.rule.as_ref().map(|rule| format!(" `{}`", cell(rule))).unwrap_or_default();
        let message =
            if standing.message.is_empty() { String::new() } else { format!(": {}", cell(&standing.message)) };
        format!("{}{rule}{message}", standing.verdict)
    };
    let packet = change.packet.as_ref().map(|packet| format!("`{}`", cell(&packet.to_string()))).unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {} | {packet} |\n",
        change.turn.label(),
        change.severity.label(),
        cell(&about(change)),
        side(&change.before),
        side(&change.after)
    )
}
