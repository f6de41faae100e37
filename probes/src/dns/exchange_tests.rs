//! The DNS probe against scripted servers on loopback: good, bad and hostile.

use super::*;
use crate::{
    clock,
    deadline::Deadline,
    egress::{Egress, Shape},
    fixture::udp,
    outcome::{Outcome, Protocol},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

const PATIENCE: Duration = Duration::from_millis(400);

async fn ask(address: SocketAddr, transport: Transport, expect: Expect) -> Outcome {
    let egress = Egress::default();
    let deadline = Deadline::within(PATIENCE);
    let attempt = Attempt { address, deadline, egress: &egress, nonce: 0x1234_5678, shape: Shape::default() };
    let question = Question {
        name: "login.example".to_owned(),
        record: RecordType::A,
        transport,
        expect,
        linger: PATIENCE / 8,
        edns: Some(EDNS_PAYLOAD),
    };
    let start = clock::now();
    let outcome = question.run(&attempt).await.into();
    assert!(start.elapsed() < PATIENCE * 3, "the deadline holds");
    outcome
}

/// A TCP server that sends these bytes after the question, then waits for the client to leave.
async fn tcp(script: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut buffer = [0; 512];
            let len = peer.read(&mut buffer).await.unwrap_or(0);
            drop(peer.write_all(&script(&buffer[2.min(len)..len])).await);
            drop(peer.read(&mut buffer).await);
        }
    });
    address
}

/// The question turned into an answer with this code and one address.
fn answer(question: &[u8], code: u8) -> Vec<u8> {
    let mut bytes = question[..question.len() - 11].to_vec();
    bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    bytes[6..12].copy_from_slice(&[0, u8::from(code == 0), 0, 0, 0, 0]);
    if code == 0 {
        bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x14\0\0\x01");
    }
    bytes
}

fn wrong_id(question: &[u8]) -> Vec<u8> {
    let mut bytes = answer(question, 0);
    bytes[0] ^= 0xff;
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).expect("short").to_be_bytes()[..], message].concat()
}

fn cause(outcome: &Outcome) -> Cause {
    outcome.verdict.finding().map_or(Cause::None, |finding| finding.cause)
}

#[tokio::test]
async fn each_response_code_has_its_cause() {
    for (code, for_name, for_server) in [
        (0, Cause::None, Cause::None),
        (4, Cause::ProtocolViolation, Cause::ProtocolViolation),
        (1, Cause::ProtocolViolation, Cause::ProtocolViolation),
        (2, Cause::DnsServfail, Cause::DnsServfail),
        (3, Cause::DnsNxdomain, Cause::None),
        (5, Cause::DnsRefused, Cause::DnsRefused),
        (9, Cause::ProtocolViolation, Cause::ProtocolViolation),
    ] {
        let server = udp(move |question| vec![answer(question, code)]).await;
        assert_eq!(cause(&ask(server, Transport::Udp, Expect::Address).await), for_name, "rcode {code}");
        assert_eq!(cause(&ask(server, Transport::Udp, Expect::AnyAnswer).await), for_server, "rcode {code}");
    }
}

#[tokio::test]
async fn an_answer_over_tcp_is_as_good() {
    let server = tcp(|question| framed(&answer(question, 0))).await;
    let outcome = ask(server, Transport::Tcp, Expect::Address).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    assert!(outcome.phases.of(Phase::Connect).is_some() && outcome.phases.of(Phase::Dns).is_some());
}

#[tokio::test]
async fn strays_are_waited_past() {
    let server = udp(|question| vec![wrong_id(question), vec![0; 3], answer(question, 0)]).await;
    let outcome = ask(server, Transport::Udp, Expect::Address).await;
    assert_eq!(outcome.verdict, Verdict::Healthy);
    assert!(outcome.evidence().iter().any(|line| line.starts_with("2 datagrams were not the answer")));
}

#[tokio::test]
async fn strays_alone_break_the_protocol() {
    let server = udp(|question| vec![wrong_id(question)]).await;
    let outcome = ask(server, Transport::Udp, Expect::Address).await;
    assert_eq!(cause(&outcome), Cause::ProtocolViolation);
}

#[tokio::test]
async fn the_answer_is_heard_behind_any_number_of_strays() {
    let server = udp(|question| [vec![wrong_id(question); 150], vec![answer(question, 0)]].concat()).await;
    let outcome = ask(server, Transport::Udp, Expect::Address).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    assert!(outcome.evidence().iter().any(|line| line.starts_with("150 datagrams were not the answer")));
}

