//! What the agent remembers as JSON: `ase-agent history --output json`.

use serde::Serialize;

use crate::{
    readers::{history::Shown, summary::rfc3339},
    store::{
        history::History,
        rows::{IncidentRow, OutcomeRow, StateRow},
    },
};

/// The name and version of the shape.
const SCHEMA: &str = "ase-agent/history/1";

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: &'a str,
    clocks: Option<Clocks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incidents: Option<Vec<Incident<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcomes: Option<Vec<Outcome<'a>>>,
    damaged_rows: usize,
}

#[derive(Debug, Serialize)]
struct Clocks {
    saved: String,
    level: &'static str,
    classes: Vec<Clock>,
}

#[derive(Debug, Serialize)]
struct Clock {
    class: &'static str,
    lost_seconds: f64,
    loss: f64,
}

#[derive(Debug, Serialize)]
struct Incident<'a> {
    id: &'a str,
    cause: &'a str,
    phase: &'a str,
    side: &'a str,
    scope: &'a str,
    confidence: &'a str,
    component: &'a str,
    endpoints: &'a [String],
    evidence: &'a [String],
    since: String,
    published: String,
    closed: Option<String>,
    last_seen: Option<String>,
}

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    endpoint: &'a str,
    class: &'a str,
    result: &'a str,
    cause: Option<&'a str>,
    phase: Option<&'a str>,
    began: String,
    ended: String,
    visits: u32,
    took_seconds: f64,
}

/// Renders what is remembered; `version` is the agent's own.
pub fn history_to_json(history: &History, shown: Shown, version: &str) -> String {
    let document = Document {
        schema: SCHEMA,
        version,
        clocks: history.state.as_ref().map(Clocks::of),
        incidents: shown.incidents.then(|| history.incidents.iter().map(Incident::of).collect()),
        outcomes: shown.outcomes.then(|| history.outcomes.iter().map(Outcome::of).collect()),
        damaged_rows: history.damaged,
    };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

impl Clocks {
    fn of(state: &StateRow) -> Self {
        let risk = &state.memory.risk;
        let clock = risk.clocks.iter().map(|(class, time)| Clock {
            class: class.label(),
            lost_seconds: time.outage,
            loss: time.loss,
        });
        Self { saved: rfc3339(state.saved), level: risk.level.label(), classes: clock.collect() }
    }
}

impl<'a> Incident<'a> {
    fn of(row: &'a IncidentRow) -> Self {
        Self {
            id: &row.id,
            cause: &row.cause,
            phase: &row.phase,
            side: &row.side,
            scope: &row.scope,
            confidence: &row.confidence,
            component: &row.component,
            endpoints: &row.endpoints,
            evidence: &row.evidence,
            since: rfc3339(row.since),
            published: rfc3339(row.published),
            closed: row.closed.map(rfc3339),
            last_seen: row.account.last_seen.filter(|_| row.closed.is_some()).map(rfc3339),
        }
    }
}

impl<'a> Outcome<'a> {
    fn of(row: &'a OutcomeRow) -> Self {
        Self {
            endpoint: &row.endpoint,
            class: &row.class,
            result: &row.result,
            cause: row.cause.as_deref(),
            phase: row.phase.as_deref(),
            began: rfc3339(row.began),
            ended: rfc3339(row.ended),
            visits: row.count,
            took_seconds: row.took.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    #[test]
    fn what_is_not_shown_is_absent_and_an_open_incident_has_no_end() {
        let incident = IncidentRow { id: "1".to_owned(), since: Duration::from_secs(1), ..IncidentRow::default() };
        let history = History { incidents: vec![incident], ..History::default() };
        let text = history_to_json(&history, Shown { incidents: true, outcomes: false }, "0.1.0");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["schema"], "ase-agent/history/1");
        assert_eq!(document["incidents"][0]["closed"], Value::Null);
        assert_eq!(document["incidents"][0]["since"], json!("1970-01-01T00:00:01Z"));
        assert!(document.get("outcomes").is_none());
    }
}
