//! Patterns of canned tries, and a scripted DNS server that answers by the client's port or by turns.

use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::net::UdpSocket;

use super::*;
use crate::{
    deadline::Deadline,
    dns::{self, Transport},
    egress::Egress,
    fixture::PATIENCE,
    tcp,
    tls::Trust,
};

/// Ports that the kernel does not give to the other tests.
const PORTS: PortRange = PortRange { first: 20_000, last: 29_999 };

/// A DNS server that answers only the clients and turns it is told to.
async fn server(mut answers: impl FnMut(u16, usize) -> bool + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = socket.local_addr().expect("bound above");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        for turn in 0.. {
            let (len, client) = socket.recv_from(&mut buffer).await.expect("the test asks");
            let mut answer = buffer[..len - 11].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[6..12].fill(0);
            if answers(client.port(), turn) {
                socket.send_to(&answer, client).await.expect("loopback takes it");
            }
        }
    });
    address
}

async fn ask(probe: &Probe, address: SocketAddr, ports: PortRange) -> PortOutcomes {
    let egress = Egress::default();
    let deadline = Deadline::within(PATIENCE);
    let nonce = 0x1357_9bdf_0246_8ace;
    let attempt = Attempt { address, deadline, egress: &egress, nonce, shape: Shape::default() };
    contrast(Asked { probe, trust: &Trust::none() }, &attempt, ports).await
}

fn dns() -> Probe {
    Probe::Dns(dns::Question::liveness("login.example".to_owned(), Transport::Udp))
}

#[tokio::test]
async fn a_broken_path_behind_a_hash_shows_per_port() {
    let middle = PORTS.first / 2 + PORTS.last / 2;
    let outcomes = ask(&dns(), server(move |port, _| port < middle).await, PORTS).await;
    assert_eq!(outcomes.pattern(), Pattern::PerPort, "{outcomes}");
    assert_eq!(outcomes.tries.len(), CONTRAST_FLOWS, "{outcomes}");
    assert!(outcomes.tries.iter().all(|attempt| attempt.works == (attempt.source_port < middle)), "{outcomes}");
}

#[tokio::test]
async fn loss_shows_at_the_same_port() {
    // The first round loses one question; later every second one is lost.
    let server = server(|_, turn| if turn < 6 { turn != 2 } else { turn % 2 == 0 }).await;
    let outcomes = ask(&dns(), server, PORTS).await;
    assert_eq!(outcomes.pattern(), Pattern::Random, "{outcomes}");
}

#[tokio::test]
async fn the_same_port_connects_again_and_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    let probe = Probe::Tcp(tcp::Question::default());
    let egress = Egress::default();
    let deadline = Deadline::within(PATIENCE);
    let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() };
    let trust = Trust::none();
    let asked = Asked { probe: &probe, trust: &trust };
    let tries = repeat(asked, &attempt, PORTS.first + 4711).await;
    assert_eq!(tries.iter().filter(|attempt| attempt.works).count(), REPEATS, "{tries:?}");
    drop(listener);
    let outcomes = contrast(asked, &attempt, PORTS).await;
    assert_eq!(outcomes.pattern(), Pattern::AllFail, "{outcomes}");
    assert!(outcomes.tries.iter().all(|attempt| attempt.cause == Cause::Refused), "{outcomes:?}");
}

fn outcomes(tries: &[(u16, bool)]) -> PortOutcomes {
    let cause = |works| if works { Cause::None } else { Cause::Dropped };
    let tries = tries.iter().map(|(source_port, works)| Try {
        source_port: *source_port,
        works: *works,
        cause: cause(*works),
        fresh: *source_port >= FRESH_FROM,
    });
    PortOutcomes { tries: tries.collect() }
}

/// Ports from here on are fresh ones in canned tries.
const FRESH_FROM: u16 = 7;

#[test]
fn a_table_serves_who_comes_first_and_a_hash_spares_some_whenever_they_come() {
    let repeats = [(1, true), (2, false), (3, false), (4, false), (1, true), (2, false)];
    let with = |more: &[(u16, bool)]| outcomes(&[&repeats[..], more].concat()).pattern();
    assert_eq!(with(&[(7, false), (8, false), (9, false)]), Pattern::Entries);
    assert_eq!(with(&[(7, false), (8, true), (9, false)]), Pattern::PerPort, "a fresh port works");
    assert_eq!(with(&[]), Pattern::PerPort, "no fresh port was tried");
    let last = [(1, false), (2, false), (3, true), (1, false), (3, true)];
    let with_last = |more: &[(u16, bool)]| outcomes(&[&last[..], more].concat()).pattern();
    assert_eq!(
        with_last(&[(7, false), (8, false)]),
        Pattern::Unknown,
        "the last of three overtook the others, or a hash"
    );
    let two = [(1, false), (2, true), (3, true), (1, false), (3, true), (7, false), (8, false)];
    assert_eq!(outcomes(&two).pattern(), Pattern::PerPort, "nobody is served out of turn twice");
}

#[tokio::test]
async fn a_table_with_room_for_one_shows_its_entry() {
    let mut held = None;
    let server = server(move |port, _| *held.get_or_insert(port) == port).await;
    let outcomes = ask(&dns(), server, PORTS).await;
    assert_eq!(outcomes.pattern(), Pattern::Entries, "{outcomes}");
    assert_eq!(outcomes.tries.len(), CONTRAST_FLOWS, "{outcomes}");
}

#[test]
fn a_pattern_needs_repeats_of_both_kinds() {
    for (tries, pattern) in [
        (&[][..], Pattern::Unknown),
        (&[(1, false), (1, false)], Pattern::Unknown),
        (&[(1, true), (2, true)], Pattern::AllWork),
        (&[(1, false), (2, false)], Pattern::AllFail),
        (&[(1, true), (2, false)], Pattern::Unknown),
        (&[(1, true), (2, false), (1, true)], Pattern::Unknown),
        (&[(1, true), (2, false), (1, true), (2, false)], Pattern::PerPort),
        (&[(1, true), (2, false), (1, true), (2, true)], Pattern::Random),
        (&[(1, true), (2, false), (1, false), (2, false)], Pattern::Random),
    ] {
        assert_eq!(outcomes(tries).pattern(), pattern, "{tries:?}");
    }
}

proptest! {
    #[test]
    fn ports_come_from_the_range_and_differ(first in 1u16..65_000, span in 0u16..500, nonce: u64) {
        let ports = choose(PortRange { first, last: first + span }, nonce, FIRST_ROUND);
        prop_assert!(ports.iter().all(|port| (first..=first + span).contains(port)));
        prop_assert!(ports.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", ports);
        prop_assert!(!ports.is_empty() && ports.len() <= FIRST_ROUND);
    }

    #[test]
    fn the_order_of_tries_changes_nothing(mut tries in prop::collection::vec((1u16..4, any::<bool>()), 0..12)) {
        let pattern = outcomes(&tries).pattern();
        tries.reverse();
        prop_assert_eq!(outcomes(&tries).pattern(), pattern);
    }
}

#[test]
fn where_all_ports_go_one_way_they_are_counted_and_where_they_part_each_is_named() {
    let all = outcomes(&[(20_001, false), (20_002, false), (20_003, false)]);
    assert_eq!(all.to_string(), "it fails from every source port: 3 were tried");
    let parted = outcomes(&[(20_001, false), (20_001, false), (20_002, true), (20_002, true)]);
    assert!(parted.to_string().ends_with(": 20001 0 of 2, 20002 2 of 2"), "{parted}");
}
