//! The open cases: every endpoint that shows a sign of trouble, what is known about it, and what to ask next. It is told
//! of visits, measurements and the time, and says what things mean and what would settle them; it asks nobody.

mod asks;
mod settle;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    cause::Cause,
    probe::Probe,
    verdict::{Confidence, Finding, Phase, Verdict},
};

use asks::{ASKED, SEEN_ELSEWHERE, keys};

use crate::{
    diagnosis::{
        ask::{Errand, Key, Measured},
        conclude::{Conclusion, conclude},
        memory::Memory,
        neighbours::{Neighbours, Target, port_of},
        symptom::{self, Sign, Symptom},
    },
    model::{
        catalog::{Endpoint, Host},
        contrast::{Ask, Contrast, Contrasts},
        diagnosis::{Diagnosis, Ledger, Scope},
        endpoint::{EndpointView, Status},
        visit::{Untested, Visit},
    },
};

/// A measurement is not repeated before this, then after twice that, and so on.
pub const REPEAT: Duration = Duration::from_secs(60);
/// While nothing is wrong, one measurement for so many visits.
pub const QUIET: u32 = 2;
/// The longest pause between two measurements of the same.
const LONGEST_REPEAT: Duration = Duration::from_secs(600);
/// What was measured longer ago than this says nothing.
const WORTH: Duration = Duration::from_secs(900);
/// What source ports showed at one endpoint speaks for others this long.
const SHARED: Duration = Duration::from_secs(180);
/// A measurement that began this long before a case still speaks for it.
const SLACK: Duration = Duration::from_secs(1);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock, since the Unix epoch.
    pub wall: Duration,
}

/// An endpoint that shows a sign of trouble.
#[derive(Clone, Debug)]
struct Case {
    sign: Sign,
    /// When the first visit that showed it began, since the Unix epoch.
    since: Duration,
    /// The same on the monotonic clock, as far as the agent noticed.
    opened: Instant,
    foreign_redirect: bool,
    diagnosis: Arc<Diagnosis>,
}

impl Case {
    fn is_trouble(&self) -> bool {
        self.diagnosis.finding.cause != Cause::None
    }

    /// Whom the lost exchange was with: a DNS server, where the endpoint's name did not resolve.
    fn target(&self, endpoint: &Endpoint) -> Target {
        match self.sign.peer.filter(|_| self.sign.is_resolving) {
            Some(server) => Target { host: Host::Address(server.ip()), port: (server.port(), true) },
            None => Target { host: endpoint.host.clone(), port: port_of(endpoint) },
        }
    }
}

/// What a measurement taught.
#[derive(Clone, Debug)]
struct Learned {
    measured: Measured,
    before: Contrasts,
    at: Instant,
    pause: Duration,
}

/// What to ask next.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Measurements.
    pub errands: Vec<Errand>,
    /// Endpoints whose visits would tell.
    pub visits: BTreeSet<usize>,
    /// Hosts whose names should be compared.
    pub names: BTreeSet<Host>,
}

/// All open cases.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    cases: BTreeMap<usize, Case>,
    learned: BTreeMap<Key, Learned>,
    memory: Memory,
    samples_redirects: bool,
    has_past: bool,
    /// The incidents that follow from the cases.
    pub ledger: Ledger,
}

impl Cases {
    /// No case is open. The redirect ports of SQL gateways are sampled only where wanted; who looks once has no past.
    pub fn new(samples_redirects: bool, has_past: bool) -> Self {
        Self { samples_redirects, has_past, ..Self::default() }
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
        let verdict = match visit.result {
            Ok(verdict) => verdict,
            Err(untested) => {
                self.take_in_untested(index, visit, untested, around, at);
                return Err(untested);
            }
        };
        let works = matches!(verdict, Verdict::Healthy | Verdict::Degraded(_));
        if !matches!(verdict, Verdict::Inconclusive(_)) {
            self.memory.record(index, port_of(&around.views[index].endpoint), works, at.now);
        }
        visit.outcomes.iter().for_each(|outcome| self.memory.measure(index, outcome, at.now));
        let Some(sign) = self.sign(index, visit, verdict, around, at) else {
            self.cases.remove(&index);
            return Ok(verdict);
        };
        // What was well until now is no part of the trouble that begins.
        let goes_on = |case: &Case| case.is_trouble() && (!works || case.sign.symptom == sign.symptom);
        let earlier = self.cases.remove(&index).filter(goes_on);
        let (since, opened) = earlier.map_or((visit.began, at.now), |case| (case.since, case.opened));
        let case = Case { since, opened, foreign_redirect: redirects_away(visit), diagnosis: nothing(), sign };
        self.cases.insert(index, case);
        Ok(judged(verdict, self.diagnose(index, around, at)))
    }

