//! A ticket in one file: the answer, the incidents with evidence and advice, what was not tested and why, and from where, when
//! and by which catalogue it was seen. What it says is decided here, how it is written in the files below.

pub mod html;
pub mod markdown;

use std::collections::{BTreeMap, BTreeSet};

use ase_probes::cause::Cause;

use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::EndpointId,
        diagnosis::{Alternative, Incident},
        endpoint::{EndpointView, Status},
        settings::ResolverSource,
    },
    readers::{
        VERSION, advice, exports, headline, links,
        report::incidents::{answer, worst_first},
        resolver_health,
        summary::{Summary, count, rfc3339},
        witness::Witness,
    },
    resolvers::compare::Worry,
};

/// A part of a ticket. All of it is plain text, which the renderings escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A heading.
    Heading(String),
    /// A heading below one.
    Subheading(String),
    /// A paragraph.
    Text(String),
    /// Labels, each with what it stands for.
    Facts(Vec<(&'static str, String)>),
    /// Lines that belong together.
    List(Vec<String>),
    /// Commands to type.
    Commands(Vec<String>),
    /// A table.
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What is the matter, in one line.
    pub title: String,
    /// The rest.
    pub parts: Vec<Part>,
}

impl Ticket {
    /// The ticket of a single look, and of what a daemon on this machine says beside it.
    pub fn of(snapshot: &Snapshot, witness: Option<&Witness>) -> Self {
        let summary = Summary::of(snapshot);
        let mut parts = Vec::new();
        if let Some(answer) = answer(snapshot) {
            parts.push(Part::Text(format!("{}.", answer.text())));
        }
        parts.push(circumstances(snapshot, &summary));
        worst_first(snapshot).into_iter().for_each(|incident| one_incident(&mut parts, incident, (snapshot, witness)));
        witness.iter().for_each(|witness| told(&mut parts, witness, snapshot));
        for (title, wanted) in [("Failed", is_failed as fn(&EndpointView) -> bool), ("Degraded", is_degraded)] {
            alone(&mut parts, title, snapshot, wanted);
        }
        dns(&mut parts, snapshot);
        exported(&mut parts, snapshot);
        untested(&mut parts, snapshot);
        classes(&mut parts, snapshot);
        list(&mut parts, "Warnings of the configuration", snapshot.agent.warnings.clone());
        Self { title: format!("ase-agent: {}", summary.sentence()), parts }
    }
}

fn is_failed(view: &EndpointView) -> bool {
    matches!(view.status, Status::Failed(_))
}

fn is_degraded(view: &EndpointView) -> bool {
    matches!(view.status, Status::Degraded(_))
}

fn circumstances(snapshot: &Snapshot, summary: &Summary) -> Part {
    let (catalog, resolvers) = (&snapshot.catalog, &snapshot.resolvers);
    let custom = resolvers.custom.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let source = match &resolvers.source {
        ResolverSource::Config => "configuration",
        ResolverSource::File(path) => path,
    };
    let counted = [
        (summary.healthy, "healthy"),
        (summary.degraded, "degraded"),
        (summary.failed, "failed"),
        (summary.unknown, "not tested"),
    ];
    let counted = counted.map(|(number, what)| format!("{number} {what}")).join(", ");
    let mut facts = vec![
        ("seen at", rfc3339(snapshot.at)),
        ("vantage", snapshot.agent.vantage.clone()),
        ("endpoints", counted),
        ("exit code", summary.exit_code().to_string()),
        ("profile", format!("{}, cloud {}", catalog.profile, catalog.cloud)),
        ("edition of the catalogue", catalog.edition.clone()),
        ("DNS servers", format!("{custom} ({source}); Azure DNS {}", resolvers.azure)),
        ("agent", VERSION.to_owned()),
    ];
    let clock = headline::clock(snapshot);
    facts.extend(clock.map(|clock| ("clock", format!("every time here is by {clock}"))));
    facts.extend(links::first(snapshot).map(|link| ("page", link)));
    Part::Facts(facts)
}

fn one_incident(parts: &mut Vec<Part>, incident: &Incident, (snapshot, witness): (&Snapshot, Option<&Witness>)) {
    let definition = incident.finding.cause.definition();
    let advice = advice::of(incident, snapshot);
    let expected = |command: &String| advice.expected(command).map(|shown| format!("# expect: {shown}"));
    let changed = |command: &String| advice.changed(command).map(|changed| format!("# mends; {changed}:"));
    let every = advice.every_command();
    let lines = |it: &String| [changed(it), Some(it.clone()), expected(it)];
    let commands = every.iter().flat_map(lines).flatten().collect::<Vec<_>>();
    parts.push(Part::Heading(format!("Incident: {}: {}", definition.label, headline::of(incident, snapshot))));
    let mut facts = vec![
        ("where", incident.component.clone()),
        ("side, scope", format!("{}, {}", incident.finding.side.label(), incident.scope.label())),
        ("how sure", advice.to_confirm.clone().unwrap_or_else(|| incident.finding.confidence.label().to_owned())),
        ("first seen by this look", rfc3339(incident.since)),
        ("owner", advice.owner.words()),
    ];
    let same = witness.and_then(|witness| witness.same(incident));
    facts.extend(same.map(|told| ("since, says the daemon", told.since.clone())));
    facts.extend(["first", "next"].into_iter().zip(advice.steps().map(|step| step.words)));
    // What exports know is both, and stands among the evidence.
    let evidence = advice::evidence(incident, snapshot);
    let hint = advice::hint(incident, snapshot).filter(|hint| evidence.first() != Some(&&**hint));
    facts.extend(hint.map(|hint| ("hint", hint.into_owned())));
    let others = advice::others(incident, &advice, snapshot);
    let typed: Vec<String> = others.iter().filter_map(|(_, typed)| Some(typed.as_ref()?.command.clone())).collect();
    facts.extend(advice.elsewhere.map(|elsewhere| ("note", elsewhere)));
    let blanks = advice::blanks(every.iter().chain(&typed).map(String::as_str));
    facts.extend(blanks.map(|blanks| ("fill in", blanks)));
    facts.extend(links::incident(snapshot, incident).map(|link| ("page", link)));
    parts.push(Part::Facts(facts));
    if !commands.is_empty() {
        parts.push(Part::Commands(commands));
    }
    below(parts, "Evidence", evidence.into_iter().map(str::to_owned).collect());
    below(parts, "It could also be", others.iter().map(|(other, typed)| could_be(other, typed.as_ref())).collect());
    if !typed.is_empty() {
        parts.push(Part::Commands(typed));
    }
    below(parts, "Endpoints", incident.endpoints.iter().map(ToString::to_string).collect());
    let hidden = incident.hides.iter().map(ToString::to_string).collect();
    below(parts, "Whose own service could not be tested because of it", hidden);
}

/// Another cause, when it is the one, and what its command shows then, which stands below.
fn could_be(other: &Alternative, typed: Option<&advice::Typed>) -> String {
    let shown =
        typed.and_then(|typed| typed.expected.as_deref()).map(|shown| format!("; then its command shows {shown}"));
    format!("{}, if {}{}", other.cause.label(), other.words(), shown.unwrap_or_default())
}

fn told(parts: &mut Vec<Part>, witness: &Witness, snapshot: &Snapshot) {
    for told in witness.beyond(snapshot) {
        parts.push(Part::Heading(format!("Seen by the daemon, not by this look: {}: {}", told.cause, told.summary())));
        let mut facts = vec![
            ("where", told.component.clone()),
            ("side, scope", format!("{}, {}", told.side, told.scope)),
            ("how sure", told.confidence.clone()),
            ("since", told.since.clone()),
        ];
        facts.extend(told.next_step().map(|next| ("what to do", next)));
        facts.extend(told.hint.clone().map(|hint| ("hint", hint)));
        parts.push(Part::Facts(facts));
        below(parts, "Evidence", told.evidence.clone());
    }
}

/// Endpoints that no incident speaks for, by cause.
fn alone(parts: &mut Vec<Part>, title: &str, snapshot: &Snapshot, wanted: fn(&EndpointView) -> bool) {
    let mut groups: BTreeMap<Cause, Vec<&EndpointView>> = BTreeMap::new();
    let told: BTreeSet<&EndpointId> = snapshot.incidents.open.iter().flat_map(|incident| &incident.endpoints).collect();
    for view in snapshot.endpoints.iter().filter(|view| wanted(view) && !told.contains(&view.endpoint.id)) {
        groups.entry(view.status.finding().map_or(Cause::Unknown, |finding| finding.cause)).or_default().push(view);
    }
    for (cause, views) in groups {
        let definition = cause.definition();
        parts.push(Part::Heading(format!("{title}: {}: {}", definition.label, definition.summary)));
        parts.push(Part::Facts(vec![
            ("owner", definition.owner.words()),
            ("what to do", definition.next_words()),
            ("check first", definition.check_first.to_owned()),
        ]));
        for view in views {
            let (class, severity) = (view.endpoint.class, view.endpoint.severity.label());
            let title = format!("{} ({class}, {severity})", view.endpoint.id);
            below(parts, &title, view.last.as_ref().map(|visit| visit.evidence()).unwrap_or_default());
        }
    }
}

fn dns(parts: &mut Vec<Part>, snapshot: &Snapshot) {
    let mut lines = Vec::new();
    for view in snapshot.names.iter() {
        if let Some(comparison) = view.published.as_ref().filter(|comparison| comparison.worry > Worry::Fine) {
            let advice = comparison.class.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            lines.push(format!("{}: {}: {}{advice}", view.name, comparison.class.label(), comparison.reason));
        }
    }
    for health in resolver_health::of(snapshot) {
        lines.extend(health.remarks().iter().map(|remark| format!("server {}: {remark}", health.server)));
    }
    let findings = snapshot.host_dns.findings(&snapshot.resolvers);
    lines.extend(findings.iter().map(|finding| format!("this host: {finding}")));
    list(parts, "DNS", lines);
}

fn exported(parts: &mut Vec<Part>, snapshot: &Snapshot) {
    let Some(title) = exports::title(snapshot) else { return };
    let mut lines = exports::wrong(snapshot);
    lines.extend(exports::findings(snapshot).into_iter().map(|finding| exports::line(snapshot, finding)));
    parts.push(Part::Heading(format!("Exported rules: {title}")));
    parts.extend((!lines.is_empty()).then_some(Part::List(lines)));
}

/// Everything that this look says nothing about, each with the reason.
fn untested(parts: &mut Vec<Part>, snapshot: &Snapshot) {
    let mut lines = Vec::new();
    for view in &snapshot.endpoints {
        match view.status {
            Status::Healthy | Status::Degraded(_) | Status::Failed(_) => {}
            Status::Unknown(why) => lines.push(format!("{}: {}", view.endpoint.id, why.reason())),
        }
    }
    let slots = snapshot.catalog.slots.iter();
    lines.extend(
        slots.map(|slot| format!("{} ({} {}): not configured: {}", slot.name, slot.class, slot.port, slot.hint)),
    );
    lines.extend(snapshot.left_out.iter().cloned());
    match lines.is_empty() {
        true => {
            parts.push(Part::Heading("What was not tested".to_owned()));
            parts.push(Part::Text(format!("Nothing: all {} were asked.", count(snapshot.endpoints.len(), "endpoint"))));
        }
        false => list(parts, "What was not tested, and why", lines),
    }
}

fn classes(parts: &mut Vec<Part>, snapshot: &Snapshot) {
    let row = |class: &crate::engine::snapshot::ClassView| {
        let state = match class.is_up() {
            Some(true) => "up",
            Some(false) => "down",
            None => "unknown",
        };
        let numbers = [class.endpoints, class.up, class.failed, class.unknown, class.not_configured];
        let words = [class.class.label(), state].map(str::to_owned);
        words.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    };
    let head = vec!["class", "state", "endpoints", "answering", "failed", "unknown", "not configured"];
    parts.push(Part::Heading("Classes".to_owned()));
    parts.push(Part::Table(head, snapshot.classes.iter().map(row).collect()));
}

fn list(parts: &mut Vec<Part>, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        parts.push(Part::Heading(title.to_owned()));
        parts.push(Part::List(lines));
    }
}

