//! The clock by which the cases order what happened.

use std::time::{Duration, Instant};

use super::Moment;

/// A clock that begins where the wall clock stands at the start, and goes as the monotonic one does: whoever sets the wall clock
/// changes nothing here. Where that is set back, what is seen afterwards still counts as seen since a trouble that began
/// before; where it is set forward, nothing is over or forgotten for that. The wall clock is for what is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steady {
    /// The monotonic clock and the wall clock at the start.
    first: Option<(Instant, Duration)>,
    /// The same at the last moment that was told.
    last: Option<(Instant, Duration)>,
}

impl Steady {
    /// Goes on to a moment.
    pub(super) fn elapse(&mut self, at: Moment) {
        self.first.get_or_insert((at.now, at.wall));
        self.last = Some((at.now, at.wall));
    }

    /// The last moment that was told.
    pub(super) fn now(&self) -> Duration {
        let (Some((start, wall)), Some((now, _))) = (self.first, self.last) else { return Duration::ZERO };
        wall + now.saturating_duration_since(start)
    }

    /// When something began that ended at the last moment that was told, and took so long.
    pub(super) fn before(&self, took: Duration) -> Duration {
        self.now().saturating_sub(took)
    }

    /// A moment of this clock, by the wall clock as it goes at present.
    pub(super) fn wall(&self, moment: Duration) -> Duration {
        self.last.map_or(moment, |(_, wall)| (wall + moment).saturating_sub(self.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_wall_clock_and_goes_on_whoever_sets_that() {
        let start = ase_probes::clock::now();
        let at = |now, wall| Moment { now: start + Duration::from_secs(now), wall: Duration::from_secs(wall) };
        let mut steady = Steady::default();
        let mut told = |moment: Moment| {
            steady.elapse(moment);
            let seconds =
                [steady.now(), steady.before(Duration::from_secs(3)), steady.wall(Duration::from_secs(9_990))];
            seconds.map(|moment| moment.as_secs())
        };
        assert_eq!(told(at(0, 10_000)), [10_000, 9_997, 9_990]);
        assert_eq!(told(at(5, 10_005)), [10_005, 10_002, 9_990]);
        assert_eq!(told(at(10, 6_410)), [10_010, 10_007, 6_390], "set back by an hour");
        assert_eq!(told(at(20, 13_620)), [10_020, 10_017, 13_590], "set forward by two hours");
    }
}
