//! The subnet's size, delegation and form.

use ipnet::IpNet;

use crate::lint::{
    finding::{Finding, Kind, Report, Severity},
    judge::Case,
    route::Subnet,
};

/// Checks a subnet.
pub(super) fn check(case: &Case<'_>, subnet: &Subnet, report: &mut Report) {
    let needs = &case.profile().subnet;
    let mut say = |about: &str, severity, message: String| {
        report.findings.push(Finding {
            requirement: Some(about.to_owned()),
            source: case.profile().source_of_subnet(),
            resource: Some(subnet.name.clone()),
            ..Finding::new(Kind::Subnet, severity, message)
        });
    };
    if needs.must_be_string && !subnet.has_single_prefix && !subnet.prefixes.is_empty() {
        let message =
            "only addressPrefixes, the list, is set; the networking page of v3 wants addressPrefix as a string"
                .to_owned();
        say("form", Severity::Warning, message);
    }
    if let Some(wanted) = &needs.delegation {
        let is_it = |one: &String| one.eq_ignore_ascii_case(wanted);
        let is_there = subnet.delegations.iter().any(is_it);
        if !is_there && subnet.open_delegations.is_none() {
            let now = if subnet.delegations.is_empty() {
                "not delegated".to_owned()
            } else {
                format!("delegated to {}", subnet.delegations.join(", "))
            };
            say("delegation", Severity::Critical, format!("{now}; it must be delegated to {wanted}"));
        }
    }
    if needs.no_delegation && !subnet.delegations.is_empty() {
        let message = format!("delegated to {}; it must be delegated to nobody", subnet.delegations.join(", "));
        say("delegation", Severity::Warning, message);
    }
    let length = subnet.prefixes.iter().filter(|net| matches!(net, IpNet::V4(_))).map(IpNet::prefix_len).min();
    let Some(length) = length else { return };
    let uncertain = needs.uncertain.as_ref().map(|why| format!(" (uncertain: {why})")).unwrap_or_default();
    match (needs.smallest, needs.recommended) {
        (Some(smallest), _) if length > smallest => {
            let message = format!("/{length} is smaller than /{smallest}, the smallest that works{uncertain}");
            say("size", Severity::Critical, message);
        }
        (_, Some(recommended)) if length > recommended => {
            let message = format!(
                "/{length} is smaller than the /{recommended} that is recommended; the size cannot be changed later (ase-agent plan subnet)"
            );
            say("size", Severity::Warning, message);
        }
        _ => {}
    }
}
