//! What comes and goes too fast to be confirmed: failures that were over when they were asked again, how often an endpoint
//! had them, and whether many endpoints have them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::verdict::Finding;

use super::{
    memory::lower_bound,
    window::{self, SlidingWindow},
};
use crate::model::remap::Remap;

/// A success within this time after a failure is its confirmation that passed: it is asked after one second, at time
/// servers after two, and a handshake may take seven.
const SOON: Duration = Duration::from_secs(15);
/// Times that make a pattern, and endpoints that must be hit before it is taken to be the path's: twice is chance.
const OFTEN: usize = 3;
/// The share of visits that fail so, as the lower end of the 95 % interval, from which on what hits several endpoints has
/// one reason: below it a large catalogue meets as much by chance.
const SHARE: f64 = 0.02;
/// What was quiet for so long does not come and go any more: as an incident that does.
const QUIET: Duration = Duration::from_secs(120);

/// How the line about it begins, here and where the ledger counts whole incidents.
pub const COMES_AND_GOES: &str = "it comes and goes";

/// How often something came and went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// How often within the last minutes.
    pub times: usize,
    /// The time between the first and the last.
    pub within: Duration,
    /// Whether it hits many endpoints, so that it is no property of one.
    pub is_shared: bool,
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.within.as_secs().div_ceil(60).max(1);
        write!(f, "{COMES_AND_GOES}: {} times within {minutes} min what failed was well when asked again", self.times)
    }
}

/// One time at which something was lost and came back.
#[derive(Clone, Debug)]
struct Dip {
    /// When the last of the endpoints that it hit worked again.
    over: Instant,
    hit: BTreeSet<usize>,
}

/// What a visit lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Why.
    pub finding: Finding,
    /// What it showed, in words.
    pub line: Arc<str>,
}

/// A failure that was not asked again yet.
#[derive(Clone, Debug)]
struct Unconfirmed {
    began: Instant,
    failed: Instant,
    lost: Lost,
    /// Whether it was asked again and failed again, so that it is an incident.
    again: bool,
}

/// The last times at which something was lost and came back before it was confirmed.
#[derive(Clone, Debug, Default)]
pub struct Dips {
    failing: BTreeMap<usize, Unconfirmed>,
    dips: VecDeque<Dip>,
    /// What each endpoint's last failure of the kind showed.
    lost: BTreeMap<usize, Lost>,
    visits: SlidingWindow<()>,
    /// When a failure was last confirmed that had not been.
    confirmed: Option<Instant>,
}

impl Dips {
    /// Takes in a visit that tested an endpoint: when it began, and what was wrong.
    pub fn record(&mut self, index: usize, began: Instant, failed: Option<Lost>, now: Instant) {
        self.visits.add((), 1, now);
        match (failed, self.failing.remove(&index)) {
            (Some(lost), earlier) => {
                let again = earlier.is_some();
                if let Some(first) = earlier.filter(|earlier| !earlier.again) {
                    self.give_up(first.began, now);
                }
                self.failing.insert(index, Unconfirmed { began, failed: now, lost, again });
            }
            (None, Some(first)) if !first.again && now.duration_since(first.failed) <= SOON => {
                self.recovered(index, first, now);
            }
            (None, _) => {}
        }
    }

    /// An endpoint works again. Whoever began to fail before others had recovered met the same moment.
    fn recovered(&mut self, index: usize, first: Unconfirmed, now: Instant) {
        let has_lasted = self.confirmed.is_some_and(|at| at >= first.began);
        if has_lasted || first.lost.finding.cause.is_local() {
            return;
        }
        self.lost.insert(index, first.lost);
        match self.dips.back_mut().filter(|dip| first.began <= dip.over) {
            Some(dip) => {
                dip.over = now;
                dip.hit.insert(index);
            }
            None => self.dips.push_back(Dip { over: now, hit: BTreeSet::from([index]) }),
        }
    }

    /// What began then is confirmed: whoever met it met an incident, and those are the ledger's to count.
    fn give_up(&mut self, began: Instant, now: Instant) {
        self.confirmed = Some(now);
        while self.dips.back().is_some_and(|dip| began <= dip.over) {
            self.dips.pop_back();
        }
    }

    /// Forgets what is too long ago, and everything once it was quiet for long enough.
    pub fn elapse(&mut self, now: Instant) {
        self.visits.elapse(now);
        let is_quiet = self.dips.back().is_some_and(|dip| now.duration_since(dip.over) > QUIET);
        while self.dips.front().is_some_and(|dip| is_quiet || now.duration_since(dip.over) > window::SPAN) {
            self.dips.pop_front();
        }
        if self.dips.is_empty() {
            self.lost.clear();
        }
    }

    /// How often what an endpoint meets came and went, where that is a pattern: at itself, or at many.
    pub fn of(&self, index: usize) -> Option<Turns> {
        let own: Vec<&Dip> = self.dips.iter().filter(|dip| dip.hit.contains(&index)).collect();
        let is_shared = !own.is_empty() && self.is_shared();
        let counted = if is_shared { self.dips.iter().collect() } else { own };
        let within = counted.last()?.over.duration_since(counted.first()?.over);
        (counted.len() >= OFTEN).then_some(Turns { times: counted.len(), within, is_shared })
    }

    /// What an endpoint showed when it failed.
    pub fn finding(&self, index: usize) -> Option<Finding> {
        self.lost.get(&index).map(|lost| lost.finding)
    }

