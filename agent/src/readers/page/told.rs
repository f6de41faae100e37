//! What the pages tell of an incident, open, ended or remembered by the store alone: what is broken, since when, why that is
//! so, who mends it, and what to do.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Verdict};

use super::{
    standing::{ENDED, Standing, UNSEEN},
    text::{Text, When, texts},
};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::EndpointId,
        diagnosis::{Alternative, Incident},
        endpoint::{EndpointView, Status},
        visit::Visit,
    },
    readers::{
        advice, headline, links, report,
        summary::{count, lasted},
    },
    store::{
        account::{self, Account},
        rows::IncidentRow,
    },
};

/// Everything about one incident.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) key: Text,
    pub(super) path: String,
    /// The whole link, where it is known how this agent is reached.
    pub(super) link: Option<Text>,
    pub(super) standing: Standing,
    pub(super) component: Text,
    pub(super) cause: Text,
    pub(super) summary: Text,
    /// In which phase it shows; nothing where it hits what is asked in several ways.
    pub(super) phase: Option<Text>,
    pub(super) side: Text,
    /// The side in plain words. The scope needs none: the component says it.
    pub(super) place: &'static str,
    pub(super) scope: Text,
    pub(super) confidence: Text,
    /// What would make it confirmed, where it is less.
    pub(super) to_confirm: Option<Text>,
    pub(super) since: When,
    /// By which clock its times are, where that one is wrong.
    pub(super) clock: Option<Text>,
    pub(super) ended: Option<When>,
    /// When it was last seen, where nobody saw its end.
    pub(super) last_seen: Option<When>,
    /// Whether it was open when the last process ended, and this one did not see it yet.
    pub(super) is_unseen: bool,
    pub(super) lasted: String,
    pub(super) owner: &'static str,
    /// Who that is.
    pub(super) owner_means: &'static str,
    pub(super) mender: &'static str,
    /// What to do, in the order in which it is done.
    pub(super) steps: Vec<(&'static str, Text)>,
    /// What to fill in for words in capitals within the commands.
    pub(super) blanks: Option<Text>,
    pub(super) commands: Vec<Typed>,
    /// Where some of the commands are to be typed, if not there.
    pub(super) elsewhere: Option<Text>,
    pub(super) rules: Option<Text>,
    pub(super) hint: Option<Text>,
    pub(super) evidence: Vec<Text>,
    pub(super) hits: Vec<Hit>,
    pub(super) hidden: usize,
    /// Those whose last visit was bad and that count as healthy until a further one confirms it.
    pub(super) unconfirmed: usize,
    pub(super) others: Vec<Other>,
    /// The rules that decided, with what was asked and answered.
    pub(super) judged: Vec<Judged>,
}

/// How the cause at some of its endpoints was found.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) endpoints: String,
    pub(super) rule: Text,
    pub(super) origin: Text,
    pub(super) contrasts: Vec<Text>,
}

impl Judged {
    fn of(judged: &account::Judged) -> Self {
        Self {
            endpoints: count(judged.endpoints, "endpoint"),
            rule: Text::from(&judged.rule),
            origin: Text::from(&judged.origin),
            contrasts: texts(&judged.contrasts),
        }
    }
}

/// A command.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    /// As it is typed.
    pub(super) command: Text,
    /// What it shows where the cause is right.
    pub(super) expected: Option<Text>,
    /// What it changes, to mend it; nothing where it only looks.
    pub(super) changed: Option<&'static str>,
}

impl Typed {
    fn of(command: &str, expected: Option<&str>) -> Self {
        Self { command: Text::from(command), expected: expected.map(Text::from), changed: None }
    }
}

/// An endpoint that an incident explains.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    /// Its page.
    pub(super) path: String,
    /// Its id.
    pub(super) id: Text,
    /// Its class and severity, as far as it is still watched.
    pub(super) about: String,
    /// Whether its own service was not tested, because something before it failed.
    pub(super) is_hidden: bool,
}

/// Another cause that is not excluded.
#[derive(Clone, Debug)]
pub(super) struct Other {
    /// Its label.
    pub(super) cause: Text,
    /// What it is.
    pub(super) summary: &'static str,
    /// What would speak for it.
    pub(super) words: Text,
    /// What to type to see that.
    pub(super) typed: Option<Typed>,
}

impl Other {
    /// Another cause.
    pub(super) fn of(alternative: &Alternative) -> Self {
        let definition = alternative.cause.definition();
        let (cause, words) = (Text::from(definition.label), Text::from(alternative.words()));
        Self { cause, summary: definition.summary, words, typed: None }
    }

