//! Of which class of traffic a finding speaks, where a service routes its traffic by classes: it counts only where that
//! class comes through this subnet.

use crate::lint::{finding::Report, judge::Case};

/// Names the class in every finding that has one.
pub(super) fn name(case: &Case<'_>, report: &mut Report) {
    for finding in &mut report.findings {
        let requirement = finding.requirement.as_deref().and_then(|id| case.profile().requirement(id));
        let Some(class) = requirement.and_then(|requirement| requirement.traffic.as_deref()) else { continue };
        finding.message.push_str(&format!(
            "; class of traffic: {class}, counts where outboundVnetRouting sends it through this subnet"
        ));
    }
}