    /// The same in words.
    pub fn line(&self, index: usize) -> Option<String> {
        self.lost.get(&index).filter(|lost| !lost.line.is_empty()).map(|lost| format!("what it met: {}", lost.line))
    }

    /// Whether so many endpoints are hit, and so many visits, that it is no property of one.
    fn is_shared(&self) -> bool {
        let hit: BTreeSet<usize> = self.dips.iter().flat_map(|dip| dip.hit.iter().copied()).collect();
        let failed: usize = self.dips.iter().map(|dip| dip.hit.len()).sum();
        let is_spread = self.dips.len() >= OFTEN && hit.len() >= OFTEN;
        is_spread && lower_bound(failed as u64, self.visits.sum()) >= SHARE
    }

    /// Follows endpoints to their numbers after a reload; those that did not stay are forgotten.
    pub fn remap(&mut self, remap: &Remap) {
        self.failing = remap.apply(std::mem::take(&mut self.failing));
        self.lost = remap.apply(std::mem::take(&mut self.lost));
        for dip in &mut self.dips {
            dip.hit = dip.hit.iter().filter_map(|index| remap.get(*index)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{
        cause::Cause,
        verdict::{Confidence, Phase},
    };

    fn lost() -> Lost {
        let finding = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
        Lost { finding, line: "198.18.0.1:443: no answer".into() }
    }

    /// Seconds after the start.
    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Endpoints fail from this second on for four seconds, and are well a second later.
    fn dip(dips: &mut Dips, start: Instant, second: u64, hit: &[usize]) {
        hit.iter().for_each(|index| dips.record(*index, at(start, second), Some(lost()), at(start, second + 4)));
        hit.iter().for_each(|index| dips.record(*index, at(start, second + 5), None, at(start, second + 5)));
    }

    #[test]
    fn three_failures_of_an_endpoint_that_were_over_when_asked_again_are_a_pattern_and_two_are_chance() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        for (turn, told) in [(0, None), (1, None), (2, Some(3)), (3, Some(4))] {
            dip(&mut dips, start, turn * 12, &[7]);
            assert_eq!(dips.of(7).map(|turns| turns.times), told, "after {turn}");
        }
        let turns = dips.of(7).expect("a pattern");
        let line = "it comes and goes: 4 times within 1 min what failed was well when asked again";
        assert_eq!((turns.is_shared, turns.to_string().as_str(), dips.finding(7)), (false, line, Some(lost().finding)));
        assert_eq!(dips.line(7).as_deref(), Some("what it met: 198.18.0.1:443: no answer"));
        assert_eq!(dips.of(8), None, "another endpoint");
        dips.elapse(at(start, 41 + 120));
        assert!(dips.of(7).is_some());
        dips.elapse(at(start, 41 + 121));
        assert!(dips.of(7).is_none() && dips.finding(7).is_none(), "over when it was quiet for two minutes");
    }

    #[test]
    fn what_hits_other_endpoints_at_each_turn_is_shared_and_told_of_each_that_was_hit() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        for (turn, hit) in [(0, [0, 1]), (1, [2, 3]), (2, [4, 5])] {
            (0..20).for_each(|index| dips.record(index, at(start, turn * 12), None, at(start, turn * 12)));
            dip(&mut dips, start, turn * 12, &hit);
        }
        let turns = dips.of(3).expect("a pattern");
        assert_eq!((turns.times, turns.is_shared), (3, true), "those that failed side by side met one moment");
        assert_eq!(dips.of(9), None, "who was never hit shows nothing");
    }

    #[test]
    fn single_failures_here_and_there_in_a_large_catalogue_are_chance() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        for turn in 0..6 {
            (0..500).for_each(|index| dips.record(index, at(start, turn * 30), None, at(start, turn * 30)));
            dip(&mut dips, start, turn * 30, &[turn as usize]);
        }
        assert!((0..6).all(|index| dips.of(index).is_none()));
    }

    #[test]
    fn what_lasts_until_it_is_confirmed_is_an_incident_for_all_who_met_it() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        for turn in 0..4 {
            let second = turn * 40;
            let fails = |dips: &mut Dips, index, began, until| {
                dips.record(index, at(start, second + began), Some(lost()), at(start, second + until));
            };
            // One fails before its confirmation, one after, one while the others are known to last.
            fails(&mut dips, 0, 0, 4);
            fails(&mut dips, 1, 1, 5);
            dips.record(0, at(start, second + 6), None, at(start, second + 6));
            fails(&mut dips, 1, 6, 10);
            fails(&mut dips, 2, 9, 13);
            dips.record(2, at(start, second + 14), None, at(start, second + 14));
            dips.record(1, at(start, second + 20), None, at(start, second + 20));
        }
        assert!((0..3).all(|index| dips.of(index).is_none()), "the ledger counts incidents");
    }

    #[test]
    fn one_host_that_is_dead_for_long_hides_nothing() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        let dead =
            |dips: &mut Dips, second: u64| dips.record(9, at(start, second), Some(lost()), at(start, second + 7));
        (0..2).for_each(|turn| dead(&mut dips, turn * 8));
        for turn in 2..6 {
            dead(&mut dips, turn * 12);
            dip(&mut dips, start, turn * 12 + 1, &[3]);
        }
        assert_eq!(dips.of(3).map(|turns| turns.times), Some(4));
    }
}
