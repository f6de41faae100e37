//! Cases over time, without network and clock: visits and measurements go in, judgements and incidents come out.

#[path = "cases_clock_tests.rs"]
mod clock;
#[path = "cases_relief_tests.rs"]
mod ends;
#[path = "cases_flows_tests.rs"]
mod flows;
#[path = "cases_old_signs_tests.rs"]
mod old_signs;
#[path = "cases_servers_tests.rs"]
mod servers;
#[path = "cases_turns_tests.rs"]
mod turns;
#[path = "cases_waves_tests.rs"]
mod waves;

use ase_probes::{
    class::Class,
    evidence::{Stop, Trouble},
    outcome::{Outcome, Protocol},
    probe::Probe,
    seen::{Phases, Seen},
    verdict::{Confidence, Phase},
};

use super::*;
use crate::{
    diagnosis::{ask::Measured, incidents::Change},
    model::{
        catalog::{EndpointId, Target},
        contrast::{Ask, Contrast, Contrasts},
        diagnosis::{Origin, Scope},
        endpoint::EndpointView,
    },
    resolvers::names::{Cadence, Comparisons},
    sample,
};

const PLATFORM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));

/// A network of endpoints that answer or are silent, and the cases about it.
struct World {
    cases: Cases,
    views: Vec<Arc<EndpointView>>,
    names: Comparisons,
    start: Instant,
    second: u64,
    /// By how many seconds the wall clock was set back, and forward.
    set_back: u64,
    set_forward: u64,
    changes: Vec<Change>,
}

fn endpoint(host: &str, port: u16) -> Arc<Endpoint> {
    let model = (*sample::snapshot().endpoints[0].endpoint).clone();
    let host: IpAddr = host.parse().expect("an address");
    let id = EndpointId(format!("{host}:{port}").into());
    let probe = Probe::Tcp(ase_probes::tcp::Question::default());
    let target = Target { host: Host::Address(host), port, probe, ..model.target.clone() };
    Arc::new(Endpoint { id, target, ..model })
}

fn view(endpoint: Arc<Endpoint>) -> Arc<EndpointView> {
    let model = (*sample::snapshot().endpoints[0]).clone();
    let status = Status::Unknown(Untested::NotYet);
    Arc::new(EndpointView { endpoint, status, last: None, diagnosis: None, ..model })
}

/// Hosts outside, each with these ports.
fn endpoints(hosts: u8, ports: &[u16]) -> Vec<Arc<Endpoint>> {
    (1..=hosts).flat_map(|host| ports.iter().map(move |port| endpoint(&format!("20.0.0.{host}"), *port))).collect()
}

