//! Servers that ordinary clients get along with: compressed bodies, long heads, HTTP/1.1 alone, drips, early answers.

use super::*;
use crate::http::redirect::location;
use flate2::{Compression as Level, write};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::Write as _;

const WELL: &str = "all is well";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("memory takes it")
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn what_a_compressed_body_says_is_read_where_it_can_be() {
    let (zip, damaged) = (gzip("status: all is well"), b"\x1f\x8b\x08junk".as_slice());
    let chunk = format!("{:x}\r\n", zip.len());
    let chunked = |coding: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{coding}\r\n\r\n");
        [head.as_bytes(), chunk.as_bytes(), &zip, b"\r\n0\r\n\r\n"].concat()
    };
    let possible = Confidence::Possible;
    for (name, bytes, expected, words) in [
        ("gzip", answer(200, "Content-Encoding: gzip\r\n", &zip), Expected::Healthy, "(gzip), although"),
        ("upper case", answer(200, "CONTENT-ENCODING: GZip\r\n", &zip), Expected::Healthy, "(gzip), although"),
        ("chunked", chunked("Content-Encoding: gzip\r\nTransfer-Encoding: chunked"), Expected::Healthy, "(gzip)"),
        ("transfer coding", chunked("Transfer-Encoding: gzip, chunked"), Expected::Healthy, "(gzip)"),
        (
            "plain after all",
            answer(200, "Content-Encoding: gzip\r\n", WELL.as_bytes()),
            Expected::Healthy,
            "cannot be read",
        ),
        (
            "another text",
            answer(200, "Content-Encoding: gzip\r\n", &gzip("no database")),
            Expected::Failed(Cause::HttpStatus, possible),
            "the body starts: no database",
        ),
        (
            "not known here",
            answer(200, "Content-Encoding: br\r\n", b"\x0b\x05\x80"),
            Expected::Degraded(Cause::HttpStatus, possible),
            "compressed (br), although none was asked for, and cannot be read here",
        ),
        (
            "damaged",
            answer(200, "Content-Encoding: gzip\r\n", damaged),
            Expected::Degraded(Cause::HttpStatus, possible),
            "cannot be read here",
        ),
        (
            "an error",
            answer(500, "Content-Encoding: br\r\n", b"\x0b\x05\x80"),
            Expected::Failed(Cause::HttpStatus, possible),
            "500",
        ),
    ] {
        let outcome = ask(&http(Proof::Contains(WELL.to_owned())), canned(bytes).await, &Trust::none(), PATIENCE).await;
        assert_eq!(meant(&outcome), expected, "{name}: {:?}", outcome.evidence());
        assert!(outcome.evidence().join("\n").contains(words), "{name}: {:?}", outcome.evidence());
    }
    let deny = gzip("Action: Deny. Reason: No rule matched. Proceeding with default action.");
    let page = canned(answer(200, "Content-Encoding: gzip\r\n", &deny)).await;
    let outcome = ask(&http(Proof::AnyResponse), page, &Trust::none(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::HttpBlocked, Confidence::Confirmed));
}

