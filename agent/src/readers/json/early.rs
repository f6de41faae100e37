//! Early warnings and the state of the memory as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    early::{ClassEarly, burn_rate::Window},
    engine::snapshot::Snapshot,
    model::endpoint::StoreView,
    readers::{
        summary::rfc3339,
        warnings::{self, Warning},
    },
};

/// What moves before a class is lost.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EarlyEntry {
    /// What is worth a look now.
    warnings: Vec<WarningEntry>,
    /// What the detectors say per class; empty in a one-shot check, which has no past.
    classes: Vec<ClassEntry>,
}

#[derive(Clone, Debug, Serialize)]
struct WarningEntry {
    kind: &'static str,
    class: Option<&'static str>,
    subject: Option<String>,
    text: String,
    /// The number of the open incident that tells the same.
    incident: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct ClassEntry {
    class: &'static str,
    burn_rate: BTreeMap<&'static str, f64>,
    success_gap_phi: Option<f64>,
    latency_cusum: Option<f64>,
    slowest: Option<String>,
    blind: bool,
    untested_seconds: f64,
}

impl EarlyEntry {
    /// The entry of a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let classes = snapshot.early.iter().flat_map(|early| &early.classes);
        Self {
            warnings: warnings::of(snapshot).into_iter().map(WarningEntry::from).collect(),
            classes: classes.map(|(class, early)| ClassEntry::of(class.label(), early)).collect(),
        }
    }
}

impl From<Warning> for WarningEntry {
    fn from(warning: Warning) -> Self {
        let Warning { kind, class, subject, text, part_of } = warning;
        let (kind, class) = (kind.label(), class.map(|class| class.label()));
        Self { kind, class, subject, text, incident: part_of.map(|incident| incident.id) }
    }
}

impl ClassEntry {
    fn of(class: &'static str, early: &ClassEarly) -> Self {
        Self {
            class,
            burn_rate: Window::ALL.iter().map(|window| window.label()).zip(early.burn).collect(),
            success_gap_phi: early.phi,
            latency_cusum: early.latency,
            slowest: early.slowest.as_ref().map(|id| id.0.to_string()),
            blind: early.is_blind(),
            untested_seconds: early.untested.as_secs_f64(),
        }
    }
}

/// How the memory under the state directory does.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StoreEntry {
    /// Null without a state directory.
    ok: Option<bool>,
    resets: u64,
    dropped: u64,
    /// When the clocks that this process took up were saved; the time since then counts as unknown.
    recalled: Option<String>,
}

impl StoreEntry {
    /// The entry of a store.
    pub(super) fn of(store: &StoreView) -> Self {
        Self { ok: store.ok, resets: store.resets, dropped: store.dropped, recalled: store.recalled.map(rfc3339) }
    }
}