    /// Nobody is asked at an address that no name may lead to; why the name leads there, the comparison may know.
    fn take_in_untested(
        &mut self,
        index: usize,
        visit: &Visit,
        untested: Untested,
        around: &Neighbours<'_>,
        at: Moment,
    ) {
        let Some(sign) = compared(index, around).filter(|_| matches!(untested, Untested::Forbidden(_))) else { return };
        let earlier = self.cases.remove(&index);
        let (since, opened) = earlier.map_or((visit.began, at.now), |case| (case.since, case.opened));
        let case = Case { since, opened, foreign_redirect: false, diagnosis: nothing(), sign };
        self.cases.insert(index, case);
        self.diagnose(index, around, at);
    }

    /// Takes in what a measurement taught.
    pub fn learn(&mut self, key: Key, measured: Measured, at: Moment) {
        let (before, pause) = match self.learned.remove(&key) {
            Some(earlier) => (earlier.measured.answers, (earlier.pause * 2).min(LONGEST_REPEAT)),
            None => (Contrasts::default(), REPEAT),
        };
        self.learned.insert(key, Learned { measured, before, at: at.now, pause });
        self.learned.retain(|_, learned| at.now.duration_since(learned.at) <= WORTH);
    }

    /// Whether a measurement was made lately.
    fn knows(&self, key: &Key, now: Instant) -> bool {
        self.learned.get(key).is_some_and(|learned| now.duration_since(learned.at) < learned.pause)
    }

    /// Thinks all cases over and says what would settle what is open.
    pub fn review(&mut self, around: &Neighbours<'_>, at: Moment) -> Wanted {
        let mut wanted = Wanted::default();
        let mut asked: BTreeMap<(Ask, (u16, bool)), usize> = BTreeMap::new();
        let open: Vec<usize> = self.cases.keys().copied().collect();
        for index in open {
            let Some((conclusion, known)) = self.conclusion(index, around, at) else { continue };
            self.want(index, &conclusion, around, at, &mut asked, &mut wanted);
            if let Some(case) = self.cases.get_mut(&index) {
                case.diagnosis = Arc::new(conclusion.diagnosis(&known));
            }
        }
        wanted
    }

    /// An endpoint's status in the light of its case. A fault of this machine's own counts against nobody.
    pub fn restate(&self, index: usize, status: Status) -> Status {
        let Some(case) = self.cases.get(&index) else { return status };
        let finding = case.diagnosis.finding;
        let own = |finding| Status::Unknown(Untested::Inconclusive(finding));
        match status {
            Status::Healthy | Status::Degraded(_) if finding.cause == Cause::None => status,
            Status::Healthy if !case.sign.symptom.is_quiet() => status,
            Status::Healthy | Status::Degraded(_) if finding.cause.is_local() => own(finding),
            Status::Healthy | Status::Degraded(_) => Status::Degraded(finding),
            Status::Failed(_) => finding.failed().into(),
            Status::Unknown(Untested::Inconclusive(earlier)) if earlier.cause.is_local() => finding.failed().into(),
            Status::Unknown(_) => status,
        }
    }

    /// Why an endpoint is as it is, where there is something to say.
    pub fn diagnosis(&self, index: usize) -> Option<Arc<Diagnosis>> {
        let case = self.cases.get(&index)?;
        case.is_trouble().then(|| Arc::clone(&case.diagnosis))
    }

    /// Forgets all cases, as indices change at a reload; the incidents go on if they are found again.
    pub fn clear(&mut self) {
        self.cases.clear();
        self.memory.clear();
    }

    fn diagnose(&mut self, index: usize, around: &Neighbours<'_>, at: Moment) -> Finding {
        let Some((conclusion, known)) = self.conclusion(index, around, at) else {
            return Finding::new(Cause::None, Phase::None, Confidence::Confirmed);
        };
        let finding = conclusion.finding;
        if let Some(case) = self.cases.get_mut(&index) {
            case.diagnosis = Arc::new(conclusion.diagnosis(&known));
        }
        finding
    }

