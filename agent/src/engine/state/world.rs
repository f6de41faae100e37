//! The whole engine in virtual time, for its tests: scripted peers, operations that come in any order, and what must hold at
//! every moment.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ase_probes::{
    cause::Cause,
    class::Class,
    evidence::{Stop, Trouble},
    outcome::{Outcome, Protocol},
    resolve::Resolution,
    seen::{Phases, Seen},
    verdict::{Confidence, Finding, Verdict},
};
use rand::SeedableRng;

use super::{
    peers::{ENDPOINTS, Mood, Operation, TWINS, address_of, is_time, settings, with},
    *,
};
use crate::{
    engine::monitor::FIRST_ROUND,
    model::{
        catalog::{Endpoint, EndpointId, Host},
        visit::{Unasked, Untested},
    },
    visit::rests::{AddressRests, Turn},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// One time server is asked this often at most.
const SPACING: Duration = Duration::from_secs(64);
/// A fault that lasts this long has become an incident: an interval, two time-outs, the confirmation, and the benefit of
/// the doubt that others have while this machine may be at fault.
pub(super) const LASTS: Duration = Duration::from_secs(60);
/// Silence takes longer to be told by an interval: while this machine stands still it hides what a visit would have shown.
const SILENCE_LASTS: Duration = Duration::from_secs(90);
/// A fault that was over for this long explains nothing any more: three minutes of memory, and a round of visits.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// One that comes and goes is over when it was quiet for two minutes.
pub(super) const QUIET: Duration = Duration::from_secs(120);
/// The longest pause that a time server's plea can cause, and what follows.
const LONGEST_REST: Duration = Duration::from_secs(1300);
/// The longest pause itself, for which a plea is remembered after it.
const LONGEST_PLEA: Duration = Duration::from_secs(1024);
/// What was well is no longer said to be so after this long without a visit: up to one and a half intervals to the next one,
/// an interval in which it is put off, and the pause before it is tried again.
const BLIND: Duration = Duration::from_secs(30 * 5 / 2 + 15);

#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) begin: Begin,
    began: Duration,
    pub(super) mood: Mood,
    why: Option<Untested>,
    turn: Option<Turn>,
}

/// Whether the flow budget of an endpoint is spent, and whether there was reason for an incident when that changed, or since it is.
#[derive(Clone, Copy, Debug)]
struct Budget {
    is_spent: bool,
    since: Instant,
    had_reason: bool,
}

/// The engine, its peers and the time.
pub(super) struct World {
    pub(super) state: State,
    pub(super) all: Settings,
    at: Clocks,
    start: Clocks,
    moods: BTreeMap<EndpointId, (Mood, Instant)>,
    pub(super) under_way: BTreeMap<(Instant, VisitNumber), UnderWay>,
    /// When each time server was asked last.
    asked: BTreeMap<IpAddr, Instant>,
    /// Before this no question may reach a time server that pleaded, and how long that pause was.
    pleas: BTreeMap<IpAddr, (Instant, Duration)>,
    /// What visits know of time servers' rests.
    rests: AddressRests,
    budgets: BTreeMap<EndpointId, Budget>,
    /// When the loop did not run last, and when this machine slept.
    stalled: Instant,
    slept: Instant,
    /// Since when each endpoint has been as it is defined now.
    defined: BTreeMap<EndpointId, Instant>,
    /// Every incident there was: number, cause and when it began.
    pub(super) incidents: BTreeMap<u64, (Cause, Duration)>,
}

impl World {
    pub(super) fn new() -> Self {
        let all = settings();
        let start = Clocks { now: ase_probes::clock::now(), since_boot: 1000 * SECOND, wall: 1_800_000_000 * SECOND };
        let state = State::new(all.clone(), FIRST_ROUND, 1024, StdRng::from_seed([7; 32]), start);
        let ids = || all.catalog.endpoints.iter().map(|endpoint| endpoint.id.clone());
        Self {
            moods: ids().map(|id| (id, (Mood::Healthy, start.now))).collect(),
            defined: ids().map(|id| (id, start.now)).collect(),
            state,
            at: start,
            start,
            under_way: BTreeMap::new(),
            asked: BTreeMap::new(),
            pleas: BTreeMap::new(),
            rests: AddressRests::default(),
            stalled: start.now,
            slept: start.now,
            budgets: ids().map(|id| (id, Budget { is_spent: false, since: start.now, had_reason: false })).collect(),
            incidents: BTreeMap::new(),
            all,
        }
    }

