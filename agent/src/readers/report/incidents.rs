//! The incidents in the report: what is broken, why that is so, what to do, and what it takes along.

use std::collections::BTreeMap;

use ase_probes::verdict::Phase;

use super::{BOLD, DIM, PLAIN, Paper, RED, YELLOW, age, count};
use crate::{
    engine::snapshot::Snapshot,
    exports::said::Verdict,
    model::{
        catalog::{EndpointId, Severity},
        diagnosis::Incident,
        endpoint::{EndpointView, Status},
    },
    readers::{
        advice,
        witness::{Told, Witness},
    },
};

/// Endpoints of one incident that are named; the others are counted.
const NAMED: usize = 6;
/// Evidence lines of one incident, unless all are wanted.
const EVIDENCE: usize = 6;
/// Lines with these words say that something is not known, or what is true of every fault but the widest.
const NOTHING_SAID: [&str; 3] = ["is not known", "was not measured", "something else works"];
/// How an answer's body begins says something where the answer is what is wrong: a block page names the rule.
const BODY: &str = "the body starts";

/// Writes every open incident, the worst first.
pub(super) fn render(paper: &mut Paper, snapshot: &Snapshot) {
    let views = views(snapshot);
    let is_shown = |incident: &&Incident| !paper.look.only_failed || worst(incident, &views).is_some();
    for incident in sorted(snapshot, &views).into_iter().filter(is_shown).collect::<Vec<_>>() {
        one(paper, snapshot, incident, &views);
    }
}

/// Writes the incidents of a daemon that has watched for longer, as far as this look shows nothing of them.
pub(super) fn told(paper: &mut Paper, snapshot: &Snapshot, witness: &Witness) {
    for told in witness.beyond(snapshot) {
        let title = format!("SEEN BY THE DAEMON on {}  {}: {}", witness.listen, told.cause, told.summary());
        paper.heading(title, YELLOW);
        let Told { component, confidence, side, scope, since, .. } = told;
        let facts = format!("{component} ({confidence}, side {side}, scope {scope}, since {since})");
        paper.line(2, "where:  ", &facts, BOLD);
        if let Some(hint) = &told.hint {
            paper.line(2, "hint:   ", hint, PLAIN);
        }
        if let Some(next) = told.next_step() {
            paper.line(2, "next:   ", next, BOLD);
        }
        for line in told.evidence.iter().take(EVIDENCE) {
            paper.line(4, "- ", line, DIM);
        }
    }
}

/// The worst severity among the endpoints that it lost; `None` where it lost none.
pub(crate) fn worst(incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) -> Option<Severity> {
    let failed = |view: &&EndpointView| matches!(view.status, Status::Failed(_));
    let lost = incident.endpoints.iter().filter_map(|id| views.get(id).copied()).filter(failed);
    lost.map(|view| view.endpoint.severity).max()
}

fn one(paper: &mut Paper, snapshot: &Snapshot, incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) {
    let definition = incident.finding.cause.definition();
    let style = if worst(incident, views).is_some() { RED } else { YELLOW };
    paper.heading(format!("INCIDENT  {}: {}", definition.label, definition.summary), style);
    let (side, confidence) = (incident.finding.side.label(), incident.finding.confidence.label());
    let since = age(snapshot.at.saturating_sub(incident.since));
    let facts = format!(
        "{} ({confidence}, side {side}, scope {}, seen for {since})",
        incident.component,
        incident.scope.label()
    );
    paper.line(2, "where:  ", &facts, BOLD);
    let exported = advice::by_exports(incident, snapshot);
    if let Some(said) = exported {
        paper.line(2, "rules:  ", &said.line, BOLD);
    }
    let is_known = exported.is_some_and(|said| said.verdict != Verdict::Unknown);
    if let Some(hint) = incident.hint.filter(|_| !is_known) {
        paper.line(2, "hint:   ", hint, PLAIN);
    }
    let advice = advice::of(incident, snapshot);
    paper.line(2, "owner:  ", advice.owner.label(), PLAIN);
    paper.line(2, "first:  ", &format!("check {}", advice.before), PLAIN);
    paper.line(2, "next:   ", &advice.next, BOLD);
    advice.commands.iter().for_each(|command| paper.command(2, "type:   ", command));
    advice.mending.iter().for_each(|command| paper.command(2, "mend:   ", command));
    if let Some(elsewhere) = advice.elsewhere {
        paper.line(2, "note:   ", elsewhere, PLAIN);
    }
    evidence(paper, incident);
    for alternative in &incident.alternatives {
        let words = format!("{}, if {}", alternative.cause.label(), alternative.words());
        paper.line(2, "or:     ", &words, DIM);
    }
    affected(paper, incident, views);
}