#[tokio::test]
async fn a_compressed_list_is_a_list_and_a_bomb_is_read_to_the_limit() {
    let list = Authority::new("CA").revocation_list(2020, 2099);
    let mut encoder = write::GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(&list).expect("memory takes it");
    let zipped = answer(200, "Content-Encoding: gzip\r\n", &encoder.finish().expect("memory takes it"));
    let outcome = ask(&http(Proof::Crl), canned(zipped).await, &Trust::none(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    let bomb = answer(200, "Content-Encoding: gzip\r\n", &gzip(&"b".repeat(50 << 20)));
    let outcome = ask(&http(Proof::Contains("end".to_owned())), canned(bomb).await, &Trust::none(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::HttpStatus, Confidence::Possible));
}

#[tokio::test]
async fn a_verified_peer_with_an_endless_head_is_not_lost_where_its_status_is_all_that_is_asked() {
    let authority = Authority::new("Test CA");
    let lost = || Expected::Failed(Cause::ProtocolViolation, Confidence::Confirmed);
    let odd = || Expected::Degraded(Cause::ProtocolViolation, Confidence::Confirmed);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "abcdefgh: b\r\n".repeat(5001));
    let long = "HTTP/1.1 200 OK\r\na: ".to_owned();
    for (proof, start, expected, limit) in [
        (Proof::AnyResponse, &many, odd(), "more than 5000 headers"),
        (Proof::Status(vec![200]), &long, odd(), "more than 256 KiB"),
        (Proof::Status(vec![204]), &long, lost(), "more than 256 KiB"),
        (Proof::Contains("x".to_owned()), &long, lost(), "more than 256 KiB"),
    ] {
        let config = authority.issue(NAME, 2020, 2099).server(&[]);
        let start = start.clone();
        let (address, _served) = serve(async move |stream: TcpStream| {
            let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            read_head(&mut stream).await;
            flood(&mut stream, start.as_bytes(), b"x").await;
        })
        .await;
        let probe = Probe::Http(question(Scheme::Https(Verify::Full), proof.clone()));
        let outcome = ask(&probe, address, &authority.trust(), PATIENCE).await;
        assert_eq!(meant(&outcome), expected, "{proof:?}: {:?}", outcome.evidence());
        assert!(outcome.evidence()[0].contains(limit), "{proof:?}: {:?}", outcome.evidence());
    }
}

/// An HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A peer that speaks HTTP/2 and answers the first request by these frames.
async fn framed(authority: &Authority, frames: Vec<u8>) -> SocketAddr {
    let config = authority.issue(NAME, 2020, 2099).server(&["h2", "http/1.1"]);
    let script = async move |stream: TcpStream| {
        let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else { return };
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("a preface comes");
        stream.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat()).await.expect("the client reads");
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("a request comes");
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).await.expect("a frame comes whole");
            if head[3] == 1 {
                break;
            }
        }
        stream.write_all(&frames).await.ok();
        drain(&mut stream).await;
    };
    serve(script).await.0
}