    fn conclusion(&self, index: usize, around: &Neighbours<'_>, at: Moment) -> Option<(Conclusion, Contrasts)> {
        let case = self.cases.get(&index)?;
        let known = self.known(index, case, around, at);
        Some((conclude(&case.sign, &known), known))
    }

    /// The sign that a visit shows; one that worked may still prove too little.
    fn sign(&self, index: usize, visit: &Visit, verdict: Verdict, around: &Neighbours<'_>, at: Moment) -> Option<Sign> {
        if let Some(finding) = verdict.finding() {
            // Whatever happens at an address that somebody invented, the invention comes first.
            let invented = compared(index, around).filter(|sign| sign.finding.cause == Cause::DnsIntercepted);
            return Some(invented.unwrap_or_else(|| symptom::read(visit, finding)));
        }
        let outcome = visit.outcomes.first()?;
        let quiet = |symptom| Sign {
            symptom,
            finding: Finding::new(Cause::None, Phase::None, Confidence::Confirmed),
            peer: Some(outcome.address),
            is_resolving: false,
        };
        if let Some(sign) = compared(index, around) {
            return Some(sign);
        }
        let port = port_of(&around.views[index].endpoint);
        let intermittent = self.memory.has_recovered(index, at.now) && self.memory.is_intermittent(port, at.now);
        let repeats = self.memory.is_lossy(at.now) || self.memory.only_handshakes_repeat(at.now);
        let lossy = self.memory.has_lost(index, at.now) && repeats;
        if intermittent || lossy || self.memory.is_slow(index) {
            return Some(quiet(Symptom::Passed));
        }
        if outcome.is_bare_accept() {
            return Some(quiet(Symptom::BareAccept));
        }
        match &around.views[index].endpoint.probe {
            Probe::Tds(_) => self.samples_redirects.then(|| quiet(Symptom::Gateway)),
            Probe::Dns(_) | Probe::Ntp(_) if port.1 => Some(quiet(Symptom::Answered)),
            Probe::Dns(_) | Probe::Ntp(_) | Probe::Http(_) | Probe::Tcp(_) => None,
        }
    }

    /// Everything that is known beside a case's own sign.
    fn known(&self, index: usize, case: &Case, around: &Neighbours<'_>, at: Moment) -> Contrasts {
        let endpoint = &around.views[index].endpoint;
        let port = port_of(endpoint);
        let mut known = around.contrasts(index, &case.target(endpoint), case.since);
        known.learn(Contrast::Intermittent, self.memory.is_intermittent(port, at.now));
        for (contrast, cause) in SEEN_ELSEWHERE {
            known.learn(*contrast, self.is_seen_elsewhere(index, *cause));
        }
        known.learn(Contrast::OnlyHandshakesRepeat, self.memory.only_handshakes_repeat(at.now));
        known.learn(Contrast::LossyPath, self.memory.is_lossy(at.now));
        known.learn(Contrast::RoundTripGrew, self.memory.is_slow(index));
        known.learn(Contrast::FirstLook, !self.has_past);
        known.learn(Contrast::AsksTheTime, matches!(endpoint.probe, Probe::Ntp(_)));
        known.learn(Contrast::ForeignRedirect, case.foreign_redirect);
        for ask in ASKED {
            let keys = keys(*ask, endpoint.id.0.clone(), case.sign.peer, port, around);
            let own = keys.iter().find_map(|key| self.fresh(key, case, at.now));
            match own.or_else(|| self.like_others(*ask, index, case, around, at.now)) {
                Some(learned) => {
                    let answers = &learned.measured.answers;
                    known.extend(answers);
                    let accepted = learned.before.get(Contrast::CanaryAccepts);
                    if let (Some(before), Some(now)) = (accepted, answers.get(Contrast::CanaryAccepts)) {
                        known.learn(Contrast::CanaryAcceptedBefore, before && !now);
                    }
                }
                None => continue,
            }
        }
        if self.memory.is_intermittent_everywhere(at.now) && self.ports_decide(at.now) {
            known.learn(Contrast::PortDecides, true);
        }
        known
    }

