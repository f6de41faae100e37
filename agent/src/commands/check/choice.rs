//! Which endpoints a look asks, and how long it waits for each where it is to be over fast.

use std::{sync::Arc, time::Duration};

use ase_probes::class::Class;

use crate::{
    model::{
        catalog::{Catalog, Endpoint, Severity},
        settings::Settings,
    },
    net::duration::show,
    readers::summary::count,
};

/// A fast look answers within this time: twice [`FAST_TIMEOUT`], the wait of 1 s between them, and the closing.
pub(super) const FAST: Duration = Duration::from_secs(8);
/// A fast look waits for an answer so long: one lost SYN is sent again after 1 s (RFC 6298 section 2), a second after 3 s.
const FAST_TIMEOUT: Duration = Duration::from_secs(3);

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

fn names(endpoint: &Endpoint, name: &str) -> bool {
    *endpoint.id.0 == *name || endpoint.target.host.to_string() == name
}

/// Settings for a fast look, and what it leaves out, in plain words: critical endpoints are asked, or all where none is
/// critical, and each is waited for a short time.
pub(super) fn hurried(settings: Settings) -> (Settings, Vec<String>) {
    let mut catalog = (*settings.catalog).clone();
    let (all, mut left_out) = (catalog.endpoints.len(), Vec::new());
    let is_critical = |endpoint: &Arc<Endpoint>| endpoint.severity == Severity::Critical;
    if catalog.endpoints.iter().any(is_critical) {
        catalog.endpoints.retain(is_critical);
    }
    match all - catalog.endpoints.len() {
        0 => {}
        left => {
            left_out.push(format!("{} of lesser severity: --fast asks critical ones only", count(left, "endpoint")))
        }
    }
    let longest = catalog.endpoints.iter().map(|endpoint| endpoint.target.timeout).max().unwrap_or_default();
    if longest > FAST_TIMEOUT {
        let (short, long) = (show(FAST_TIMEOUT), show(longest));
        left_out.push(format!(
            "answers that take longer than {short}: --fast counts them as none, others wait up to {long}"
        ));
    }
    for endpoint in &mut catalog.endpoints {
        if endpoint.target.timeout > FAST_TIMEOUT {
            Arc::make_mut(endpoint).target.timeout = FAST_TIMEOUT;
        }
    }
    left_out.push(format!("comparisons and telling measurements that would end after {}", show(FAST)));
    (Settings { catalog: Arc::new(catalog), ..settings }, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::Stakes;

    #[test]
    fn a_fast_look_asks_what_is_critical_and_says_what_it_leaves_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let load = |text: &str| {
            let file = folder.path().join("agent.yaml");
            std::fs::write(&file, text).expect("it is written");
            crate::config::load(Some(&file)).expect("it is good")
        };
        let all = "resolvers: {custom: [127.0.0.1]}\nprofile: custom\nendpoints: {add: [{class: tcp, host: 127.0.0.1, \
                   port: 1, severity: SEVERITY, timeout: 6s}, {class: tcp, host: 127.0.0.1, port: 2, severity: warning, \
                   timeout: 2s}]}\n";
        let asked = |settings: &Settings| -> Vec<(u16, Duration)> {
            settings.catalog.endpoints.iter().map(|endpoint| (endpoint.target.port, endpoint.target.timeout)).collect()
        };
        let (settings, left_out) = hurried(load(&all.replace("SEVERITY", "critical")));
        assert!(asked(&settings).contains(&(1, FAST_TIMEOUT)), "{:?}", asked(&settings));
        assert!(!asked(&settings).contains(&(2, Duration::from_secs(2))), "{:?}", asked(&settings));
        let said = left_out.join("; ");
        for words in ["of lesser severity", "longer than 3s", "up to 6s", "end after 8s"] {
            assert!(said.contains(words), "{said}");
        }
        let unheeded = load(&all.replace("SEVERITY", "info"));
        let lesser = Catalog {
            endpoints: unheeded.catalog.endpoints.iter().filter(|e| e.severity < Severity::Critical).cloned().collect(),
            ..(*unheeded.catalog).clone()
        };
        let number = lesser.endpoints.len();
        let (settings, left_out) = hurried(Settings { catalog: Arc::new(lesser), ..unheeded });
        assert_eq!(asked(&settings).len(), number, "where nothing is critical all are asked");
        assert!(!left_out.join("").contains("lesser"), "{left_out:?}");
    }

    #[test]
    fn an_unknown_endpoint_is_named_and_a_class_cuts_the_slots_too() {
        let catalog = Catalog {
            profile: "p".to_owned(),
            cloud: "public".to_owned(),
            edition: "2023-11-20".to_owned(),
            stakes: Stakes { suspends: true, means: String::new() },
            falls_back: true,
            packs: Vec::new(),
            endpoints: Vec::new(),
            slots: Vec::new(),
        };
        let choice = Choice { endpoints: vec!["nowhere:1".to_owned()], ..Choice::default() };
        assert_eq!(choice.apply(&catalog), Err("nowhere:1".to_owned()));
        assert_eq!(Choice::default().apply(&catalog), Ok(catalog));
    }
}
