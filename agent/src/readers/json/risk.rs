//! The estimated risk of suspension as JSON.

use serde::Serialize;

use super::exports::RiskOfExports;
use crate::engine::snapshot::Snapshot;

/// What the clocks say.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RiskEntry<'a> {
    /// Always true: the horizon is an assumption.
    estimated: bool,
    suspends: bool,
    means: &'a str,
    level: &'static str,
    total: f64,
    horizon_seconds: f64,
    to_horizon_seconds: Option<f64>,
    classes: Vec<ClassRisk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exported: Option<RiskOfExports>,
}

#[derive(Clone, Debug, Serialize)]
struct ClassRisk {
    class: &'static str,
    risk: f64,
    lost_seconds: f64,
    loss: f64,
}

impl<'a> RiskEntry<'a> {
    /// The entry of a snapshot that has a past.
    pub(super) fn of(snapshot: &'a Snapshot) -> Option<Self> {
        let estimate = snapshot.risk.as_ref()?;
        let classes = estimate.classes.iter().map(|(class, risk)| ClassRisk {
            class: class.label(),
            risk: *risk,
            lost_seconds: estimate.lost.get(class).copied().unwrap_or_default().as_secs_f64(),
            loss: estimate.losses.get(class).copied().unwrap_or_default(),
        });
        Some(Self {
            estimated: true,
            suspends: snapshot.catalog.stakes.suspends,
            means: &snapshot.catalog.stakes.means,
            level: estimate.level.label(),
            total: estimate.total,
            horizon_seconds: estimate.horizon.as_secs_f64(),
            to_horizon_seconds: estimate.to_horizon.map(|time| time.as_secs_f64()),
            classes: classes.collect(),
            exported: RiskOfExports::of(snapshot),
        })
    }
}
