//! D15: what independent clocks say about this machine's own.

use std::{collections::BTreeSet, time::Duration};

use ase_probes::outcome::Outcome;

use super::Neighbourhood;

/// Clocks that must agree before this machine's own is doubted: of two that differ nobody knows which is wrong, the third
/// decides.
const CLOCKS: usize = 3;
/// Clocks that are heard, those that were read last. They are enough to outvote any that are wrong, and more would only
/// delay the answer: most of those heard must have spoken since the fault.
const HEARD: usize = 64;
/// How far clocks that agree may lie apart, in seconds: HTTP dates have whole seconds (RFC 9110 section 5.6.7), and one
/// more passes on the way.
const AGREEMENT: f64 = 2.0;
/// How far this machine's clock may lie from what others agree on, in seconds: no more than they may lie apart.
const CLOCK_TOLERANCE: f64 = AGREEMENT;
/// Clocks that were asked longer ago than this say nothing: nearly three rounds of time servers, which are asked every
/// 64 s at most.
const CLOCK_AGE: Duration = Duration::from_secs(180);

/// A clock, as one visit read it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clock {
    index: usize,
    /// When the visit began.
    began: Duration,
    /// Its time minus ours, in seconds.
    offset: f64,
}

/// A peer's clock minus ours, in seconds, where the exchange told.
pub(super) fn offset(outcome: &Outcome) -> Option<f64> {
    let packet = outcome.ntp_packet().filter(|packet| packet.is_synchronised());
    packet.map(|packet| packet.offset).or_else(|| outcome.http_answer()?.clock_offset)
}

impl Neighbourhood {
    /// What independent clocks say about ours since then. Most of those that are heard must have spoken and agree: a
    /// clock that was read earlier says nothing about a moment since which ours may have changed.
    pub(super) fn clock_wrong(&self, since: Duration, now: Duration) -> Option<bool> {
        self.agreed(since, now).map(|offset| offset.abs() > CLOCK_TOLERANCE)
    }

    /// Whether dates hold by the time that independent clocks agree on, which hold where ours goes forward by no less than
    /// `from` seconds and no more than `until`.
    pub fn dates_hold(&self, (from, until): (f64, f64), since: Duration, now: Duration) -> Option<bool> {
        let offset = self.agreed(since, now)?;
        Some((from - CLOCK_TOLERANCE..=until + CLOCK_TOLERANCE).contains(&offset))
    }

    /// The time that most independent clocks agree on since then, minus ours, in seconds.
    fn agreed(&self, since: Duration, now: Duration) -> Option<f64> {
        let clocks = self.heard(now);
        let mut offsets: Vec<f64> =
            clocks.iter().filter(|clock| clock.began >= since).map(|clock| clock.offset).collect();
        offsets.sort_by(f64::total_cmp);
        let median = *offsets.get(offsets.len() / 2)?;
        let agreeing = offsets.iter().filter(|offset| (**offset - median).abs() <= AGREEMENT).count();
        (agreeing >= CLOCKS && agreeing * 2 > clocks.len()).then_some(median)
    }

    /// The endpoints with a clock that has not been read since then.
    pub fn clocks_to_read(&self, since: Duration, now: Duration) -> impl Iterator<Item = usize> {
        self.heard(now).into_iter().filter(move |clock| clock.began < since).map(|clock| clock.index)
    }

    /// The clock of every host that told the time lately, as it was read last; the newest first.
    fn heard(&self, now: Duration) -> Vec<Clock> {
        let mut hosts = BTreeSet::new();
        let read = self.clocks.since(now.saturating_sub(CLOCK_AGE));
        let read = read.filter(|index| hosts.insert(self.places[*index].host)).take(HEARD);
        read.filter_map(|index| {
            let last = self.places[index].last.as_ref()?;
            Some(Clock { index, began: last.began, offset: last.clock? })
        })
        .collect()
    }
}
