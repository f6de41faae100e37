//! Remembers when a peer may be asked again that must not be asked often; for how long is decided in `plan.rs` and
//! `schedule.rs`. Kept by peer and by the addresses that it led to, not by endpoint, so that neither a second endpoint or
//! name, nor a visit that is brought forward, nor a reload gets past it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::model::politeness::{LONGEST_PLEA, TIME_SERVER_REST};

/// What is owed to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Courtesy {
    /// The peer, as its endpoints name it: its host, whatever the port.
    pub peer: Arc<str>,
    /// The shortest time from the end of one visit to the beginning of the next, but for the confirmation of a failure.
    pub spacing: Duration,
}

/// The moments before which a peer is not asked.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// By its spacing.
    spaced: Instant,
    /// By its own plea; no confirmation gets past it.
    pleaded: Instant,
    /// How long the pause after its last plea was; `None` once it has answered.
    pause: Option<Duration>,
}

/// Until when a peer and each of its addresses were to rest before a visit; `None` where there was no reason.
pub type Before = Vec<(Arc<str>, Option<Instant>)>;

/// The rest that each peer is given.
#[derive(Clone, Debug, Default)]
pub struct Rests {
    rests: BTreeMap<Arc<str>, Rest>,
    /// The addresses that each peer led to last.
    leads: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// When those of the past were forgotten last.
    forgot: Option<Instant>,
}

impl Rests {
    /// The earliest moment at which a peer may be asked; `None` if there is no reason to wait.
    pub fn not_before(&self, courtesy: &Courtesy, is_confirmation: bool) -> Option<Instant> {
        let has_no_spacing = is_confirmation || courtesy.spacing.is_zero();
        let until = |rest: &Rest| if has_no_spacing { rest.pleaded } else { rest.spaced.max(rest.pleaded) };
        self.keys(courtesy).iter().filter_map(|key| self.rests.get(key)).map(until).max()
    }

    /// Takes in that a visit to the peer begins, and returns until when it was to rest before, for
    /// [`Rests::was_not_asked`].
    pub fn begin(&mut self, courtesy: &Courtesy, now: Instant) -> Before {
        let keys = self.keys(courtesy);
        let before = keys.iter().map(|key| (Arc::clone(key), self.rests.get(key).map(|rest| rest.spaced))).collect();
        self.space(keys, now + courtesy.spacing, now);
        before
    }

    /// Takes in that a visit to the peer led to these addresses.
    pub fn led_to(&mut self, courtesy: &Courtesy, addresses: &[IpAddr]) {
        let addresses = addresses.iter().map(|address| address.to_canonical().to_string().into());
        self.leads.insert(Arc::clone(&courtesy.peer), addresses.collect());
    }

    /// Takes in that a visit is over in which the peer was asked, at some moment of it.
    pub fn was_asked(&mut self, courtesy: &Courtesy, now: Instant) {
        self.space(self.keys(courtesy), now + courtesy.spacing, now);
    }

    /// Takes back what [`Rests::begin`] noted at `began`: the visit ended without a packet to the peer.
    pub fn was_not_asked(&mut self, courtesy: &Courtesy, began: Instant, before: &Before) {
        for (key, before) in before {
            if let Some(rest) = self.rests.get_mut(key).filter(|rest| rest.spaced == began + courtesy.spacing) {
                rest.spaced = before.unwrap_or(began);
            }
        }
    }

    /// Takes in the peer's plea not to be asked for this long.
    pub fn pleaded(&mut self, courtesy: &Courtesy, pause: Duration, now: Instant) {
        for key in self.keys(courtesy) {
            let rest = self.rests.entry(key).or_insert(Rest { spaced: now, pleaded: now, pause: None });
            (rest.pleaded, rest.pause) = (rest.pleaded.max(now + pause), rest.pause.max(Some(pause)));
        }
    }

    /// How long the pause after the peer's last plea was; `None` if it has answered since.
    pub fn last_pause(&self, courtesy: &Courtesy) -> Option<Duration> {
        self.keys(courtesy).iter().filter_map(|key| self.rests.get(key)?.pause).max()
    }

    /// Takes in that the peer answers, and pleads no more.
    pub fn answered(&mut self, courtesy: &Courtesy) {
        for key in self.keys(courtesy) {
            if let Some(rest) = self.rests.get_mut(&key) {
                rest.pause = None;
            }
        }
    }

    /// Forgets peers whose rest was over for longer than any rest lasts, once in a while: of ten thousand servers, each visit
    /// would look at all.
    pub fn forget(&mut self, now: Instant) {
        if self.forgot.is_some_and(|forgot| now.duration_since(forgot) < TIME_SERVER_REST) {
            return;
        }
        self.forgot = Some(now);
        self.rests.retain(|_, rest| rest.spaced.max(rest.pleaded) + LONGEST_PLEA > now);
        let rests = &self.rests;
        self.leads.retain(|peer, _| rests.contains_key(peer));
    }

    /// The peer and the addresses that it led to last.
    fn keys(&self, courtesy: &Courtesy) -> Vec<Arc<str>> {
        let led_to = self.leads.get(&courtesy.peer).into_iter().flatten();
        std::iter::once(&courtesy.peer).chain(led_to).cloned().collect()
    }

    fn space(&mut self, keys: Vec<Arc<str>>, until: Instant, now: Instant) {
        for key in keys {
            let rest = self.rests.entry(key).or_insert(Rest { spaced: now, pleaded: now, pause: None });
            rest.spaced = rest.spaced.max(until);
        }
    }
}
