//! The incidents of a snapshot as JSON.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

use crate::{
    engine::snapshot::Snapshot,
    model::diagnosis::{Alternative, Incident},
    readers::{advice, json::exports::SaidEntry, links, summary::rfc3339},
};

/// One broken component and everything that fails with it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct IncidentEntry<'a> {
    id: u64,
    cause: &'static str,
    summary: &'static str,
    phase: &'static str,
    side: &'static str,
    scope: &'static str,
    confidence: &'static str,
    component: &'a str,
    endpoints: Vec<&'a str>,
    hides: Vec<&'a str>,
    evidence: Vec<&'a str>,
    alternatives: Vec<AlternativeEntry>,
    advice: Advice,
    hint: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exports: Option<SaidEntry<'a>>,
    since: String,
    published: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// Another cause that is not excluded, and what would settle it.
#[derive(Clone, Debug, Serialize)]
struct AlternativeEntry {
    cause: &'static str,
    summary: &'static str,
    settled_by: &'static str,
    /// What to type to see whether it is the one.
    command: Option<String>,
    /// What that shows if it is.
    expected: Option<Cow<'static, str>>,
}

/// Who mends it, what to do, and what to look at before anything is changed.
#[derive(Clone, Debug, Serialize)]
struct Advice {
    owner: &'static str,
    /// Who that is.
    owner_means: &'static str,
    next_step: String,
    /// Whether the next step changes something; else it only looks.
    next_step_changes: bool,
    check_first: String,
    commands: Vec<String>,
    /// What those that look show where the cause is right, by command.
    expected: BTreeMap<String, Cow<'static, str>>,
    /// Those of the commands that change something.
    mending_commands: Vec<String>,
    /// Which of the commands are to be typed on another machine, and why.
    elsewhere: Option<String>,
    /// What would make the cause confirmed, where it is less.
    to_confirm: Option<String>,
}

impl Advice {
    fn of(advice: advice::Advice) -> Self {
        let commands = advice.every_command();
        let expected =
            commands.iter().filter_map(|command| Some((command.clone(), advice.expected(command)?))).collect();
        let advice::Advice { owner, next, before, mending, elsewhere, to_confirm, .. } = advice;
        Self {
            owner: owner.label(),
            owner_means: owner.means(),
            next_step_changes: next.changes,
            next_step: next.words,
            check_first: before.words,
            commands,
            expected,
            mending_commands: mending,
            elsewhere,
            to_confirm,
        }
    }
}

/// Every open incident, the oldest first.
pub(super) fn entries(snapshot: &Snapshot) -> Vec<IncidentEntry<'_>> {
    snapshot.incidents.open.iter().map(|incident| IncidentEntry::of(incident, snapshot)).collect()
}

impl<'a> IncidentEntry<'a> {
    fn of(incident: &'a Incident, snapshot: &'a Snapshot) -> Self {
        let told = snapshot.exports.as_ref();
        let (finding, definition) = (incident.finding, incident.finding.cause.definition());
        Self {
            id: incident.id,
            cause: definition.label,
            summary: definition.summary,
            phase: finding.phase.label(),
            side: finding.side.label(),
            scope: incident.scope.label(),
            confidence: finding.confidence.label(),
            component: &incident.component,
            endpoints: incident.endpoints.iter().map(|id| &*id.0).collect(),
            hides: incident.hides.iter().map(|id| &*id.0).collect(),
            evidence: advice::evidence(incident, snapshot),
            alternatives: incident
                .alternatives
                .iter()
                .map(|other| AlternativeEntry::of(other, incident, snapshot))
                .collect(),
            advice: Advice::of(advice::of(incident, snapshot)),
            hint: advice::hint(incident, snapshot),
            exports: told.and_then(|exports| SaidEntry::of(incident, exports, snapshot.at)),
            since: rfc3339(incident.since),
            published: rfc3339(incident.published),
            page: links::incident(snapshot, incident),
        }
    }
}

impl AlternativeEntry {
    fn of(alternative: &Alternative, incident: &Incident, snapshot: &Snapshot) -> Self {
        let definition = alternative.cause.definition();
        let typed = advice::of_other(alternative, incident, snapshot);
        Self {
            cause: definition.label,
            summary: definition.summary,
            settled_by: alternative.words(),
            expected: typed.as_ref().and_then(|typed| typed.expected.clone()),
            command: typed.map(|typed| typed.command),
        }
    }
}
