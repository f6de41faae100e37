//! What the service endpoints of a subnet mean beside its routes: what never meets the tunnel, and whose servers have to
//! know the subnet.

use crate::lint::{
    addresses::AddressSet,
    finding::{Finding, Kind, Report, Severity},
    judge::Case,
    requirements::Requirement,
    route::{NextHop, Table},
    routing::Routing,
};

/// The database ports that Microsoft.Sql counts for: Azure SQL, and MySQL and PostgreSQL, which switch with it
/// (vnet-service-endpoint-rule-overview.md).
const DATABASE_PORTS: [u16; 3] = [1433, 3306, 5432];
/// Where databases of Azure have their public names, in every cloud: `NAME.database.windows.net`, `NAME.mysql.database.azure.com`.
const DATABASE: &str = ".database.";

/// Checks the endpoints of the subnet, where they are known.
pub(super) fn check(case: &Case<'_>, table: Option<&Table>, report: &mut Report) {
    let Some(present) = case.service_endpoints.as_deref().filter(|present| !present.is_empty()) else { return };
    if let Some(table) = table {
        report.findings.extend(past_the_tunnel(case, table, present));
    }
    report.findings.extend(all_or_nothing(case, present));
}

/// Whether an endpoint is there, of a service or of its global form.
pub(super) fn has(present: &[String], service: &str) -> bool {
    present.iter().any(|one| one.to_ascii_lowercase().starts_with(&service.to_ascii_lowercase()))
}

/// A default route into a tunnel or an appliance does not take what an endpoint takes.
fn past_the_tunnel(case: &Case<'_>, table: &Table, present: &[String]) -> Option<Finding> {
    let routing = Routing::new(Some(table), &case.nets.1, &case.world);
    let everywhere = case.world.internet.intersection(&AddressSet::every_v4());
    let main = routing.ways(&everywhere).into_iter().max_by_key(|way| way.destinations.count())?;
    let hops = routing.hops(&main);
    if !hops.iter().any(|hop| matches!(hop, NextHop::Appliance(_) | NextHop::Gateway)) {
        return None;
    }
    let hop = hops.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let storage = if has(present, "Microsoft.Storage") {
        "; the endpoint of Storage closes an account only that names this subnet itself, and every other account stays reachable past the \
         tunnel"
    } else {
        ""
    };
    let message = format!(
        "what goes to {} leaves by the subnet's service endpoints, past {}: {hop} sees none of it{storage}",
        present.join(", "),
        routing.routes[main.routes[0]].name
    );
    Some(Finding {
        requirement: Some("endpoints-beside-tunnel".to_owned()),
        resource: Some(table.name.clone()),
        source: source(case),
        ..Finding::new(Kind::Conditional, Severity::Info, message)
    })
}

/// The endpoint for SQL counts for every server that is reached from the subnet, the apps' own too.
fn all_or_nothing(case: &Case<'_>, present: &[String]) -> Option<Finding> {
    if !has(present, "Microsoft.Sql") {
        return None;
    }
    let servers: Vec<&str> = case.question.needs.iter().filter_map(database).collect();
    let (first, more) = servers.split_first()?;
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let message = format!(
        "the service endpoint Microsoft.Sql counts for every Azure SQL, MySQL and PostgreSQL server that is reached from the subnet, {first}{more} \
         too: each needs a virtual network rule for this subnet, or its logins fail with error 40914"
    );
    Some(Finding {
        requirement: Some("sql-endpoint-all".to_owned()),
        source: source(case),
        ..Finding::new(Kind::Conditional, Severity::Info, message)
    })
}

/// The database of Azure that a requirement of the configuration is about, if it is one by its public name.
fn database(requirement: &Requirement) -> Option<&str> {
    let name = requirement.id.strip_prefix("app-")?;
    let port = DATABASE_PORTS.into_iter().any(|port| requirement.ports().contains(port));
    (port && name.contains(DATABASE) && !name.contains("privatelink")).then_some(name)
}

fn source(case: &Case<'_>) -> Option<String> {
    case.profile().sources.get("NI").map(|one| format!("{}, edition {}", one.document, one.as_of))
}
