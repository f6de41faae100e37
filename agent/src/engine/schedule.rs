//! Who is due when, and who may begin: rhythm, confirmation after a bad upshot, the growing pause of a peer that asked to
//! be left alone (kiss of death), the room for visits, and the rest of those that must not be asked often. It takes the
//! time and returns what to do: it starts nothing and reads no clock. Every operation costs the logarithm of the number of
//! tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    courtesy::{Before, Courtesy, Rests},
    lateness::Lateness,
    room::{Bounds, Room, VisitNumber},
};
use crate::model::{
    politeness::{LONGEST_PLEA, TIME_SERVER_REST},
    remap::Remap,
    rounds::Rounds,
};

/// Due times are rounded up to this grid, so that several visits share one wake-up.
const GRID: Duration = Duration::from_millis(100);

/// How one task wants to be visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Time between two visits while all is well.
    pub interval: Duration,
    /// Wait before a bad upshot is confirmed.
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
pub enum Upshot {
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
    pub upshot: Upshot,
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
enum Mode {
    Steady,
    Confirming,
    Failing { pause: Duration },
    BackingOff { pause: Duration },
}

#[derive(Clone, Debug)]
struct Task {
    rhythm: Rhythm,
    phase: Duration,
    mode: Mode,
    /// When its next visit is planned; `None` while one is under way or none will come.
    planned: Option<Instant>,
    /// When its rhythm wanted that visit, before its peer's rest or a budget put it off: of those that are planned for the
    /// same moment, whoever waited longest goes first.
    wanted: Instant,
    /// Whether its last visit asked its peer: only then is the next one the confirmation of what that said.
    asked: bool,
}

#[derive(Clone, Debug)]
struct UnderWay {
    /// `None` once a reload has dropped the task.
    task: Option<usize>,
    /// What is owed to its peer, and until when that was to rest before this visit.
    courtesy: Option<(Courtesy, Before)>,
}

/// The schedule of all tasks, by index.
#[derive(Debug)]
pub struct Schedule {
    tasks: Vec<Task>,
    /// When each visit is planned and was wanted, and whose it is.
    planned: BTreeSet<(Instant, Instant, usize)>,
    /// Those of them that confirm a failure in a single look: without a few nothing is told, and its time is short.
    confirmations: BTreeSet<(Instant, Instant, usize)>,
    /// The sockets that are kept for these.
    kept: usize,
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
            confirmations: BTreeSet::new(),
            kept: 0,
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

    /// Takes another plan in force. A task that stays keeps its mode, its visit under way and, in the same rhythm, its place; the visit of one
    /// that does not stay ends in its own time, and its peer is given the same rest.
    pub fn reload(&mut self, rhythms: Vec<Rhythm>, bounds: Bounds, remap: &Remap, now: Instant) {
        let mut stay: Vec<Option<Task>> = rhythms.iter().map(|_| None).collect();
        for (before, task) in std::mem::take(&mut self.tasks).into_iter().enumerate() {
            if let Some(after) = remap.get(before) {
                stay[after] = Some(task);
            }
        }
        self.planned.clear();
        self.confirmations.clear();
        self.kept = 0;
        self.rests.forget(now);
        for (rhythm, task) in rhythms.into_iter().zip(stay) {
            match task {
                Some(task) => self.keep(task, rhythm, now),
                None => self.add(rhythm, now),
            }
        }
        for visit in self.under_way.values_mut() {
            visit.task = visit.task.and_then(|before| remap.get(before));
        }
        self.room.rebuild(bounds, self.next_sockets(now), now);
    }

    /// Keeps a task. In another rhythm than before it has another phase, by which its next visit comes at the latest.
    fn keep(&mut self, task: Task, rhythm: Rhythm, now: Instant) {
        let index = self.tasks.len();
        let is_other = task.rhythm.interval != rhythm.interval;
        let phase = if is_other { rhythm.interval.mul_f64(spread(index)) } else { task.phase };
        let task = Task { rhythm, phase, ..task };
        let latest = is_other.then(|| self.on_grid(self.next_in_phase(&task, now)));
        let planned = task.planned.map(|at| latest.map_or(at, |latest| latest.min(at)));
        self.tasks.push(Task { planned: None, ..task });
        planned.into_iter().for_each(|at| self.put(index, at));
    }

