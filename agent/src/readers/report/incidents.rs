//! The incidents in the report: what is broken, why that is so, what to do, and what it takes along.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    verdict::{Phase, Verdict},
};

use super::{BOLD, DIM, PLAIN, Paper, RED, YELLOW, count, looked_for};
use crate::{
    diagnosis::localise::follows_the_flow,
    engine::snapshot::Snapshot,
    exports::said::ExportVerdict,
    model::{
        catalog::{EndpointId, Host, Severity},
        diagnosis::Incident,
        endpoint::{EndpointView, Status},
    },
    readers::{
        advice::{self, Advice, Blanks},
        headline,
        witness::{ToldIncident, Witness},
    },
};

/// Endpoints of one incident that are named; the others are counted.
const NAMED: usize = 6;
/// Evidence lines of one incident, unless all are wanted.
const EVIDENCE: usize = 6;
/// Lines with these words say that something is not known, or what is true of every fault but the widest.
const NOTHING_SAID: [&str; 3] = ["is not known", "was not measured", "something else works"];
/// How an answer's body begins says something where the answer is what is wrong: a block page names the rule.
const BODY: &str = "the body starts";

/// What an incident is told beside.
struct Around<'a> {
    snapshot: &'a Snapshot,
    witness: Option<&'a Witness>,
    views: BTreeMap<&'a EndpointId, &'a EndpointView>,
}

/// Writes every open incident, the worst first.
pub(super) fn render(paper: &mut Paper, snapshot: &Snapshot, witness: Option<&Witness>) {
    let around = Around { snapshot, witness, views: views(snapshot) };
    let is_shown = |incident: &&Incident| !paper.look.only_failed || worst(incident, &around.views).is_some();
    let mut blanks = Blanks::default();
    for incident in sorted(snapshot, &around.views).into_iter().filter(is_shown).collect::<Vec<_>>() {
        one(paper, &around, incident, &mut blanks);
    }
}

/// Writes the incidents of a daemon that has watched for longer, as far as this look shows nothing of them.
pub(super) fn told(paper: &mut Paper, snapshot: &Snapshot, witness: &Witness) {
    for told in witness.beyond(snapshot) {
        let title = format!("SEEN BY THE DAEMON on {}  {}: {}", witness.listen, told.cause, told.summary());
        paper.heading(title, YELLOW);
        let ToldIncident { component, confidence, side, scope, since, .. } = told;
        let facts = format!("{component} ({confidence}, side {side}, scope {scope}, since {since})");
        paper.line(2, "where:  ", &facts, BOLD);
        if let Some(hint) = &told.hint {
            paper.line(2, "hint:   ", hint, PLAIN);
        }
        if let Some(next) = told.next_step() {
            paper.line(2, "next:   ", &next, BOLD);
        }
        for line in told.evidence.iter().take(EVIDENCE) {
            paper.line(4, "- ", line, DIM);
        }
    }
}

/// The worst severity among the endpoints that it lost; `None` where it lost none.
pub(crate) fn worst(incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) -> Option<Severity> {
    let failed = |view: &&EndpointView| matches!(view.status, Status::Failed(_));
    let lost = incident.endpoints.iter().filter_map(|id| views.get(id).copied()).filter(failed);
    lost.map(|view| view.endpoint.severity).max()
}

/// How bad an incident is, the worst first: the one mapping, by which every reader colours it, alike to the exit code of the
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gravity {
    /// Something critical is lost.
    Critical,
    /// Something else is lost.
    Loss,
    /// Nothing is lost, and something is degraded.
    Impaired,
    /// Something that it hits could not be judged, and nothing is known to be lost.
    Unjudged,
    /// It comes and goes, and everything answers at the moment.
    Quiet,
}

/// How bad an open incident is.
pub(crate) fn gravity(incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) -> Gravity {
    let hit = || incident.endpoints.iter().filter_map(|id| views.get(id));
    match worst(incident, views) {
        Some(Severity::Critical) => Gravity::Critical,
        Some(Severity::Warning | Severity::Info) => Gravity::Loss,
        None if hit().any(|view| matches!(view.status, Status::Degraded(_))) => Gravity::Impaired,
        None if hit().any(|view| matches!(view.status, Status::Unknown(_))) => Gravity::Unjudged,
        None => Gravity::Quiet,
    }
}

