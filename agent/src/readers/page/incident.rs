//! The page of one incident, under a link that stays: everything that is told of it, in the order of time, how its causes
//! were told apart, and what else it could be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use askama::Template;

use super::{
    Frame,
    incidents::Told,
    text::{Html, Text, When, texts},
};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        diagnosis::{Diagnosis, Incident},
        endpoint::EndpointView,
    },
    readers::links::{self, Loss},
    store::rows::IncidentRow,
};

/// An incident of this process that somebody asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    incident: Arc<Incident>,
    ended: Option<Duration>,
}

/// The incident of this process with this key; `None` where only the store may know it.
pub fn named(snapshot: &Snapshot, key: &str) -> Option<Asked> {
    let open = snapshot.incidents.open.iter().map(|incident| (incident, None));
    let closed = snapshot.incidents.closed.iter().map(|closed| (&closed.incident, Some(closed.ended)));
    let all = open.chain(closed);
    let found = match Loss::of_key(key) {
        Some(loss) => nearest(all, |(it, ended)| loss.distance(it.finding.cause.label(), it.since, *ended)),
        None => all.into_iter().find(|(it, _)| links::incident_key(snapshot, it) == key || it.id.to_string() == key),
    };
    found.map(|(incident, ended)| Asked { incident: Arc::clone(incident), ended })
}

/// The incident with this key among those that the store remembers.
pub fn remembered(rows: Vec<IncidentRow>, key: &str) -> Option<IncidentRow> {
    match Loss::of_key(key) {
        Some(loss) => nearest(rows, |row| loss.distance(&row.cause, row.since, row.closed)),
        None => rows.into_iter().find(|row| row.id == key),
    }
}

/// What is nearest among what has a distance at all.
fn nearest<T>(all: impl IntoIterator<Item = T>, distance: impl Fn(&T) -> Option<Duration>) -> Option<T> {
    all.into_iter().filter_map(|it| Some((distance(&it)?, it))).min_by_key(|(distance, _)| *distance).map(|(_, it)| it)
}

#[derive(Template)]
#[template(path = "incident.html", whitespace = "minimize")]
struct Page {
    frame: Frame,
    told: Told,
    moments: Vec<Moment>,
    judgements: Vec<Judged>,
    markdown: Vec<Text>,
    is_remembered: bool,
}

struct Moment {
    at: When,
    what: &'static str,
}

/// How the cause at some of its endpoints was found.
struct Judged {
    endpoints: String,
    rule: &'static str,
    origin: &'static str,
    contrasts: Vec<Text>,
}

/// The page of an incident of this process.
pub fn render(snapshot: &Snapshot, asked: &Asked) -> String {
    let Asked { incident, ended } = asked;
    let told = Told::of(incident, *ended, snapshot);
    let mut moments = vec![(incident.since, "the first visit that shows it began")];
    moments.push((incident.published, "it was named"));
    let begun = snapshot.incidents.episodes.get(&incident.id).map(|episodes| episodes.begun.as_slice());
    let again = begun.unwrap_or_default().iter().skip(1);
    moments.extend(again.map(|at| (*at, "it began again")));
    moments.extend(ended.map(|at| (at, "it ended")));
    moments.sort();
    write(snapshot, told, moments, judgements(snapshot, incident), false)
}

/// The page of an incident that the store alone remembers.
pub fn render_remembered(snapshot: &Snapshot, row: &IncidentRow) -> String {
    let mut moments = vec![(row.since, "the first visit that shows it began"), (row.published, "it was named")];
    moments.extend(row.closed.map(|at| (at, "it ended")));
    write(snapshot, Told::remembered(row, snapshot), moments, Vec::new(), true)
}

fn write(
    snapshot: &Snapshot,
    told: Told,
    moments: Vec<(Duration, &'static str)>,
    judgements: Vec<Judged>,
    is_remembered: bool,
) -> String {
    let title = format!("{} {}", told.standing.sign, told.component);
    let page = Page {
        frame: Frame::of(snapshot, "detail", title),
        moments: moments.into_iter().map(|(at, what)| Moment { at: When::of(at), what }).collect(),
        markdown: told.markdown(),
        judgements,
        told,
        is_remembered,
    };
    Html::of(&page).into_string()
}

/// The diagnoses of its endpoints; those that rest on the same rule and contrasts are told once.
fn judgements(snapshot: &Snapshot, incident: &Incident) -> Vec<Judged> {
    let of_it = |view: &&Arc<EndpointView>| incident.endpoints.contains(&view.endpoint.id);
    let mut same: BTreeMap<(&str, &[String]), (&Diagnosis, usize)> = BTreeMap::new();
    for diagnosis in snapshot.endpoints.iter().filter(of_it).filter_map(|view| view.diagnosis.as_deref()) {
        same.entry((diagnosis.rule, &diagnosis.contrasts)).or_insert((diagnosis, 0)).1 += 1;
    }
    let told = |(diagnosis, count): (&Diagnosis, usize)| Judged {
        endpoints: crate::readers::summary::count(count, "endpoint"),
        rule: diagnosis.rule,
        origin: diagnosis.origin.label(),
        contrasts: texts(&diagnosis.contrasts),
    };
    same.into_values().map(told).collect()
}
