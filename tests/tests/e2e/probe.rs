//! `probe` in a network of its own: every protocol message by message, with its meaning, and nothing secret in it.

use serde_json::Value;

use crate::{
    field::{
        message::{Question, Reply},
        pki::{Pki, Wish},
        world::{Said, World},
    },
    process::agent,
};

/// A policy that forbids one of the network's hosts.
const DENY: &str = "addresses: {deny: [20.1.1.3/32]}";

/// Runs `probe` with these words and further lines of configuration.
fn probe_with(world: &World, more: &str, words: &[&str]) -> Said {
    let configuration = world.configuration("{host: 20.1.1.9, class: tcp, port: 9}", more);
    world.runs(&agent().to_string_lossy(), &[&["probe", "--config", &configuration], words].concat())
}

fn probe(world: &World, words: &[&str]) -> Said {
    probe_with(world, "", words)
}

/// It ended with this code, and these words stand in what it said, one after the other.
fn says(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{}", said.text);
    let mut rest = &*said.text;
    for word in words {
        let Some((_, behind)) = rest.split_once(word) else { panic!("no ({word}) here or later: {}", said.text) };
        rest = behind;
    }
}

/// The document, which fits its schema.
fn document(said: &Said) -> Value {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/probe.schema.json")).expect("JSON");
    let document: Value = serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{error}: {}", said.text));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
    document
}

#[test]
fn a_web_server_is_shown_from_its_name_to_its_answer_without_secrets() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 200 OK\r\nSet-Cookie: id=s3cret\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let said = probe(&world, &["http", "http://web.example/page?sig=s3cret", "-v"]);
    says(
        &said,
        0,
        &[
            "asked     http web.example:80, GET http://web.example/page\n",
            "→ #1 udp 10.0.0.4:53",
            "DNS question web.example. A",
            "DNS answer NOERROR to web.example. A",
            "web.example. 60 A 20.1.1.1",
            "#3 tcp 20.1.1.1:80",
            "connecting",
            "accepted, round trip",
            "GET /page?… HTTP/1.1",
            "host: web.example",
            "HTTP/1.1 200 OK",
            "Set-Cookie: …",
            "and 2 bytes of body",
            "phases    dns",
            "response",
            "verdict   healthy: the peer proved itself",
        ],
    );
    assert!(!said.text.contains("s3cret"), "{}", said.text);
    let bytes = probe(&world, &["http", "web.example", "-vv"]);
    says(&bytes, 0, &["0000  47 45 54 20 2f 20 48 54 54", "GET / HTTP/1.1.."]);
    let short = probe(&world, &["http", "web.example"]);
    assert!(!short.text.contains("Set-Cookie") && !short.text.contains("0000  "), "{}", short.text);
}

#[test]
fn what_travels_inside_tls_is_shown_beside_its_records_and_a_bad_certificate_is_named() {
    let Some(world) = World::new() else { return };
    let Some(pki) = Pki::new(&world) else { return };
    world.plain_names(&["web.example"]);
    pki.issue("leaf", "ca", Wish::default());
    let _server = pki.serve(443, &["leaf"], &["-tls1_2"]);
    let trusted = format!("ca: {{system: false, file: {}}}", pki.path("ca.pem"));
    let said = probe_with(&world, &trusted, &["https", "web.example", "-v"]);
    says(
        &said,
        0,
        &[
            "TLS: ClientHello for web.example",
            "TLS: ServerHello",
            "Certificate",
            "ServerHelloDone",
            "→ #3 tls 20.1.1.1:443",
            "GET / HTTP/1.1",
            "← #3 tls 20.1.1.1:443",
            "HTTP/1.0 200 ok",
            "verdict   healthy",
        ],
    );
    pki.authority("other", Wish::default());
    let other = format!("ca: {{system: false, file: {}}}", pki.path("other.pem"));
    let said = probe_with(&world, &other, &["https", "web.example"]);
    says(&said, 1, &["TLS: ClientHello", "verdict   failed: tls_", "in tls)", "owner     ", "next      "]);
    assert!(!said.text.contains("GET /"), "nothing is asked of a stranger: {}", said.text);
}

