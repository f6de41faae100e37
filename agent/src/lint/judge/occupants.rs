//! Whether somebody else lives in a subnet that the service needs for itself.

use crate::lint::{
    finding::{Finding, Kind, Report},
    judge::Case,
    route::Subnet,
};

/// Checks a subnet. Interfaces of a subnet that is linked to the service already are taken for the service's own.
pub(super) fn check(case: &Case<'_>, subnet: &Subnet, report: &mut Report) {
    let needs = &case.profile().subnet;
    let (Some(level), Some(count @ 1..)) = (needs.must_be_empty, subnet.interfaces) else { return };
    let is_its_own = |link: &String| needs.lives_as.iter().any(|kind| kind.eq_ignore_ascii_case(link));
    if subnet.linked.iter().any(is_its_own) {
        return;
    }
    let (interfaces, them) = if count == 1 { ("interface", "it") } else { ("interfaces", "them") };
    let message = format!(
        "{count} network {interfaces} in it, and nothing says that {} own {them}: the service needs a subnet in which nothing else is",
        case.profile().title
    );
    report.findings.push(Finding {
        requirement: Some("empty".to_owned()),
        source: case.profile().source_of_subnet(),
        resource: Some(subnet.name.clone()),
        ..Finding::new(Kind::Subnet, level.into(), message)
    });
}
