//! The forms in which a question is asked, against scripted servers on loopback: what they refuse, cut, spoil or leave
//! unanswered in one form and answer in another.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::*;
use crate::{
    clock,
    deadline::Deadline,
    dns::{Rcode, RecordType},
    egress::Egress,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

/// Long enough for the forms that are only tried after silence.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server makes of a question: the message that it answers, if any.
type Script = fn(&Asked<'_>) -> Option<Vec<u8>>;

/// A question as a server sees it.
struct Asked<'a> {
    bytes: &'a [u8],
    by_stream: bool,
}

impl Asked<'_> {
    fn has_edns(&self) -> bool {
        self.bytes[11] > 0
    }

    /// The payload size that the question offers, in bytes.
    fn room(&self) -> u16 {
        let at = self.bytes.len() - 8;
        if self.has_edns() { u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]) } else { 512 }
    }

    /// Id, flags with this code, counts and the question, without the OPT record.
    fn start(&self, flags: [u8; 2], counts: [u8; 3]) -> Vec<u8> {
        let end = self.bytes.len() - if self.has_edns() { 11 } else { 0 };
        let mut bytes = self.bytes[..end].to_vec();
        bytes[2..4].copy_from_slice(&flags);
        bytes[6..12].copy_from_slice(&[0, counts[0], 0, counts[1], 0, counts[2]]);
        bytes
    }

    fn address(&self) -> Vec<u8> {
        [&self.start([0x81, 0x80], [1, 0, 0]), ADDRESS].concat()
    }

    fn code(&self, code: u8) -> Vec<u8> {
        self.start([0x81, 0x80 | code], [0; 3])
    }

    fn cut(&self) -> Vec<u8> {
        self.start([0x83, 0x80], [0; 3])
    }

    /// An answer that ends in the midst of its record, without TC.
    fn spoilt(&self) -> Vec<u8> {
        [&self.start([0x81, 0x80], [2, 0, 0]), ADDRESS, &ADDRESS[..7]].concat()
    }
}

const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x14\0\0\x01";

/// A server over both transports, at an address of its own, where no other test uses up the port for the other one.
async fn server(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.53:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    let socket = UdpSocket::bind(address).await.expect("nobody else is at this address");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            if let Some(message) = script(&Asked { bytes: &buffer[..len], by_stream: false }) {
                drop(socket.send_to(&message, from).await);
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut buffer = [0; 512];
            let len = peer.read(&mut buffer).await.unwrap_or(0);
            let asked = Asked { bytes: &buffer[2.min(len)..len], by_stream: true };
            if let Some(message) = script(&asked) {
                let length = u16::try_from(message.len()).expect("short").to_be_bytes();
                drop(peer.write_all(&[&length[..], &message].concat()).await);
                drop(peer.read(&mut buffer).await);
            }
        }
    });
    address
}

async fn ask(address: SocketAddr, transport: Transport) -> Exchange<Reply> {
    let (egress, deadline) = (Egress::default(), Deadline::within(PATIENCE));
    let question = Question::address("login.example".to_owned(), RecordType::A, transport);
    question.ask(&Attempt { address, deadline, egress: &egress, nonce: 0x1234_5678, shape: Shape::default() }).await
}

fn found(exchange: &Exchange<Reply>) -> usize {
    exchange.reply.answer.as_ref().map_or(0, |answer| answer.addresses.len())
}

fn cause(exchange: &Exchange<Reply>) -> Cause {
    exchange.verdict.finding().map_or(Cause::None, |finding| finding.cause)
}

#[tokio::test]
async fn what_was_cut_over_udp_is_asked_again_over_tcp() {
    let whole =
        ask(server(|asked| Some(if asked.by_stream { asked.address() } else { asked.cut() })).await, Transport::Udp);
    let whole = whole.await;
    assert!(whole.reply.answer.is_some_and(|answer| !answer.truncated), "{:?}", whole.seen);
    let none = ask(server(|asked| (!asked.by_stream).then(|| asked.cut())).await, Transport::Udp).await;
    assert_eq!(cause(&none), Cause::DnsNoTcp, "{:?}", none.seen);
}

