//! Independent clients see in the simulators' moods what the moods say: dig, curl, openssl and chronyd.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::Arc,
};

use ase_lab::{
    authority::Authority,
    sim::{
        Behaviour, End, Front, Running,
        dns::{self, Breakage, EdnsRefusal, Entry, Stream, Zone},
        ntp, web,
        world::{Shift, World},
    },
};
use tokio::runtime::Runtime;

use crate::process::{accepts, free_port, require, run, wait_for};

const DAY: i64 = 86_400;

/// A simulator on a free port of loopback, whose mood a test changes.
struct Lab<T> {
    runtime: Runtime,
    running: Vec<Running>,
    port: u16,
    mood: Behaviour<T>,
}

impl<T: Clone + Default> Lab<T> {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        Self { runtime, running: Vec::new(), port: free_port(), mood: Behaviour::new(T::default()) }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Puts the server in this mood and runs a command; PORT stands for its port.
    fn sees(&self, mood: T, command: &str) -> (Option<i32>, String) {
        self.mood.set(mood);
        let command = command.replace("PORT", &self.port.to_string());
        let output = run(Command::new("sh").args(["-c", &format!("{command} 2>&1")]));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn must_see(&self, mood: T, command: &str, words: &str) {
        let (_, text) = self.sees(mood, command);
        assert!(text.contains(words), "{command}: no ({words}) in\n{text}");
    }
}

impl<T: Clone + Default> Lab<T> {
    /// The same for a mood in which nobody listens, and back: ports close and open a moment later.
    fn must_be_refused(&self, absent: T, command: &str, words: &str) {
        self.mood.set(absent.clone());
        wait_for("the port closes", || (!accepts(self.address())).then_some(()));
        self.must_see(absent, command, words);
        self.mood.set(T::default());
        wait_for("the port opens", || accepts(self.address()).then_some(()));
    }
}

fn name_server() -> Lab<dns::Mood> {
    let mut lab = Lab::new();
    let zone = Zone::from([("web.example".to_owned(), Entry::at([IpAddr::from([198, 18, 1, 1])]))]);
    let started = dns::start(lab.address(), Behaviour::new(Arc::new(zone)), lab.mood.clone());
    lab.running = lab.runtime.block_on(started).expect("the server starts");
    lab
}

#[test]
fn dig_sees_every_dns_mood() {
    if !require("dig", "dnsutils") {
        return;
    }
    let lab = name_server();
    let names = vec!["web.example".to_owned()];
    let dig = "dig +time=1 +tries=1 @127.0.0.1 -p PORT web.example";
    let broken = |how| dns::Mood::Broken { how };
    let intolerant = |refusal| dns::Mood::EdnsIntolerant { refusal };
    let lie = Zone::from([("web.example".to_owned(), Entry::at([IpAddr::from([0, 0, 0, 0])]))]);
    for (mood, words) in [
        (dns::Mood::Good, "198.18.1.1"),
        (dns::Mood::Silent, "timed out"),
        (dns::Mood::ServFail, "status: SERVFAIL"),
        (dns::Mood::Refuses, "status: REFUSED"),
        (dns::Mood::Fails { names: Vec::new() }, "status: SERVFAIL"),
        (dns::Mood::Denies { names: names.clone() }, "status: NXDOMAIN"),
        (dns::Mood::Denies { names: vec![".example".to_owned()] }, "status: NXDOMAIN"),
        (dns::Mood::Denies { names: vec!["other.example".to_owned()] }, "198.18.1.1"),
        (dns::Mood::Empties { names }, "ANSWER: 0, AUTHORITY: 1"),
        (dns::Mood::Says { names: lie }, "0.0.0.0"),
        (dns::Mood::Truncates { tcp: Stream::Answers }, "Truncated, retrying in TCP mode"),
        (dns::Mood::Truncates { tcp: Stream::Answers }, "198.18.1.1"),
        (dns::Mood::Truncates { tcp: Stream::Silent }, "timed out"),
        (intolerant(EdnsRefusal::FormErr), "status: FORMERR"),
        (intolerant(EdnsRefusal::BareFormErr), "status: FORMERR"),
        (intolerant(EdnsRefusal::NotImp), "status: NOTIMP"),
        (intolerant(EdnsRefusal::Silence), "timed out"),
        (broken(Breakage::WrongId), "ID mismatch"),
        (broken(Breakage::WrongQuestion), "Question section mismatch"),
        (broken(Breakage::Short), "malformed"),
        (broken(Breakage::Counts), "malformed"),
        (broken(Breakage::PointerLoop), "bad"),
        (dns::Mood::Chains { length: 12, wide: false }, "link12.web.example."),
        (dns::Mood::Twice, "198.18.1.1"),
        (dns::Mood::Slow { milliseconds: 300 }, "198.18.1.1"),
    ] {
        lab.must_see(mood, dig, words);
    }
    let wide = dns::Mood::Chains { length: 14, wide: true };
    lab.must_see(wide.clone(), &format!("{dig} +noedns +ignore"), "flags: qr tc rd");
    lab.must_see(wide.clone(), &format!("{dig} +bufsize=1232 +ignore"), "flags: qr rd");
    lab.must_see(wide, &format!("{dig} +noedns"), "link14");
    lab.must_see(intolerant(EdnsRefusal::BareFormErr), &format!("{dig} +noedns"), "198.18.1.1");
    lab.must_be_refused(dns::Mood::Absent, dig, "refused");
    lab.must_be_refused(dns::Mood::Truncates { tcp: Stream::Refused }, dig, "refused");
    lab.must_be_refused(dns::Mood::UdpOnly { tcp: Stream::Refused }, &format!("{dig} +tcp"), "refused");
    lab.must_see(
        dns::Mood::Rewrites { address: IpAddr::from([198, 18, 9, 9]), lost: Vec::new() },
        &dig.replace("web", "nonce"),
        "198.18.9.9",
    );
    let twice = "dig +short +time=1 +tries=1 @127.0.0.1 -p PORT web.example";
    lab.must_see(dns::Mood::RateLimited { per_second: 1 }, &format!("{twice}; {twice}"), "timed out");
}

/// A web front end for `localhost`, its authority's file, and the world it lives in.
fn front(is_tls: bool) -> (Lab<web::Mood>, tempfile::TempDir, World) {
    let mut lab = Lab::new();
    let world = World::default();
    let authority = Arc::new(Authority::in_world("e2e root", world.clone()).expect("an authority can be made"));
    let inspector = Arc::new(Authority::new("e2e inspector").expect("an authority can be made"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder is writable");
    let front = Front { authority, inspector, name: "localhost".to_owned() };
    let (address, mood) = (lab.address(), lab.mood.clone());
    let started = if is_tls {
        lab.runtime.block_on(web::start_https(address, front, mood))
    } else {
        lab.runtime.block_on(web::start_http(address, front, mood))
    };
    lab.running.push(started.expect("the front end starts"));
    (lab, folder, world)
}

fn page(status: u16, body: &str) -> web::Page {
    web::Page { status, headers: [("Via".to_owned(), "1.1 proxy".to_owned())].into(), body: body.to_owned() }
}

#[test]
fn curl_sees_every_http_mood() {
    if !require("curl", "curl") {
        return;
    }
    let (lab, _folder, world) = front(false);
    let curl = "curl -sS -i -m 3 http://localhost:PORT/connecttest.txt";
    let other = "curl -sS -i -m 3 -H 'Host: other.example' http://localhost:PORT/";
    let after = |end| web::Mood::AfterRequest { end };
    for (mood, command, words) in [
        (web::Mood::Good, curl, "Microsoft Connect Test"),
        (web::Mood::Good, other, "404 Not Found"),
        (web::Mood::FirewallDenies, curl, "HTTP/1.1 470 status code 470\r\n"),
        (web::Mood::FirewallDenies, curl, "Content-Length: 70\r\n"),
        (
            web::Mood::FirewallDeniesOldText,
            curl,
            "to localhost:80. Url: localhost/connecttest.txt. Action: Deny. No rule",
        ),
        (web::Mood::Blocks(page(403, "blocked")), other, "403 Forbidden"),
        (web::Mood::Answers(page(403, "real")), other, "404 Not Found"),
        (web::Mood::Answers(page(429, "real")), curl, "via: 1.1 proxy"),
        (web::Mood::Unavailable, curl, "503 Service Unavailable"),
        (web::Mood::Truncated, curl, "(18)"),
        (web::Mood::Drips { milliseconds: 500 }, curl, "(28)"),
        (web::Mood::Silent, curl, "(28)"),
        (after(End::Close), curl, "(52)"),
        (after(End::Reset), curl, "(56)"),
        (web::Mood::Raw { text: "HTTP/9.9 000\r\n\r\n".to_owned(), end: End::Close }, curl, "(1)"),
    ] {
        lab.must_see(mood, command, words);
    }
    lab.must_be_refused(web::Mood::Absent, curl, "(7)");
    world.shift(Shift { shift_seconds: -400 * DAY });
    let (_, past) = lab.sees(web::Mood::Good, curl);
    world.shift(Shift { shift_seconds: 0 });
    let (_, present) = lab.sees(web::Mood::Good, curl);
    let date = |text: &str| text.lines().find_map(|line| line.strip_prefix("date: ").map(str::to_owned));
    assert!(date(&past).is_some() && date(&past) != date(&present), "{past}{present}");
}

#[test]
fn openssl_sees_every_revocation_list() {
    if !require("curl", "curl") || !require("openssl", "openssl") {
        return;
    }
    let (lab, _folder, _) = front(false);
    let list = "curl -sS -m 3 http://localhost:PORT/x.crl | openssl crl -inform DER -noout -nextupdate";
    let year = |mood| lab.sees(mood, list).1.trim().to_owned();
    let (good, overdue) = (year(web::Mood::Good), year(web::Mood::CrlOverdue { days: 400 }));
    assert!(good.starts_with("nextUpdate=") && overdue.starts_with("nextUpdate=") && good != overdue);
    lab.must_see(web::Mood::CrlGarbled, list, "Could not");
}

#[test]
fn openssl_sees_every_tls_mood() {
    if !require("openssl", "openssl") {
        return;
    }
    let (lab, folder, world) = front(true);
    let ca = folder.path().join("ca.pem");
    let openssl = format!(
        "timeout 2 openssl s_client -connect 127.0.0.1:PORT -servername localhost -verify_hostname localhost -CAfile {} </dev/null",
        ca.display()
    );
    let certificate = |flaw| web::Mood::Certificate { flaw };
    let cuts = |end| web::Mood::Cuts { end, only: Vec::new() };
    use ase_lab::authority::Flaw;
    for (mood, words) in [
        (web::Mood::Good, "Verify return code: 0 (ok)"),
        (web::Mood::Tls12Only, "TLSv1.2"),
        (web::Mood::Alerts { number: 40 }, "SSL alert number 40"),
        (web::Mood::Alerts { number: 49 }, "SSL alert number 49"),
        (web::Mood::Alerts { number: 70 }, "SSL alert number 70"),
        (web::Mood::Alerts { number: 80 }, "SSL alert number 80"),
        (web::Mood::Alerts { number: 112 }, "SSL alert number 112"),
        (certificate(Flaw::Expired), "certificate has expired"),
        (certificate(Flaw::NotYetValid), "certificate is not yet valid"),
        (certificate(Flaw::WrongName { name: "other.example".to_owned() }), "hostname mismatch"),
        (certificate(Flaw::SelfSigned), "self-signed certificate"),
        (certificate(Flaw::Large), "Verify return code: 0 (ok)"),
        (web::Mood::Inspected, "i:CN = e2e inspector"),
        (web::Mood::Inspected, "TLSv1.2"),
        (web::Mood::InClear(page(400, "plain")), "wrong version number"),
        (cuts(End::Close), "unexpected eof"),
        (cuts(End::Reset), "errno=104"),
        (web::Mood::Cuts { end: End::Close, only: vec!["other.example".to_owned()] }, "Verify return code: 0 (ok)"),
    ] {
        lab.must_see(mood, &openssl, words);
    }
    for (days, words) in [(400, "certificate is not yet valid"), (-400, "certificate has expired")] {
        world.shift(Shift { shift_seconds: days * DAY });
        lab.must_see(web::Mood::Good, &openssl, words);
    }
    let (status, _) = lab.sees(cuts(End::Silence), &openssl);
    assert_eq!(status, Some(124), "silence lasts until the client gives up");
    world.shift(Shift { shift_seconds: 0 });
    let curl = format!("curl -sS -k --http1.1 -i -m 3 --cacert {} https://localhost:PORT/", ca.display());
    lab.must_see(web::Mood::InspectedDenies, &curl, "470 status code 470");
    let h2 = curl.replace("--http1.1", "--http2-prior-knowledge");
    lab.must_see(web::Mood::Http2Only, &h2, "HTTP/2 200");
}

#[test]
fn chronyd_sees_every_ntp_mood() {
    if !require("chronyd", "chrony") {
        return;
    }
    let mut lab = Lab::new();
    let world = World::default();
    let started = ntp::start(lab.address(), lab.mood.clone(), world.clone());
    lab.running.push(lab.runtime.block_on(started).expect("the server starts"));
    let query = "chronyd -Q -t 3 -f /dev/null 'server 127.0.0.1 port PORT iburst maxsamples 1'";
    let claims = |claims| ntp::Mood::Claims(claims);
    let kiss = |code: &str| ntp::Mood::Kiss { code: code.to_owned() };
    for (mood, words) in [
        (ntp::Mood::Wrong { seconds: 7.25 }, "wrong by 7.2"),
        (ntp::Mood::StraysFirst { count: 3 }, "wrong by"),
        (ntp::Mood::Twice, "wrong by"),
        (claims(ntp::Claims { leap: 1, ..ntp::Claims::default() }), "wrong by"),
        (claims(ntp::Claims { stratum: 16, ..ntp::Claims::default() }), "Timeout reached"),
        (claims(ntp::Claims { root_dispersion: 20.0, ..ntp::Claims::default() }), "Timeout reached"),
        (kiss("DENY"), "Timeout reached"),
        (ntp::Mood::Unsynchronised, "Timeout reached"),
        (ntp::Mood::WrongOrigin, "Timeout reached"),
        (ntp::Mood::NoTimestamps, "Timeout reached"),
        (ntp::Mood::Short, "Timeout reached"),
    ] {
        // The sign of a small offset is chance.
        let (_, text) = lab.sees(mood.clone(), query);
        assert!(text.replace("by -", "by ").contains(&words.replace("by -", "by ")), "{mood:?}: {text}");
    }
    // Of several samples chronyd takes the one with the least delay, so that a busy machine costs no millisecond.
    let several = query.replace("-t 3", "-t 20").replace("maxsamples 1", "maxsamples 4");
    let (_, text) = lab.sees(ntp::Mood::Good, &several);
    assert!(text.replace("by -", "by ").contains("wrong by 0.000"), "{text}");
    world.shift(Shift { shift_seconds: 3600 });
    lab.must_see(ntp::Mood::Good, query, "wrong by 3600.");
}
