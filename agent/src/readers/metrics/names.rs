//! The comparison of the custom DNS with Azure DNS, name by name, as series.

use super::Page;
use crate::engine::snapshot::Snapshot;

/// Adds the series.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    let rows = snapshot.names.iter().filter_map(|view| {
        let class = view.published.as_ref()?.class;
        Some(([("name", &*view.name), ("class", class.label())], 1.0))
    });
    page.gauges(
        "ase_dns_comparison",
        "What the answers of the custom DNS and of Azure DNS mean together: 1 for the class in force, and no series for others.",
        rows,
    );
    page.counters(
        "ase_dns_changes_total",
        "Changes of answers from one comparison to the next, beyond rotation, of all names together.",
        std::iter::once(([], snapshot.names.iter().map(|view| view.changes).sum())),
    );
    let changed = snapshot.names.iter().filter(|view| view.changes > 0);
    page.counters(
        "ase_dns_answers_changed_total",
        "Changes of the name's answers from one comparison to the next, beyond rotation; a name has a series once they changed.",
        changed.map(|view| ([("name", &*view.name)], view.changes)),
    );
    page.gauge(
        "ase_dns_source_changed_timestamp_seconds",
        "When the DNS servers in this host's resolver files last changed, as far as is remembered; 0 if they did not.",
        snapshot.host_dns.changed.map_or(0.0, |at| at.as_secs_f64()),
    );
}