    /// Another cause of an incident, with what to type to see whether it is the one.
    fn with_command((alternative, typed): &(&Alternative, Option<advice::Typed>)) -> Self {
        let typed = typed.as_ref().map(|typed| Typed::of(&typed.command, typed.expected.as_deref()));
        Self { typed, ..Self::of(alternative) }
    }

    /// One that the store remembers. It may be a later version's.
    fn remembered(other: &account::Other) -> Self {
        let summary = Cause::from_label(&other.cause).map_or("", |cause| cause.definition().summary);
        Self { cause: Text::from(&other.cause), summary, words: Text::from(&other.settled_by), typed: None }
    }
}

impl Told {
    /// An incident of this process; `ended` where it is over.
    pub(super) fn of(incident: &Incident, ended: Option<Duration>, snapshot: &Snapshot) -> Self {
        let (finding, definition) = (incident.finding, incident.finding.cause.definition());
        let (advice, key) = (advice::of(incident, snapshot), links::incident_key(snapshot, incident));
        let exported = advice::by_exports(incident, snapshot).map(|said| Text::from(&said.line));
        let hint = advice::hint(incident, snapshot).map(Text::from).filter(|hint| exported.as_ref() != Some(hint));
        let (views, others) = (report::views(snapshot), advice::others(incident, &advice, snapshot));
        let every = advice.every_command();
        let typed = every.iter().chain(others.iter().filter_map(|(_, typed)| Some(&typed.as_ref()?.command)));
        let blanks = advice::blanks(typed.map(String::as_str)).map(Text::from);
        let about = if ended.is_some() { kind } else { report::about };
        let hidden: BTreeSet<&EndpointId> = incident.hides.iter().collect();
        Self {
            link: links::below(snapshot, &links::incident_path(&key)).map(Text::from),
            path: links::incident_path(&key),
            key: Text::from(key),
            standing: standing(incident, ended, &views),
            component: Text::from(&incident.component),
            cause: Text::from(definition.label),
            summary: Text::from(headline::behind(incident, snapshot)),
            phase: is_of_one_kind(incident.scope.label()).then(|| Text::from(finding.phase.label())),
            side: Text::from(finding.side.label()),
            place: place(finding.side.label()),
            scope: Text::from(incident.scope.label()),
            confidence: Text::from(finding.confidence.label()),
            to_confirm: advice.to_confirm.as_ref().filter(|_| ended.is_none()).map(Text::from),
            since: When::of(incident.since),
            clock: headline::clock_of(Some(finding.cause), snapshot).map(Text::from),
            ended: ended.map(When::of),
            last_seen: None,
            is_unseen: false,
            lasted: lasted(incident.since, ended.unwrap_or(snapshot.at)),
            owner: advice.owner.label(),
            owner_means: advice.owner.means(),
            mender: advice::mender(advice.owner),
            steps: steps(advice.steps().map(|step| step.words)),
            blanks,
            commands: every
                .iter()
                .map(|it| Typed { changed: advice.changed(it), ..Typed::of(it, advice.expected(it).as_deref()) })
                .collect(),
            elsewhere: advice.elsewhere.map(Text::from),
            rules: exported,
            hint,
            evidence: texts(&incident.evidence),
            hits: hits(incident.endpoints.iter().cloned(), &views, about, |id| hidden.contains(id)),
            hidden: incident.hides.len(),
            unconfirmed: incident
                .endpoints
                .iter()
                .filter(|id| ended.is_none() && views.get(id).is_some_and(|view| is_unconfirmed(view)))
                .count(),
            others: others.iter().map(Other::with_command).collect(),
            judged: Account::of(incident).judged.iter().map(Judged::of).collect(),
        }
    }

