//! Who is due when. It takes the time and returns what to do: it starts nothing and reads no clock.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use crate::model::rounds::Rounds;

/// Due times are rounded up to this grid, so that several visits share one wake-up.
const GRID: Duration = Duration::from_millis(100);
/// The longest pause after a time server's plea to ask less often.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1024);
/// A visit that begins this late shows that the machine stood still.
pub const STALL: Duration = Duration::from_secs(1);
/// Stalls that are remembered.
const STALLS: usize = 16;
/// The window over which the largest lateness is reported is between one and two of these.
const LAG_WINDOW: Duration = Duration::from_secs(30);

/// How one task wants to be visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Time between two visits while all is well.
    pub interval: Duration,
    /// Wait before a bad sample is confirmed.
    pub confirm_after: Duration,
    /// Interval while failing, at first; it doubles up to `interval`.
    pub failing_interval: Duration,
}

/// What a visit meant for the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// The peer proved itself.
    Good,
    /// It did not.
    Bad,
    /// Nothing was learned.
    Unknown,
    /// The peer asked to be left alone for longer (NTP kiss code RATE).
    AskedToSlowDown,
}

/// A visit to begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The task's index.
    pub task: usize,
    /// How late it is.
    pub late: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Steady,
    Confirming,
    Failing { pause: Duration },
    BackingOff { pause: Duration },
}

#[derive(Clone, Copy, Debug)]
struct Task {
    rhythm: Rhythm,
    phase: Duration,
    state: State,
}

/// The schedule of all tasks, by index.
#[derive(Debug)]
pub struct Schedule {
    tasks: Vec<Task>,
    due: BTreeSet<(Instant, usize)>,
    base: Instant,
    rounds: Rounds,
    free: usize,
    lag: Lag,
}

impl Schedule {
    /// Plans the first visit of every task. At most `concurrency` visits are under way at once.
    pub fn new(rhythms: impl IntoIterator<Item = Rhythm>, concurrency: usize, rounds: Rounds, now: Instant) -> Self {
        let tasks: Vec<Task> = rhythms
            .into_iter()
            .enumerate()
            .map(|(index, rhythm)| Task { rhythm, phase: rhythm.interval.mul_f64(spread(index)), state: State::Steady })
            .collect();
        let first = match rounds {
            Rounds::Endless { spread } => spread,
            Rounds::One => Duration::ZERO,
        };
        let due = (0..tasks.len()).map(|index| (now + first.mul_f64(spread(index)), index)).collect();
        let mut schedule = Self { tasks, due, base: now, rounds, free: concurrency, lag: Lag::new(now) };
        schedule.due = schedule.due.iter().map(|(at, task)| (schedule.on_grid(*at), *task)).collect();
        schedule
    }

    /// When [`Schedule::take_due`] has something to give; `None` while nothing waits or no visit may begin.
    pub fn next_due(&self) -> Option<Instant> {
        if self.free == 0 { None } else { self.due.first().map(|(at, _)| *at) }
    }

    /// Takes the visits that are due, as many as may be under way.
    pub fn take_due(&mut self, now: Instant) -> Vec<Due> {
        let mut taken = Vec::new();
        while self.free > 0
            && let Some(&(at, task)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            self.free -= 1;
            let late = now - at;
            self.lag.observe(now, late);
            taken.push(Due { task, late });
        }
        taken
    }

    /// Plans the next visit of a task whose visit ended.
    pub fn finished(&mut self, task: usize, sample: Sample, now: Instant) {
        self.free += 1;
        let before = self.tasks[task];
        let state = next_state(&before, sample);
        self.tasks[task].state = state;
        let at = match state {
            State::Confirming => now + before.rhythm.confirm_after,
            State::Steady | State::Failing { .. } | State::BackingOff { .. } if self.rounds == Rounds::One => return,
            State::Steady => self.next_in_phase(&before, now),
            State::Failing { pause } | State::BackingOff { pause } => now + pause,
        };
        self.due.insert((self.on_grid(at), task));
    }

    /// Puts a visit off that could not begin, without any sample.
    pub fn put_off(&mut self, task: usize, pause: Duration, now: Instant) {
        self.free += 1;
        self.due.insert((self.on_grid(now + pause), task));
    }

