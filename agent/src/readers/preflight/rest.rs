//! Whether every dependency proves itself, whether the clock is right, and what exported rules and the subnet say.

use std::collections::{BTreeMap, BTreeSet};

use ase_probes::{cause::Cause, class::Class};

use super::{Check, Exported, Planned, Reason, State, names::is_known};
use crate::{
    engine::snapshot::Snapshot,
    lint::{
        finding::{Finding, Kind, Severity as Weight},
        render::size::fits,
        size::addresses_of,
    },
    model::{
        catalog::{EndpointId, Severity},
        diagnosis::Incident,
        endpoint::{EndpointView, Status, ntp_offset},
    },
    readers::{advice, headline, report::incidents::worst_first, summary::count},
};

/// A clock that differs by more is worth a look: 1 s is the resolution of every other clock that could be asked.
const NOTABLE: f64 = 1.0;
/// A clock that differs by more spoils what is signed for a time: Kerberos allows 5 min by default (RFC 4120 section 5.2.3
/// leaves it to the site), tokens of identity services the same.
const SPOILS: f64 = 300.0;
/// Endpoints of one kind that are named; of the others the number.
const NAMED: usize = 5;

/// Whether every dependency proves itself.
pub(super) fn dependencies(snapshot: &Snapshot) -> Check {
    let healthy = snapshot.endpoints.iter().filter(|view| view.status == Status::Healthy).count();
    let looked = format!("{healthy} of {} proved their peer", count(snapshot.endpoints.len(), "endpoint"));
    let mut reasons: Vec<Reason> =
        worst_first(snapshot).into_iter().map(|incident| by_incident(incident, snapshot)).collect();
    reasons.extend(alone(snapshot));
    reasons.extend(untested(snapshot));
    reasons.extend(slots(snapshot));
    Check::of("dependencies", "dependencies", looked, reasons)
}

/// What a bad endpoint makes of the answer.
fn weight(view: &EndpointView) -> State {
    match (view.status, view.endpoint.severity) {
        (Status::Failed(_), Severity::Critical) => State::NoGo,
        (Status::Failed(_) | Status::Degraded(_), _) => State::Warning,
        (Status::Unknown(_), Severity::Critical) => State::Open,
        (Status::Unknown(_), Severity::Warning | Severity::Info) => State::Warning,
        (Status::Healthy, _) => State::Go,
    }
}

fn by_incident(incident: &Incident, snapshot: &Snapshot) -> Reason {
    let ids: BTreeSet<&EndpointId> = incident.endpoints.iter().collect();
    let hit = snapshot.endpoints.iter().filter(|view| ids.contains(&view.endpoint.id));
    let state = hit.map(|view| weight(view)).max().unwrap_or(State::Warning).max(State::Warning);
    let (definition, advice) = (incident.finding.cause.definition(), advice::of(incident, snapshot));
    let (component, confidence) = (&incident.component, incident.finding.confidence.label());
    let hits = count(incident.endpoints.len(), "endpoint");
    let summary = headline::behind(incident, snapshot);
    let what = format!("{component}: {summary} ({}, {confidence}; {hits})", definition.label);
    Reason::new(state, what).with(advice.next.words.clone(), advice.owner.label())
}

/// The endpoints that an incident speaks for.
fn told(snapshot: &Snapshot) -> BTreeSet<&EndpointId> {
    snapshot.incidents.open.iter().flat_map(|incident| &incident.endpoints).collect()
}

/// What no incident speaks for, by cause and weight.
fn alone(snapshot: &Snapshot) -> Vec<Reason> {
    let told = told(snapshot);
    let mut groups: BTreeMap<(State, Cause), Vec<&EndpointView>> = BTreeMap::new();
    for view in snapshot.endpoints.iter().filter(|view| !told.contains(&view.endpoint.id)) {
        match view.status {
            Status::Failed(finding) | Status::Degraded(finding) => {
                groups.entry((weight(view), finding.cause)).or_default().push(view);
            }
            Status::Healthy | Status::Unknown(_) => {}
        }
    }
    let reason = |((state, cause), views): ((State, Cause), Vec<&EndpointView>)| {
        let definition = cause.definition();
        let what = format!("{}: {} ({})", listed(&views), definition.summary, definition.label);
        Reason::new(state, what).with(definition.next_step, definition.owner.label())
    };
    groups.into_iter().map(reason).collect()
}

/// What could not be tested, by reason: of what is critical nothing may be assumed.
fn untested(snapshot: &Snapshot) -> Vec<Reason> {
    let told = told(snapshot);
    let mut groups: BTreeMap<(State, String), Vec<&EndpointView>> = BTreeMap::new();
    for view in snapshot.endpoints.iter().filter(|view| !is_known(view.status) && !told.contains(&view.endpoint.id)) {
        if let Status::Unknown(why) = view.status {
            groups.entry((weight(view), why.reason())).or_default().push(view);
        }
    }
    let reason = |((state, why), views): ((State, String), Vec<&EndpointView>)| {
        Reason::new(state, format!("{} could not be tested: {why}", listed(&views)))
    };
    groups.into_iter().map(reason).collect()
}

fn slots(snapshot: &Snapshot) -> Option<Reason> {
    let open = snapshot.catalog.slots.iter().filter(|slot| slot.severity == Severity::Critical);
    let names: BTreeSet<&str> = open.map(|slot| slot.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| {
        let what = format!("not asked, since nobody said which they are: {} (critical)", names.join(", "));
        Reason::new(State::Warning, what).with("fill the slots; `ase-agent profile show` says how", "this machine")
    })
}

