//! Names that move while the engine runs, in virtual time and at the default intervals: scripted answers of both resolvers
//! in the place of sockets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    evidence::{Operation, Stop, Trouble},
    outcome::{Outcome, Protocol},
    resolve::Resolution,
    seen::{Phases, Seen},
    verdict::{Confidence, Finding, Verdict},
};
use rand::SeedableRng;

use super::*;
use crate::{
    config::tests::loaded,
    engine::monitor::FIRST_ROUND,
    model::{catalog::Host, visit::Untested},
    net::address::is_private,
    resolvers::compare::{Answer, Circumstances, TlsConfirmation},
    sample,
};

/// ECONNREFUSED.
const REFUSED: i32 = 111;
const SECOND: Duration = Duration::from_secs(1);
/// What a change must be named within, at default intervals.
const NAMED: Duration = Duration::from_secs(60);
/// A fault begins after a round of comparisons and some visits.
const SETTLED: Duration = Duration::from_secs(400);

/// What both sides say about every name at a moment, since the start: the custom DNS, then Azure DNS.
type Answers = fn(u64) -> (&'static str, &'static str);

/// The engine, and the names it watches.
struct World {
    state: State,
    at: Clocks,
    start: Clocks,
    custom: Answers,
    is_plain: bool,
    visits: BTreeMap<(Instant, VisitNumber), Begin>,
    surveys: usize,
    /// Every incident, by number: its cause, and when it stood first.
    seen: BTreeMap<u64, (Cause, Duration)>,
    /// How each endpoint stands, and since when.
    standing: Vec<(&'static str, Duration)>,
    /// How often that changed.
    changes: usize,
}

/// Where a certificate for the name verifies.
fn proves(address: &str) -> bool {
    !address.starts_with("198.51.") && !address.starts_with("127.")
}

impl World {
    fn new(custom: Answers) -> Self {
        let hosts = ["one", "two", "three", "four"].map(|name| format!("{{host: {name}.example, class: https}}"));
        let text =
            format!("profile: custom\nresolvers: {{custom: [10.0.0.4]}}\nendpoints:\n  add: [{}]\n", hosts.join(", "));
        let settings = loaded(&text);
        let start = Clocks { now: ase_probes::clock::now(), since_boot: 1000 * SECOND, wall: 1_800_000_000 * SECOND };
        let state = State::new(settings, FIRST_ROUND, 1024, StdRng::from_seed([7; 32]), start);
        let (visits, seen) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self {
            state,
            at: start,
            start,
            custom,
            is_plain: false,
            visits,
            surveys: 0,
            seen,
            standing: Vec::new(),
            changes: 0,
        };
        world.standing = world.standing();
        world
    }

    fn standing(&self) -> Vec<(&'static str, Duration)> {
        self.state.endpoints.views().iter().map(|view| (view.status.label(), view.since)).collect()
    }

    /// Whatever changes how an endpoint stands says since when that is so.
    fn check_standing(&mut self) {
        let standing = self.standing();
        let before = std::mem::replace(&mut self.standing, standing);
        for (before, now) in before.iter().zip(&self.standing) {
            assert_eq!(before.0 == now.0, before.1 == now.1, "{before:?}, then {now:?}");
            self.changes += usize::from(before != now);
        }
    }

    fn seconds(&self) -> u64 {
        (self.at.now - self.start.now).as_secs()
    }

    fn advance(&mut self, until: Duration) {
        let until = self.start.now + until;
        loop {
            let ends = self.visits.first_key_value().map(|((end, _), _)| *end);
            let survey = self.state.comparing.names().next_due();
            let next = [Some(self.state.due()), ends, survey].into_iter().flatten().min().unwrap_or(until);
            let next = next.max(self.at.now);
            if next > until {
                return self.pass(until);
            }
            self.pass(next);
            self.survey();
            let commands = match ends.filter(|end| *end <= next).and_then(|_| self.visits.pop_first()) {
                Some(((_, number), begin)) => {
                    let visit = self.visit(&begin);
                    self.state.take_in(Event::Visited(number, Some(Box::new(visit))), self.at)
                }
                None => self.state.tick(self.at),
            };
            for begin in commands.begin {
                self.visits.insert((self.at.now + Duration::from_millis(30), begin.visit), begin);
            }
            self.check_standing();
            let at = self.at.now - self.start.now;
            for incident in &self.state.diagnosing.ledger().open {
                self.seen.entry(incident.id).or_insert((incident.finding.cause, at));
            }
        }
    }

