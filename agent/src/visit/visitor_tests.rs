//! Visits over loopback: some addresses of a name answer, some stay silent, some are not asked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ase_probes::{egress::Egress, http, ntp, outcome::Protocol, probe::Probe, seen::Seen, tcp, tls::Trust};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
};

use super::*;
use crate::{
    model::settings::ResolverSource,
    net::policy::{AddressPolicy, prefix},
    visit::flow_budget::SharedFlows,
};

/// The endpoint's time-out in these tests.
const TIMEOUT: Duration = Duration::from_secs(1);

const A: [u8; 4] = [127, 0, 0, 2];
const B: [u8; 4] = [127, 0, 0, 3];
const C: [u8; 4] = [127, 0, 0, 4];

/// A DNS server whose n-th question for IPv4 addresses brings the n-th of these answers, the last one for ever.
async fn names(answers: &'static [&'static [[u8; 4]]]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let address = socket.local_addr().expect("bound");
    let asked = AtomicUsize::new(0);
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            // Behind the question stand 11 bytes of EDNS.
            let question = &bytes[..length - 11];
            let is_v4 = question[question.len() - 3] == 1;
            let turn = if is_v4 { asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
            let addresses = if is_v4 { answers[turn.min(answers.len() - 1)] } else { &[] };
            let addresses: Vec<_> = addresses.iter().copied().map(IpAddr::from).collect();
            drop(socket.send_to(&answer(question, &addresses), from).await);
        }
    });
    address
}

/// A DNS server that gives one address of each family.
async fn both_families(v4: IpAddr, v6: IpAddr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let question = &bytes[..length - 11];
            let one = if question[question.len() - 3] == 1 { v4 } else { v6 };
            drop(socket.send_to(&answer(question, &[one]), from).await);
        }
    });
    address
}

fn answer(question: &[u8], addresses: &[IpAddr]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&[0x81, 0x80]);
    bytes[6..12].copy_from_slice(&[0, u8::try_from(addresses.len()).expect("few"), 0, 0, 0, 0]);
    for address in addresses {
        match address {
            IpAddr::V4(v4) => {
                bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04");
                bytes.extend(v4.octets());
            }
            IpAddr::V6(v6) => {
                bytes.extend(b"\xc0\x0c\0\x1c\0\x01\0\0\0\x1e\0\x10");
                bytes.extend(v6.octets());
            }
        }
    }
    bytes
}

/// A listener whose queue is full: the kernel drops what knocks.
struct Silent {
    _listener: TcpListener,
    _in_queue: TcpStream,
}

async fn silent(at: SocketAddr) -> Silent {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(at).expect("a free port");
    let listener = socket.listen(0).expect("listens");
    let first = TcpSocket::new_v4().expect("a socket").connect(at);
    Silent { _in_queue: first.await.expect("one fits in the queue"), _listener: listener }
}

/// A server over UDP that never answers.
async fn silent_datagrams() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("loopback")
}

