//! How those fared who were asked at about the same time: whether one fault can have hit two endpoints.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Place;
use crate::{diagnosis::window, net::port::Port};

/// Visits that began so close to each other met the same: as long as the kernel waits before it sends a lost SYN again
/// (RFC 6298 section 2), so that a way which was there for one of them was not gone for the other.
const STEP: Duration = Duration::from_secs(1);

/// What visits pass through together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// This machine's own link.
    All,
    /// The way out of this network.
    Outside,
    /// What is allowed on a port.
    Port(Port),
}

/// How many visits passed, and how many failed.
#[derive(Clone, Copy, Debug, Default)]
struct Fared {
    passed: u32,
    failed: u32,
}

/// How the visits of the last minutes fared, by when they began and by their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    first: Option<Instant>,
    steps: BTreeMap<u64, BTreeMap<Way, Fared>>,
}

impl Beside {
    /// Takes in how a visit fared.
    pub(super) fn add(&mut self, place: &Place, began: Instant, has_passed: bool) {
        self.first.get_or_insert(began);
        let step = self.steps.entry(self.step(began)).or_default();
        for way in ways(place) {
            let fared = step.entry(way).or_default();
            *(if has_passed { &mut fared.passed } else { &mut fared.failed }) += 1;
        }
    }

    fn step(&self, at: Instant) -> u64 {
        let since = self.first.map_or(Duration::ZERO, |first| at.saturating_duration_since(first));
        since.as_secs() / STEP.as_secs()
    }

    /// Forgets what is too long ago.
    pub(super) fn elapse(&mut self, now: Instant) {
        let oldest = self.step(now).saturating_sub(window::SPAN.as_secs() / STEP.as_secs());
        while self.steps.first_key_value().is_some_and(|(step, _)| *step < oldest) {
            self.steps.pop_first();
        }
    }

    /// Whether a fault that lasts at one place can be what an endpoint met that began to fail then at another: it is the
    /// same host, or something that both use let fewer than two of three others pass.
    pub(super) fn explains(&self, lasting: &Place, other: &Place, began: Instant) -> bool {
        let is_same_host = lasting.host == other.host;
        let is_same_address = lasting.address.is_some() && lasting.address == other.address;
        let mut shared = ways(lasting).filter(|way| ways(other).any(|used| used == *way));
        is_same_host || is_same_address || shared.any(|way| self.is_lost(way, began))
    }

    /// Whether those who were asked on this way at about that time mostly failed, or nobody else was. A way that takes half of
    /// all flows counts as lost.
    fn is_lost(&self, way: Way, began: Instant) -> bool {
        let step = self.step(began);
        let fared = self.steps.range(step..=step + 1).filter_map(|(_, fared)| fared.get(&way));
        let (passed, failed) = fared.fold((0, 0), |(passed, failed), one| (passed + one.passed, failed + one.failed));
        passed <= 2 * failed
    }
}

/// The ways that lead to an endpoint.
fn ways(place: &Place) -> impl Iterator<Item = Way> {
    let outside = place.is_outside.then_some(Way::Outside);
    [Some(Way::All), outside, Some(Way::Port(place.port))].into_iter().flatten()
}
