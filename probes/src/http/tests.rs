//! The HTTP probe against scripted servers on loopback: good, bad and hostile.

mod odd;
mod over_tls;
mod redirects;

use super::*;
use crate::{
    fixture::{Authority, IMPATIENCE, PATIENCE, Served, ask, drain, read_head, reset, serve},
    outcome::{Outcome, Protocol},
    probe::Probe,
    tls::Trust,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

const NAME: &str = "peer.example";
const DENY: &str = "HTTP/1.1 470 status code 470\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 70\r\n\r\n\
                    Action: Deny. Reason: No rule matched. Proceeding with default action.";

fn question(scheme: Scheme, proof: Proof) -> Question {
    let (host, path, session) = (NAME.to_owned(), "/a?b".to_owned(), Session::default());
    Question { scheme, host, port: 8080, path, proof, session }
}

fn http(proof: Proof) -> Probe {
    Probe::Http(question(Scheme::Http, proof))
}

fn https() -> Probe {
    Probe::Http(question(Scheme::Https(Verify::Full), Proof::AnyResponse))
}

fn reply(outcome: &Outcome) -> &Reply {
    match &outcome.protocol {
        Protocol::Http(reply) => reply,
        other => panic!("an HTTP reply is due, not {other:?}"),
    }
}

/// Answers the first request with these bytes, then closes once the client has read them.
async fn canned(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = bytes.into();
    serve(async move |mut stream: TcpStream| {
        read_head(&mut stream).await;
        stream.write_all(&bytes).await.ok();
        stream.shutdown().await.ok();
        drain(&mut stream).await;
    })
    .await
    .0
}

/// Speaks TLS, then answers one request with these bytes; returns how many bytes the client sent inside.
async fn secured(config: Arc<rustls::ServerConfig>, bytes: &'static [u8]) -> (SocketAddr, Served<usize>) {
    serve(async move |stream: TcpStream| {
        let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else { return 0 };
        let asked = read_head(&mut stream).await.len();
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        drain(&mut stream).await;
        asked
    })
    .await
}

/// Writes the same bytes for as long as the client takes them.
async fn flood(stream: &mut (impl AsyncWrite + Unpin), start: &[u8], again: &[u8]) {
    let again = again.repeat(65_536 / again.len());
    let mut next = stream.write_all(start).await;
    while next.is_ok() {
        next = stream.write_all(&again).await;
    }
}

#[derive(Debug, PartialEq)]
enum Expected {
    Healthy,
    Degraded(Cause, Confidence),
    Failed(Cause, Confidence),
}

fn meant(outcome: &Outcome) -> Expected {
    match outcome.verdict {
        Verdict::Healthy => Expected::Healthy,
        Verdict::Degraded(finding) => Expected::Degraded(finding.cause, finding.confidence),
        Verdict::Failed(finding) => Expected::Failed(finding.cause, finding.confidence),
        Verdict::Inconclusive(finding) => panic!("the agent blames itself: {finding:?}"),
    }
}

fn violation() -> Expected {
    Expected::Failed(Cause::ProtocolViolation, Confidence::Confirmed)
}

#[tokio::test]
async fn each_answer_in_clear_has_its_meaning() {
    use Confidence::{Confirmed, Likely, Possible};
    use Expected::{Degraded, Failed, Healthy};
    let any = || Proof::AnyResponse;
    let marker = || Proof::Contains("Microsoft Connect Test".to_owned());
    let violation = || Failed(Cause::ProtocolViolation, Confirmed);
    let blocked = || Failed(Cause::HttpBlocked, Confirmed);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let old_deny =
        "HTTP request from 10.0.0.4:5 to x:80. Action: Deny. No rule matched. Proceeding with default action";
    let forbidden = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{old_deny}", old_deny.len());
    let headers = |count: usize, size: usize| {
        format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("a: {}\r\n", "b".repeat(size)).repeat(count))
    };
    let rows: Vec<(&str, String, Proof, Expected)> = vec![
        ("good", ok.into(), any(), Healthy),
        ("HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nbody".into(), any(), Healthy),
        ("not found is an answer", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".into(), any(), Healthy),
        (
            "unavailable",
            "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".into(),
            any(),
            Degraded(Cause::HttpStatus, Possible),
        ),
        ("status wanted", ok.into(), Proof::Status(vec![204, 200]), Healthy),
        ("status unwanted", ok.into(), Proof::Status(vec![204]), Failed(Cause::HttpStatus, Possible)),
        ("marker", "HTTP/1.1 200 OK\r\n\r\nMicrosoft Connect Test".into(), marker(), Healthy),
        ("no marker", ok.into(), marker(), Failed(Cause::HttpStatus, Possible)),
        (
            "marker in an error",
            "HTTP/1.1 404 X\r\n\r\nMicrosoft Connect Test".into(),
            marker(),
            Failed(Cause::HttpStatus, Possible),
        ),
        ("Azure Firewall", DENY.into(), any(), blocked()),
        ("Azure Firewall, older", forbidden, any(), blocked()),
        ("portal", "HTTP/1.1 511 X\r\nContent-Length: 0\r\n\r\n".into(), any(), blocked()),
        ("proxy", "HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n".into(), any(), blocked()),
        ("junk version", "HTTP/9.9 000\r\n\r\n".into(), any(), violation()),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n".into(), any(), violation()),
        ("a thousand interim answers", interim.repeat(1000) + ok, any(), Healthy),
        (
            "an interim answer with headers",
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".to_owned() + ok,
            any(),
            Healthy,
        ),
        ("4999 headers", headers(4999, 1), any(), Healthy),
        ("5001 headers", headers(5001, 1), any(), violation()),
        ("a head of 250 KiB", headers(25, 10 * 1024), any(), Healthy),
        ("a head of 260 KiB", headers(26, 10 * 1024), any(), violation()),
        ("folded header", "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\td\r\nContent-Length: 0\r\n\r\n".into(), any(), Healthy),
        ("folded to nothing", "HTTP/1.1 200 OK\r\na:\r\n \r\nContent-Length: 0\r\n\r\n".into(), any(), Healthy),
        ("blanks around a header", "HTTP/1.1 200 OK\r\nContent-Length\t : \t 0 \t\r\n\r\n".into(), any(), Healthy),
        (
            "a blank before the first header",
            "HTTP/1.1 200 OK\r\n a: b\r\nContent-Length: 0\r\n\r\n".into(),
            any(),
            Healthy,
        ),
        (
            "a line that is no header",
            "HTTP/1.1 200 OK\r\nno header at all\r\nA(b): c\r\nContent-Length: 0\r\n\r\n".into(),
            any(),
            Healthy,
        ),
        ("bare line feeds", "HTTP/1.1 200 OK\na: b\n c\nContent-Length: 0\n\n".into(), any(), Healthy),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n".into(), any(), Healthy),
        (
            "unasked 101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n".into(),
            any(),
            violation(),
        ),
        (
            "unasked 101 after an interim answer",
            interim.to_owned() + "HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n",
            any(),
            violation(),
        ),
        ("NUL in a header", "HTTP/1.1 200 OK\r\na: \0\r\n\r\n".into(), any(), violation()),
        (
            "length too long",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok".into(),
            any(),
            Degraded(Cause::ProtocolViolation, Likely),
        ),
        (
            "length too long for a proof",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok".into(),
            marker(),
            Failed(Cause::ProtocolViolation, Likely),
        ),
        ("length too short", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok".into(), any(), Healthy),
        ("length negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".into(), any(), violation()),
        (
            "length twice",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok".into(),
            any(),
            violation(),
        ),
        ("length 2^64", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n".into(), any(), violation()),
        (
            "chunk overflow",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx".into(),
            any(),
            violation(),
        ),
        (
            "both lengths",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n".into(),
            any(),
            violation(),
        ),
        ("nothing", String::new(), any(), Failed(Cause::Reset, Likely)),
    ];
    for (name, bytes, proof, expected) in rows {
        let outcome = ask(&http(proof), canned(bytes).await, &Trust::none(), PATIENCE).await;
        assert_eq!(meant(&outcome), expected, "{name}: {:?}", outcome.evidence());
    }
}

#[tokio::test]
async fn the_request_names_the_agent_and_asks_for_nothing_special() {
    let (address, served) = serve(async |mut stream: TcpStream| {
        let head = read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\nServer: s\x80\r\n\r\n").await.expect("the client reads");
        head
    })
    .await;
    let outcome = ask(&http(Proof::AnyResponse), address, &Trust::none(), PATIENCE).await;
    let head = String::from_utf8(served.await.expect("the server ran")).expect("requests are text");
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
    for line in ["host: peer.example:8080", "connection: close", "user-agent: ase-agent/"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    for name in ["cookie", "authorization"] {
        assert!(!head.contains(name), "{name} in {head}");
    }
    let reply = reply(&outcome);
    assert_eq!(reply.answer.as_ref().and_then(|answer| answer.server.as_deref()), Some("s\\x80"));
    for phase in [Phase::Connect, Phase::Request, Phase::Response] {
        assert!(outcome.phases.of(phase).is_some(), "{phase:?}");
    }
}

#[tokio::test]
async fn endless_peers_are_cut_off() {
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\n";
    let page: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;";
    let rows = [
        ("header lines", ok, &b"a: b\r\n"[..], Proof::AnyResponse, violation()),
        ("one header", b"HTTP/1.1 200 OK\r\na: ", b"bbbb", Proof::AnyResponse, violation()),
        ("interim answers", b"", b"HTTP/1.1 100 Continue\r\n\r\n", Proof::AnyResponse, violation()),
        ("folds of one header", b"HTTP/1.1 200 OK\r\na: b\r\n", b" c\r\n", Proof::AnyResponse, violation()),
        ("extensions of one chunk", chunks, b"a=b;", Proof::AnyResponse, violation()),
        ("body", page, b"<b>\x1b[2J", Proof::AnyResponse, Expected::Healthy),
        (
            "body without the marker",
            page,
            b"<b>\x1b[2J",
            Proof::Contains("no".to_owned()),
            Expected::Failed(Cause::HttpStatus, Confidence::Possible),
        ),
    ];
    for (name, start, again, proof, expected) in rows {
        let (address, _served) = serve(async |mut stream: TcpStream| {
            read_head(&mut stream).await;
            flood(&mut stream, start, again).await;
        })
        .await;
        let outcome = ask(&http(proof), address, &Trust::none(), PATIENCE).await;
        assert_eq!(meant(&outcome), expected, "{name}: {:?}", outcome.evidence());
        assert!(outcome.evidence().iter().all(|line| line.len() < 3000 && !line.contains('\x1b')), "{name}");
        let body = reply(&outcome).answer.as_ref().map_or(0, |answer| answer.body_len);
        assert!(body <= 128 * 1024, "{name}: {body} bytes were read");
    }
}

#[tokio::test]
async fn a_drip_is_slow_and_silence_is_not() {
    let rows: [(&[u8], &[u8], Cause, Phase); 4] = [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", Cause::Slow, Phase::Response),
        (b"HTTP/1.1 200 OK\r\na: ", b"x", Cause::Slow, Phase::Response),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"", Cause::Dropped, Phase::Response),
        (b"", b"", Cause::Dropped, Phase::Request),
    ];
    for (start, drop, cause, phase) in rows {
        let (address, _served) = serve(async |mut stream: TcpStream| {
            read_head(&mut stream).await;
            let mut next = stream.write_all(start).await;
            let mut drip = tokio::time::interval(Duration::from_millis(50));
            while next.is_ok() {
                drip.tick().await;
                next = stream.write_all(drop).await;
            }
        })
        .await;
        let outcome = ask(&http(Proof::Contains("y".to_owned())), address, &Trust::none(), IMPATIENCE).await;
        let finding = outcome.verdict.finding().expect("nothing is proved");
        assert_eq!((finding.cause, finding.phase), (cause, phase), "{:?}", outcome.evidence());
        assert_eq!(finding.confidence, Confidence::Possible);
    }
}

#[tokio::test]
async fn a_reset_before_the_answer_is_a_reset() {
    let (address, _served) = serve(async |mut stream: TcpStream| {
        read_head(&mut stream).await;
        reset(stream);
    })
    .await;
    let outcome = ask(&http(Proof::AnyResponse), address, &Trust::none(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::Reset, Confidence::Likely));
    assert!(outcome.evidence()[0].contains("ECONNRESET"), "{:?}", outcome.evidence());
}

#[tokio::test]
async fn a_revocation_list_proves_its_server_until_it_is_overdue() {
    let authority = Authority::new("CRL \u{7} CA");
    let answer = |body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let good = authority.revocation_list(2020, 2099);
    let stale = authority.revocation_list(2020, 2021);
    let padded = [good.as_slice(), b"x"].concat();
    let huge = [&[0x30, 0x83, 0x20, 0, 0][..], &vec![0; 0x0020_0000][..]].concat();
    let possible = |cause| Expected::Failed(cause, Confidence::Possible);
    let rows = [
        ("good", answer(&good), Expected::Healthy),
        ("stale", answer(&stale), Expected::Degraded(Cause::HttpStatus, Confidence::Possible)),
        ("huge", answer(&huge), Expected::Degraded(Cause::HttpStatus, Confidence::Possible)),
        ("padded", answer(&padded), possible(Cause::HttpStatus)),
        ("cut", answer(&good[..good.len() - 1]), possible(Cause::HttpStatus)),
        ("page", answer(b"<html>welcome</html>"), possible(Cause::HttpStatus)),
    ];
    for (name, bytes, expected) in rows {
        let outcome = ask(&http(Proof::Crl), canned(bytes).await, &Trust::none(), PATIENCE).await;
        assert_eq!(meant(&outcome), expected, "{name}: {:?}", outcome.evidence());
        let lines = outcome.evidence().join("\n");
        if name == "good" {
            assert!(lines.contains("CRL of CN=CRL \\x07 CA") && lines.contains("2099-01-01"), "{lines}");
        }
        if name == "stale" {
            assert!(lines.contains("next update was due 2021-01-01T00:00:00Z"), "{lines}");
        }
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_blames_this_machine() {
    let asked = Question { host: "no host".to_owned(), ..question(Scheme::Http, Proof::AnyResponse) };
    let secure = Question { scheme: Scheme::Https(Verify::Full), ..asked.clone() };
    for asked in [asked, secure] {
        let outcome = ask(&Probe::Http(asked), canned("").await, &Trust::none(), PATIENCE).await;
        let finding = outcome.verdict.finding().expect("nothing was asked");
        assert_eq!(finding.cause, Cause::LocalSetup);
        assert!(matches!(outcome.verdict, Verdict::Inconclusive(_)));
    }
}

#[tokio::test]
async fn the_peers_clock_is_compared_with_ours() {
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + crate::clock::wall() + Duration::from_secs(3600));
    let address = canned(format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n")).await;
    let outcome = ask(&http(Proof::AnyResponse), address, &Trust::none(), PATIENCE).await;
    let offset = reply(&outcome).answer.as_ref().and_then(|answer| answer.clock_offset).expect("a date came");
    assert!((3590.0..=3600.0).contains(&offset), "{offset}");
    assert!(outcome.evidence().iter().any(|line| line.contains("minus ours: +3")), "{:?}", outcome.evidence());
}
