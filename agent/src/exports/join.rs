//! The join of an incident with the exports: the rule or route that does it, that nothing exported stands in its way, or why that
//! is not known. Pure.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crate::{
    exports::{
        judged::Judged,
        measured::{self, Measured},
        said::{ExportVerdict, Part, Said, hops, nowhere},
        words,
    },
    lint::{
        judge::passage::{ByRoutes, ByRules, Fabric, Flow},
        route::NextHop,
    },
    model::{
        diagnosis::Incident,
        endpoint::{EndpointView, Status},
    },
};

/// Working endpoints that are asked whether the rule or route that is accused would stop them, too.
const MOST_WITNESSES: usize = 16;

/// What is known around an incident.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Every endpoint by its id.
    pub views: &'a BTreeMap<&'a str, &'a EndpointView>,
    /// The address that packets leave from.
    pub source: Option<IpAddr>,
    /// The age from which on exports are stale.
    pub stale_after: Duration,
    /// Whether all was visited at once, so that whoever works does so during the incident.
    pub is_single_look: bool,
}

/// What exports say about an incident; `None` where rules and routes have nothing to do with it, or nothing was sent.
pub fn of(incident: &Incident, judged: &Judged, around: Around<'_>) -> Option<Said> {
    measured::sign(incident.finding.cause)?;
    let mut parts: Vec<Part> = Vec::new();
    for measured in measured::flows(incident, around.views, around.source) {
        join(&mut parts, part(&judged.fabric, &measured));
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.verdict));
    let verdict = parts.first()?.verdict;
    let witnesses = match verdict {
        ExportVerdict::Dropped => witnesses(&parts, (incident, &judged.fabric), around),
        ExportVerdict::Allowed | ExportVerdict::Unknown | ExportVerdict::Detour | ExportVerdict::Contradicted => {
            Vec::new()
        }
    };
    if !witnesses.is_empty() {
        parts
            .iter_mut()
            .filter(|part| part.verdict == ExportVerdict::Dropped)
            .for_each(|part| part.verdict = ExportVerdict::Contradicted);
    }
    let written = judged.written();
    let is_stale = written.is_some_and(|written| written + around.stale_after < incident.since);
    let is_inside = around.source.and_then(|source| judged.fabric.is_in_subnet(source));
    let verdict = if witnesses.is_empty() { verdict } else { ExportVerdict::Contradicted };
    let said = Said {
        verdict,
        parts,
        source: around.source,
        is_inside,
        witnesses,
        written,
        is_stale,
        line: String::new(),
        next: None,
        commands: Vec::new(),
    };
    let (line, next, commands) = (words::line(&said, incident), words::next(&said), words::commands(&said));
    Some(Said { line, next, commands, ..said })
}

/// Adds a part to those with the same rule and route.
fn join(parts: &mut Vec<Part>, part: Part) {
    let same = |other: &&mut Part| {
        (other.verdict, &other.rules, &other.routes, other.protocol)
            == (part.verdict, &part.rules, &part.routes, part.protocol)
    };
    match parts.iter_mut().find(same) {
        Some(other) => {
            other.ports = other.ports.union(&part.ports);
            other.destinations.extend(
                part.destinations.iter().filter(|one| !other.destinations.contains(one)).copied().collect::<Vec<_>>(),
            );
        }
        None => parts.push(part),
    }
}

fn part(fabric: &Fabric, measured: &Measured) -> Part {
    let flow = &measured.flow;
    let (rules, routes) = (fabric.by_rules(flow), fabric.by_routes(flow));
    let verdict = verdict(&rules, &routes, measured.is_answered);
    let (protocol, ports) = (flow.protocol, flow.ports.clone());
    Part { verdict, rules, routes, protocol, ports, destinations: vec![flow.destination] }
}

fn verdict(rules: &ByRules, routes: &ByRoutes, is_answered: bool) -> ExportVerdict {
    let stops = is_denied(rules) || nowhere(routes).is_some();
    match (stops, is_answered) {
        (true, true) => return ExportVerdict::Contradicted,
        (true, false) => return ExportVerdict::Dropped,
        (false, _) => {}
    }
    let is_open = matches!(routes, ByRoutes::Open(_)) || hops(routes).any(|hop| matches!(hop, NextHop::Unknown(_)));
    if matches!(rules, ByRules::Open(_)) || is_open {
        return ExportVerdict::Unknown;
    }
    let leads_away = |hop: &NextHop| matches!(hop, NextHop::Appliance(_) | NextHop::Gateway);
    if hops(routes).any(leads_away) { ExportVerdict::Detour } else { ExportVerdict::Allowed }
}

/// Whether rules drop a flow, or a part of what it may be.
fn is_denied(rules: &ByRules) -> bool {
    matches!(rules, ByRules::Denied(_) | ByRules::PartlyDenied(_))
}

/// Endpoints that work although the same rule or route would stop them: then something else is in force. Only who was visited
/// since the incident began is a witness; those on an accused port are asked first.
fn witnesses(parts: &[Part], (incident, fabric): (&Incident, &Fabric), around: Around<'_>) -> Vec<String> {
    let accused: Vec<&Part> = parts.iter().filter(|part| part.verdict == ExportVerdict::Dropped).collect();
    let is_stopped = |flow: &Flow| {
        let (rules, routes) = (fabric.by_rules(flow), fabric.by_routes(flow));
        let by_rule = |part: &&Part| matches!(rules, ByRules::Denied(_)) && part.rules == rules;
        let by_route = |part: &&Part| nowhere(&routes).is_some() && nowhere(&part.routes) == nowhere(&routes);
        accused.iter().any(|part| by_rule(part) || by_route(part))
    };
    let works = |view: &&EndpointView| {
        let is_since = |began: Duration| around.is_single_look || began >= incident.since;
        let is_good = matches!(view.status, Status::Healthy | Status::Degraded(_));
        is_good && view.last.as_ref().is_some_and(|visit| is_since(visit.began))
    };
    let on_another_port =
        |view: &&EndpointView| !accused.iter().any(|part| part.ports.contains(view.endpoint.target.port));
    let mut asked: Vec<&EndpointView> = around.views.values().copied().filter(works).collect();
    asked.sort_by_key(on_another_port);
    let asked = asked.into_iter().take(MOST_WITNESSES);
    asked
        .filter(|view| measured::of_working(view, around.source).iter().any(is_stopped))
        .map(|view| view.endpoint.id.0.to_string())
        .collect()
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