impl World {
    fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self::that_looks(endpoints, true)
    }

    fn that_looks(endpoints: Vec<Arc<Endpoint>>, again_and_again: bool) -> Self {
        let watched = Watched { endpoints: &endpoints, platform: PLATFORM, samples_redirects: true };
        let start = ase_probes::clock::now();
        Self {
            cases: Cases::new(&watched, again_and_again),
            views: endpoints.into_iter().map(view).collect(),
            names: Comparisons::new([], Cadence::Once, start),
            start,
            second: 0,
            set_back: 0,
            set_forward: 0,
            changes: Vec::new(),
        }
    }

    fn at(&self) -> Moment {
        let passed = Duration::from_secs(self.second);
        let wall = Duration::from_secs(1_000_000 - self.set_back + self.set_forward) + passed;
        Moment { now: self.start + passed, wall }
    }

    /// One round over all endpoints: `is_lost` says who is silent. Then a review.
    fn round(&mut self, is_lost: impl Fn(&Endpoint) -> bool) -> Wanted {
        for index in 0..self.views.len() {
            let is_lost = is_lost(&self.views[index].endpoint);
            self.visit(index, is_lost);
        }
        self.review()
    }

    fn visit(&mut self, index: usize, is_lost: bool) {
        let silence = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
        self.visit_that(index, is_lost.then_some(silence));
    }

    /// A visit that finds this; time ran out where that is silence.
    fn visit_that(&mut self, index: usize, found: Option<Finding>) {
        let visit = self.visit_of(index, found);
        self.take_in(index, visit);
    }

    fn visit_of(&self, index: usize, found: Option<Finding>) -> Visit {
        let endpoint = &self.views[index].endpoint;
        let address = match endpoint.target.host {
            Host::Address(address) => address,
            Host::Name(_) => IpAddr::from([20, 0, 1, u8::try_from(index).expect("few")]),
        };
        let outcome = outcome((address, endpoint.target.port).into(), found);
        Visit {
            began: self.at().wall,
            took: Duration::ZERO,
            phases: Phases::default(),
            resolution: None,
            result: Ok(outcome.verdict),
            outcomes: vec![outcome],
            unasked: Vec::new(),
            failed: Vec::new(),
            confirmed_by: 0,
            led_into_silence: false,
            remarks: Vec::new(),
        }
    }

    fn take_in(&mut self, index: usize, visit: Visit) {
        let at = self.at();
        let around = Neighbours { views: &self.views, names: &self.names, platform: PLATFORM, now: at.wall };
        let judged = self.cases.take_in(index, &visit, &around, at).expect("it was tested");
        let view = Arc::make_mut(&mut self.views[index]);
        (view.status, view.last) = (judged.into(), Some(Arc::new(visit)));
    }

    fn review(&mut self) -> Wanted {
        let at = self.at();
        let (wanted, changes) = self.cases.think_over(&mut self.views, &self.names, at);
        self.changes.extend(changes);
        wanted
    }

    /// Answers every measurement that is wanted, as `answers` says.
    fn measure(&mut self, wanted: &Wanted, answers: impl Fn(&Key) -> Vec<(Contrast, bool)>) {
        let at = self.at();
        for (key, _) in &wanted.errands {
            let answers: Contrasts = answers(key).into_iter().collect();
            self.cases.learn(key.clone(), Measured::from(answers), at);
        }
    }

    fn causes(&self) -> Vec<Option<Cause>> {
        let finding = |view: &Arc<EndpointView>| view.status.finding().map(|finding| finding.cause);
        self.views.iter().map(finding).collect()
    }
}

/// An exchange that found this; time ran out where that is silence.
fn outcome(address: SocketAddr, found: Option<Finding>) -> Outcome {
    let silence = |finding: &Finding| matches!(finding.cause, Cause::Dropped | Cause::DnsNoReply);
    let elapsed = Duration::from_secs(5);
    let stop = found.filter(silence).map(|finding| Stop { phase: finding.phase, trouble: Trouble::TimedOut, elapsed });
    let protocol = match &stop {
        Some(_) => Protocol::Nothing,
        None => Protocol::Tcp(ase_probes::tcp::Reply { greeting: Vec::new() }),
    };
    let verdict = found.map_or(Verdict::Healthy, Verdict::Failed);
    Outcome { address, phases: Phases::default(), verdict, seen: Seen { stop, ..Seen::default() }, protocol }
}

fn on(port: u16) -> impl Fn(&Endpoint) -> bool {
    move |endpoint| endpoint.target.port == port
}

/// What a network says whose rules deny a port: the platform answers and no canary does.
fn denied(key: &Key) -> Vec<(Contrast, bool)> {
    match key.ask {
        Ask::Control => vec![(Contrast::ControlAnswers, true)],
        Ask::TcpCanary => vec![(Contrast::CanaryAccepts, false), (Contrast::CanaryRefuses, false)],
        Ask::ThisMachine => vec![(Contrast::LinkUp, true), (Contrast::TrackingFull, false)],
        Ask::HeldFlow => vec![(Contrast::HeldFlowLives, true), (Contrast::HeldFlowReset, false)],
        _ => Vec::new(),
    }
}

#[test]
fn healthy_endpoints_have_no_case_and_are_measured_once_per_port() {
    let mut world = World::new(endpoints(50, &[80, 443, 1433]));
    let wanted = world.round(|_| false);
    assert_eq!(world.cases.open(), 0);
    let asked: Vec<(Ask, u16)> = wanted.errands.iter().map(|(key, _)| (key.ask, key.peer.port())).collect();
    assert_eq!(asked, [(Ask::TcpCanary, 80), (Ask::TcpCanary, 443), (Ask::TcpCanary, 1433)]);
    world.measure(&wanted, denied);
    for _ in 0..10 {
        world.second += 30;
        assert_eq!(world.round(|_| false).errands.len(), 0, "what is known is not asked again");
    }
    assert!(!world.cases.is_stirred(), "where all is well, nothing is reviewed");
}

