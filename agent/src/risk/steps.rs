//! Cuts time into steps for the risk: how much passed in each, and what share of every class was lost meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::class::Class;

use crate::{
    model::{catalog::EndpointId, endpoint::EndpointView, settings::Settings},
    risk::{
        estimate::{Estimate, Loss, Risk, RiskMemory},
        hysteresis::{Counted, Hysteresis, Sample},
        quorum::{self, Member},
    },
};

/// Time between two steps: the default interval.
pub const STEP: Duration = Duration::from_secs(30);
/// Detectors look this often at most: a flap shorter than a step must not fall between two looks.
pub const LOOK: Duration = Duration::from_secs(5);
/// A pause of the machine counts for this many steps at most.
pub const MOST_STEPS: u32 = 3;

/// Time that passed, as the detectors see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The share of every class that was lost in it, as confirmed, without hysteresis.
    pub losses: BTreeMap<Class, Loss>,
    /// How much passed, also while the machine was paused.
    pub elapsed: Duration,
    /// Whether the risk took a step too.
    pub moved_risk: bool,
}

/// What outlives the process: the clocks and where every endpoint stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockMemory {
    /// The clocks.
    pub risk: RiskMemory,
    /// Where every endpoint stood.
    pub standings: BTreeMap<EndpointId, Hysteresis>,
}

impl ClockMemory {
    /// What this process counted and an earlier one together, where the earlier one's memory is known only now: outages
    /// add up, the graver level stands, and where an endpoint stands is known by who saw it last.
    pub fn after(mut self, earlier: &Self) -> Self {
        for (class, before) in &earlier.risk.clocks {
            let clock = self.risk.clocks.entry(*class).or_default();
            clock.outage += before.outage;
        }
        if earlier.risk.level > self.risk.level {
            (self.risk.level, self.risk.since_change) = (earlier.risk.level, earlier.risk.since_change);
        }
        self.risk.sequence = self.risk.sequence.max(earlier.risk.sequence);
        for (id, standing) in &earlier.standings {
            self.standings.entry(id.clone()).or_insert(*standing);
        }
        self
    }
}

/// The risk, what it rests on, and when it was last told of time.
#[derive(Debug)]
pub struct RiskClock {
    risk: Risk,
    standings: BTreeMap<EndpointId, Hysteresis>,
    told: Instant,
    looked: Instant,
}

impl RiskClock {
    /// Clocks at zero.
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let risk = Risk::new(settings.assumptions.clone(), classes_of(settings));
        Self { risk, standings: BTreeMap::new(), told: now, looked: now }
    }

    /// Takes new settings in force; clocks of classes and standings of endpoints that stay keep their time.
    pub fn reload(&mut self, settings: &Settings) {
        self.risk.reconfigure(settings.assumptions.clone(), classes_of(settings));
        let watched: BTreeSet<&EndpointId> = settings.catalog.endpoints.iter().map(|endpoint| &endpoint.id).collect();
        self.standings.retain(|id, _| watched.contains(id));
    }

    /// Takes a confirmed sample of an endpoint.
    pub fn observe(&mut self, endpoint: &EndpointId, sample: Sample) {
        self.standings.entry(endpoint.clone()).or_default().take(sample);
    }

    /// When [`RiskClock::advance`] wants to be called at the latest.
    pub fn due(&self) -> Instant {
        (self.told + STEP).max(self.looked + LOOK)
    }

    /// Lets the time since the last look pass, if it was long enough, and returns it with what was lost in it. The risk
    /// moves once a step's worth has passed.
    pub fn advance(&mut self, views: &[Arc<EndpointView>], settings: &Settings, now: Instant) -> Option<Step> {
        let elapsed = now.duration_since(self.looked);
        if elapsed < LOOK {
            return None;
        }
        self.looked = now;
        let losses = |counted: &dyn Fn(&EndpointView) -> Counted| {
            quorum::losses(views.iter().map(|view| Member::of(&view.endpoint, counted(view), &settings.resolvers)))
        };
        let since_step = now.duration_since(self.told);
        let moved_risk = since_step >= STEP;
        if moved_risk {
            self.told = now;
            let standing = |view: &EndpointView| self.standings.get(&view.endpoint.id).copied().unwrap_or_default();
            let steady = losses(&|view| standing(view).counted());
            self.risk.step(self.risk.sequence() + 1, &steady, since_step.min(STEP * MOST_STEPS));
        }
        Some(Step { losses: losses(&|view| Counted::from(view.status)), elapsed, moved_risk })
    }

    /// What the clocks say now.
    pub fn estimate(&self) -> Estimate {
        self.risk.estimate()
    }

    /// What has to be remembered.
    pub fn memory(&self) -> ClockMemory {
        ClockMemory { risk: self.risk.memory(), standings: self.standings.clone() }
    }

    /// Takes up where an earlier process ended. The time between counts as unknown: nothing grows and nothing heals, and
    /// no endpoint counts as tested before its first visit.
    pub fn recall(&mut self, memory: &ClockMemory) {
        self.risk.recall(&memory.risk);
        let untested = |hysteresis: &Hysteresis| Hysteresis { tested: false, ..*hysteresis };
        self.standings = memory.standings.iter().map(|(id, standing)| (id.clone(), untested(standing))).collect();
    }
}

fn classes_of(settings: &Settings) -> BTreeSet<Class> {
    settings.catalog.endpoints.iter().map(|endpoint| endpoint.class).collect()
}