    /// Does this, and what is due by then.
    pub(super) fn apply(&mut self, operation: &Operation) {
        self.advance(Duration::ZERO);
        match operation {
            Operation::Advance(time) => self.advance(*time),
            Operation::Set(number, mood) => {
                let is_of_both = TWINS.contains(number) && *mood != Mood::Nameless;
                for number in if is_of_both { TWINS.to_vec() } else { vec![*number] } {
                    let id = self.all.catalog.endpoints[number].id.clone();
                    let now = self.at.now;
                    if self.moods[&id].0 != *mood {
                        // A name is resolved without a flow; what comes of its address then, nobody sees.
                        let had_reason = self.has_reason(&id, QUIET);
                        let budget = self.budgets.get_mut(&id).expect("every endpoint has one");
                        budget.had_reason |= had_reason && budget.is_spent;
                        self.moods.insert(id, (*mood, now));
                    }
                }
            }
            Operation::Hurry(number) => {
                let id = &self.all.catalog.endpoints[*number].id;
                let watched = self.state.endpoints.views().iter().position(|view| view.endpoint.id == *id);
                for _ in 0..3 {
                    watched.into_iter().for_each(|task| self.state.schedule.bring_forward(task, self.at.now));
                    self.advance(SECOND / 10);
                }
            }
            Operation::Reload(times) => {
                for _ in 0..*times {
                    self.reload((*self.state.settings).clone());
                }
            }
            Operation::Replace(chosen, changed) => self.replace(chosen, *changed),
            Operation::Suspend(time) => {
                self.at.since_boot += *time;
                self.at.wall += *time;
                self.slept = self.at.now;
            }
            Operation::Stall(time) => {
                self.pass(self.at.now + *time);
                self.stalled = self.at.now;
            }
            Operation::Spend(number) => {
                let id = self.all.catalog.endpoints[*number].id.clone();
                let had_reason = self.has_reason(&id, QUIET);
                let is_spent = !self.budgets[&id].is_spent;
                self.budgets.insert(id, Budget { is_spent, since: self.at.now, had_reason });
            }
        }
    }

    fn replace(&mut self, chosen: &[bool; ENDPOINTS], changed: usize) {
        let mut endpoints = Vec::new();
        for (number, endpoint) in self.all.catalog.endpoints.iter().enumerate() {
            let mut endpoint = Endpoint::clone(endpoint);
            if number == changed {
                endpoint.target.timeout += Duration::from_millis(1);
            }
            if chosen[number] {
                endpoints.push(Arc::new(endpoint));
            }
        }
        self.reload(with(&self.all, endpoints));
    }

    pub(super) fn reload(&mut self, settings: Settings) {
        let before = Arc::clone(&self.state.settings);
        for endpoint in &settings.catalog.endpoints {
            if !before.catalog.endpoints.contains(endpoint) {
                self.defined.insert(endpoint.id.clone(), self.at.now);
            }
        }
        let commands = self.state.take_in(Event::Reloaded(Box::new(settings)), self.at);
        self.act(commands);
    }

    /// Lets time pass, from one event to the next.
    pub(super) fn advance(&mut self, time: Duration) {
        let until = self.at.now + time;
        loop {
            let ends = self.under_way.first_key_value().map(|((end, _), _)| *end);
            let due = self.state.snapshot_due().map_or(self.state.due(), |due| due.min(self.state.due()));
            // The shell of the diagnosis wakes the loop for a review that had to wait.
            let review = self.state.diagnosing.review_due(self.at.now);
            let next = [ends, review].into_iter().flatten().fold(due, Instant::min).max(self.at.now);
            if next > until {
                return self.pass(until);
            }
            self.pass(next);
            let commands = match ends.filter(|end| *end <= next).and_then(|_| self.under_way.pop_first()) {
                Some(((_, number), visit)) => {
                    let visit = (visit.mood != Mood::Deadly).then(|| Box::new(self.visit(visit)));
                    self.state.take_in(Event::Visited(number, visit), self.at)
                }
                None if review.is_some_and(|due| due <= next) => self.state.take_in(Event::Measured, self.at),
                None => self.state.tick(self.at),
            };
            self.act(commands);
            self.state.advance(self.at);
            self.check();
        }
    }

    fn pass(&mut self, until: Instant) {
        let passed = until - self.at.now;
        self.at = Clocks { now: until, since_boot: self.at.since_boot + passed, wall: self.at.wall + passed };
    }

