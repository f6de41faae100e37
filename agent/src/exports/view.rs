//! The exports as readers see them: what was judged, what is wrong with the files, and what is said of each open incident.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use crate::{
    exports::{
        join::{self, Around},
        judged::Judged,
        said::Said,
    },
    model::{
        diagnosis::Incident,
        endpoint::EndpointView,
        exports::{Exports, STALE_AFTER},
    },
};

/// What is known of the files at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The exports that were judged last; `None` before the first time, or where that failed.
    pub judged: Option<Arc<Judged>>,
    /// What is wrong with the files as they are now: key, file and rule. What was judged before stays in force.
    pub wrong: Vec<String>,
}

/// The exports at the moment of a snapshot.
#[derive(Clone, Debug)]
pub struct ExportsView {
    /// What is known of the files.
    pub reading: Reading,
    /// Rules and routes that are older than an incident by more than this are stale.
    pub stale_after: Duration,
    /// What they say of open incidents, by number.
    pub said: BTreeMap<u64, Arc<Said>>,
}

impl ExportsView {
    /// What the exports say of an incident.
    pub fn of(&self, incident: &Incident) -> Option<&Said> {
        self.said.get(&incident.id).map(|said| &**said)
    }

    /// When the oldest file with rules or routes was written, since the Unix epoch.
    pub fn written(&self) -> Option<Duration> {
        self.reading.judged.as_ref()?.written()
    }

    /// Whether rules or routes are stale at a moment, given since the Unix epoch.
    pub fn is_stale(&self, now: Duration) -> bool {
        self.written().is_some_and(|written| written + self.stale_after < now)
    }
}

/// What was said of an incident is thought over again after this time: endpoints that were visited meanwhile may contradict
/// it. The time between two visits to an endpoint that fails, by default.
const AGAIN: Duration = Duration::from_secs(10);

/// What was said of an incident, of what, and when.
#[derive(Clone, Debug)]
struct Known {
    incident: Arc<Incident>,
    judged: Arc<Judged>,
    said: Option<Arc<Said>>,
    at: Duration,
}

/// What is measured at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The open incidents.
    pub open: &'a [Arc<Incident>],
    /// Every endpoint.
    pub views: &'a [Arc<EndpointView>],
    /// The address that packets leave from, where it is known.
    pub source: Option<IpAddr>,
    /// The time, since the Unix epoch.
    pub at: Duration,
    /// Whether all was visited at once.
    pub is_single_look: bool,
}

/// Says of each open incident what the exports say; again where incident or exports are others than before, and now and then.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    known: BTreeMap<u64, Known>,
}

impl Joined {
    /// The view of this moment.
    pub fn view(&mut self, reading: &Reading, exports: &Exports, now: Now<'_>) -> ExportsView {
        let stale_after = exports.stale_after;
        let Some(judged) = &reading.judged else {
            self.known.clear();
            return ExportsView { reading: reading.clone(), stale_after, said: BTreeMap::new() };
        };
        let holds = |known: &Known, incident: &Arc<Incident>| {
            let is_same = Arc::ptr_eq(&known.incident, incident) && Arc::ptr_eq(&known.judged, judged);
            is_same && now.at.saturating_sub(known.at) < AGAIN
        };
        let mut before = std::mem::take(&mut self.known);
        let mut by_id = None;
        for incident in now.open {
            let known = before.remove(&incident.id).filter(|known| holds(known, incident)).unwrap_or_else(|| {
                let views: &BTreeMap<&str, &EndpointView> =
                    by_id.get_or_insert_with(|| now.views.iter().map(|view| (&*view.endpoint.id.0, &**view)).collect());
                let (source, is_single_look) = (now.source, now.is_single_look);
                let said = join::of(incident, judged, Around { views, source, stale_after, is_single_look });
                let (incident, judged) = (Arc::clone(incident), Arc::clone(judged));
                Known { incident, judged, said: said.map(Arc::new), at: now.at }
            });
            self.known.insert(incident.id, known);
        }
        let said = self.known.iter().filter_map(|(id, known)| Some((*id, Arc::clone(known.said.as_ref()?)))).collect();
        ExportsView { reading: reading.clone(), stale_after, said }
    }
}

impl Default for ExportsView {
    fn default() -> Self {
        Self { reading: Reading::default(), stale_after: STALE_AFTER, said: BTreeMap::new() }
    }
}