fn listed(views: &[&EndpointView]) -> String {
    let names: Vec<String> = views.iter().take(NAMED).map(|view| view.endpoint.id.to_string()).collect();
    let more = views.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

/// Whether this machine's clock agrees with most of the time servers that answered.
pub(super) fn clock(snapshot: &Snapshot) -> Check {
    let (id, title) = ("clock", "clock");
    let servers = snapshot.endpoints.iter().filter(|view| view.endpoint.class == Class::Ntp);
    let mut offsets: Vec<f64> = servers.clone().filter_map(|view| ntp_offset(view)).filter(|o| o.is_finite()).collect();
    if offsets.is_empty() {
        return match servers.count() {
            0 => Check::not_given(id, title, "no time server is watched"),
            asked => {
                let what = format!("none of {} gave its time", count(asked, "time server"));
                Check::of(id, title, "not compared", vec![Reason::new(State::Open, what)])
            }
        };
    }
    offsets.sort_by(f64::total_cmp);
    let middle = offsets[offsets.len() / 2];
    let looked = format!("{:.3} s from the middle of {}", middle.abs(), count(offsets.len(), "time server"));
    let state = match middle.abs() {
        apart if apart > SPOILS => Some(State::NoGo),
        apart if apart > NOTABLE => Some(State::Warning),
        _ => None,
    };
    let reason = |state| {
        Reason::new(state, format!("this machine's clock is {:.1} s off", middle.abs()))
            .with("set it, and see what keeps its time service from doing so", "this machine")
    };
    Check::of(id, title, looked, state.map(reason).into_iter().collect())
}

/// What exported rules and routes say.
pub(super) fn rules(exported: Option<&Exported<'_>>) -> Check {
    let (id, title) = ("exports", "exported rules");
    let Some(exported) = exported else {
        return Check::not_given(id, title, "none: name exports in the configuration, or files behind the command");
    };
    let mut reasons: Vec<Reason> = exported
        .wrong
        .iter()
        .map(|wrong| Reason::new(State::Open, wrong.clone()).with("export it again", "this machine"))
        .collect();
    if exported.is_stale {
        let what = "the exports are stale: rules and routes may have changed since";
        reasons.push(Reason::new(State::Warning, what).with("export them again", "network team"));
    }
    let Some(report) = exported.report else {
        return Check::of(id, title, "not judged", reasons);
    };
    reasons.extend(report.findings.iter().filter(|finding| !is_about_the_subnet(finding)).filter_map(by_finding));
    reasons.extend(report.could_not_judge.iter().map(|open| {
        let requirement = open.requirement.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        Reason::new(State::Open, format!("{requirement}{}", open.why))
    }));
    let set_aside = match report.suppressed.len() {
        0 => String::new(),
        many => format!(", {many} set aside"),
    };
    Check::of(id, title, format!("{}{set_aside}", count(report.findings.len(), "finding")), reasons)
}

/// Whether the exported subnet has the right form, and whether the planned size fits in.
pub(super) fn subnet(exported: Option<&Exported<'_>>, planned: Option<&Planned>) -> Check {
    let (id, title) = ("subnet", "subnet");
    let judged = exported.filter(|exported| exported.has_subnet).and_then(|exported| exported.report);
    if judged.is_none() && planned.is_none() {
        return Check::not_given(id, title, "no exported subnet is given");
    }
    let findings = judged.into_iter().flat_map(|report| &report.findings);
    let mut reasons: Vec<Reason> = findings.filter(|one| is_about_the_subnet(one)).filter_map(by_finding).collect();
    reasons.extend(planned.and_then(too_small));
    let form = judged.map(|_| "size, delegation and form".to_owned());
    let size = planned.map(|planned| {
        let (used, peak) = (planned.sum.used, planned.sum.peak);
        format!("{} take {used} addresses, {peak} at the peak", count(planned.instances as usize, "instance"))
    });
    Check::of(id, title, form.into_iter().chain(size).collect::<Vec<_>>().join("; "), reasons)
}

fn too_small(planned: &Planned) -> Option<Reason> {
    let Some(prefix) = planned.prefix else {
        let what = "whether the planned size fits is open: nobody said the prefix of the subnet";
        return Some(
            Reason::new(State::Open, what).with("name it by --subnet, or give the exported subnet", "this machine"),
        );
    };
    let (sum, has) = (&planned.sum, addresses_of(prefix));
    (!fits(sum, prefix)).then(|| {
        let what = format!("a /{prefix} has {has} addresses, {} are needed while the largest plan is resized", sum.peak);
        let next = format!(
            "take a /{} before anything is created in it: the size of a subnet in use cannot be changed; `ase-agent plan subnet` \
             has the sum",
            sum.prefix
        );
        Reason::new(State::NoGo, what).with(next, "network team")
    })
}

fn is_about_the_subnet(finding: &Finding) -> bool {
    finding.kind == Kind::Subnet
}

fn by_finding(finding: &Finding) -> Option<Reason> {
    let state = match finding.severity {
        Weight::Critical => State::NoGo,
        Weight::Warning => State::Warning,
        Weight::Info => return None,
    };
    let reason = Reason::new(state, format!("{}: {}", finding.id(), finding.message));
    let next = finding.fix.clone().unwrap_or_else(|| format!("`ase-agent lint explain {}` says more", finding.kind));
    Some(reason.with(next, "network team"))
}