#[test]
fn a_box_that_answers_for_others_degrades_every_endpoint_of_its_port_until_it_is_gone() {
    let mut world = World::new(endpoints(4, &[80, 443]));
    let accepts = |is_there: bool| {
        move |key: &Key| match key.ask {
            Ask::TcpCanary => vec![(Contrast::CanaryAccepts, is_there && key.peer.port() == 443)],
            _ => Vec::new(),
        }
    };
    let wanted = world.round(|_| false);
    world.measure(&wanted, accepts(true));
    world.review();
    let blind = |endpoint: &Endpoint| (endpoint.target.port == 443).then_some(Cause::ProxiedBlind);
    let expected: Vec<Option<Cause>> = world.views.iter().map(|view| blind(&view.endpoint)).collect();
    assert_eq!(world.causes(), expected);
    // An hour later it is still the same incident: what is in use is asked for again before it is too old.
    for _ in 0..120 {
        world.second += 30;
        let wanted = world.round(|_| false);
        world.measure(&wanted, accepts(true));
    }
    assert_eq!((world.causes(), world.changes.len()), (expected, 1), "{:?}", world.changes);
    let asks_again = |wanted: &Wanted| wanted.errands.iter().any(|(key, _)| key.peer.port() == 443);
    let wanted = (0..30).map(|_| {
        world.second += 30;
        world.round(|_| false)
    });
    let wanted = wanted.into_iter().find(asks_again).expect("what is in use is asked for again");
    world.measure(&wanted, accepts(false));
    world.review();
    assert_eq!((world.causes(), world.cases.open()), (vec![None; 8], 0), "no visit is waited for");
}

#[test]
fn an_incident_lasts_as_long_as_its_fault_and_is_one() {
    let mut world = World::new(endpoints(5, &[80, 443, 1433]));
    world.round(|_| false);
    for _ in 0..120 {
        world.second += 30;
        let wanted = world.round(on(1433));
        world.measure(&wanted, denied);
        world.review();
    }
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((incident.finding.cause, incident.scope, incident.endpoints.len()), (Cause::Dropped, Scope::Port, 5));
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    world.second += 30;
    world.round(|_| false);
    assert!(world.cases.ledger.open.is_empty() && world.cases.open() == 0);
}

#[test]
fn what_nobody_needs_any_more_is_not_measured() {
    let mut world = World::new(endpoints(5, &[80, 443, 1433]));
    world.round(|_| false);
    world.second += 30;
    let wanted = world.round(on(1433));
    assert!(wanted.errands.iter().any(|(key, _)| key.ask == Ask::HeldFlow), "{wanted:?}");
    world.second += 30;
    let wanted = world.round(|_| false);
    assert!(wanted.errands.iter().all(|(key, _)| key.ask == Ask::TcpCanary), "{wanted:?}");
}

#[test]
fn a_host_alone_on_its_port_is_judged_by_its_own_source_ports_and_in_a_single_look_by_others() {
    let rows = [
        (Some(true), true, Cause::FlowHashLoss),
        (Some(false), true, Cause::Dropped),
        (Some(false), false, Cause::Dropped),
        (None, true, Cause::Dropped),
        (None, false, Cause::FlowHashLoss),
    ];
    for (own, again_and_again, expected) in rows {
        let mut hosts = endpoints(5, &[443]);
        hosts.push(endpoint("20.0.0.9", 1433));
        let mut world = World::that_looks(hosts, again_and_again);
        for _ in 0..2 {
            let taken = ["20.0.0.1:443", "20.0.0.2:443", "20.0.0.9:1433"];
            let wanted = world.round(|endpoint| taken.contains(&&*endpoint.id.0));
            world.measure(&wanted, |key| match (key.ask, key.peer.port()) {
                (Ask::SourcePorts, 443) => vec![(Contrast::PortDecides, true)],
                (Ask::SourcePorts, _) => own.map(|own| (Contrast::PortDecides, own)).into_iter().collect(),
                _ => denied(key),
            });
            world.second += 1;
        }
        world.review();
        assert_eq!(world.causes()[5], Some(expected), "{own:?} {again_and_again}: {:?}", world.cases.diagnosis(5));
    }
}

