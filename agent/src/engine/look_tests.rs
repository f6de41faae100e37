//! A single look in virtual time at peers that share what may not be spent: the flows to one address, the time, the sockets.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ase_probes::{
    cause::Cause,
    evidence::TcpInfo,
    outcome::{Outcome, Protocol},
    resolve::Resolution,
    seen::{Phases, Seen},
    verdict::{Confidence, Finding, Verdict},
};
use rand::SeedableRng;

use super::*;
use crate::{
    config::tests::loaded,
    model::{
        catalog::Host,
        visit::{Hindrance, Unasked, Untested},
    },
    visit::{exchange::FAIR, flow_budget::FlowBudget},
};

const SECOND: Duration = Duration::from_secs(1);
/// How long a look may take.
const LOOK: Duration = Duration::from_secs(15);
/// How long an exchange takes.
const TAKES: Duration = Duration::from_millis(20);
/// Where every name leads.
const GATEWAY: [u8; 4] = [198, 51, 100, 1];
/// Where the first name leads that has an address of its own.
const FIRST: u32 = 0x14_00_00_01;

/// Whether a visit dies.
type Dies = fn(&Begin) -> bool;

/// A look, and the peers behind one address.
struct World {
    state: State,
    at: Clocks,
    start: Clocks,
    ends: Instant,
    under_way: BTreeMap<(Instant, VisitNumber), Begin>,
    budget: FlowBudget,
    /// What the peers show, unless it is another thing on a port.
    shows: Verdict,
    shows_on: BTreeMap<u16, Verdict>,
    /// Which visits die.
    dies: Dies,
    /// Whether they say nothing, for as long as anybody waits.
    is_silent: bool,
    /// How often a DNS server was asked for a name.
    resolved: usize,
    /// At which visits, counted from one, two packets are lost.
    loses: fn(usize) -> bool,
    visits: usize,
}

impl World {
    /// So many names that lead to one address, whose peers show this.
    fn new(names: usize, shows: Verdict) -> Self {
        let rows: Vec<String> = (0..names).map(|name| format!("{{host: site-{name}.example, class: http}}")).collect();
        Self::of(&rows, shows)
    }

    fn of(rows: &[String], shows: Verdict) -> Self {
        Self::with(rows, "", 4096, shows)
    }

    /// Everything outside is silent, on two ports, for so many names with an address each; this `pace`, and so many files.
    fn cut(names: usize, pace: &str, files: usize) -> Self {
        let class = |name| if name % 2 == 0 { "http" } else { "https" };
        let row = |name| format!("{{host: own-{name}.example, class: {}}}", class(name));
        let rows: Vec<String> = (0..names).map(row).collect();
        Self { is_silent: true, ..Self::with(&rows, pace, files, dropped()) }
    }

    fn with(rows: &[String], pace: &str, files: usize, shows: Verdict) -> Self {
        let resolvers = "profile: custom\nresolvers: {custom: [192.0.2.53]}\n";
        let compared = format!("dns: {{max_names: {}}}\n", rows.len());
        let text = format!("{resolvers}{compared}pace: {{{pace}}}\nendpoints: {{add: [{}]}}\n", rows.join(", "));
        let settings = loaded(&text);
        let start = Clocks { now: ase_probes::clock::now(), since_boot: 1000 * SECOND, wall: 1_800_000_000 * SECOND };
        let budget = FlowBudget::new(settings.pace.flows_per_destination);
        let mut state = State::new(settings, Rounds::One, files, StdRng::from_seed([7; 32]), start);
        state.end_at(start.now + LOOK);
        let (under_way, ends) = (BTreeMap::new(), start.now + LOOK);
        Self {
            state,
            at: start,
            start,
            ends,
            under_way,
            budget,
            shows,
            shows_on: BTreeMap::new(),
            dies: |_| false,
            is_silent: false,
            resolved: 0,
            loses: |_| false,
            visits: 0,
        }
    }

    /// The same, and the look may take no longer than this.
    fn within(mut self, within: Duration) -> Self {
        self.ends = self.start.now + within;
        self.state.end_at(self.ends);
        self
    }

    /// Looks until nothing is to come or the time is over; returns how long that took.
    fn look(&mut self) -> Duration {
        let ends = self.ends;
        loop {
            let visit = self.under_way.first_key_value().map(|((end, _), _)| *end);
            let next = visit.map_or(self.state.due(), |end| end.min(self.state.due())).max(self.at.now);
            let passed = next.min(ends) - self.at.now;
            self.at = Clocks {
                now: self.at.now + passed,
                since_boot: self.at.since_boot + passed,
                wall: self.at.wall + passed,
            };
            let commands = match visit.filter(|end| *end <= self.at.now).and_then(|_| self.under_way.pop_first()) {
                Some(((_, number), begin)) => {
                    let visit = (!(self.dies)(&begin)).then(|| Box::new(self.visit(&begin)));
                    self.state.take_in(Event::Visited(number, visit), self.at)
                }
                None => self.state.tick(self.at),
            };
            for begin in commands.begin {
                self.under_way.insert((self.at.now + self.takes(&begin), begin.visit), begin);
            }
            if self.state.schedule.is_over() || self.at.now >= ends {
                self.state.conclude(!self.state.schedule.is_over(), self.at);
                return self.at.now - self.start.now;
            }
        }
    }

