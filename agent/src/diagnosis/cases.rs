//! The open cases: every endpoint that shows a sign of trouble, what is known about it, and what to ask next. It is told
//! of visits, measurements and the time, and says what things mean and what would settle them; it asks nobody.

mod asks;
mod case;
mod compared;
mod in_vain;
mod known;
mod lessons;
mod relief;
mod settle;
mod signs;
mod standing;
mod steady;
mod usual;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    verdict::{Finding, Phase, Verdict},
};

use super::{
    ask::{Key, Measured},
    conclude::conclude,
    memory::Memory,
    neighbourhood::Neighbourhood,
    neighbours::Neighbours,
    symptom::{Symptom, is_of_the_peer},
    turns::{Dips, Lost, Place},
};
use crate::{
    model::{
        catalog::{Endpoint, Host},
        contrast::{Contrast, Contrasts},
        diagnosis::{Diagnosis, Ledger},
        endpoint::Status,
        remap::Remap,
        settings::Settings,
        visit::{Untested, Visit},
    },
    net::{address::of_family, port::Port},
};
use asks::{REPRESENTATIVES, Wishes};
use case::{Case, nothing_found};
use lessons::{AfterPass, Lessons};
use relief::Relief;
use standing::judged;
use steady::Steady;
use usual::Usual;

pub use lessons::REPEAT;
pub use usual::QUIET;

/// Flows that all fail take 2.5 s to show it; what began later than a second after a visit is not right after it.
const RIGHT_AFTER: Duration = Duration::from_millis(3500);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock, since the Unix epoch.
    pub wall: Duration,
}

/// What the cases can be about.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// Every endpoint, in the catalogue's order.
    pub endpoints: &'a [Arc<Endpoint>],
    /// The platform's own address.
    pub platform: IpAddr,
    /// Whether the redirect ports of SQL gateways are sampled.
    pub samples_redirects: bool,
}

impl<'a> Watched<'a> {
    /// What these settings watch.
    pub fn under(settings: &'a Settings) -> Self {
        Self {
            endpoints: &settings.catalog.endpoints,
            platform: settings.resolvers.azure.ip(),
            samples_redirects: settings.diagnosis.sql_redirect,
        }
    }
}

/// What to ask next.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Measurements, each with the endpoint that it is about, the most urgent first.
    pub errands: Vec<(Key, usize)>,
    /// Endpoints whose visits would tell.
    pub visits: BTreeSet<usize>,
    /// Hosts whose names should be compared.
    pub names: BTreeSet<Host>,
    /// Endpoints whose status or diagnosis may have changed since the last review.
    pub changed: BTreeSet<usize>,
    /// Endpoints whose status another than their own visit has changed, each with how it stood before.
    pub restated: Vec<(usize, Status)>,
}

/// All open cases.
#[derive(Clone, Debug)]
pub struct Cases {
    cases: BTreeMap<usize, Case>,
    usual: Usual,
    neighbourhood: Neighbourhood,
    /// The endpoints' numbers by their ids.
    numbers: BTreeMap<Arc<str>, usize>,
    lessons: Lessons,
    memory: Memory,
    dips: Dips,
    steady: Steady,
    /// How many cases prove a cause by themselves.
    observed: BTreeMap<Cause, usize>,
    /// How many cases with a symptom are about a peer, by the endpoint's port.
    peers: BTreeMap<(Symptom, Port, SocketAddr), usize>,
    /// When which case was opened, by symptom and port, the oldest first.
    openings: BTreeMap<(Symptom, Port), BTreeSet<(Instant, usize)>>,
    changed: BTreeSet<usize>,
    relief: Relief,
    samples_redirects: bool,
    has_past: bool,
    /// Whether nothing more will be learned: what was to be given the benefit of the doubt has had it.
    is_over: bool,
    /// The incidents that follow from the cases.
    pub ledger: Ledger,
}

