//! What follows from the endpoints' states as time passes: the risk, the early warnings, and the memory of both.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    early::{Early, EarlyView},
    engine::pulse::Clocks,
    model::{
        diagnosis::Ledger,
        endpoint::{EndpointView, StoreView},
        settings::Settings,
        visit::{Judgement, Visit},
    },
    risk::{estimate::Estimate, hysteresis::Sample, steps::RiskClock},
    store::{Closing, keeping::Keeping},
};

/// The risk, the early warnings and the memory.
#[derive(Debug)]
pub struct Outlook {
    clocks: Option<(RiskClock, Early)>,
    keeping: Keeping,
    born: Instant,
}

impl Outlook {
    /// The outlook of a daemon, which takes up where an earlier process ended.
    pub fn of_daemon(settings: &Settings, at: Clocks) -> Self {
        let keeping = Keeping::open(settings, at.wall);
        let mut risk = RiskClock::new(settings, at.now);
        keeping.recall(&mut risk, at.wall);
        Self { clocks: Some((risk, Early::new(&settings.catalog))), keeping, born: at.now }
    }

    /// A one-shot check has no past and no outlook.
    pub fn none(at: Clocks) -> Self {
        Self { clocks: None, keeping: Keeping::nothing(), born: at.now }
    }

    /// Takes new settings in force; clocks of what stays keep their time.
    pub fn reload(&mut self, settings: &Settings) {
        if let Some((risk, early)) = &mut self.clocks {
            risk.reload(settings);
            early.reload(&settings.catalog);
        }
    }

    /// Takes in a visit to an endpoint and what it means. What waits for its confirmation moves no risk. Returns the number of
    /// the last outcome that this hands to the store.
    pub fn visited(
        &mut self,
        view: &EndpointView,
        visit: &Visit,
        judged: Judgement,
        is_confirmed: bool,
        now: Instant,
    ) -> Option<u64> {
        let handed_over = self.keeping.visited(view, visit, judged);
        let Some((risk, early)) = &mut self.clocks else { return handed_over };
        early.observe(view, visit, judged, now.duration_since(self.born));
        if is_confirmed {
            risk.observe(&view.endpoint.id, Sample::of(judged));
        }
        handed_over
    }

    /// Lets time pass. `ready` says whether every endpoint was visited once.
    pub fn advance(
        &mut self,
        views: &[Arc<EndpointView>],
        settings: &Settings,
        ledger: &mut Ledger,
        ready: bool,
        at: Clocks,
    ) {
        let Some((risk, early)) = &mut self.clocks else { return };
        self.keeping.recall_late(risk, at.wall);
        if let Some(step) = risk.advance(views, settings, at.now) {
            early.step(&step.losses, step.elapsed, at.now.duration_since(self.born));
            if step.moved_risk {
                self.keeping.stepped(risk.memory(), at.wall);
            }
        }
        self.keeping.diagnosed(ledger, ready, at.wall);
    }

    /// When [`Outlook::advance`] wants to be called at the latest.
    pub fn due(&self) -> Option<Instant> {
        self.clocks.as_ref().map(|(risk, _)| risk.due())
    }

    /// Remembers what there is to remember, at the end. `now` is the time since the Unix epoch. The result tells when it
    /// is on the disk.
    pub fn close(&mut self, now: Duration) -> Option<Closing> {
        self.keeping.close(self.clocks.as_ref().map(|(risk, _)| risk.memory()), now)
    }

    /// How close the environment is to suspension.
    pub fn risk(&self) -> Option<Estimate> {
        self.clocks.as_ref().map(|(risk, _)| risk.estimate())
    }

    /// What moves before a class is lost.
    pub fn early(&self, now: Instant) -> Option<EarlyView> {
        self.clocks.as_ref().map(|(_, early)| early.view(now.duration_since(self.born)))
    }

    /// How the memory does.
    pub fn store(&self) -> StoreView {
        self.keeping.view()
    }
}