/// What the incident rests on. What was not found out says nothing about it; whoever wants that asks for all.
fn evidence(paper: &mut Paper, incident: &Incident) {
    let is_body_telling = incident.finding.phase == Phase::Response;
    let is_dull = |line: &str| {
        NOTHING_SAID.iter().any(|words| line.contains(words)) || (line.starts_with(BODY) && !is_body_telling)
    };
    let telling = |line: &&String| paper.look.verbose || !is_dull(line);
    let limit = if paper.look.verbose { usize::MAX } else { EVIDENCE };
    let lines: Vec<&String> = incident.evidence.iter().filter(telling).take(limit).collect();
    lines.iter().for_each(|line| paper.line(4, "- ", line, DIM));
    let more = incident.evidence.len() - lines.len();
    if more > 0 {
        paper.line(4, "", &format!("({more} more with -v)"), DIM);
    }
}

/// The answer in short.
pub(in crate::readers) struct Answer {
    /// What is broken, and who mends it.
    pub(in crate::readers) text: String,
    /// What to type first.
    pub(in crate::readers) command: Option<String>,
}

/// The first answer to what is wrong: the broken component of the worst incident, and who mends it.
pub(in crate::readers) fn answer(snapshot: &Snapshot) -> Option<Answer> {
    let incidents = worst_first(snapshot);
    let worst = incidents.first()?;
    let (definition, confidence) = (worst.finding.cause.definition(), worst.finding.confidence.label());
    let more = match incidents.len() - 1 {
        0 => String::new(),
        more => format!(" (and {})", count(more, "more incident")),
    };
    let advice = advice::of(worst, snapshot);
    let (component, summary, label) = (&worst.component, definition.summary, definition.label);
    let text = format!("{component}: {summary} ({label}, {confidence}); {}{more}", advice::mender(advice.owner));
    Some(Answer { text, command: advice.commands.into_iter().next() })
}

/// Every endpoint by its id.
pub(crate) fn views(snapshot: &Snapshot) -> BTreeMap<&EndpointId, &EndpointView> {
    snapshot.endpoints.iter().map(|view| (&view.endpoint.id, &**view)).collect()
}

/// Every open incident, the worst first.
pub(crate) fn worst_first(snapshot: &Snapshot) -> Vec<&Incident> {
    sorted(snapshot, &views(snapshot))
}

fn sorted<'a>(snapshot: &'a Snapshot, views: &BTreeMap<&EndpointId, &EndpointView>) -> Vec<&'a Incident> {
    let mut incidents: Vec<&Incident> = snapshot.incidents.open.iter().map(|incident| &**incident).collect();
    incidents.sort_by_key(|incident| std::cmp::Reverse((worst(incident, views), incident.endpoints.len())));
    incidents
}

fn affected(paper: &mut Paper, incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) {
    let shown = if paper.look.verbose { usize::MAX } else { NAMED };
    let mut ids: Vec<&EndpointId> = incident.endpoints.iter().collect();
    ids.sort_by_key(|id| std::cmp::Reverse(views.get(*id).map(|view| view.endpoint.severity)));
    let names: Vec<String> = ids
        .iter()
        .take(shown)
        .map(|id| match views.get(*id) {
            Some(view) => format!("{id} ({}, {})", view.endpoint.class, view.endpoint.severity.label()),
            None => id.to_string(),
        })
        .collect();
    let more = ids.len().saturating_sub(names.len());
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    let number = count(ids.len(), "endpoint");
    paper.line(2, "hits:   ", &format!("{number}: {}{rest}", names.join(", ")), PLAIN);
    if !incident.hides.is_empty() {
        let hidden = count(incident.hides.len(), "endpoint");
        paper.line(2, "hides:  ", &format!("{hidden} whose own service could not be tested because of it"), PLAIN);
    }
}
