//! What real kernels and a real packet filter do to a probe, and what it makes of that: a guest, a router with a rule,
//! and a peer behind it, each seen from inside the guest's namespace.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ase_lab::namespace::{inside, tool_in};
use ase_probes::{
    attempt::Attempt,
    cause::Cause,
    deadline::Deadline,
    egress::{Egress, Shape},
    held_flow::{FlowState, HeldFlow},
    hops,
    http::{self, Proof, Scheme},
    knock::{Answer, knock},
    local_facts::{LocalFacts, Neighbour, NextHop, Unread},
    ntp,
    outcome::Outcome,
    probe::Probe,
    source_ports::{self, Asked, Pattern},
    tcp,
    tls::Trust,
    verdict::{Confidence, Phase},
};
use nix::errno::Errno;

use crate::process::{require, require_root, wait_for};

/// The router's address towards the guest; some tests take it as the peer.
const ROUTER: &str = "10.53.1.1";
/// An address behind the router that never answers by itself.
const BEHIND: &str = "198.18.1.1";

/// A process that keeps a namespace alive.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Holder {
    fn new(folder: &tempfile::TempDir, name: &str, devices: &str) -> Self {
        let log = folder.path().join(name);
        let script =
            format!("exec >{} 2>&1; set -e; ip link set lo up; {devices}; echo ready; exec sleep 90", log.display());
        let child = Command::new("unshare")
            .args(["-n", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let said = || fs::read_to_string(&log).ok().filter(|text| text.contains("ready"));
        wait_for("the namespace", || said().map(drop));
        Self(child)
    }
}

struct Wires {
    guest: Holder,
    router: Holder,
    _folder: tempfile::TempDir,
}

impl Wires {
    /// Two namespaces and the way between them; `None` with a loud skip where the tools or the rights are missing.
    fn new() -> Option<Self> {
        if !(require("ip", "iproute2") && require("nft", "nftables") && require_root("make network namespaces")) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let behind = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; \
            ip link add on type veth peer name off; ip link set on up; ip link set off up; \
            ip route add 198.18.0.0/15 dev on; ip neigh add 198.18.1.1 lladdr 02:00:00:00:00:09 dev on; \
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit; \
            ip route add 2001:db8::/32 dev on; ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:09 dev on";
        let router = Holder::new(&folder, "router", behind);
        let wire = format!(
            "ip link add wire1 type veth peer name far netns {}; ip addr add 10.53.1.4/24 dev wire1; \
             ip addr add fd53::4/64 dev wire1 nodad; ip link set wire1 up; \
             ip route add default via {ROUTER}; ip route add default via fd53::1",
            router.0.id()
        );
        let guest = Holder::new(&folder, "guest", &wire);
        let wires = Self { guest, router, _folder: folder };
        wires.router("ip", &["addr", "add", "10.53.1.1/24", "dev", "far"]);
        wires.router("ip", &["addr", "add", "fd53::1/64", "dev", "far", "nodad"]);
        wires.router("ip", &["link", "set", "far", "up"]);
        let closed = SocketAddr::new(ROUTER.parse().expect("an address"), 9);
        wait_for("the wire", || {
            let knock = wires.in_guest(closed, async |attempt| knock(attempt, Duration::from_millis(500)).await);
            (knock.answer == Answer::Refused).then_some(())
        });
        Some(wires)
    }

    fn router(&self, program: &str, words: &[&str]) {
        tool_in(self.router.0.id(), program, words).expect("the router takes it");
    }

    /// Gives the router this one rule, in the place of the one before.
    fn rule(&self, hook: &str, rule: &str) {
        filter(self.router.0.id(), hook, rule);
    }

    /// Runs the probes' own code in the guest's namespace.
    fn in_guest<T: Send + 'static>(
        &self,
        address: SocketAddr,
        work: impl AsyncFnOnce(&Attempt<'_>) -> T + Send + 'static,
    ) -> T {
        let done = inside(self.guest.0.id(), move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let egress = Egress::default();
            let deadline = Deadline::within(Duration::from_secs(20));
            let (nonce, shape) = (0x1234_5678_90ab_cdef, Shape::default());
            let attempt = Attempt { address, deadline, egress: &egress, nonce, shape };
            Ok(runtime.block_on(work(&attempt)))
        });
        done.expect("the guest's namespace can be entered")
    }

    fn ask(&self, address: SocketAddr, probe: Probe) -> Outcome {
        self.in_guest(address, async move |attempt| {
            let deadline = attempt.deadline.at_most(Duration::from_secs(5));
            probe.run(&Attempt { deadline, ..*attempt }, &Trust::none()).await
        })
    }

    /// A listener at the router that answers every request the same way, and holds silent clients.
    fn server(&self, port: u16) -> SocketAddr {
        let address = SocketAddr::new(ROUTER.parse().expect("an address"), port);
        let listener = inside(self.router.0.id(), move || Ok(TcpListener::bind(address)?)).expect("the port is free");
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut bytes = [0; 1024];
                    while matches!(client.read(&mut bytes), Ok(1..)) {
                        drop(client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
                    }
                });
            }
        });
        address
    }
}

