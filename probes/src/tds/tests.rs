//! The SQL probe against scripted gateways on loopback: good, bad and hostile.

use super::{
    wire::{END_OF_MESSAGE, HEADER, TYPE_PRELOGIN, TYPE_REPLY},
    *,
};
use crate::{
    cause::Side,
    fixture::{Authority, IMPATIENCE, PATIENCE, ask, drain, reset, serve},
    outcome::{Outcome, Protocol},
    probe::Probe,
    tls::{Invalid, Trust},
};
use rustls::{ServerConfig, ServerConnection};
use std::{io::Cursor, net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

const NAME: &str = "sql.database.example";

fn probe(flavour: Flavour) -> Probe {
    Probe::Tds(Question { host: NAME.to_owned(), flavour })
}

fn reply(outcome: &Outcome) -> &Reply {
    match &outcome.protocol {
        Protocol::Tds(reply) => reply,
        other => panic!("a TDS reply is due, not {other:?}"),
    }
}

/// Packs a message into packets with this much payload each.
fn packets(kind: u8, message: &[u8], payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in message.chunks(payload).enumerate() {
        let status = if (index + 1) * payload >= message.len() { END_OF_MESSAGE } else { 0 };
        let [high, low] = u16::try_from(HEADER + part.len()).expect("test packets are short").to_be_bytes();
        bytes.extend([kind, status, high, low, 0, 0, 1, 0]);
        bytes.extend_from_slice(part);
    }
    bytes
}

fn prelogin(encryption: u8) -> Vec<u8> {
    vec![0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 12, 0, 0x07, 0xd0, 0, 0, encryption]
}

async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let mut header = [0; HEADER];
        if stream.read_exact(&mut header).await.is_err() {
            return message;
        }
        assert_eq!(header[0], TYPE_PRELOGIN, "the client sends PRELOGIN and TLS, never a login");
        let mut payload = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - HEADER];
        stream.read_exact(&mut payload).await.expect("the client sends whole packets");
        message.extend(payload);
        if header[1] & END_OF_MESSAGE != 0 {
            return message;
        }
    }
}

/// A TDS 7 server whose TLS records come in packets with this much payload each; returns what came after TLS.
async fn server(config: Arc<ServerConfig>, payload: usize) -> SocketAddr {
    serve(async move |mut stream: TcpStream| {
        read_message(&mut stream).await;
        stream.write_all(&packets(TYPE_REPLY, &prelogin(1), payload)).await.expect("the client reads");
        let mut tls = ServerConnection::new(config).expect("a good configuration");
        while tls.is_handshaking() || tls.wants_write() {
            if tls.wants_write() {
                let mut records = Vec::new();
                while tls.wants_write() {
                    tls.write_tls(&mut records).expect("vectors take everything");
                }
                stream.write_all(&packets(TYPE_PRELOGIN, &records, payload)).await.ok();
                continue;
            }
            let mut records = Cursor::new(read_message(&mut stream).await);
            if records.get_ref().is_empty() {
                return;
            }
            while (records.position() as usize) < records.get_ref().len() {
                tls.read_tls(&mut records).expect("vectors give everything");
                if tls.process_new_packets().is_err() {
                    return;
                }
            }
        }
        assert_eq!(drain(&mut stream).await, 0, "nothing may follow the handshake");
    })
    .await
    .0
}

/// Takes one message per answer, first PRELOGIN and then the ClientHello, and closes.
async fn canned(answers: Vec<Vec<u8>>) -> SocketAddr {
    serve(async move |mut stream: TcpStream| {
        for answer in answers {
            read_message(&mut stream).await;
            stream.write_all(&answer).await.ok();
        }
        stream.shutdown().await.ok();
        drain(&mut stream).await;
    })
    .await
    .0
}

