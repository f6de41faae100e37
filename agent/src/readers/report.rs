//! The report that a tired human reads at 3 a.m.: the verdict first, then what failed and what to do, then the rest.

mod exports;
pub(super) mod incidents;
mod names;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anstyle::Style;
use ase_probes::cause::Cause;
use comfy_table::{ContentArrangement, Table, presets};

use crate::{
    engine::snapshot::{ClassView, Snapshot},
    model::{
        catalog::{EndpointId, Severity},
        endpoint::{EndpointView, Status},
        visit::Untested,
    },
    readers::{
        headline,
        paper::{BOLD, DIM, GREEN, PLAIN, Paper, RED, YELLOW, verdict_style},
        summary::{Summary, count, rfc3339},
        warnings::{self, Kind, Warning},
        witness::Witness,
    },
    resolvers::compare::Worry,
};

pub use crate::readers::paper::Look;

/// Endpoints of one cause whose evidence is shown; of the others the line alone.
const WITH_EVIDENCE: usize = 3;

/// Lines of a screen where the terminal does not say: that of a VT100.
const SCREEN: usize = 24;

/// Renders the report, and what a daemon on this machine says beside it.
pub fn render(snapshot: &Snapshot, witness: Option<&Witness>, look: Look) -> String {
    let mut paper = Paper::new(look);
    let summary = Summary::of(snapshot);
    let worst = incidents::answer(snapshot);
    let answer = worst.as_ref().map(|worst| format!("; {}", worst.text())).unwrap_or_default();
    let answer = format!("{}{answer}", summary.sentence());
    paper.line(0, "", &answer, verdict_style(summary.exit_code()));
    let failed = |status| matches!(status, Status::Failed(_));
    incidents::render(&mut paper, snapshot, witness);
    witness.iter().for_each(|witness| incidents::told(&mut paper, snapshot, witness));
    by_cause(&mut paper, snapshot, "FAILED", failed, RED);
    if look.only_failed {
        unlisted(&mut paper, snapshot, &summary);
    } else {
        beyond_failures(&mut paper, snapshot);
    }
    left_out(&mut paper, snapshot);
    footer(&mut paper, snapshot);
    // Whoever sees only the end of a long report sees the answer too.
    if paper.text.lines().count() > look.height.map_or(SCREEN, usize::from) {
        paper.text.push('\n');
        if let Some(worst) = &worst {
            worst.place.iter().for_each(|place| paper.line(0, "note: ", place, PLAIN));
            worst.command.iter().for_each(|command| paper.command(0, "type: ", command));
        }
        paper.line(0, "", &answer, verdict_style(summary.exit_code()));
    }
    paper.text
}

pub(super) use incidents::{Answer, answer};
pub(crate) use incidents::{Gravity, about, gravity, views, worst_first};

/// The exit code of a one-shot check: 0 every watched endpoint is healthy (unfilled slots do not count), 1 an endpoint of
/// severity critical failed, 2 nothing critical failed but an endpoint failed, is degraded, or could not be tested.
pub fn exit_code(snapshot: &Snapshot) -> u8 {
    Summary::of(snapshot).exit_code()
}

/// All that a report says beside what failed.
fn beyond_failures(paper: &mut Paper, snapshot: &Snapshot) {
    let degraded = |status| matches!(status, Status::Degraded(_));
    by_cause(paper, snapshot, "DEGRADED", degraded, YELLOW);
    untested(paper, snapshot);
    if paper.look.verbose {
        healthy(paper, snapshot);
    }
    names::write(paper, snapshot);
    exports::write(paper, snapshot);
    early(paper, snapshot);
    classes(paper, snapshot);
    slots(paper, snapshot);
}

