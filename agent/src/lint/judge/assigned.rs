//! Whether a route table says itself that it is assigned to other subnets, where the subnet's own file names none, or one of
//! another resource group.

use crate::lint::{
    finding::{Finding, Kind, Report, Severity},
    judge::Case,
    read::{is_expression, last_name, same_name},
    route::Table,
};

/// Checks the table that was judged.
pub(super) fn check(case: &Case<'_>, table: &Table, report: &mut Report) {
    let Some(message) = elsewhere(case, table).or_else(|| of_another_place(case, table)) else { return };
    let resource = Some(table.name.clone());
    report.findings.push(Finding { resource, ..Finding::new(Kind::Assignment, Severity::Warning, message) });
}

/// The table's own list holds other subnets, and the subnet holds no table.
fn elsewhere(case: &Case<'_>, table: &Table) -> Option<String> {
    let subnet = case.subnet.filter(|subnet| subnet.table.is_none())?.id.as_deref()?;
    let is_it = |one: &String| is_expression(one) || one.eq_ignore_ascii_case(subnet);
    if table.subnets.is_empty() || is_expression(subnet) || table.subnets.iter().any(is_it) {
        return None;
    }
    let names: Vec<&str> = table.subnets.iter().map(|id| last_name(id)).collect();
    Some(format!(
        "the table {} is assigned to {} and not to {}, which has none: what is judged is not in force there",
        table.name,
        names.join(", "),
        last_name(subnet)
    ))
}

/// The names agree, the resource groups do not.
fn of_another_place(case: &Case<'_>, table: &Table) -> Option<String> {
    let (given, assigned) = (table.id.as_deref()?, case.subnet?.table.as_deref()?);
    let (here, there) = (resource_group(given)?, resource_group(assigned)?);
    let same = same_name(last_name(given), last_name(assigned));
    (same && !here.eq_ignore_ascii_case(there)).then(|| {
        format!(
            "the table given is {} of the resource group {here}, but the one assigned to the subnet is of {there}: what is judged is not \
             in force",
            table.name
        )
    })
}

/// The resource group of a resource id.
fn resource_group(id: &str) -> Option<&str> {
    let mut parts = id.split('/');
    parts.by_ref().find(|part| part.eq_ignore_ascii_case("resourceGroups"))?;
    parts.next().filter(|name| !is_expression(name))
}
