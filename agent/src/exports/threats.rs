//! Which findings of exported rules are what environments are suspended for: the platform's way in, the load balancer's, and
//! the subnet's to itself.

use crate::lint::finding::{Finding, Kind, Report, Severity};

/// The requirements whose loss lets the platform suspend an environment (network-info.md and management-addresses.md:
/// management on 454 and 455, the load balancer's keep-alive, traffic within the subnet; issue 115138 of azure-docs). The
/// outbound ones are left out: those are measured.
const THREATENING: [&str; 6] =
    ["in-management", "in-lb-16001", "in-intra-subnet", "out-intra-subnet", "management", "own-subnet"];

/// The critical findings that threaten the environment, and that no probe can show.
pub fn of(report: &Report) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(|finding| is_threat(finding))
}

/// Whether a finding is one of them.
pub fn is_threat(finding: &Finding) -> bool {
    let required = finding.requirement.as_deref();
    let is_known = finding.kind == Kind::LbCut || required.is_some_and(|id| THREATENING.contains(&id));
    finding.severity == Severity::Critical && is_known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::requirements::Profile;

    fn finding(kind: Kind, severity: Severity, requirement: Option<&str>) -> Finding {
        Finding { requirement: requirement.map(str::to_owned), ..Finding::new(kind, severity, "x") }
    }

    #[test]
    fn what_no_probe_shows_and_suspends_is_a_threat_and_what_is_measured_is_none() {
        for (kind, severity, requirement, wanted) in [
            (Kind::Blocked, Severity::Critical, Some("in-management"), true),
            (Kind::PartlyBlocked, Severity::Critical, Some("in-intra-subnet"), true),
            (Kind::LbCut, Severity::Critical, None, true),
            (Kind::Route, Severity::Critical, Some("own-subnet"), true),
            (Kind::Route, Severity::Critical, Some("management"), true),
            (Kind::Route, Severity::Info, Some("management"), false),
            (Kind::Blocked, Severity::Critical, Some("out-https"), false),
            (Kind::Input, Severity::Critical, None, false),
        ] {
            let found = finding(kind, severity, requirement);
            assert_eq!(is_threat(&found), wanted, "{}", found.id());
        }
    }

    #[test]
    fn every_inbound_requirement_that_is_critical_is_one_of_the_list() {
        let profile = Profile::named("ase-v2").expect("a profile");
        let critical = profile.requirements.iter().filter(|one| one.severity() == Severity::Critical);
        for requirement in critical.filter(|one| one.id.starts_with("in-")) {
            assert!(THREATENING.contains(&requirement.id.as_str()), "{}", requirement.id);
        }
    }
}
