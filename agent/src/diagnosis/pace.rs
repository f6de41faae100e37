//! How long round trips and exchanges usually take, address by address, and which of them take several times as long.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::model::remap::Remap;

/// Round trips in a row that must have grown, and that make what is usual: jitter seldom does that three times running.
const GROWN: u8 = 3;
/// How much round trips must have grown, as a factor and by how long: a queue that fills doubles them, another path or a
/// policed one makes them several times as long, and below 100 ms nobody minds.
const ROUND_TRIP: (u32, Duration) = (4, Duration::from_millis(100));
/// How much the time of a whole exchange must have grown: servers may take their time.
const EXCHANGE: (u32, Duration) = (4, Duration::from_secs(1));
/// What has been told for so long is no news any more and counts as usual from then on, as an early warning of creeping
/// round trips does: a path that stays longer is no fault that somebody still mends.
pub const ACCEPTED: Duration = Duration::from_secs(3600);
/// Addresses that are remembered of an endpoint: twice as many as one visit asks, since names lead to others in turn.
const ADDRESSES: usize = 16;

/// How long something usually takes, and how often in a row it took several times as long.
#[derive(Clone, Debug, Default)]
struct Usual {
    usual: Duration,
    learned: u8,
    grown: u8,
    /// Since when it has been long enough to be told.
    told: Option<Instant>,
}

impl Usual {
    /// Takes in how long it took. `before` is how often in a row it was too long until now.
    fn observe(&mut self, took: Duration, before: u8, (factor, by): (u32, Duration), now: Instant) {
        if self.learned >= GROWN && took >= self.usual * factor && took >= self.usual + by {
            self.grown = before.saturating_add(1);
            if self.grown >= GROWN {
                self.told.get_or_insert(now);
            }
            if self.told.is_none_or(|told| now.duration_since(told) < ACCEPTED) {
                return;
            }
            self.learned = 0;
        }
        (self.grown, self.told) = (0, None);
        self.usual = if self.learned == 0 { took } else { self.usual * 7 / 8 + took / 8 };
        self.learned = self.learned.saturating_add(1);
    }
}

/// What is usual at one address of an endpoint: another address may lie in another region.
#[derive(Clone, Debug)]
struct Known {
    address: IpAddr,
    /// When it was measured last.
    last: Instant,
    round_trip: Usual,
    exchange: Usual,
}

impl Known {
    fn grown(&self) -> (u8, u8) {
        (self.round_trip.grown, self.exchange.grown)
    }
}

/// What is usual at every endpoint.
#[derive(Clone, Debug, Default)]
pub struct Paces(BTreeMap<usize, Vec<Known>>);