#[test]
fn a_dns_server_is_asked_over_both_transports_and_a_name_that_it_denies_is_lost() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    let udp = probe(&world, &["dns", "10.0.0.4", "--name", "web.example", "-v"]);
    says(&udp, 0, &["→ #1 udp 10.0.0.4:53", "DNS question web.example. A", "← #1 udp", "web.example. 60 A 20.1.1.1"]);
    let tcp = probe(&world, &["dns", "10.0.0.4/tcp", "--name", "web.example", "-v"]);
    says(&tcp, 0, &["#1 tcp 10.0.0.4:53", "connecting", "accepted", "DNS question web.example. A", "A 20.1.1.1"]);
    let gone = probe(&world, &["dns", "10.0.0.4", "--name", "gone.example"]);
    says(&gone, 1, &["DNS answer NXDOMAIN", "verdict   failed: dns_nxdomain"]);
    let alive = probe(&world, &["dns", "10.0.0.4"]);
    says(&alive, 0, &["DNS question management.azure.com. A", "DNS answer NXDOMAIN", "verdict   healthy"]);
}

#[test]
fn silence_refusal_and_what_may_not_be_asked_have_their_own_exit_codes() {
    let Some(world) = World::new() else { return };
    world.tcp("20.1.1.1", 12000, |stream| drop(std::io::copy(&mut &stream, &mut std::io::sink())));
    let bare = probe(&world, &["monitoring", "20.1.1.1"]);
    says(&bare, 0, &["accepted", "verdict   healthy: somebody accepts, which proves no peer"]);
    let refused = probe(&world, &["tcp", "20.1.1.1:9"]);
    says(&refused, 1, &["connect: ECONNREFUSED", "verdict   failed: refused"]);
    world.udp("20.1.1.1", 123, |_| Vec::new());
    let silent = probe(&world, &["ntp", "20.1.1.1", "--timeout", "1s"]);
    says(&silent, 1, &["→ #1 udp 20.1.1.1:123", "NTP question, version 4", "phases    ntp", "verdict   failed: "]);
    let forbidden = probe_with(&world, DENY, &["http", "20.1.1.3"]);
    says(&forbidden, 3, &["verdict   unknown: the address policy forbids 20.1.1.3"]);
    for words in [&["tcp", "20.1.1.1"][..], &["ntp", "a b"], &["https", "20.1.1.1", "--name", "a.example"]] {
        let wrong = probe(&world, words);
        assert_eq!(wrong.code, Some(64), "{words:?}: {}", wrong.text);
    }
}

#[test]
fn a_redirect_is_shown_as_the_flows_that_it_takes() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |head| match head.starts_with("GET /there ") {
        true => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        false => b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let watched = "{host: web.example, class: http, expect: {status: [200]}}";
    let configuration = world.configuration(watched, "");
    let said = world.agent(&["probe", "--config", &configuration, "http", "web.example"]);
    let as_watched = "as        web.example:80, with the question of the configuration";
    says(&said, 0, &[as_watched, "GET / HTTP/1.1", "HTTP/1.1 302 Found", "GET /there HTTP/1.1", "HTTP/1.1 200 OK"]);
}

#[test]
fn the_document_has_every_message_and_fits_its_schema() {
    let Some(world) = World::new() else { return };
    let zone = |asked: &Question| vec![Reply::to(asked).address("20.1.1.1").address("20.1.1.2").bytes()];
    world.two_dns(zone, zone);
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let said = probe(&world, &["http", "web.example", "--output", "json"]);
    let one = document(&said);
    assert_eq!((said.code, &one["exit_code"], &one["status"]), (Some(0), &0.into(), &"healthy".into()));
    let events = |document: &Value| -> Vec<String> {
        let messages = document["messages"].as_array().expect("a list");
        messages.iter().map(|message| message["event"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert!(
        ["sent", "received", "connecting", "accepted"].iter().all(|event| events(&one).contains(&(*event).to_owned()))
    );
    assert!(one["messages"].as_array().is_some_and(|all| all.iter().all(|message| message.get("hex").is_none())));

    let all = document(&probe(&world, &["http", "web.example", "--all-addresses", "-vv", "--output", "json"]));
    assert_eq!((&all["status"], &all["cause"]), (&"degraded".into(), &"refused".into()), "{all:#}");
    assert_eq!((all["addresses"].as_array().map(Vec::len), &all["exit_code"]), (Some(2), &2.into()));
    let sent = |message: &&Value| message["event"] == "sent" && message["layer"] == "tcp";
    let message = all["messages"].as_array().and_then(|all| all.iter().find(sent)).expect("a request");
    assert!(message["hex"].as_str().is_some_and(|hex| hex.starts_with("474554202f20")), "{message:#}");

    let forbidden = document(&probe_with(&world, DENY, &["http", "20.1.1.3", "--output", "json"]));
    assert_eq!((&forbidden["status"], &forbidden["exit_code"]), (&"unknown".into(), &3.into()));
    assert!(forbidden["reason"].as_str().is_some_and(|reason| reason.contains("policy")), "{forbidden:#}");
}