    fn takes(&self, begin: &Begin) -> Duration {
        let waits = begin.endpoint.target.timeout;
        if self.is_silent { begin.occasion.within.map_or(waits, |within| within.min(waits)) } else { TAKES }
    }

    fn visit(&mut self, begin: &Begin) -> Visit {
        let target = &begin.endpoint.target;
        let address = match &target.host {
            Host::Address(address) => *address,
            Host::Name(name) => leads_to(name),
        };
        let takes = self.takes(begin);
        let is_heard = !self.is_silent || takes >= FAIR;
        let peer = (address, target.port).into();
        let is_spent = |led_to: &IpAddr| !self.budget.has((*led_to, target.port).into(), self.at.now);
        let is_put_off = begin.occasion.led_to.first().is_some_and(is_spent);
        self.resolved += usize::from(!is_put_off);
        let has_flow = match begin.occasion.confirm.contains(&address) {
            true => self.budget.take_to_confirm(peer, self.at.now),
            false => self.budget.take(peer, self.at.now),
        };
        self.visits += 1;
        let retransmits = if (self.loses)(self.visits) { 2 } else { 0 };
        let tcp = TcpInfo { retransmits, round_trip: TAKES, path_mtu: 1500, ..TcpInfo::default() };
        let seen = Seen { tcp: Some(tcp), round_trip: Some(TAKES), ..Seen::default() };
        let phases = Phases::default();
        let verdict = self.shows_on.get(&target.port).copied().unwrap_or(self.shows);
        let outcome = Outcome { address: peer, phases, verdict, seen, protocol: Protocol::Nothing };
        let is_asked = has_flow && is_heard;
        let failed = matches!(verdict, Verdict::Failed(_)) && is_asked;
        let why = if has_flow { Untested::NoTime } else { Untested::BudgetSpent };
        Visit {
            took: takes,
            resolution: (!is_put_off).then(|| Resolution {
                name: target.host.to_string(),
                addresses: vec![address],
                server: None,
                elapsed: Duration::ZERO,
                failures: Vec::new(),
                finding: None,
            }),
            outcomes: if is_asked { vec![outcome] } else { Vec::new() },
            unasked: if is_asked { Vec::new() } else { vec![Unasked { address: peer, why }] },
            failed: if failed { vec![address] } else { Vec::new() },
            result: if is_asked { Ok(verdict) } else { Err(why) },
            ..Visit::nothing_yet(self.at.wall - takes)
        }
    }

    /// How many endpoints stand so.
    fn count(&self, is: impl Fn(Status) -> bool) -> usize {
        self.state.endpoints.views().iter().filter(|view| is(view.status)).count()
    }

    fn beyond_budget(&self) -> usize {
        self.count(|status| status == Status::Unknown(Untested::BudgetSpent))
    }
}

/// Names have an address in common, unless they say that it is their own.
fn leads_to(name: &str) -> IpAddr {
    let number = name.strip_prefix("own-").and_then(|rest| rest.split('.').next()?.parse().ok());
    number.map_or(IpAddr::from(GATEWAY), |number: u32| (FIRST + number).to_be_bytes().into())
}

/// The diagnosis prepares flows to hold as tasks; nobody runs them here.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn fails() -> Verdict {
    Verdict::Failed(Finding::new(Cause::HttpStatus, Phase::Response, Confidence::Confirmed))
}

fn dropped() -> Verdict {
    Verdict::Failed(Finding::new(Cause::Dropped, Phase::Connect, Confidence::Likely))
}

#[test]
fn a_cut_is_told_however_many_are_silent_and_however_few_may_be_asked_at_once() {
    let runtime = runtime();
    let _context = runtime.enter();
    for (names, pace, files) in [
        (100, "", 4096),
        (5000, "", 1_000_000),
        (1000, "", 1024),
        (200, "", 256),
        (140, "concurrency: 1", 4096),
        (140, "concurrency: 2", 64),
    ] {
        let mut world = World::cut(names, pace, files);
        let took = world.look();
        let open = &world.state.diagnosing.ledger().open;
        let told = open.first().map(|incident| incident.component.as_str());
        let what = format!("{names} names, {pace}, {files} files: {:?}", world.state.left_out);
        assert_eq!(told, Some("everything outside this network"), "{what}");
        assert!(took <= LOOK, "{took:?}, {what}");
        let unvisited = world.count(|status| matches!(status, Status::Unknown(Untested::NotYet | Untested::NoTime)));
        let failed = world.count(|status| matches!(status, Status::Failed(_)));
        assert_eq!(failed + unvisited, names, "who was asked shares what the others proved: {what}");
    }
}