#[tokio::test]
async fn an_answer_that_was_cut_in_the_midst_of_a_record_is_a_cut_one() {
    let script: Script = |asked| {
        let cut = [&asked.start([0x83, 0x80], [9, 0, 1]), ADDRESS, &ADDRESS[..5]].concat();
        Some(if asked.by_stream { asked.address() } else { cut })
    };
    let start = clock::now();
    let exchange = ask(server(script).await, Transport::Udp).await;
    assert_eq!((exchange.verdict, found(&exchange)), (Verdict::Healthy, 1), "{:?}", exchange.reply);
    assert!(start.elapsed() < PATIENCE / 2, "nothing is waited for");
}

#[tokio::test]
async fn cut_to_nothing_over_tcp_is_no_answer() {
    let exchange = ask(server(|asked| Some(asked.cut())).await, Transport::Udp).await;
    let finding = exchange.verdict.finding().expect("no address came");
    assert_eq!((finding.cause, finding.confidence), (Cause::ProtocolViolation, Confidence::Likely));
}

#[tokio::test]
async fn every_refusal_of_edns_is_followed_by_a_question_without_it() {
    const SCRIPTS: [(Script, WhyPlain); 7] = [
        (
            |asked| Some(if asked.has_edns() { asked.code(1) } else { asked.address() }),
            WhyPlain::Refused(Rcode::FormErr),
        ),
        // Without the question, as some devices do.
        (
            |asked| Some(if asked.has_edns() { bare(&asked.code(1)) } else { asked.address() }),
            WhyPlain::Refused(Rcode::FormErr),
        ),
        (
            |asked| Some(if asked.has_edns() { asked.code(2) } else { asked.address() }),
            WhyPlain::Refused(Rcode::ServFail),
        ),
        (
            |asked| Some(if asked.has_edns() { asked.code(4) } else { asked.address() }),
            WhyPlain::Refused(Rcode::NotImp),
        ),
        (
            |asked| Some(if asked.has_edns() { asked.code(5) } else { asked.address() }),
            WhyPlain::Refused(Rcode::Refused),
        ),
        (
            |asked| Some(if asked.has_edns() { bad_version(asked) } else { asked.address() }),
            WhyPlain::Refused(Rcode::BadVers),
        ),
        (|asked| (!asked.has_edns()).then(|| asked.address()), WhyPlain::Silent),
    ];
    for transport in [Transport::Udp, Transport::Tcp] {
        for (script, why) in SCRIPTS {
            let exchange = ask(server(script).await, transport).await;
            assert_eq!((exchange.verdict, found(&exchange)), (Verdict::Healthy, 1), "{transport:?} {why:?}");
            assert_eq!(exchange.reply.plain, Some(why));
        }
    }
}

/// The header alone.
fn bare(message: &[u8]) -> Vec<u8> {
    let mut bytes = message[..12].to_vec();
    bytes[4..].fill(0);
    bytes
}

