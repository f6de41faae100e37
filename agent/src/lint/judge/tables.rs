//! What a route table says of itself: tags that cannot be routes, routes of gateways, the region that it is in.

use crate::lint::{
    finding::{Finding, Kind, Report, Severity, Unjudged},
    judge::{Case, unknowns},
    route::{Origin, Route, Table},
    rule::{AddressTerm, Known},
    tags::Tag,
};

/// Checks a table, whatever needs it.
pub(super) fn check(case: &Case<'_>, table: &Table, report: &mut Report) {
    if case.profile().routes.management {
        gateways(table, report);
    }
    for route in table.routes.iter().filter(|_| !table.effective) {
        tags(case, table, route, report);
    }
    region(case, table, report);
}

/// Without a default route of its own, a gateway that announces one tunnels everything.
fn gateways(table: &Table, report: &mut Report) {
    let takes = matches!(table.takes_bgp, Known::Value(true));
    let has_default = |term: &AddressTerm| {
        matches!(term, AddressTerm::Net(net) if net.prefix_len() == 0) || *term == AddressTerm::Any
    };
    let is_own = |route: &Route| route.origin == Origin::User && route.destinations.iter().any(has_default);
    if !takes || table.effective || table.routes.iter().any(is_own) {
        return;
    }
    let message = "routes of gateways are taken and there is no route of its own for 0.0.0.0/0: a gateway that announces one tunnels \
                   everything, management too";
    report.findings.push(Finding {
        requirement: Some("management".to_owned()),
        resource: Some(table.name.clone()),
        ..Finding::new(Kind::Conditional, Severity::Info, message)
    });
}

/// Not every tag can be a route, and what is no tag at all takes nothing.
fn tags(case: &Case<'_>, table: &Table, route: &Route, report: &mut Report) {
    for term in &route.destinations {
        let AddressTerm::Tag(tag) = term else { continue };
        let place = if case.question.cloud == "china" { " in China" } else { "" };
        if cannot_be_routed(case, tag) {
            report.findings.push(Finding {
                rule: Some(route.name.clone()),
                resource: Some(table.name.clone()),
                at: Some(route.at.clone()),
                ..Finding::new(
                    Kind::Input,
                    Severity::Critical,
                    format!("{tag} cannot be the destination of a route{place}"),
                )
            });
        } else if let Some(why) = case.unknown_tag(tag) {
            let (requirement, rule) = (unknowns::about_routes(case), Some(route.name.clone()));
            report.could_not_judge.push(Unjudged { requirement, rule, at: Some(route.at.clone()), why });
        }
    }
}

/// Whether Azure refuses a tag as the prefix of a route: the fabric's places and `AzureCloud` always, others by the features
/// that the tag file says; in China the management's too (tag files of 2025).
fn cannot_be_routed(case: &Case<'_>, tag: &Tag) -> bool {
    let by_file = case.export.book.as_ref().and_then(|book| book.is_routable(tag));
    let in_china = case.question.cloud == "china" && *tag == case.management.tag;
    tag.place().is_some() || tag.is_all_of_azure() || in_china || by_file == Some(false)
}

/// A table is assigned within its region only.
fn region(case: &Case<'_>, table: &Table, report: &mut Report) {
    let subnet = case.subnet.and_then(|subnet| subnet.location.as_deref());
    let plain = |text: &str| text.to_ascii_lowercase().replace(' ', "");
    let (Some(own), Some(other)) = (subnet, table.location.as_deref()) else { return };
    if plain(own) == plain(other) || own.starts_with('[') || other.starts_with('[') {
        return;
    }
    let message = format!("the table is in {other}, the subnet's network in {own}: it cannot be assigned");
    let resource = Some(table.name.clone());
    report.findings.push(Finding { resource, ..Finding::new(Kind::Assignment, Severity::Warning, message) });
}
