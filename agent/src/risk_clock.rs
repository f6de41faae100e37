//! Tells the risk how much time passed and what was lost meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{class::Class, clock};

use crate::{
    quorum,
    risk::{Estimate, Loss, Risk},
    settings::Settings,
    snapshot::EndpointView,
};

/// Time between two steps: the default interval.
const STEP: Duration = Duration::from_secs(30);
/// A pause of the machine counts for this many steps at most.
const MOST_STEPS: u32 = 3;

/// Time that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The share of every class that was lost in it, as confirmed.
    pub losses: BTreeMap<Class, Loss>,
    /// How much passed, also while the machine was paused.
    pub elapsed: Duration,
}

/// The risk and when it was last told of time.
#[derive(Debug)]
pub struct RiskClock {
    risk: Risk,
    told: Instant,
}

impl RiskClock {
    /// Clocks at zero.
    pub fn new(settings: &Settings) -> Self {
        Self { risk: Risk::new(settings.assumptions.clone(), classes_of(settings)), told: clock::now() }
    }

    /// Takes new settings in force; clocks of classes that stay keep their time.
    pub fn reload(&mut self, settings: &Settings) {
        self.risk.reconfigure(settings.assumptions.clone(), classes_of(settings));
    }

    /// Lets the time since the last step pass, once a step's worth has, and returns it with what was lost in it.
    pub fn advance(&mut self, views: &[Arc<EndpointView>], settings: &Settings) -> Option<Step> {
        let now = clock::now();
        let elapsed = now.duration_since(self.told);
        if elapsed < STEP {
            return None;
        }
        self.told = now;
        let losses = quorum::losses(views.iter().map(|view| &**view), &settings.resolvers);
        self.risk.step(&losses, elapsed.min(STEP * MOST_STEPS));
        Some(Step { losses, elapsed })
    }

    /// What the clocks say now.
    pub fn estimate(&self) -> Estimate {
        self.risk.estimate()
    }
}

fn classes_of(settings: &Settings) -> BTreeSet<Class> {
    settings.catalog.endpoints.iter().map(|endpoint| endpoint.class).collect()
}