    /// Brings a waiting task's visit forward, so that it is due at `now`; one under way is left alone.
    pub fn hurry(&mut self, task: usize, now: Instant) {
        if let Some(planned) = self.due.iter().copied().find(|(_, waiting)| *waiting == task)
            && planned.0 > now
        {
            self.due.remove(&planned);
            self.due.insert((now, task));
        }
    }

    /// Whether the last sample of a task was bad and waits for its confirmation.
    pub fn is_confirming(&self, task: usize) -> bool {
        self.tasks[task].state == State::Confirming
    }

    /// The largest lateness of visits that became due at `since` or later, as far as it was long enough to note.
    pub fn stalled_since(&self, since: Instant) -> Duration {
        let noted = self.lag.stalls.iter().filter(|(at, _)| *at >= since).map(|(_, late)| *late);
        noted.max().unwrap_or_default()
    }

    /// The largest lateness of the last half to full minute.
    pub fn lag(&self) -> Duration {
        self.lag.max()
    }

    /// The next moment of the task's own phase that is at least half an interval away.
    fn next_in_phase(&self, task: &Task, now: Instant) -> Instant {
        let interval = task.rhythm.interval;
        let earliest = now + interval / 2 - self.base;
        let periods = earliest.saturating_sub(task.phase).as_secs_f64() / interval.as_secs_f64();
        self.base + task.phase + interval.mul_f64(periods.ceil())
    }

    fn on_grid(&self, at: Instant) -> Instant {
        let grid = GRID.as_nanos();
        let steps = (at - self.base).as_nanos().div_ceil(grid);
        self.base + Duration::from_nanos(u64::try_from(steps * grid).unwrap_or(u64::MAX / 4))
    }
}

fn next_state(task: &Task, sample: Sample) -> State {
    let interval = task.rhythm.interval;
    match (sample, task.state) {
        (Sample::Good, _) => State::Steady,
        (Sample::Unknown, State::Confirming) => State::Steady,
        (Sample::Unknown, state) => state,
        (Sample::Bad, State::Steady | State::BackingOff { .. }) => State::Confirming,
        (Sample::Bad, State::Confirming) => State::Failing { pause: task.rhythm.failing_interval.min(interval) },
        (Sample::Bad, State::Failing { pause }) => State::Failing { pause: (pause * 2).min(interval) },
        (Sample::AskedToSlowDown, State::BackingOff { pause }) => {
            State::BackingOff { pause: (pause * 2).min(LONGEST_BACKOFF).max(interval) }
        }
        (Sample::AskedToSlowDown, _) => State::BackingOff { pause: interval * 2 },
    }
}

/// A number in 0..1 for each index; neighbours are far apart and any run of indices is spread evenly
/// (multiples of the golden ratio, modulo 1).
fn spread(index: usize) -> f64 {
    (index as f64 * 0.618_033_988_749_894_9).fract()
}

/// The largest lateness over the current and the previous window.
#[derive(Debug)]
struct Lag {
    began: Instant,
    current: Duration,
    previous: Duration,
    /// The last stalls: when each was noticed, and how long it was.
    stalls: VecDeque<(Instant, Duration)>,
}

impl Lag {
    fn new(now: Instant) -> Self {
        Self { began: now, current: Duration::ZERO, previous: Duration::ZERO, stalls: VecDeque::new() }
    }

    fn observe(&mut self, now: Instant, late: Duration) {
        if now - self.began >= LAG_WINDOW {
            self.previous = std::mem::take(&mut self.current);
            self.began = now;
        }
        self.current = self.current.max(late);
        if late >= STALL {
            self.stalls.push_back((now, late));
            if self.stalls.len() > STALLS {
                self.stalls.pop_front();
            }
        }
    }

