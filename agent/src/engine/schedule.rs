//! Who is due when, and who may begin: rhythm, confirmation after a bad sample, the growing pause of a peer that asked to
//! be left alone (kiss of death), the room for visits, and the rest of those that must not be asked often. It takes the
//! time and returns what to do: it starts nothing and reads no clock. Every operation costs the logarithm of the number of
//! tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    courtesy::{Courtesy, Rests},
    lateness::Lateness,
    room::{Bounds, Room, VisitNumber},
};
use crate::model::{politeness::TIME_SERVER_REST, remap::Remap, rounds::Rounds};

/// Due times are rounded up to this grid, so that several visits share one wake-up.
const GRID: Duration = Duration::from_millis(100);
/// The longest pause after a time server's plea to ask less often.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1024);
/// How one task wants to be visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Time between two visits while all is well.
    pub interval: Duration,
    /// Wait before a bad sample is confirmed.
    pub confirm_after: Duration,
    /// Interval while failing, at first; it doubles up to `interval`.
    pub failing_interval: Duration,
    /// The most sockets that one visit holds at once, without those that the confirmation of a failure opens beside them to
    /// addresses that failed and that the name gives no more, and those that ask for the name behind a redirect.
    pub sockets: usize,
    /// What is owed to its peer, if it must not be asked often.
    pub courtesy: Option<Courtesy>,
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
    /// The peer asked to be left alone for longer (NTP kiss codes RATE and DENY).
    AskedToSlowDown,
    /// The visit could not begin in earnest and is to be made after this pause.
    PutOff(Duration),
}

/// What the schedule has to know of a visit that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it meant.
    pub sample: Sample,
    /// Whether a packet may have reached the peer.
    pub asked: bool,
}

/// A visit to begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The visit's number.
    pub visit: VisitNumber,
    /// The task's index.
    pub task: usize,
    /// How late it is, without the time that it waited for room.
    pub late: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Steady,
    Confirming,
    Failing { pause: Duration },
    BackingOff { pause: Duration },
}

#[derive(Clone, Debug)]
struct Task {
    rhythm: Rhythm,
    phase: Duration,
    state: State,
    /// When its next visit is planned, which is its place in the order; `None` while one is under way or none will come.
    planned: Option<Instant>,
}

#[derive(Clone, Debug)]
struct UnderWay {
    /// `None` once a reload has dropped the task.
    task: Option<usize>,
    /// What is owed to its peer, and until when that was to rest before this visit.
    courtesy: Option<(Courtesy, Option<Instant>)>,
}

/// The schedule of all tasks, by index.
#[derive(Debug)]
pub struct Schedule {
    tasks: Vec<Task>,
    planned: BTreeSet<(Instant, usize)>,
    under_way: BTreeMap<VisitNumber, UnderWay>,
    room: Room,
    rests: Rests,
    base: Instant,
    rounds: Rounds,
    lateness: Lateness,
}

impl Schedule {
    /// Plans the first visit of every task.
    pub fn new(rhythms: impl IntoIterator<Item = Rhythm>, bounds: Bounds, rounds: Rounds, now: Instant) -> Self {
        let mut schedule = Self {
            tasks: Vec::new(),
            planned: BTreeSet::new(),
            under_way: BTreeMap::new(),
            room: Room::new(bounds, now),
            rests: Rests::default(),
            base: now,
            rounds,
            lateness: Lateness::new(now),
        };
        rhythms.into_iter().for_each(|rhythm| schedule.add(rhythm, now));
        schedule
    }

    /// Takes another plan in force. A task that stays keeps its place, its state and its visit under way; the visit of one
    /// that does not stay ends in its own time, and its peer is given the same rest.
    pub fn reload(&mut self, rhythms: Vec<Rhythm>, bounds: Bounds, remap: &Remap, now: Instant) {
        let mut stay: Vec<Option<Task>> = rhythms.iter().map(|_| None).collect();
        for (before, task) in std::mem::take(&mut self.tasks).into_iter().enumerate() {
            if let Some(after) = remap.get(before) {
                stay[after] = Some(task);
            }
        }
        self.planned.clear();
        self.rests.forget(now);
        for (rhythm, task) in rhythms.into_iter().zip(stay) {
            match task {
                Some(task) => self.keep(Task { rhythm, ..task }),
                None => self.add(rhythm, now),
            }
        }
        for visit in self.under_way.values_mut() {
            visit.task = visit.task.and_then(|before| remap.get(before));
        }
        self.room.rebuild(bounds, self.next_sockets(), now);
    }

