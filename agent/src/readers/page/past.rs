//! The timeline of incidents, open and ended, and of the classes of which not all answered, by spans from an hour to thirty
//! days, and the newest incidents as a list.

use std::{collections::BTreeSet, time::Duration};

use askama::Template;

use super::{
    bars::{self, Bars},
    charts::{self, Stretch},
    course::Course,
    standing::{ENDED, Standing},
    text::{Html, Text, When, share},
    told,
};
use crate::{
    engine::snapshot::Snapshot,
    readers::{links, report, summary::lasted},
};

/// The spans that can be chosen, as the course has them: a name for the style, its words, and what stands at its quarters.
const SPANS: [(&str, &str, [&str; 4]); bars::SPANS.len()] = [
    ("h1", "1 h", ["1 h ago", "45 min", "30 min", "15 min"]),
    ("h6", "6 h", ["6 h ago", "4½ h", "3 h", "90 min"]),
    ("d1", "24 h", ["24 h ago", "18 h", "12 h", "6 h"]),
    ("d7", "7 d", ["7 d ago", "5¼ d", "3½ d", "42 h"]),
    ("d30", "30 d", ["30 d ago", "22½ d", "15 d", "7½ d"]),
];
/// The span that is shown at first.
const FIRST: &str = "d1";
/// Incidents that are drawn at most, the newest.
const DRAWN: usize = 200;
/// Incidents that are listed.
const LISTED: usize = 20;
/// Lanes of one timeline; what would need more shares the last.
const LANES: usize = 6;
/// Stretches of a class that are told in words, the newest.
const TOLD: usize = 3;

/// One incident in short.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    key: String,
    from: Duration,
    to: Option<Duration>,
    /// Its page.
    pub(super) path: String,
    /// The cause's label.
    pub(super) cause: Text,
    /// What was broken.
    pub(super) component: Text,
    /// How it stands.
    pub(super) standing: Standing,
    /// When it began.
    pub(super) since: When,
    /// When it ended; `None` while it is open.
    pub(super) ended: Option<When>,
    /// Whether it was open when the last process ended and this one has not looked everywhere yet: nobody knows whether it is.
    pub(super) is_unseen: bool,
    /// How long it lasted so far.
    pub(super) lasted: String,
}

/// A span that can be chosen.
pub(super) struct Choice {
    /// Its name for the style.
    pub(super) name: &'static str,
    /// Its words.
    pub(super) words: &'static str,
    /// Whether it is shown at first.
    pub(super) is_first: bool,
}

/// The spans that can be chosen.
pub(super) fn choices() -> Vec<Choice> {
    SPANS.iter().map(|(name, words, _)| Choice { name, words, is_first: *name == FIRST }).collect()
}

/// Every incident that is known, the newest first.
pub(super) fn entries(snapshot: &Snapshot, course: &Course) -> Vec<Entry> {
    let (mut known, views) = (BTreeSet::new(), report::views(snapshot));
    let live = snapshot.incidents.open.iter().map(|incident| (incident, None));
    let ended = snapshot.incidents.closed.iter().map(|closed| (&closed.incident, Some(closed.ended)));
    let mut entries: Vec<Entry> = Vec::new();
    for (incident, to) in live.chain(ended) {
        let key = links::incident_key(snapshot, incident);
        known.insert(key.clone());
        let what = (incident.finding.cause.label(), &*incident.component);
        let standing = told::standing(incident, to, &views);
        entries.push(Entry { standing, ..entry(snapshot, key, (incident.since, to), what) });
    }
    for row in course.earlier().iter().filter(|row| !known.contains(&row.id)) {
        let over = snapshot.store.over_unseen.get(&row.id);
        let last_seen = over.map(|over| over.last_seen).or(row.account.last_seen);
        let closed = over.map(|over| over.by).or(row.closed);
        // Of one that was open when the last process ended nobody knows whether it is, until this one has looked everywhere.
        let to = Some(closed.unwrap_or(snapshot.agent.started));
        let entry = entry(snapshot, row.id.clone(), (row.since, to), (&row.cause, &row.component));
        let lasted = told::lasted_about(row.since, last_seen, closed.unwrap_or(snapshot.agent.started));
        let (ended, is_unseen) = (closed.map(When::of), closed.is_none());
        entries.push(Entry { ended, is_unseen, lasted, ..entry });
    }
    entries.sort_by(|one, other| (other.from, &other.key).cmp(&(one.from, &one.key)));
    entries
}

/// One that is over; the caller knows better of one that is open.
fn entry(
    snapshot: &Snapshot,
    key: String,
    (from, to): (Duration, Option<Duration>),
    (cause, component): (&str, &str),
) -> Entry {
    Entry {
        path: links::incident_path(&key),
        key,
        from,
        to,
        cause: Text::from(cause),
        component: Text::from(component),
        standing: ENDED,
        since: When::of(from),
        ended: to.map(When::of),
        is_unseen: false,
        lasted: lasted(from, to.unwrap_or(snapshot.at)),
    }
}