#[test]
fn a_guess_about_this_machine_is_no_proof_for_others() {
    let mut world = World::new(endpoints(3, &[80, 443]));
    let wanted = world.round(|_| true);
    world.measure(&wanted, |key| match key.ask {
        Ask::Control => vec![(Contrast::ControlAnswers, false)],
        Ask::ThisMachine => vec![(Contrast::LinkUp, true), (Contrast::TrackingFull, false)],
        _ => Vec::new(),
    });
    world.review();
    let rules: BTreeSet<&str> =
        (0..6).filter_map(|index| world.cases.diagnosis(index)).map(|diagnosis| diagnosis.rule).collect();
    assert_eq!(rules, BTreeSet::from(["R64a"]), "each guesses for itself");
    assert!(world.cases.observed.is_empty());
}

#[test]
fn a_time_server_of_somebody_elses_is_asked_by_its_visits_alone() {
    let server = |host: Host| {
        let model = endpoint("20.0.0.1", 123);
        let probe = Probe::Ntp(ase_probes::ntp::Question);
        let target = Target { host, probe, ..model.target.clone() };
        Endpoint { class: Class::Ntp, target, ..(*model).clone() }
    };
    let (peer, resolver): (SocketAddr, SocketAddr) = (([20, 0, 0, 1], 123).into(), ([10, 0, 0, 4], 53).into());
    let asks = |endpoint: &Endpoint, peer| asks::key_of(Ask::AnySource, endpoint, Some(peer), PLATFORM).is_some();
    let by_name = server(Host::Name("time.example".to_owned()));
    assert!(!asks(&by_name, peer) && asks(&by_name, resolver), "who did not resolve its name is no time server");
    assert!(!asks(&server(Host::Address([20, 0, 0, 1].into())), peer));
    assert!(asks(&server(Host::Address([10, 0, 0, 9].into())), peer), "one's own may be asked at any time");
}

#[test]
fn what_source_ports_showed_at_others_only_is_inferred_and_not_observed() {
    let alone = [("20.0.0.1", 443), ("20.0.0.2", 80), ("20.0.0.3", 1433), ("20.0.0.4", 25)];
    let endpoints: Vec<_> = alone.iter().map(|(host, port)| endpoint(host, *port)).collect();
    let mut world = World::that_looks(endpoints, false);
    let wanted = world.round(|endpoint| endpoint.target.port != 25);
    world.measure(&wanted, |key| match key.ask {
        Ask::SourcePorts if key.peer.port() != 1433 => {
            vec![(Contrast::PortDecides, true), (Contrast::NewFlowsMixed, true), (Contrast::NewFlowsPass, false)]
        }
        _ => denied(key),
    });
    world.review();
    assert_eq!(world.causes()[..3], [Some(Cause::FlowHashLoss); 3]);
    let origin = |index| world.cases.diagnosis(index).expect("it has a case").origin;
    assert_eq!([0, 1, 2].map(origin), [Origin::Observed, Origin::Observed, Origin::Inferred]);
}

#[test]
fn one_silent_host_and_several_have_advice_of_their_own() {
    use crate::diagnosis::rules::{ONE_HOST, SOME_HOSTS};
    let hint = |lost: &[&str]| {
        let mut world = World::new(endpoints(6, &[443]));
        world.round(|_| false);
        world.second += 30;
        let is_lost = |endpoint: &Endpoint| lost.contains(&&*endpoint.id.0);
        for _ in 0..2 {
            let wanted = world.round(is_lost);
            world.measure(&wanted, denied);
            world.second += 10;
        }
        world.review();
        let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
        incident.hint
    };
    assert_eq!(hint(&["20.0.0.1:443"]), Some(ONE_HOST));
    assert_eq!(hint(&["20.0.0.1:443", "20.0.0.2:443"]), Some(SOME_HOSTS));
}

#[test]
fn the_first_line_of_evidence_is_what_the_verdict_rests_on() {
    let mut world = World::new(endpoints(3, &[443, 1433]));
    world.round(|_| false);
    world.second += 30;
    for _ in 0..2 {
        let wanted = world.round(on(1433));
        world.measure(&wanted, denied);
        world.second += 10;
    }
    world.review();
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    let first = [Contrast::OtherPortsWork.words(true), Contrast::HeldFlowLives.words(true)];
    assert!(first.contains(&&*incident.evidence[0]), "{incident:?}");
    let met = incident.evidence.iter().position(|line| line.contains("no answer before the deadline"));
    assert!(met.is_some_and(|at| at > 0 && at < 4), "what the visit met comes behind it: {incident:?}");
}
