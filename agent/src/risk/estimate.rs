//! The outage clock of every class, how it runs, runs back and is capped, and the estimate of a suspension made from them.
//! Pure: it is told how long which share of a class was lost.
//!
//! What is known (Microsoft, network-info.md): an environment that loses its dependencies stops working, and "when that
//! happens for a long enough period of time, it's suspended". How long that is, is published nowhere. The horizon is
//! therefore an assumption, and so are the weights; both can be configured.

use std::{collections::BTreeMap, time::Duration};

use ase_probes::class::Class;

use crate::model::assumptions::{Assumptions, LN_20};

/// The discount on every class but the worst: classes fail together.
const BETA: f64 = 0.25;
/// One hour of outage needs two healthy hours to be forgotten.
const RECOVERY: f64 = 0.5;
/// Healthy steps in a row before a clock runs back.
const HEALTHY_STEPS: u32 = 3;
/// A clock stands still at this many horizons.
const CAP: f64 = 10.0;
/// While a class cannot be tested, its last loss stands this long in the forecast: three default intervals.
const FROZEN: Duration = Duration::from_secs(90);
/// Times that the time until a level is halved: ten assumed horizons of four hours come down to a fifth of a second.
const HALVINGS: u32 = 20;
/// A level falls only this far below its threshold.
const LEVEL_SLACK: f64 = 0.9;
/// A level falls at most once in this time.
const LEVEL_REST: Duration = Duration::from_secs(600);

/// How much of a class is lost, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// This share, 0 to 1.
    Known(f64),
    /// Nothing could be tested: neither good nor bad.
    Unknown,
}

/// How worried to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to see.
    #[default]
    None,
    /// From 0.05: about half an hour of a whole class.
    Info,
    /// From 0.25: about 75 minutes.
    Warn,
    /// From 0.5: about two hours.
    Page,
    /// From 0.8: about three hours.
    Critical,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::None, Self::Info, Self::Warn, Self::Page, Self::Critical];

    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Page => "page",
            Self::Critical => "critical",
        }
    }

    /// Finds the level with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.label() == label)
    }

    /// The risk from which on it is reached.
    pub fn threshold(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Info => 0.05,
            Self::Warn => 0.25,
            Self::Page => 0.5,
            Self::Critical => 0.8,
        }
    }

    fn of(risk: f64) -> Self {
        Self::ALL.into_iter().rev().find(|level| risk >= level.threshold()).unwrap_or_default()
    }
}

/// One class's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Clock {
    /// Weighted outage in seconds.
    outage: f64,
    /// The share that was lost at the last known step; zero after three intervals in the dark.
    loss: f64,
    /// Healthy steps in a row.
    healthy: u32,
    /// How long the class could not be tested.
    untested: Duration,
}

/// One class's clock as it is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockTime {
    /// Weighted outage in seconds.
    pub outage: f64,
    /// The share that was lost at the last known step.
    pub loss: f64,
    /// Healthy steps in a row.
    pub healthy: u32,
}

/// What has to be remembered for the risk to go on where it stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RiskMemory {
    /// Every class's clock.
    pub clocks: BTreeMap<Class, ClockTime>,
    /// The level.
    pub level: Level,
    /// Time since the level changed.
    pub since_change: Duration,
    /// The number of the last step.
    pub sequence: u64,
}

/// All clocks and the level.
#[derive(Clone, Debug, PartialEq)]
pub struct Risk {
    assumptions: Assumptions,
    clocks: BTreeMap<Class, Clock>,
    level: Level,
    since_change: Duration,
    sequence: u64,
}

/// What the clocks say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The estimated risk of suspension by each class alone, 0 to 1.
    pub classes: BTreeMap<Class, f64>,
    /// The time each class's clock stands at.
    pub lost: BTreeMap<Class, Duration>,
    /// The share of each class that is lost now.
    pub losses: BTreeMap<Class, f64>,
    /// The estimated risk of suspension, 0 to 1.
    pub total: f64,
    /// How worried to be; falls slowly.
    pub level: Level,
    /// Time until the first clock reaches the horizon if nothing changes; `None` while nothing is lost.
    pub to_horizon: Option<Duration>,
    /// The next level that the estimate reaches and the time until then if nothing changes; `None` while nothing is lost,
    /// or where what is lost never gets there.
    pub to_level: Option<(Level, Duration)>,
    /// The assumed horizon.
    pub horizon: Duration,
}

impl Risk {
    /// Clocks at zero for these classes.
    pub fn new(assumptions: Assumptions, classes: impl IntoIterator<Item = Class>) -> Self {
        let clocks = classes.into_iter().map(|class| (class, Clock::default())).collect();
        Self { assumptions, clocks, level: Level::None, since_change: LEVEL_REST, sequence: 0 }
    }

    /// Takes other assumptions or classes; the clocks of classes that stay keep their time.
    pub fn reconfigure(&mut self, assumptions: Assumptions, classes: impl IntoIterator<Item = Class>) {
        let kept = |class: Class| (class, self.clocks.get(&class).copied().unwrap_or_default());
        self.clocks = classes.into_iter().map(kept).collect();
        self.assumptions = assumptions;
    }

    /// What has to be remembered.
    pub fn memory(&self) -> RiskMemory {
        let time = |clock: &Clock| ClockTime { outage: clock.outage, loss: clock.loss, healthy: clock.healthy };
        let clocks = self.clocks.iter().map(|(class, clock)| (*class, time(clock))).collect();
        RiskMemory { clocks, level: self.level, since_change: self.since_change, sequence: self.sequence }
    }