    fn keep(&mut self, task: Task) {
        self.planned.extend(task.planned.map(|at| (at, self.tasks.len())));
        self.tasks.push(task);
    }

    /// Adds a task that was never visited.
    fn add(&mut self, rhythm: Rhythm, now: Instant) {
        let index = self.tasks.len();
        let first = match self.rounds {
            Rounds::Endless { spread } => spread,
            Rounds::One => Duration::ZERO,
        };
        let phase = rhythm.interval.mul_f64(spread(index));
        self.tasks.push(Task { rhythm, phase, state: State::Steady, planned: None });
        self.plan(index, now + first.mul_f64(spread(index)));
    }

    /// When [`Schedule::take_due`] has something to give; `None` while nothing waits, or only the end of a visit makes room.
    pub fn next_due(&self) -> Option<Instant> {
        let &(at, task) = self.planned.first()?;
        self.room.opens(self.tasks[task].rhythm.sockets).map(|opens| opens.max(at))
    }

    /// Takes the visits that are due, as many as there is room for.
    pub fn take_due(&mut self, now: Instant) -> Vec<Due> {
        self.room.settle(self.next_sockets(), now);
        let mut taken = Vec::new();
        while let Some(&(at, task)) = self.planned.first()
            && at <= now
            && self.room.admits(self.tasks[task].rhythm.sockets)
        {
            self.unplan(task);
            match self.not_before(task).filter(|rest| *rest > now) {
                Some(rest) => self.plan(task, rest),
                None => taken.push(self.begin(task, at, now)),
            }
        }
        taken
    }

    /// Plans the next visit of the task whose visit ended, and returns its index; `None` if a reload has dropped it.
    pub fn finished(&mut self, visit: VisitNumber, ended: Ended, now: Instant) -> Option<usize> {
        let began = self.room.leave(visit, self.next_sockets(), now)?;
        let over = self.under_way.remove(&visit)?;
        self.note_courtesy(&over, began, ended, now);
        let task = over.task?;
        let before = &self.tasks[task];
        let state = next_state(before, ended.sample);
        let at = match (state, ended.sample) {
            (_, Sample::PutOff(pause)) => Some(now + pause),
            (State::Confirming, _) => Some(now + before.rhythm.confirm_after),
            (_, _) if self.rounds == Rounds::One => None,
            (State::Steady, _) => Some(self.next_in_phase(before, now)),
            (State::Failing { pause } | State::BackingOff { pause }, _) => Some(now + pause),
        };
        self.tasks[task].state = state;
        if let Some(at) = at {
            let rest = self.not_before(task);
            self.plan(task, rest.map_or(at, |rest| rest.max(at)));
        }
        Some(task)
    }

    /// Brings a waiting task's visit forward, so that it is due at `now`, or when its peer may be asked again. One under
    /// way is left alone, and so is a confirmation: its wait is what makes it one.
    pub fn bring_forward(&mut self, task: usize, now: Instant) {
        let Some(planned) = self.tasks[task].planned else { return };
        let at = self.not_before(task).map_or(now, |rest| rest.max(now));
        if at < planned && !self.is_confirming(task) {
            self.unplan(task);
            self.put(task, at);
        }
    }

    /// The task that a visit under way is for; `None` if a reload has dropped it.
    pub fn task_of(&self, visit: VisitNumber) -> Option<usize> {
        self.under_way.get(&visit)?.task
    }

    /// Plans no confirmation for now: others are asked in the task's place.
    pub fn hold(&mut self, task: usize) {
        self.unplan(task);
    }

