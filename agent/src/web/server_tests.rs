//! Drives the web server over loopback with a client that sees every byte.
#![allow(clippy::disallowed_methods, reason = "the client of the tests needs a plain connection, not a probe")]

use std::net::SocketAddr;

use axum::{body::Body, http::Request};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    sample,
    web::{
        accepting::{self, HEAD_LIMIT, Limits},
        connection::Patience,
    },
};

struct Server {
    address: SocketAddr,
    snapshots: watch::Sender<Arc<Snapshot>>,
    commands: mpsc::Receiver<Command>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    tally: Arc<accepting::Tally>,
}

async fn start(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let address = listener.local_addr().expect("bound above");
    let (snapshots, receiver) = watch::channel(Arc::new(sample::snapshot()));
    let (sender, commands) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let live = Live::new(receiver.clone(), None);
    let site = site(receiver, sender, live.clone());
    tokio::spawn(live.follow());
    let tally = Arc::clone(&site.tally);
    let task = tokio::spawn(accepting::serve(listener, site, limits, shutdown));
    Server { address, snapshots, commands, stop, task, tally }
}

/// Sends these bytes and returns everything that comes back until the server closes.
async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the server closes in order");
    String::from_utf8(answer).expect("every answer is text")
}

async fn ask(server: &Server, method: &str, path: &str) -> (u16, String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    let answer = send(server.address, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn each_path_answers_with_its_reader() {
    let server = start(Limits::default()).await;
    let (status, head, body) = ask(&server, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let series = metrics::render(&sample::snapshot(), VERSION);
    assert!(body.starts_with(&series) && body[series.len()..].contains("ase_agent_render_seconds_count"), "{body}");

    let (status, head, body) = ask(&server, "GET", "/api/v1/status").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, json::to_json(&sample::snapshot(), VERSION));

    let (status, head, body) = ask(&server, "GET", "/").await;
    assert_eq!(status, 200);
    assert!(head.contains("text/html") && head.contains("content-security-policy"), "{head}");
    assert!(body.contains("href=\"./metrics\"") && body.contains("lost something critical: sql"), "{body}");

    assert_eq!(ask(&server, "GET", "/-/healthy").await.2, "Healthy\n");
    let packed = "GET /metrics HTTP/1.0\r\nhost: 127.0.0.1\r\naccept-encoding: gzip\r\n\r\n";
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    stream.write_all(packed.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the server closes in order");
    assert!(String::from_utf8_lossy(&answer).to_ascii_lowercase().contains("content-encoding: gzip"));
    let (status, _, body) = ask(&server, "HEAD", "/metrics").await;
    assert_eq!((status, body.as_str()), (200, ""));
}

#[tokio::test]
async fn ready_follows_the_snapshot() {
    let server = start(Limits::default()).await;
    assert_eq!(ask(&server, "GET", "/-/ready").await.0, 200);
    server.snapshots.send_modify(|snapshot| Arc::make_mut(snapshot).agent.ready = false);
    assert_eq!(ask(&server, "GET", "/-/ready").await.0, 503);
    assert_eq!(ask(&server, "GET", "/-/healthy").await.0, 200);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_apart() {
    let server = start(Limits::default()).await;
    for path in ["/nothing", "/metrics/", "/-/quit", "/api/v1/"] {
        assert_eq!(ask(&server, "GET", path).await.0, 404, "{path}");
    }
    let (status, head, _) = ask(&server, "GET", "/-/reload").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: post"), "{head}");
    assert_eq!(ask(&server, "POST", "/metrics").await.0, 405);
}

#[tokio::test]
async fn reload_hands_the_answer_of_the_loop_to_the_client() {
    let mut server = start(Limits::default()).await;
    for (answer, status, said) in [
        (Ok(()), 200, "reloaded\n"),
        (Err("agent.yml:3: timeout (8s) must be shorter than interval (5s)".to_owned()), 500, "agent.yml:3: timeout"),
    ] {
        let request = "POST /-/reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let client = tokio::spawn(send(server.address, request));
        let Some(Command::Reload(reply)) = server.commands.recv().await else { panic!("a command is due") };
        reply.send(answer).expect("the client waits");
        let answer = client.await.expect("the client does not panic");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(said), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_ends_its_side_behind_its_request_gets_its_answer() {
    let mut server = start(Limits::default()).await;
    let mut client = TcpStream::connect(server.address).await.expect("the server listens");
    let request = b"POST /-/reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n";
    client.write_all(request).await.expect("the server reads");
    client.shutdown().await.expect("one side can be ended");
    let Some(Command::Reload(reply)) = server.commands.recv().await else { panic!("a command is due") };
    // While others are answered the server sees that the side has ended.
    for _ in 0..5 {
        assert_eq!(ask(&server, "GET", "/-/healthy").await.0, 200);
    }
    reply.send(Ok(())).expect("the request still waits");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("the server closes in order");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("reloaded\n"), "{answer}");
}

#[tokio::test]
async fn a_reload_that_another_site_asks_for_is_refused() {
    let mut server = start(Limits::default()).await;
    for (headers, status) in [
        ("host: evil.example\r\n", 403),
        ("host: 127.0.0.1\r\norigin: http://evil.example\r\n", 403),
        ("host: localhost\r\nsec-fetch-site: cross-site\r\n", 403),
    ] {
        let request = format!("POST /-/reload HTTP/1.1\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
        let answer = send(server.address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
    }
    assert!(server.commands.try_recv().is_err(), "nothing was asked of the loop");
}

#[tokio::test]
async fn reload_of_a_loop_that_is_gone_fails_at_once() {
    let mut server = start(Limits::default()).await;
    server.commands.close();
    let (status, _, body) = ask(&server, "POST", "/-/reload").await;
    assert_eq!((status, body.as_str()), (500, "the agent is stopping\n"));
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_cut() {
    let limits = Limits { head: Duration::from_millis(100), ..Limits::default() };
    let server = start(limits).await;
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ").await.expect("the server reads");
    let mut answer = Vec::new();
    let ended = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the server must close the connection");
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = start(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    let head = format!("GET / HTTP/1.1\r\nx-large: {}", "a".repeat(2 * HEAD_LIMIT));
    stream.write_all(head.as_bytes()).await.expect("the kernel takes it");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer comes before the head is whole");
    assert_eq!(&start, b"HTTP/1.1 431");
}

#[tokio::test]
async fn silent_clients_make_room_for_one_that_asks() {
    let limits = Limits { connections: 4, head: Duration::from_secs(600), ..Limits::default() };
    let server = start(limits).await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(server.address).await.expect("every client is accepted"));
    }
    let (status, _, body) = ask(&server, "GET", "/metrics").await;
    assert_eq!(status, 200);
    let shed = body.lines().find_map(|line| line.strip_prefix("ase_agent_web_connections_shed_total "));
    assert_eq!(shed, Some("63"), "each but two had to go for the next");
    let mut first = silent.swap_remove(0);
    assert_eq!(first.read(&mut [0]).await.expect("the server closes in order"), 0);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let answer = Patience { stall: Duration::from_millis(50), whole: Duration::from_secs(600) };
    let server = start(Limits { answer, ..Limits::default() }).await;
    server.snapshots.send_replace(Arc::new(sample::large(10_000)));
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.expect("the server reads");
    let is_open = || server.tally.open.load(std::sync::atomic::Ordering::Relaxed) > 0;
    let accepted_and_cut = async {
        for state in [true, false] {
            while is_open() != state {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    timeout(Duration::from_secs(30), accepted_and_cut).await.expect("it is cut");
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(answer.len() < metrics::render(&sample::large(10_000), VERSION).len(), "it got a part and no more");
}

#[tokio::test]
async fn a_slow_client_goes_for_one_that_asks_while_much_is_under_way() {
    let long = Duration::from_secs(600);
    let limits =
        Limits { answer: Patience { stall: long, whole: long }, head: long, lifetime: long, ..Limits::default() };
    let server = start(limits).await;
    server.snapshots.send_replace(Arc::new(sample::large(10_000)));
    // Nobody comes later than these two.
    let mut asks = TcpStream::connect(server.address).await.expect("the server listens");
    let mut slow = TcpStream::connect(server.address).await.expect("the server listens");
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.expect("the server reads");
    let request = b"GET /-/healthy HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    server.tally.under_way.fetch_add(32 << 20, std::sync::atomic::Ordering::Relaxed);
    let ask_until_alone = async {
        let mut answer = [0; 4096];
        while server.tally.open.load(std::sync::atomic::Ordering::Relaxed) > 1 {
            asks.write_all(request).await.expect("the server reads");
            assert!(asks.read(&mut answer).await.expect("the server answers") > 0);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), ask_until_alone).await.expect("the slow one goes");
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end() {
    let limits = Limits { lifetime: Duration::from_millis(50), ..Limits::default() };
    let server = start(limits).await;
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.expect("the server reads");
    let mut answer = String::new();
    let ended = timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
    assert!(ended.is_ok() && answer.contains("Healthy"), "{answer}");
}

#[tokio::test]
async fn shutdown_lets_an_answer_under_way_end() {
    let mut server = start(Limits::default()).await;
    let request = "POST /-/reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n";
    let client = tokio::spawn(send(server.address, request));
    let Some(Command::Reload(reply)) = server.commands.recv().await else { panic!("a command is due") };
    server.stop.send(()).expect("the server runs");
    reply.send(Ok(())).expect("the client waits");
    assert!(client.await.expect("the client does not panic").contains("reloaded"));
    server.task.await.expect("the server does not panic");
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn shutdown_is_bounded_by_the_drain() {
    let mut server = start(Limits { drain: Duration::from_millis(50), ..Limits::default() }).await;
    let client = tokio::spawn(send(server.address, "POST /-/reload HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"));
    let command = server.commands.recv().await.expect("a command is due");
    server.stop.send(()).expect("the server runs");
    let ended = timeout(Duration::from_secs(5), server.task).await;
    ended.expect("the drain bounds the end").expect("the server does not panic");
    client.abort();
    drop(command);
}

#[tokio::test]
async fn a_page_has_its_files_under_names_that_change_with_them_and_nothing_inline() {
    let server = start(Limits::default()).await;
    let (_, head, body) = ask(&server, "GET", "/").await;
    assert!(head.contains("script-src 'self'") && !head.contains("unsafe"), "{head}");
    assert!(
        !body.contains("style=") && !body.contains("onclick") && !body.contains("<style") && !body.contains("<script>")
    );
    let files: Vec<&str> = body.split('"').filter(|part| part.starts_with("./assets/")).collect();
    assert_eq!(files.len(), 3, "style, script and icon: {files:?}");
    for file in files {
        let (status, head, content) = ask(&server, "GET", file.trim_start_matches('.')).await;
        assert_eq!(status, 200, "{file}");
        assert!(head.contains("immutable") && !content.is_empty(), "{head}");
    }
    assert_eq!(ask(&server, "GET", "/assets/page-0.css").await.0, 404);
}

#[tokio::test]
async fn endpoints_and_incidents_have_pages_and_what_is_not_known_has_none() {
    let server = start(Limits::default()).await;
    let (status, _, body) = ask(&server, "GET", "/endpoint/168.63.129.16:53").await;
    assert!(status == 200 && body.contains("<h1>168.63.129.16:53</h1>"), "{body}");
    let (status, _, body) = ask(&server, "GET", "/incident/3").await;
    assert!(status == 200 && body.contains("<h1>TCP 1433 to every host:"), "{body}");
    let (_, _, body) = ask(&server, "GET", "/endpoint/nobody:1/udp/x").await;
    assert!(body.contains("href=\"../../../assets/"), "as far from the root as the browser has it: {body}");
    let (_, _, body) = ask(&server, "GET", "/endpoint/nobody:1%2Fudp/x").await;
    assert!(body.contains("href=\"../../assets/"), "what is escaped is no step, though the name is the same: {body}");
    let (_, _, body) = ask(&server, "GET", "/endpoint/nobody:1%2Fudp").await;
    assert!(body.contains("href=\"../assets/"), "what is escaped is no step: {body}");
    let since = sample::snapshot().incidents.open[0].since.as_secs();
    let (status, _, body) = ask(&server, "GET", &format!("/incident/dropped-{}.250", since + 30)).await;
    assert!(status == 200 && body.contains("<h1>TCP 1433 to every host:"), "as an alert links to it: {body}");
    let (early, other) = (format!("/incident/dropped-{}", since - 600), format!("/incident/refused-{since}"));
    for path in
        [&*early, &*other, "/endpoint/nobody:1", "/endpoint/%3Cscript%3E", "/incident/4", "/incident/%3Cscript%3E"]
    {
        let (status, head, body) = ask(&server, "GET", path).await;
        assert!(status == 404 && head.contains("text/html") && !body.contains("<script>"), "{path}: {body}");
    }
}

#[tokio::test]
async fn what_is_not_watched_has_nothing_read_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_keep, receiver) = watch::channel(Arc::new(sample::snapshot()));
    let live = Live::new(receiver.clone(), Some(folder.path().to_owned()));
    let _nobody_reads = live.occupy().await;
    let pages = TowerToHyperService::new(site(receiver, mpsc::channel(1).0, live.clone()).router);
    let request = Request::builder().uri("/endpoint/nobody:1").body(Body::empty()).expect("a request");
    let answer = timeout(Duration::from_secs(5), pages.call(request)).await.expect("it waits for nothing");
    assert_eq!(answer.expect("a router never fails").status(), StatusCode::NOT_FOUND);
}

/// The course follows the snapshots at its own pace, and a page may be asked for before.
#[tokio::test]
async fn the_first_page_shows_the_last_visits_of_its_own_snapshot() {
    let (_keep, receiver) = watch::channel(Arc::new(sample::snapshot()));
    let live = Live::new(receiver.clone(), None);
    let pages = TowerToHyperService::new(site(receiver, mpsc::channel(1).0, live).router);
    let request = Request::builder().uri("/").body(Body::empty()).expect("a request");
    let answer = pages.call(request).await.expect("a router never fails");
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a page is there");
    let page = std::str::from_utf8(&body).expect("a page is text");
    assert!(page.contains("aria-label=\"last 1 visits, 0 failed; "), "{page}");
}

/// Reads the stream of changes until it fits.
async fn hear(stream: &mut TcpStream, fits: impl Fn(&str) -> bool) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let until = async {
        while !fits(&String::from_utf8_lossy(&bytes)) {
            let read = stream.read(&mut piece).await.expect("the stream goes on");
            assert!(read > 0, "the stream ended: {}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&piece[..read]);
        }
    };
    timeout(Duration::from_secs(20), until).await.expect("the message comes");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn an_open_page_is_told_what_changed_and_let_go_at_the_end() {
    let server = start(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: agent\r\n\r\n").await.expect("the server reads");
    let head = hear(&mut stream, |text| text.contains("\"whole\":true")).await;
    assert!(head.to_ascii_lowercase().contains("content-type: text/event-stream"), "{head}");
    server.snapshots.send_modify(|snapshot| {
        let snapshot = Arc::make_mut(snapshot);
        (snapshot.agent.vantage, snapshot.at) = ("another place".to_owned(), snapshot.at + Duration::from_secs(1));
    });
    let ends = |text: &str| text.contains("another place") && text.ends_with("\n\n\r\n");
    let message = hear(&mut stream, ends).await;
    assert!(message.contains("\"answer\":") && !message.contains("\"dns\":"), "only what changed: {message}");
    drop(server.snapshots);
    hear(&mut stream, |text| text.ends_with("0\r\n\r\n")).await;
}
