//! What Azure would refuse: two rules of one priority or name, two routes for one prefix, a subnet outside its network.
//!
//! A file that holds such a thing was written or merged by hand, and what is judged from it may be wrong.

use std::collections::BTreeMap;

use crate::lint::{
    addresses::AddressSet,
    finding::{Finding, Kind, Report, Severity},
    judge::Case,
    read::is_expression,
    route::{Origin, Route, Table},
    rule::{AddressTerm, Group, Rule},
    traffic::Direction,
};

/// Two rules of one priority in one direction, and two of one name.
pub(super) fn rules(group: &Group, report: &mut Report) {
    let mut priorities: BTreeMap<(Direction, u32), &Rule> = BTreeMap::new();
    let mut names: BTreeMap<String, &Rule> = BTreeMap::new();
    for rule in &group.rules {
        let finding = |first: &Rule, message: String| Finding {
            rule: Some(rule.name.clone()),
            by: Some(first.name.clone()),
            at: Some(rule.at.clone()),
            resource: Some(group.name.clone()),
            ..Finding::new(Kind::Input, Severity::Critical, message)
        };
        if let (Some(direction), Some(priority)) = (rule.direction.value(), rule.priority.value())
            && let Some(first) = priorities.insert((*direction, *priority), rule)
        {
            let message =
                format!("priority {priority} {direction} twice: {} and {}; Azure refuses that", first.name, rule.name);
            report.findings.push(finding(first, message));
        }
        // A rule may be called like a default one.
        if rule.name.is_empty() || is_expression(&rule.name) || group.effective || rule.is_default {
            continue;
        }
        if let Some(first) = names.insert(rule.name.to_ascii_lowercase(), rule) {
            let message = format!("two rules are called {}: the later one replaces the first in Azure", rule.name);
            report.findings.push(finding(first, message));
        }
    }
}

/// Two routes of one table for one prefix.
pub(super) fn routes(table: &Table, report: &mut Report) {
    let own = |route: &&Route| route.origin == Origin::User && !table.effective;
    let mut prefixes: BTreeMap<String, &Route> = BTreeMap::new();
    for route in table.routes.iter().filter(own) {
        let found = route.destinations.iter().filter_map(prefix).find_map(|prefix| prefixes.insert(prefix, route));
        let Some(first) = found.filter(|first| first.name != route.name) else { continue };
        let message = format!("{} and {} are for the same prefix; Azure refuses that", first.name, route.name);
        report.findings.push(Finding {
            rule: Some(route.name.clone()),
            by: Some(first.name.clone()),
            at: Some(route.at.clone()),
            resource: Some(table.name.clone()),
            ..Finding::new(Kind::Input, Severity::Critical, message)
        });
    }
}

/// A prefix as text, where it is known.
fn prefix(term: &AddressTerm) -> Option<String> {
    match term {
        AddressTerm::Any => Some("0.0.0.0/0".to_owned()),
        AddressTerm::Net(net) => Some(net.to_string()),
        AddressTerm::Tag(tag) => Some(tag.to_string()),
        AddressTerm::Expanded(..) | AddressTerm::Interfaces(_) | AddressTerm::Expression(_) => None,
    }
}

/// A subnet whose prefix is in none of its network's.
pub(super) fn prefixes(case: &Case<'_>, report: &mut Report) {
    let (own, network) = (&case.nets.0, &case.nets.1);
    let has_family = |four: bool| network.iter().any(|net| net.addr().is_ipv4() == four);
    let network_set = AddressSet::of(network);
    for prefix in own.iter().filter(|prefix| has_family(prefix.addr().is_ipv4())) {
        if !AddressSet::of([prefix]).is_within(&network_set) {
            let known: Vec<String> = network.iter().map(ToString::to_string).collect();
            let message =
                format!("the subnet {prefix} is not in its network {}: one of the two is another's", known.join(", "));
            let resource = case.subnet.map(|subnet| subnet.name.clone());
            report.findings.push(Finding { resource, ..Finding::new(Kind::Input, Severity::Warning, message) });
        }
    }
}
