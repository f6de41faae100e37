//! What comes and goes too fast to be confirmed: failures that were over when they were asked again, how often an endpoint
//! had them, and whether many endpoints have them.

mod beside;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::verdict::Finding;

use super::{
    memory::lower_bound,
    window::{self, SlidingWindow},
};
use crate::{
    model::{catalog::Host, remap::Remap},
    net::port::Port,
};
use beside::Beside;

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

/// Where an endpoint is: what it shares with others, so that one fault may hit both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its host.
    pub host: Host,
    /// Where that was reached.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Port,
    /// Whether it lies outside this network.
    pub is_outside: bool,
}

/// One time at which an endpoint was lost and came back.
#[derive(Clone, Debug)]
struct Turn {
    /// When the visit that failed began.
    began: Instant,
    place: Place,
    /// The moment that it was part of.
    moment: u64,
}

/// Turns of several endpoints at one time.
#[derive(Clone, Debug)]
struct Moment {
    /// When the first visit that failed began.
    began: Instant,
    /// When the last of the endpoints that it hit worked again.
    over: Instant,
    turns: usize,
    /// How many turns of each host are part of it.
    hosts: BTreeMap<Host, usize>,
}

/// What one endpoint met.
#[derive(Clone, Debug)]
struct Own {
    /// When it worked again, each time.
    over: VecDeque<Instant>,
    /// What its last failure showed.
    lost: Lost,
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

/// A failure that was asked again and failed again.
#[derive(Clone, Debug)]
struct Confirmed {
    began: Instant,
    at: Instant,
    place: Place,
}

/// The last times at which something was lost and came back before it was confirmed.
#[derive(Clone, Debug, Default)]
pub struct Dips {
    failing: BTreeMap<usize, Unconfirmed>,
    /// Every turn, by when it was over and whose it is.
    turns: BTreeMap<(Instant, usize), Turn>,
    own: BTreeMap<usize, Own>,
    moments: BTreeMap<u64, Moment>,
    visits: SlidingWindow<()>,
    beside: Beside,
    /// Failures that were confirmed within the last minutes and had not been before, the oldest first.
    confirmed: VecDeque<Confirmed>,
    now: Option<Instant>,
}

impl Dips {
    /// Takes in a visit that tested an endpoint: where that is, when it began, and what was wrong.
    pub fn record(&mut self, index: usize, place: &Place, began: Instant, failed: Option<Lost>, now: Instant) {
        self.visits.add((), 1, now);
        if failed.as_ref().is_none_or(|lost| !lost.finding.cause.is_local()) {
            self.beside.add(place, began, failed.is_none());
        }
        match (failed, self.failing.remove(&index)) {
            (Some(lost), earlier) => {
                let again = earlier.is_some();
                if let Some(first) = earlier.filter(|earlier| !earlier.again) {
                    self.give_up(Confirmed { began: first.began, at: now, place: place.clone() });
                }
                self.failing.insert(index, Unconfirmed { began, failed: now, lost, again });
            }
            (None, Some(first)) if !first.again && now.duration_since(first.failed) <= SOON => {
                self.recovered(index, place, first, now);
            }
            (None, _) => {}
        }
    }

    /// An endpoint works again. Whoever began to fail before others had recovered met the same moment.
    fn recovered(&mut self, index: usize, place: &Place, first: Unconfirmed, now: Instant) {
        let mut lasting = self.confirmed.iter().rev().take_while(|confirmed| confirmed.at >= first.began);
        let has_lasted = lasting.any(|other| self.beside.explains(&other.place, place, first.began));
        if has_lasted || first.lost.finding.cause.is_local() {
            return;
        }
        let last = self.moments.last_key_value().map(|(number, moment)| (*number, moment.over));
        let number = match last {
            Some((number, over)) if first.began <= over => number,
            Some((number, _)) => number + 1,
            None => 0,
        };
        let began = first.began;
        let moment =
            self.moments.entry(number).or_insert(Moment { began, over: now, turns: 0, hosts: BTreeMap::new() });
        (moment.began, moment.over, moment.turns) = (moment.began.min(began), now, moment.turns + 1);
        *moment.hosts.entry(place.host.clone()).or_default() += 1;
        self.turns.insert((now, index), Turn { began: first.began, place: place.clone(), moment: number });
        let own = self.own.entry(index).or_insert(Own { over: VecDeque::new(), lost: first.lost.clone() });
        own.over.push_back(now);
        own.lost = first.lost;
    }