fn one(paper: &mut Paper, around: &Around<'_>, incident: &Incident, blanks: &mut Blanks) {
    let Around { snapshot, witness, ref views } = *around;
    let definition = incident.finding.cause.definition();
    let style = match gravity(incident, views) {
        Gravity::Critical => RED,
        Gravity::Loss | Gravity::Impaired | Gravity::Unjudged | Gravity::Quiet => YELLOW,
    };
    paper.heading(format!("INCIDENT  {}: {}", definition.label, headline::of(incident, snapshot)), style);
    let (side, confidence) = (incident.finding.side.label(), incident.finding.confidence.label());
    let facts = format!(
        "{} ({confidence}, side {side}, scope {}, seen in this look of {})",
        incident.component,
        incident.scope.label(),
        looked_for(snapshot)
    );
    paper.line(2, "where:  ", &facts, BOLD);
    let advice = advice::of(incident, snapshot);
    advice.to_confirm.iter().for_each(|to_confirm| paper.line(2, "sure:   ", to_confirm, PLAIN));
    if let Some((witness, told)) = witness.and_then(|witness| Some((witness, witness.same(incident)?))) {
        let since = format!("{}, says the daemon on {}", told.since, witness.listen);
        paper.line(2, "since:  ", &since, BOLD);
    }
    let exported = advice::by_exports(incident, snapshot);
    if let Some(said) = exported {
        paper.line(2, "rules:  ", &said.line, BOLD);
    }
    let is_known = exported.is_some_and(|said| said.verdict != ExportVerdict::Unknown);
    if let Some(hint) = incident.hint.filter(|_| !is_known) {
        paper.line(2, "hint:   ", hint, PLAIN);
    }
    let others = advice::others(incident, &advice, snapshot);
    let every = advice.every_command();
    let typed = every.iter().chain(others.iter().filter_map(|(_, typed)| Some(&typed.as_ref()?.command)));
    let blanks = blanks.explain(typed.map(String::as_str));
    let mut remarks = Remarks { advice: &advice, place: advice.elsewhere.as_deref(), blanks };
    paper.line(2, "owner:  ", &advice.owner.words(), PLAIN);
    // What is said first is typed first: every step has its commands below it.
    for (lead, step) in ["first:  ", "next:   "].into_iter().zip(advice.steps()) {
        paper.line(2, lead, &step.words, BOLD);
        step.commands.iter().for_each(|command| remarks.typed(paper, command, advice.expected(command).as_deref()));
    }
    for command in &advice.mending {
        remarks.before(paper, command);
        paper.command(2, "mend:   ", command);
        advice.changed(command).iter().for_each(|changed| paper.line(2, "but:    ", changed, PLAIN));
    }
    evidence(paper, snapshot, incident, views);
    for (alternative, typed) in &others {
        let words = format!("{}, if {}", alternative.cause.label(), alternative.words());
        paper.line(2, "or:     ", &words, DIM);
        typed.iter().for_each(|typed| remarks.typed(paper, &typed.command, typed.expected.as_deref()));
    }
    affected(paper, incident, views);
}

/// What is to be known before one types, each said once, before the first command that it is about.
struct Remarks<'a> {
    advice: &'a Advice,
    place: Option<&'a str>,
    blanks: Option<String>,
}

impl Remarks<'_> {
    fn before(&mut self, paper: &mut Paper, command: &str) {
        if self.advice.place_of(command).is_some() {
            self.place.take().iter().for_each(|place| paper.line(2, "note:   ", place, PLAIN));
        }
        if advice::blanks([command]).is_some() {
            self.blanks.take().iter().for_each(|blanks| paper.line(2, "fill:   ", blanks, PLAIN));
        }
    }

    /// Writes a command, and below it what it shows where the cause is right.
    fn typed(&mut self, paper: &mut Paper, command: &str, expected: Option<&str>) {
        self.before(paper, command);
        paper.command(2, "type:   ", command);
        if let Some(expected) = expected {
            paper.line(2, "expect: ", expected, PLAIN);
        }
    }
}