#[test]
fn a_failure_stands_unconfirmed_where_there_is_no_time_to_confirm_it() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::cut(140, "", 4096).within(9 * SECOND);
    let took = world.look();
    let once = world.count(|status| matches!(status, Status::Unknown(Untested::Unconfirmed(..))));
    assert_eq!(once, 140, "each is known to have failed once: {:?}", world.state.left_out);
    let told = "140 failures were not confirmed: the time of this look was over";
    assert!(world.state.left_out.iter().any(|line| line == told), "{:?}", world.state.left_out);
    assert!(took <= 9 * SECOND, "{took:?}");
}

#[test]
fn also_a_small_budget_of_flows_has_some_for_confirmations_and_what_it_lacks_is_said() {
    let runtime = runtime();
    let _context = runtime.enter();
    for flows in 1..10 {
        let rows: Vec<String> = (0..6).map(|name| format!("{{host: site-{name}.example, class: http}}")).collect();
        let mut world = World::with(&rows, &format!("flows_per_destination: {flows}"), 4096, fails());
        world.look();
        let failed = world.count(|status| matches!(status, Status::Failed(_)));
        let once = world.count(|status| matches!(status, Status::Unknown(Untested::Unconfirmed(..))));
        let what = format!("{flows} flows: {:?}", world.state.left_out);
        assert_eq!(failed == 0, flows == 1, "a failure takes a flow and its confirmation another: {what}");
        assert_eq!(world.state.diagnosing.ledger().open.is_empty(), failed == 0, "{what}");
        assert_eq!(failed + once + world.beyond_budget(), 6, "{what}");
        let of_time = |line: &String| line.contains("the time of this look was over");
        assert!(!world.state.left_out.iter().any(of_time), "the time had nothing to do with it: {what}");
    }
}

#[test]
fn a_fault_behind_one_address_is_confirmed_also_where_first_visits_spend_its_budget() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new(100, fails());
    let took = world.look();
    let failed = world.count(|status| matches!(status, Status::Failed(_)));
    assert!(failed >= 50 && failed + world.beyond_budget() == 100, "{failed} failed, {:?}", world.state.left_out);
    assert!(!world.state.diagnosing.ledger().open.is_empty(), "nobody says so");
    assert!(took < LOOK / 2, "nothing more can be learned after {took:?}");
}

#[test]
fn endpoints_beyond_the_budget_are_said_to_be_so_and_not_waited_for() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new(100, Verdict::Healthy);
    let took = world.look();
    let healthy = world.count(|status| status == Status::Healthy);
    assert!(healthy >= 50 && healthy + world.beyond_budget() == 100, "{healthy}: {:?}", world.state.left_out);
    assert!(took < 5 * SECOND, "{took:?}");
    let told = format!("{} endpoints were not asked: the budget of new flows", 100 - healthy);
    assert!(world.state.left_out.iter().any(|line| line.starts_with(&told)), "{:?}", world.state.left_out);
}

#[test]
fn a_visit_that_is_put_off_again_and_again_asks_for_its_name_once_in_an_interval() {
    let runtime = runtime();
    let _context = runtime.enter();
    let row = |name| format!("{{host: site-{name}.example, class: http, interval: 5m}}");
    let mut world = World::of(&(0..100).map(row).collect::<Vec<_>>(), Verdict::Healthy).within(70 * SECOND);
    let took = world.look();
    assert_eq!(world.beyond_budget(), 0, "after {took:?} all had their turn: {:?}", world.state.left_out);
    assert!(world.resolved <= 2 * 100, "{} questions: when it is put off, and when it is visited", world.resolved);
}

#[test]
fn a_time_server_with_two_rows_is_asked_once_and_the_other_row_says_so() {
    let runtime = runtime();
    let _context = runtime.enter();
    let rows = ["{host: 203.0.113.1, port: 123, class: ntp}", "{host: 203.0.113.1, port: 1123, class: ntp}"];
    let mut world = World::of(&rows.map(str::to_owned), Verdict::Healthy);
    let took = world.look();
    let resting = world.count(|status| status == Status::Unknown(Untested::Resting));
    assert_eq!((world.count(|status| status == Status::Healthy), resting), (1, 1));
    assert!(took < SECOND, "nothing more can be learned: {took:?}");
    let told = |line: &String| line.starts_with("1 endpoint was not asked: its time server");
    assert!(world.state.left_out.iter().any(told), "{:?}", world.state.left_out);
}

