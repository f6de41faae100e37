//! The endpoints on the first page: one row each, grouped by class, the worst first; and the slots that nobody filled.

use std::{collections::BTreeMap, fmt};

use ase_probes::{class::Class, outcome::Outcome};
use askama::{Template, filters::HtmlSafe};

use super::{
    charts::{self, Path},
    course::Course,
    mark,
    standing::Standing,
    text::{Html, Text, When, anchor, millis},
};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::About,
        endpoint::{EndpointView, Status, crl},
        visit::Untested,
    },
    readers::{links, summary::span},
};

/// A certificate that ends within this many seconds is said loudly: 21 days, as the early warnings have it.
const SOON: i64 = 21 * 24 * 3600;
/// A revocation list that is due within this many seconds is: 6 hours, as the early warnings have it.
const CRL_SOON: i64 = 6 * 3600;

#[derive(Template)]
#[template(path = "endpoint_row.html", whitespace = "minimize")]
struct Row<'a> {
    anchor: &'a str,
    path: String,
    id: Text,
    documented_as: Option<Text>,
    class: &'static str,
    severity: &'static str,
    standing: Standing,
    cause: &'static str,
    why: Text,
    since: When,
    visits: Vec<Path>,
    visits_in_words: String,
    took: Option<String>,
    at: Option<When>,
    expiry: Option<Expiry>,
}

/// When what proves the peer ends.
pub(super) struct Expiry {
    /// The class of the style.
    pub(super) class: &'static str,
    /// What ends: `certificate` or `CRL`.
    pub(super) what: &'static str,
    /// In how long, or that it is over.
    pub(super) left: String,
    /// When.
    pub(super) at: When,
}

/// A row as it stands in the page.
pub(super) struct Rendered {
    /// Its id.
    pub(super) anchor: String,
    /// A mark of how its endpoint stands, whatever its last visits took.
    pub(super) standing: u64,
    /// The row.
    pub(super) row: Html,
}

/// An endpoint's row.
pub(super) fn row(snapshot: &Snapshot, view: &EndpointView, course: &Course) -> Rendered {
    let endpoint = &view.endpoint;
    let anchor = anchor('e', &endpoint.id.0);
    let visits = course.visits(&endpoint.id);
    let failed = visits.iter().filter(|visit| visit.is_bad).count();
    let row = Row {
        anchor: &anchor,
        path: links::endpoint_path(&endpoint.id),
        id: Text::from(&endpoint.id.0),
        documented_as: stands_for(&endpoint.about),
        class: endpoint.class.label(),
        severity: endpoint.severity.label(),
        standing: Standing::of(view.status),
        cause: cause(view),
        // A hint has no code in it.
        why: Text::from(why(view.status).replace('`', "")),
        since: When::of(view.since),
        visits: charts::visits(&visits),
        visits_in_words: charts::visits_in_words(&visits),
        took: view.last.as_ref().map(|visit| millis(visit.took)),
        at: view.last.as_ref().map(|visit| When::of(visit.began)),
        expiry: expiry(snapshot, view),
    };
    let proof = row.expiry.as_ref().map(|expiry| (expiry.class, expiry.what));
    let standing = mark((row.standing.word, row.cause, why(view.status), view.since, failed, proof));
    let row = Html::of(&row);
    Rendered { anchor, standing, row }
}

/// The documented name that an endpoint stands for, where that says something: everything is no name.
pub(super) fn stands_for(about: &About) -> Option<Text> {
    about.documented_as.as_ref().filter(|name| *name != "*").map(Text::from)
}

/// The cause's label, or a word in its place.
fn cause(view: &EndpointView) -> &'static str {
    match view.status {
        Status::Healthy => "none",
        Status::Degraded(finding) | Status::Failed(finding) => finding.cause.label(),
        Status::Unknown(untested) => untested.finding().map_or("untested", |finding| finding.cause.label()),
    }
}

/// Why it is as it is, in a few words.
pub(super) fn why(status: Status) -> String {
    match status {
        Status::Healthy => String::new(),
        Status::Degraded(finding) | Status::Failed(finding) => finding.cause.definition().summary.to_owned(),
        Status::Unknown(untested) => Untested::reason(untested),
    }
}

