//! Oddities of real servers, from public bug reports: each is rebuilt by a scripted peer in a network of its own, and the
//! agent must say of it what an ordinary client would find. `docs/field.md` lists where each was seen.

mod configuration;
mod dns;
mod http;
mod local;
pub(crate) mod message;
pub(crate) mod pki;
mod sql;
mod time;
mod tls;
pub(crate) mod world;

use message::{Question, Reply};
use serde_json::json;
use world::{CUSTOM_DNS, World};

#[test]
fn a_plain_world_is_well() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let checked = world.check("{host: web.example, class: http}");
    checked.exits(0).shows(&json!({"status": "healthy", "cause": null}));
    let said = world.report("{host: web.example, class: http}");
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn a_peer_that_says_nonsense_is_seen_by_the_stage() {
    let Some(world) = World::new() else { return };
    world.plain_names(&["web.example"]);
    world.http("20.1.1.1", 80, |_| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    let checked = world.check("{host: web.example, class: http}");
    checked
        .exits(1)
        .shows(&json!({"status": "failed", "cause": "protocol_violation"}))
        .says("the head is not HTTP/1")
        .never_says("intercepted");
}

#[test]
fn the_question_that_the_stage_reads_is_the_one_that_was_asked() {
    let Some(world) = World::new() else { return };
    let zone = |question: &Question| match question.name.as_str() {
        "web.example" => vec![Reply::to(question).address("10.0.0.20").bytes()],
        _ => vec![Reply::to(question).code(3).bytes()],
    };
    world.two_dns(zone, zone);
    let said = world.agent(&["nameresolver", "web.example", CUSTOM_DNS]);
    assert!(said.text.contains("10.0.0.20"), "{}", said.text);
}