/// What the incident rests on. What was not found out says nothing about it, and neither does a good answer where a
/// comparison or a measurement shows the fault; whoever wants that asks for all.
fn evidence(paper: &mut Paper, snapshot: &Snapshot, incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) {
    let is_body_telling = incident.finding.phase == Phase::Response;
    let good = good_answers(incident, views);
    let is_dull = |line: &str| {
        NOTHING_SAID.iter().any(|words| line.contains(words))
            || (line.starts_with(BODY) && !is_body_telling)
            || good.contains(line)
    };
    let telling = |line: &&str| paper.look.verbose || !is_dull(line);
    let limit = if paper.look.verbose { usize::MAX } else { EVIDENCE };
    let compared =
        advice::compared(incident, snapshot).filter(|reason| incident.evidence.iter().all(|line| line != reason));
    let all: Vec<&str> = compared.into_iter().chain(incident.evidence.iter().map(String::as_str)).collect();
    let lines: Vec<&str> = all.iter().copied().filter(telling).take(limit).collect();
    lines.iter().for_each(|line| paper.line(4, "- ", line, DIM));
    let more = all.len() - lines.len();
    if more > 0 {
        paper.line(4, "", &format!("({more} more with -v)"), DIM);
    }
}

/// What the answers of those who answered well said, where the fault is not in the answer: two resolvers that lead apart,
/// and flows of which some pass.
fn good_answers(incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) -> BTreeSet<String> {
    let cause = incident.finding.cause;
    if cause != Cause::DnsDivergent && !follows_the_flow(cause) {
        return BTreeSet::new();
    }
    let visits = incident.endpoints.iter().filter_map(|id| views.get(id)?.last.as_ref());
    let outcomes = visits.filter_map(|visit| visit.outcomes.first());
    outcomes.filter(|outcome| outcome.verdict == Verdict::Healthy).flat_map(|outcome| outcome.evidence()).collect()
}

/// The answer in short.
pub(in crate::readers) struct Answer {
    /// What is broken, why, and how sure that is.
    pub(in crate::readers) broken: String,
    /// When the first visit that shows it began, since the Unix epoch. Of a single look that is no beginning.
    pub(in crate::readers) since: Duration,
    /// Who mends it.
    pub(in crate::readers) mender: &'static str,
    /// How many more incidents are open.
    pub(in crate::readers) more: usize,
    /// What to type first.
    pub(in crate::readers) command: Option<String>,
    /// Where to type it, if not here.
    pub(in crate::readers) place: Option<String>,
}

impl Answer {
    /// What is broken, and who mends it.
    pub(in crate::readers) fn text(&self) -> String {
        let more = match self.more {
            0 => String::new(),
            more => format!(" (and {})", count(more, "more incident")),
        };
        format!("{}; {}{more}", self.broken, self.mender)
    }
}

/// The first answer to what is wrong: the broken component of the worst incident, and who mends it.
pub(in crate::readers) fn answer(snapshot: &Snapshot) -> Option<Answer> {
    let incidents = worst_first(snapshot);
    let worst = incidents.first()?;
    let (definition, confidence) = (worst.finding.cause.definition(), worst.finding.confidence.label());
    let advice = advice::of(worst, snapshot);
    let (component, summary, label) = (&worst.component, headline::behind(worst, snapshot), definition.label);
    let broken = format!("{component}: {summary} ({label}, {confidence})");
    let command = advice.commands().into_iter().next();
    let place = command.as_ref().and_then(|command| advice.place_of(command)).map(str::to_owned);
    let mender = advice::mender(advice.owner);
    Some(Answer { broken, since: worst.since, mender, more: incidents.len() - 1, command, place })
}

/// Every endpoint by its id.
pub(crate) fn views(snapshot: &Snapshot) -> BTreeMap<&EndpointId, &EndpointView> {
    snapshot.endpoints.iter().map(|view| (&view.endpoint.id, &**view)).collect()
}

/// Every open incident, the worst first.
pub(crate) fn worst_first(snapshot: &Snapshot) -> Vec<&Incident> {
    sorted(snapshot, &views(snapshot))
}

