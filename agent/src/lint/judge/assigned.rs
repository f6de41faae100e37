//! Whether the group or table that is judged is the one assigned to the subnet: by its name, its resource group, and the
//! subnets that it lists itself.

use crate::lint::{
    finding::{Finding, Kind, Report, Severity},
    judge::Case,
    read::{is_expression, last_name, same_name},
    route::{Subnet, Table},
    rule::Group,
};

/// A group or table that is judged.
pub(super) struct Given<'a> {
    what: &'static str,
    name: &'a str,
    /// The name that was asked for or that the subnet says.
    wanted: Option<&'a str>,
    id: Option<&'a str>,
    /// The ids of the subnets that it lists.
    subnets: &'a [String],
    effective: bool,
    /// The id that the subnet says.
    assigned: fn(&Subnet) -> Option<&String>,
    /// Whether the subnet says that it has none, and that is no way to leave it.
    without: fn(&Subnet) -> bool,
}

impl<'a> Given<'a> {
    pub(super) fn group(group: &'a Group, wanted: Option<&'a str>) -> Self {
        Self {
            what: "group",
            name: &group.name,
            wanted,
            id: group.id.as_deref(),
            subnets: &group.subnets,
            effective: group.effective,
            assigned: |subnet| subnet.group.as_ref(),
            without: |subnet| subnet.without_group,
        }
    }

    /// A subnet without a table may be about to get this one.
    pub(super) fn table(table: &'a Table, wanted: Option<&'a str>) -> Self {
        Self {
            what: "table",
            name: &table.name,
            wanted,
            id: table.id.as_deref(),
            subnets: &table.subnets,
            effective: table.effective,
            assigned: |subnet| subnet.table.as_ref(),
            without: |_| false,
        }
    }
}

/// Checks the group or table.
pub(super) fn check(case: &Case<'_>, given: &Given<'_>, report: &mut Report) {
    let other = given.wanted.filter(|wanted| !same_name(given.name, wanted));
    let message = match (other, case.subnet) {
        (Some(wanted), _) if is_expression(given.name) || is_expression(wanted) => {
            report.notes.push(format!(
                "whether the {} given, {}, is the one assigned, {wanted}, only a deployment knows",
                given.what, given.name
            ));
            return;
        }
        (Some(wanted), _) => Some(differs(given, given.name, wanted)),
        (None, Some(subnet)) => match (given.assigned)(subnet) {
            Some(assigned) => of_another_place(given, assigned),
            None => elsewhere(given, subnet),
        },
        (None, None) => None,
    };
    report.findings.extend(message.map(|message| Finding {
        resource: Some(given.name.to_owned()),
        ..Finding::new(Kind::Assignment, Severity::Warning, message)
    }));
}

fn differs(given: &Given<'_>, this: &str, assigned: &str) -> String {
    format!(
        "the {} given is {this}, but {assigned} is assigned to the subnet: what is judged is not in force",
        given.what
    )
}

/// One of the right name in another resource group or subscription.
fn of_another_place(given: &Given<'_>, assigned: &str) -> Option<String> {
    let is_whole = |id: &&str| id.to_ascii_lowercase().contains("/resourcegroups/") && !is_expression(id);
    let this = given.id.filter(is_whole)?;
    let differ = is_whole(&assigned) && !this.eq_ignore_ascii_case(assigned);
    differ.then(|| differs(given, this, assigned))
}

/// One beside a subnet that has none, or that other subnets have.
fn elsewhere(given: &Given<'_>, subnet: &Subnet) -> Option<String> {
    if given.effective {
        return None;
    }
    let own = subnet.id.as_deref().filter(|own| !is_expression(own));
    let is_it = |one: &String| is_expression(one) || own.is_some_and(|own| one.eq_ignore_ascii_case(own));
    let others = given.subnets.iter().map(|id| last_name(id)).collect::<Vec<_>>().join(", ");
    let is_of_others = own.is_some() && !others.is_empty() && !given.subnets.iter().any(is_it);
    (is_of_others || (given.without)(subnet)).then(|| {
        let whose =
            if is_of_others { format!("is assigned to {others} and not to") } else { "is not assigned to".to_owned() };
        format!(
            "the {} {} {whose} {}, which has none: what is judged is not in force there",
            given.what, given.name, subnet.name
        )
    })
}
