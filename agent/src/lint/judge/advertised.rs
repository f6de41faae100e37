//! Whether routes that a gateway announces may beat a table's own route to the Internet.

use crate::lint::{
    finding::{Finding, Kind, Report, Severity},
    judge::Case,
    route::{NextHop, Origin, Table},
    rule::{AddressTerm, Known},
};

/// Checks a table of the customer's; an effective view shows what really won.
pub(super) fn check(case: &Case<'_>, table: &Table, report: &mut Report) {
    let everything = |term: &AddressTerm| match term {
        AddressTerm::Net(net) => net.prefix_len() == 0,
        AddressTerm::Any => true,
        AddressTerm::Tag(_) | AddressTerm::Expanded(..) | AddressTerm::Interfaces(_) | AddressTerm::Expression(_) => {
            false
        }
    };
    let own = table.routes.iter().filter(|route| route.origin == Origin::User && route.next_hop == NextHop::Internet);
    let default = own.into_iter().find(|route| route.destinations.iter().any(everything));
    let takes = matches!(table.takes_bgp, Known::Value(true)) && !table.effective;
    let Some(route) = default.filter(|_| takes && case.profile().routes.management) else { return };
    let message = format!(
        "{} leads 0.0.0.0/0 to Internet, but routes of gateways are taken: a more exact one that ExpressRoute or a VPN announces beats it, also for \
         what the environment depends on; disable the propagation where the network is announced more than its own prefixes",
        route.name
    );
    report.findings.push(Finding {
        requirement: Some("management".to_owned()),
        rule: Some(route.name.clone()),
        resource: Some(table.name.clone()),
        at: Some(route.at.clone()),
        source: Some(
            "MicrosoftDocs/azure-docs articles/app-service/environment/forced-tunnel-support.md, edition 2018-05-29"
                .to_owned(),
        ),
        ..Finding::new(Kind::Conditional, Severity::Info, message)
    });
}
