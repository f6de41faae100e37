//! What this machine says about itself, read again now and then. A fact that a sandbox hides is warned of once: no rule
//! that rests on it can ever fire here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{clock, local_facts::LocalFacts};

use crate::model::settings::Settings;

/// Time between two looks: that of an endpoint that fails, by default (`pace.failing_interval`).
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks at this machine now and then.
#[derive(Debug)]
pub struct MachineWatch {
    seen: Arc<LocalFacts>,
    looked: Instant,
}

impl MachineWatch {
    /// Looks for the first time.
    pub fn start(settings: &Settings) -> Self {
        let seen = facts(settings);
        warn_of_hidden(&seen);
        Self { seen, looked: clock::now() }
    }

    /// What is known, about the way to the platform's own address.
    pub fn seen(&self) -> &Arc<LocalFacts> {
        &self.seen
    }

    /// Looks again if it is time.
    pub fn look(&mut self, settings: &Settings) {
        let now = clock::now();
        if now.duration_since(self.looked) >= LOOK_EVERY {
            let found = facts(settings);
            if found.hidden() != self.seen.hidden() {
                warn_of_hidden(&found);
            }
            *self = Self { seen: found, looked: now };
        }
    }
}

fn facts(settings: &Settings) -> Arc<LocalFacts> {
    Arc::new(LocalFacts::about(settings.resolvers.azure, &settings.egress))
}

fn warn_of_hidden(facts: &LocalFacts) {
    for (fact, reason) in facts.hidden() {
        tracing::warn!(fact, %reason, "a fact about this machine cannot be read, and no cause that shows in it be found");
    }
}