    fn pass(&mut self, until: Instant) {
        let passed = until - self.at.now;
        self.at = Clocks { now: until, since_boot: self.at.since_boot + passed, wall: self.at.wall + passed };
    }

    /// Makes the surveys that are due.
    fn survey(&mut self) {
        let (custom, azure) = (self.custom)(self.seconds());
        for (index, name) in self.state.comparing.state().take_due(self.at.now) {
            self.surveys += 1;
            let known = Circumstances {
                tls: Some(TlsConfirmation { custom: proves(custom), azure: proves(azure) }),
                ..Circumstances::default()
            };
            let answers = (Answer::with(&[], &[custom]), Answer::with(&[], &[azure]));
            let survey = sample::outlook::survey(&name, answers, known);
            self.state.comparing.state().take_in(index, survey, self.at.wall, self.at.now);
        }
    }

    /// A visit asks the custom DNS and then whoever that leads to.
    fn visit(&self, begin: &Begin) -> Visit {
        let (answer, _) = (self.custom)(self.seconds());
        let address: IpAddr = answer.parse().expect("an address");
        let target = &begin.endpoint.target;
        let Host::Name(name) = &target.host else { panic!("every host is a name") };
        let peer = SocketAddr::new(address, target.port);
        let refused = Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely);
        let stop = (!proves(answer)).then_some(Stop {
            phase: Phase::Connect,
            trouble: Trouble::Os { operation: Operation::Connect, errno: REFUSED },
            elapsed: SECOND / 100,
        });
        let verdict = if proves(answer) { Verdict::Healthy } else { Verdict::Failed(refused) };
        // A service without TLS works where no certificate proves it.
        let verdict = if self.is_plain { Verdict::Healthy } else { verdict };
        let stop = stop.filter(|_| !self.is_plain);
        let outcome = Outcome {
            address: peer,
            phases: Phases::default(),
            verdict,
            seen: Seen { stop, ..Seen::default() },
            protocol: Protocol::Nothing,
        };
        let is_forbidden = address.is_loopback();
        Visit {
            took: Duration::from_millis(30),
            resolution: Some(Resolution {
                name: name.clone(),
                addresses: vec![address],
                server: Some(([10, 0, 0, 4], 53).into()),
                elapsed: Duration::ZERO,
                failures: Vec::new(),
                finding: None,
            }),
            outcomes: if is_forbidden { Vec::new() } else { vec![outcome] },
            result: if is_forbidden { Err(Untested::Forbidden(address)) } else { Ok(verdict) },
            ..Visit::nothing_yet(self.at.wall)
        }
    }
}

/// Runs with these answers until so long after the start. The diagnosis prepares flows to hold as tasks; nobody runs them.
fn run(custom: Answers, until: Duration) -> World {
    run_with(custom, false, until)
}

/// The same for services without TLS, which work wherever their names lead.
fn run_with(custom: Answers, is_plain: bool, until: Duration) -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World { is_plain, ..World::new(custom) };
    world.advance(until);
    world
}