#[tokio::test]
async fn the_answer_is_heard_behind_one_that_cannot_be_read() {
    let server = udp(|question| vec![answer(question, 0)[..question.len() - 3].to_vec(), answer(question, 0)]).await;
    let outcome = ask(server, Transport::Udp, Expect::Address).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    assert!(outcome.evidence().iter().any(|line| line.starts_with("the answer cannot be read")));
}

#[tokio::test]
async fn a_second_different_answer_is_a_conflict_and_a_copy_is_none() {
    let conflicting = |outcome: &Outcome| matches!(&outcome.protocol, Protocol::Dns(reply) if reply.conflicting);
    let injected = udp(|question| vec![answer(question, 0), answer(question, 3)]).await;
    assert!(conflicting(&ask(injected, Transport::Udp, Expect::Address).await));
    let copied = udp(|question| vec![answer(question, 0), answer(question, 0)]).await;
    assert!(!conflicting(&ask(copied, Transport::Udp, Expect::Address).await));
}

#[tokio::test]
async fn silence_is_dropped_and_a_closed_port_is_refused_by_name() {
    let silent = udp(|_| Vec::new()).await;
    let outcome = ask(silent, Transport::Udp, Expect::Address).await;
    assert_eq!(cause(&outcome), Cause::Dropped);
    let closed =
        UdpSocket::bind("127.0.0.1:0").await.and_then(|socket| socket.local_addr()).expect("loopback is there");
    let outcome = ask(closed, Transport::Udp, Expect::Address).await;
    assert_eq!(cause(&outcome), Cause::Refused, "{:?}", outcome.evidence());
    assert!(outcome.phases.total() < PATIENCE);
    assert!(outcome.evidence().iter().any(|line| line.contains("ICMP type 3 code 3 from 127.0.0.1")));
}

#[tokio::test]
async fn hostile_tcp_servers_are_bounded() {
    type Script = fn(&[u8]) -> Vec<u8>;
    let rows: [(&str, Script, Cause); 5] = [
        ("length 0", |_| vec![0, 0], Cause::ProtocolViolation),
        ("length 65535, then nothing", |_| vec![0xff, 0xff, 1, 2, 3], Cause::Dropped),
        ("another question", |q| framed(&wrong_id(q)), Cause::ProtocolViolation),
        ("HTTP", |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Cause::Dropped),
        ("nothing", |_| Vec::new(), Cause::Dropped),
    ];
    for (label, script, expected) in rows {
        let outcome = ask(tcp(script).await, Transport::Tcp, Expect::Address).await;
        assert_eq!(cause(&outcome), expected, "{label}: {:?}", outcome.evidence());
    }
}

#[tokio::test]
async fn a_drip_of_bytes_does_not_outlive_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.expect("one client comes");
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while peer.write_all(&[1]).await.is_ok() {
            tick.tick().await;
        }
    });
    let outcome = ask(address, Transport::Tcp, Expect::Address).await;
    assert_eq!(cause(&outcome), Cause::Dropped);
}

/// NOERROR without a record, from a server that does not recurse: it leads to somebody else.
fn referral(question: &[u8]) -> Vec<u8> {
    let mut bytes = answer(question, 3);
    bytes[3] = 0;
    bytes[9] = 1;
    bytes.extend(b"\0\0\x02\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x12");
    bytes
}

#[tokio::test]
async fn a_server_that_only_leads_to_others_gives_no_answer() {
    let server = udp(|question| vec![referral(question)]).await;
    let for_name = ask(server, Transport::Udp, Expect::Address).await;
    assert_eq!(cause(&for_name), Cause::DnsRefused, "{:?}", for_name.evidence());
    let for_server = ask(server, Transport::Udp, Expect::AnyAnswer).await;
    assert!(matches!(for_server.verdict, Verdict::Degraded(finding) if finding.cause == Cause::DnsRefused));
    assert!(for_server.evidence().iter().any(|line| line.contains("does not recurse")));
}

#[tokio::test]
async fn aliases_in_a_circle_are_an_answer_without_an_address_and_are_shown() {
    let circle = |question: &[u8]| {
        let mut bytes = answer(question, 3);
        (bytes[3], bytes[7]) = (0x80, 2);
        bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x12");
        bytes.extend(b"\x01a\xc0\x12\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c");
        bytes
    };
    let server = udp(move |question| vec![circle(question)]).await;
    let outcome = ask(server, Transport::Udp, Expect::Address).await;
    assert_eq!(cause(&outcome), Cause::DnsNodata, "{:?}", outcome.evidence());
    let shown = "the aliases lead in a circle: a.example -> login.example; the zone is wrong";
    assert!(outcome.evidence().iter().any(|line| line == shown), "{:?}", outcome.evidence());
    assert!(outcome.phases.total() < PATIENCE / 2, "nothing better is waited for");
}