    /// Adds a task that was never visited.
    fn add(&mut self, rhythm: Rhythm, now: Instant) {
        let index = self.tasks.len();
        let first = match self.rounds {
            Rounds::Endless { spread } => spread,
            Rounds::One => Duration::ZERO,
        };
        let phase = rhythm.interval.mul_f64(spread(index));
        // A look that cannot begin all visits at once begins with some of every kind, wherever they stand in the catalogue.
        let wanted = now + first.max(GRID).mul_f64(spread(index));
        self.tasks.push(Task { rhythm, phase, mode: Mode::Steady, planned: None, wanted, asked: false });
        self.plan(index, now + first.mul_f64(spread(index)));
    }

    /// When [`Schedule::take_due`] has something to give; `None` while nothing waits, or only the end of a visit makes room.
    pub fn next_due(&self) -> Option<Instant> {
        let heads = [self.planned.first(), self.confirmations.first()];
        let opens = |&(at, _, task): &(Instant, Instant, usize)| Some(self.room.opens(self.needs(task)?)?.max(at));
        heads.into_iter().flatten().filter_map(opens).min()
    }

    /// Takes the visits that are due, as many as there is room for.
    pub fn take_due(&mut self, now: Instant) -> Vec<Due> {
        self.room.settle(self.next_sockets(now), now);
        let mut taken = Vec::new();
        while let Some((at, task)) = self.next(now)
            && at <= now
            && self.needs(task).is_some_and(|sockets| self.room.admits(sockets))
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
        let began = self.room.leave(visit, self.next_sockets(now), now)?;
        let over = self.under_way.remove(&visit)?;
        let pause = self.note_courtesy(&over, began, ended, now);
        let task = over.task?;
        let before = &self.tasks[task];
        let mode = next_mode(before, ended.upshot, pause);
        let at = match (mode, ended.upshot) {
            (_, Upshot::PutOff(pause)) => Some(now + pause),
            (Mode::Confirming, _) => Some(now + before.rhythm.confirm_after),
            (_, _) if self.rounds == Rounds::One => None,
            (Mode::Steady, _) => Some(self.next_in_phase(before, now)),
            (Mode::Failing { pause } | Mode::BackingOff { pause }, _) => Some(now + pause),
        };
        (self.tasks[task].mode, self.tasks[task].asked) = (mode, ended.asked);
        if let Some(at) = at {
            if !matches!(ended.upshot, Upshot::PutOff(_)) {
                self.tasks[task].wanted = at;
            }
            let rest = self.not_before(task);
            self.plan(task, rest.map_or(at, |rest| rest.max(at)));
        }
        Some(task)
    }

    /// Brings a waiting task's visit forward, so that it is due at `now`, or when its peer may be asked again. One under
    /// way is left alone, and so is a confirmation: its wait is what makes it one.
    pub fn bring_forward(&mut self, task: usize, now: Instant) {
        let Some(planned) = self.tasks[task].planned else { return };
        // A rest ends for all on the same grid: of those that wait for it, nobody gets ahead by being brought forward.
        let at = self.not_before(task).filter(|rest| *rest > now).map_or(now, |rest| self.on_grid(rest));
        if at < planned && !self.is_confirming(task) {
            self.unplan(task);
            self.put(task, at);
        }
    }

    /// Takes in the addresses of its peer that a visit under way led to.
    pub fn led_to(&mut self, visit: VisitNumber, addresses: &[IpAddr]) {
        let owed = self.under_way.get(&visit).and_then(|visit| visit.courtesy.as_ref());
        if let Some((owed, _)) = owed.filter(|_| !addresses.is_empty()) {
            self.rests.led_to(owed, addresses);
        }
    }

