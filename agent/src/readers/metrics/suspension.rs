//! The estimated risk of suspension as series. The horizon behind it is an assumption; HELP says so.

use super::{Page, flag};
use crate::{engine::snapshot::Snapshot, risk::estimate::Level};

/// Adds the series, where the snapshot has an estimate.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    let Some(estimate) = &snapshot.risk else { return };
    let risks = estimate.classes.iter().map(|(class, risk)| ([("class", class.label())], *risk));
    page.gauges(
        "ase_suspension_risk_ratio",
        "Estimated risk of suspension by this class alone; 0.95 at the assumed horizon.",
        risks,
    );
    page.gauge(
        "ase_suspension_risk_combined_ratio",
        "Estimated risk of suspension by all classes together, each weighted; rests on the assumed horizon.",
        estimate.total,
    );
    let levels = Level::ALL.into_iter().map(|level| ([("level", level.label())], flag(level == estimate.level)));
    page.gauges("ase_suspension_risk_level", "The level of the combined risk; 1 for the one in force.", levels);
    let lost = estimate.lost.iter().map(|(class, time)| ([("class", class.label())], time.as_secs_f64()));
    page.gauges(
        "ase_dependency_lost_seconds",
        "Outage of the class, weighted by the lost share; runs back at half speed while the class is healthy.",
        lost,
    );
    let losses = estimate.losses.iter().map(|(class, share)| ([("class", class.label())], *share));
    page.gauges(
        "ase_dependency_loss_ratio",
        "Share of the class's quorum that is lost now, after three confirmed bad samples in a row; 0 while the class is well.",
        losses,
    );
    page.gauge(
        "ase_suspension_possible",
        "Whether the platform suspends what the profile is for when a loss lasts; 0 where the risk only weighs what is lost and how long.",
        flag(snapshot.catalog.stakes.suspends),
    );
    page.gauge(
        "ase_time_to_horizon_seconds",
        "Time until the first class reaches the assumed horizon if nothing changes; +Inf while nothing is lost.",
        estimate.to_horizon.map_or(f64::INFINITY, |time| time.as_secs_f64()),
    );
    page.gauge(
        "ase_suspension_horizon_seconds",
        "The assumed outage of a whole class after which the estimated risk is 0.95; no source publishes it.",
        estimate.horizon.as_secs_f64(),
    );
}