/// What ends first of what proved the peer at the last visit, or is over. When a certificate ends that verified nothing, as one
/// of an inspecting device does, says nothing about the peer's own.
pub(super) fn expiry(snapshot: &Snapshot, view: &EndpointView) -> Option<Expiry> {
    let now = i64::try_from(snapshot.at.as_secs()).unwrap_or(i64::MAX);
    let handshakes = view.last.iter().flat_map(|visit| &visit.outcomes).filter_map(Outcome::handshake);
    let telling = handshakes.filter_map(|tls| Some((tls.is_proof(), tls.ends_first()?.not_after)));
    let telling = telling.filter(|(is_proof, end)| *is_proof || *end <= now);
    let certificate = telling.map(|(_, end)| (end, SOON, "certificate"));
    let list = crl(view).and_then(|crl| crl.next_update).map(|due| (due, CRL_SOON, "CRL"));
    let (end, soon, what) = certificate.chain(list).min()?;
    let left = end.saturating_sub(now);
    let (class, left) = match u64::try_from(left) {
        Err(_) => ("bad", "over".to_owned()),
        Ok(seconds) => (if left < soon { "part" } else { "plain" }, days(seconds)),
    };
    Some(Expiry { class, what, left, at: When::of_seconds(end) })
}

fn days(seconds: u64) -> String {
    if seconds < 2 * 86_400 { span(std::time::Duration::from_secs(seconds)) } else { format!("{} d", seconds / 86_400) }
}

/// The rows of one class.
pub(super) struct Group<'a> {
    /// The class.
    pub(super) class: &'static str,
    /// What stands above its rows.
    pub(super) heading: Html,
    /// Its rows.
    pub(super) rows: Vec<Unwritten<'a>>,
}

#[derive(Template)]
#[template(path = "group.html", whitespace = "minimize")]
struct Heading {
    anchor: String,
    class: &'static str,
    endpoints: usize,
    ailing: usize,
}

/// A row that is rendered where it is written, so that a page of many holds it once.
pub(super) struct Unwritten<'a> {
    snapshot: &'a Snapshot,
    view: &'a EndpointView,
    course: &'a Course,
}

impl fmt::Display for Unwritten<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(row(self.snapshot, self.view, self.course).row.as_str())
    }
}

// The row's template has escaped what there is to escape.
impl HtmlSafe for Unwritten<'_> {}

/// The endpoints by class, the worst first.
pub(super) fn grouped(snapshot: &Snapshot) -> BTreeMap<Class, Vec<&EndpointView>> {
    let mut groups: BTreeMap<Class, Vec<&EndpointView>> = BTreeMap::new();
    for view in &snapshot.endpoints {
        groups.entry(view.endpoint.class).or_default().push(view);
    }
    let rank = |view: &&EndpointView| (Standing::of(view.status).rank(), std::cmp::Reverse(view.endpoint.severity));
    groups.values_mut().for_each(|views| views.sort_by_key(rank));
    groups
}

/// What stands above each group, by its id: how many are not healthy changes without the order of the rows.
pub(super) fn headings(snapshot: &Snapshot) -> Vec<(String, Html)> {
    grouped(snapshot).into_iter().map(|(class, views)| heading(class, &views)).collect()
}

fn heading(class: Class, views: &[&EndpointView]) -> (String, Html) {
    let anchor = anchor('g', class.label());
    let ailing = views.iter().filter(|view| view.status != Status::Healthy).count();
    let html = Html::of(&Heading { anchor: anchor.clone(), class: class.label(), endpoints: views.len(), ailing });
    (anchor, html)
}

/// The groups with their rows.
pub(super) fn groups<'a>(snapshot: &'a Snapshot, course: &'a Course) -> Vec<Group<'a>> {
    let group = |(class, views): (Class, Vec<&'a EndpointView>)| Group {
        class: class.label(),
        heading: heading(class, &views).1,
        rows: views.into_iter().map(|view| Unwritten { snapshot, view, course }).collect(),
    };
    grouped(snapshot).into_iter().map(group).collect()
}

/// A slot that is not filled.
pub(super) struct Unfilled {
    /// The key.
    pub(super) name: Text,
    /// Its class.
    pub(super) class: &'static str,
    /// What it is for.
    pub(super) purpose: Text,
    /// How to fill it.
    pub(super) hint: Text,
}

/// The slots that are not filled.
pub(super) fn slots(snapshot: &Snapshot) -> Vec<Unfilled> {
    let unfilled = |slot: &crate::model::catalog::Slot| Unfilled {
        name: Text::from(&slot.name),
        class: slot.class.label(),
        purpose: Text::from(&slot.purpose),
        hint: Text::from(&slot.hint),
    };
    snapshot.catalog.slots.iter().map(unfilled).collect()
}