async fn open(address: [u8; 4]) -> (TcpListener, u16) {
    let listener = TcpListener::bind((IpAddr::from(address), 0)).await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

fn at(address: [u8; 4], port: u16) -> SocketAddr {
    (address, port).into()
}

/// A visitor whose Azure DNS is another server than the custom one.
fn two_sided(custom: SocketAddr, azure: SocketAddr) -> Visitor {
    let asking = |server| Resolver { servers: vec![server], timeout: TIMEOUT, attempts: 1 };
    Visitor { custom: asking(custom), azure: asking(azure) }
}

/// A visitor that asks this server, and terms that allow loopback and so many flows.
fn caller(server: SocketAddr, flows: u32) -> (Visitor, Terms) {
    let terms = Terms {
        policy: AddressPolicy { allow: vec![prefix("127.0.0.0/8").expect("a prefix")], ..AddressPolicy::default() },
        egress: Egress::default(),
        trust: Trust::none(),
        flows: Arc::new(SharedFlows::new(flows)),
        rests: Arc::default(),
    };
    let resolver = Resolver { servers: vec![server], timeout: TIMEOUT, attempts: 1 };
    (Visitor { custom: resolver.clone(), azure: resolver }, terms)
}

fn target(port: u16, addresses: Addresses) -> Target {
    Target {
        host: Host::Name("peer.example".to_owned()),
        port,
        probe: Probe::Tcp(tcp::Question::default()),
        addresses,
        expect_address: ExpectAddress::Any,
        resolved_by: ResolvedBy::Custom,
        timeout: TIMEOUT,
    }
}

fn rng() -> StdRng {
    StdRng::from_seed([7; 32])
}

fn verdicts(visit: &Visit) -> Vec<(SocketAddr, u8)> {
    let mut all: Vec<_> = visit.outcomes.iter().map(|outcome| (outcome.address, rank(&outcome.verdict))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn an_open_address_is_heard_beside_two_silent_ones_within_one_timeout() {
    let (_open, port) = open(C).await;
    let _silent = (silent(at(A, port)).await, silent(at(B, port)).await);
    let (visitor, terms) = caller(names(&[&[A, B, C]]).await, 60);
    let visit = visitor.visit(&target(port, Addresses::All), &terms, &Occasion::default(), rng()).await;
    assert!(matches!(visit.result, Ok(Verdict::Degraded(finding)) if finding.cause == Cause::Dropped), "{visit:?}");
    assert_eq!(verdicts(&visit), [(at(A, port), 0), (at(B, port), 0), (at(C, port), 2)]);
    assert_eq!((visit.failed, visit.unasked), (vec![A.into(), B.into()], Vec::new()));
}

#[tokio::test]
async fn what_the_platform_fetches_is_resolved_by_azure_dns_and_a_name_of_the_custom_dns_alone_is_none_for_it() {
    let (_open, port) = open(C).await;
    let (_, terms) = caller(at(A, 53), 60);
    let of_apps = target(port, Addresses::First);
    let of_the_platform = Target { resolved_by: ResolvedBy::Azure, ..of_apps.clone() };
    let visit =
        async |visitor: &Visitor, target: &Target| visitor.visit(target, &terms, &Occasion::default(), rng()).await;
    let private = two_sided(names(&[&[C]]).await, names(&[&[]]).await);
    assert_eq!(visit(&private, &of_apps).await.result, Ok(Verdict::Healthy));
    let denied = visit(&private, &of_the_platform).await;
    assert!(matches!(denied.result, Ok(Verdict::Failed(finding)) if finding.cause == Cause::DnsNodata), "{denied:?}");
    let told = denied.evidence().join("\n");
    assert!(told.contains("by Azure DNS alone") && told.contains("link its private zone"), "{told}");
    let custom_is_dead = two_sided(at(A, 53), names(&[&[C]]).await);
    assert_eq!(visit(&custom_is_dead, &of_the_platform).await.result, Ok(Verdict::Healthy), "nobody else is asked");
}

#[tokio::test]
async fn a_spent_budget_of_one_address_hides_nothing_of_the_others() {
    let (_open, port) = open(C).await;
    let _silent = silent(at(A, port)).await;
    let (visitor, terms) = caller(names(&[&[A, C]]).await, 1);
    assert!(terms.flows.take(at(A, port)));
    let visit = visitor.visit(&target(port, Addresses::All), &terms, &Occasion::default(), rng()).await;
    assert_eq!(visit.result, Ok(Verdict::Healthy));
    assert_eq!(visit.unasked, [Unasked { address: at(A, port), why: Untested::BudgetSpent }]);
    let lines = visit.evidence();
    assert!(lines.iter().any(|line| line.contains("is untested: the budget")), "{lines:?}");
    let again = visitor.visit(&target(port, Addresses::All), &terms, &Occasion::default(), rng()).await;
    assert_eq!((again.result, again.outcomes.len()), (Err(Untested::BudgetSpent), 0));
}

#[tokio::test]
async fn a_name_is_untested_where_all_that_were_asked_are_silent_and_another_one_was_given_no_chance() {
    let (_open, port) = open(C).await;
    let _silent = silent(at(A, port)).await;
    let (visitor, terms) = caller(names(&[&[A, C]]).await, 1);
    assert!(terms.flows.take(at(C, port)));
    let visit = visitor.visit(&target(port, Addresses::All), &terms, &Occasion::default(), rng()).await;
    assert_eq!(visit.result, Err(Untested::BudgetSpent), "it is open");
    assert_eq!((visit.failed, visit.unasked.len()), (vec![A.into()], 1));
    assert!(visit.outcomes.iter().all(|outcome| outcome.address == at(A, port)), "what was seen stays");
}

#[tokio::test]
async fn a_confirmation_asks_addresses_for_which_the_visit_before_had_no_room() {
    let (_open, port) = open([127, 0, 1, 9]).await;
    let mut silent_ones = Vec::new();
    for last in 1..=8 {
        silent_ones.push(silent(at([127, 0, 1, last], port)).await);
    }
    const NINE: &[[u8; 4]] = &[
        [127, 0, 1, 1],
        [127, 0, 1, 2],
        [127, 0, 1, 3],
        [127, 0, 1, 4],
        [127, 0, 1, 5],
        [127, 0, 1, 6],
        [127, 0, 1, 7],
        [127, 0, 1, 8],
        [127, 0, 1, 9],
    ];
    let (visitor, terms) = caller(names(&[NINE]).await, 60);
    let target = target(port, Addresses::All);
    let first = visitor.visit(&target, &terms, &Occasion::default(), rng()).await;
    assert!(matches!(first.result, Ok(Verdict::Failed(_))), "those that were asked speak for it: {first:?}");
    assert_eq!(first.unasked, [Unasked { address: at([127, 0, 1, 9], port), why: Untested::BeyondLimit }]);
    let again = Occasion { confirm: first.failed, ..Occasion::default() };
    let second = visitor.visit(&target, &terms, &again, rng()).await;
    assert!(matches!(second.result, Ok(Verdict::Degraded(finding)) if finding.cause == Cause::Dropped), "{second:?}");
    assert_eq!((second.outcomes.len(), second.unasked), (9, Vec::new()));
}

#[tokio::test]
async fn a_confirmation_asks_the_address_that_failed_and_says_that_the_name_moved() {
    let (_open, port) = open(B).await;
    let _silent = silent(at(A, port)).await;
    let (visitor, terms) = caller(names(&[&[A], &[B]]).await, 60);
    let target = target(port, Addresses::First);
    let first = visitor.visit(&target, &terms, &Occasion::default(), rng()).await;
    assert_eq!(first.failed, [IpAddr::from(A)]);
    let again = Occasion { confirm: first.failed, ..Occasion::default() };
    let second = visitor.visit(&target, &terms, &again, rng()).await;
    assert!(matches!(second.result, Ok(Verdict::Degraded(finding)) if finding.cause == Cause::Dropped), "{second:?}");
    assert_eq!(verdicts(&second), [(at(A, port), 0), (at(B, port), 2)]);
    assert_eq!(
        second.remarks,
        ["peer.example moved meanwhile: from 127.0.0.2, which failed and is asked again, to 127.0.0.3"]
    );
}

#[tokio::test]
async fn nobody_is_asked_for_a_name_as_long_as_the_budget_where_it_leads_is_spent() {
    let (_open, port) = open(A).await;
    let (visitor, terms) = caller(names(&[&[A], &[A], &[B]]).await, 1);
    let target = target(port, Addresses::First);
    let first = visitor.visit(&target, &terms, &Occasion::default(), rng()).await;
    assert_eq!(first.result, Ok(Verdict::Healthy));
    let second = visitor.visit(&target, &terms, &Occasion::default(), rng()).await;
    assert_eq!(second.result, Err(Untested::BudgetSpent));
    let occasion = Occasion { led_to: vec![A.into()], ..Occasion::default() };
    let third = visitor.visit(&target, &terms, &occasion, rng()).await;
    assert_eq!((third.result, third.unasked), (second.result, second.unasked));
    assert!(third.resolution.is_none(), "{:?}", third.resolution);
    let again = Terms { flows: Arc::new(SharedFlows::new(1)), ..terms };
    let later = visitor.visit(&target, &again, &occasion, rng()).await;
    let found = later.resolution.map(|resolution| resolution.addresses);
    assert_eq!(found, Some(vec![B.into()]), "the third answer to a question, and the name moved");
}

#[tokio::test]
async fn an_exchange_that_got_no_time_is_untested_and_nobody_is_blamed() {
    let (_open, port) = open(C).await;
    let _silent = silent(at(A, port)).await;
    let (visitor, terms) = caller(names(&[&[A]]).await, 60);
    for left in [Duration::ZERO, TIMEOUT / 5] {
        let exchange = Exchange {
            resolver: visitor.resolver(ResolvedBy::Custom),
            terms: &terms,
            deadline: Deadline::within(left),
            fair: fair(TIMEOUT),
            confirms: false,
            rests: None,
            rng: rng(),
            remarks: Vec::new(),
            led_into_silence: false,
        };
        let asked = exchange.ask(&Probe::Tcp(tcp::Question::default()), at(A, port)).await;
        assert!(matches!(asked.result, Err(Untested::NoTime)), "{asked:?}");
    }
}

#[tokio::test]
async fn a_time_server_is_left_alone_whatever_leads_to_it() {
    let server = UdpSocket::bind((IpAddr::from(A), 0)).await.expect("loopback");
    let port = server.local_addr().expect("bound").port();
    let (visitor, terms) = caller(names(&[&[A]]).await, 60);
    let one = Target { probe: Probe::Ntp(ntp::Question), ..target(port, Addresses::First) };
    let first = visitor.visit(&one, &terms, &Occasion::default(), rng()).await;
    assert_eq!((first.failed.clone(), first.outcomes.len()), (vec![IpAddr::from(A)], 1));
    let mapped = IpAddr::from(std::net::Ipv4Addr::from(A).to_ipv6_mapped());
    for host in [Host::Name("other.example".to_owned()), Host::Address(A.into()), Host::Address(mapped)] {
        let other = Target { host, ..one.clone() };
        let visit = visitor.visit(&other, &terms, &Occasion::default(), rng()).await;
        assert_eq!((visit.result, visit.outcomes.len()), (Err(Untested::Resting), 0), "{:?}", other.host);
    }
    let again = Occasion { confirm: first.failed, ..Occasion::default() };
    let confirmed = visitor.visit(&one, &terms, &again, rng()).await;
    assert_eq!(confirmed.outcomes.len(), 1, "a failure is confirmed: {confirmed:?}");
    let mut bytes = [0; 512];
    let received = std::iter::from_fn(|| server.try_recv(&mut bytes).ok()).take(10).count();
    assert_eq!(received, 2, "it was asked by two visits");
}

#[tokio::test]
async fn a_visit_that_begins_when_the_time_is_over_blames_no_dns_server() {
    let silent = silent_datagrams().await;
    let (visitor, terms) = caller(silent.local_addr().expect("bound"), 60);
    for within in [Duration::ZERO, TIMEOUT / 5] {
        let late = Occasion { within: Some(within), ..Occasion::default() };
        let visit = visitor.visit(&target(443, Addresses::First), &terms, &late, rng()).await;
        assert_eq!(visit.result, Err(Untested::NoTime), "{within:?}");
    }
    let visit = visitor.visit(&target(443, Addresses::First), &terms, &Occasion::default(), rng()).await;
    assert!(matches!(visit.result, Ok(Verdict::Failed(finding)) if finding.phase == Phase::Dns), "{visit:?}");
}

#[tokio::test]
async fn a_visit_with_little_time_is_answered_by_the_server_that_lives_and_names_the_dead_ones() {
    let (_open, port) = open(C).await;
    let (silent, deaf) = (silent_datagrams().await, silent_datagrams().await);
    let (_, terms) = caller(at(A, 53), 60);
    let servers: Vec<_> = [&silent, &deaf].iter().map(|dead| dead.local_addr().expect("bound")).collect();
    let living = names(&[&[C]]).await;
    let custom = servers.iter().copied().chain([living]).collect();
    let source = ResolverSource::Config;
    let visitor = Visitor::new(&Resolvers { custom, source, azure: living });
    let target = Target { timeout: 3 * TIMEOUT, ..target(port, Addresses::First) };
    let visit = visitor.visit(&target, &terms, &Occasion::default(), rng()).await;
    assert_eq!(visit.result, Ok(Verdict::Healthy), "{visit:?}");
    let resolution = visit.resolution.as_ref().expect("a name");
    assert_eq!(resolution.server, Some(living));
    assert_eq!(resolution.failures.iter().map(|failure| failure.address).collect::<Vec<_>>(), servers);
    assert!(visit.took < target.timeout - fair(target.timeout), "{:?}", visit.took);
}

#[tokio::test]
async fn a_name_is_asked_over_the_family_that_this_machine_has_a_route_to() {
    // Nobody connects to the broadcast address: the kernel finds no route for it, whatever this machine's network is.
    let (nowhere, here) = (IpAddr::from([255; 4]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST));
    let listener = TcpListener::bind((here, 0)).await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let (visitor, terms) = caller(both_families(nowhere, here).await, 60);
    let allow = ["127.0.0.0/8", "255.255.255.255/32", "::1/128"].map(|text| prefix(text).expect("a prefix"));
    let terms = Terms { policy: AddressPolicy { allow: allow.into(), ..AddressPolicy::default() }, ..terms };
    let visit = async |visitor: &Visitor, addresses| {
        visitor.visit(&target(port, addresses), &terms, &Occasion::default(), rng()).await
    };
    for (which, asked) in [(Addresses::First, 1), (Addresses::All, 2)] {
        let over_v6 = visit(&visitor, which).await;
        assert_eq!((over_v6.result, over_v6.outcomes.len()), (Ok(Verdict::Healthy), asked), "{over_v6:?}");
        assert_eq!(
            over_v6.remarks,
            ["this machine has no route to 255.255.255.255: the name's addresses of IPv6 come first"]
        );
    }
    drop(listener);
    let closed = visit(&visitor, Addresses::First).await;
    assert!(matches!(closed.result, Ok(Verdict::Failed(finding)) if finding.cause == Cause::Refused), "{closed:?}");
    let (_open, port) = open(C).await;
    let other = caller(both_families(C.into(), here).await, 60).0;
    let over_v4 = other.visit(&target(port, Addresses::First), &terms, &Occasion::default(), rng()).await;
    assert_eq!((over_v4.result, over_v4.remarks.len()), (Ok(Verdict::Healthy), 0), "IPv4 comes first as ever");
}

#[tokio::test]
async fn a_redirect_to_a_name_whose_dns_servers_are_silent_is_noted_as_silence() {
    let (listener, port) = open(C).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            drop(stream.read(&mut request).await);
            let head = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n";
            drop(stream.write_all(head.as_bytes()).await);
        }
    });
    let silent = silent_datagrams().await;
    let (visitor, terms) = caller(silent.local_addr().expect("bound"), 60);
    let question = http::Question {
        scheme: http::Scheme::Http,
        host: "peer.example".to_owned(),
        port,
        path: "/".to_owned(),
        proof: http::Proof::Status(vec![200]),
        session: http::Session::default(),
    };
    let mut target = Target { host: Host::Address(C.into()), ..target(port, Addresses::First) };
    (target.probe, target.timeout) = (Probe::Http(question), 3 * TIMEOUT);
    let terms = Terms { policy: AddressPolicy { redirect_ports: [port].into(), ..terms.policy.clone() }, ..terms };
    let visit = visitor.visit(&target, &terms, &Occasion::default(), rng()).await;
    assert!(matches!(visit.result, Ok(Verdict::Failed(finding)) if finding.cause == Cause::HttpStatus), "{visit:?}");
    assert!(visit.led_into_silence, "what stands behind the redirect is not known: {:?}", visit.remarks);
}