impl Cases {
    /// No case is open. An agent that looks once, as `check` does, has no past: rules that need one are off.
    pub fn new(watched: &Watched<'_>, has_past: bool) -> Self {
        Self {
            cases: BTreeMap::new(),
            usual: Usual::default(),
            neighbourhood: Neighbourhood::new(watched.endpoints, watched.platform),
            numbers: numbers_of(watched.endpoints),
            lessons: Lessons::default(),
            memory: Memory::new(has_past),
            dips: Dips::default(),
            steady: Steady::default(),
            observed: BTreeMap::new(),
            peers: BTreeMap::new(),
            openings: BTreeMap::new(),
            changed: BTreeSet::new(),
            relief: Relief::default(),
            samples_redirects: watched.samples_redirects,
            has_past,
            is_over: false,
            ledger: Ledger::default(),
        }
    }

    /// Watches something else: endpoints that stay keep their cases, their incidents and what is remembered of them.
    pub fn reload(&mut self, watched: &Watched<'_>, remap: &Remap) {
        self.neighbourhood = self.neighbourhood.remapped(watched.endpoints, watched.platform, remap);
        self.numbers = numbers_of(watched.endpoints);
        self.memory.remap(remap);
        self.dips.remap(remap);
        self.lessons.remap(remap);
        self.usual.remap(remap, |index| self.neighbourhood.port(index));
        self.relief.remap(remap);
        self.samples_redirects = watched.samples_redirects;
        (self.observed, self.peers, self.openings) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        // Where all stay, nobody stands otherwise than before: a review for that would move the next one.
        if !remap.is_identity(watched.endpoints.len()) {
            self.look_at_all();
        }
        for (index, case) in remap.apply(std::mem::take(&mut self.cases)) {
            self.insert(index, case);
        }
    }

    /// Lets the next review bring the views of all endpoints up to date.
    pub fn look_at_all(&mut self) {
        self.changed = (0..self.neighbourhood.len()).collect();
    }

    /// Whether a review would find something to do: a case is open, has just been closed, or is to be opened by what was
    /// learned.
    pub fn is_stirred(&self) -> bool {
        !self.cases.is_empty() || !self.changed.is_empty() || self.usual.is_stirred()
    }

    /// Whether packets were lost on several endpoints' connections, and too few, or for too short, to say more.
    pub fn may_be_lossy(&self) -> bool {
        self.memory.may_be_lossy()
    }

    /// How many cases are open.
    pub fn open(&self) -> usize {
        self.cases.len()
    }

    /// Takes in a visit and says what it means in the light of all that is known: the judgement, which may differ from
    /// what the visit alone showed. The visit itself stays as it was observed.
    pub fn take_in(
        &mut self,
        index: usize,
        visit: &Visit,
        around: &Neighbours<'_>,
        at: Moment,
    ) -> Result<Verdict, Untested> {
        self.elapse(at);
        let began = self.steady.before(visit.took);
        match visit.result {
            Ok(_) | Err(Untested::Forbidden(_)) => self.neighbourhood.take_in(index, visit, began),
            Err(_) => self.neighbourhood.tried(index, visit, began),
        }
        let verdict = match visit.result {
            Ok(verdict) => verdict,
            Err(untested) => {
                if matches!(untested, Untested::Forbidden(_)) {
                    self.relief.forget(index);
                }
                self.take_in_untested(index, visit, untested, around, at);
                return Err(untested);
            }
        };
        let works = matches!(verdict, Verdict::Healthy | Verdict::Degraded(_));
        if self.relief.is_relieved(index)
            && let Some(case) = self.cases.get_mut(&index)
        {
            case.noticed = self.steady.now();
        }
        let is_old_sign = self.relieve(index, visit, began);
        let port = self.neighbourhood.port(index);
        if !matches!(verdict, Verdict::Inconclusive(_)) {
            let failed = verdict.finding().filter(|_| !works);
            let has_passed = failed.is_none_or(|finding| is_of_the_peer(finding.cause));
            self.memory.record(index, failed_at(visit).unwrap_or(port), has_passed, at.now);
            if !has_passed && failed.is_some_and(|finding| finding.phase <= Phase::Connect) {
                self.memory.lose_connection(index, at.now);
            }
            if self.has_past && failed_at(visit).is_none() {
                let began = at.now.checked_sub(visit.took).unwrap_or(at.now);
                let line = || visit.evidence().first().map(String::as_str).unwrap_or_default().into();
                let place = Place {
                    host: self.neighbourhood.endpoint(index).target.host.clone(),
                    address: self.neighbourhood.address(index),
                    port,
                    is_outside: self.neighbourhood.is_outside(index),
                };
                let failed = failed.map(|finding| Lost { finding, line: line() });
                self.dips.record(index, &place, began, failed, at.now);
            }
        }
        visit.outcomes.iter().for_each(|outcome| self.memory.measure(index, outcome, at.now));
        let sign = self.sign(index, visit, verdict, around);
        let usual = sign.as_ref().map(|sign| sign.symptom).filter(|symptom| symptom.is_usual());
        self.usual.set(index, port, usual);
        if let Some(case) = self.cases.get(&index).filter(|_| is_old_sign) {
            return Ok(judged(verdict, case.diagnosis.finding));
        }
        let Some(sign) = sign.filter(|sign| usual.is_none() || !self.is_as_usual(index, sign, at)) else {
            self.close(index);
            return Ok(verdict);
        };
        let target = self.target(index, Some(&sign));
        let case = Case::new(sign, (visit.began, began), at.now, target).of(visit);
        Ok(judged(verdict, self.open_case(index, case, works, around, at)))
    }

