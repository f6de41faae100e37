//! Web servers that are odd and well, and those that are lost for another reason than it seems.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};

use ase_lab::authority::Authority;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

use super::{
    message::{Question, Reply},
    world::{World, close_gently, head},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const WEB: &str = "{host: web.example, class: http}";
const WEB_200: &str = "{host: web.example, class: http, expect: {status: [200]}}";
const WEB_WELL: &str = "{host: web.example, class: http, expect: {contains: all is well}}";
const HTTPS: &str = "{host: web.example, class: https}";
const PORTAL_200: &str = "{host: portal.corp.example, class: http, expect: {status: [200]}}";

fn well() -> Value {
    json!({"status": "healthy", "cause": null})
}

/// A world in which web.example has a web server at 20.1.1.1 that answers each head so.
fn web(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Option<World> {
    let world = World::new()?;
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, answer);
    Some(world)
}

/// The path of a request.
fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn redirect(to: &str, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n{more}Content-Length: 0\r\n\r\n").into_bytes()
}

/// A TLS server of one name with these protocols, and the configuration line by which its authority is trusted.
struct Secure {
    config: Arc<ServerConfig>,
    trusted: String,
}

impl Secure {
    fn new(world: &World, name: &str, protocols: &[&str]) -> Self {
        let authority = Authority::new("Field CA").expect("keys are made");
        let (chain, key) = authority.leaf_pem(name).expect("a leaf is made");
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .expect("the key fits the certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let file = world.file("ca.pem", authority.pem());
        Self { config: Arc::new(config), trusted: format!("ca: {{system: false, file: {}}}", file.display()) }
    }

    /// Serves what speaks inside; it is told whether that is HTTP/2.
    fn serve(
        &self,
        world: &World,
        ip: &str,
        inside: impl Fn(&mut StreamOwned<ServerConnection, TcpStream>, bool) + Send + Sync + 'static,
    ) {
        let config = Arc::clone(&self.config);
        world.tcp(ip, 443, move |mut socket| {
            let mut session = ServerConnection::new(Arc::clone(&config)).expect("it has a certificate");
            if session.complete_io(&mut socket).is_err() {
                return;
            }
            let speaks_http2 = session.alpn_protocol() == Some(b"h2");
            let mut stream = StreamOwned::new(session, socket);
            inside(&mut stream, speaks_http2);
            stream.conn.send_close_notify();
            drop(stream.flush());
            close_gently(&mut stream.sock);
        });
    }
}

#[test]
fn headers_that_are_folded_or_padded_are_read() {
    let heads: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src a;\r\n img-src b;\r\n\tfont-src c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nServer : odd \t\r\nX:\r\n  \r\nContent-Length\t:2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: 2\r\n\r\nok",
    ];
    for bytes in heads {
        let Some(world) = web(|_| bytes.to_vec()) else { return };
        world.check(WEB).exits(0).shows(&well());
        world.check(WEB_200).exits(0).shows(&well());
    }
}

#[test]
fn a_page_that_is_compressed_though_nobody_asked_is_read() {
    // `printf 'status: all is well' | gzip -n9 | xxd -i`
    let zip: [u8; 39] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0x2e, 0x49, 0x2c, 0x29, 0x2d, 0xb6, 0x52,
        0x48, 0xcc, 0xc9, 0x51, 0xc8, 0x2c, 0x56, 0x28, 0x4f, 0xcd, 0xc9, 0x01, 0x00, 0xae, 0x10, 0xc7, 0xc4, 0x13,
        0x00, 0x00, 0x00,
    ];
    let page = move |coding: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", zip.len());
        [head.as_bytes(), &zip].concat()
    };
    let Some(world) = web(move |head| {
        assert!(head.contains("accept-encoding: identity"), "{head}");
        page("gzip")
    }) else {
        return;
    };
    world.check(WEB_WELL).exits(0).shows(&well());
    let Some(world) = web(move |_| page("br")) else { return };
    world
        .check(WEB_WELL)
        .exits(2)
        .shows(&json!({"status": "degraded", "cause": "http_status"}))
        .says("comes compressed (br)")
        .never_says("http_blocked");
}