    /// Whether another endpoint shows a fault of this machine or its link by itself, not because others do.
    fn is_seen_elsewhere(&self, index: usize, cause: Cause) -> bool {
        let by_itself = |case: &Case| case.diagnosis.finding.cause == cause && !case.diagnosis.rule.ends_with('n');
        self.cases.iter().any(|(other, case)| *other != index && by_itself(case))
    }

    /// Whether source ports decided at any endpoint lately: a path that is shared is broken for all.
    fn ports_decide(&self, now: Instant) -> bool {
        let recent = self.learned.values().filter(|learned| now.duration_since(learned.at) <= SHARED);
        recent.map(|learned| &learned.measured.answers).any(|answers| answers.get(Contrast::PortDecides) == Some(true))
    }

    fn fresh(&self, key: &Key, case: &Case, now: Instant) -> Option<&Learned> {
        let learned = self.learned.get(key)?;
        let quiet = case.sign.symptom.is_quiet();
        let speaks = quiet || learned.at + SLACK >= case.opened;
        (speaks && now.duration_since(learned.at) <= WORTH).then_some(learned)
    }

    /// What was measured for endpoints with the same symptom on the same port, where they all say the same.
    fn like_others(
        &self,
        ask: Ask,
        index: usize,
        case: &Case,
        around: &Neighbours<'_>,
        now: Instant,
    ) -> Option<&Learned> {
        let port = port_of(&around.views[index].endpoint);
        let alike = self.cases.iter().filter(|(other, beside)| {
            **other != index
                && beside.sign.symptom == case.sign.symptom
                && port_of(&around.views[**other].endpoint) == port
        });
        let mut found: Option<&Learned> = None;
        for (other, beside) in alike {
            let about = around.views[*other].endpoint.id.0.clone();
            let keys = keys(ask, about, beside.sign.peer, port, around);
            let Some(learned) = keys.iter().find_map(|key| self.fresh(key, case, now)) else { continue };
            if found.is_some_and(|found| found.measured.answers != learned.measured.answers) {
                return None;
            }
            found = Some(learned);
        }
        found
    }
}

/// The sign of an endpoint that works while the comparison of its name should worry somebody.
fn compared(index: usize, around: &Neighbours<'_>) -> Option<Sign> {
    let cause = around.comparison_cause(&around.views[index].endpoint.host)?;
    let finding = Finding::new(cause, Phase::Dns, Confidence::Likely);
    Some(Sign { symptom: Symptom::NamesCompared, finding, peer: None, is_resolving: false })
}

fn is_confirmed(view: &EndpointView) -> bool {
    match view.status {
        Status::Degraded(_) | Status::Failed(_) => true,
        Status::Unknown(untested) => untested.finding().is_some() || matches!(untested, Untested::Forbidden(_)),
        Status::Healthy => false,
    }
}

/// Whether the answer leads to a host outside the domain that was asked.
fn redirects_away(visit: &Visit) -> bool {
    let Some(outcome) = visit.outcomes.first() else { return false };
    let location = outcome.http_answer().and_then(|answer| answer.location.as_deref());
    let Some(host) = location.and_then(|location| location.split_once("://")).map(|(_, rest)| rest) else {
        return false;
    };
    let host = host.split(['/', ':', '?']).next().unwrap_or_default().to_ascii_lowercase();
    visit.resolution.as_ref().is_some_and(|resolution| {
        super::neighbours::domain(&Host::Name(resolution.name.clone())) != super::neighbours::domain(&Host::Name(host))
    })
}

/// The verdict of a visit in the light of its diagnosis. A fault of this machine's own counts against nobody.
fn judged(observed: Verdict, finding: Finding) -> Verdict {
    match observed {
        _ if finding.cause == Cause::None => observed,
        Verdict::Failed(_) | Verdict::Inconclusive(_) => finding.failed(),
        Verdict::Healthy | Verdict::Degraded(_) if finding.cause.is_local() => Verdict::Inconclusive(finding),
        Verdict::Healthy | Verdict::Degraded(_) => Verdict::Degraded(finding),
    }
}

/// Stands in until the case is thought over for the first time.
fn nothing() -> Arc<Diagnosis> {
    Arc::new(Diagnosis {
        finding: Finding::new(Cause::Unknown, Phase::None, Confidence::Possible),
        rule: "",
        scope: Scope::Endpoint,
        hint: None,
        contrasts: Vec::new(),
        alternatives: Vec::new(),
    })
}
