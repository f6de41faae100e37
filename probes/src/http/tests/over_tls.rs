//! HTTP over TLS: certificates that verify and those that do not, and peers that break the handshake.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;

use super::*;
use crate::tls::Invalid;

#[tokio::test]
async fn a_verified_certificate_and_an_answer_are_healthy() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&["http/1.1"]);
    let (address, served) = secured(config, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    assert!(served.await.expect("the server ran") > 0);
    let tls = reply(&outcome).tls.as_ref().expect("TLS came first");
    assert_eq!((tls.version, tls.alpn.as_deref()), (Some("TLS 1.3"), Some("http/1.1")));
    assert!(tls.prefix.is_empty() && tls.chain.len() == 1);
    let lines = outcome.evidence().join("\n");
    assert!(lines.contains("issued by CN=Test CA verifies until 2099-01-01T00:00:00Z"), "{lines}");
    for phase in [Phase::Connect, Phase::Tls, Phase::Request, Phase::Response] {
        assert!(outcome.phases.of(phase).is_some(), "{phase:?}");
    }
}

#[tokio::test]
async fn http2_is_spoken_where_the_peer_offers_it() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&["h2", "http/1.1"]);
    let (address, _served) = serve(async move |stream: TcpStream| {
        let stream = TlsAcceptor::from(config).accept(stream).await.expect("the client trusts us");
        let answer = async |request: http::Request<hyper::body::Incoming>| {
            let seen = format!("{} {}", request.uri(), request.headers().contains_key("connection"));
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(seen))))
        };
        let service = hyper::service::service_fn(answer);
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await
            .ok();
    })
    .await;
    let proof = Proof::Contains("https://peer.example:8080/a?b false".to_owned());
    let probe = Probe::Http(question(Scheme::Https(Verify::Full), proof));
    let outcome = ask(&probe, address, &authority.trust(), PATIENCE).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    assert_eq!(reply(&outcome).answer.as_ref().map(|answer| answer.version), Some("HTTP/2"));
}

#[tokio::test]
async fn an_unproved_http2_peer_cannot_outlive_the_deadline() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&["h2"]);
    let (address, served) = serve(async move |stream: TcpStream| {
        let mut stream = TlsAcceptor::from(config).accept(stream).await.expect("the client trusts us");
        drain(&mut stream).await
    })
    .await;
    let outcome = ask(&https(), address, &authority.trust(), IMPATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::Dropped, Confidence::Possible), "{:?}", outcome.evidence());
    let closed = tokio::time::timeout(PATIENCE, served).await.expect("the connection is closed with the probe");
    assert!(closed.expect("the server ran") > 0);
}

#[tokio::test]
async fn a_peer_that_breaks_http2_is_a_violation() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&["h2"]);
    let (address, _served) = secured(config, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
    assert_eq!(meant(&outcome), violation(), "{:?}", outcome.evidence());
}

#[tokio::test]
async fn a_block_page_inside_tls_is_a_block_page() {
    let authority = Authority::new("Corp Inspection CA");
    let config = authority.issue(NAME, 2020, 2099).server(&[]);
    let (address, _served) = secured(config, DENY.as_bytes()).await;
    let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::HttpBlocked, Confidence::Confirmed));
}

