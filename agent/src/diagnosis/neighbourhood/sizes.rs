//! Whose full segments come: packets that vanish for their size vanish for everybody on the same way.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use ase_probes::{outcome::Outcome, verdict::Verdict};

use super::Neighbourhood;
use crate::{
    model::{catalog::Host, visit::Visit},
    net::{address::full_segment, port::Port},
};

/// What an endpoint's visits showed of the sizes of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The last two visits that went well and got a full segment, the latest first. One is not enough: those who are hit may
    /// have been visited before the latest.
    full: [Option<Full>; 2],
    /// Whether what the latest visit missed was sent by the peer: all that this machine sent was acknowledged.
    misses_the_peers: bool,
}

/// A visit that went well and got a full segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Full {
    began: Duration,
    is_ipv6: bool,
}

impl Sizes {
    /// What a visit shows.
    pub(super) fn of(visit: &Visit, began: Duration) -> Self {
        let is_well = visit.result == Ok(Verdict::Healthy);
        let full = visit.outcomes.iter().find(|outcome| is_well && is_full(outcome));
        let full = full.map(|outcome| Full { began, is_ipv6: outcome.address.is_ipv6() });
        let bad = visit.outcomes.iter().find(|outcome| outcome.verdict.finding().is_some());
        let misses_the_peers = bad.and_then(|outcome| outcome.seen.tcp).is_some_and(|tcp| tcp.unacked == 0);
        Self { full: [full, None], misses_the_peers }
    }

    /// The same with what was shown before.
    pub(super) fn after(self, before: Self) -> Self {
        let [latest, _] = self.full;
        let full = if latest.is_none() || latest == before.full[0] { before.full } else { [latest, before.full[0]] };
        Self { full, ..self }
    }
}

/// Whether a full segment came; a peer whose own are a little smaller, or who says little, shows nothing.
fn is_full(outcome: &Outcome) -> bool {
    let full = full_segment(outcome.address.ip());
    outcome.seen.tcp.is_some_and(|tcp| tcp.received_segment >= tcp.segment_size.max(full))
}

impl Neighbourhood {
    /// Whether what an endpoint's latest visit missed was sent by the peer.
    pub fn misses_the_peers(&self, index: usize) -> bool {
        self.places[index].last.as_ref().is_some_and(|last| last.sizes.misses_the_peers)
    }

    /// The hosts outside that work on a port, and from which a full segment came over this family within one of these times.
    pub fn full_on(&self, port: Port, is_ipv6: bool, times: &[RangeInclusive<Duration>]) -> BTreeSet<&Host> {
        let Some(since) = times.iter().map(|time| *time.start()).min() else { return BTreeSet::new() };
        let works = self.ports.get(&port).into_iter().flat_map(|group| group.outside.works.since(since));
        let is_within = |full: &Full| full.is_ipv6 == is_ipv6 && times.iter().any(|time| time.contains(&full.began));
        let places = works.map(|index| &self.places[index]);
        let full = places
            .filter(|place| place.last.as_ref().is_some_and(|last| last.sizes.full.iter().flatten().any(is_within)));
        full.map(|place| &place.endpoint.target.host).collect()
    }
}