    /// Gives up the visits that are planned after this moment, and returns their tasks and whether their peers rest until then.
    /// While a time server is being asked it may yet turn out that it was not.
    pub fn give_up_after(&mut self, ends: Instant, now: Instant) -> Vec<(usize, bool)> {
        let late: Vec<usize> = self.planned.range((ends, ends, 0)..).map(|(_, _, task)| *task).collect();
        late.iter().for_each(|task| self.bring_forward(*task, now));
        let is_asking = !late.is_empty() && self.under_way.values().any(|visit| visit.courtesy.is_some());
        let given_up = |task: &usize| !is_asking && self.tasks[*task].planned.is_some_and(|at| at > ends);
        let late: Vec<usize> = late.into_iter().filter(given_up).collect();
        late.iter().for_each(|task| self.unplan(*task));
        late.into_iter().map(|task| (task, self.not_before(task).is_some_and(|rest| rest > ends))).collect()
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

    /// Whether the last upshot of a task was bad and waits for its confirmation.
    pub fn is_confirming(&self, task: usize) -> bool {
        self.tasks[task].mode == Mode::Confirming
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

    /// The visit that is next, and when it is planned: a look's confirmation that is due goes before all others.
    fn next(&self, now: Instant) -> Option<(Instant, usize)> {
        let confirmation = self.confirmations.first().filter(|(at, ..)| *at <= now);
        confirmation.or(self.planned.first()).map(|(at, _, task)| (*at, *task))
    }

    /// The sockets for which there must be room before a task is visited: its own, and those that are kept for a look's
    /// confirmations. `None` where there is no such room before these are made.
    fn needs(&self, task: usize) -> Option<usize> {
        let own = self.tasks[task].rhythm.sockets;
        let kept = if self.is_kept_for(task) { 0 } else { self.kept };
        (kept == 0 || own + kept <= self.room.bounds().sockets).then_some(own + kept)
    }

    fn is_kept_for(&self, task: usize) -> bool {
        self.rounds == Rounds::One && self.is_confirming(task)
    }

    /// The sockets of the visit that is next.
    fn next_sockets(&self, now: Instant) -> usize {
        self.next(now).map_or(1, |(_, task)| self.tasks[task].rhythm.sockets)
    }

    /// Notes what a visit that is over meant for its peer's rest, and returns the pause that a plea in it asks for.
    fn note_courtesy(&mut self, over: &UnderWay, began: Instant, ended: Ended, now: Instant) -> Duration {
        let pause = self.backed_off(over);
        let Some((owed, before)) = &over.courtesy else { return pause };
        self.rests.forget(now);
        match ended.asked {
            true => self.rests.was_asked(owed, now),
            false => self.rests.was_not_asked(owed, began, before),
        }
        match ended.upshot {
            Upshot::AskedToSlowDown => self.rests.pleaded(owed, pause, now),
            Upshot::Good => self.rests.answered(owed),
            Upshot::Bad | Upshot::Unknown | Upshot::PutOff(_) => {}
        }
        pause
    }

    /// The pause after a plea: it doubles with each, also where a reload came between.
    fn backed_off(&self, over: &UnderWay) -> Duration {
        let owed = over.courtesy.as_ref().map(|(owed, _)| owed);
        let (interval, own) = match over.task.map(|task| &self.tasks[task]) {
            None => (owed.map_or(TIME_SERVER_REST, |owed| owed.spacing.max(TIME_SERVER_REST)), None),
            Some(Task { rhythm, mode: Mode::BackingOff { pause }, .. }) => (rhythm.interval, Some(*pause)),
            Some(Task { rhythm, .. }) => (rhythm.interval, None),
        };
        let last = own.max(owed.and_then(|owed| self.rests.last_pause(owed)));
        last.map_or(interval * 2, |pause| (pause * 2).min(LONGEST_PLEA).max(interval))
    }

    /// Before when a task's peer is not to be asked.
    fn not_before(&self, task: usize) -> Option<Instant> {
        let owed = self.tasks[task].rhythm.courtesy.as_ref()?;
        self.rests.not_before(owed, self.is_confirming(task) && self.tasks[task].asked)
    }

    fn plan(&mut self, task: usize, at: Instant) {
        let at = self.on_grid(at);
        self.put(task, at);
    }

    fn put(&mut self, task: usize, at: Instant) {
        let of_task = &mut self.tasks[task];
        of_task.planned = Some(at);
        let (planned, sockets) = ((at, of_task.wanted, task), of_task.rhythm.sockets);
        self.planned.insert(planned);
        if self.is_kept_for(task) {
            self.confirmations.insert(planned);
            self.kept += sockets;
        }
    }

    fn unplan(&mut self, task: usize) {
        let Some(at) = self.tasks[task].planned.take() else { return };
        let planned = (at, self.tasks[task].wanted, task);
        self.planned.remove(&planned);
        if self.confirmations.remove(&planned) {
            self.kept -= self.tasks[task].rhythm.sockets;
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

fn next_mode(task: &Task, upshot: Upshot, pause: Duration) -> Mode {
    let interval = task.rhythm.interval;
    match (upshot, task.mode) {
        (Upshot::PutOff(_), mode) => mode,
        (Upshot::Good, _) => Mode::Steady,
        (Upshot::Unknown, Mode::Confirming) => Mode::Steady,
        (Upshot::Unknown, mode) => mode,
        (Upshot::Bad, Mode::Steady | Mode::BackingOff { .. }) => Mode::Confirming,
        (Upshot::Bad, Mode::Confirming) => Mode::Failing { pause: task.rhythm.failing_interval.min(interval) },
        (Upshot::Bad, Mode::Failing { pause }) => Mode::Failing { pause: (pause * 2).min(interval) },
        (Upshot::AskedToSlowDown, _) => Mode::BackingOff { pause },
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
