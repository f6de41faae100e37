//! `tcpping` in a network of its own: every outcome in the console's lines, and what the accept is worth.

use serde_json::Value;

use crate::{
    field::{
        message::{Question, Reply},
        world::World,
    },
    process::{agent, require, run},
};

/// Runs `tcpping` with these words; returns exit code, standard output and standard error.
fn tcpping(world: &World, words: &[&str]) -> (Option<i32>, String, String) {
    let configuration = world.configuration("{host: 20.1.1.9, class: tcp, port: 9}", "");
    let mut command = world.command(&agent().to_string_lossy(), &["tcpping", "--config", &configuration]);
    let output = run(command.args(words));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A network in which packets to port 81 vanish.
fn world() -> Option<World> {
    if !require("nft", "nftables") {
        return None;
    }
    let world = World::new()?;
    world.plain_names(&["web.example"]);
    let rules = "add table inet t; add chain inet t o { type filter hook output priority 0; }; \
        add rule inet t o tcp dport 81 drop";
    assert_eq!(world.runs("nft", &[rules]).code, Some(0));
    Some(world)
}

#[test]
fn a_web_server_is_connected_to_and_proves_itself() {
    let Some(world) = world() else { return };
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let (code, lines, notes) = tcpping(&world, &["-n", "2", "web.example"]);
    assert_eq!(code, Some(0), "{lines}{notes}");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[..2].iter().all(|line| line.starts_with("Connected to web.example:80, time taken: ")), "{lines:?}");
    assert!(lines[2].starts_with("Complete: 2/2 successful attempts (100%). Average success time: "), "{lines:?}");
    assert!(notes.starts_with("The peer proved itself."), "{notes}");
}

#[test]
fn an_accept_that_no_web_server_gave_is_told_from_one_that_a_server_gave() {
    let Some(world) = world() else { return };
    world.tcp("20.1.1.1", 80, drop);
    let (code, lines, notes) = tcpping(&world, &["-n", "1", "web.example"]);
    assert_eq!(code, Some(0), "{lines}{notes}");
    assert!(notes.starts_with("Accepted, but the peer did not prove itself: "), "{notes}");
    world.tcp("20.1.1.2", 12000, drop);
    let (code, _, notes) = tcpping(&world, &["-n", "1", "20.1.1.2", "12000"]);
    assert_eq!(code, Some(0));
    assert!(notes.starts_with("The accept alone proves no peer"), "{notes}");
}

#[test]
fn each_failure_has_the_line_that_an_app_would_see_and_its_cause_beside_it() {
    let Some(world) = world() else { return };
    for (words, line, cause) in [
        (&["gone.example"][..], "No such host is known", "dns_nxdomain"),
        (&["20.1.1.1:9"], "No connection could be made because the target machine actively refused it", "refused"),
        (&["-w", "1", "20.1.1.1:81"], "Connection timed out.", "dropped"),
    ] {
        let (code, lines, notes) = tcpping(&world, &[&["-n", "1"], words].concat());
        assert_eq!(code, Some(1), "{words:?}: {lines}{notes}");
        assert!(lines.starts_with(&format!("Connection attempt failed: {line}\n")), "{words:?}: {lines}");
        assert!(lines.ends_with("Complete: 0/1 successful attempts (0%). Average success time: 0ms\n"), "{lines}");
        assert!(notes.starts_with(&format!("{cause} (")), "{words:?}: {notes}");
        assert!(notes.contains("\n  next: "), "{words:?}: {notes}");
    }
}

#[test]
fn an_address_that_the_policy_forbids_is_the_sandbox_of_an_app() {
    let Some(world) = World::new() else { return };
    let zone = |asked: &Question| vec![Reply::to(asked).address("169.254.169.254").bytes()];
    world.two_dns(zone, zone);
    let (code, lines, notes) = tcpping(&world, &["-n", "1", "metadata.example"]);
    assert_eq!(code, Some(1), "{lines}{notes}");
    assert!(
        lines.contains("An attempt was made to access a socket in a way forbidden by its access permissions"),
        "{lines}"
    );
    assert!(notes.contains("the address policy forbids 169.254.169.254"), "{notes}");
}

#[test]
fn the_document_has_every_try_and_the_proof_and_fits_its_schema() {
    let Some(world) = world() else { return };
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let schema: Value = serde_json::from_str(include_str!("../../../docs/tcpping.schema.json")).expect("JSON");
    for (words, code, made) in [(&["-n", "2", "web.example"][..], 0, 2), (&["-n", "1", "web.example:9"], 1, 1)] {
        let (exit, text, notes) = tcpping(&world, &[&["--output", "json"], words].concat());
        assert_eq!((exit, &*notes), (Some(code), ""), "{text}");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let errors: Vec<_> = jsonschema::validator_for(&schema)
            .expect("a schema")
            .iter_errors(&document)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert_eq!(document["made"], made);
        assert_eq!(document["tries"].as_array().map(Vec::len), Some(made));
        assert_eq!(document["proof"]["proved"].as_bool().unwrap_or(false), code == 0, "{document:#}");
    }
}

#[test]
fn the_time_for_all_tries_ends_them() {
    let Some(world) = world() else { return };
    let (code, lines, _) = tcpping(&world, &["-t", "-s", "2", "-w", "1", "20.1.1.1:81"]);
    assert_eq!(code, Some(1), "{lines}");
    assert!(lines.lines().last().is_some_and(|line| line.starts_with("Complete: 0/")), "{lines}");
    assert!(lines.lines().count() <= 4, "{lines}");
}
