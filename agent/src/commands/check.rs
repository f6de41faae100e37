//! The one-shot check: one round over the chosen endpoints, with the same engine and snapshot as the daemon.

use std::sync::Arc;

use ase_probes::{class::Class, local_facts::file_limit};

use crate::{
    engine::{monitor::Monitor, snapshot::Snapshot},
    model::{catalog::Catalog, rounds::Rounds, settings::Settings},
};

/// Which endpoints to check. Empty lists choose all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Classes to check.
    pub classes: Vec<Class>,
    /// Endpoint ids or host names to check.
    pub endpoints: Vec<String>,
}

impl Choice {
    /// The catalogue cut down to the chosen endpoints and slots.
    ///
    /// # Errors
    /// The name that no endpoint has.
    pub fn apply(&self, catalog: &Catalog) -> Result<Catalog, String> {
        if let Some(missing) = self.endpoints.iter().find(|name| !catalog.endpoints.iter().any(|e| names(e, name))) {
            return Err(missing.clone());
        }
        let mut chosen = catalog.clone();
        chosen.endpoints.retain(|endpoint| {
            self.has(endpoint.class) && (self.endpoints.is_empty() || self.endpoints.iter().any(|n| names(endpoint, n)))
        });
        chosen.slots.retain(|slot| self.has(slot.class) && self.endpoints.is_empty());
        Ok(chosen)
    }

    fn has(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

fn names(endpoint: &crate::model::catalog::Endpoint, name: &str) -> bool {
    *endpoint.id.0 == *name || endpoint.host.to_string() == name
}

/// Visits every endpoint once, a second time where the first was bad. `progress` hears how many are settled.
pub async fn round(settings: Settings, mut progress: impl FnMut(usize)) -> Arc<Snapshot> {
    let mut monitor = Monitor::new(settings, Rounds::One, file_limit(), rand::random());
    while !monitor.is_settled() {
        monitor.step().await;
        progress(monitor.settled());
    }
    Arc::clone(&monitor.subscribe().borrow())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_endpoint_is_named_and_a_class_cuts_the_slots_too() {
        let catalog = Catalog {
            profile: "p".to_owned(),
            cloud: "public".to_owned(),
            edition: "2023-11-20".to_owned(),
            endpoints: Vec::new(),
            slots: Vec::new(),
        };
        let choice = Choice { endpoints: vec!["nowhere:1".to_owned()], ..Choice::default() };
        assert_eq!(choice.apply(&catalog), Err("nowhere:1".to_owned()));
        assert_eq!(Choice::default().apply(&catalog), Ok(catalog));
    }
}
