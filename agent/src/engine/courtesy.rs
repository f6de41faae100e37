//! Remembers when a peer may be asked again that must not be asked often; for how long is decided in `plan.rs` and
//! `schedule.rs`. Kept by peer and not by endpoint, so that neither a second
//! endpoint, nor a visit that is brought forward, nor a reload gets past it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// What is owed to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Courtesy {
    /// The peer, as its endpoints name it: host and port.
    pub peer: Arc<str>,
    /// The shortest time between the beginnings of two visits, but for the confirmation of a failure.
    pub spacing: Duration,
}

/// The moments before which a peer is not asked.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// By its spacing.
    spaced: Instant,
    /// By its own plea; no confirmation gets past it.
    pleaded: Instant,
}

/// The rest that each peer is given.
#[derive(Clone, Debug, Default)]
pub struct Rests(BTreeMap<Arc<str>, Rest>);

impl Rests {
    /// The earliest moment at which a peer may be asked; `None` if there is no reason to wait.
    pub fn not_before(&self, courtesy: &Courtesy, is_confirmation: bool) -> Option<Instant> {
        let rest = self.0.get(&courtesy.peer)?;
        Some(if is_confirmation { rest.pleaded } else { rest.spaced.max(rest.pleaded) })
    }

    /// Takes in that a visit to the peer begins, and returns until when it was to rest before, for
    /// [`Rests::was_not_asked`].
    pub fn begin(&mut self, courtesy: &Courtesy, now: Instant) -> Option<Instant> {
        let before = self.0.get(&courtesy.peer).map(|rest| rest.spaced);
        let rest = self.0.entry(Arc::clone(&courtesy.peer)).or_insert(Rest { spaced: now, pleaded: now });
        rest.spaced = now + courtesy.spacing;
        before
    }

    /// Takes back what [`Rests::begin`] noted at `began`: the visit ended without a packet to the peer.
    pub fn was_not_asked(&mut self, courtesy: &Courtesy, began: Instant, before: Option<Instant>) {
        if let Some(rest) = self.0.get_mut(&courtesy.peer).filter(|rest| rest.spaced == began + courtesy.spacing) {
            rest.spaced = before.unwrap_or(began);
        }
    }

    /// Takes in the peer's plea not to be asked before `until`.
    pub fn pleaded(&mut self, courtesy: &Courtesy, until: Instant) {
        let rest = self.0.entry(Arc::clone(&courtesy.peer)).or_insert(Rest { spaced: until, pleaded: until });
        rest.pleaded = rest.pleaded.max(until);
    }

    /// Forgets peers whose rest is over.
    pub fn forget(&mut self, now: Instant) {
        self.0.retain(|_, rest| rest.spaced > now || rest.pleaded > now);
    }
}
