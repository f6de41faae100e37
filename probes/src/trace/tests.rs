//! Walks on loopback, where the peer is the first hop, and the rules that end a walk. Real routers stand in the lab.

use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::{
    deadline::Deadline,
    egress::Egress,
    evidence::IcmpError,
    fixture::{PATIENCE, serve},
    knock::Knock,
};

async fn walked(address: SocketAddr, method: Method) -> (Walk, usize) {
    let (egress, deadline) = (Egress::default(), Deadline::within(PATIENCE));
    // A port that somebody holds is passed over.
    let taken = UdpSocket::bind("127.0.0.1:0").await.expect("loopback").local_addr().expect("bound").port();
    let shape = Shape { source_port: Some(taken.min(60_000)), ..Shape::default() };
    let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape };
    let told = std::cell::Cell::new(0);
    let limits = Limits { hops: 30, tries: 2, answers: true };
    let walk = walk(&attempt, method, limits, &|_| told.set(told.get() + 1)).await;
    (walk, told.get())
}

#[tokio::test]
async fn a_peer_on_this_host_is_one_hop_away_by_every_method() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (walk, told) = walked(address, Method::Tcp).await;
    assert_eq!(walk.path.answered().map(|step| (step.hop_limit, &step.knock.answer)), Some((1, &Answer::Open)));
    assert_eq!((walk.path.steps.len(), told), (1, 1));
    let (walk, _) = walked(address, Method::Udp).await;
    assert_eq!(walk.path.answered().map(|step| (step.hop_limit, &step.knock.answer)), Some((1, &Answer::Refused)));
    drop(listener);
    let (walk, _) = walked(address, Method::Tcp).await;
    assert_eq!(walk.path.answered().map(|step| &step.knock.answer), Some(&Answer::Refused));
}

#[tokio::test]
async fn a_datagram_of_the_peer_is_an_answer() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let address = socket.local_addr().expect("bound");
    let echo = tokio::spawn(async move {
        let mut bytes = [0; 64];
        let (length, from) = socket.recv_from(&mut bytes).await.expect("a datagram");
        socket.send_to(&bytes[..length], from).await.expect("it goes back");
    });
    let (walk, _) = walked(address, Method::Udp).await;
    echo.await.expect("the script ran");
    assert_eq!(walk.path.answered().map(|step| &step.knock.answer), Some(&Answer::Open));
}

#[tokio::test]
async fn the_other_end_acknowledges_what_is_sent_inside_a_connection() {
    let (address, _served) = serve(|stream| async move { stream }).await;
    let (egress, deadline) = (Egress::default(), Deadline::within(PATIENCE));
    let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() };
    assert_eq!(inside(&attempt, 1).await.sign, Sign::Acknowledged);
}

#[tokio::test]
async fn a_device_that_takes_any_size_narrows_nothing() {
    let (egress, deadline) = (Egress::default(), Deadline::within(PATIENCE));
    let address = ([127, 0, 0, 1], 9).into();
    let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() };
    assert_eq!(width(&attempt, &[1]).await, None);
}

fn path(answers: &[Option<u8>]) -> Path {
    let icmp = |last| IcmpError {
        v6: false,
        kind: 11,
        code: 0,
        mtu: 0,
        offender: Some(IpAddr::from([10, 0, 0, last])),
        from_self: false,
    };
    let step = |(at, router): (usize, &Option<u8>)| Step {
        hop_limit: u8::try_from(at + 1).expect("a short path"),
        knock: Knock {
            answer: router.map_or(Answer::Silent, |last| Answer::Icmp(icmp(last))),
            elapsed: Duration::from_millis(3),
            retransmitted: false,
        },
    };
    Path { steps: answers.iter().enumerate().map(step).collect() }
}

#[test]
fn five_silent_hops_end_a_walk_to_a_peer_that_does_not_answer() {
    let limits = |answers| Limits { hops: 30, tries: 2, answers };
    let silent = path(&[Some(1), None, None, None, None, None]);
    assert!(is_dead(&silent, limits(false)) && !is_dead(&silent, limits(true)));
    assert!(!is_dead(&path(&[None, None, None, None, Some(5)]), limits(false)));
    let walk = Walk { method: Method::Tcp, source_port: 40_000, path: silent };
    assert_eq!(walk.last_heard().map(|step| step.hop_limit), Some(1));
    assert_eq!((walk.router(1), walk.router(2)), (Some([10, 0, 0, 1].into()), None));
}

#[test]
fn the_wait_follows_the_slowest_answer_within_its_bounds() {
    let mut patience = Patience::default();
    assert_eq!(patience.for_next(), LONGEST);
    let mut steps = path(&[Some(1), None]).steps;
    patience.learn(&steps[1]);
    assert_eq!(patience.for_next(), LONGEST, "silence tells nothing");
    patience.learn(&steps[0]);
    assert_eq!(patience.for_next(), Duration::from_millis(309));
    steps[0].knock.elapsed = Duration::from_secs(5);
    patience.learn(&steps[0]);
    assert_eq!(patience.for_next(), LONGEST);
}