impl Paces {
    /// Takes in how long a round trip to an endpoint's address and the exchange with it took, where that was measured.
    pub fn observe(
        &mut self,
        index: usize,
        address: IpAddr,
        (round_trip, exchange): (Option<Duration>, Option<Duration>),
        now: Instant,
    ) {
        let known = self.0.entry(index).or_default();
        // Where a name leads to another address at each visit, what one shows goes on at the next.
        let previous = known.iter().map(|known| known.last).filter(|last| *last < now).max();
        let inherited = known.iter().filter(|known| Some(known.last) == previous).map(Known::grown);
        let inherited = inherited.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1))).unwrap_or_default();
        let at = known.iter().position(|known| known.address == address).unwrap_or_else(|| {
            if known.len() == ADDRESSES
                && let Some(oldest) = (0..known.len()).min_by_key(|at| known[*at].last)
            {
                known.swap_remove(oldest);
            }
            let (round_trip, exchange) = (Usual::default(), Usual::default());
            known.push(Known { address, last: now, round_trip, exchange });
            known.len() - 1
        });
        let here = &mut known[at];
        let was_measured = here.last == now || Some(here.last) == previous;
        let before = if was_measured { here.grown() } else { inherited };
        if let Some(took) = round_trip {
            here.round_trip.observe(took, before.0, ROUND_TRIP, now);
        }
        if let Some(took) = exchange {
            here.exchange.observe(took, before.1, EXCHANGE, now);
        }
        here.last = now;
    }

    /// Whether the last round trips or exchanges took several times as long as they did, at an address that was measured
    /// last.
    pub fn is_slow(&self, index: usize) -> bool {
        self.has_grown(index, GROWN)
    }

    /// Whether the last one did.
    pub fn grows(&self, index: usize) -> bool {
        self.has_grown(index, 1)
    }

    fn has_grown(&self, index: usize, often: u8) -> bool {
        let known = self.0.get(&index).map(Vec::as_slice).unwrap_or_default();
        let last = known.iter().map(|known| known.last).max();
        let mut measured = known.iter().filter(|known| Some(known.last) == last);
        measured.any(|known| known.round_trip.grown >= often || known.exchange.grown >= often)
    }

    /// Follows endpoints to their numbers after a reload; those that did not stay are forgotten.
    pub fn remapped(self, remap: &Remap) -> Self {
        Self(remap.apply(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIT: Duration = Duration::from_secs(30);

    /// An endpoint's round trips, a visit every half minute.
    struct Watch {
        paces: Paces,
        now: Instant,
    }

    impl Watch {
        fn new() -> Self {
            Self { paces: Paces::default(), now: ase_probes::clock::now() }
        }

        /// One visit that asks these addresses, each with its round trip in milliseconds.
        fn visit(&mut self, asked: &[(u8, u64)]) -> bool {
            self.now += VISIT;
            for (address, millis) in asked {
                let took = (Some(Duration::from_millis(*millis)), Some(Duration::from_millis(*millis)));
                self.paces.observe(0, [20, 0, 0, *address].into(), took, self.now);
            }
            self.paces.is_slow(0)
        }

        fn visits(&mut self, count: usize, asked: &[(u8, u64)]) -> bool {
            (0..count).fold(false, |_, _| self.visit(asked))
        }
    }

    #[test]
    fn another_address_has_a_memory_of_its_own() {
        let mut watch = Watch::new();
        watch.visits(10, &[(1, 5)]);
        assert!(!watch.visits(20, &[(2, 150)]), "the name moved to another region");
        assert!(!watch.visits(2, &[(1, 150)]) && watch.visit(&[(1, 150)]), "the first one is remembered, and got slow");
        assert!(!watch.visit(&[(2, 150)]), "the name left it");
    }

    #[test]
    fn addresses_that_are_asked_side_by_side_are_not_mixed() {
        let mut watch = Watch::new();
        watch.visits(10, &[(1, 5)]);
        let far = [(1, 5), (2, 150), (3, 150), (4, 150)];
        assert!((0..10).all(|_| !watch.visit(&far)), "the name got addresses in another region");
        let one_slow = [(1, 5), (2, 150), (3, 1500), (4, 150)];
        assert!(watch.visits(3, &one_slow), "one of them got slow");
    }

    #[test]
    fn addresses_that_take_turns_grow_slow_together() {
        let mut watch = Watch::new();
        for _ in 0..5 {
            (1..=4).for_each(|address| assert!(!watch.visit(&[(address, 5)])));
        }
        let told: Vec<bool> = (1..=4).map(|address| watch.visit(&[(address, 150)])).collect();
        assert_eq!(told, [false, false, true, true], "three visits in a row, whichever address each asked");
    }

    #[test]
    fn what_has_grown_for_an_hour_is_usual_and_may_grow_again() {
        let mut watch = Watch::new();
        watch.visits(10, &[(1, 5)]);
        assert!(watch.visits(3, &[(1, 150)]));
        let hour = usize::try_from(ACCEPTED.as_secs() / VISIT.as_secs()).expect("few");
        assert!(watch.visits(hour - 1, &[(1, 150)]), "it is told for an hour");
        assert!(!watch.visits(10, &[(1, 150)]), "and no longer");
        assert!(watch.visits(3, &[(1, 900)]), "more than that is news");
    }

    #[test]
    fn what_is_visited_seldom_is_told_before_it_is_usual() {
        let mut watch = Watch::new();
        let mut seldom = |millis| {
            watch.now += 3 * ACCEPTED;
            watch.visit(&[(1, millis)])
        };
        (0..5).for_each(|_| assert!(!seldom(5)));
        assert_eq!([(); 4].map(|()| seldom(150)), [false, false, true, false]);
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_a_name_has() {
        let mut watch = Watch::new();
        (0..200).for_each(|address| assert!(!watch.visit(&[(address, 5)])));
        assert_eq!(watch.paces.0[&0].len(), ADDRESSES);
    }
}
