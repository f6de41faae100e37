//! How tests read the pages: those of a snapshot, and what stands in a part of one.

use super::{
    course::{Course, Recalled},
    endpoint, incident, landing, named,
};
use crate::engine::snapshot::Snapshot;

/// The first page, of which nothing but this moment is known.
pub(super) fn page(snapshot: &Snapshot) -> String {
    let mut course = Course::default();
    course.take(snapshot);
    landing(snapshot, &course)
}

/// The page of the incident of the sample.
pub(super) fn incident_of(snapshot: &Snapshot) -> String {
    incident(snapshot, &named(snapshot, "3").expect("it is open"), None)
}

/// The page of this endpoint, of which nothing is remembered.
pub(super) fn endpoint_of(snapshot: &Snapshot, id: &str) -> String {
    endpoint(snapshot, &Course::default(), id, &Recalled::default()).expect("it is watched")
}

/// Elements that stand within a line of text.
const INLINE: [&str; 10] = ["span", "/span", "time", "/time", "a", "/a", "b", "/b", "code", "/code"];

/// The text of a page as a reader of its markup hears it.
pub(super) fn words(html: &str) -> String {
    let mut text = String::new();
    for (number, piece) in html.split('<').enumerate() {
        let (tag, said) = if number == 0 { ("", piece) } else { piece.split_once('>').unwrap_or_default() };
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        if !INLINE.contains(&name) {
            text.push(' ');
        }
        text.push_str(said);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The card of the sample's incident, without what is copied.
pub(super) fn card(html: &str) -> &str {
    let card = html.split("<article").nth(1).and_then(|rest| rest.split("<details class=\"copy\"").next());
    card.expect("an incident is open")
}

/// The Markdown of a page with one report, as it is copied.
pub(super) fn copied(html: &str) -> String {
    let report = html.split("<pre class=\"report\"").nth(1).and_then(|rest| Some(rest.split_once('>')?.1));
    let report = report.and_then(|rest| rest.split("</pre>").next()).expect("a report").to_owned();
    [
        ("<span class=\"piece\">", ""),
        ("</span>", ""),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ]
    .into_iter()
    .fold(report, |report, (escaped, said)| report.replace(escaped, said))
}

/// A span of the timeline, as it is read.
pub(super) fn timeline(html: &str, span: &str) -> String {
    let rest = html.split(&format!("<div class=\"span {span}\">")).nth(1).expect("the span is there");
    rest.split("</div>").next().unwrap_or_default().to_owned()
}