/// Gives a namespace one packet filter rule, in the place of the one before.
fn filter(process: u32, hook: &str, rule: &str) {
    let table = "flush ruleset; add table inet t; add chain inet t c";
    let words = format!("{table} {{ type filter hook {hook} priority 0; }}; add rule inet t c {rule}");
    tool_in(process, "nft", &[&words]).expect("the packet filter takes it");
}

fn behind(port: u16) -> SocketAddr {
    SocketAddr::new(BEHIND.parse().expect("an address"), port)
}

fn finding(outcome: &Outcome) -> (Cause, Confidence) {
    let finding = outcome.verdict.finding().unwrap_or_else(|| panic!("healthy: {:?}", outcome.evidence()));
    (finding.cause, finding.confidence)
}

fn page() -> Probe {
    let (host, path) = ("peer.example".to_owned(), "/".to_owned());
    let session = http::Session::default();
    Probe::Http(http::Question { scheme: Scheme::Http, host, port: 80, path, proof: Proof::AnyResponse, session })
}

#[test]
fn each_way_a_router_rejects_is_named_with_the_router() {
    let Some(wires) = Wires::new() else { return };
    let rows = [
        ("net-unreachable", 0, Cause::Unreachable),
        ("host-unreachable", 1, Cause::Unreachable),
        ("prot-unreachable", 2, Cause::Unreachable),
        ("port-unreachable", 3, Cause::Rejected),
        ("net-prohibited", 9, Cause::Rejected),
        ("host-prohibited", 10, Cause::Rejected),
        ("admin-prohibited", 13, Cause::Rejected),
    ];
    for (kind, code, cause) in rows {
        wires.rule("forward", &format!("reject with icmp type {kind}"));
        for (port, probe) in [(443, Probe::Tcp(tcp::Question::default())), (123, Probe::Ntp(ntp::Question))] {
            let outcome = wires.ask(behind(port), probe);
            assert_eq!(finding(&outcome), (cause, Confidence::Confirmed), "{kind} {port}: {:?}", outcome.evidence());
            let line = format!("ICMP type 3 code {code} from {ROUTER}");
            assert!(outcome.evidence().contains(&line), "{kind} {port}: {:?}", outcome.evidence());
        }
    }
    let behind6: SocketAddr = "[2001:db8::1]:443".parse().expect("an address");
    for (kind, code, cause) in [
        ("no-route", 0, Cause::Unreachable),
        ("admin-prohibited", 1, Cause::Rejected),
        ("addr-unreachable", 3, Cause::Unreachable),
        ("port-unreachable", 4, Cause::Rejected),
        ("policy-fail", 5, Cause::Rejected),
        ("reject-route", 6, Cause::Rejected),
    ] {
        wires.rule("forward", &format!("ip6 daddr 2001:db8::1 reject with icmpv6 type {kind}"));
        for probe in [Probe::Tcp(tcp::Question::default()), Probe::Ntp(ntp::Question)] {
            let outcome = wires.ask(behind6, probe);
            assert_eq!(finding(&outcome), (cause, Confidence::Confirmed), "{kind}: {:?}", outcome.evidence());
            let line = format!("ICMPv6 type 1 code {code} from fd53::1");
            assert!(outcome.evidence().contains(&line), "{kind}: {:?}", outcome.evidence());
        }
    }
    wires.rule("forward", "meta l4proto tcp reject with tcp reset");
    let outcome = wires.ask(behind(443), Probe::Tcp(tcp::Question::default()));
    assert_eq!(finding(&outcome), (Cause::Refused, Confidence::Likely));
    wires.rule("forward", "drop");
    let outcome = wires.ask(behind(443), Probe::Tcp(tcp::Question::default()));
    assert_eq!(finding(&outcome), (Cause::Dropped, Confidence::Possible));
    assert!(outcome.seen.tcp.is_some_and(|info| info.retransmits >= 2), "{:?}", outcome.seen.tcp);
}