/// What is wrong, or not known, beside what failed: in numbers.
fn unlisted(paper: &mut Paper, snapshot: &Snapshot, summary: &Summary) {
    let is_astray = |worry| worry == Worry::Bad;
    let astray =
        snapshot.names.iter().filter_map(|view| view.published.as_ref()).filter(|one| is_astray(one.worry)).count();
    let counted = [
        (summary.degraded, format!("{} degraded", summary.degraded)),
        (summary.unknown, format!("{} not tested", summary.unknown)),
        (astray, format!("{} led astray", count(astray, "name"))),
        (summary.not_configured, format!("{} not configured", count(summary.not_configured, "slot"))),
    ];
    let parts: Vec<_> = counted.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| words).collect();
    if !parts.is_empty() {
        paper.heading(format_args!("NOT LISTED  {}; without --failed-only they are", parts.join(", ")), DIM);
    }
}

/// What is worth a look although nothing failed. Names and addresses have their own sections.
fn early(paper: &mut Paper, snapshot: &Snapshot) {
    let shown = |warning: &Warning| !matches!(warning.kind, Kind::DnsDivergence | Kind::Addresses);
    let warnings: Vec<_> = warnings::of(snapshot).into_iter().filter(shown).collect();
    if warnings.is_empty() {
        return;
    }
    paper.heading(format_args!("EARLY WARNINGS"), YELLOW);
    for warning in warnings {
        let class = warning.class.map_or_else(String::new, |class| format!("{class}  "));
        let subject = warning.subject.map_or_else(String::new, |subject| format!("{subject}: "));
        let part_of = warning.part_of.map(|incident| format!("; {incident}")).unwrap_or_default();
        paper.line(2, "", &format!("{class}{subject}{}{part_of}", warning.text), PLAIN);
    }
}

fn by_cause(paper: &mut Paper, snapshot: &Snapshot, title: &str, wanted: fn(Status) -> bool, style: Style) {
    let mut groups: BTreeMap<Cause, Vec<&EndpointView>> = BTreeMap::new();
    let explained = explained(paper, snapshot);
    for view in snapshot.endpoints.iter().filter(|view| wanted(view.status) && !explained.contains(&view.endpoint.id)) {
        let cause = view.status.finding().map_or(Cause::Unknown, |finding| finding.cause);
        groups.entry(cause).or_default().push(view);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, views)| std::cmp::Reverse((worst(views), views.len())));
    for (cause, views) in groups {
        let (definition, number) = (cause.definition(), count(views.len(), "endpoint"));
        paper.heading(format!("{title}  {number}  {}: {}", definition.label, definition.summary), style);
        endpoints(paper, views);
        paper.line(2, "next:  ", &definition.next_words(), BOLD);
        paper.line(2, "owner: ", &definition.owner.words(), PLAIN);
    }
}

/// The endpoints that an incident speaks for already.
fn explained<'a>(paper: &Paper, snapshot: &'a Snapshot) -> BTreeSet<&'a EndpointId> {
    let open = snapshot.incidents.open.iter().filter(|_| !paper.look.verbose);
    open.flat_map(|incident| &incident.endpoints).collect()
}

fn worst(views: &[&EndpointView]) -> Option<Severity> {
    views.iter().map(|view| view.endpoint.severity).max()
}

/// The worst first; evidence for the first few, and for all when asked.
fn endpoints(paper: &mut Paper, mut views: Vec<&EndpointView>) {
    views.sort_by_key(|view| std::cmp::Reverse(view.endpoint.severity));
    let shown = if paper.look.verbose { views.len() } else { WITH_EVIDENCE };
    for (number, view) in views.iter().enumerate() {
        let facts = format!("{}, {}{}", view.endpoint.class, view.endpoint.severity.label(), sure(view));
        paper.line(2, "", &format!("{}  ({facts})", view.endpoint.id), PLAIN);
        if let Some(visit) = view.last.as_ref().filter(|_| number < shown) {
            for line in visit.evidence() {
                paper.line(4, "- ", &line, DIM);
            }
        }
    }
}

fn sure(view: &EndpointView) -> String {
    view.status.finding().map(|finding| format!(", {}", finding.confidence.label())).unwrap_or_default()
}

/// How long this look took. Since when something is wrong, one look cannot tell.
fn looked_for(snapshot: &Snapshot) -> String {
    age(snapshot.at.saturating_sub(snapshot.agent.started))
}