    /// What began then is confirmed: whoever met it met an incident, and those are the ledger's to count. Who failed
    /// meanwhile somewhere else, while most others there did not, met something of its own.
    fn give_up(&mut self, confirmed: Confirmed) {
        let met = self.turns.range((confirmed.began, 0)..);
        let met = met.filter(|(_, turn)| self.beside.explains(&confirmed.place, &turn.place, turn.began));
        let met: Vec<(Instant, usize)> = met.map(|(key, _)| *key).collect();
        met.into_iter().for_each(|key| self.forget(key));
        self.confirmed.push_back(confirmed);
    }

    fn forget(&mut self, key: (Instant, usize)) {
        let Some(turn) = self.turns.remove(&key) else { return };
        if let Some(moment) = self.moments.get_mut(&turn.moment) {
            moment.turns -= 1;
            count_down(&mut moment.hosts, &turn.place.host);
            if moment.turns == 0 {
                self.moments.remove(&turn.moment);
            }
        }
        if let Some(own) = self.own.get_mut(&key.1) {
            own.over.retain(|over| *over != key.0);
            if own.over.is_empty() {
                self.own.remove(&key.1);
            }
        }
    }

    /// Forgets what is too long ago, and everything once it was quiet for long enough.
    pub fn elapse(&mut self, now: Instant) {
        self.now = Some(now);
        self.visits.elapse(now);
        self.beside.elapse(now);
        while self.confirmed.front().is_some_and(|confirmed| now.duration_since(confirmed.at) > window::SPAN) {
            self.confirmed.pop_front();
        }
        let is_quiet = self.moments.last_key_value().is_some_and(|(_, last)| now.duration_since(last.over) > QUIET);
        while let Some(key) = self.turns.keys().next().copied()
            && (is_quiet || now.duration_since(key.0) > window::SPAN)
        {
            self.forget(key);
        }
    }

    /// How often what an endpoint meets came and went, where that is a pattern: at itself, or at many.
    pub fn of(&self, index: usize) -> Option<Turns> {
        let own = self.own.get(&index)?;
        let is_shared = self.is_shared();
        let (times, first, last) = if is_shared {
            let (first, last) = (self.moments.first_key_value()?.1, self.moments.last_key_value()?.1);
            (self.moments.len(), first.over, last.over)
        } else {
            (own.over.len(), *own.over.front()?, *own.over.back()?)
        };
        let is_quiet = self.now.is_some_and(|now| now.saturating_duration_since(last) > QUIET);
        let turns = Turns { times, within: last.duration_since(first), is_shared };
        (times >= OFTEN && !is_quiet).then_some(turns)
    }

    /// Since when an endpoint comes and goes with many others, if it does.
    pub fn shared_since(&self, index: usize) -> Option<Instant> {
        let is_shared = self.of(index).is_some_and(|turns| turns.is_shared);
        self.moments.first_key_value().filter(|_| is_shared).map(|(_, first)| first.began)
    }

    /// What an endpoint showed when it failed.
    pub fn finding(&self, index: usize) -> Option<Finding> {
        self.own.get(&index).map(|own| own.lost.finding)
    }

    /// The same in words.
    pub fn line(&self, index: usize) -> Option<String> {
        let lost = self.own.get(&index).map(|own| &own.lost).filter(|lost| !lost.line.is_empty());
        lost.map(|lost| format!("what it met: {}", lost.line))
    }

    /// Whether so many endpoints are hit, and so many visits, that it is no property of one.
    fn is_shared(&self) -> bool {
        let is_spread = self.moments.len() >= OFTEN && self.own.len() >= OFTEN;
        is_spread && lower_bound(self.turns.len() as u64, self.visits.sum()) >= SHARE && self.is_beyond_one_host()
    }