fn sorted<'a>(snapshot: &'a Snapshot, views: &BTreeMap<&EndpointId, &EndpointView>) -> Vec<&'a Incident> {
    let mut incidents: Vec<&Incident> = snapshot.incidents.open.iter().map(|incident| &**incident).collect();
    let rank = |incident: &Incident| {
        (Reverse(worst(incident, views)), gravity(incident, views), Reverse(incident.endpoints.len()))
    };
    incidents.sort_by_key(|incident| rank(incident));
    incidents
}

fn affected(paper: &mut Paper, incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) {
    let shown = if paper.look.verbose { usize::MAX } else { NAMED };
    let mut ids: Vec<&EndpointId> = incident.endpoints.iter().collect();
    ids.sort_by_key(|id| Reverse(views.get(*id).map(|view| view.endpoint.severity)));
    let names: Vec<String> = ids
        .iter()
        .take(shown)
        .map(|id| match views.get(*id) {
            Some(view) => format!("{id} ({})", about(view)),
            None => id.to_string(),
        })
        .collect();
    let more = ids.len().saturating_sub(names.len());
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    let number = count(ids.len(), "endpoint");
    paper.line(2, "hits:   ", &format!("{number}: {}{rest}", names.join(", ")), PLAIN);
    if !incident.hides.is_empty() {
        paper.line(2, "hides:  ", &hidden(incident, views), PLAIN);
    }
}

/// What an endpoint that an open incident hits is; and how it stands, where it is not lost.
pub(crate) fn about(view: &EndpointView) -> String {
    let standing = match view.status {
        Status::Failed(_) => String::new(),
        Status::Healthy | Status::Degraded(_) | Status::Unknown(_) => format!(", {}", view.status.label()),
    };
    format!("{}, {}{standing}", view.endpoint.class, view.endpoint.severity.label())
}