#[tokio::test]
async fn a_peer_that_wants_http1_says_so_in_two_ways_and_gets_it_when_asked_so() {
    let authority = Authority::new("Test CA");
    let reason = [0, 0, 0, 13];
    let goaway = [&[0, 0, 0, 0][..], &reason].concat();
    for (frames, wants) in
        [(frame(3, 0, 1, &reason), true), (frame(7, 0, 0, &goaway), true), (frame(3, 0, 1, &[0, 0, 0, 2]), false)]
    {
        let outcome = ask(&https(), framed(&authority, frames).await, &authority.trust(), PATIENCE).await;
        let odd = Expected::Degraded(Cause::ProtocolViolation, Confidence::Confirmed);
        assert_eq!(meant(&outcome), if wants { odd } else { violation() }, "{:?}", outcome.evidence());
        assert_eq!(reply(&outcome).wants_http1, wants, "{:?}", outcome.evidence());
    }
    let config = authority.issue(NAME, 2020, 2099).server(&["h2", "http/1.1"]);
    let (address, _served) = secured(config, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let mut asked = question(Scheme::Https(Verify::Full), Proof::AnyResponse);
    asked.session.http1_only = true;
    let outcome = ask(&Probe::Http(asked), address, &authority.trust(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
}

#[tokio::test]
async fn interim_answers_over_http2_are_passed_over() {
    let authority = Authority::new("Test CA");
    // A literal `:status` of 103 (RFC 7541 section 6.2.1 under index 8), and the indexed one of 200.
    let interim = frame(1, 4, 1, b"\x48\x03103");
    let frames = [interim.repeat(7), frame(1, 5, 1, &[0x88])].concat();
    let outcome = ask(&https(), framed(&authority, frames).await, &authority.trust(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
}

#[tokio::test]
async fn a_drip_ends_before_the_deadline_and_a_slow_service_that_keeps_in_touch_does_not() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let keeps_in_touch = [vec!["HTTP/1.1 102 Processing\r\n\r\n"; 5], vec![ok]].concat();
    let body = [vec!["HTTP/1.1 200 OK\r\n\r\n"], vec!["x"; 99]].concat();
    let head = [vec!["HTTP/1.1 200 OK\r\na: "], vec!["b"; 99]].concat();
    let slow = |lost: fn(Cause, Confidence) -> Expected| lost(Cause::Slow, Confidence::Possible);
    let rows = [
        (keeps_in_touch, Proof::AnyResponse, Expected::Healthy),
        (body.clone(), Proof::AnyResponse, slow(Expected::Degraded)),
        (body.clone(), Proof::Contains("y".to_owned()), slow(Expected::Failed)),
        (body, Proof::Contains("x".to_owned()), slow(Expected::Degraded)),
        (head, Proof::AnyResponse, slow(Expected::Failed)),
    ];
    let asked = rows.map(async |(parts, proof, expected)| {
        let (address, _served) = serve(async move |mut stream: TcpStream| {
            read_head(&mut stream).await;
            let mut drip = tokio::time::interval(Duration::from_millis(800));
            for part in parts {
                drip.tick().await;
                if stream.write_all(part.as_bytes()).await.is_err() {
                    break;
                }
            }
        })
        .await;
        let deadline = Duration::from_secs(60);
        let outcome = ask(&http(proof), address, &Trust::none(), deadline).await;
        assert_eq!(meant(&outcome), expected, "{:?}", outcome.evidence());
        assert!(outcome.phases.total() < deadline / 2, "{:?}", outcome.phases);
    });
    futures_util::future::join_all(asked).await;
}

#[tokio::test]
async fn an_answer_that_comes_before_the_question_is_none() {
    let authority = Authority::new("Test CA");
    let mut config = rustls::ServerConfig::clone(&authority.issue(NAME, 2020, 2099).server(&[]));
    config.send_half_rtt_data = true;
    // Bytes of the application may follow the server's flight at once (RFC 8446 section 2): no question is there yet.
    let (address, _served) = serve(async move |stream: TcpStream| {
        let mut session = rustls::ServerConnection::new(Arc::new(config)).expect("it has a certificate");
        let mut stream = stream.into_std().expect("a socket");
        stream.set_nonblocking(false).expect("a socket");
        session.read_tls(&mut stream).expect("a ClientHello comes");
        session.process_new_packets().expect("it is one");
        session.writer().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("memory takes it");
        session.write_tls(&mut stream).expect("the client reads");
        while session.wants_write() {
            session.write_tls(&mut stream).expect("the client reads");
        }
        stream.set_nonblocking(true).expect("a socket");
        drain(&mut TcpStream::from_std(stream).expect("a runtime")).await;
    })
    .await;
    let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
    assert_eq!(meant(&outcome), violation(), "{:?}", outcome.evidence());
    assert!(outcome.evidence()[0].contains("before it is asked"), "{:?}", outcome.evidence());
}

#[tokio::test]
async fn the_last_flight_of_a_handshake_leaves_together_with_the_question_so_that_nobody_speaks_between_them() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client comes");
        let mut session = rustls::ServerConnection::new(config).expect("it has a certificate");
        session.read_tls(&mut stream).expect("a ClientHello comes");
        session.process_new_packets().expect("it is one");
        while session.wants_write() {
            session.write_tls(&mut stream).expect("the client reads");
        }
        session.read_tls(&mut stream).expect("the last flight comes");
        session.process_new_packets().expect("it is one");
        let mut asked = [0; 4];
        let read = std::io::Read::read(&mut session.reader(), &mut asked).unwrap_or_default();
        asked[..read].to_vec()
    });
    drop(ask(&https(), address, &authority.trust(), PATIENCE).await);
    assert_eq!(served.join().expect("the server ran"), b"GET ", "what one read takes holds both");
}

#[tokio::test]
async fn a_redirect_brings_cookies_and_a_target_in_any_encoding() {
    let redirect = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/other\r\nLocation: /caf\xe9 x\r\nContent-Length: 0\r\n\r\n";
    let outcome = ask(&http(Proof::AnyResponse), canned(&redirect[..]).await, &Trust::none(), PATIENCE).await;
    let answer = reply(&outcome).answer.as_ref().expect("an answer came");
    let next =
        redirect_target(&question(Scheme::Http, Proof::AnyResponse), answer).expect("a redirect").expect("it is good");
    assert_eq!(next.path, "/caf%E9%20x");
    let (address, served) = serve(async |mut stream: TcpStream| {
        let head = read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("the client reads");
        String::from_utf8(head).expect("requests are text")
    })
    .await;
    let outcome = ask(&Probe::Http(next), address, &Trust::none(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy);
    let head = served.await.expect("the server ran");
    assert!(head.contains("GET /caf%E9%20x HTTP/1.1\r\n") && head.contains("cookie: a=1\r\n"), "{head}");
    let mut headers = ::http::HeaderMap::new();
    headers.insert(::http::header::LOCATION, ::http::HeaderValue::from_bytes("/\u{fc}".as_bytes()).expect("visible"));
    assert_eq!(location(&headers).as_deref(), Some("/\u{fc}"));
}

#[tokio::test]
async fn a_handshake_that_drips_is_slow_before_the_deadline() {
    let (address, _served) = serve(async |mut stream: TcpStream| {
        // A message of 16 MiB begins.
        let mut next = stream.write_all(b"\x16\x03\x03\x02\x00\x02").await;
        let mut drip = tokio::time::interval(Duration::from_millis(200));
        while next.is_ok() {
            drip.tick().await;
            next = stream.write_all(b"\0").await;
        }
    })
    .await;
    let outcome = ask(&https(), address, &Trust::none(), PATIENCE).await;
    let finding = outcome.verdict.finding().expect("nothing is proved");
    assert_eq!((finding.cause, finding.phase), (Cause::Slow, Phase::Tls), "{:?}", outcome.evidence());
    assert!(outcome.phases.total() < PATIENCE * 3 / 4, "{:?}", outcome.phases);
}

#[tokio::test]
async fn who_talks_nonsense_and_leaves_is_known_by_the_nonsense() {
    let authority = Authority::new("Test CA");
    let farewell = frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1]);
    for nonsense in [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), [frame(4, 0, 0, b""), farewell].concat()]
    {
        let config = authority.issue(NAME, 2020, 2099).server(&["h2"]);
        let (address, _served) = serve(async move |stream: TcpStream| {
            let mut stream = TlsAcceptor::from(config).accept(stream).await.expect("the client shakes hands");
            let mut bytes = [0; 4096];
            _ = stream.read(&mut bytes).await.expect("the client speaks");
            stream.write_all(&nonsense).await.ok();
            stream.shutdown().await.ok();
        })
        .await;
        let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
        assert_eq!(meant(&outcome), violation(), "{:?}", outcome.evidence());
    }
}

