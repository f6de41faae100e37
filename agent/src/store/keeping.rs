//! What the loop hands to the memory, and what it takes from it at the start. Without a state directory it does nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::verdict::Verdict;

use crate::{
    model::{
        diagnosis::Ledger,
        endpoint::{EndpointView, Status, StoreView},
        settings::Settings,
        visit::{Judgement, Visit},
    },
    risk::steps::{ClockMemory, RiskClock},
    store::{
        Closing, Store,
        addresses::Addresses,
        archive::{Archive, ShowsLate},
        rows::{OutcomeRow, StateRow},
        stretches::Stretches,
    },
};

/// The memory, if there is one.
#[derive(Debug)]
pub struct Keeping {
    store: Option<Store>,
    stretches: Stretches,
    archive: Archive,
    addresses: Addresses,
    /// Without a store: whether one was wanted.
    view: StoreView,
}

impl Keeping {
    /// Remembers nothing.
    pub fn nothing() -> Self {
        let archive = Archive::new(0, Vec::new(), |_| false);
        let (stretches, addresses) = (Stretches::default(), Addresses::default());
        Self { store: None, stretches, archive, addresses, view: StoreView::default() }
    }

    /// Opens the store of the settings' state directory, if there is one. A store that cannot be used is no reason not to
    /// watch: it is logged and shown.
    pub fn open(settings: &Settings, shows_late: ShowsLate, now: Duration) -> Self {
        let Some(folder) = &settings.state_dir else { return Self::nothing() };
        let run = u64::try_from(now.as_millis()).unwrap_or_default();
        match Store::start(folder, now) {
            Ok((mut store, failed)) => {
                let archive = match failed {
                    Some(error) => {
                        tracing::error!(%error, "nothing is remembered until the store can be used");
                        Archive::waiting(run, shows_late)
                    }
                    None => Archive::new(run, store.open_incidents().to_vec(), shows_late),
                };
                let addresses = store.take_addresses();
                Self { store: Some(store), archive, addresses, ..Self::nothing() }
            }
            Err(error) => {
                tracing::error!(%error, "nothing will be remembered");
                Self { view: StoreView { ok: Some(false), ..StoreView::default() }, ..Self::nothing() }
            }
        }
    }

    /// Lets the risk take up where an earlier process ended.
    pub fn recall(&self, clock: &mut RiskClock, now: Duration) {
        if let Some(state) = self.store.as_ref().and_then(Store::recalled) {
            clock.recall(&state.memory);
            let away = now.saturating_sub(state.saved).as_secs();
            let level = state.memory.risk.level.label();
            tracing::info!(
                level,
                away_seconds = away,
                "took up the clocks of an earlier process; its absence counts as unknown"
            );
        }
    }

    /// Lets the risk and the incidents take up where an earlier process ended, if the store opened only now.
    pub fn recall_late(&mut self, clock: &mut RiskClock, now: Instant, wall: Duration) {
        let Some(store) = self.store.as_mut() else { return };
        if !store.opened_late() {
            return;
        }
        let told = self.archive.recall(store.open_incidents().to_vec(), now);
        told.into_iter().for_each(|row| store.report(row));
        self.addresses.recall(store.take_addresses());
        if let Some(state) = store.recalled() {
            clock.recall(&clock.memory().after(&state.memory));
            let away = wall.saturating_sub(state.saved).as_secs();
            tracing::info!(away_seconds = away, "the store opened late; took up the clocks of an earlier process");
        }
    }

    /// Takes what a visit learned, and what it means. Returns the number of the last outcome that this hands to the store.
    pub fn visited(&mut self, view: &EndpointView, visit: &Visit, judged: Judgement) -> Option<u64> {
        let store = self.store.as_mut()?;
        if judged == Ok(Verdict::Healthy) {
            self.archive.answered(&view.endpoint.id.0, visit.began + visit.took);
        }
        let rows = self.stretches.take(outcome(view, visit, judged));
        let handed_over = rows.into_iter().fold(None, |last, row| store.add(row).or(last));
        let asked = visit.outcomes.iter().map(|outcome| outcome.address.ip()).collect();
        self.addresses.saw(&view.endpoint.id.0, asked, visit.began);
        self.addresses.due(visit.began).into_iter().for_each(|text| store.note_addresses(text));
        handed_over
    }

    /// Takes the clocks after a step.
    pub fn stepped(&mut self, memory: ClockMemory, now: Duration) {
        if let Some(store) = &mut self.store {
            store.save(StateRow { saved: now, memory });
        }
    }

    /// Takes the incidents of this moment. Those that go on from an earlier process begin where they began.
    pub fn diagnosed(&mut self, ledger: &mut Ledger, ready: bool, now: Instant, wall: Duration) {
        if let Some(store) = &mut self.store {
            self.archive.update(ledger, ready, now, wall).into_iter().for_each(|row| store.report(row));
            self.archive.date_back(ledger);
        }
    }

    /// Hands over what is still open; the result tells when it is on the disk.
    pub fn close(&mut self, memory: Option<ClockMemory>, now: Duration) -> Option<Closing> {
        let mut store = self.store.take()?;
        // The thread may still get to open the store.
        self.archive.tell().into_iter().for_each(|row| store.report(row));
        for row in self.stretches.finish() {
            store.add(row);
        }
        if let Some(memory) = memory {
            store.save(StateRow { saved: now, memory });
        }
        store.note_addresses(self.addresses.to_text(now));
        Some(store.close())
    }

    /// How the memory does.
    pub fn view(&self) -> StoreView {
        let view = self.store.as_ref().map_or_else(|| self.view.clone(), Store::view);
        StoreView { incidents: self.archive.ids(), over_unseen: self.archive.over_unseen(), ..view }
    }
}

fn outcome(view: &EndpointView, visit: &Visit, judged: Judgement) -> OutcomeRow {
    let status = match judged {
        Ok(verdict) => Status::from(verdict),
        Err(untested) => Status::Unknown(untested),
    };
    let finding = status.finding();
    OutcomeRow {
        endpoint: Arc::clone(&view.endpoint.id.0),
        class: view.endpoint.class.label().into(),
        result: status.label().into(),
        cause: finding.map(|finding| finding.cause.label().into()),
        phase: finding.map(|finding| finding.phase.label().into()),
        began: visit.began,
        ended: visit.began + visit.took,
        count: 1,
        took: visit.took,
    }
}
