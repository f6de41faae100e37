//! The page that an on-call engineer opens first, and one for each endpoint and incident: a snapshot and what went before in,
//! HTML out. Each part that can change by itself has a name, so that a page which is open gets only the parts that changed.

mod agent;
mod answer;
pub mod assets;
mod bars;
mod charts;
mod classes;
pub mod course;
mod endpoint;
mod endpoints;
mod incident;
mod incidents;
mod markdown;
mod names;
mod past;
#[cfg(test)]
mod reading;
mod standing;
mod text;
mod told;
mod watched;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use askama::Template;

use crate::{engine::snapshot::Snapshot, model::catalog::EndpointId, readers::VERSION};
use course::Course;
use text::{Text, When};

pub use endpoint::render as endpoint;
pub use incident::{Asked, key, named, remembered, render as incident, render_remembered as remembered_incident};
pub use text::Html;

/// Room for the first page without its rows, and for each of these, in bytes, rather more than they take: a text that grows
/// takes up to three times its memory for a moment.
const ROOM: usize = 64 * 1024;
const ROW: usize = 2 * 1024;

/// What a reader asks for by a path.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What it is called.
    pub id: &'a str,
    /// Slashes that stand in the path itself: each is a step further from where the first page is.
    pub slashes: usize,
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for Place<'a> {
    fn from(id: &'a T) -> Self {
        Self { id: id.as_ref(), slashes: 0 }
    }
}

impl Place<'_> {
    fn root(&self) -> String {
        format!("..{}", "/..".repeat(self.slashes))
    }
}

/// The kind of the first page, which alone stands beside the agent's other paths and not below one of them.
const LANDING: &str = "landing";

/// What stands around every page.
#[derive(Clone, Debug)]
struct Frame {
    title: Text,
    /// What the script does with it: [`LANDING`] takes parts, `detail` is fetched anew.
    kind: &'static str,
    /// Of which process the snapshot is, and which of its snapshots it is.
    process: String,
    number: u64,
    /// What leads from the page to where the first one is, which may be below a path of a proxy's that the agent does not see.
    root: String,
    /// The snapshot's time in milliseconds since the Unix epoch.
    at: u128,
    taken: When,
    vantage: Text,
    version: &'static str,
    /// Seconds after which the page is fetched anew where no script does; `None` for what is over.
    refresh: Option<u32>,
    style: String,
    script: String,
    icon: String,
}

impl Frame {
    fn of(snapshot: &Snapshot, kind: &'static str, title: impl AsRef<str>) -> Self {
        Self {
            title: Text::from(title),
            kind,
            process: process(snapshot),
            number: snapshot.number,
            root: if kind == LANDING { "." } else { ".." }.to_owned(),
            at: snapshot.at.as_millis(),
            taken: When::of(snapshot.at),
            vantage: Text::from(&snapshot.agent.vantage),
            version: VERSION,
            refresh: Some(if kind == LANDING { 15 } else { 60 }),
            style: assets::STYLE.name(),
            script: assets::SCRIPT.name(),
            icon: assets::ICON.name(),
        }
    }
}

/// A name for the process that took a snapshot: another one counts its snapshots anew. Two never begin in the same nanosecond.
pub fn process(snapshot: &Snapshot) -> String {
    format!("{:x}", snapshot.agent.started.as_nanos())
}

/// What tells whether a part is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Of everything in it.
    pub whole: u64,
    /// Of a row, what is more than its last visits: where that is the same, the rest may wait. `None` for what never waits.
    pub standing: Option<u64>,
}

/// Hands over each part of the first page with the id under which it stands there and what tells whether it is another one.
/// There is one at a time: all rows of a large page are megabytes.
pub fn each_part(snapshot: &Snapshot, course: &Course, mut take: impl FnMut(String, Mark, Html)) {
    for view in &snapshot.endpoints {
        let endpoints::Rendered { anchor, standing, row } = endpoints::row(snapshot, view, course);
        take(anchor, Mark { whole: mark(row.as_str()), standing: Some(standing) }, row);
    }
    let sections = sections(snapshot, course).map(|(id, html)| (id.to_owned(), html));
    for (id, html) in endpoints::headings(snapshot).into_iter().chain(sections) {
        let whole = mark(html.as_str());
        take(id, Mark { whole, standing: None }, html);
    }
}

/// The parts that are no rows.
fn sections(snapshot: &Snapshot, course: &Course) -> [(&'static str, Html); 10] {
    [
        ("answer", answer::answer(snapshot)),
        ("wall", classes::wall(snapshot)),
        ("incidents", incidents::cards(snapshot, course)),
        ("classes", classes::table(snapshot, course)),
        ("risk", answer::risk(snapshot, course)),
        ("warnings", agent::warnings(snapshot)),
        ("dns", names::sides(snapshot)),
        ("past", past::timeline(snapshot, course)),
        ("exports", agent::exports(snapshot)),
        ("agent", agent::own_health(snapshot)),
    ]
}

fn mark(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A mark for what stands on the first page in which order; where it changes, parts alone are not enough.
pub fn layout(snapshot: &Snapshot) -> u64 {
    let groups = endpoints::grouped(snapshot);
    let ids: Vec<&EndpointId> = groups.values().flatten().map(|view| &view.endpoint.id).collect();
    mark((ids, snapshot.agent.loaded))
}

#[derive(Template)]
#[template(path = "landing.html", whitespace = "minimize")]
struct Landing<'a> {
    frame: Frame,
    answer: Html,
    wall: Html,
    incidents: Html,
    classes: Html,
    risk_title: &'static str,
    risk: Html,
    warnings: Html,
    groups: Vec<endpoints::Group<'a>>,
    slots: Vec<endpoints::Unfilled>,
    dns: Html,
    past: Html,
    spans: Vec<past::Choice>,
    exports: Html,
    agent: Html,
}

/// The first page.
pub fn landing(snapshot: &Snapshot, course: &Course) -> String {
    let mut sections = BTreeMap::from(sections(snapshot, course));
    let mut part = |id| sections.remove(id).unwrap_or_default();
    let page = Landing {
        frame: Frame::of(snapshot, LANDING, answer::title(snapshot)),
        answer: part("answer"),
        wall: part("wall"),
        incidents: part("incidents"),
        classes: part("classes"),
        risk_title: answer::risk_title(snapshot),
        risk: part("risk"),
        warnings: part("warnings"),
        groups: endpoints::groups(snapshot, course),
        slots: endpoints::slots(snapshot),
        dns: part("dns"),
        past: part("past"),
        spans: past::choices(),
        exports: part("exports"),
        agent: part("agent"),
    };
    Html::with_room(&page, ROOM + snapshot.endpoints.len() * ROW).into_string()
}

/// The title of the first page: a tab among many shows how things stand.
pub fn title(snapshot: &Snapshot) -> String {
    Text::from(answer::title(snapshot)).to_string()
}

#[derive(Template)]
#[template(path = "missing.html", whitespace = "minimize")]
struct Missing {
    frame: Frame,
    what: &'static str,
    asked: Text,
}

/// The page in the place of an endpoint or incident that is not known.
pub fn missing<'a>(snapshot: &Snapshot, what: &'static str, asked: impl Into<Place<'a>>) -> String {
    let asked = asked.into();
    let frame = Frame { root: asked.root(), ..Frame::of(snapshot, "detail", format!("no such {what}")) };
    Html::of(&Missing { frame, what, asked: Text::from(asked.id) }).into_string()
}

#[cfg(test)]
mod tests;