    fn act(&mut self, commands: Commands) {
        for begin in commands.begin {
            let endpoint = &begin.endpoint;
            // One that was dropped and came back is another task: the visit of the dropped one tells nothing.
            let is_under_way = self.under_way.values().any(|other| {
                other.begin.endpoint == *endpoint && self.state.schedule.task_of(other.begin.visit).is_some()
            });
            assert!(!is_under_way, "visited twice at once");
            let (mood, _) = self.moods[&endpoint.id];
            let address = address_of(endpoint);
            let (mut why, mut turn) = (None, None);
            if endpoint.class == Class::Ntp && mood != Mood::Nameless {
                let confirms = begin.occasion.confirm.contains(&address);
                match self.rests.take(address, confirms, self.at.now) {
                    Some(taken) => turn = Some(taken),
                    None => why = Some(Untested::Resting),
                }
            } else if self.budgets[&endpoint.id].is_spent && mood != Mood::Nameless {
                why = Some(Untested::BudgetSpent);
            }
            if turn.is_some() {
                self.ask(&begin);
            }
            let takes = match mood {
                _ if why.is_some() => Duration::from_millis(20),
                Mood::Healthy | Mood::Failing | Mood::Denying | Mood::Deadly => Duration::from_millis(20),
                Mood::Slow => endpoint.target.timeout / 2,
                Mood::Silent | Mood::Partly | Mood::Nameless => endpoint.target.timeout,
            };
            let visit = begin.visit;
            let under_way = UnderWay { begin, began: self.at.wall, mood, why, turn };
            self.under_way.insert((self.at.now + takes, visit), under_way);
        }
    }

    /// Politeness: nobody gets past the rest of a time server.
    fn ask(&mut self, begin: &Begin) {
        let (host, at) = (address_of(&begin.endpoint), self.at.now);
        let task = self.state.schedule.task_of(begin.visit).expect("it has just begun");
        let confirms = self.state.schedule.is_confirming(task);
        if let Some((until, _)) = self.pleas.get(&host) {
            assert!(at >= *until, "{host} asked not to be asked");
        }
        if let Some(last) = self.asked.insert(host, at) {
            let least = if confirms { 2 * SECOND } else { SPACING };
            assert!(at - last >= least, "{:?} after the last question", at - last);
        }
    }

    fn visit(&mut self, under_way: UnderWay) -> Visit {
        let UnderWay { begin, began, mood, why, turn } = under_way;
        let endpoint = &begin.endpoint;
        let is_time = endpoint.class == Class::Ntp;
        let phase = if is_time { Phase::Ntp } else { Phase::Response };
        let failed = |cause, phase| Verdict::Failed(Finding::new(cause, phase, Confidence::Confirmed));
        let (verdict, took) = match mood {
            Mood::Healthy => (Verdict::Healthy, Duration::from_millis(20)),
            Mood::Slow => (Verdict::Healthy, endpoint.target.timeout / 2),
            Mood::Denying if is_time => (failed(Cause::NtpDenied, phase), Duration::from_millis(20)),
            Mood::Failing | Mood::Denying => (failed(Cause::HttpStatus, phase), Duration::from_millis(20)),
            Mood::Silent | Mood::Partly => (failed(Cause::Dropped, Phase::Connect), endpoint.target.timeout),
            Mood::Nameless => (failed(Cause::DnsNoReply, Phase::Dns), endpoint.target.timeout),
            Mood::Deadly => unreachable!("nobody comes back"),
        };
        let address = address_of(endpoint);
        if let Some(turn) = turn {
            self.rests.heard(address, turn, &verdict, self.at.now);
            match mood {
                Mood::Denying => self.plead(address),
                Mood::Healthy | Mood::Slow => {
                    self.pleas.remove(&address);
                }
                Mood::Failing | Mood::Silent | Mood::Partly | Mood::Nameless | Mood::Deadly => {}
            }
        }
        let (is_nameless, is_partly) = (mood == Mood::Nameless, mood == Mood::Partly);
        let is_silent = matches!(mood, Mood::Silent | Mood::Partly | Mood::Nameless);
        let silence = Stop {
            phase: if is_time { Phase::Ntp } else { Phase::Connect },
            trouble: Trouble::TimedOut,
            elapsed: took,
        };
        let seen = Seen { stop: is_silent.then_some(silence), ..Seen::default() };
        let peer = (address, endpoint.target.port).into();
        let outcome = Outcome { address: peer, phases: Phases::default(), verdict, seen, protocol: Protocol::Nothing };
        let other = Outcome { verdict: Verdict::Healthy, seen: Seen::default(), ..outcome.clone() };
        // A silent server for its name, or an exchange with the endpoint.
        let (failures, mut outcomes) = match (is_nameless, why) {
            (true, _) => (vec![outcome], vec![]),
            (false, None) => (vec![], vec![outcome]),
            (false, Some(_)) => (vec![], vec![]),
        };
        outcomes.extend((is_partly && why.is_none()).then_some(other));
        let degraded = verdict.finding().filter(|_| is_partly).map(Verdict::Degraded);
        let is_name = matches!(endpoint.target.host, Host::Name(_));
        let resolution = (is_nameless || is_name).then(|| Resolution {
            name: "a.example".to_owned(),
            addresses: if is_nameless { Vec::new() } else { vec![address] },
            server: None,
            elapsed: if is_nameless { took } else { Duration::ZERO },
            failures,
            finding: verdict.finding().filter(|_| is_nameless),
        });
        let took = if why.is_some() { Duration::from_millis(20) } else { took };
        let fails = matches!(verdict, Verdict::Failed(_)) && !is_nameless && why.is_none();
        Visit {
            took,
            resolution,
            outcomes,
            unasked: why.map(|why| Unasked { address: peer, why }).into_iter().collect(),
            failed: if fails { vec![address] } else { Vec::new() },
            result: why.map_or(Ok(degraded.unwrap_or(verdict)), Err),
            ..Visit::nothing_yet(began)
        }
    }