/// RFC 6891 section 6.1.3: the upper bits of the code stand in the OPT record.
fn bad_version(asked: &Asked<'_>) -> Vec<u8> {
    [&asked.start([0x81, 0x80], [0, 0, 1]), b"\0\0\x29\x04\xd0\x01\0\0\0\0\0".as_slice()].concat()
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_followed_by_a_question_without_edns() {
    let script: Script = |asked| Some(if asked.has_edns() { asked.spoilt() } else { asked.address() });
    let exchange = ask(server(script).await, Transport::Udp).await;
    assert_eq!((exchange.verdict, found(&exchange)), (Verdict::Healthy, 1));
    assert!(matches!(exchange.reply.plain, Some(WhyPlain::Unreadable(_))), "{:?}", exchange.reply);
}

#[tokio::test]
async fn an_additional_section_that_cannot_be_read_takes_nothing_from_the_answer() {
    const OPTION: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let scripts: [Script; 3] = [
        |asked| Some([&asked.start([0x81, 0x80], [1, 0, 1]), ADDRESS].concat()),
        |asked| Some([&asked.start([0x81, 0x80], [1, 0, 2]), ADDRESS, OPTION, OPTION].concat()),
        |asked| Some([&asked.start([0x81, 0x80], [1, 1, 0]), ADDRESS, b"\xc0\xff"].concat()),
    ];
    for script in scripts {
        let exchange = ask(server(script).await, Transport::Udp).await;
        assert_eq!((exchange.verdict, found(&exchange)), (Verdict::Healthy, 1));
        let answer = exchange.reply.answer.expect("found above");
        assert!(answer.oddity.is_some() && exchange.reply.plain.is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn datagrams_that_are_spoilt_on_the_path_are_told_by_an_answer_over_tcp() {
    let cut: Script = |asked| {
        let padding = [ADDRESS; 40].concat();
        let mut whole = [asked.start([0x81, 0x80], [40, 0, 0]), padding].concat();
        whole.truncate(if asked.by_stream { usize::MAX } else { 512 });
        Some(whole)
    };
    let exchange = ask(server(cut).await, Transport::Udp).await;
    let finding = exchange.verdict.finding().expect("no application's resolver takes it");
    assert_eq!((finding.cause, finding.side), (Cause::ProtocolViolation, Side::Path));
    let mut lines = Vec::new();
    exchange.reply.describe(&mut lines);
    let lines = lines.join("\n");
    assert!(lines.contains("after 512 bytes without TC") && lines.contains("over TCP"), "{lines}");
    assert!(exchange.reply.length_over_tcp.is_some_and(|length| length > 512));
    let everywhere = ask(server(|asked| Some(asked.spoilt())).await, Transport::Udp).await;
    assert_eq!(everywhere.verdict.finding().map(|finding| finding.side), Some(Side::Unknown), "the server's own");
}

#[tokio::test]
async fn silence_refusals_and_slowness_without_edns_keep_the_first_answer() {
    let explained: Script = |asked| {
        let option = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0a\0\x0f\0\x06\0\x16none";
        let with = [&asked.start([0x81, 0x82], [0, 0, 1]), option.as_slice()].concat();
        Some(if asked.has_edns() { with } else { asked.code(2) })
    };
    let exchange = ask(server(explained).await, Transport::Udp).await;
    assert_eq!((cause(&exchange), exchange.reply.plain), (Cause::DnsServfail, None));
    let answer = exchange.reply.answer.expect("it says SERVFAIL");
    assert_eq!(answer.extended_errors[0].to_string(), "No Reachable Authority (22): \"none\"");
    let silent = ask(server(|_| None).await, Transport::Udp).await;
    assert_eq!((cause(&silent), silent.reply.plain), (Cause::Dropped, None));
}

#[tokio::test]
async fn large_answers_that_vanish_are_told_from_edns_that_is_not_borne() {
    async fn live(script: Script) -> Exchange<Reply> {
        let (egress, deadline, address) = (Egress::default(), Deadline::within(PATIENCE), server(script).await);
        let question = Question::liveness("login.example".to_owned(), Transport::Udp);
        question.ask(&Attempt { address, deadline, egress: &egress, nonce: 9, shape: Shape::default() }).await
    }
    let vanish = live(|asked| (asked.room() <= 512).then(|| asked.cut())).await;
    let finding = vanish.verdict.finding().expect("large answers are lost");
    assert_eq!((finding.cause, finding.confidence), (Cause::MtuBlackhole, Confidence::Confirmed));
    let deaf = live(|asked| (!asked.has_edns()).then(|| asked.cut())).await;
    assert_eq!((deaf.verdict, deaf.reply.plain), (Verdict::Healthy, Some(WhyPlain::Silent)));
}

#[tokio::test]
async fn one_lost_datagram_says_nothing_about_edns() {
    let forgetful: Script = |asked| {
        static HEARD: AtomicUsize = AtomicUsize::new(0);
        (HEARD.fetch_add(1, Ordering::Relaxed) > 0).then(|| asked.address())
    };
    let exchange = ask(server(forgetful).await, Transport::Udp).await;
    assert_eq!((exchange.verdict, exchange.reply.plain), (Verdict::Healthy, None));
}

#[tokio::test]
async fn a_measurement_asks_once() {
    let address = server(|asked| (!asked.has_edns()).then(|| asked.address())).await;
    let (egress, deadline) = (Egress::default(), Deadline::within(PATIENCE / 8));
    let shape = Shape { any_source: true, ..Shape::default() };
    let question = Question::address("login.example".to_owned(), RecordType::A, Transport::Udp);
    let exchange = question.ask(&Attempt { address, deadline, egress: &egress, nonce: 7, shape }).await;
    assert_eq!(cause(&exchange), Cause::Dropped);
}