#[test]
fn a_health_page_that_says_no_is_the_services_own_word() {
    let sick = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 29\r\n\r\ncould not connect to database";
    let expected = json!({"status": "failed", "cause": "http_status", "side": "remote"});
    let Some(world) = web(|_| sick.into()) else { return };
    world.check(WEB_WELL).exits(1).shows(&expected).never_says("appliance").never_says("portal");
    let denied = "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nForbidden";
    let Some(world) = web(|_| denied.into()) else { return };
    world.check(WEB_200).exits(1).shows(&expected).never_says("appliance").never_says("portal");
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example", "app.example"]);
    for port in [80, 8080, 8081] {
        world.http("20.1.1.1", port, |_| sick.into());
    }
    let several = "{host: web.example, class: http, expect: {contains: all is well}}
        {host: app.example, class: http, expect: {contains: all is well}}
        {host: app.example, class: http, port: 8080, expect: {contains: all is well}}";
    world.check(several).exits(1).shows(&expected).never_says("appliance").never_says("portal");
}

#[test]
fn a_redirect_that_needs_its_cookie_gets_it() {
    let Some(world) = web(|head| match head.contains("cookie: seen=1") {
        true => OK.to_vec(),
        false => redirect("/", "Set-Cookie: seen=1; path=/; HttpOnly\r\n"),
    }) else {
        return;
    };
    world.check(WEB_200).exits(0).shows(&well());
    let Some(world) = web(|_| redirect("/", "")) else { return };
    world
        .check(WEB_200)
        .exits(1)
        .shows(&json!({"status": "failed", "cause": "http_status", "side": "remote"}))
        .says("redirects to itself")
        .never_says("portal");
    let Some(world) = web(|head| redirect(if path(head) == "/a" { "/b" } else { "/a" }, "Set-Cookie: x=1\r\n")) else {
        return;
    };
    world.check(WEB_200).exits(1).shows(&json!({"cause": "http_status", "side": "remote"})).says("in a circle");
}

/// A world whose names lead to private addresses, with HTTP at all of them and HTTPS at the portal's.
fn intranet(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Option<(World, String)> {
    let world = World::new()?;
    let zone = |asked: &Question| {
        let reply = Reply::to(asked);
        vec![
            match asked.name.as_str() {
                "portal.corp.example" => reply.address("10.0.0.20").address("fd00::20"),
                "sso.corp.example" => reply.address("10.0.0.5"),
                _ => reply.code(3),
            }
            .bytes(),
        ]
    };
    world.two_dns(zone, zone);
    let secure = Secure::new(&world, "portal.corp.example", &["http/1.1"]);
    let answer = Arc::new(answer);
    for ip in ["10.0.0.20", "fd00::20"] {
        let answer = Arc::clone(&answer);
        world.http(ip, 80, move |head| answer(head));
        secure.serve(&world, ip, |stream, _| {
            head(stream);
            drop(stream.write_all(OK));
        });
    }
    Some((world, secure.trusted))
}

#[test]
fn a_private_host_may_lead_to_its_own_https_and_nowhere_else_that_is_private() {
    let Some((world, trusted)) = intranet(|_| redirect("https://Portal.corp.example/", "")) else { return };
    world.check_with(PORTAL_200, &trusted).exits(0).shows(&well()).never_says("policy");
    let Some((world, trusted)) = intranet(|_| redirect("https://sso.corp.example/", "")) else { return };
    world.check_with(PORTAL_200, &trusted).exits(2).shows(&json!({"status": "unknown"})).says("addresses.allow");
    let Some((world, trusted)) = intranet(|_| redirect("http://169.254.169.254/metadata", "")) else { return };
    world.check_with(PORTAL_200, &trusted).exits(2).shows(&json!({"status": "unknown"}));
}

#[test]
fn a_redirect_target_is_encoded_as_ordinary_clients_do() {
    for (target, asked) in [
        ("/my page", "/my%20page"),
        ("/caf\u{e9}?q=\u{fc}", "/caf%C3%A9?q=%C3%BC"),
        ("/a b?c=d e#f g", "/a%20b?c=d%20e"),
        ("http://WEB.example/my%20page", "/my%20page"),
        ("deeper/./../page", "/page"),
    ] {
        let Some(world) = web(move |head| match path(head) {
            "/" => redirect(target, ""),
            there if there == asked => OK.to_vec(),
            _ => b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }) else {
            return;
        };
        world.check(WEB_200).exits(0).shows(&well());
    }
}

/// An HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Reads HTTP/2 until the first request is there.
fn read_request(stream: &mut impl Read) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24])?;
    loop {
        let mut start = [0; 9];
        stream.read_exact(&mut start)?;
        stream.read_exact(&mut vec![0; usize::from(start[1]) << 8 | usize::from(start[2])])?;
        if start[3] == 1 {
            return Ok(());
        }
    }
}