    fn max(&self) -> Duration {
        self.current.max(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RHYTHM: Rhythm =
        Rhythm { interval: Duration::from_secs(30), confirm_after: SECOND, failing_interval: Duration::from_secs(10) };

    fn start() -> Instant {
        ase_probes::clock::now()
    }

    fn endless(tasks: usize, concurrency: usize, now: Instant) -> Schedule {
        Schedule::new(vec![RHYTHM; tasks], concurrency, Rounds::Endless { spread: 5 * SECOND }, now)
    }

    /// Finishes the only task's visit and returns how long it then waits.
    fn wait_after(schedule: &mut Schedule, sample: Sample) -> Duration {
        let at = schedule.next_due().expect("the task is planned");
        assert_eq!(schedule.take_due(at).len(), 1);
        schedule.finished(0, sample, at);
        schedule.next_due().expect("planned again") - at
    }

    #[test]
    fn a_healthy_task_keeps_its_interval() {
        let mut schedule = endless(1, 1, start());
        let _settles = wait_after(&mut schedule, Sample::Good);
        for _ in 0..5 {
            assert_eq!(wait_after(&mut schedule, Sample::Good), RHYTHM.interval);
        }
    }

    #[test]
    fn a_bad_sample_is_confirmed_then_asked_faster_with_back_off() {
        let mut schedule = endless(1, 1, start());
        assert_eq!(wait_after(&mut schedule, Sample::Bad), SECOND);
        assert!(schedule.is_confirming(0));
        let waits: Vec<_> = (0..4).map(|_| wait_after(&mut schedule, Sample::Bad).as_secs()).collect();
        assert_eq!(waits, [10, 20, 30, 30]);
        assert!(wait_after(&mut schedule, Sample::Good) >= RHYTHM.interval / 2);
    }

    #[test]
    fn a_plea_for_peace_doubles_the_pause_and_is_never_confirmed() {
        let mut schedule = endless(1, 1, start());
        let waits: Vec<_> = (0..6).map(|_| wait_after(&mut schedule, Sample::AskedToSlowDown).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1024]);
    }

    #[test]
    fn no_more_visits_are_under_way_than_allowed_and_the_rest_is_late_not_lost() {
        let now = start();
        let mut schedule = Schedule::new(vec![RHYTHM; 10], 4, Rounds::One, now);
        let first = schedule.take_due(now);
        assert_eq!((first.len(), schedule.next_due()), (4, None));
        schedule.finished(first[0].task, Sample::Good, now + SECOND);
        let next = schedule.take_due(now + SECOND);
        assert_eq!((next.len(), next[0].late), (1, SECOND));
        assert_eq!(schedule.lag(), SECOND);
    }

    #[test]
    fn one_round_visits_each_task_once_and_confirms_the_bad() {
        let now = start();
        let mut schedule = Schedule::new(vec![RHYTHM; 2], 8, Rounds::One, now);
        assert_eq!(schedule.take_due(now).len(), 2);
        schedule.finished(0, Sample::Good, now);
        schedule.finished(1, Sample::Bad, now);
        assert_eq!(schedule.take_due(now + SECOND), [Due { task: 1, late: Duration::ZERO }]);
        schedule.finished(1, Sample::Bad, now + SECOND);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn starts_are_spread_evenly_and_share_wake_ups() {
        let now = start();
        let mut schedule = endless(1000, 1000, now);
        let (mut wake_ups, mut largest) = (0, 0);
        while let Some(at) = schedule.next_due() {
            largest = largest.max(schedule.take_due(at).len());
            wake_ups += 1;
        }
        assert!(wake_ups <= 51, "{wake_ups} wake-ups for 5 s at 100 ms");
        assert!(largest <= 25, "{largest} visits in one of 50 slots for 1000");
    }

    proptest! {
        #[test]
        fn a_task_is_never_visited_twice_at_once_nor_forgotten(samples in proptest::collection::vec(0u8..4, 1..200)) {
            let mut schedule = endless(3, 2, start());
            let mut under_way: Vec<usize> = Vec::new();
            let mut now = start();
            for sample in samples {
                if let Some(at) = schedule.next_due() {
                    now = now.max(at);
                    for due in schedule.take_due(now) {
                        prop_assert!(!under_way.contains(&due.task));
                        under_way.push(due.task);
                    }
                }
                prop_assert!(under_way.len() <= 2);
                let sample = [Sample::Good, Sample::Bad, Sample::Unknown, Sample::AskedToSlowDown][usize::from(sample)];
                if !under_way.is_empty() {
                    schedule.finished(under_way.remove(0), sample, now);
                }
                prop_assert_eq!(schedule.due.len() + under_way.len(), 3);
            }
        }
    }
}
