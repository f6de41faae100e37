//! `ase-agent check` as a single look: it ends when it was told to, and says what it did not ask.

use std::{fs, net::UdpSocket, process::Command};

use crate::process::{agent, run};

#[test]
fn a_look_that_ends_early_says_what_it_did_not_ask_and_calls_nothing_lost() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    let port = silent.local_addr().expect("bound above").port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "resolvers: {{custom: [127.0.0.1]}}\nprofile: custom\n\
         endpoints: {{add: [{{class: dns, host: 127.0.0.1, port: {port}}}]}}\n"
    );
    let path = folder.path().join("agent.yaml");
    fs::write(&path, config).expect("the folder is writable");
    let config = path.display().to_string();
    // Long enough for one silence to count, too short for its confirmation a second later.
    let output = run(Command::new(agent()).args(["check", "--within", "2s", "--config", &config]));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("NOT ASKED\n  - 1 failure was not confirmed: the time of this look was over"), "{text}");
    assert!(text.contains("it failed once ("), "{text}");
    let output = run(Command::new(agent()).args(["check", "--within", "2s", "--output", "json", "--config", &config]));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(status["left_out"].as_array().map(Vec::len), Some(1), "{}", status["left_out"]);
    assert_eq!((&status["endpoints"][0]["status"], status["summary"]["failed"].as_u64()), (&"unknown".into(), Some(0)));
    assert_eq!(status["incidents"].as_array().map(Vec::len), Some(0));
}
