//! The subnet's size, delegation, emptiness and form.

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
        if !is_there {
            let now = if subnet.delegations.is_empty() {
                "not delegated".to_owned()
            } else {
                format!("delegated to {}", subnet.delegations.join(", "))
            };
            say("delegation", Severity::Critical, format!("{now}; it must be delegated to {wanted}"));
        }
    }
    let length = subnet.prefixes.iter().filter(|net| matches!(net, IpNet::V4(_))).map(IpNet::prefix_len).min();
    if let Some(length) = length.filter(|_| case.profile().name != "custom") {
        if length > needs.smallest {
            say(
                "size",
                Severity::Critical,
                format!("/{length} is smaller than /{}, the smallest that works", needs.smallest),
            );
        } else if length > needs.recommended {
            let message = format!(
                "/{length} is smaller than the /{} that is recommended; the size cannot be changed later (ase-agent plan subnet)",
                needs.recommended
            );
            say("size", Severity::Warning, message);
        }
    }
}
