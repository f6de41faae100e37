//! Visits that are put off after they saw something: it is not lost with them.

use std::{net::IpAddr, time::Duration};

use ase_probes::{
    cause::Cause,
    outcome::{Outcome, Protocol},
    resolve::Resolution,
    seen::{Phases, Seen},
    verdict::{Confidence, Finding, Phase},
};
use rand::SeedableRng;

use super::*;
use crate::{
    config::tests::loaded,
    engine::monitor::FIRST_ROUND,
    model::{endpoint::EndpointView, visit::Unasked},
    resolvers::compare::{Answer, Circumstances, DnsOutcome},
    sample,
};

const SECOND: Duration = Duration::from_secs(1);
const CUSTOM: ([u8; 4], u16) = ([192, 0, 2, 53], 53);
const ASKED: [u8; 4] = [198, 51, 100, 1];
const SPENT: [u8; 4] = [198, 51, 100, 2];

/// The engine with one endpoint, whose first visit is under way.
struct World {
    state: State,
    at: Clocks,
    visit: VisitNumber,
}

impl World {
    fn new() -> Self {
        let settings = loaded(
            "profile: custom\nresolvers: {custom: [192.0.2.53]}\nendpoints: {add: [{host: a.example, class: https}]}\n",
        );
        let start = Clocks { now: ase_probes::clock::now(), since_boot: 1000 * SECOND, wall: 1_800_000_000 * SECOND };
        let mut state = State::new(settings, FIRST_ROUND, 1024, StdRng::from_seed([7; 32]), start);
        let visit = state.tick(start).begin.pop().expect("one begins").visit;
        Self { state, at: start, visit }
    }

    /// So much later the visit under way ends like this.
    fn ends(&mut self, after: Duration, visit: Visit) {
        self.pass(after);
        let commands = self.state.take_in(Event::Visited(self.visit, Some(Box::new(visit))), self.at);
        assert!(commands.begin.is_empty(), "the next one comes later");
    }

    /// So much later the next visit begins.
    fn begins(&mut self, after: Duration) {
        self.pass(after);
        self.visit = self.state.tick(self.at).begin.pop().expect("it is due").visit;
    }

    fn pass(&mut self, time: Duration) {
        let Clocks { now, since_boot, wall } = self.at;
        self.at = Clocks { now: now + time, since_boot: since_boot + time, wall: wall + time };
    }

    fn view(&self) -> &EndpointView {
        &self.state.endpoints.views()[0]
    }

    /// A visit whose name led to these addresses, of which the first was asked in vain, if any was, and the last got no flow.
    fn put_off(&self, asked: &[[u8; 4]]) -> Visit {
        let verdict = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Likely).failed();
        let outcome = |address: [u8; 4]| Outcome {
            address: (address, 443).into(),
            phases: Phases::default(),
            verdict,
            seen: Seen::default(),
            protocol: Protocol::Nothing,
        };
        let why = Untested::BudgetSpent;
        Visit {
            took: SECOND,
            resolution: Some(Resolution {
                name: "a.example".to_owned(),
                addresses: asked.iter().copied().chain([SPENT]).map(IpAddr::from).collect(),
                server: Some(CUSTOM.into()),
                elapsed: Duration::ZERO,
                failures: Vec::new(),
                finding: None,
            }),
            outcomes: asked.iter().copied().map(outcome).collect(),
            unasked: vec![Unasked { address: (SPENT, 443).into(), why }],
            failed: asked.iter().copied().map(IpAddr::from).collect(),
            result: Err(why),
            ..Visit::nothing_yet(self.at.wall)
        }
    }

    fn visits_that_took_time(&self) -> u64 {
        self.state.sums.durations.values().map(|histogram| histogram.count()).sum()
    }

    fn answers_of_the_custom_dns(&self) -> u64 {
        self.state.sums.loads.of(CUSTOM.into()).map_or(0, |load| load.count(DnsOutcome::Answer))
    }
}

/// The diagnosis prepares flows to hold as tasks; nobody runs them here.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn what_a_visit_saw_before_it_was_put_off_is_shown_and_counted() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new();
    let visit = world.put_off(&[ASKED]);
    world.ends(SECOND, visit);
    let view = world.view();
    assert_eq!((view.status, view.attempts), (Status::Unknown(Untested::NotYet), 1), "what it means is yet to be seen");
    let last = view.last.as_deref().expect("it asked somebody");
    assert_eq!((last.outcomes.len(), last.failed.as_slice()), (1, &[IpAddr::from(ASKED)][..]));
    assert_eq!(world.visits_that_took_time(), 1);
    world.begins(20 * SECOND);
    assert_eq!(world.view().attempts, 2, "that one was made, and this is another");
}

#[test]
fn a_visit_that_asked_nobody_is_not_shown_but_what_its_name_gave_is_heard() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new();
    let at = world.at;
    let surveys = world.state.comparing.state().take_due(at.now + SECOND);
    let [(index, name)] = &surveys[..] else { panic!("one name is compared: {surveys:?}") };
    let answers = (Answer::with(&[], &["198.51.100.9"]), Answer::with(&[], &["198.51.100.9"]));
    let survey = sample::outlook::survey(name, answers, Circumstances::default());
    world.state.comparing.state().take_in(*index, survey, at.wall, at.now);
    let visit = world.put_off(&[]);
    world.ends(SECOND, visit);
    assert!(world.view().last.is_none());
    assert_eq!(world.visits_that_took_time(), 0);
    assert_eq!(world.answers_of_the_custom_dns(), 1);
    let due = world.state.comparing.names().next_due();
    assert!(due.is_some_and(|due| due <= world.at.now), "the name leads elsewhere: both sides are asked again");
    world.begins(20 * SECOND);
    assert_eq!(world.view().attempts, 1, "one visit, which is made only now");
}

#[test]
fn a_failure_stays_shown_while_its_confirmation_is_put_off() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new();
    let once = world.put_off(&[ASKED, SPENT]);
    let failed = Visit { unasked: Vec::new(), result: Ok(once.outcomes[0].verdict), ..once };
    world.ends(SECOND, failed);
    world.begins(5 * SECOND);
    let visit = world.put_off(&[ASKED]);
    world.ends(SECOND, visit);
    let last = world.view().last.as_deref().expect("it was visited");
    assert_eq!(last.failed, [ASKED, SPENT].map(IpAddr::from), "both are to be asked again");
    assert_eq!(world.visits_that_took_time(), 2);
}