#[tokio::test]
async fn prelogin_and_a_verified_certificate_are_healthy_however_the_records_are_packed() {
    let authority = Authority::new("Test CA");
    for payload in [4088, 1000, 7, 1] {
        let address = server(authority.issue(NAME, 2020, 2099).server(&[]), payload).await;
        let outcome = ask(&probe(Flavour::Tds7), address, &authority.trust(), PATIENCE).await;
        assert_eq!(outcome.verdict, Verdict::Healthy, "{payload}: {:?}", outcome.evidence());
        let reply = reply(&outcome);
        assert_eq!(
            reply.prelogin,
            Some(Prelogin { version: ServerVersion { major: 12, minor: 0, build: 2000 }, encryption: Encryption::On })
        );
        assert_eq!(reply.tls.as_ref().and_then(|tls| tls.version), Some("TLS 1.2"));
        let lines = outcome.evidence().join("\n");
        assert!(lines.contains("version 12.0.2000, encryption on"), "{lines}");
        assert!(lines.contains("issued by CN=Test CA verifies until"), "{lines}");
        for phase in [Phase::Connect, Phase::Tds, Phase::Tls] {
            assert!(outcome.phases.of(phase).is_some(), "{phase:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_no_proof() {
    let ours = Authority::new("Test CA");
    let inspector = Authority::new("FortiGate CA");
    let rows = [
        (ours.issue("other.example", 2020, 2099), Invalid::WrongName, Cause::TlsCertInvalid),
        (ours.issue(NAME, 2020, 2021), Invalid::Expired, Cause::TlsCertInvalid),
        (inspector.issue(NAME, 2020, 2099), Invalid::UnknownIssuer, Cause::TlsIntercepted),
    ];
    for (identity, invalid, cause) in rows {
        let address = server(identity.server(&[]), 4088).await;
        let outcome = ask(&probe(Flavour::Tds7), address, &ours.trust(), PATIENCE).await;
        assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(cause), "{:?}", outcome.evidence());
        let tls = reply(&outcome).tls.as_ref().expect("the handshake ran");
        assert_eq!((tls.invalid.as_ref(), tls.chain.len()), (Some(&invalid), 1));
    }
}

#[tokio::test]
async fn each_answer_to_prelogin_has_its_meaning() {
    use Confidence::{Confirmed, Likely, Possible};
    let raw = |kind: u8, status: u8, length: u16, rest: &[u8]| {
        let [high, low] = length.to_be_bytes();
        [&[kind, status, high, low, 0, 0, 1, 0][..], rest].concat()
    };
    let good = |encryption| packets(TYPE_REPLY, &prelogin(encryption), 4088);
    let deny = b"HTTP/1.1 470 status code 470\r\n\r\nAction: Deny. Reason: No rule matched.".to_vec();
    let beyond = packets(TYPE_REPLY, &[0, 0x10, 0, 0, 6, 0xff], 4088);
    let endless = packets(TYPE_REPLY, &[4, 0, 0, 0, 1], 4088);
    let rows = [
        ("encryption not supported", good(2), Cause::TlsRejected, Confirmed),
        ("encryption off", good(0), Cause::TlsRejected, Confirmed),
        ("encryption unknown", good(9), Cause::ProtocolViolation, Confirmed),
        ("length 0", raw(TYPE_REPLY, 1, 0, &[]), Cause::ProtocolViolation, Confirmed),
        ("length 7", raw(TYPE_REPLY, 1, 7, &[]), Cause::ProtocolViolation, Confirmed),
        ("length 0xFFFF", raw(TYPE_REPLY, 1, 0xffff, &[0; 99]), Cause::ProtocolViolation, Confirmed),
        ("offset beyond the packet", beyond, Cause::ProtocolViolation, Confirmed),
        ("no terminator", endless, Cause::ProtocolViolation, Confirmed),
        ("another packet type", packets(0x05, &prelogin(1), 4088), Cause::ProtocolViolation, Confirmed),
        ("a banner", b"220 mail ready\r\n".to_vec(), Cause::ProtocolViolation, Confirmed),
        ("Azure Firewall", deny, Cause::HttpBlocked, Confirmed),
        ("a status line cut short", b"HTTP/1.".to_vec(), Cause::HttpBlocked, Likely),
        ("a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Cause::HttpBlocked, Likely),
        ("a bare page", b"<html>blocked</html>".to_vec(), Cause::HttpBlocked, Likely),
        ("half a header", vec![TYPE_REPLY, 1, 0], Cause::ProxiedBlind, Possible),
        ("close", Vec::new(), Cause::ProxiedBlind, Possible),
        ("more than PRELOGIN", [good(1), vec![0]].concat(), Cause::ProtocolViolation, Confirmed),
    ];
    for (name, bytes, cause, confidence) in rows {
        expect(name, vec![bytes], cause, confidence).await;
    }
}

#[tokio::test]
async fn who_speaks_before_prelogin_is_another_service_and_its_words_are_shown() {
    let database = [&[0x4a, 0, 0, 0, 10][..], b"8.0.36\0"].concat();
    let rows = [
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), r"SSH-2.0-OpenSSH_9.2\r\n"),
        (b"SSH-2".to_vec(), "SSH-2"),
        (b"220 mail.example ESMTP\r\n".to_vec(), r"220 mail.example ESMTP\r\n"),
        (database, r"J\x00\x00\x00\n8.0.36\x00"),
    ];
    for (greeting, words) in rows {
        for closes in [false, true] {
            let said = greeting.clone();
            let (address, _served) = serve(async move |mut stream: TcpStream| {
                stream.write_all(&said).await.ok();
                if closes {
                    stream.shutdown().await.ok();
                }
                drain(&mut stream).await;
            })
            .await;
            let outcome = ask(&probe(Flavour::Tds7), address, &Trust::none(), PATIENCE).await;
            let finding = outcome.verdict.finding().expect("nothing is proved");
            assert_eq!((finding.cause, finding.phase), (Cause::ProtocolViolation, Phase::Tds), "{words}, {closes}");
            assert_eq!((finding.confidence, finding.side), (Confidence::Confirmed, Side::Unknown), "{words}");
            let shown = format!("the peer's first bytes: {words}");
            assert!(outcome.evidence().contains(&shown), "{words}: {:?}", outcome.evidence());
        }
    }
}

#[tokio::test]
async fn each_answer_to_the_client_hello_behind_prelogin_has_its_meaning() {
    let alert = [0x15, 3, 3, 0, 2, 2, 40];
    let rows = [
        ("an alert", packets(TYPE_PRELOGIN, &alert, 3), Cause::TlsRejected, Confidence::Confirmed),
        ("TLS outside TDS packets", [alert, alert].concat(), Cause::ProtocolViolation, Confidence::Confirmed),
        ("no TLS", packets(TYPE_PRELOGIN, b"hello there", 4088), Cause::ProtocolViolation, Confidence::Confirmed),
        ("a short packet", vec![TYPE_PRELOGIN, 1, 0, 7, 0, 0, 1, 0], Cause::ProtocolViolation, Confidence::Confirmed),
        ("close", Vec::new(), Cause::TlsRejected, Confidence::Likely),
    ];
    for (name, bytes, cause, confidence) in rows {
        expect(name, vec![packets(TYPE_REPLY, &prelogin(1), 4088), bytes], cause, confidence).await;
    }
}

async fn expect(name: &str, answers: Vec<Vec<u8>>, cause: Cause, confidence: Confidence) {
    let outcome = ask(&probe(Flavour::Tds7), canned(answers).await, &Trust::none(), PATIENCE).await;
    let finding = outcome.verdict.finding().expect("nothing is proved");
    assert_eq!((finding.cause, finding.confidence), (cause, confidence), "{name}: {:?}", outcome.evidence());
    assert!(matches!(outcome.verdict, Verdict::Failed(_)), "{name}");
}

#[tokio::test]
async fn a_message_without_end_is_cut_off() {
    for payload in [&[][..], &[b'x'; 4000][..]] {
        let [high, low] = u16::try_from(HEADER + payload.len()).expect("short").to_be_bytes();
        let packet = [&[TYPE_REPLY, 0, high, low, 0, 0, 1, 0][..], payload].concat();
        let (address, _served) = serve(async move |mut stream: TcpStream| {
            let block = packet.repeat(65_536 / packet.len());
            while stream.write_all(&block).await.is_ok() {}
        })
        .await;
        let outcome = ask(&probe(Flavour::Tds7), address, &Trust::none(), PATIENCE).await;
        let finding = outcome.verdict.finding().expect("nothing is proved");
        assert_eq!((finding.cause, finding.phase), (Cause::ProtocolViolation, Phase::Tds));
        assert!(outcome.evidence()[0].contains(wire::MESSAGE_RULE), "{:?}", outcome.evidence());
    }
}

#[tokio::test]
async fn a_handshake_without_end_is_cut_off() {
    let (address, _served) = serve(async |mut stream: TcpStream| {
        read_message(&mut stream).await;
        let mut bytes = packets(TYPE_REPLY, &prelogin(1), 4088);
        while stream.write_all(&bytes).await.is_ok() {
            bytes = [TYPE_PRELOGIN, 0, 0, 8, 0, 0, 1, 0].repeat(8192);
        }
    })
    .await;
    let outcome = ask(&probe(Flavour::Tds7), address, &Trust::none(), PATIENCE).await;
    let finding = outcome.verdict.finding().expect("nothing is proved");
    assert_eq!(finding.cause, Cause::ProtocolViolation, "{:?}", outcome.evidence());
}

#[tokio::test]
async fn silence_or_a_reset_after_the_accept_means_a_blind_proxy() {
    let (address, _served) = serve(async |mut stream: TcpStream| drain(&mut stream).await).await;
    let silent = ask(&probe(Flavour::Tds7), address, &Trust::none(), IMPATIENCE).await;
    let (address, _served) = serve(async |mut stream: TcpStream| {
        read_message(&mut stream).await;
        reset(stream);
    })
    .await;
    let cut = ask(&probe(Flavour::Tds7), address, &Trust::none(), PATIENCE).await;
    for outcome in [silent, cut] {
        let finding = outcome.verdict.finding().expect("nothing is proved");
        assert_eq!(
            (finding.cause, finding.phase, finding.confidence),
            (Cause::ProxiedBlind, Phase::Tds, Confidence::Possible)
        );
    }
}

#[tokio::test]
async fn strict_tds_proves_itself_inside_tls() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&["tds/8.0"]);
    let (address, _served) = serve(async move |stream: TcpStream| {
        let mut stream = TlsAcceptor::from(config).accept(stream).await.expect("the client trusts us");
        read_message(&mut stream).await;
        stream.write_all(&packets(TYPE_REPLY, &prelogin(3), 5)).await.expect("the client reads");
        stream.flush().await.expect("the client reads");
        assert_eq!(drain(&mut stream).await, 0, "nothing may follow PRELOGIN");
    })
    .await;
    let outcome = ask(&probe(Flavour::Tds8), address, &authority.trust(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    let reply = reply(&outcome);
    assert_eq!(reply.tls.as_ref().and_then(|tls| tls.alpn.as_deref()), Some("tds/8.0"));
    assert_eq!(reply.prelogin.map(|prelogin| prelogin.encryption), Some(Encryption::Required));
}

#[tokio::test]
async fn strict_tds_needs_a_verified_certificate_and_prelogin() {
    let authority = Authority::new("Test CA");
    let rows = [(Trust::none(), Cause::LocalSetup), (authority.trust(), Cause::ProxiedBlind)];
    for (trust, cause) in rows {
        let config = authority.issue(NAME, 2020, 2099).server(&["tds/8.0"]);
        let (address, served) = serve(async move |stream: TcpStream| {
            let mut stream = TlsAcceptor::from(config).accept(stream).await.expect("the handshake runs to its end");
            read_message(&mut stream).await.len()
        })
        .await;
        let outcome = ask(&probe(Flavour::Tds8), address, &trust, PATIENCE).await;
        assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(cause), "{:?}", outcome.evidence());
        let asked = served.await.expect("the server ran") > 0;
        assert_eq!(asked, cause == Cause::ProxiedBlind, "PRELOGIN follows a verified certificate only");
    }
}

