//! Endpoints that work and prove too little, as all of their kind do: a bare accept, a server that answered, a gateway.
//! They have no case. A few of each kind are measured now and then, and only what that shows opens cases for all.

use std::collections::{BTreeMap, BTreeSet};

use ase_probes::{cause::Cause, probe::Probe};

use super::{Cases, Moment, REPRESENTATIVES, known::Asker};
use crate::{
    diagnosis::{
        ask::Key,
        conclude::{Section, decide},
        neighbours::Neighbours,
        symptom::{Sign, Symptom},
    },
    model::{
        contrast::{Ask, Contrast, Contrasts},
        remap::Remap,
    },
    net::port::Port,
};

/// While nothing is wrong, one measurement for so many visits, until it tells something.
pub const QUIET: u32 = 2;

/// Who they are, and what is to be measured for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Usual {
    symptoms: BTreeMap<usize, Symptom>,
    groups: BTreeMap<(Symptom, Port), BTreeSet<usize>>,
    due: BTreeMap<Key, usize>,
    /// Whether something was learned that may be about all of them.
    is_stirred: bool,
}

impl Usual {
    /// Notes how an endpoint stands after a visit.
    pub(super) fn set(&mut self, index: usize, port: Port, symptom: Option<Symptom>) {
        if self.symptom(index) == symptom {
            return;
        }
        if let Some(before) = self.symptoms.remove(&index)
            && let Some(group) = self.groups.get_mut(&(before, port))
        {
            group.remove(&index);
            self.due.retain(|_, about| *about != index);
        }
        if let Some(symptom) = symptom {
            self.symptoms.insert(index, symptom);
            self.groups.entry((symptom, port)).or_default().insert(index);
        }
    }

    /// What an endpoint showed, if it is one of them.
    pub(super) fn symptom(&self, index: usize) -> Option<Symptom> {
        self.symptoms.get(&index).copied()
    }

    /// Whether what is measured for an endpoint stands for all of its kind on its port.
    fn is_representative(&self, index: usize, port: Port) -> bool {
        let group = self.symptom(index).and_then(|symptom| self.groups.get(&(symptom, port)));
        group.is_some_and(|group| group.iter().take(REPRESENTATIVES).any(|member| *member == index))
    }

    /// The measurements that are due, each with the endpoint that it is about.
    pub(super) fn due(&self) -> impl Iterator<Item = (&Key, usize)> {
        self.due.iter().map(|(key, index)| (key, *index))
    }

    /// Whether there is something to review or to measure.
    pub(super) fn is_stirred(&self) -> bool {
        self.is_stirred || !self.due.is_empty()
    }

    /// Notes that a measurement was made.
    pub(super) fn learned(&mut self, key: &Key, is_news: bool) {
        self.due.remove(key);
        self.is_stirred |= is_news;
    }

    /// Follows endpoints to their numbers after a reload: what is to be measured for one that stays still is, and what was
    /// learned is yet to be thought over. `port` tells the port of a new number.
    pub(super) fn remap(&mut self, remap: &Remap, port: impl Fn(usize) -> Port) {
        let before = std::mem::take(self);
        for (index, symptom) in remap.apply(before.symptoms) {
            self.set(index, port(index), Some(symptom));
        }
        self.due = before.due.into_iter().filter_map(|(key, about)| Some((key, remap.get(about)?))).collect();
        self.is_stirred = before.is_stirred;
    }
}

impl Cases {
    /// Takes in a visit that proves too little, and says whether that is all: the answers are not known to be somebody
    /// else's. Costs the same however many endpoints there are.
    pub(super) fn is_as_usual(&mut self, index: usize, sign: &Sign, at: Moment) -> bool {
        let asker = Asker { index, symptom: sign.symptom, peer: sign.peer, opened: at.now };
        let port = self.neighbourhood.port(index);
        let asks = if self.usual.is_representative(index, port) { &Section::of(sign.symptom).asks[..] } else { &[] };
        for ask in asks {
            if let Some(key) = self.key(*ask, &asker).filter(|key| self.is_due(key, &asker, at)) {
                self.usual.due.insert(key, index);
            }
        }
        self.says_usual(&asker, at)
    }

    fn is_due(&self, key: &Key, asker: &Asker, at: Moment) -> bool {
        let Some(learned) = self.lessons.get(key, at.now) else { return true };
        let told = Section::of(asker.symptom).asked.iter().filter(|contrast| contrast.ask() == key.ask);
        let tells = told.into_iter().any(|contrast| learned.measured.answers.get(contrast).is_some());
        let interval = self.neighbourhood.endpoint(asker.index).interval;
        learned.is_old(at.now) || !tells && learned.age(at.now) >= interval * QUIET
    }

    fn says_usual(&self, asker: &Asker, at: Moment) -> bool {
        let section = Section::of(asker.symptom);
        let mut known = Contrasts::default();
        for contrast in section.asked.iter() {
            let answer = match contrast.ask() {
                Ask::Memory if contrast == Contrast::AsksTheTime => {
                    Some(matches!(self.neighbourhood.endpoint(asker.index).target.probe, Probe::Ntp(_)))
                }
                Ask::Memory if contrast == Contrast::SomeFlowsDie => {
                    Some(self.some_flows_die(asker, self.neighbourhood.port(asker.index), at.now))
                }
                ask => self.measured(ask, asker, at.now).and_then(|learned| learned.measured.answers.get(contrast)),
            };
            known.learn_if(contrast, answer);
        }
        decide(asker.symptom, &known).is_none_or(|rule| rule.cause == Some(Cause::None))
    }

    /// Opens the cases of endpoints that worked as usual, where a measurement now says otherwise.
    pub(super) fn review_usual(&mut self, around: &Neighbours<'_>, at: Moment) {
        if !std::mem::take(&mut self.usual.is_stirred) {
            return;
        }
        let quiet: Vec<(usize, Symptom)> =
            self.usual.symptoms.iter().map(|(index, symptom)| (*index, *symptom)).collect();
        for (index, symptom) in quiet {
            if self.cases.contains_key(&index) {
                continue;
            }
            let peer = self.neighbourhood.peer(index);
            let asker = Asker { index, symptom, peer, opened: at.now };
            if !self.says_usual(&asker, at) {
                let began = self.neighbourhood.visited(index).unwrap_or(self.steady.now());
                let since = (self.steady.wall(began), began);
                let case = super::Case::new(Sign::quiet(symptom, peer), since, at.now, self.target(index, None));
                self.insert(index, case);
                self.think(index, around, at);
            }
        }
    }
}