    /// Its pause doubles with each plea, unless it answered since or the last one was over for long.
    fn plead(&mut self, server: IpAddr) {
        let now = self.at.now;
        let before = self.pleas.get(&server).filter(|(until, _)| *until + LONGEST_PLEA > now);
        let pause = before.map_or(2 * SPACING, |(_, pause)| (*pause * 2).min(LONGEST_PLEA));
        self.pleas.insert(server, (now + pause, pause));
    }

    /// Whether there is, or was not long ago, a fault of this endpoint.
    fn has_reason(&self, id: &EndpointId, quiet: Duration) -> bool {
        let (now, (mood, since), budget) = (self.at.now, self.moods[id], self.budgets[id]);
        let lasts = if is_time(id) { LONGEST_REST } else { FORGOTTEN } + quiet;
        let was_seen = now - budget.since <= lasts || budget.is_spent;
        !matches!(mood, Mood::Healthy | Mood::Slow)
            || (since > self.start.now && now - since <= lasts)
            || (budget.had_reason && was_seen)
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        let now = self.at.now;
        let open = &self.state.diagnosing.ledger().open;
        for incident in open {
            self.incidents.insert(incident.id, (incident.finding.cause, incident.since));
            let comes_and_goes = incident.evidence.first().is_some_and(|line| line.starts_with("it comes and goes"));
            let quiet = if comes_and_goes { QUIET } else { Duration::ZERO };
            let has_reason = incident.endpoints.iter().any(|id| self.has_reason(id, quiet));
            assert!(
                has_reason,
                "an incident without a fault: {incident:?} {:?} at {:?}",
                self.moods,
                now - self.start.now
            );
        }
        for view in self.state.endpoints.views() {
            let id = &view.endpoint.id;
            let (mood, since) = self.moods[id];
            let budget = self.budgets[id];
            let since = since.max(self.defined[id]).max(budget.since).max(self.stalled);
            let is_silent = matches!(mood, Mood::Silent | Mood::Partly | Mood::Nameless);
            let since = if is_silent { since.max(self.slept) } else { since };
            // Of two names of one server each may wait for the other's longest pause.
            let of_web = if is_silent { SILENCE_LASTS } else { LASTS };
            let lasts = if is_time(id) { 2 * LONGEST_REST } else { of_web };
            let fails = !matches!(mood, Mood::Healthy | Mood::Slow | Mood::Deadly) && !budget.is_spent;
            if fails && now - since > lasts {
                let is_said = open.iter().any(|incident| incident.endpoints.contains(id));
                assert!(is_said, "{id} is {mood:?} for {:?} and nobody says so: {open:?}", now - since);
            }
            let is_blind = mood == Mood::Deadly || (budget.is_spent && mood != Mood::Nameless);
            if is_blind && !is_time(id) && now - since > BLIND {
                assert_ne!(view.status, Status::Healthy, "{id}: nobody could see that");
            }
        }
    }

    /// All is well from now on: every endpoint is visited again and every incident ends.
    pub(super) fn end(&mut self) {
        (0..ENDPOINTS).for_each(|number| self.apply(&Operation::Set(number, Mood::Healthy)));
        for number in 0..ENDPOINTS {
            if self.budgets[&self.all.catalog.endpoints[number].id].is_spent {
                self.apply(&Operation::Spend(number));
            }
        }
        let attempts: Vec<u64> = self.state.endpoints.views().iter().map(|view| view.attempts).collect();
        self.advance(LONGEST_REST);
        for (view, before) in self.state.endpoints.views().iter().zip(attempts) {
            assert!(view.attempts > before, "{} is forgotten", view.endpoint.id);
            assert_eq!(view.status, Status::Healthy, "{}", view.endpoint.id);
        }
        assert!(self.state.diagnosing.ledger().open.is_empty(), "{:?}", self.state.diagnosing.ledger().open);
    }
}