    /// Whether others meet a pattern than the one host that is hit alone most often, if there are others: what comes and goes
    /// there is its own, whatever hits somebody else once.
    fn is_beyond_one_host(&self) -> bool {
        let (alone, together): (Vec<&Moment>, Vec<&Moment>) =
            self.moments.values().partition(|moment| moment.hosts.len() == 1);
        if together.len() >= OFTEN {
            return true;
        }
        let mut times: BTreeMap<&Host, usize> = BTreeMap::new();
        alone.iter().flat_map(|moment| moment.hosts.keys()).for_each(|host| *times.entry(host).or_default() += 1);
        let most = times.values().max().copied().unwrap_or_default();
        let is_only_host = times.len() == 1 && together.is_empty();
        let is_hit_once =
            |host: &Host| times[host] == 1 && !together.iter().any(|moment| moment.hosts.contains_key(host));
        self.moments.len() - most >= OFTEN || is_only_host || times.keys().all(|host| is_hit_once(host))
    }

    /// Follows endpoints to their numbers after a reload; those that did not stay are forgotten.
    pub fn remap(&mut self, remap: &Remap) {
        self.failing = remap.apply(std::mem::take(&mut self.failing));
        let gone: Vec<_> = self.turns.keys().copied().filter(|(_, index)| remap.get(*index).is_none()).collect();
        gone.into_iter().for_each(|key| self.forget(key));
        self.own = remap.apply(std::mem::take(&mut self.own));
        let turns = std::mem::take(&mut self.turns).into_iter();
        self.turns = turns.filter_map(|((over, index), turn)| Some(((over, remap.get(index)?), turn))).collect();
    }
}

fn count_down(counts: &mut BTreeMap<Host, usize>, host: &Host) {
    let Some(count) = counts.get_mut(host) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(host);
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

    /// A host of its own outside, on the same port as all.
    fn place(index: usize) -> Place {
        let host = Host::Name(format!("host-{index}.example"));
        Place { host, address: None, port: Port::tcp(443), is_outside: true }
    }

    fn visit(dips: &mut Dips, index: usize, began: Instant, failed: Option<Lost>, now: Instant) {
        dips.record(index, &place(index), began, failed, now);
    }

    /// Seconds after the start.
    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Endpoints fail from this second on for four seconds, and are well a second later.
    fn dip(dips: &mut Dips, start: Instant, second: u64, hit: &[usize]) {
        hit.iter().for_each(|index| visit(dips, *index, at(start, second), Some(lost()), at(start, second + 4)));
        hit.iter().for_each(|index| visit(dips, *index, at(start, second + 5), None, at(start, second + 5)));
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
            (0..20).for_each(|index| visit(&mut dips, index, at(start, turn * 12), None, at(start, turn * 12)));
            dip(&mut dips, start, turn * 12, &hit);
        }
        let turns = dips.of(3).expect("a pattern");
        assert_eq!((turns.times, turns.is_shared), (3, true), "those that failed side by side met one moment");
        assert_eq!(dips.of(9), None, "who was never hit shows nothing");
    }