#[test]
fn a_server_that_wants_http1_is_asked_over_http1() {
    let reset = frame(3, 0, 1, &[0, 0, 0, 13]);
    let goaway = frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 13]);
    for end in [reset, goaway] {
        let Some(world) = World::new() else { return };
        world.plain_names(&["web.example"]);
        let secure = Secure::new(&world, "web.example", &["h2", "http/1.1"]);
        secure.serve(&world, "20.1.1.1", move |stream, speaks_http2| {
            if speaks_http2 {
                drop(stream.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat()));
                drop(read_request(stream).and_then(|()| stream.write_all(&end)));
            } else {
                head(stream);
                drop(stream.write_all(OK));
            }
        });
        world.check_with(HTTPS, &secure.trusted).exits(0).shows(&well());
    }
}

#[test]
fn a_long_head_is_read_and_one_that_is_too_long_costs_a_verified_server_nothing_but_a_word() {
    let links = |count: usize| -> String {
        (0..count).map(|number| format!("Link: </{number}.css>; rel=preload\r\n")).collect()
    };
    for headers in [links(120), links(900), format!("Set-Cookie: a={}\r\n", "b".repeat(20_000))] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok");
        let Some(world) = web(move |_| bytes.clone().into_bytes()) else { return };
        world.check(WEB).exits(0).shows(&well());
    }
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    let secure = Secure::new(&world, "web.example", &["http/1.1"]);
    let bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n", links(9000));
    secure.serve(&world, "20.1.1.1", move |stream, _| {
        head(stream);
        drop(stream.write_all(bytes.as_bytes()));
    });
    world
        .check_with(HTTPS, &secure.trusted)
        .exits(2)
        .shows(&json!({"status": "degraded", "cause": "protocol_violation"}))
        .says("more than 256 KiB before its body");
}

#[test]
fn three_redirects_to_a_page_are_three_and_four_are_more() {
    let chain = |last: usize| {
        move |head: &str| {
            let step = path(head).trim_start_matches("/step").parse().unwrap_or(0);
            if step >= last { OK.to_vec() } else { redirect(&format!("/step{}", step + 1), "") }
        }
    };
    let Some(world) = web(chain(3)) else { return };
    world.check(WEB_200).exits(0).shows(&well());
    let said = world.report(WEB_200);
    assert!(!said.text.contains("more than"), "{}", said.text);
    let Some(world) = web(chain(4)) else { return };
    let failed = json!({"status": "failed", "cause": "http_status", "side": "remote"});
    world.check(WEB_200).exits(1).shows(&failed).says("more than 3 redirects");
}

#[test]
fn interim_answers_are_passed_over_however_many_there_are() {
    for interim in ["HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"] {
        let Some(world) = web(move |_| [interim.repeat(7).as_bytes(), OK].concat()) else { return };
        world.check(WEB).exits(0).shows(&well());
        world.check(WEB_200).exits(0).shows(&well());
    }
}

#[test]
fn an_unasked_101_proves_nothing() {
    let Some(world) =
        web(|_| b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n".to_vec())
    else {
        return;
    };
    let violation = json!({"status": "failed", "cause": "protocol_violation"});
    world.check(WEB).exits(1).shows(&violation).says("101").never_says("intercepted");
}

#[test]
fn a_body_that_drips_is_not_waited_for() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.tcp("20.1.1.1", 80, |mut stream| {
        head(&mut stream);
        let mut next = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while next.is_ok() {
            thread::sleep(Duration::from_millis(400));
            next = stream.write_all(b"x");
        }
    });
    let timeout = "timeout: 60s";
    let of = |expect: &str| format!("{{host: web.example, class: http, interval: 120s, {timeout}{expect}}}");
    world
        .check(&of(""))
        .exits(2)
        .shows(&json!({"status": "degraded", "cause": "slow"}))
        .says("less than 64 bytes a second")
        .never_says("mtu_blackhole");
    world
        .check(&of(", expect: {contains: all is well}"))
        .exits(1)
        .shows(&json!({"status": "failed", "cause": "slow"}))
        .never_says("mtu_blackhole");
}
