//! The index says what looking at everybody would say, after any sequence of visits.

use ase_probes::{
    http,
    outcome::Protocol,
    resolve::Resolution,
    seen::{Phases, Seen},
    tls::{self, Handshake},
    verdict::{Confidence, Phase},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

use super::*;
use crate::{
    model::{
        catalog::{EndpointId, Target},
        contrast::{Ask, Contrast},
        visit::Untested,
    },
    net::address::is_private,
    sample,
};

const PLATFORM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));
const HOSTS: [&str; 7] =
    ["a.example.com", "b.example.com", "c.example.net", "10.0.0.4", "20.1.1.1", "168.63.129.16", "d.example.org"];
const PORTS: [Port; 4] = [Port::tcp(80), Port::tcp(443), Port::udp(123), Port::tcp(1433)];
const SERVERS: [&str; 2] = ["10.0.0.4:53", "168.63.129.16:53"];

fn second(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn host(number: usize) -> Host {
    HOSTS[number].parse().map_or_else(|_| Host::Name(HOSTS[number].to_owned()), Host::Address)
}

/// Every host on every port.
fn catalogue() -> Vec<Arc<Endpoint>> {
    let model = Arc::clone(&sample::snapshot().endpoints[0].endpoint);
    let pairs = (0..HOSTS.len()).flat_map(|host| PORTS.map(|port| (host, port)));
    pairs
        .map(|(number, port)| {
            let probe = if port.by_datagram {
                Probe::Ntp(ase_probes::ntp::Question)
            } else {
                Probe::Tcp(ase_probes::tcp::Question::default())
            };
            let id = EndpointId(format!("{}:{port}", HOSTS[number]).into());
            let target = Target { host: host(number), port: port.number, probe, ..model.target.clone() };
            Arc::new(Endpoint { id, target, ..(*model).clone() })
        })
        .collect()
}

/// A visit to one of the endpoints, as proptest chooses it.
#[derive(Clone, Debug)]
struct Drawn {
    index: usize,
    pause: u64,
    result: u8,
    address: u8,
    server: Option<usize>,
    clock: Option<i8>,
    certificate: u8,
    page: u8,
}

impl Drawn {
    fn visit(&self, began: Duration) -> Visit {
        let failed = |cause| Verdict::Failed(Finding::new(cause, Phase::Connect, Confidence::Possible));
        let own = Finding::new(Cause::LocalPorts, Phase::Local, Confidence::Confirmed);
        let (result, is_reached) = match self.result {
            0..=4 => (Ok(Verdict::Healthy), true),
            5..=7 => (Ok(failed(Cause::Dropped)), true),
            8 => (Ok(failed(Cause::HttpBlocked)), true),
            9 => (Ok(failed(Cause::DnsServfail)), false),
            10 => (Ok(Verdict::Inconclusive(own)), true),
            11..=13 => (Ok(failed(Cause::HttpStatus)), true),
            _ => (Err(Untested::BudgetSpent), false),
        };
        let address: IpAddr = match self.address {
            0 => [10, 1, 1, 1].into(),
            other => [20, 0, 0, other].into(),
        };
        let invalid = match self.certificate {
            0 | 1 => None,
            _ => Some(Invalid::UnknownIssuer),
        };
        let leaf = tls::Certificate { issuer: format!("CA {}", self.certificate), ..Default::default() };
        let tls = (self.certificate > 0).then(|| Handshake { chain: vec![leaf], invalid, ..Handshake::default() });
        let clock_offset = self.clock.map(f64::from);
        let (status, body_start) = (if self.page == 1 { 404 } else { 200 }, vec![b'p'; usize::from(self.page)]);
        let answer = Some(http::Answer { status, body_start, clock_offset, ..Default::default() });
        let protocol = Protocol::Http(Box::new(http::Reply { tls, answer, ..http::Reply::default() }));
        let outcome = Outcome {
            address: (address, 443).into(),
            phases: Phases::default(),
            verdict: Verdict::Healthy,
            seen: Seen::default(),
            protocol,
        };
        let resolution = self.server.map(|server| Resolution {
            name: "a.example.com".to_owned(),
            addresses: if self.address.is_multiple_of(2) { vec![address] } else { Vec::new() },
            server: Some(SERVERS[server].parse().expect("a server")),
            elapsed: Duration::ZERO,
            failures: Vec::new(),
            finding: None,
        });
        Visit {
            began,
            took: Duration::ZERO,
            phases: Phases::default(),
            resolution,
            outcomes: if is_reached { vec![outcome] } else { Vec::new() },
            unasked: Vec::new(),
            failed: Vec::new(),
            confirmed_by: 0,
            led_into_silence: false,
            remarks: Vec::new(),
            result,
        }
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let fields = (
        0..HOSTS.len() * PORTS.len(),
        0u64..3,
        0u8..15,
        0u8..4,
        proptest::option::of(0..SERVERS.len()),
        proptest::option::of(-3i8..4),
        0u8..5,
        0u8..4,
    );
    fields.prop_map(|(index, pause, result, address, server, clock, certificate, page)| Drawn {
        index,
        pause,
        result,
        address,
        server,
        clock,
        certificate,
        page,
    })
}

/// The same answers by looking at everybody.
struct Everybody {
    endpoints: Vec<Arc<Endpoint>>,
    last: Vec<Option<Visit>>,
}

impl Everybody {
    fn since(&self, index: usize, since: Duration) -> Option<&Visit> {
        self.last[index].as_ref().filter(|visit| visit.began >= since)
    }

    fn showing(&self, index: usize, since: Duration) -> Showing {
        match self.since(index, since).map(|visit| (visit.result, visit.outcomes.is_empty())) {
            Some((Ok(Verdict::Healthy | Verdict::Degraded(_)), _)) => Showing::Works,
            Some((Ok(Verdict::Failed(finding)), false)) => Showing::Fails(finding),
            _ => Showing::Nothing,
        }
    }

    fn address(&self, index: usize) -> Option<IpAddr> {
        if let Host::Address(address) = self.endpoints[index].target.host {
            return Some(address);
        }
        let visit = self.last[index].as_ref()?;
        let asked = visit.outcomes.first().map(|outcome| outcome.address.ip());
        asked.or_else(|| visit.resolution.as_ref()?.addresses.first().copied())
    }

    fn is_outside(&self, index: usize) -> bool {
        self.address(index).is_none_or(|address| !is_private(address) && address != PLATFORM)
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.endpoints.len()
    }

    fn works(&self, since: Duration, chosen: impl Fn(usize) -> bool) -> Option<bool> {
        let (mut count, mut failed) = (0, 0);
        for other in self.all().filter(|other| chosen(*other)) {
            count += 1;
            match self.showing(other, since) {
                Showing::Works => return Some(true),
                Showing::Fails(_) => failed += 1,
                Showing::Nothing => {}
            }
        }
        (failed > 0 && failed >= count.min(2)).then_some(false)
    }

    fn any_works(&self, since: Duration, chosen: impl Fn(usize) -> bool) -> bool {
        self.all().any(|index| chosen(index) && self.showing(index, since) == Showing::Works)
    }

    fn anything_works(&self, index: usize, since: Duration) -> Option<bool> {
        let mut failed = 0;
        for other in self.all().filter(|other| *other != index) {
            match self.since(other, since).map(|visit| visit.result) {
                Some(Ok(Verdict::Healthy | Verdict::Degraded(_))) => return Some(true),
                Some(Ok(Verdict::Failed(_))) => failed += 1,
                Some(Ok(Verdict::Inconclusive(finding))) if finding.cause.is_local() => failed += 1,
                _ => {}
            }
        }
        (failed >= 3).then_some(false)
    }

    fn host_http_blocked(&self, target: &Peer, since: Duration) -> Option<bool> {
        let is_plain = |index: &usize| {
            self.endpoints[*index].target.port == 80 && self.endpoints[*index].target.host == target.host
        };
        let here: Vec<usize> = self.all().filter(is_plain).collect();
        let blocked =
            |index: &usize| matches!(self.showing(*index, since), Showing::Fails(f) if f.cause == Cause::HttpBlocked);
        if here.iter().any(blocked) {
            return Some(true);
        }
        let is_untested = |index: &usize| self.since(*index, since).is_none();
        (!here.iter().any(is_untested)).then_some(false)
    }

    fn plain_http_blocked(&self, since: Duration) -> Option<bool> {
        let on_80 = self.all().filter(|index| self.endpoints[*index].target.port == 80);
        let seen: Vec<Showing> = on_80.map(|index| self.showing(index, since)).collect();
        let blocked = |showing: &Showing| matches!(showing, Showing::Fails(f) if f.cause == Cause::HttpBlocked);
        if seen.iter().any(blocked) {
            return Some(true);
        }
        seen.iter().any(|showing| *showing != Showing::Nothing).then_some(false)
    }

    /// The clock of every host as it was read last.
    fn clocks(&self, now: Duration) -> BTreeMap<usize, (Duration, f64)> {
        let mut clocks: BTreeMap<usize, (Duration, f64)> = BTreeMap::new();
        for index in self.all() {
            let Some(visit) = self.since(index, now.saturating_sub(second(180))) else { continue };
            let Some(offset) = visit.outcomes.iter().find_map(|o| o.http_answer()?.clock_offset) else { continue };
            let clock = clocks.entry(index / PORTS.len()).or_insert((visit.began, offset));
            // Of two readings at one moment the later endpoint's counts, in both ways of looking.
            if clock.0 <= visit.began {
                *clock = (visit.began, offset);
            }
        }
        clocks
    }

    fn clock_wrong(&self, since: Duration, now: Duration) -> Option<bool> {
        let clocks = self.clocks(now);
        let mut offsets: Vec<f64> =
            clocks.values().filter(|(began, _)| *began >= since).map(|(_, offset)| *offset).collect();
        offsets.sort_by(f64::total_cmp);
        let median = *offsets.get(offsets.len() / 2)?;
        let agreeing = offsets.iter().filter(|offset| (**offset - median).abs() <= 2.0).count();
        (agreeing >= 3 && agreeing * 2 > clocks.len()).then_some(median.abs() > 2.0)
    }

    /// Who shows which unknown issuer, by domain, and how many certificates verify.
    fn certificates(&self, since: Duration) -> (BTreeSet<(String, String)>, usize) {
        let (mut unknown, mut verified) = (BTreeSet::new(), 0);
        for index in self.all() {
            let Some(visit) = self.since(index, since) else { continue };
            let Some(tls) = visit.outcomes.iter().find_map(Outcome::handshake) else { continue };
            match tls.invalid {
                None => verified += 1,
                Some(_) => {
                    unknown.insert((domain(&self.endpoints[index].target.host), tls.chain[0].issuer.clone()));
                }
            }
        }
        (unknown, verified)
    }

    fn own_issuer(&self, index: usize, since: Duration) -> Option<String> {
        let tls = self.since(index, since)?.outcomes.iter().find_map(Outcome::handshake)?;
        tls.invalid.as_ref().map(|_| tls.chain[0].issuer.clone())
    }

    fn issuer_shared(&self, index: usize, since: Duration) -> Option<bool> {
        let (unknown, verified) = self.certificates(since);
        let own = self.own_issuer(index, since);
        let shared = unknown.iter().filter(|(_, issuer)| Some(issuer) == own.as_ref()).count() > 1;
        (shared || verified > 0).then_some(shared)
    }

    fn issuers_plural(&self, since: Duration) -> Option<bool> {
        let (unknown, verified) = self.certificates(since);
        let domains: BTreeSet<&String> = unknown.iter().map(|(domain, _)| domain).collect();
        let issuers: BTreeSet<&String> = unknown.iter().map(|(_, issuer)| issuer).collect();
        (verified > 0 || domains.len() >= 3).then_some(verified == 0 && issuers.len() > 1)
    }

    /// How long the odd page is that an endpoint got; one that says no more than "not here" is none.
    fn page(&self, index: usize) -> Option<usize> {
        let visit = self.last[index].as_ref()?;
        let is_odd = matches!(visit.result, Ok(Verdict::Failed(finding)) if finding.cause == Cause::HttpStatus);
        let answer = visit.outcomes.first()?.http_answer()?;
        (is_odd && answer.status == 200 && !answer.body_start.is_empty()).then_some(answer.body_start.len())
    }

    fn page_shared(&self, index: usize, target: &Peer, since: Duration) -> Option<bool> {
        let Some(own) = self.page(index) else { return Some(false) };
        let alike = || self.all().filter(|other| self.page(*other) == Some(own) && self.since(*other, since).is_some());
        let domains: BTreeSet<String> = alike().map(|other| domain(&self.endpoints[other].target.host)).collect();
        let addresses: BTreeSet<Option<IpAddr>> = alike().map(|other| self.address(other)).collect();
        if domains.len() >= 3 && addresses.len() >= 3 {
            return Some(true);
        }
        let on_port = |other: &usize| *other != index && port_of(&self.endpoints[*other]) == target.port;
        self.all().filter(on_port).all(|other| self.since(other, since).is_some()).then_some(false)
    }

    fn answer(&self, contrast: Contrast, index: usize, target: &Peer, since: Duration, now: Duration) -> Option<bool> {
        let same_host = |other: usize| self.endpoints[other].target.host == target.host;
        let same_port = |other: usize| port_of(&self.endpoints[other]) == target.port;
        match contrast {
            Contrast::SamePortWorks => self.works(since, |other| same_port(other) && !same_host(other)),
            Contrast::SameHostWorks => self.works(since, |other| same_host(other) && !same_port(other)),
            Contrast::OtherPortsWork => {
                self.works(since, |other| !same_port(other) && !same_host(other) && self.is_outside(other))
            }
            Contrast::AnythingWorks => self.anything_works(index, since),
            Contrast::HostHttpBlocked => self.host_http_blocked(target, since),
            Contrast::PlainHttpBlocked => self.plain_http_blocked(since),
            Contrast::ClockWrong => self.clock_wrong(since, now),
            Contrast::IssuerShared => self.issuer_shared(index, since),
            Contrast::IssuersPlural => self.issuers_plural(since),
            Contrast::PageShared => self.page_shared(index, target, since),
            _ => None,
        }
    }
}

/// Both after the same visits, and the moment of the last one.
fn after(drawn: &[Drawn]) -> (Neighbourhood, Everybody, Duration) {
    let endpoints = catalogue();
    let mut index = Neighbourhood::new(&endpoints, PLATFORM);
    let mut everybody = Everybody { last: vec![None; endpoints.len()], endpoints };
    let mut now = second(1000);
    for drawn in drawn {
        now += second(drawn.pause);
        let visit = drawn.visit(now);
        index.take_in(drawn.index, &visit, now);
        everybody.last[drawn.index] = Some(visit);
    }
    (index, everybody, now)
}

/// Whom an exchange may have been with: an endpoint, a host that is not watched on that port, or nobody known.
fn targets() -> impl Iterator<Item = Peer> {
    let hosts = (0..HOSTS.len()).map(host).chain([Host::Address([10, 9, 9, 9].into())]);
    hosts.flat_map(|host| PORTS.into_iter().chain([Port::udp(53)]).map(move |port| Peer { host: host.clone(), port }))
}

/// A visit that fails at the first endpoint of these, and the visits that are wished for then.
fn wished(endpoints: &[Arc<Endpoint>]) -> (Neighbourhood, Peer, Vec<usize>) {
    let mut index = Neighbourhood::new(endpoints, PLATFORM);
    let target = Peer { host: endpoints[0].target.host.clone(), port: port_of(&endpoints[0]) };
    index.take_in(0, &lost(second(1000)), second(1000));
    let wished = index.worth_a_visit(0, &target, second(1000));
    (index, target, wished)
}

fn lost(began: Duration) -> Visit {
    let one = Drawn { index: 0, pause: 0, result: 5, address: 1, server: None, clock: None, certificate: 0, page: 0 };
    one.visit(began)
}

/// What is said where all of these failed.
fn said(index: &Neighbourhood, target: &Peer, failed: &[usize], contrast: Contrast) -> Option<bool> {
    let mut index = index.clone();
    failed.iter().for_each(|other| index.take_in(*other, &lost(second(1001)), second(1001)));
    index.answer(contrast, (0, target), second(1000), second(1001))
}

#[test]
fn the_visits_that_are_wished_for_settle_what_they_are_wished_for_and_one_less_would_not() {
    let (index, target, all) = wished(&catalogue());
    for contrast in [Contrast::SamePortWorks, Contrast::OtherPortsWork, Contrast::AnythingWorks] {
        assert_eq!(said(&index, &target, &all, contrast), Some(false), "{contrast:?} of {all:?}");
    }
    let is_alike = |other: &&usize| index.port(**other) == target.port;
    let alike: Vec<usize> = all.iter().filter(is_alike).copied().collect();
    for left_out in &alike {
        let others: Vec<usize> = all.iter().filter(|other| *other != left_out).copied().collect();
        assert_eq!(said(&index, &target, &others, Contrast::SamePortWorks), None, "without {left_out}");
    }
    // Nobody else is on the first one's port, or at its host.
    let mut apart = catalogue();
    let first = apart.remove(0);
    apart.retain(|other| other.target.port != first.target.port && other.target.host != first.target.host);
    let (index, target, all) = wished(&[vec![first], apart].concat());
    assert_eq!(said(&index, &target, &all, Contrast::AnythingWorks), Some(false), "{all:?}");
    for left_out in &all {
        let others: Vec<usize> = all.iter().filter(|other| *other != left_out).copied().collect();
        assert_eq!(said(&index, &target, &others, Contrast::AnythingWorks), None, "without {left_out}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_answers_what_looking_at_everybody_would(
        drawn in proptest::collection::vec(drawn(), 0..120), back in 0u64..40,
    ) {
        let (index, everybody, now) = after(&drawn);
        let (since, none) = (now.saturating_sub(second(back)), std::collections::BTreeSet::new());
        for one in everybody.all() {
            prop_assert_eq!(index.showing(one, since), everybody.showing(one, since));
            prop_assert_eq!(index.address(one), everybody.address(one));
            prop_assert_eq!(index.is_outside(one), everybody.is_outside(one));
        }
        for (turn, target) in targets().enumerate() {
            let one = turn % everybody.endpoints.len();
            for contrast in Contrast::ALL.iter().filter(|contrast| contrast.ask() == Ask::Neighbours) {
                let expected = everybody.answer(*contrast, one, &target, since, now);
                prop_assert_eq!(
                    index.answer(*contrast, (one, &target), since, now), expected, "{:?} {} {:?}", contrast, one, target
                );
            }
            let on_port = |other: usize| port_of(&everybody.endpoints[other]) == target.port;
            prop_assert_eq!(index.works_on(target.port, since, &none), everybody.any_works(since, on_port));
            let at_host = |other: usize| everybody.endpoints[other].target.host == target.host;
            prop_assert_eq!(index.works_at(&target.host, since, &none), everybody.any_works(since, at_host));
        }
        prop_assert_eq!(index.working_outside(since).next().is_some(), everybody.any_works(since, |other| everybody.is_outside(other)));
        for address in [[10, 1, 1, 1], [20, 0, 0, 1], [20, 0, 0, 2], [20, 1, 1, 1]].map(IpAddr::from) {
            let there = |other: usize| everybody.address(other) == Some(address);
            prop_assert_eq!(index.works_at_address(address, since, &none), everybody.any_works(since, there));
        }
        for server in SERVERS.map(|server| server.parse::<SocketAddr>().expect("a server")) {
            let resolves = everybody.all().filter_map(|other| everybody.since(other, since)?.resolution.as_ref());
            let expected = resolves.into_iter().any(|r| r.server == Some(server) && !r.addresses.is_empty());
            prop_assert_eq!(index.resolves(server, since), expected);
        }
    }

    #[test]
    fn visits_are_wished_for_only_where_they_would_tell_something_new(
        drawn in proptest::collection::vec(drawn(), 0..120), back in 0u64..40,
    ) {
        let (index, everybody, now) = after(&drawn);
        let since = now.saturating_sub(second(back));
        for (turn, target) in targets().enumerate() {
            let one = turn % everybody.endpoints.len();
            let is_waiting = |other: usize| other != one && everybody.since(other, since).is_none();
            let same_port = |other: usize| port_of(&everybody.endpoints[other]) == target.port;
            let same_host = |other: usize| everybody.endpoints[other].target.host == target.host;
            let wished = index.worth_a_visit(one, &target, since);
            prop_assert!(wished.len() <= 6 && wished.iter().all(|other| is_waiting(*other)), "{wished:?}");
            let others = |chosen: &dyn Fn(usize) -> bool| {
                let waiting = everybody.all().filter(|other| is_waiting(*other) && chosen(*other)).count();
                (waiting, wished.iter().filter(|other| chosen(**other)).count())
            };
            let (waiting, chosen) = others(&|other| same_port(other) && !same_host(other));
            prop_assert_eq!(chosen, waiting.min(2), "on the same port");
            let (waiting, chosen) = others(&|other| same_host(other) && !same_port(other));
            prop_assert!(chosen >= waiting.min(1), "at the same host");
            let (waiting, chosen) = others(&|other| !same_port(other) && everybody.is_outside(other));
            prop_assert!(chosen >= waiting.min(1), "on another port");
        }
        let unread: BTreeSet<usize> = index.clocks_to_read(since, now).map(|one| one / PORTS.len()).collect();
        let clocks = everybody.clocks(now).into_iter();
        prop_assert_eq!(unread, clocks.filter(|(_, (began, _))| *began < since).map(|(host, _)| host).collect());
    }

    #[test]
    fn a_catalogue_that_is_loaded_again_changes_nothing_for_those_who_stay(
        drawn in proptest::collection::vec(drawn(), 0..80), removed in 0..HOSTS.len() * PORTS.len(),
    ) {
        let (index, everybody, now) = after(&drawn);
        let mut endpoints = everybody.endpoints.clone();
        endpoints.remove(removed);
        endpoints.reverse();
        let remap = Remap::between(&everybody.endpoints, &endpoints);
        let reloaded = index.remapped(&endpoints, PLATFORM, &remap);
        let mut rest = Everybody { last: vec![None; endpoints.len()], endpoints };
        for (before, visit) in everybody.last.into_iter().enumerate() {
            if let Some(after) = remap.get(before) {
                rest.last[after] = visit;
            }
        }
        let since = now.saturating_sub(second(10));
        for target in targets() {
            for contrast in [Contrast::SamePortWorks, Contrast::SameHostWorks, Contrast::OtherPortsWork] {
                let answer = reloaded.answer(contrast, (0, &target), since, now);
                prop_assert_eq!(answer, rest.answer(contrast, 0, &target, since, now));
            }
        }
    }
}

/// One host with so many ports, and another with one; everybody was visited and failed but the other host, where that works.
fn with_many_ports(ports: u16, other_works: Option<bool>) -> Neighbourhood {
    let model = Arc::clone(&sample::snapshot().endpoints[0].endpoint);
    let at = |address: [u8; 4], port: u16| {
        let id = EndpointId(format!("{}:{port}", IpAddr::from(address)).into());
        let probe = Probe::Tcp(ase_probes::tcp::Question::default());
        let target = Target { host: Host::Address(address.into()), port, probe, ..model.target.clone() };
        Arc::new(Endpoint { id, target, ..(*model).clone() })
    };
    let mut endpoints: Vec<_> = (1..=ports).map(|port| at([20, 1, 1, 1], port)).collect();
    endpoints.extend(other_works.map(|_| at([20, 1, 1, 2], ports)));
    let mut index = Neighbourhood::new(&endpoints, PLATFORM);
    for one in 0..endpoints.len() {
        let works = one >= usize::from(ports) && other_works == Some(true);
        let (result, address) = (if works { 0 } else { 5 }, 1);
        let drawn = Drawn { index: one, pause: 0, result, address, server: None, clock: None, certificate: 0, page: 0 };
        index.take_in(one, &drawn.visit(second(10)), second(10));
    }
    index
}

fn other_ports_work(index: &Neighbourhood, one: usize) -> Option<bool> {
    let endpoint = index.endpoint(one);
    let target = Peer { host: endpoint.target.host.clone(), port: index.port(one) };
    index.answer(Contrast::OtherPortsWork, (one, &target), second(5), second(20))
}

#[test]
fn what_other_ports_show_is_found_by_host_where_ports_are_many() {
    let told = |other_works| {
        let index = with_many_ports(40, other_works);
        [0, 39].map(|one| other_ports_work(&index, one))
    };
    assert_eq!(told(None), [None, None]);
    assert_eq!(told(Some(true)), [Some(true), None], "the other host works on the last port");
    assert_eq!(told(Some(false)), [Some(false), None], "it is the only one on another port");
}

#[test]
fn a_host_with_many_ports_does_not_look_through_all_of_them_at_each() {
    let least = |ports: u16| {
        let index = with_many_ports(ports, None);
        let once = || {
            let start = ase_probes::clock::now();
            assert!((0..usize::from(ports)).all(|one| other_ports_work(&index, one).is_none()));
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap_or_default()
    };
    let (few, many) = (least(500), least(4000));
    assert!(many < few * 32, "eight times as many take {many:?}, not {few:?}: each looks at all");
}

#[test]
fn an_address_is_right_where_the_peer_proved_itself_and_stays_right() {
    let mut around = Neighbourhood::new(&catalogue(), PLATFORM);
    let at = |last: u8| IpAddr::from([20, 0, 0, last]);
    let failed = Verdict::Failed(Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely));
    let mut second_of = 0;
    let mut right = |seen: &[(u8, Verdict)], protocol: &Protocol, result: Verdict| {
        second_of += 1;
        let outcome = |(last, verdict): &(u8, Verdict)| Outcome {
            address: (at(*last), 443).into(),
            phases: Phases::default(),
            verdict: *verdict,
            seen: Seen::default(),
            protocol: protocol.clone(),
        };
        let outcomes = seen.iter().map(outcome).collect();
        let visit = Visit { outcomes, result: Ok(result), ..Visit::nothing_yet(second(second_of)) };
        around.take_in(0, &visit, second(second_of));
        [1, 2, 3].map(|last| around.is_right(0, at(last)))
    };
    let (well, degraded) = (Verdict::Healthy, Verdict::Degraded(failed.finding().expect("it is a finding")));
    let bare = Protocol::Tcp(ase_probes::tcp::Reply { greeting: Vec::new() });
    assert_eq!(right(&[(1, well)], &bare, well), [false; 3], "whoever accepts may stand in another's place");
    assert_eq!(right(&[(1, well)], &Protocol::Nothing, well), [true, false, false]);
    assert_eq!(right(&[(1, failed), (2, well)], &Protocol::Nothing, degraded), [true, true, false]);
    assert_eq!(right(&[(3, failed)], &Protocol::Nothing, failed), [true, true, false], "what works no more was right");
}
