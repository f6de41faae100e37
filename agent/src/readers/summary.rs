//! What every reader takes from a snapshot in the same way and says in the same words: counts, the verdict in one
//! sentence, the exit code, the evidence, certificates and times.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    engine::snapshot::Snapshot,
    model::{catalog::Severity, endpoint::Status},
};

/// How many endpoints stand how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Endpoints that proved themselves.
    pub healthy: usize,
    /// Endpoints that answer with something wrong.
    pub degraded: usize,
    /// Endpoints that failed.
    pub failed: usize,
    /// Endpoints that could not be tested.
    pub unknown: usize,
    /// Slots that are not filled.
    pub not_configured: usize,
    /// Classes with endpoints or slots.
    pub classes: usize,
    /// The labels of the classes with a failed critical endpoint.
    pub lost: Vec<&'static str>,
}

impl Summary {
    /// Counts a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut summary =
            Self { not_configured: snapshot.catalog.slots.len(), classes: snapshot.classes.len(), ..Self::default() };
        for view in &snapshot.endpoints {
            match view.status {
                Status::Healthy => summary.healthy += 1,
                Status::Degraded(_) => summary.degraded += 1,
                Status::Failed(_) => summary.failed += 1,
                Status::Unknown(_) => summary.unknown += 1,
            }
            let class = view.endpoint.class.label();
            let lost = matches!(view.status, Status::Failed(_)) && view.endpoint.severity == Severity::Critical;
            if lost && !summary.lost.contains(&class) {
                summary.lost.push(class);
            }
        }
        summary
    }

    /// The endpoints that are watched.
    pub fn endpoints(&self) -> usize {
        self.healthy + self.degraded + self.failed + self.unknown
    }

    /// The exit code of a one-shot check.
    ///
    /// | code | meaning |
    /// |------|---------|
    /// | 0 | every watched endpoint is healthy; unfilled slots do not count |
    /// | 1 | at least one endpoint of severity critical failed |
    /// | 2 | nothing critical failed, but an endpoint failed, is degraded, or could not be tested |
    pub fn exit_code(&self) -> u8 {
        match (self.lost.is_empty(), self.healthy == self.endpoints()) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 0,
        }
    }

    /// The verdict in one sentence, without a full stop.
    pub fn sentence(&self) -> String {
        let endpoints = self.endpoints();
        if !self.lost.is_empty() {
            let (lost, classes) = (self.lost.len(), self.lost.join(", "));
            return format!("{lost} of {} classes lost something critical: {classes}", self.classes);
        }
        if endpoints == 0 {
            return "nothing is watched".to_owned();
        }
        if self.unknown == endpoints {
            return format!("nothing is known yet: none of {} could be tested", count(endpoints, "endpoint"));
        }
        if self.healthy == endpoints {
            return format!("all well: {} proved their peer", count(endpoints, "endpoint"));
        }
        let parts = [(self.failed, "failed"), (self.degraded, "degraded"), (self.unknown, "could not be tested")];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        format!("nothing critical is lost, but of {} {}", count(endpoints, "endpoint"), parts.join(", "))
    }
}

/// A number with its noun, in the plural where that is due.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A wall-clock time as RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(since_epoch: Duration) -> String {
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_string()
}

/// A certificate's time as RFC 3339 in UTC; what lies beyond the year 9999 or before -9999 is shown as that bound.
pub(crate) fn rfc3339_seconds(since_epoch: i64) -> String {
    let bound = if since_epoch < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(since_epoch).unwrap_or(bound).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::visit::Untested, sample};

    #[test]
    fn the_exit_code_follows_the_worst_that_was_found() {
        let healthy = Summary { healthy: 3, not_configured: 2, ..Summary::default() };
        let rows = [
            (healthy.clone(), 0),
            (Summary { unknown: 1, ..healthy.clone() }, 2),
            (Summary { degraded: 1, ..healthy.clone() }, 2),
            (Summary { failed: 1, ..healthy.clone() }, 2),
            (Summary { failed: 1, lost: vec!["sql"], ..healthy }, 1),
        ];
        for (summary, code) in rows {
            assert_eq!(summary.exit_code(), code, "{summary:?}");
        }
    }

    #[test]
    fn a_snapshot_is_counted_once_per_endpoint() {
        let summary = Summary::of(&sample::snapshot());
        assert_eq!((summary.healthy, summary.degraded, summary.failed, summary.unknown), (6, 1, 3, 2));
        assert_eq!((summary.not_configured, summary.endpoints()), (1, 12));
        assert_eq!(summary.lost, ["sql"]);
        assert_eq!(summary.sentence(), "1 of 7 classes lost something critical: sql");
    }

    #[test]
    fn each_state_of_the_whole_has_its_sentence() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        assert_eq!(Summary::of(&snapshot).sentence(), "all well: 12 endpoints proved their peer");
        sample::set_all(&mut snapshot, Status::Unknown(Untested::NotYet));
        assert_eq!(Summary::of(&snapshot).sentence(), "nothing is known yet: none of 12 endpoints could be tested");
        snapshot.endpoints.clear();
        assert_eq!(Summary::of(&snapshot).sentence(), "nothing is watched");
        let mixed = Summary { healthy: 9, failed: 1, unknown: 2, ..Summary::default() };
        assert_eq!(mixed.sentence(), "nothing critical is lost, but of 12 endpoints 1 failed, 2 could not be tested");
    }

    #[test]
    fn a_certificate_without_an_end_keeps_a_printable_time() {
        assert_eq!(rfc3339_seconds(0), "1970-01-01T00:00:00Z");
        assert!(rfc3339_seconds(253_402_300_799).starts_with("9999-12-30"));
        assert!(rfc3339_seconds(i64::MIN).starts_with('-'));
    }
}
