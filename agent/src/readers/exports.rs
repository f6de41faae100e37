//! What report and page say of the exports alike: the title with their age, what is wrong with the files, the findings worth
//! telling.

use crate::{
    engine::snapshot::Snapshot,
    exports::{coarse, threats::is_threat},
    lint::finding::{Finding, Severity},
    readers::summary::count,
};

/// What stands behind threats: exported rules are no measurement.
const THREAT: &str = "environments are suspended for this; read from exported rules, never measured";
/// Findings that the page writes out.
const ON_PAGE: usize = 6;

/// How many findings there are and how old the exports are; `None` where the configuration names no exports.
pub(crate) fn title(snapshot: &Snapshot) -> Option<String> {
    let view = snapshot.exports.as_ref()?;
    let what = match (&view.reading.judged, findings(snapshot).len()) {
        (None, _) => "not judged".to_owned(),
        (Some(_), 0) => "nothing above information".to_owned(),
        (Some(_), many) => count(many, "finding"),
    };
    let stale = if view.is_stale(snapshot.at) { ", stale" } else { "" };
    let age = view.written().map(|written| coarse(snapshot.at.saturating_sub(written)));
    Some(format!("{what}{}", age.map(|age| format!("; written {age} ago{stale}")).unwrap_or_default()))
}

/// What is wrong with the files as they are now.
pub(crate) fn wrong(snapshot: &Snapshot) -> Vec<String> {
    let Some(view) = &snapshot.exports else { return Vec::new() };
    let kept = if view.reading.judged.is_some() { "; what was judged before stays in force" } else { "" };
    view.reading.wrong.iter().map(|wrong| format!("{wrong}{kept}")).collect()
}

/// The warnings and critical findings.
pub(crate) fn findings(snapshot: &Snapshot) -> Vec<&Finding> {
    let judged = snapshot.exports.as_ref().and_then(|view| view.reading.judged.as_deref());
    let all = judged.into_iter().flat_map(|judged| &judged.report.findings);
    all.filter(|finding| finding.severity > Severity::Info).collect()
}

/// Whether one of them is what environments are suspended for.
pub(crate) fn is_threatened(snapshot: &Snapshot) -> bool {
    snapshot.catalog.stakes.suspends && findings(snapshot).into_iter().any(is_threat)
}

/// A finding in one line.
pub(crate) fn line(snapshot: &Snapshot, finding: &Finding) -> String {
    let threat =
        if snapshot.catalog.stakes.suspends && is_threat(finding) { format!(" ({THREAT})") } else { String::new() };
    format!("{}  {}: {}{threat}", finding.severity.label(), finding.id(), finding.message)
}

/// All of it for the page, in lines.
pub fn lines(snapshot: &Snapshot) -> Vec<String> {
    let Some(title) = title(snapshot) else { return Vec::new() };
    let (found, mut lines) = (findings(snapshot), vec![title]);
    lines.extend(wrong(snapshot));
    lines.extend(found.iter().take(ON_PAGE).map(|finding| line(snapshot, finding)));
    let more = found.len().saturating_sub(ON_PAGE);
    lines.extend((more > 0).then(|| format!("{more} more in the status (JSON)")));
    lines
}