#[tokio::test]
async fn a_status_over_verified_tls_is_the_peers_own() {
    let authority = Authority::new("Test CA");
    let config = authority.issue(NAME, 2020, 2099).server(&[]);
    let (address, _served) = secured(config, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let probe = Probe::Http(question(Scheme::Https(Verify::Full), Proof::Contains("marker".to_owned())));
    let outcome = ask(&probe, address, &authority.trust(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::HttpStatus, Confidence::Confirmed));
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_recorded_and_gets_no_request() {
    let ours = Authority::new("Test CA");
    let inspector = Authority::new("Zscaler Intermediate Root CA");
    let other = Authority::new("Test CA 2");
    let rows = [
        (ours.issue(NAME, 2020, 2021), ours.trust(), Invalid::Expired, Cause::TlsCertInvalid),
        (ours.issue(NAME, 2098, 2099), ours.trust(), Invalid::NotYetValid, Cause::TlsCertInvalid),
        (ours.issue("other.example", 2020, 2099), ours.trust(), Invalid::WrongName, Cause::TlsCertInvalid),
        (other.issue(NAME, 2020, 2099), ours.trust(), Invalid::UnknownIssuer, Cause::TlsCertInvalid),
        (inspector.issue(NAME, 2020, 2099), ours.trust(), Invalid::UnknownIssuer, Cause::TlsIntercepted),
        (ours.issue(NAME, 2020, 2099), Trust::none(), Invalid::UnknownIssuer, Cause::LocalSetup),
    ];
    for (identity, trust, invalid, cause) in rows {
        let (address, served) = secured(identity.server(&["h2", "http/1.1"]), b"").await;
        let outcome = ask(&https(), address, &trust, PATIENCE).await;
        let finding = outcome.verdict.finding().expect("it does not verify");
        assert_eq!(finding.cause, cause, "{invalid:?}");
        assert_eq!(matches!(outcome.verdict, Verdict::Inconclusive(_)), cause == Cause::LocalSetup);
        let tls = reply(&outcome).tls.as_ref().expect("the handshake ran");
        assert_eq!((tls.invalid.as_ref(), tls.chain.len()), (Some(&invalid), 1));
        assert_eq!((tls.version, tls.alpn.as_deref()), (Some("TLS 1.3"), Some("h2")));
        assert_eq!(served.await.expect("the server ran"), 0, "a request was sent to an unverified peer");
    }
}

#[tokio::test]
async fn an_endpoint_known_by_address_needs_no_name() {
    let authority = Authority::new("Test CA");
    for (from, until, good) in [(2020, 2099, true), (2020, 2021, false)] {
        let config = authority.issue("other.example", from, until).server(&[]);
        let (address, _served) = secured(config, b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n").await;
        let asked =
            Question { host: "127.0.0.1".to_owned(), ..question(Scheme::Https(Verify::Chain), Proof::AnyResponse) };
        let outcome = ask(&Probe::Http(asked), address, &authority.trust(), PATIENCE).await;
        assert_eq!(outcome.verdict == Verdict::Healthy, good, "{:?}", outcome.evidence());
    }
}

#[tokio::test]
async fn a_chain_beyond_the_limit_is_a_violation() {
    let authority = Authority::new("Test CA");
    let mut identity = authority.issue(NAME, 2020, 2099);
    identity.chain.extend(std::iter::repeat_n(authority.der(), 10));
    let (address, _served) = secured(identity.server(&[]), b"").await;
    let outcome = ask(&https(), address, &authority.trust(), PATIENCE).await;
    assert_eq!(meant(&outcome), violation(), "{:?}", outcome.evidence());
}

#[tokio::test]
async fn each_answer_to_a_client_hello_has_its_meaning() {
    let alert: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
    let refused = "HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port";
    let rows: [(&str, &[u8], Expected); 5] = [
        ("alert", alert, Expected::Failed(Cause::TlsRejected, Confidence::Confirmed)),
        ("block page", DENY.as_bytes(), Expected::Failed(Cause::HttpBlocked, Confidence::Confirmed)),
        ("plain HTTP", refused.as_bytes(), violation()),
        ("banner", b"220 mail ready\r\n", violation()),
        ("close", b"", Expected::Failed(Cause::TlsBlocked, Confidence::Likely)),
    ];
    for (name, bytes, expected) in rows {
        let (address, _served) = serve(async |mut stream: TcpStream| {
            stream.read_u8().await.expect("a ClientHello comes");
            stream.write_all(bytes).await.ok();
            stream.shutdown().await.ok();
            drain(&mut stream).await;
        })
        .await;
        let outcome = ask(&https(), address, &Trust::none(), PATIENCE).await;
        assert_eq!(meant(&outcome), expected, "{name}: {:?}", outcome.evidence());
        let tls = reply(&outcome).tls.as_ref().expect("TLS was tried");
        assert_eq!(tls.prefix, bytes[..bytes.len().min(64)], "{name}");
    }
}

#[tokio::test]
async fn a_reset_or_silence_after_the_client_hello_is_a_blocked_name() {
    let (address, _served) = serve(async |mut stream: TcpStream| {
        stream.read_u8().await.expect("a ClientHello comes");
        reset(stream);
    })
    .await;
    let outcome = ask(&https(), address, &Trust::none(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::TlsBlocked, Confidence::Likely));
    let (address, _served) = serve(async |mut stream: TcpStream| drain(&mut stream).await).await;
    let outcome = ask(&https(), address, &Trust::none(), IMPATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::TlsBlocked, Confidence::Possible));
}

#[tokio::test]
async fn endless_tls_records_are_cut_off() {
    let rows: [(&str, &[u8]); 3] = [
        ("a certificate of 16 MiB", &[0x16, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff]),
        ("empty records", &[0x16, 3, 3, 0, 0]),
        ("warnings", &[0x15, 3, 3, 0, 2, 1, 112]),
    ];
    for (name, record) in rows {
        let (address, _served) = serve(async |mut stream: TcpStream| {
            stream.read_u8().await.expect("a ClientHello comes");
            flood(&mut stream, b"", record).await;
        })
        .await;
        let outcome = ask(&https(), address, &Trust::none(), PATIENCE).await;
        let finding = outcome.verdict.finding().expect("nothing is proved");
        let causes = [Cause::ProtocolViolation, Cause::TlsRejected];
        assert!(causes.contains(&finding.cause), "{name}: {:?}", outcome.evidence());
    }
}

#[tokio::test]
async fn the_same_address_can_be_asked_for_another_name() {
    let authority = Authority::new("Test CA");
    for (host, invalid) in [(NAME, None), ("other.example", Some(Invalid::WrongName))] {
        let config = authority.issue(NAME, 2020, 2035).server(&[]);
        let (address, _served) = secured(config, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let mut question = question(Scheme::Https(Verify::Full), Proof::AnyResponse);
        question.host = host.to_owned();
        let outcome = ask(&Probe::Http(question), address, &authority.trust(), PATIENCE).await;
        let tls = reply(&outcome).tls.as_ref().expect("a handshake");
        assert_eq!((tls.version.is_some(), &tls.invalid), (true, &invalid), "{host}");
    }
    let (address, served) = serve(async move |mut stream: TcpStream| {
        let head = read_head(&mut stream).await;
        stream.write_all(DENY.as_bytes()).await.expect("the client reads");
        head
    })
    .await;
    let mut question = question(Scheme::Http, Proof::AnyResponse);
    question.host = "other.example".to_owned();
    let outcome = ask(&Probe::Http(question), address, &Trust::none(), PATIENCE).await;
    assert_eq!(meant(&outcome), Expected::Failed(Cause::HttpBlocked, Confidence::Confirmed));
    let head = String::from_utf8(served.await.expect("the script ran")).expect("a head is text");
    assert!(head.to_ascii_lowercase().contains("host: other.example:8080\r\n"), "{head}");
}
