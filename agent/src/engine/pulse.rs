//! Whether this machine or this process stood still: the heartbeat of the loop, and the clock that runs on while the
//! machine is suspended. Nothing else is a stall: a visit that waits for room is not one. Pure, it is told the time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The loop looks at the clocks at least this often. A stall right after a look seems so much shorter than it was.
pub const BEAT: Duration = Duration::from_millis(500);
/// The shortest gap that makes silence doubtful: an answer that waits so long in a socket's buffer can miss the deadline
/// of a visit, and the kernel repeats what was lost after about as long (RFC 6298 section 2).
pub const STALL: Duration = Duration::from_secs(1);
/// Stalls that are remembered; a visit lasts no longer than its interval, and overlaps few.
const KEPT: usize = 16;

/// What the clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The monotonic clock, which stands while the machine is suspended.
    pub now: Instant,
    /// The time since boot, which runs on meanwhile (`CLOCK_BOOTTIME` in `clock_gettime(2)`).
    pub since_boot: Duration,
    /// The wall clock, since the Unix epoch.
    pub wall: Duration,
}

impl Clocks {
    /// Reads them.
    pub fn read() -> Self {
        use ase_probes::clock;
        Self { now: clock::now(), since_boot: clock::since_boot(), wall: clock::wall() }
    }
}

/// What stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process was not run, or its only thread was busy with something else.
    NotRun,
    /// The whole machine was suspended.
    Suspended,
}

/// A time in which the loop did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When it was over.
    pub ended: Instant,
    /// How long it took, beyond the pause that the loop had made by itself.
    pub lasted: Duration,
    /// What stood still.
    pub kind: Kind,
}

impl Stall {
    /// What to say of silence that overlaps it, in plain words.
    pub fn remark(&self) -> String {
        let seconds = self.lasted.as_secs_f64();
        match self.kind {
            Kind::NotRun => format!(
                "the agent was not run for {seconds:.1} s meanwhile (CPU or pause of this machine): the silence proves nothing"
            ),
            Kind::Suspended => {
                format!("this machine was suspended for {seconds:.1} s meanwhile: the silence proves nothing")
            }
        }
    }
}

/// The looks at the clocks, and the stalls between them.
#[derive(Clone, Debug)]
pub struct Pulse {
    last: Clocks,
    stalls: VecDeque<Stall>,
}

impl Pulse {
    /// The loop begins.
    pub fn new(at: Clocks) -> Self {
        Self { last: at, stalls: VecDeque::new() }
    }

    /// When the next look is due at the latest.
    pub fn due(&self) -> Instant {
        self.last.now + BEAT
    }

    /// Takes in what the clocks show now, and returns the stall that this look ends, if there was one.
    pub fn beat(&mut self, at: Clocks) -> Option<Stall> {
        let ran = at.now.saturating_duration_since(self.last.now);
        let passed = at.since_boot.saturating_sub(self.last.since_boot);
        self.last = at;
        let (late, suspended) = (ran.saturating_sub(BEAT), passed.saturating_sub(ran));
        let (lasted, kind) = if suspended > late { (suspended, Kind::Suspended) } else { (late, Kind::NotRun) };
        if lasted < STALL {
            return None;
        }
        let stall = Stall { ended: at.now, lasted, kind };
        self.stalls.push_back(stall);
        if self.stalls.len() > KEPT {
            self.stalls.pop_front();
        }
        Some(stall)
    }

    /// The longest stall that was not over at `since`.
    pub fn stalled_since(&self, since: Instant) -> Option<Stall> {
        let overlapping = self.stalls.iter().rev().take_while(|stall| stall.ended >= since);
        overlapping.max_by_key(|stall| stall.lasted).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Clocks {
        Clocks { now: ase_probes::clock::now(), since_boot: 100 * SECOND, wall: 1000 * SECOND }
    }

    fn later(at: Clocks, ran: Duration, suspended: Duration) -> Clocks {
        Clocks { now: at.now + ran, since_boot: at.since_boot + ran + suspended, wall: at.wall + ran + suspended }
    }

    #[test]
    fn a_loop_that_runs_in_time_never_stalls_whatever_the_wall_clock_does() {
        let mut at = start();
        let mut pulse = Pulse::new(at);
        for turn in 0..100 {
            at = later(at, BEAT + Duration::from_millis(turn * 4), Duration::ZERO);
            at.wall = SECOND * u32::try_from(turn * 7919 % 5000).expect("small");
            assert_eq!(pulse.beat(at), None, "a step of the wall clock is no stall");
        }
        assert_eq!(pulse.stalled_since(start().now), None);
    }

    #[test]
    fn a_gap_between_two_beats_is_a_stall_for_whoever_was_under_way() {
        let begin = start();
        let mut pulse = Pulse::new(begin);
        let after = later(begin, BEAT + 3 * SECOND, Duration::ZERO);
        let stall = pulse.beat(after).expect("a gap of three seconds");
        assert_eq!((stall.lasted, stall.kind), (3 * SECOND, Kind::NotRun));
        let next = later(after, BEAT, Duration::ZERO);
        assert_eq!(pulse.beat(next), None);
        assert_eq!(pulse.stalled_since(begin.now), Some(stall));
        assert_eq!(pulse.stalled_since(after.now + BEAT / 2), None, "who began afterwards was not disturbed");
        assert!(stall.remark().contains("not run for 3.0 s"), "{}", stall.remark());
    }

    #[test]
    fn a_suspended_machine_shows_in_the_clock_that_runs_on() {
        let begin = start();
        let mut pulse = Pulse::new(begin);
        let stall = pulse.beat(later(begin, BEAT, 600 * SECOND)).expect("ten minutes of sleep");
        assert_eq!((stall.lasted, stall.kind), (600 * SECOND, Kind::Suspended));
    }

    #[test]
    fn stalls_are_bounded_and_the_longest_speaks() {
        let mut at = start();
        let begin = at.now;
        let mut pulse = Pulse::new(at);
        for turn in 1..100 {
            at = later(at, BEAT + SECOND * (1 + turn % 3), Duration::ZERO);
            assert!(pulse.beat(at).is_some());
        }
        assert_eq!(pulse.stalls.len(), KEPT);
        assert_eq!(pulse.stalled_since(begin).map(|stall| stall.lasted), Some(3 * SECOND));
    }
}