#[test]
fn what_may_not_be_asked_is_noted_and_what_need_not_be_is_not() {
    let addresses: Vec<IpAddr> = (1..=10).map(|host| [20, 0, 0, host].into()).collect();
    let not_first = |address| address != addresses[0];
    let mut first = Chosen::default();
    first.add(&addresses, Addresses::First, not_first);
    assert_eq!(first.asked, addresses[1..2]);
    assert_eq!(first.unasked, [(addresses[0], Untested::Forbidden(addresses[0]))]);
    let mut all = Chosen::default();
    all.add(&addresses, Addresses::All, |_| true);
    all.add(&addresses[..2], Addresses::All, |_| true);
    assert_eq!(all.asked, addresses[..8]);
    assert_eq!(all.unasked, [(addresses[8], Untested::BeyondLimit), (addresses[9], Untested::BeyondLimit)]);
}

#[test]
fn one_bad_address_behind_a_good_name_degrades_it() {
    let outcome = |verdict| Outcome {
        address: ([198, 18, 0, 1], 443).into(),
        phases: Phases::default(),
        verdict,
        seen: Seen::default(),
        protocol: Protocol::Nothing,
    };
    let refused = Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely);
    let local = Finding::new(Cause::LocalRoute, Phase::Local, Confidence::Confirmed);
    let (good, bad, own) =
        (outcome(Verdict::Healthy), outcome(Verdict::Failed(refused)), outcome(Verdict::Inconclusive(local)));
    let sorted = |mut outcomes: Vec<Outcome>| {
        outcomes.sort_by_key(|outcome| rank(&outcome.verdict));
        sum_up(&outcomes, &[])
    };
    assert_eq!(sorted(vec![good.clone(), bad.clone()]), Ok(Verdict::Degraded(refused)));
    assert_eq!(sorted(vec![bad.clone(), bad.clone()]), Ok(Verdict::Failed(refused)));
    assert_eq!(sorted(vec![own.clone(), good.clone()]), Ok(Verdict::Healthy));
    assert_eq!(sorted(vec![own.clone(), own]), Ok(Verdict::Inconclusive(local)));
    assert_eq!(sorted(vec![good.clone()]), Ok(Verdict::Healthy));
    assert_eq!(sorted(Vec::new()), Err(Untested::NoTime));
    let forbidden = Untested::Forbidden([127, 0, 0, 1].into());
    let rows = [
        (Untested::BudgetSpent, Err(Untested::BudgetSpent)),
        (Untested::NoTime, Err(Untested::NoTime)),
        (Untested::Resting, Err(Untested::Resting)),
        (Untested::BeyondLimit, Ok(Verdict::Failed(refused))),
        (forbidden, Ok(Verdict::Failed(refused))),
    ];
    for (why, expected) in rows {
        let unasked = [Unasked { address: at(C, 443), why }];
        assert_eq!(sum_up(std::slice::from_ref(&bad), &unasked), expected, "{why:?}");
        assert_eq!(sum_up(&[bad.clone(), good.clone()], &unasked), Ok(Verdict::Degraded(refused)), "{why:?}");
        assert_eq!(sum_up(std::slice::from_ref(&good), &unasked), Ok(Verdict::Healthy), "{why:?}");
    }
}
