//! The page of one incident, under a link that stays: everything that is told of it, in the order of time, how its causes
//! were told apart, and what else it could be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use askama::Template;

use super::{
    Frame,
    incidents::{self, Told},
    text::{Html, Text, When, texts},
};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        diagnosis::{Diagnosis, Incident},
        endpoint::EndpointView,
    },
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
    let is_it = |incident: &Incident| incidents::key(snapshot, incident.id) == key || incident.id.to_string() == key;
    let open = snapshot.incidents.open.iter().find(|incident| is_it(incident));
    let closed = || snapshot.incidents.closed.iter().find(|closed| is_it(&closed.incident));
    open.map(|incident| Asked { incident: Arc::clone(incident), ended: None })
        .or_else(|| closed().map(|it| Asked { incident: Arc::clone(&it.incident), ended: Some(it.ended) }))
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