fn below(parts: &mut Vec<Part>, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        parts.push(Part::Subheading(title.to_owned()));
        parts.push(Part::List(lines));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{golden::assert_golden, sample};

    #[test]
    fn the_sample_reads_as_reviewed_in_both_forms() {
        let ticket = Ticket::of(&sample::snapshot(), None);
        // The version of this crate is no part of what was reviewed.
        let reviewed = |text: String| {
            let text = text.replace(&format!("**agent**: {VERSION}"), "**agent**: VERSION");
            text.replace(&format!("<td>{VERSION}</td>"), "<td>VERSION</td>")
        };
        assert_golden("tests/golden/ticket.md", &reviewed(markdown::render(&ticket)));
        assert_golden("tests/golden/ticket.html", &reviewed(html::render(&ticket)));
    }

    /// What an endpoint's id, a component, evidence and a warning may hold at worst.
    const HOSTILE: &str =
        "</p><script>alert(1)</script> [x](http://e.example) | `a` **b**\n# head\n```\u{1b}[2J\u{202e}";

    fn hostile() -> Snapshot {
        let mut snapshot = sample::snapshot();
        Arc::make_mut(&mut Arc::make_mut(&mut snapshot.endpoints[8]).endpoint).id = EndpointId(HOSTILE.into());
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        (incident.component, incident.evidence) = (HOSTILE.to_owned(), vec![HOSTILE.to_owned()]);
        incident.endpoints.push(EndpointId(HOSTILE.into()));
        snapshot.agent.warnings = vec![HOSTILE.to_owned()];
        snapshot.agent.vantage = HOSTILE.to_owned();
        snapshot.left_out = vec![HOSTILE.to_owned()];
        snapshot
    }

    #[test]
    fn nothing_that_was_heard_becomes_markup() {
        let ticket = Ticket::of(&hostile(), None);
        let page = html::render(&ticket);
        assert!(!page.contains("<script") && !page.contains("</p><") && page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page}");
        let text = markdown::render(&ticket);
        for sign in ["<script", "\n# head", "[x](http", "**b**", "\u{1b}", "\u{202e}"] {
            assert!(!text.contains(sign), "{sign:?} in {text}");
        }
        let fences = text.lines().filter(|line| line.starts_with("```")).count();
        assert_eq!(fences % 2, 0, "{text}");
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let page = html::render(&Ticket::of(&sample::snapshot(), None));
        for asset in ["src=", "href=", "url(", "@import", "<link", "<script", "<img"] {
            assert!(!page.contains(asset), "{asset}");
        }
        assert!(page.contains("default-src 'none'"), "{page}");
    }

    #[test]
    fn where_all_is_well_the_ticket_says_that_all_were_asked() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        snapshot.incidents.open.clear();
        Arc::make_mut(&mut snapshot.catalog).slots.clear();
        let text = markdown::render(&Ticket::of(&snapshot, None));
        assert!(text.contains("Nothing: all 12 endpoints were asked."), "{text}");
        assert!(!text.contains("Incident:") && !text.contains("Failed:"), "{text}");
    }
}