/// How many of its endpoints have a service of their own that was not reached, and how many names that are: the section about
/// DNS counts these.
fn hidden(incident: &Incident, views: &BTreeMap<&EndpointId, &EndpointView>) -> String {
    let named = |id: &EndpointId| match &views.get(id)?.endpoint.target.host {
        Host::Name(name) => Some(name.to_string()),
        Host::Address(_) => None,
    };
    let names: BTreeSet<String> = incident.hides.iter().filter_map(named).collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", count(names.len(), "name")) };
    let (hides, hits) = (incident.hides.len(), incident.endpoints.len());
    let whose = if hides == 1 { "its" } else { "their" };
    format!("{hides} of these {hits}{names}: {whose} own service could not be tested because of it")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ase_probes::verdict::Confidence;

    use super::*;
    use crate::{
        diagnosis::rules::OVER,
        model::{
            contrast::Contrast,
            diagnosis::{Alternative, Scope},
        },
        readers::report::{Look, render as report},
        resolvers::names::NameView,
        sample,
    };

    /// The sample's incident with this cause, at an endpoint that proved itself, with what its visit says as evidence.
    fn of_one_that_answers(cause: Cause) -> (Snapshot, String) {
        let mut snapshot = sample::snapshot();
        let proved = |view: &&Arc<EndpointView>| {
            let outcome = view.last.as_ref().and_then(|visit| visit.outcomes.first());
            outcome.is_some_and(|outcome| outcome.verdict == Verdict::Healthy && outcome.handshake().is_some())
        };
        let view = snapshot.endpoints.iter().find(proved).expect("one proved itself by TLS").clone();
        let visit = view.last.as_ref().expect("it was visited");
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        incident.endpoints = vec![view.endpoint.id.clone()];
        incident.finding.cause = cause;
        incident.evidence = visit.evidence();
        incident.evidence.push("each source port always works or always fails".to_owned());
        let tls =
            visit.outcomes[0].evidence().into_iter().find(|line| line.starts_with("TLS 1.")).expect("its version");
        (snapshot, format!("    - {tls}\n"))
    }

    #[test]
    fn a_good_answer_stays_behind_v_where_a_comparison_shows_the_fault() {
        for cause in [Cause::DnsDivergent, Cause::FlowHashLoss, Cause::PacketLoss] {
            let (snapshot, tls) = of_one_that_answers(cause);
            let text = report(&snapshot, None, Look::default());
            assert!(!text.contains(&tls) && text.contains("more with -v)"), "{cause}: {text}");
            assert!(text.contains("- each source port always works"), "{cause}: {text}");
            assert!(report(&snapshot, None, Look { verbose: true, ..Look::default() }).contains(&tls), "{cause}");
        }
        let (snapshot, tls) = of_one_that_answers(Cause::TlsCertInvalid);
        assert!(report(&snapshot, None, Look::default()).contains(&tls), "there the answer is what is wrong");
    }

    #[test]
    fn every_step_has_its_commands_below_it_and_the_first_is_what_the_end_repeats() {
        for cause in [Cause::Dropped, Cause::TlsBlocked, Cause::TlsCertInvalid, Cause::LocalClock, Cause::MtuBlackhole]
        {
            let (mut snapshot, _) = of_one_that_answers(cause);
            snapshot.exports = None;
            let text = report(&snapshot, None, Look::default());
            let leads: Vec<&str> = text.lines().filter_map(|line| line.trim_start().split(' ').next()).collect();
            let at = |lead: &str| leads.iter().position(|said| *said == lead).expect("it is said");
            assert!(at("first:") < at("type:") && at("type:") < at("next:"), "{cause}: {text}");
            let typed: Vec<&str> = text.lines().filter_map(|line| line.trim_start().strip_prefix("type:")).collect();
            assert_eq!(typed.first().map(|it| it.trim()), typed.last().map(|it| it.trim()), "{cause}: {text}");
        }
    }

    #[test]
    fn below_a_command_stands_what_it_shows_where_the_cause_is_right() {
        let (mut snapshot, _) = of_one_that_answers(Cause::Dropped);
        snapshot.exports = None;
        let text = report(&snapshot, None, Look { width: Some(80), ..Look::default() });
        let lines: Vec<&str> = text.lines().collect();
        let typed: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with("  type:   az ")).collect();
        assert!(!typed.is_empty(), "{text}");
        for at in typed {
            assert!(lines[at + 1].starts_with("  expect: ") && !lines[at + 3].starts_with("          "), "{text}");
        }
    }

    #[test]
    fn another_cause_has_its_command_below_it_unless_it_stands_above() {
        let (mut snapshot, _) = of_one_that_answers(Cause::Dropped);
        snapshot.exports = None;
        let other = |cause| Alternative { cause, open: Contrast::ControlAnswers, answer: false };
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        incident.alternatives = vec![other(Cause::LocalFirewall), other(Cause::Rejected)];
        let text = report(&snapshot, None, Look::default());
        let lines: Vec<&str> = text.lines().collect();
        let below = |cause: &str| {
            let at = lines.iter().position(|line| line.starts_with(&format!("  or:     {cause}, if ")));
            lines[at.expect("it is said") + 1]
        };
        assert_eq!(below("local_firewall"), "  type:   sudo nft list ruleset", "{text}");
        assert!(below("rejected").starts_with("  hits:"), "{text}");
    }

    #[test]
    fn what_is_to_be_typed_elsewhere_is_said_at_the_end_too() {
        let (mut snapshot, _) = of_one_that_answers(Cause::Dropped);
        snapshot.exports = None;
        Arc::make_mut(&mut snapshot.incidents.open[0]).scope = Scope::Egress;
        let text = report(&snapshot, None, Look::default());
        let (before, end) = text.rsplit_once("\ntype: ").expect("a long report repeats what to type");
        let note = "note: `az` needs what is broken here; type it on a machine that reaches Azure";
        assert!(end.starts_with("az ") && before.ends_with(&format!("\n{note}")), "{text}");
        let said = "  note:   `az` needs what is broken here";
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(
            at(said) < at("  type:   az ") && text.matches(said).count() == 1,
            "before the first, and once: {text}"
        );
    }

    #[test]
    fn what_to_fill_in_is_said_once_before_the_first_command_that_needs_it() {
        let (mut snapshot, _) = of_one_that_answers(Cause::Dropped);
        snapshot.exports = None;
        let again = Incident { id: 4, ..Incident::clone(&snapshot.incidents.open[0]) };
        snapshot.incidents.open.push(Arc::new(again));
        let text = report(&snapshot, None, Look::default());
        let lines: Vec<&str> = text.lines().collect();
        let fills: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with("  fill:   ")).collect();
        let needs = lines.iter().position(|line| line.contains("-g GROUP"));
        assert_eq!(fills, [needs.expect("a command has it") - 1], "{text}");
        assert!(lines[fills[0]].contains("GROUP: the resource group of "), "{text}");
        let (mut snapshot, _) = of_one_that_answers(Cause::LocalClock);
        snapshot.exports = None;
        assert!(!report(&snapshot, None, Look::default()).contains("fill:"), "there is nothing to fill in");
    }

    #[test]
    fn where_other_clocks_agree_nobody_is_sent_to_this_machines_clock() {
        let (mut snapshot, _) = of_one_that_answers(Cause::TlsCertInvalid);
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        (incident.hint, incident.finding.confidence) = (Some(OVER), Confidence::Likely);
        assert!(report(&snapshot, None, Look::default()).contains("check this machine's clock"));
        Arc::make_mut(&mut snapshot.incidents.open[0]).finding.confidence = Confidence::Confirmed;
        let text = report(&snapshot, None, Look { width: Some(200), ..Look::default() });
        assert!(
            !text.contains("check this machine's clock") && text.contains("this machine's clock is right"),
            "{text}"
        );
    }

    #[test]
    fn nothing_reads_as_how_long_it_lasts() {
        let text = report(&sample::snapshot(), None, Look { verbose: true, ..Look::default() });
        assert!(text.contains("seen in this look of ") && !text.contains(", for "), "{text}");
    }

    #[test]
    fn what_is_hit_what_is_hidden_and_the_names_add_up() {
        let mut snapshot = sample::snapshot();
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        incident.hides = vec![incident.endpoints[0].clone()];
        let text = report(&snapshot, None, Look::default());
        assert!(text.contains("  hides:  1 of these 2 (1 name): its own service"), "{text}");
        let mut names = (*snapshot.names).clone();
        names.push(Arc::new(NameView { name: "other.example".into(), ..NameView::clone(&names[0]) }));
        snapshot.names = Arc::new(names);
        let text = report(&snapshot, None, Look::default());
        assert!(text.contains("DNS  2 of 2 names: private_bypass"), "{text}");
    }

    #[test]
    fn the_comparison_of_a_name_is_as_sure_as_the_incident_that_it_makes() {
        let (mut snapshot, _) = of_one_that_answers(Cause::DnsDivergent);
        let name = snapshot.names.iter().find(|view| view.published.is_some()).expect("it is compared").name.clone();
        let id = snapshot.incidents.open[0].endpoints[0].clone();
        let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id == id).expect("it is watched");
        Arc::make_mut(&mut Arc::make_mut(view).endpoint).target.host = Host::Name(name.to_string());
        let text = report(&snapshot, None, Look::default());
        assert!(text.contains(&format!("DNS  {name}: private_bypass (likely)\n")), "{text}");
    }

    #[test]
    fn what_the_two_resolvers_say_stands_first_where_they_lead_apart() {
        let (mut snapshot, _) = of_one_that_answers(Cause::DnsDivergent);
        let compared =
            snapshot.names.iter().find(|view| view.published.as_ref().is_some_and(|c| c.class.advice().is_some()));
        let compared = compared.expect("one name differs").clone();
        let view = Arc::make_mut(&mut snapshot.endpoints[8]);
        Arc::make_mut(&mut view.endpoint).target.host = crate::model::catalog::Host::Name(compared.name.to_string());
        let id = view.endpoint.id.clone();
        Arc::make_mut(&mut snapshot.incidents.open[0]).endpoints = vec![id];
        let text = report(&snapshot, None, Look::default());
        let reason = &compared.published.as_ref().expect("it is published").reason;
        let first = text.lines().find(|line| line.starts_with("    - ")).expect("there is evidence");
        assert_eq!(first, format!("    - {reason}"));
    }
}
