//! Distances on loopback, where the peer chooses its own hop limit, and paths from canned steps.

use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;
use crate::{deadline::Deadline, egress::Egress, evidence::IcmpError, fixture::PATIENCE as LONG};

async fn listener(hop_limit: u32) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    listener.set_ttl(hop_limit).expect("a TCP socket");
    let address = listener.local_addr().expect("bound above");
    (listener, address)
}

async fn with_attempt<T>(address: SocketAddr, work: impl AsyncFnOnce(&Attempt<'_>) -> T) -> T {
    let egress = Egress::default();
    let deadline = Deadline::within(LONG);
    work(&Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() }).await
}

#[tokio::test]
async fn the_distance_is_what_is_missing_to_the_initial_hop_limit() {
    for (hop_limit, hops) in [(64, 0), (55, 9), (120, 8), (255, 0), (1, 63), (160, 95)] {
        let (_listener, address) = listener(u32::from(hop_limit)).await;
        let distance = with_attempt(address, distance).await.expect("somebody accepts");
        assert_eq!((distance.hop_limit, distance.hops), (hop_limit, hops));
        assert!(distance.flows <= DISTANCE_FLOWS, "{distance:?}");
    }
}

#[tokio::test]
async fn a_closed_port_has_no_distance_but_a_place_on_the_path() {
    let (listener, address) = listener(64).await;
    let path_to = |address| with_attempt(address, path);
    let open = path_to(address).await;
    assert_eq!(open.answered().map(|step| (step.hop_limit, &step.knock.answer)), Some((1, &Answer::Open)));
    assert_eq!(open.steps.len(), usize::from(BATCH));
    drop(listener);
    assert_eq!(with_attempt(address, distance).await, None);
    let closed = path_to(address).await;
    assert_eq!(closed.answered().map(|step| (step.hop_limit, &step.knock.answer)), Some((1, &Answer::Refused)));
    assert!(closed.to_string().contains("no router on the way names itself; at hop 1: refused"), "{closed}");
}

fn exceeded(hop_limit: u8, router: Option<u8>) -> Step {
    let icmp = |last| IcmpError {
        v6: false,
        kind: 11,
        code: 0,
        mtu: 0,
        offender: Some(IpAddr::from([10, 0, 0, last])),
        from_self: false,
    };
    let answer = router.map_or(Answer::Silent, |last| Answer::Icmp(icmp(last)));
    Step { hop_limit, knock: Knock { answer, elapsed: Duration::from_millis(3), retransmitted: false } }
}

fn way(routers: &[Option<u8>]) -> Path {
    Path { steps: (1..).zip(routers).map(|(hop_limit, router)| exceeded(hop_limit, *router)).collect() }
}

#[test]
fn a_circle_is_a_return_and_not_a_repetition() {
    for (routers, loops) in [
        (&[Some(1), Some(2), Some(1), Some(2)][..], true),
        (&[Some(1), Some(2), None, Some(2), Some(1)], true),
        (&[Some(1), Some(1), Some(2)], false),
        (&[Some(1), None, Some(1)], false),
        (&[None, None], false),
        (&[], false),
    ] {
        assert_eq!(way(routers).loops(), loops, "{routers:?}");
    }
    let line = way(&[Some(1), None, Some(3)]).to_string();
    assert_eq!(line, "routers on the way: 1: 10.0.0.1, 3: 10.0.0.3; no answer within 3 hops");
}

proptest! {
    #[test]
    fn any_path_can_be_told(routers in prop::collection::vec(prop::option::of(0u8..4), 0..24)) {
        let path = way(&routers);
        prop_assert!(path.answered().is_none());
        prop_assert_eq!(path.loops(), path.to_string().contains("circle"));
    }
}