#[derive(Template)]
#[template(path = "past.html", whitespace = "minimize")]
struct Timeline {
    spans: Vec<Span>,
    listed: Vec<Entry>,
    more: usize,
    is_remembered: bool,
    /// Whether a class is drawn in any span.
    has_lanes: bool,
}

struct Span {
    name: &'static str,
    words: &'static str,
    ticks: [&'static str; 4],
    height: usize,
    marks: Vec<Mark>,
    /// Of which stretches nothing is known.
    gaps: Vec<Stretch>,
    /// Since when something is, where that is not all of the span.
    since: Option<When>,
    /// Classes of which not all answered.
    classes: Vec<Lane>,
    /// Whether anything is known of any class.
    has_classes: bool,
}

/// A class in a span.
struct Lane {
    class: &'static str,
    paths: Vec<charts::Path>,
    share: String,
    /// The same in words.
    said: String,
}

struct Mark {
    entry: Entry,
    class: &'static str,
    stretch: Stretch,
    y: usize,
}

/// The timeline.
pub(super) fn timeline(snapshot: &Snapshot, course: &Course) -> Html {
    let entries = entries(snapshot, course);
    let spans = SPANS.iter().zip(bars::SPANS).enumerate().map(|(place, ((name, words, ticks), length))| {
        let now = snapshot.at;
        let known = snapshot.classes.iter().filter_map(|view| Some((view.class, course.bars_of(view.class, place)?)));
        let known: Vec<_> = known.filter(|(_, bars)| bars.share(now).is_some()).collect();
        let marks = marks(&entries, now, length);
        let height = marks.iter().map(|mark| mark.y - MARGIN).max().unwrap_or_default() + LANE;
        let mut unknown = course.unknown(now, length);
        // What is too narrow to be seen would be drawn wider than it is.
        unknown.retain(|(from, to)| to.saturating_sub(*from) * FINEST > length);
        let first = unknown.first().filter(|(from, _)| *from == now.saturating_sub(length));
        let since = first.map(|(_, to)| When::of(*to));
        let gap = |(from, to): &(Duration, Duration)| charts::within(now.saturating_sub(length), length, *from, *to);
        let gaps = unknown.iter().filter_map(gap).map(Stretch::coarse).collect();
        let (has_classes, classes) = (!known.is_empty(), known.into_iter());
        let classes = classes.filter_map(|(class, bars)| lane(class.label(), words, bars, now)).collect();
        Span { name, words, ticks: *ticks, height, marks, gaps, since, classes, has_classes }
    });
    let spans: Vec<Span> = spans.collect();
    Html::of(&Timeline {
        has_lanes: spans.iter().any(|span| !span.classes.is_empty()),
        spans,
        more: entries.len().saturating_sub(LISTED),
        listed: entries.iter().take(LISTED).cloned().collect(),
        is_remembered: snapshot.store.ok.is_some(),
    })
}

/// A class in a span of the timeline; `None` where all of it answered as far as that is known.
fn lane(class: &'static str, words: &str, bars: &Bars, now: Duration) -> Option<Lane> {
    let runs = charts::runs(bars, now);
    let missed: Vec<_> = runs.iter().rev().filter_map(|run| Some((run, run.missed()?))).collect();
    if missed.is_empty() {
        return None;
    }
    let share = share(bars.share(now)?);
    let mut said = format!("{class} in the last {words}: {share} answered");
    for (run, what) in missed.iter().take(TOLD) {
        let [from, to] = [run.from, run.to].map(|place| bars.begins(place, now).min(now));
        // What goes on has no end to be told: it would be another one at each look.
        match When::of(from).utc {
            from if to >= now => said.push_str(&format!("; {what} since {from}")),
            from => said.push_str(&format!("; {what} between {from} and {}", When::of(to).utc)),
        }
    }
    match missed.len().saturating_sub(TOLD) {
        0 => {}
        1 => said.push_str("; and once before"),
        more => said.push_str(&format!("; and {more} times before")),
    }
    Some(Lane { class, paths: charts::lane(&runs), share, said })
}

/// The height of a lane, of which a mark leaves a margin on both sides.
const LANE: usize = 16;
const MARGIN: usize = 2;
/// What is shorter than this part of a span is not drawn as not known.
const FINEST: u32 = 100;

/// Where each incident is drawn: in the first lane that is free at its time.
fn marks(entries: &[Entry], now: Duration, length: Duration) -> Vec<Mark> {
    let (start, mut free) = (now.saturating_sub(length), [0_u32; LANES]);
    let mut marks = Vec::new();
    let mut newest: Vec<&Entry> = entries.iter().take(DRAWN).collect();
    newest.reverse();
    for entry in newest {
        let Some(stretch) = charts::within(start, length, entry.from, entry.to.unwrap_or(now)) else { continue };
        let lane = free.iter().position(|free| *free <= stretch.x).unwrap_or(LANES - 1);
        free[lane] = stretch.x + stretch.width + 2;
        let is_open = entry.ended.is_none() && !entry.is_unseen;
        let class = if is_open { entry.standing.class } else { "over" };
        marks.push(Mark { entry: entry.clone(), class, stretch, y: lane * LANE + MARGIN });
    }
    marks
}

#[cfg(test)]
mod tests;