    /// Takes up where the memory stood, for the classes that there are now.
    pub fn recall(&mut self, memory: &RiskMemory) {
        let cap = self.assumptions.horizon.as_secs_f64() * CAP;
        for (class, clock) in &mut self.clocks {
            let time = memory.clocks.get(class).copied().unwrap_or_default();
            let outage = if time.outage.is_finite() { time.outage.clamp(0.0, cap) } else { 0.0 };
            let loss = if time.loss.is_finite() { time.loss.clamp(0.0, 1.0) } else { 0.0 };
            *clock = Clock { outage, loss, healthy: time.healthy, untested: Duration::ZERO };
        }
        (self.level, self.since_change, self.sequence) = (memory.level, memory.since_change, memory.sequence);
    }

    /// The number of the last step that was taken.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Lets `elapsed` pass with these losses. The caller clips `elapsed`, so that a paused machine counts nothing. A step
    /// whose number was reached before is not taken again.
    pub fn step(&mut self, sequence: u64, losses: &BTreeMap<Class, Loss>, elapsed: Duration) {
        if sequence <= self.sequence {
            return;
        }
        self.sequence = sequence;
        let seconds = elapsed.as_secs_f64();
        let cap = self.assumptions.horizon.as_secs_f64() * CAP;
        for (class, clock) in &mut self.clocks {
            match losses.get(class) {
                Some(Loss::Known(loss)) if *loss > 0.0 => {
                    clock.untested = Duration::ZERO;
                    clock.loss = loss.clamp(0.0, 1.0);
                    clock.healthy = 0;
                    clock.outage = (clock.outage + clock.loss * seconds).min(cap);
                }
                Some(Loss::Known(_)) => {
                    clock.untested = Duration::ZERO;
                    clock.loss = 0.0;
                    clock.healthy = clock.healthy.saturating_add(1);
                    if clock.healthy >= HEALTHY_STEPS {
                        clock.outage = (clock.outage - RECOVERY * seconds).max(0.0);
                    }
                }
                Some(Loss::Unknown) | None => {
                    clock.untested = clock.untested.saturating_add(elapsed);
                    if clock.untested > FROZEN {
                        clock.loss = 0.0;
                    }
                }
            }
        }
        self.since_change = self.since_change.saturating_add(elapsed);
        self.settle_level();
    }

    /// A level rises at once, and falls only well below its threshold and not twice in ten minutes.
    fn settle_level(&mut self) {
        let risk = self.total();
        let reached = Level::of(risk);
        let may_fall = self.since_change >= LEVEL_REST && risk < self.level.threshold() * LEVEL_SLACK;
        if reached > self.level || (reached < self.level && may_fall) {
            self.level = reached;
            self.since_change = Duration::ZERO;
        }
    }

    /// What the clocks say now.
    pub fn estimate(&self) -> Estimate {
        let horizon = self.assumptions.horizon.as_secs_f64();
        let to_horizon = |clock: &Clock| (clock.loss > 0.0).then(|| (horizon - clock.outage).max(0.0) / clock.loss);
        Estimate {
            classes: self.clocks.iter().map(|(class, clock)| (*class, self.class_risk(clock))).collect(),
            lost: self.clocks.iter().map(|(class, clock)| (*class, Duration::from_secs_f64(clock.outage))).collect(),
            losses: self.clocks.iter().map(|(class, clock)| (*class, clock.loss)).collect(),
            total: self.total(),
            level: self.level,
            to_horizon: self.clocks.values().filter_map(to_horizon).reduce(f64::min).map(Duration::from_secs_f64),
            to_level: self.to_level(),
            horizon: self.assumptions.horizon,
        }
    }

    /// The next level and the time until it is reached, by halving the time in which it must be.
    fn to_level(&self) -> Option<(Level, Duration)> {
        if self.clocks.values().all(|clock| clock.loss <= 0.0) {
            return None;
        }
        let next = Level::ALL.into_iter().find(|level| level.threshold() > self.total())?;
        let (mut early, mut late) = (0.0, self.assumptions.horizon.as_secs_f64() * CAP);
        let is_reached = |seconds: f64| self.after(seconds).total() >= next.threshold();
        if !is_reached(late) {
            return None;
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(early, late);
            if is_reached(middle) { late = middle } else { early = middle }
        }
        Some((next, Duration::from_secs_f64(late)))
    }

    /// The clocks after so many seconds in which nothing changes.
    fn after(&self, seconds: f64) -> Self {
        let mut later = self.clone();
        later.clocks.values_mut().for_each(|clock| clock.outage += clock.loss * seconds);
        later
    }

    fn class_risk(&self, clock: &Clock) -> f64 {
        let share = clock.outage / self.assumptions.horizon.as_secs_f64();
        1.0 - (-LN_20 * share.powf(self.assumptions.shape)).exp()
    }

    /// A noisy OR in which every class but the worst is discounted.
    fn total(&self) -> f64 {
        let mut weighted: Vec<f64> =
            self.clocks.iter().map(|(class, clock)| self.assumptions.weight(*class) * self.class_risk(clock)).collect();
        weighted.sort_by(|a, b| b.total_cmp(a));
        let spared =
            weighted.iter().enumerate().map(|(rank, risk)| if rank == 0 { 1.0 - risk } else { 1.0 - BETA * risk });
        1.0 - spared.product::<f64>()
    }
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