#[test]
fn an_icmp_message_ends_no_connection_that_lives() {
    let Some(wires) = Wires::new() else { return };
    let address = wires.server(80);
    let reject = "reject with icmp type admin-prohibited";
    wires.rule("input", &format!("tcp dport 80 tcp flags & psh == psh limit rate 1/hour burst 1 packets {reject}"));
    let outcome = wires.ask(address, page());
    assert_eq!(outcome.verdict.finding(), None, "{:?}", outcome.evidence());
    assert!(outcome.seen.tcp.is_some_and(|info| info.retransmits >= 1), "{:?}", outcome.seen.tcp);

    wires.rule("input", &format!("tcp dport 80 tcp flags & psh == psh {reject}"));
    let outcome = wires.ask(address, page());
    assert_eq!(finding(&outcome), (Cause::Rejected, Confidence::Likely), "{:?}", outcome.evidence());
    assert!(outcome.evidence().iter().any(|line| line.contains("for the established connection: EHOSTUNREACH")));
}

#[test]
fn a_held_flow_outlives_a_rule_for_new_ones_and_stalls_with_the_path() {
    let Some(wires) = Wires::new() else { return };
    let address = wires.server(12_000);
    let (router, guest) = (wires.router.0.id(), &wires);
    let states = guest.in_guest(address, async move |attempt| {
        let mut flow = HeldFlow::open(attempt).await.expect("the server accepts");
        filter(router, "input", "tcp flags & (syn | ack) == syn drop");
        let short = Attempt { deadline: attempt.deadline.at_most(Duration::from_millis(300)), ..*attempt };
        let new = tcp::Question::default().run(&short).await;
        let first = flow.check().await;
        filter(router, "input", "drop");
        let second = flow.check().await;
        filter(router, "input", "accept");
        (new.verdict.finding().map(|finding| finding.cause), first.state, second.state, flow.check().await.state)
    });
    assert_eq!(states, (Some(Cause::Dropped), FlowState::Alive, FlowState::Stalled, FlowState::Alive));
}

#[test]
fn whoever_answers_is_found_on_the_path() {
    let Some(wires) = Wires::new() else { return };
    wires.rule("forward", "meta l4proto tcp reject with tcp reset");
    let path = wires.in_guest(behind(443), async |attempt| hops::path(attempt).await);
    let answered = path.answered().expect("the router answers for the peer");
    assert_eq!((answered.hop_limit, &answered.knock.answer), (2, &Answer::Refused), "{path}");
    assert_eq!(path.steps[0].router(), Some(ROUTER.parse().expect("an address")), "{path}");

    wires.rule("forward", "accept");
    let distance = wires.in_guest(wires.server(443), async |attempt| hops::distance(attempt).await);
    assert_eq!(distance.map(|distance| (distance.hop_limit, distance.hops)), Some((64, 0)));
}

#[test]
fn a_flow_hash_is_told_from_silence() {
    let Some(wires) = Wires::new() else { return };
    let address = wires.server(1433);
    let contrast = async |attempt: &Attempt<'_>| {
        let (probe, trust) = (Probe::Tcp(tcp::Question::default()), Trust::none());
        let asked = Asked { probe: &probe, trust: &trust };
        source_ports::contrast(asked, attempt, source_ports::DEFAULT_PORTS).await
    };
    wires.rule("input", "tcp sport & 1 == 1 drop");
    let outcomes = wires.in_guest(address, contrast);
    assert_eq!(outcomes.pattern(), Pattern::PerPort, "{outcomes}");
    assert!(outcomes.tries.iter().all(|attempt| attempt.works == (attempt.source_port % 2 == 0)), "{outcomes}");
    wires.rule("input", "tcp dport 1433 drop");
    let outcomes = wires.in_guest(address, contrast);
    assert_eq!(outcomes.pattern(), Pattern::AllFail, "{outcomes}");
}