#[tokio::test]
async fn plain_http_where_strict_tds_is_due_is_a_block_page() {
    let (address, _served) = serve(async |mut stream: TcpStream| {
        stream.read_u8().await.expect("a ClientHello comes");
        stream.write_all(b"HTTP/1.1 470 status code 470\r\n\r\n").await.ok();
        stream.shutdown().await.ok();
        drain(&mut stream).await;
    })
    .await;
    let outcome = ask(&probe(Flavour::Tds8), address, &Trust::none(), PATIENCE).await;
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::HttpBlocked));
}

#[tokio::test]
async fn a_host_that_is_no_name_blames_this_machine() {
    let asked = Question { host: "no host".to_owned(), flavour: Flavour::Tds7 };
    let outcome = ask(&Probe::Tds(asked), canned(vec![Vec::new()]).await, &Trust::none(), PATIENCE).await;
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::LocalSetup));
}

#[tokio::test]
async fn an_answer_to_prelogin_that_drips_is_slow_before_the_deadline() {
    let (address, _served) = serve(async |mut stream: TcpStream| {
        read_message(&mut stream).await;
        let mut drip = tokio::time::interval(std::time::Duration::from_millis(400));
        for byte in packets(TYPE_REPLY, &prelogin(1), 4088) {
            drip.tick().await;
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        drain(&mut stream).await;
    })
    .await;
    let outcome = ask(&probe(Flavour::Tds7), address, &Trust::none(), PATIENCE).await;
    let finding = outcome.verdict.finding().expect("nothing is proved");
    assert_eq!((finding.cause, finding.phase), (Cause::Slow, Phase::Tds), "{:?}", outcome.evidence());
    assert!(outcome.phases.total() < PATIENCE * 3 / 4, "{:?}", outcome.phases);
}