    fn elapse(&mut self, at: Moment) {
        self.steady.elapse(at);
        self.memory.elapse(at.now);
        self.dips.elapse(at.now);
    }

    /// Nothing more will be learned: the benefit of the doubt ends.
    pub fn conclude(&mut self) {
        self.is_over = true;
    }

    /// Since when what others show counts for a case, by the steady clock. One look asks everybody at the same time, whoever
    /// comes first; who looks again and again knows what was before the trouble began.
    fn since(&self, case: &Case) -> Duration {
        if self.has_past { case.began } else { Duration::ZERO }
    }

    /// Takes in what a measurement taught.
    pub fn learn(&mut self, key: Key, measured: Measured, at: Moment) {
        let before = self.lessons.get(&key, at.now).map(|learned| learned.measured.answers).unwrap_or_default();
        self.usual.learned(&key, before != measured.answers);
        if let Some(index) = key.about.as_ref().and_then(|about| self.numbers.get(about)).copied()
            && let Some(case) = self.cases.get(&index).filter(|case| case.sign.symptom == Symptom::Passed)
            && let Some(shown) = after_pass(&measured.answers, at.now.duration_since(case.opened))
        {
            self.lessons.learn_after_pass(index, shown, at.now);
        }
        self.lessons.learn(key, measured, at.now);
    }

    /// Thinks over all open cases and says what would settle what is open.
    pub fn review(&mut self, around: &Neighbours<'_>, at: Moment) -> Wanted {
        self.elapse(at);
        self.review_usual(around, at);
        self.review_loss(around, at);
        let mut wishes = Wishes::default();
        for index in self.cases.keys().copied().collect::<Vec<usize>>() {
            self.think(index, around, at);
            match self.cases.get(&index) {
                Some(case) if case.sign.symptom.is_usual() && !case.is_trouble() => drop(self.close(index)),
                Some(_) | None => self.want(index, at, &mut wishes),
            }
        }
        let mut wanted = wishes.wanted;
        wanted.errands.extend(self.usual.due().map(|(key, index)| (key.clone(), index)));
        wanted
    }

    /// Takes the endpoints whose visits tell whether a trouble is over that they share with others, each once.
    pub fn take_to_revisit(&mut self) -> BTreeSet<usize> {
        self.relief.take_to_revisit()
    }

    /// Takes the endpoints whose status or diagnosis may have changed since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }

    /// Opens a case, or goes on with the one that is open, and returns what it is about. One that shows what it showed
    /// before keeps its conclusion: the next review thinks all of them over.
    fn open_case(&mut self, index: usize, mut case: Case, works: bool, around: &Neighbours<'_>, at: Moment) -> Finding {
        let earlier = self.close(index).filter(|earlier| earlier.goes_on(&case.sign, works));
        case.noticed = self.steady.now();
        let mut before = None;
        if let Some(earlier) = earlier {
            let is_other_sign = earlier.sign.symptom != case.sign.symptom;
            before = is_other_sign.then_some((earlier.diagnosis.finding.cause, case.since));
            (case.since, case.began, case.noticed) = (earlier.since, earlier.began, earlier.noticed);
            (case.opened, case.is_confirmed) = (earlier.opened, earlier.is_confirmed);
            let is_same = earlier.sign == case.sign
                && (earlier.foreign_redirect, earlier.names_filter) == (case.foreign_redirect, case.names_filter);
            if is_same {
                case = case.with_conclusion_of(earlier);
            }
        }
        self.insert(index, case);
        if self.cases.get(&index).is_some_and(|case| case.known.is_none()) {
            self.think(index, around, at);
        }
        let Some(case) = self.cases.get_mut(&index) else { return nothing_found() };
        if let Some((_, since)) = before.filter(|(cause, _)| *cause != case.diagnosis.finding.cause) {
            (case.since, case.noticed) = (since, self.steady.now());
        }
        case.diagnosis.finding
    }

