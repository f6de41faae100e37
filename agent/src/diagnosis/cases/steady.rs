//! The clock by which the cases order what happened.

use std::time::{Duration, Instant};

use super::Moment;

/// A wall clock that never goes back. Where this machine's clock is set back (a step of its time service, a machine that is
/// resumed), it goes on with the monotonic one: otherwise nothing that is seen afterwards would count as seen since a
/// trouble that began before, until the clock is there again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steady {
    /// The last moment that was told, by the monotonic clock, by the wall clock, and by this one.
    last: Option<(Instant, Duration, Duration)>,
}

impl Steady {
    /// Goes on to a moment.
    pub(super) fn elapse(&mut self, at: Moment) {
        let gone_on = |(now, _, steady): (Instant, Duration, Duration)| steady + at.now.saturating_duration_since(now);
        let steady = self.last.map_or(at.wall, |last| gone_on(last).max(at.wall));
        self.last = Some((at.now, at.wall, steady));
    }

    /// The last moment that was told.
    pub(super) fn now(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |(_, _, steady)| steady)
    }

    /// A moment of the wall clock as it goes at present, by this clock.
    pub(super) fn of(&self, wall: Duration) -> Duration {
        self.last.map_or(wall, |(_, now, steady)| (steady + wall).saturating_sub(now).min(steady))
    }

    /// A moment of this clock, by the wall clock as it goes at present.
    pub(super) fn wall(&self, moment: Duration) -> Duration {
        self.last.map_or(moment, |(_, now, steady)| (now + moment).saturating_sub(steady))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_wall_clock_and_never_goes_back() {
        let start = ase_probes::clock::now();
        let at = |now, wall| Moment { now: start + Duration::from_secs(now), wall: Duration::from_secs(wall) };
        let mut steady = Steady::default();
        let mut told = |moment: Moment| {
            steady.elapse(moment);
            (steady.now().as_secs(), steady.of(moment.wall - Duration::from_secs(3)).as_secs())
        };
        assert_eq!((told(at(0, 10_000)), told(at(5, 10_005))), ((10_000, 9_997), (10_005, 10_002)));
        assert_eq!((told(at(10, 6_410)), told(at(20, 6_420))), ((10_010, 10_007), (10_020, 10_017)), "set back 1 h");
        assert_eq!(told(at(30, 20_000)), (20_000, 19_997), "set forward");
        assert_eq!(steady.wall(Duration::from_secs(19_990)), Duration::from_secs(19_990));
    }
}