    /// Plans the confirmation of a task that was held, at once: it has waited long enough.
    pub fn release(&mut self, task: usize, now: Instant) {
        if self.tasks[task].planned.is_none() {
            let rest = self.not_before(task);
            self.plan(task, rest.map_or(now, |rest| rest.max(now)));
        }
    }

    /// Whether the last sample of a task was bad and waits for its confirmation.
    pub fn is_confirming(&self, task: usize) -> bool {
        self.tasks[task].state == State::Confirming
    }

    /// Visits that are planned.
    pub fn planned(&self) -> usize {
        self.planned.len()
    }

    /// Whether no visit is under way and none will come.
    pub fn is_over(&self) -> bool {
        self.planned.is_empty() && self.under_way.is_empty()
    }

    /// The visits under way.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// How punctual visits begin.
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    fn begin(&mut self, task: usize, at: Instant, now: Instant) -> Due {
        let late = self.lateness.observe(now, at, self.room.since());
        let rhythm = &self.tasks[task].rhythm;
        let visit = self.room.enter(rhythm.sockets, now);
        let courtesy = rhythm.courtesy.clone().map(|owed| {
            let before = self.rests.begin(&owed, now);
            (owed, before)
        });
        self.under_way.insert(visit, UnderWay { task: Some(task), courtesy });
        Due { visit, task, late }
    }

    /// The sockets of the visit that is planned next.
    fn next_sockets(&self) -> usize {
        self.planned.first().map_or(1, |(_, task)| self.tasks[*task].rhythm.sockets)
    }

    fn note_courtesy(&mut self, over: &UnderWay, began: Instant, ended: Ended, now: Instant) {
        let Some((owed, before)) = &over.courtesy else { return };
        if !ended.asked {
            self.rests.was_not_asked(owed, began, *before);
        }
        if ended.sample == Sample::AskedToSlowDown {
            let pause = over.task.map_or(owed.spacing.max(TIME_SERVER_REST) * 2, |task| backed_off(&self.tasks[task]));
            self.rests.pleaded(owed, now + pause);
        }
    }

    /// Before when a task's peer is not to be asked.
    fn not_before(&self, task: usize) -> Option<Instant> {
        let owed = self.tasks[task].rhythm.courtesy.as_ref()?;
        self.rests.not_before(owed, self.is_confirming(task))
    }

    fn plan(&mut self, task: usize, at: Instant) {
        let at = self.on_grid(at);
        self.put(task, at);
    }

    fn put(&mut self, task: usize, at: Instant) {
        self.tasks[task].planned = Some(at);
        self.planned.insert((at, task));
    }

    fn unplan(&mut self, task: usize) {
        if let Some(at) = self.tasks[task].planned.take() {
            self.planned.remove(&(at, task));
        }
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
        (Sample::PutOff(_), state) => state,
        (Sample::Good, _) => State::Steady,
        (Sample::Unknown, State::Confirming) => State::Steady,
        (Sample::Unknown, state) => state,
        (Sample::Bad, State::Steady | State::BackingOff { .. }) => State::Confirming,
        (Sample::Bad, State::Confirming) => State::Failing { pause: task.rhythm.failing_interval.min(interval) },
        (Sample::Bad, State::Failing { pause }) => State::Failing { pause: (pause * 2).min(interval) },
        (Sample::AskedToSlowDown, _) => State::BackingOff { pause: backed_off(task) },
    }
}

/// The pause after a plea: it doubles with each.
fn backed_off(task: &Task) -> Duration {
    let interval = task.rhythm.interval;
    match task.state {
        State::BackingOff { pause } => (pause * 2).min(LONGEST_BACKOFF).max(interval),
        State::Steady | State::Confirming | State::Failing { .. } => interval * 2,
    }
}

/// A number in 0..1 for each index; neighbours are far apart and any run of indices is spread evenly
/// (multiples of the golden ratio, modulo 1).
fn spread(index: usize) -> f64 {
    (index as f64 * 0.618_033_988_749_894_9).fract()
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