    #[test]
    fn a_host_that_comes_and_goes_makes_no_pattern_of_what_hits_others_once() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        // Twice by chance beside it, and twice alone.
        for (turn, hit) in [(0, vec![7]), (1, vec![7, 2]), (2, vec![4]), (3, vec![7]), (4, vec![7])] {
            (0..12).for_each(|index| visit(&mut dips, index, at(start, turn * 12), None, at(start, turn * 12)));
            dip(&mut dips, start, turn * 12, &hit);
        }
        assert_eq!(dips.of(7).map(|turns| (turns.times, turns.is_shared)), Some((4, false)));
        assert_eq!((dips.of(2), dips.of(4)), (None, None), "once is chance");
        // A third moment at others is a pattern of all.
        dip(&mut dips, start, 60, &[5, 7]);
        assert_eq!(dips.of(2).map(|turns| (turns.times, turns.is_shared)), Some((6, true)));
        // What is given up as part of an incident counts nowhere.
        let last = *dips.turns.keys().next_back().expect("a turn");
        dips.forget(last);
        assert_eq!(dips.moments[&5].hosts.len(), 1);
        dips.elapse(at(start, 300));
        assert!(dips.turns.is_empty() && dips.moments.is_empty() && dips.own.is_empty());
    }

    #[test]
    fn single_failures_here_and_there_in_a_large_catalogue_are_chance() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        for turn in 0..6 {
            (0..500).for_each(|index| visit(&mut dips, index, at(start, turn * 30), None, at(start, turn * 30)));
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
                visit(dips, index, at(start, second + began), Some(lost()), at(start, second + until));
            };
            // One fails before its confirmation, one after, one while the others are known to last.
            fails(&mut dips, 0, 0, 4);
            fails(&mut dips, 1, 1, 5);
            visit(&mut dips, 0, at(start, second + 6), None, at(start, second + 6));
            fails(&mut dips, 1, 6, 10);
            fails(&mut dips, 2, 9, 13);
            visit(&mut dips, 2, at(start, second + 14), None, at(start, second + 14));
            visit(&mut dips, 1, at(start, second + 20), None, at(start, second + 20));
        }
        assert!((0..3).all(|index| dips.of(index).is_none()), "the ledger counts incidents");
    }

    #[test]
    fn one_host_that_is_dead_for_long_hides_nothing() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        let dead =
            |dips: &mut Dips, second: u64| visit(dips, 9, at(start, second), Some(lost()), at(start, second + 7));
        (0..2).for_each(|turn| dead(&mut dips, turn * 8));
        for turn in 2..6 {
            dead(&mut dips, turn * 12);
            dip(&mut dips, start, turn * 12 + 1, &[3]);
        }
        assert_eq!(dips.of(3).map(|turns| turns.times), Some(4));
    }

    /// So many endpoints that are visited once in 30 s, one after the other, while one of them after another fails twice in a
    /// row, as the visits of a dead host do; and what of `index` is told, which is away for four seconds in 40.
    fn among(endpoints: usize, place: impl Fn(usize) -> Place, index: usize, pause: usize) -> Option<Turns> {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        let mut visit = |index: usize, began: u64, failed: Option<Lost>, ended: u64| {
            dips.elapse(at(start, ended));
            dips.record(index, &place(index), at(start, began), failed, at(start, ended));
        };
        for second in 0..180u64 {
            let due = (0..endpoints).filter(|index| *index as u64 % 30 == second % 30);
            due.for_each(|index| visit(index, second, None, second));
            let dead = 1 + usize::try_from(second).expect("small") / pause;
            match second as usize % pause {
                0 => visit(dead, second, Some(lost()), second + 1),
                2 => visit(dead, second, Some(lost()), second + 1),
                _ => {}
            }
            match second % 40 {
                20 => visit(index, second, Some(lost()), second + 1),
                22 => visit(index, second, None, second),
                _ => {}
            }
        }
        dips.of(index)
    }

    #[test]
    fn what_lasts_at_one_host_after_another_hides_no_host_that_comes_and_goes() {
        let told = among(3000, place, 2999, 5);
        assert_eq!(told.map(|turns| (turns.times, turns.is_shared)), Some((4, false)));
        let at_one_host = |_| place(0);
        assert_eq!(among(3000, at_one_host, 2999, 5), None, "the same host: the ledger counts that");
    }

    #[test]
    fn what_is_quiet_at_one_endpoint_is_over_there_whatever_others_meet() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        (0..3).for_each(|turn| dip(&mut dips, start, turn * 12, &[7]));
        for second in (40..160).step_by(10) {
            (10..500).for_each(|index| visit(&mut dips, index, at(start, second), None, at(start, second)));
            dip(&mut dips, start, second, &[second as usize + 600]);
        }
        dips.elapse(at(start, 29 + 120));
        assert_eq!(dips.of(7).map(|turns| turns.times), Some(3));
        dips.elapse(at(start, 29 + 121));
        assert_eq!(dips.of(7), None);
    }

    #[test]
    fn a_reload_keeps_the_turns_of_those_that_stay() {
        let (mut dips, start) = (Dips::default(), ase_probes::clock::now());
        (0..3).for_each(|turn| dip(&mut dips, start, turn * 12, &[0, 1]));
        let views = &crate::sample::snapshot().endpoints;
        let before: Vec<_> = views.iter().take(2).map(|view| Arc::clone(&view.endpoint)).collect();
        dips.remap(&Remap::between(&before, &before[1..]));
        assert_eq!((dips.of(0).map(|turns| turns.times), dips.of(1)), (Some(3), None));
        assert_eq!((dips.turns.len(), dips.moments.len()), (3, 3));
    }
}