    /// An incident that the store alone remembers. It may be one of a later version's causes.
    pub(super) fn remembered(row: &IncidentRow, snapshot: &Snapshot) -> Self {
        let cause = Cause::from_label(&row.cause);
        let definition = cause.map(Cause::definition);
        let (next, before) =
            cause.map_or_else(Default::default, |cause| advice::remembered(cause, &row.endpoints, snapshot));
        let views = report::views(snapshot);
        let id = |id: &String| EndpointId(id.as_str().into());
        let hidden: BTreeSet<&str> = row.account.hides.iter().map(String::as_str).collect();
        Self {
            key: Text::from(&row.id),
            link: links::below(snapshot, &links::incident_path(&row.id)).map(Text::from),
            path: links::incident_path(&row.id),
            standing: if row.closed.is_some() { ENDED } else { UNSEEN },
            component: Text::from(&row.component),
            cause: Text::from(&row.cause),
            summary: Text::from(definition.map_or("", |definition| definition.summary)),
            phase: is_of_one_kind(&row.scope).then(|| Text::from(&row.phase)),
            side: Text::from(&row.side),
            place: place(&row.side),
            scope: Text::from(&row.scope),
            confidence: Text::from(&row.confidence),
            to_confirm: None,
            since: When::of(row.since),
            clock: headline::clock_of(cause, snapshot).map(Text::from),
            ended: row.closed.map(When::of),
            last_seen: row.account.last_seen.filter(|_| row.closed.is_some()).map(When::of),
            is_unseen: row.closed.is_none(),
            lasted: lasted_about(row.since, row.account.last_seen, row.closed.unwrap_or(snapshot.at)),
            owner: definition.map_or("", |definition| definition.owner.label()),
            owner_means: definition.map_or("", |definition| definition.owner.means()),
            mender: definition.map_or("", |definition| advice::mender(definition.owner)),
            steps: steps(cause.map_or_else(Default::default, |_| [format!("check {before}"), next])),
            blanks: None,
            commands: Vec::new(),
            elsewhere: None,
            rules: None,
            hint: None,
            evidence: texts(&row.evidence),
            hits: hits(row.endpoints.iter().map(id), &views, kind, |id| hidden.contains(&*id.0)),
            hidden: row.account.hides.len(),
            unconfirmed: 0,
            others: row.account.others.iter().map(Other::remembered).collect(),
            judged: row.account.judged.iter().map(Judged::of).collect(),
        }
    }

    /// The evidence without what was asked and answered, where that stands on its own.
    pub(super) fn met(&self) -> Vec<Text> {
        let is_asked = |line: &Text| self.judged.iter().any(|judged| judged.contrasts.contains(line));
        self.evidence.iter().filter(|line| !is_asked(line)).cloned().collect()
    }
}

/// Whether an endpoint counts as healthy although its last visit was bad: an incident that others show has it already.
pub(super) fn is_unconfirmed(view: &EndpointView) -> bool {
    let is_bad = |visit: &Visit| matches!(visit.result, Ok(Verdict::Degraded(_) | Verdict::Failed(_)));
    view.status == Status::Healthy && view.last.as_deref().is_some_and(is_bad)
}

/// Where the fault is, by the label of its side. The store may have one of a later version.
fn place(side: &str) -> &'static str {
    match side {
        "local" => "on this machine",
        "path" => "on the path",
        "remote" => "at the peer",
        _ => "where is not known",
    }
}

/// Whether what it hits is asked in one way, so that the phase of one tells that of all.
fn is_of_one_kind(scope: &str) -> bool {
    ["endpoint", "host", "port"].contains(&scope)
}

/// What is done first, and what next; nothing where nothing is known.
fn steps(words: [String; 2]) -> Vec<(&'static str, Text)> {
    let steps = ["First", "Next"].into_iter().zip(words);
    steps.filter(|(_, words)| !words.is_empty()).map(|(lead, words)| (lead, Text::from(words))).collect()
}

/// How long something lasted; at least and at most, where nobody saw its end.
pub(super) fn lasted_about(since: Duration, last_seen: Option<Duration>, ended: Duration) -> String {
    let most = lasted(since, ended);
    match last_seen.map(|seen| lasted(since, seen)).filter(|least| *least != most) {
        Some(least) => format!("{least} to {most}"),
        None => most,
    }
}

/// How an incident of this process stands.
pub(super) fn standing(
    incident: &Incident,
    ended: Option<Duration>,
    views: &BTreeMap<&EndpointId, &EndpointView>,
) -> Standing {
    if ended.is_some() { ENDED } else { Standing::of_incident(report::gravity(incident, views)) }
}

/// What it hits, the worst first: who names only some names these.
fn hits(
    ids: impl Iterator<Item = EndpointId>,
    views: &BTreeMap<&EndpointId, &EndpointView>,
    about: fn(&EndpointView) -> String,
    is_hidden: impl Fn(&EndpointId) -> bool,
) -> Vec<Hit> {
    let mut ids: Vec<EndpointId> = ids.collect();
    ids.sort_by_key(|id| Reverse(views.get(id).map(|view| view.endpoint.severity)));
    ids.iter().map(|id| hit(id, views.get(id).map(|view| about(view)), is_hidden(id))).collect()
}

fn kind(view: &EndpointView) -> String {
    format!("{}, {}", view.endpoint.class, view.endpoint.severity.label())
}

fn hit(id: &EndpointId, about: Option<String>, is_hidden: bool) -> Hit {
    Hit { path: links::endpoint_path(id), id: Text::from(&id.0), about: about.unwrap_or_default(), is_hidden }
}

#[cfg(test)]
mod tests;
