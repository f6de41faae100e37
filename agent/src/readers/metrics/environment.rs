//! What the management API said of the environment, as series.

use super::{Page, flag};
use crate::engine::snapshot::Snapshot;

/// Adds the series; NaN where it was never imported, or does not say.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    let known = snapshot.environment.as_deref();
    let suspended = known.and_then(|known| known.environment.suspended);
    page.gauge(
        "ase_environment_suspended",
        "Whether the environment is suspended by its own word (ase-agent import environment); NaN where that was never imported.",
        suspended.map_or(f64::NAN, flag),
    );
    page.gauge(
        "ase_environment_addresses_changed_timestamp_seconds",
        "When an import showed other addresses of the environment than the one before; NaN if none ever did.",
        known.and_then(|known| known.addresses_changed).map_or(f64::NAN, |at| at.as_secs_f64()),
    );
    page.gauge(
        "ase_environment_imported_timestamp_seconds",
        "When the environment's own word was imported last; NaN if never.",
        known.map_or(f64::NAN, |known| known.seen.as_secs_f64()),
    );
}
