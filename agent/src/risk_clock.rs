//! Tells the risk how much time passed and what was lost meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{class::Class, clock};

use crate::{
    catalog::EndpointId,
    hysteresis::{Counted, Hysteresis, Sample},
    quorum::{self, Member},
    risk::{Estimate, Loss, Risk, RiskMemory},
    settings::Settings,
    snapshot::EndpointView,
};

/// Time between two steps: the default interval.
pub const STEP: Duration = Duration::from_secs(30);
/// A pause of the machine counts for this many steps at most.
pub const MOST_STEPS: u32 = 3;

/// Time that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The share of every class that was lost in it, as confirmed, without hysteresis.
    pub losses: BTreeMap<Class, Loss>,
    /// How much passed, also while the machine was paused.
    pub elapsed: Duration,
}

/// What outlives the process: the clocks and where every endpoint stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockMemory {
    /// The clocks.
    pub risk: RiskMemory,
    /// Where every endpoint stood.
    pub standings: BTreeMap<EndpointId, Hysteresis>,
}

/// The risk, what it rests on, and when it was last told of time.
#[derive(Debug)]
pub struct RiskClock {
    risk: Risk,
    standings: BTreeMap<EndpointId, Hysteresis>,
    told: Instant,
}

impl RiskClock {
    /// Clocks at zero.
    pub fn new(settings: &Settings) -> Self {
        let risk = Risk::new(settings.assumptions.clone(), classes_of(settings));
        Self { risk, standings: BTreeMap::new(), told: clock::now() }
    }

    /// Takes new settings in force; clocks of classes and standings of endpoints that stay keep their time.
    pub fn reload(&mut self, settings: &Settings) {
        self.risk.reconfigure(settings.assumptions.clone(), classes_of(settings));
        self.standings.retain(|id, _| settings.catalog.endpoints.iter().any(|endpoint| endpoint.id == *id));
    }

    /// Takes a confirmed sample of an endpoint.
    pub fn observe(&mut self, endpoint: &EndpointId, sample: Sample) {
        self.standings.entry(endpoint.clone()).or_default().take(sample);
    }

    /// When [`RiskClock::advance`] wants to be called at the latest.
    pub fn due(&self) -> Instant {
        self.told + STEP
    }

    /// Lets the time since the last step pass, once a step's worth has, and returns it with what was lost in it.
    pub fn advance(&mut self, views: &[Arc<EndpointView>], settings: &Settings) -> Option<Step> {
        let now = clock::now();
        let elapsed = now.duration_since(self.told);
        if elapsed < STEP {
            return None;
        }
        self.told = now;
        let members = |counted: &dyn Fn(&EndpointView) -> Counted| {
            quorum::losses(views.iter().map(|view| Member::of(&view.endpoint, counted(view), &settings.resolvers)))
        };
        let standing = |view: &EndpointView| self.standings.get(&view.endpoint.id).copied().unwrap_or_default();
        let steady = members(&|view| standing(view).counted());
        let confirmed = members(&|view| Counted::from(view.status));
        let sequence = self.risk.sequence() + 1;
        self.risk.step(sequence, &steady, elapsed.min(STEP * MOST_STEPS));
        Some(Step { losses: confirmed, elapsed })
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