/// A server of one version of TLS that finds the client's second flight damaged: it sends its alert and cuts the
/// connection.
async fn refuses_the_second_flight(authority: &Authority, version: &'static SupportedProtocolVersion) -> SocketAddr {
    let identity = authority.issue(NAME, 2020, 2099);
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("ring has suites of this version")
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .expect("the key fits the certificate");
    let mut tls = ServerConnection::new(Arc::new(config)).expect("a good configuration");
    let script = async move |mut stream: TcpStream| {
        let mut bytes = [0; 16384];
        for is_damaged in [false, true] {
            let count = stream.read(&mut bytes).await.expect("the client sends a flight");
            bytes[count - 1] ^= u8::from(is_damaged);
            tls.read_tls(&mut &bytes[..count]).expect("memory can be read");
            assert_eq!(tls.process_new_packets().is_err(), is_damaged);
            let mut said = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut said).expect("memory takes it");
            }
            stream.write_all(&said).await.expect("the client is there");
        }
        reset(stream);
    };
    serve(script).await.0
}

#[tokio::test]
async fn an_alert_before_a_cut_is_read_in_both_versions_of_tls_each_time() {
    let authority = Authority::new("Test CA");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        // Whether the request meets a connection that still stands is chance.
        for _ in 0..16 {
            let address = refuses_the_second_flight(&authority, version).await;
            let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
            let evidence = outcome.evidence();
            assert_eq!(meant(&outcome), Expected::Failed(Cause::TlsRejected, Confidence::Confirmed), "{evidence:?}");
            assert!(evidence.iter().any(|line| line.contains("TLS alert 20 received")), "{version:?}: {evidence:?}");
        }
    }
}