    /// Draws a case's conclusion again, if what is known has changed.
    fn think(&mut self, index: usize, around: &Neighbours<'_>, at: Moment) {
        let Some(case) = self.cases.get(&index) else { return };
        if self.relief.is_relieved(index) && case.known.is_some() {
            return;
        }
        let known = self.known(index, case, around, at);
        if case.known == Some(known) {
            return;
        }
        let conclusion = conclude(&case.sign, &known);
        let Some(mut case) = self.close(index) else { return };
        case.known = Some(known);
        case.open.clone_from(&conclusion.open);
        let origin = self.rests_on(conclusion.rule, &case.asker(index), at.now);
        let mut diagnosis = Diagnosis { scope: case.diagnosis.scope, origin, ..conclusion.diagnosis(&known) };
        if let Some(peer) = case.sign.peer {
            diagnosis.contrasts.iter_mut().for_each(|line| *line = of_family(peer.ip(), line));
        }
        if *case.diagnosis != diagnosis {
            case.diagnosis = Arc::new(diagnosis);
        }
        self.insert(index, case);
    }

    fn insert(&mut self, index: usize, case: Case) {
        if let Some(cause) = case.observed() {
            *self.observed.entry(cause).or_default() += 1;
        }
        if let Some(peer) = case.sign.peer {
            *self.peers.entry((case.sign.symptom, self.neighbourhood.port(index), peer)).or_default() += 1;
        }
        let alike = (case.sign.symptom, self.neighbourhood.port(index));
        self.openings.entry(alike).or_default().insert((case.opened, index));
        self.changed.insert(index);
        self.cases.insert(index, case);
    }

    fn close(&mut self, index: usize) -> Option<Case> {
        let case = self.cases.remove(&index)?;
        if let Some(cause) = case.observed() {
            count_down(&mut self.observed, cause);
        }
        if let Some(peer) = case.sign.peer {
            count_down(&mut self.peers, (case.sign.symptom, self.neighbourhood.port(index), peer));
        }
        if let Some(openings) = self.openings.get_mut(&(case.sign.symptom, self.neighbourhood.port(index))) {
            openings.remove(&(case.opened, index));
        }
        self.changed.insert(index);
        Some(case)
    }
}

fn numbers_of(endpoints: &[Arc<Endpoint>]) -> BTreeMap<Arc<str>, usize> {
    endpoints.iter().enumerate().map(|(number, endpoint)| (Arc::clone(&endpoint.id.0), number)).collect()
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// The port of the server that did not resolve a visit's name, where that is why it failed.
fn failed_at(visit: &Visit) -> Option<Port> {
    let resolution = visit.resolution.as_ref().filter(|resolution| resolution.finding.is_some())?;
    resolution.telling().map(|outcome| Port::udp(outcome.address.port()))
}

/// What a measurement of several flows shows that ended so long after a visit had passed; nothing, where the path may have
/// gone between the two, and where the source port decides, not whether there is a place.
fn after_pass(answers: &Contrasts, later: Duration) -> Option<AfterPass> {
    let passed = answers.get(Contrast::NewFlowsPass).filter(|_| answers.get(Contrast::PortDecides) != Some(true))?;
    match (passed, answers.get(Contrast::NewFlowsMixed)?) {
        (true, _) => Some(AfterPass::Passed),
        (false, true) => Some(AfterPass::Shut),
        (false, false) => (later <= RIGHT_AFTER).then_some(AfterPass::Failed),
    }
}

#[cfg(test)]
#[path = "cases_tests.rs"]
mod tests;