#[test]
fn the_guests_own_facts_tell_its_next_hop_from_its_firewall() {
    let Some(wires) = Wires::new() else { return };
    let guest = wires.guest.0.id();
    // A rule for every packet would drop its own ICMP message, and be silence to TCP.
    filter(guest, "output", "ip daddr 198.18.1.1 reject with icmp type admin-prohibited");
    for (port, probe) in [(443, Probe::Tcp(tcp::Question::default())), (123, Probe::Ntp(ntp::Question))] {
        let outcome = wires.ask(behind(port), probe);
        assert_eq!(finding(&outcome), (Cause::LocalFirewall, Confidence::Confirmed), "{:?}", outcome.evidence());
        assert!(outcome.evidence().iter().any(|line| line.ends_with("from this host itself")));
    }
    filter(guest, "output", "accept");

    let facts = || wires.in_guest(behind(443), async |a| LocalFacts::about(a.address, a.egress));
    wait_for("the link", || (facts().link == Ok(true)).then_some(()));
    tool_in(guest, "ip", &["route", "del", "default"]).expect("the guest takes it");
    let gone = facts();
    assert_eq!((gone.link, gone.next_hop.as_ref()), (Ok(true), Err(&Unread::Absent)), "{gone:?}");
    assert!(gone.source.is_ok_and(|source| source.is_err()), "{gone:?}");

    tool_in(guest, "ip", &["route", "add", "default", "via", ROUTER]).expect("the guest takes it");
    wires.router("ip", &["link", "set", "far", "down"]);
    // Until the guest's kernel has noticed, it sends to the neighbour it knew: that is silence.
    wait_for("the end of the link", || (facts().link == Ok(false)).then_some(()));
    tool_in(guest, "ip", &["neigh", "flush", "dev", "wire1"]).expect("the guest takes it");
    let outcome =
        wires.in_guest(behind(443), async |attempt| Outcome::from(tcp::Question::default().run(attempt).await));
    let found = outcome.verdict.finding().expect("nobody is there");
    assert_eq!((found.cause, found.phase), (Cause::NextHopDown, Phase::Connect), "{:?}", outcome.evidence());
    let down = facts();
    assert_eq!((down.link, down.neighbour.map(|neighbour| neighbour.answered)), (Ok(false), Ok(false)), "{down:?}");
    assert_eq!(down.next_hop.map(|hop| hop.device).as_deref(), Ok("wire1"));
}

#[test]
fn the_guest_knows_its_way_over_ipv6_too() {
    let Some(wires) = Wires::new() else { return };
    let guest = wires.guest.0.id();
    let peer = SocketAddr::new("2001:db8::1".parse().expect("an address"), 443);
    let facts = || wires.in_guest(peer, async |a| LocalFacts::about(a.address, a.egress));
    let router = "fd53::1".parse().expect("an address");
    let ways = facts();
    assert_eq!(ways.next_hop, Ok(NextHop { device: "wire1".to_owned(), address: router }));
    assert_eq!((ways.source, ways.link), (Ok(Ok("fd53::4".parse().expect("an address"))), Ok(true)));
    wires.ask(peer, Probe::Tcp(tcp::Question::default()));
    assert_eq!(facts().neighbour, Ok(Neighbour { address: router, answered: true }));
    for (route, errno) in
        [("unreachable", Errno::EHOSTUNREACH), ("prohibit", Errno::EACCES), ("blackhole", Errno::EINVAL)]
    {
        tool_in(guest, "ip", &["-6", "route", "replace", route, "2001:db8::/32"]).expect("the guest takes it");
        let closed = facts();
        assert_eq!((closed.source, closed.next_hop), (Ok(Err(errno as i32)), Err(Unread::Absent)), "{route}");
        assert_eq!(closed.link, Ok(true));
    }
}
