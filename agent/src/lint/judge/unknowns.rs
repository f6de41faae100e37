//! What of routes, subnets and networks only a deployment knows: each is listed as not judged, and none passes for absent.

use crate::lint::{
    finding::{Report, Unjudged},
    judge::Case,
    read::Part,
    route::{NextHop, Route, Table},
    rule::AddressTerm,
};

/// Lists the routes of a table that may take anything, or lead anywhere.
pub(super) fn routes(case: &Case<'_>, table: &Table, report: &mut Report) {
    let needs = &case.profile().routes;
    let own = needs.own_subnet.map(|_| "own-subnet");
    let Some(requirement) = needs.management.then_some("management").or(own) else { return };
    for route in &table.routes {
        let Some(what) = unknown_part(route) else { continue };
        report.could_not_judge.push(Unjudged {
            requirement: Some(requirement.to_owned()),
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

/// Lists the subnets and prefixes that no file and no option says.
pub(super) fn surroundings(case: &Case<'_>, report: &mut Report) {
    let counts = |part: Part| match part {
        Part::Subnets => case.subnet.is_none(),
        Part::Prefix => case.nets.0.is_empty(),
        Part::Network => case.nets.1.is_empty(),
    };
    let open = case.export.unresolved.iter().filter(|(part, _)| counts(*part));
    report.could_not_judge.extend(open.map(|(_, open)| open.clone()));
}