/// A duration as coarse as a person would say it: `40s`, `12m`, `3h 5m`, `2d 4h`.
fn age(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

fn untested(paper: &mut Paper, snapshot: &Snapshot) {
    let mut groups: BTreeMap<String, (Untested, Vec<&EndpointView>)> = BTreeMap::new();
    let explained = explained(paper, snapshot);
    for view in snapshot.endpoints.iter().filter(|view| !explained.contains(&view.endpoint.id)) {
        match view.status {
            Status::Healthy | Status::Degraded(_) | Status::Failed(_) => {}
            Status::Unknown(why) => groups.entry(why.reason()).or_insert((why, Vec::new())).1.push(view),
        }
    }
    for (reason, (why, views)) in groups {
        paper.heading(format!("UNKNOWN  {}  {reason}", count(views.len(), "endpoint")), YELLOW);
        endpoints(paper, views);
        if let Some(finding) = why.finding() {
            let definition = finding.cause.definition();
            paper.line(2, "next:  ", &definition.next_words(), BOLD);
            paper.line(2, "owner: ", &definition.owner.words(), PLAIN);
        }
    }
}

fn healthy(paper: &mut Paper, snapshot: &Snapshot) {
    let views: Vec<_> = snapshot.endpoints.iter().filter(|view| view.status == Status::Healthy).map(|v| &**v).collect();
    if !views.is_empty() {
        paper.heading(format!("HEALTHY  {}", count(views.len(), "endpoint")), GREEN);
        endpoints(paper, views);
    }
}

fn classes(paper: &mut Paper, snapshot: &Snapshot) {
    paper.text.push('\n');
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["class", "state", "healthy", "degraded", "failed", "unknown", "not configured"]);
    for class in &snapshot.classes {
        let degraded = degraded_of(snapshot, class);
        let numbers = [class.up.saturating_sub(degraded), degraded, class.failed, class.unknown, class.not_configured];
        let words = [class.class.label(), state(snapshot, class).0].map(str::to_owned);
        table.add_row(words.into_iter().chain(numbers.map(|number| number.to_string())));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let styles = std::iter::once(BOLD).chain(snapshot.classes.iter().map(|class| state(snapshot, class).1));
    for (line, style) in table.lines().zip(styles) {
        paper.styled(line.trim_end(), style);
        paper.text.push('\n');
    }
}

fn degraded_of(snapshot: &Snapshot, class: &ClassView) -> usize {
    let degraded = |view: &EndpointView| matches!(view.status, Status::Degraded(_));
    snapshot.endpoints.iter().filter(|view| view.endpoint.class == class.class && degraded(view)).count()
}

/// The class in one word, and how loud to say it.
fn state(snapshot: &Snapshot, class: &ClassView) -> (&'static str, Style) {
    let whole = class.up == class.endpoints && degraded_of(snapshot, class) == 0;
    match (class.is_up(), class.endpoints) {
        (None, 0) => ("not configured", DIM),
        (None, _) => ("unknown", YELLOW),
        (Some(false), _) => ("DOWN", RED),
        (Some(true), _) if whole => ("up", GREEN),
        (Some(true), _) => ("impaired", YELLOW),
    }
}

fn slots(paper: &mut Paper, snapshot: &Snapshot) {
    let slots = &snapshot.catalog.slots;
    if slots.is_empty() {
        return;
    }
    let title = format!("NOT CONFIGURED  {}, not watched until filled", count(slots.len(), "slot"));
    if paper.look.verbose {
        paper.heading(title, DIM);
        for slot in slots {
            paper.line(2, &format!("{} ({} {}): ", slot.name, slot.class, slot.port), &slot.hint, PLAIN);
        }
    } else {
        paper.heading(format!("{title}: `ase-agent profile show`"), DIM);
    }
}

fn left_out(paper: &mut Paper, snapshot: &Snapshot) {
    if !snapshot.left_out.is_empty() {
        paper.heading("NOT ASKED", YELLOW);
        snapshot.left_out.iter().for_each(|line| paper.line(2, "- ", line, PLAIN));
    }
}

fn footer(paper: &mut Paper, snapshot: &Snapshot) {
    let (agent, catalog) = (&snapshot.agent, &snapshot.catalog);
    paper.text.push('\n');
    let warnings: BTreeSet<_> = agent.warnings.iter().collect();
    for warning in warnings {
        paper.line(0, "warning: ", warning, YELLOW);
    }
    let (profile, cloud, edition) = (&catalog.profile, &catalog.cloud, &catalog.edition);
    let clock = headline::clock(snapshot).map(|clock| format!(", by {clock}")).unwrap_or_default();
    let facts = format!(
        "seen from {} at {}{clock}; profile {profile}, cloud {cloud}, edition {edition}",
        agent.vantage,
        rfc3339(snapshot.at)
    );
    paper.line(0, "", &facts, DIM);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden::assert_golden, model::catalog::EndpointId, readers::witness::ToldIncident, sample};
    use std::sync::Arc;

    const NARROW: Look = Look { width: Some(100), height: None, colour: false, verbose: false, only_failed: false };

    #[test]
    fn the_sample_reads_as_reviewed() {
        assert_golden("tests/golden/report.txt", &render(&sample::snapshot(), None, NARROW));
    }

    #[test]
    fn the_slots_take_one_line_of_a_terminal_of_80_columns() {
        let mut snapshot = sample::snapshot();
        let catalog = Arc::make_mut(&mut snapshot.catalog);
        catalog.slots = vec![catalog.slots[0].clone(); 999];
        let text = render(&snapshot, None, Look { width: Some(80), ..NARROW });
        assert!(
            text.contains("\nNOT CONFIGURED  999 slots, not watched until filled: `ase-agent profile show`\n"),
            "{text}"
        );
    }

    #[test]
    fn of_what_did_not_fail_only_the_number_is_listed() {
        let look = Look { width: Some(80), only_failed: true, ..NARROW };
        let text = render(&sample::snapshot(), None, look);
        assert_golden("tests/golden/report-failed-only.txt", &text);
        for left in ["crl.microsoft.com", "ntp.ubuntu.com", "EXPORTED", "EARLY"] {
            assert!(!text.contains(left), "{left} in {text}");
        }
    }

    #[test]
    fn an_incident_in_which_nothing_failed_is_left_out_with_what_did_not_fail() {
        let mut snapshot = sample::snapshot();
        let degraded = snapshot.endpoints.iter().find(|view| matches!(view.status, Status::Degraded(_)));
        let id = degraded.expect("one is degraded").endpoint.id.clone();
        Arc::make_mut(&mut snapshot.incidents.open[0]).endpoints = vec![id];
        let text = render(&snapshot, None, Look { only_failed: true, ..NARROW });
        assert!(!text.contains("INCIDENT") && text.contains("asedb-a.database.windows.net:1433"), "{text}");
    }

    #[test]
    fn all_well_is_said_in_the_first_line_and_names_no_endpoint() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        snapshot.early = None;
        snapshot.incidents.open.clear();
        let text = render(&snapshot, None, NARROW);
        assert!(text.starts_with("12 watched and well; event_hub is not watched: 1 slot\n"), "{text}");
        assert!(!text.contains("login.microsoftonline.com"), "{text}");
        assert_eq!(exit_code(&snapshot), 0);
    }

    #[test]
    fn colour_changes_no_word() {
        let snapshot = sample::snapshot();
        let (plain, coloured) =
            (render(&snapshot, None, NARROW), render(&snapshot, None, Look { colour: true, ..NARROW }));
        assert!(!plain.contains('\u{1b}'));
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    #[test]
    fn verbose_lists_every_endpoint() {
        let snapshot = sample::snapshot();
        let text = render(&snapshot, None, Look { verbose: true, ..NARROW });
        for view in &snapshot.endpoints {
            assert!(text.contains(&*view.endpoint.id.0), "{} is missing", view.endpoint.id);
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_unless_a_word_is() {
        let text = render(&sample::snapshot(), None, Look { width: Some(60), ..NARROW });
        let (above, table) = text.split_once("\nclass ").expect("the table has a header");
        let (_, below) = table.split_once("\n\n").expect("the table ends with an empty line");
        // A command is copied whole.
        for line in above.lines().chain(below.lines()).filter(|line| !line.trim_start().starts_with("type:")) {
            let longest = line.split(' ').map(str::len).max().unwrap_or(0);
            assert!(line.chars().count() <= 60 || line.trim().len() <= longest + 2, "{line}");
        }
    }

    #[test]
    fn the_last_line_of_a_long_report_is_its_first() {
        let whole = |look| render(&sample::snapshot(), None, look);
        let unwrapped = Look { width: None, ..NARROW };
        let text = whole(unwrapped);
        assert_eq!(text.lines().next(), text.lines().last());
        assert!(
            text.starts_with("1 of 7 classes lost something critical: sql; TCP 1433 to every host: packets vanish"),
            "{text}"
        );
        let tall = whole(Look { height: Some(500), ..unwrapped });
        assert!(tall.lines().last().is_some_and(|line| line.starts_with("seen from")), "{tall}");
    }

    #[test]
    fn what_is_typed_has_the_addresses_filled_in() {
        let text = render(&sample::snapshot(), None, NARROW);
        for words in ["--protocol TCP --local '10.0.1.4:*' --remote '203.0.113.40:1433'", "--dest-ip 203.0.113.40\n"] {
            assert!(text.contains(words), "({words}) in {text}");
        }
    }

    #[test]
    fn a_hundred_endpoints_of_one_cause_share_their_advice() {
        let mut snapshot = sample::large(100);
        snapshot.incidents = crate::model::diagnosis::Ledger::default();
        let lost = sample::snapshot().endpoints[8].status;
        sample::set_all(&mut snapshot, lost);
        let text = render(&snapshot, None, NARROW);
        assert_eq!(text.matches("  next:").count(), 1);
        assert_eq!(text.matches("host-").count(), 100);
        assert_eq!(exit_code(&snapshot), 1);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let mut snapshot = sample::snapshot();
        let view = Arc::make_mut(&mut snapshot.endpoints[8]);
        Arc::make_mut(&mut view.endpoint).id = EndpointId("evil\u{1b}[2J\r\nall well".into());
        let text = render(&snapshot, None, NARROW);
        assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains("\nall well"), "{text}");
    }

    #[test]
    fn what_only_the_daemon_has_seen_is_told_and_what_both_see_is_not() {
        let snapshot = sample::snapshot();
        let seen = snapshot.incidents.open[0].finding.cause.label();
        let told = |cause: &str| ToldIncident {
            cause: cause.to_owned(),
            component: "login.example:443".to_owned(),
            side: "path".to_owned(),
            scope: "host".to_owned(),
            confidence: "likely".to_owned(),
            hint: Some("look at SNAT port use".to_owned()),
            endpoints: vec![snapshot.incidents.open[0].endpoints[0].to_string()],
            evidence: vec!["visits fail and succeed in turn".to_owned()],
            since: "2026-01-01T00:00:00Z".to_owned(),
        };
        let listen = "127.0.0.1:9110".parse().expect("an address");
        let witness = Witness { listen, incidents: vec![told("flow_table_full"), told(seen)] };
        let text = render(&snapshot, Some(&witness), Look::default());
        assert_eq!(text.matches("SEEN BY THE DAEMON").count(), 1, "{text}");
        assert!(text.contains("on 127.0.0.1:9110  flow_table_full: new flows fail"), "{text}");
        let since = "since:  2026-01-01T00:00:00Z, says the daemon on 127.0.0.1:9110";
        assert_eq!(text.matches(since).count(), 1, "one look cannot tell since when: {text}");
        assert!(text.contains("look at SNAT port use") && text.contains("visits fail and succeed in turn"), "{text}");
    }

    #[test]
    fn ages_are_said_in_the_two_largest_units() {
        let rows = [(40, "40s"), (725, "12m"), (11_100, "3h 5m"), (90_000, "1d 1h")];
        for (seconds, words) in rows {
            assert_eq!(age(Duration::from_secs(seconds)), words);
        }
    }
}
