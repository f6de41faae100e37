//! What measurements taught: for how long it is worth something, and when the same is measured again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use crate::{
    diagnosis::ask::{Key, Measured},
    model::{
        contrast::{Ask, Contrast, Contrasts},
        remap::Remap,
    },
};

/// A measurement that taught nothing new is not repeated before this, then after twice that, and so on: twice the default
/// interval, so that a case that goes on costs one measurement for two of its visits.
pub const REPEAT: Duration = Duration::from_secs(60);
/// The longest pause between two measurements of the same, and the age at which an answer that is still in use is asked
/// for again.
const LONGEST_REPEAT: Duration = Duration::from_secs(600);
/// What was measured longer ago than this says nothing. It leaves five minutes to an answer that is asked for again, so
/// that no decision falls because its ground grew old.
const WORTH: Duration = Duration::from_secs(900);
/// What source ports showed at one endpoint speaks for others this long: as long as visits are remembered.
const SHARED: Duration = crate::diagnosis::window::SPAN;
/// A measurement that began this long before a case still speaks for it: a confirmation comes after a second.
const SLACK: Duration = Duration::from_secs(1);

/// What a measurement taught.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    /// What it answered.
    pub measured: Measured,
    /// What the one before it answered.
    pub before: Contrasts,
    at: Instant,
    pause: Duration,
}

impl Learned {
    /// Whether it was learned for a case that was opened then, or shortly before it.
    pub(super) fn is_of(&self, opened: Instant) -> bool {
        self.at + SLACK >= opened
    }

    /// Whether it was learned then or later, without the time that a confirmation takes.
    pub(super) fn is_since(&self, moment: Instant) -> bool {
        self.at >= moment
    }

    /// How long ago it was learned.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.at)
    }

    /// Whether it was learned within the time over which visits are remembered.
    pub(super) fn is_recent(&self, now: Instant) -> bool {
        self.age(now) <= SHARED
    }

    /// Whether what it answers should be asked for again, lest it become worth nothing while it is in use.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.age(now) >= LONGEST_REPEAT
    }
}

/// All that was learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Lessons {
    by_key: BTreeMap<Key, Learned>,
    /// When source ports last decided at any endpoint.
    ports_decided: Option<Instant>,
    /// The same by measurement, also where a later one found that they do so no more.
    decided: BTreeMap<Key, Instant>,
    /// What new flows did right after a visit of an endpoint passed, and when that was measured last.
    after_pass: BTreeMap<usize, (Instant, AfterPass)>,
    /// When all new flows passed last right after a visit of an endpoint had.
    passed: BTreeMap<usize, Instant>,
}

/// What several new flows at once did right after one had passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterPass {
    /// All passed.
    Passed,
    /// All failed, once: the path may have gone in that moment.
    Failed,
    /// Some passed beside others that did not, or all failed again.
    Shut,
}

impl Lessons {
    /// Takes in what a measurement taught.
    pub(super) fn learn(&mut self, key: Key, measured: Measured, now: Instant) {
        let (before, pause) = match self.by_key.remove(&key) {
            Some(earlier) => (earlier.measured.answers, (earlier.pause * 2).min(LONGEST_REPEAT)),
            None => (Contrasts::default(), REPEAT),
        };
        if measured.answers.get(Contrast::PortDecides) == Some(true) {
            self.decided.insert(key.clone(), now);
        }
        self.decided.retain(|_, at| now.duration_since(*at) <= WORTH);
        self.by_key.insert(key, Learned { measured, before, at: now, pause });
        self.by_key.retain(|_, learned| learned.age(now) <= WORTH);
        let decided = self
            .about(Ask::SourcePorts)
            .filter(|(_, learned)| learned.measured.answers.get(Contrast::PortDecides) == Some(true));
        self.ports_decided = decided.map(|(_, learned)| learned.at).max();
    }

