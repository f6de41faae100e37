//! What was exported from Azure as series: how many findings, how old it is, whether the files are good, and what threatens.

use super::{Page, flag};
use crate::{engine::snapshot::Snapshot, lint::finding::Severity};

/// Adds the series, where the configuration names exports.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    let Some(view) = &snapshot.exports else { return };
    let judged = view.reading.judged.as_deref();
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    page.gauges(
        "ase_lint_findings",
        "Findings about exported rules, routes and subnets, without those set aside; NaN before the first judgement.",
        severities.into_iter().map(|severity| {
            let count = judged.map_or(f64::NAN, |judged| judged.count(severity) as f64);
            ([("severity", severity.label())], count)
        }),
    );
    page.gauge(
        "ase_suspension_risk_exported",
        "Critical findings about management, the load balancer or the own subnet, for which environments are suspended; read from exported rules, never measured, and no part of the combined risk.",
        judged.map_or(f64::NAN, |judged| judged.threats().count() as f64),
    );
    page.gauge(
        "ase_exports_ok",
        "Whether the exported files as they are now could be judged; otherwise the judgement of earlier ones stays in force.",
        flag(view.reading.wrong.is_empty()),
    );
    page.gauge(
        "ase_exports_written_timestamp_seconds",
        "When the oldest exported file with rules or routes was written; NaN before the first judgement.",
        view.written().map_or(f64::NAN, |written| written.as_secs_f64()),
    );
}
