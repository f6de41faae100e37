//! What of routes, subnets and networks only a deployment knows: each is listed as not judged, and none passes for absent.

use crate::lint::{
    finding::{Report, Unjudged},
    judge::Case,
    read::Part,
    route::{NextHop, Route, Subnet, Table},
    rule::AddressTerm,
};

/// What hangs on where a route leads, where the profile needs anything of routes.
pub(super) fn about_routes(case: &Case<'_>) -> Option<String> {
    let needs = &case.profile().routes;
    let own = needs.own_subnet.map(|_| "own-subnet");
    needs.management.then_some("management").or(own).map(str::to_owned)
}

/// Lists the routes of a table that may take anything, or lead anywhere.
pub(super) fn routes(case: &Case<'_>, table: &Table, report: &mut Report) {
    let Some(requirement) = about_routes(case) else { return };
    for route in &table.routes {
        let Some(what) = unknown_part(route) else { continue };
        report.could_not_judge.push(Unjudged {
            requirement: Some(requirement.clone()),
            rule: Some(route.name.clone()),
            at: Some(route.at.clone()),
            why: format!("{what} only a deployment knows: it may take packets from every other route"),
        });
    }
}

/// What of a route is not known, in words.
fn unknown_part(route: &Route) -> Option<String> {
    let prefix = |term: &AddressTerm| match term {
        AddressTerm::Expression(text) => Some(format!("what the route takes, {text},")),
        AddressTerm::Any
        | AddressTerm::Net(_)
        | AddressTerm::Tag(_)
        | AddressTerm::Expanded(..)
        | AddressTerm::Interfaces(_) => None,
    };
    let hop = || match &route.next_hop {
        NextHop::Unknown(text) => Some(format!("where the route leads, {text},")),
        _ => None,
    };
    route.destinations.iter().find_map(prefix).or_else(hop)
}

/// Whom the subnet is delegated to, where an expression says it.
fn delegation(case: &Case<'_>, subnet: &Subnet, report: &mut Report) {
    let Some(wanted) = &case.profile().subnet.delegation else { return };
    let Some(expression) = &subnet.open_delegations else { return };
    if subnet.delegations.iter().any(|one| one.eq_ignore_ascii_case(wanted)) {
        return;
    }
    let why = format!("whom the subnet {} is delegated to only a deployment knows: {expression}", subnet.name);
    report.could_not_judge.push(Unjudged { requirement: Some("delegation".to_owned()), why, ..Unjudged::default() });
}

/// Lists the subnets and prefixes that no file and no option says.
pub(super) fn surroundings(case: &Case<'_>, report: &mut Report) {
    let counts = |part: Part| match part {
        Part::Subnets => case.subnet.is_none(),
        Part::Prefix => case.nets.0.is_empty(),
        Part::Network => case.nets.1.is_empty(),
    };
    if let Some(subnet) = case.subnet {
        delegation(case, subnet, report);
    }
    let open: Vec<_> = case.export.unresolved.iter().filter(|(part, _)| counts(*part)).collect();
    let is_said = open.iter().any(|(part, _)| *part == Part::Prefix);
    report.could_not_judge.extend(open.into_iter().map(|(_, open)| open.clone()));
    if let Some(subnet) = case.subnet.filter(|_| case.nets.0.is_empty() && !is_said) {
        let why = format!("no file says the prefix of the subnet {}: --subnet does", subnet.name);
        report.could_not_judge.push(Unjudged { requirement: Some("size".to_owned()), why, ..Unjudged::default() });
    }
}
