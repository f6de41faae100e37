//! What each knob of an attempt changes on the wire, against scripted peers on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::{
    cause::Cause,
    dns::{self, Transport},
    fixture::{IMPATIENCE, PATIENCE, ask_shaped, serve},
    outcome::Outcome,
    probe::Probe,
    tcp,
    tls::Trust,
};

async fn accept(address: SocketAddr, timeout: Duration, shape: Shape) -> Outcome {
    ask_shaped(&Probe::Tcp(tcp::Question::default()), address, &Trust::none(), timeout, shape).await
}

async fn query(address: SocketAddr, timeout: Duration, shape: Shape) -> Outcome {
    let question = dns::Question::liveness("login.example".to_owned(), Transport::Udp);
    ask_shaped(&Probe::Dns(question), address, &Trust::none(), timeout, shape).await
}

/// The question as an answer without records.
fn empty_answer(question: &[u8]) -> Vec<u8> {
    let mut bytes = question[..question.len() - 11].to_vec();
    bytes[2..4].copy_from_slice(&[0x81, 0x80]);
    bytes[6..12].fill(0);
    bytes
}

/// A DNS server that answers from `answers`, or from the socket that was asked.
fn server(asked: UdpSocket, answers: Option<UdpSocket>) -> SocketAddr {
    let address = asked.local_addr().expect("bound by the caller");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (len, from) = asked.recv_from(&mut buffer).await.expect("one question comes");
        let answers = answers.as_ref().unwrap_or(&asked);
        answers.send_to(&empty_answer(&buffer[..len]), from).await.expect("loopback takes it");
    });
    address
}

async fn udp(ip: impl Into<IpAddr>) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(ip.into(), 0)).await.expect("loopback is there")
}

#[tokio::test]
async fn small_segments_are_agreed_in_the_handshake() {
    let (address, _served) = serve(|stream| async move { stream }).await;
    let plain = accept(address, PATIENCE, Shape::default()).await;
    let (address, _served) = serve(|stream| async move { stream }).await;
    let small = accept(address, PATIENCE, Shape { segment_size: Some(1000), ..Shape::default() }).await;
    let size = |outcome: &Outcome| outcome.seen.tcp.map(|info| info.segment_size);
    assert!(size(&plain) > Some(1000), "{:?}", size(&plain));
    assert!(size(&small).is_some_and(|bytes| (500..=1000).contains(&bytes)), "{:?}", size(&small));
}

#[tokio::test]
async fn answers_from_too_far_away_are_not_heard() {
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let listener = TcpListener::bind(SocketAddr::new(ip, 0)).await.expect("loopback is there");
        let address = listener.local_addr().expect("bound above");
        let near = Shape { min_hop_limit: Some(2), ..Shape::default() };
        assert_eq!(accept(address, PATIENCE, near).await.verdict.finding(), None, "{ip}");
        let far = Shape { min_hop_limit: Some(255), ..Shape::default() };
        let finding = accept(address, IMPATIENCE, far).await.verdict.finding().expect("no peer sends with 255 hops");
        assert_eq!(finding.cause, Cause::Dropped, "{ip}");
    }
}

#[tokio::test]
async fn the_reply_says_how_far_it_has_travelled() {
    let v4 = udp(Ipv4Addr::LOCALHOST).await;
    v4.set_ttl(37).expect("a UDP socket");
    let v6 = udp(Ipv6Addr::LOCALHOST).await;
    socket2::SockRef::from(&v6).set_unicast_hops_v6(38).expect("a UDP socket");
    for (socket, hops) in [(v4, 37), (v6, 38)] {
        let address = server(socket, None);
        let outcome = query(address, PATIENCE, Shape { hop_limit: Some(1), ..Shape::default() }).await;
        assert_eq!((outcome.seen.hop_limit, outcome.seen.reply_source), (Some(hops), Some(address)));
        assert!(outcome.evidence().iter().any(|line| line.contains(&format!("hop limit {hops}"))));
    }
}

#[tokio::test]
async fn the_source_port_can_be_chosen_again_and_again() {
    // Below the ports that the kernel gives to the other tests.
    let port = 21_987;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    for _ in 0..3 {
        let outcome = accept(address, PATIENCE, Shape { source_port: Some(port), ..Shape::default() }).await;
        assert_eq!(outcome.verdict.finding(), None);
        let (_stream, client) = listener.accept().await.expect("a client came");
        assert_eq!(client.port(), port);
    }
}

#[tokio::test]
async fn a_reply_from_elsewhere_is_heard_only_on_request() {
    let (asked, answers) = (udp(Ipv4Addr::LOCALHOST).await, udp([127, 0, 0, 2]).await);
    let elsewhere = answers.local_addr().expect("bound");
    let shape = Shape { any_source: true, ..Shape::default() };
    let outcome = query(server(asked, Some(answers)), PATIENCE, shape).await;
    assert_eq!(outcome.seen.reply_source, Some(elsewhere));
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::AsymmetricReply));
    assert!(outcome.evidence()[0].contains("127.0.0.2"), "{:?}", outcome.evidence());

    let (asked, answers) = (udp(Ipv4Addr::LOCALHOST).await, udp([127, 0, 0, 2]).await);
    let outcome = query(server(asked, Some(answers)), IMPATIENCE, Shape::default()).await;
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::Dropped));
}
