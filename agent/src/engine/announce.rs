//! The log lines about what changes in the engine: endpoints, stalls, and visits that wait for room.

use std::time::Duration;

use crate::{
    engine::{pulse::Stall, room::Bounds},
    model::{
        catalog::Endpoint,
        endpoint::{EndpointView, Status},
    },
};

/// Visits that wait for room this long are worth a word: the alert `AseAgentBehind` begins there too.
const SLOW: Duration = Duration::from_secs(5);

/// Says that an endpoint's status is another than `before`, if it is.
pub fn change(view: &EndpointView, before: Status) {
    let (endpoint, class) = (&view.endpoint.id, view.endpoint.class);
    let (from, to) = (before.label(), view.status.label());
    if from == to {
        return;
    }
    match view.status {
        Status::Healthy => tracing::info!(%endpoint, %class, from, to, "the endpoint proved itself"),
        Status::Degraded(finding) | Status::Failed(finding) => {
            let (cause, phase) = (finding.cause.label(), finding.phase.label());
            let evidence = view.last.as_ref().and_then(|visit| visit.evidence().into_iter().next());
            tracing::warn!(%endpoint, %class, from, to, cause, phase, evidence, "the endpoint changed");
        }
        Status::Unknown(untested) => {
            tracing::warn!(%endpoint, %class, from, to, reason = untested.reason(), "the endpoint was not tested");
        }
    }
}

/// Says that a visit died. A reload may have dropped its endpoint.
pub fn died(endpoint: Option<&Endpoint>) {
    let endpoint = endpoint.map(|endpoint| endpoint.id.to_string());
    tracing::error!(endpoint, "a visit died; this is a defect of the agent");
}

/// Says that the loop did not run for a while.
pub fn stall(stall: Stall) {
    let seconds = stall.lasted.as_secs_f64();
    tracing::warn!(seconds, kind = ?stall.kind, "the agent did not run for a while");
}

/// Whether it was said that visits wait for room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slowness(bool);

impl Slowness {
    /// Says once that visits wait for room, and once that they do no longer.
    pub fn look(&mut self, waited: Duration, bounds: Bounds) {
        let (seconds, Bounds { active, sockets }) = (waited.as_secs_f64(), bounds);
        match (waited >= SLOW, std::mem::replace(&mut self.0, waited >= SLOW)) {
            (true, false) => tracing::warn!(
                seconds,
                active,
                sockets,
                "endpoints are asked more slowly than configured: visits wait for `pace.concurrency` or for file descriptors"
            ),
            (false, true) => tracing::info!("visits no longer wait for room"),
            (true, true) | (false, false) => {}
        }
    }
}