    /// What a measurement taught lately.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<&Learned> {
        self.by_key.get(key).filter(|learned| learned.age(now) <= WORTH)
    }

    /// Whether a measurement was made so lately that it is not made again.
    pub(super) fn knows(&self, key: &Key, now: Instant) -> bool {
        self.by_key.get(key).is_some_and(|learned| learned.age(now) < learned.pause)
    }

    /// Everything that was learned in one way.
    pub(super) fn about(&self, ask: Ask) -> impl Iterator<Item = (&Key, &Learned)> {
        let first = Key { ask, peer: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), about: None };
        self.by_key.range(first..).take_while(move |(key, _)| key.ask == ask)
    }

    /// Takes in what several new flows did right after a visit of this endpoint had passed.
    pub(super) fn learn_after_pass(&mut self, index: usize, shown: AfterPass, now: Instant) {
        self.after_pass.retain(|_, (at, _)| now.duration_since(*at) <= SHARED);
        self.passed.retain(|_, at| now.duration_since(*at) <= WORTH);
        let before = self.after_pass.get(&index).map(|(_, before)| *before);
        if shown == AfterPass::Passed {
            self.passed.insert(index, now);
        }
        let again = shown == AfterPass::Failed && matches!(before, Some(AfterPass::Failed | AfterPass::Shut));
        self.after_pass.insert(index, (now, if again { AfterPass::Shut } else { shown }));
    }

    /// Whether several new flows passed right after a visit of an endpoint had, if that was measured lately. Where one port
    /// is in trouble, one measurement tells; what comes and goes everywhere may have gone in that moment.
    pub(super) fn after_pass(&self, index: usize, now: Instant, is_one_port: bool) -> Option<bool> {
        let (_, shown) = self.after_pass.get(&index).filter(|(at, _)| now.duration_since(*at) <= SHARED)?;
        match shown {
            AfterPass::Passed => Some(true),
            AfterPass::Failed => is_one_port.then_some(false),
            AfterPass::Shut => Some(false),
        }
    }

    /// Whether all new flows passed at an endpoint as long ago as a measurement is worth something, and none shut them
    /// out since: those that fail together once may have met the moment in which the path went.
    pub(super) fn has_passed(&self, index: usize, now: Instant) -> bool {
        let is_shut = self.after_pass(index, now, false) == Some(false);
        !is_shut && self.passed.get(&index).is_some_and(|at| now.duration_since(*at) <= WORTH)
    }

    /// Whether they did at several endpoints, and were shut out at fewer.
    pub(super) fn several_passed(&self, now: Instant) -> bool {
        let passed = self.passed.keys().filter(|index| self.has_passed(**index, now)).count();
        let shut = self.after_pass.keys().filter(|index| self.after_pass(**index, now, false) == Some(false)).count();
        passed > 1 && passed > shut
    }

    /// Whether at most endpoints where it was measured lately, new flows did not pass right after one did.
    pub(super) fn is_shut(&self, now: Instant) -> bool {
        let certain: Vec<bool> =
            self.after_pass.keys().filter_map(|index| self.after_pass(*index, now, false)).collect();
        certain.iter().filter(|passed| !**passed).count() * 2 > certain.len()
    }

    /// Follows endpoints to their numbers after a reload.
    pub(super) fn remap(&mut self, remap: &Remap) {
        self.after_pass = remap.apply(std::mem::take(&mut self.after_pass));
        self.passed = remap.apply(std::mem::take(&mut self.passed));
    }

    /// Whether source ports decided at several hosts lately, so that it is no property of one of them.
    pub(super) fn ports_decide_at_several(&self, now: Instant) -> bool {
        self.ports_decided_at_several_within(SHARED, now)
    }

    /// The same for as long as a measurement is worth something: in use it is made again before.
    pub(super) fn ports_still_decide_at_several(&self, now: Instant) -> bool {
        self.ports_decided_at_several_within(WORTH, now)
    }

    fn ports_decided_at_several_within(&self, span: Duration, now: Instant) -> bool {
        let decided = self.about(Ask::SourcePorts).filter(|(_, learned)| {
            learned.age(now) <= span && learned.measured.answers.get(Contrast::PortDecides) == Some(true)
        });
        decided.map(|(key, _)| key.peer.ip()).collect::<BTreeSet<_>>().len() > 1
    }

    /// The hosts at which source ports decided lately, where `is_there` says, or, while failures come and go there, as long
    /// ago as a measurement is worth something. None where the place was lost as a whole since, so that all new flows failed
    /// at several hosts; that they pass again takes nothing back.
    pub(super) fn hosts_that_lost_flows(
        &self,
        is_there: impl Fn(&Key) -> bool,
        goes_on: bool,
        now: Instant,
    ) -> BTreeSet<IpAddr> {
        let span = if goes_on { WORTH } else { SHARED };
        let decided = self.decided.iter().filter(|(key, at)| now.duration_since(**at) <= span && is_there(key));
        let decided: Vec<(IpAddr, Instant)> = decided.map(|(key, at)| (key.peer.ip(), *at)).collect();
        let last = decided.iter().map(|(_, at)| *at).max();
        let failed = self.about(Ask::SourcePorts).filter(|(key, learned)| {
            let told = [Contrast::NewFlowsPass, Contrast::NewFlowsMixed].map(|told| learned.measured.answers.get(told));
            last.is_some_and(|last| learned.is_since(last)) && told == [Some(false); 2] && is_there(key)
        });
        let lost: BTreeSet<IpAddr> = failed.map(|(key, _)| key.peer.ip()).collect();
        if lost.len() > 1 { BTreeSet::new() } else { decided.into_iter().map(|(host, _)| host).collect() }
    }

    /// Whether source ports decided at any endpoint lately: a path that is shared is broken for all.
    pub(super) fn ports_decide(&self, now: Instant) -> bool {
        self.ports_decided.is_some_and(|at| now.duration_since(at) <= SHARED)
    }
}