#[test]
fn a_failure_that_a_plea_leaves_unconfirmed_is_told_with_the_rest_as_the_reason() {
    let runtime = runtime();
    let _context = runtime.enter();
    let failed = |cause| Verdict::Failed(Finding::new(cause, Phase::Ntp, Confidence::Likely));
    let (fails, pleads) = (failed(Cause::Dropped), failed(Cause::NtpDenied));
    // Whichever of the two ends first.
    for ports in [[123, 1123], [1123, 123]] {
        let rows = ports.map(|port| format!("{{host: 198.18.0.5, port: {port}, class: ntp}}"));
        let mut world = World::of(&rows, fails);
        world.shows_on = BTreeMap::from([(1123, pleads)]);
        let took = world.look();
        let told = &world.state.left_out;
        let of_rest = |line: &String| line.starts_with("1 failure was not confirmed: its time server");
        assert!(told.iter().any(of_rest), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("the time of this look was over")), "{told:?}");
        let once = |status| matches!(status, Status::Unknown(Untested::Unconfirmed(_, Hindrance::Rest)));
        assert_eq!(world.count(once), 1);
        assert!(took < LOOK / 2, "nothing more can be learned after {took:?}");
    }
}

fn confirms(begin: &Begin) -> bool {
    !begin.occasion.confirm.is_empty()
}

#[test]
fn a_visit_that_dies_is_told_as_the_reason() {
    let runtime = runtime();
    let _context = runtime.enter();
    let hosts = [0, 1].map(|name| format!("{{host: own-{name}.example, class: http}}"));
    let rows: [(Dies, &str); 2] =
        [(confirms, "2 failures were not confirmed"), (|_| true, "2 endpoints were not tested")];
    for (dies, what) in rows {
        let expected = format!("{what}: its visit died, which is a defect of the agent");
        let mut world = World::of(&hosts, fails());
        world.dies = dies;
        world.look();
        let told = &world.state.left_out;
        assert!(told.contains(&expected), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("the time of this look was over")), "{told:?}");
    }
}

#[test]
fn another_is_asked_again_for_those_whose_speaker_died() {
    let runtime = runtime();
    let _context = runtime.enter();
    let rows: Vec<String> = (0..5).map(|name| format!("{{host: own-{name}.example, class: http}}")).collect();
    let mut world = World::of(&rows, fails());
    world.dies = |begin| confirms(begin) && begin.endpoint.id.0.starts_with("own-0.");
    world.look();
    let failed = world.count(|status| matches!(status, Status::Failed(_)));
    assert_eq!(failed, 5, "{:?}", world.state.left_out);
}

/// A look at so many endpoints that work, with this pace, while these visits lose packets.
fn losing(endpoints: usize, pace: &str, loses: fn(usize) -> bool) -> World {
    let rows: Vec<String> = (0..endpoints).map(|name| format!("{{host: own-{name}.example, class: http}}")).collect();
    World { loses, ..World::with(&rows, pace, 4096, Verdict::Healthy) }
}

#[test]
fn packets_lost_on_a_few_connections_are_a_reason_to_ask_once_more() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = losing(6, "", |visit| visit % 3 == 0);
    let took = world.look();
    let open = &world.state.diagnosing.ledger().open;
    assert_eq!(open.first().map(|incident| incident.finding.cause), Some(Cause::PacketLoss), "{open:?}");
    assert_eq!(world.visits, 12, "everybody once more");
    assert!(took < 3 * SECOND, "{took:?}");
    for (loses, visits, what) in [
        ((|_| false) as fn(usize) -> bool, 60, "nothing is lost"),
        (|visit| visit == 7, 60, "one connection speaks for itself"),
        (|visit| visit == 7 || visit == 9, 60 + 30, "not everybody is asked, and nothing was lost again"),
    ] {
        let mut world = losing(60, "", loses);
        world.look();
        assert_eq!((world.visits, world.state.diagnosing.ledger().open.len()), (visits, 0), "{what}");
    }
    let mut late = losing(6, "", |visit| visit % 3 == 0).within(7 * SECOND);
    late.look();
    assert_eq!((late.visits, late.state.left_out.len()), (6, 0), "there is no time for more");
}

#[test]
fn who_works_stays_well_where_more_cannot_be_asked() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = losing(6, "flows_per_destination: 1", |visit| visit == 3 || visit == 6);
    let took = world.look();
    assert_eq!(world.count(|status| status == Status::Healthy), 6);
    assert!(took < 3 * SECOND, "nothing is waited for: {took:?}");
    assert_eq!(world.state.left_out, Vec::<String>::new());
    let mut world = losing(6, "", |visit| visit == 3 || visit == 6);
    world.dies = |begin| begin.occasion.within.is_some_and(|within| within < LOOK - SECOND);
    world.look();
    assert_eq!(world.count(|status| status == Status::Healthy), 6, "a visit that died says nothing");
}
