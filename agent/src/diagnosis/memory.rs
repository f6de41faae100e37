//! What the visits of the last minutes showed in their order: which ports fail and succeed in turn.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// Recoveries older than this are forgotten.
const SPAN: Duration = Duration::from_secs(180);
/// A success within this time after a failure is a recovery; later it is the end of an outage.
const SOON: Duration = Duration::from_secs(15);
/// Failures in a row beyond which a success ends an outage.
const SHORT: u32 = 3;
/// Recoveries that make a port's failures intermittent.
const RECOVERIES: usize = 2;
/// Recoveries that are kept.
const KEPT: usize = 256;

/// A port, and whether by datagram.
pub type Port = (u16, bool);

/// The last failures of each endpoint, and the recoveries from them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    failing: BTreeMap<usize, (u32, Instant)>,
    recoveries: VecDeque<(Instant, usize, Port)>,
}

impl Memory {
    /// Takes in whether a visit that tested an endpoint worked.
    pub fn record(&mut self, index: usize, port: Port, works: bool, now: Instant) {
        if !works {
            let (count, at) = self.failing.entry(index).or_insert((0, now));
            (*count, *at) = (count.saturating_add(1), now);
            return;
        }
        if let Some((count, at)) = self.failing.remove(&index)
            && count <= SHORT
            && now.duration_since(at) <= SOON
        {
            self.recoveries.push_back((now, index, port));
        }
        while self.recoveries.len() > KEPT
            || self.recoveries.front().is_some_and(|(at, _, _)| now.duration_since(*at) > SPAN)
        {
            self.recoveries.pop_front();
        }
    }

    /// Whether visits on a port fail and succeed in turn.
    pub fn is_intermittent(&self, port: Port, now: Instant) -> bool {
        let recent = |at: &Instant| now.duration_since(*at) <= SPAN;
        self.recoveries.iter().filter(|(at, _, on)| *on == port && recent(at)).count() >= RECOVERIES
    }

    /// Whether an endpoint recovered from a short failure lately.
    pub fn has_recovered(&self, index: usize, now: Instant) -> bool {
        self.recoveries.iter().any(|(at, who, _)| *who == index && now.duration_since(*at) <= SPAN)
    }

    /// Forgets everything, as indices change at a reload.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: Port = (443, false);

    #[test]
    fn a_port_is_intermittent_after_two_quick_recoveries_and_not_after_an_outage() {
        let start = ase_probes::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::default();
        memory.record(0, HTTPS, false, at(0));
        memory.record(0, HTTPS, true, at(2));
        assert!(!memory.is_intermittent(HTTPS, at(2)), "one lost packet is no pattern");
        memory.record(1, HTTPS, false, at(5));
        memory.record(1, HTTPS, true, at(7));
        assert!(memory.is_intermittent(HTTPS, at(7)) && !memory.is_intermittent((80, false), at(7)));
        assert!(!memory.is_intermittent(HTTPS, at(200)), "forgotten after three minutes");

        let mut outage = Memory::default();
        for second in 0..10 {
            (0..5).for_each(|index| outage.record(index, HTTPS, false, at(second * 10)));
        }
        (0..5).for_each(|index| outage.record(index, HTTPS, true, at(100)));
        assert!(!outage.is_intermittent(HTTPS, at(100)));
    }
}