#[test]
fn an_hour_of_rotation_over_three_address_sets_is_no_incident_and_asks_little_more() {
    const SETS: [&str; 3] = ["20.0.0.1", "20.0.1.1", "20.0.2.1"];
    // Each side holds an answer for a minute and then gives any of the three.
    fn rotating(second: u64) -> (&'static str, &'static str) {
        let any = |salt: u64| SETS[((second / 60 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % 3];
        (any(1), any(1000))
    }
    let world = run(rotating, 3600 * SECOND);
    assert!(world.seen.is_empty(), "{:?}", world.seen);
    assert!(world.surveys <= 4 * (3600 / 300 + 1 + SETS.len()), "{} surveys", world.surveys);
}

#[test]
fn an_hour_of_rotation_of_a_service_without_tls_is_no_incident() {
    fn rotating(second: u64) -> (&'static str, &'static str) {
        let any = |salt: u64| {
            ["198.51.100.1", "198.51.100.2", "198.51.100.3"]
                [((second / 60 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % 3]
        };
        (any(1), any(1000))
    }
    let world = run_with(rotating, true, 3600 * SECOND);
    assert!(world.seen.is_empty(), "{:?}", world.seen);
}

#[test]
fn what_changes_on_the_custom_dns_is_named_within_a_minute_and_ends_within_a_minute() {
    const REPAIRED: Duration = Duration::from_secs(600);
    fn since(second: u64) -> bool {
        (SETTLED.as_secs()..REPAIRED.as_secs()).contains(&second)
    }
    let changes: [(&str, Answers); 4] = [
        ("hijack", |second| (if since(second) { "198.51.100.9" } else { "20.0.0.1" }, "20.0.0.1")),
        ("sinkhole", |second| (if since(second) { "127.0.0.1" } else { "20.0.0.1" }, "20.0.0.1")),
        ("lost private zone", |second| (if since(second) { "20.0.0.1" } else { "10.60.0.4" }, "10.60.0.4")),
        ("undeclared private address", |second| (if since(second) { "10.60.0.4" } else { "20.0.0.1" }, "20.0.0.1")),
    ];
    for (what, answers) in changes {
        let world = run(answers, REPAIRED + 2 * NAMED);
        let divergent: Vec<Duration> =
            world.seen.values().filter(|(cause, _)| *cause == Cause::DnsDivergent).map(|(_, at)| *at).collect();
        let first = divergent.first().copied();
        assert!(first.is_some_and(|at| at >= SETTLED && at - SETTLED <= NAMED), "{what}: {:?}", world.seen);
        assert!(world.state.diagnosing.ledger().open.is_empty(), "{what} is over: {:?}", world.seen);
        assert!(is_private("10.60.0.4".parse().expect("an address")));
    }
}

#[test]
fn a_record_that_moved_at_azure_dns_alone_is_named_within_a_minute_of_its_first_failure() {
    // The old address answers nothing that proves the name once the service has gone.
    fn moved(second: u64) -> (&'static str, &'static str) {
        if second < SETTLED.as_secs() { ("20.0.0.1", "20.0.0.1") } else { ("198.51.100.9", "20.0.0.2") }
    }
    let world = run(moved, SETTLED + 2 * NAMED);
    let named = world.seen.values().find(|(cause, _)| *cause == Cause::DnsDivergent).map(|(_, at)| *at);
    assert!(named.is_some_and(|at| at - SETTLED <= NAMED), "{:?}", world.seen);
    let evidence = &world.state.diagnosing.ledger().open.first().expect("it is not repaired").evidence;
    let answers = "example: 198.51.100.9 by 10.0.0.4, 20.0.0.2 by Azure DNS (168.63.129.16)";
    assert!(evidence.iter().any(|line| line.ends_with(answers)), "both answers are told: {evidence:?}");
}

#[test]
fn a_service_without_tls_that_is_led_to_a_living_stranger_is_named_within_a_minute_and_is_over_within_one() {
    const REPAIRED: Duration = Duration::from_secs(700);
    // Nothing proves either address; all that tells is that the custom DNS alone left what both gave. The second round
    // is over after 300 s.
    fn stranger(second: u64) -> (&'static str, &'static str) {
        let is_led_away = (SETTLED.as_secs()..REPAIRED.as_secs()).contains(&second);
        (if is_led_away { "198.51.100.9" } else { "198.51.100.1" }, "198.51.100.1")
    }
    let world = run_with(stranger, true, REPAIRED + 2 * NAMED);
    let named: Vec<&(Cause, Duration)> = world.seen.values().collect();
    let [first, ..] = named[..] else { panic!("nothing was named") };
    assert!(first.0 == Cause::DnsDivergent && first.1 - SETTLED <= NAMED, "{named:?}");
    assert!(world.state.diagnosing.ledger().open.is_empty(), "it is over: {named:?}");
}

#[test]
fn an_endpoint_that_a_comparison_degrades_is_degraded_since_then() {
    // Whoever is led to by plain protocols answers: only the comparison of both sides shows it.
    fn stranger(second: u64) -> (&'static str, &'static str) {
        (if second < SETTLED.as_secs() { "198.51.100.1" } else { "198.51.100.9" }, "198.51.100.1")
    }
    let world = run_with(stranger, true, SETTLED + 2 * NAMED);
    let degraded = world.standing.iter().filter(|(label, _)| *label == "degraded");
    let since: Vec<Duration> = degraded.map(|(_, since)| *since - world.start.wall).collect();
    assert!(!since.is_empty() && since.iter().all(|since| *since >= SETTLED), "{since:?}");
    assert_eq!(world.changes, 4 + since.len(), "each became healthy, and these degraded");
}

#[test]
fn a_service_without_tls_whose_addresses_always_differed_is_no_incident() {
    let world = run_with(|_| ("198.51.100.9", "198.51.100.1"), true, 1800 * SECOND);
    assert!(world.seen.is_empty(), "{:?}", world.seen);
}
