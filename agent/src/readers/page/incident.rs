//! The page of one incident, under a link that stays: everything that is told of it, in the order of time, how its causes
//! were told apart, and what else it could be.

use std::{sync::Arc, time::Duration};

use askama::Template;

use super::{
    Frame, markdown,
    text::{Html, Text, When},
    told::Told,
};
use crate::{
    engine::snapshot::Snapshot,
    model::diagnosis::Incident,
    readers::links::{self, Loss},
    store::{
        account::{Account, Spread},
        rows::IncidentRow,
    },
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

/// The key under which the store remembers an incident of this process.
pub fn key(snapshot: &Snapshot, asked: &Asked) -> String {
    links::incident_key(snapshot, &asked.incident)
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
    evidence: Vec<Text>,
    markdown: Vec<Text>,
}

struct Moment {
    at: When,
    /// When the last of it was, where it took time.
    until: Option<When>,
    what: Text,
}

/// In order of time. Neighbours that only say which endpoints were hit, too, are one: they would bury what was learned.
fn folded(mut moments: Vec<(Duration, String)>) -> Vec<Moment> {
    moments.sort_by_key(|(at, _)| *at);
    let mut folded: Vec<(Duration, Duration, String)> = Vec::new();
    for (at, what) in moments {
        let before = folded.last_mut().and_then(|last| Some((Spread::of(&last.2)?, last)));
        match (before, Spread::of(&what)) {
            (Some((before, last)), Some(next)) => {
                let endpoints = before.endpoints.saturating_add(next.endpoints);
                (last.1, last.2) = (at, Spread { endpoints, ..before }.to_string());
            }
            _ => folded.push((at, at, what)),
        }
    }
    let moment = |(from, to, what): (Duration, Duration, String)| Moment {
        at: When::of(from),
        until: (to.as_secs() > from.as_secs()).then(|| When::of(to)),
        what: Text::from(what),
    };
    folded.into_iter().map(moment).collect()
}

/// The page of an incident of this process, and what the store remembers of its course.
pub fn render(snapshot: &Snapshot, asked: &Asked, row: Option<&IncidentRow>) -> String {
    let Asked { incident, ended } = asked;
    let told = Told::of(incident, *ended, snapshot);
    let published = row.map_or(incident.published, |row| row.published);
    let mut moments = moments(incident.since, published, *ended, row.map(|row| &row.account));
    let begun = snapshot.incidents.episodes.get(&incident.id).map(|episodes| episodes.begun.as_slice());
    let again = begun.unwrap_or_default().iter().skip(1);
    moments.extend(again.map(|(_, at)| (*at, "it began again".to_owned())));
    write(snapshot, told, moments)
}

/// The page of an incident that the store alone remembers.
pub fn render_remembered(snapshot: &Snapshot, row: &IncidentRow) -> String {
    let moments = moments(row.since, row.published, row.closed, Some(&row.account));
    write(snapshot, Told::remembered(row, snapshot), moments)
}

fn moments(
    since: Duration,
    published: Duration,
    ended: Option<Duration>,
    account: Option<&Account>,
) -> Vec<(Duration, String)> {
    let mut moments = vec![(since, "the first visit that shows it began".to_owned())];
    let named = account.and_then(Account::named).map(|at| at.as_millis());
    if named != Some(published.as_millis()) {
        moments.push((published, "its present cause, confidence and scope stand since then".to_owned()));
    }
    let learned = account.into_iter().flat_map(|account| &account.moments);
    moments.extend(learned.map(|moment| (moment.at, moment.what.clone())));
    match account.and_then(|account| account.last_seen) {
        Some(seen) => {
            moments.push((seen, "it was last seen".to_owned()));
            moments.extend(ended.map(|at| (at, "it was over: it had ended while no agent looked".to_owned())));
        }
        None => moments.extend(ended.map(|at| (at, "it ended".to_owned()))),
    }
    moments
}

fn write(snapshot: &Snapshot, told: Told, moments: Vec<(Duration, String)>) -> String {
    let title = format!("{} {}", told.standing.sign, told.component);
    let mut frame = Frame::of(snapshot, "detail", title);
    if told.ended.is_some() {
        frame.refresh = None;
    }
    let page = Page { frame, moments: folded(moments), markdown: markdown::lines(&told), evidence: told.met(), told };
    Html::of(&page).into_string()
}

#[cfg(test)]
mod tests;
