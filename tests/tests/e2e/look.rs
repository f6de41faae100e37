//! `ase-agent check` as a single look: it ends when it was told to, and says what it did not ask.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process::Command,
};

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

/// `check` of one endpoint on loopback, with these further words.
fn check(config: &str, words: &[&str]) -> (Option<i32>, String) {
    let output = run(Command::new(agent()).args(["check", "--config", config]).args(words).env("NO_COLOR", "1"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn what_broke_since_a_baseline_is_named_and_a_ticket_holds_it() {
    let peer = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = peer.local_addr().expect("bound above").port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let config = file("agent.yaml");
    let text = format!(
        "resolvers: {{custom: [127.0.0.1]}}\nprofile: custom\n\
         endpoints: {{add: [{{class: tcp, host: 127.0.0.1, port: {port}, severity: critical, timeout: 2s}}]}}\n"
    );
    fs::write(&config, text).expect("the folder is writable");
    let (before, ticket) = (file("before.json"), file("ticket.md"));
    let saved = check(&config, &["--baseline", "save", &before]);
    assert_eq!(saved.0, Some(0), "{}", saved.1);
    let same = check(&config, &["--baseline", "diff", &before, "--fast"]);
    assert!(same.0 == Some(0) && same.1.starts_with("nothing changed since the baseline of "), "{}", same.1);
    drop(peer);
    let words = ["--baseline", "diff", &before, "--report", &ticket];
    let (code, text) = check(&config, &words);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("BROKE  1\n  127.0.0.1:{port}  (tcp, critical): failed (refused)")), "{text}");
    let ticket = fs::read_to_string(ticket).expect("it is written");
    assert!(ticket.starts_with("# ase-agent: 1 of ") && ticket.contains("refused"), "{ticket}");
    let only = check(&config, &["--failed-only", "--fast"]);
    assert!(only.0 == Some(1) && only.1.contains("INCIDENT  refused") && !only.1.contains("class "), "{}", only.1);
}

#[test]
fn a_file_that_is_no_baseline_is_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let config = file("agent.yaml");
    fs::write(&config, "resolvers: {custom: [127.0.0.1]}\nprofile: custom\n").expect("the folder is writable");
    let other = "{\"schema\": \"ase-agent/baseline/1\", \"version\": \"0\", \"at\": \"\", \"vantage\": \"\", \"profile\": \"ase-v2\", \
                 \"cloud\": \"public\", \"edition\": \"\", \"resolvers\": [], \"whole\": true, \"endpoints\": [], \"names\": [], \
                 \"misgivings\": []}";
    fs::write(file("other.json"), other).expect("the folder is writable");
    fs::write(file("status.json"), "{\"schema\": \"ase-agent/status/1\"}").expect("the folder is writable");
    fs::write(file("large.json"), vec![b' '; (16 << 20) + 1]).expect("the folder is writable");
    assert!(run(Command::new("mkfifo").arg(file("pipe"))).status.success());
    for (name, words) in [
        ("other.json", "is of the profile ase-v2, cloud public, not of custom"),
        ("status.json", "has the schema \"ase-agent/status/1\""),
        ("large.json", "must be at most 16777216 bytes"),
        ("pipe", "must be a regular file"),
        ("none.json", "cannot be read"),
    ] {
        let (code, text) = check(&config, &["--baseline", "diff", &file(name)]);
        assert!(code == Some(78) && text.contains(words), "{name}: {code:?} {text}");
    }
    let (code, text) = check(&config, &["--baseline", "save", &file("none/a.json")]);
    assert!(code == Some(78) && text.contains("cannot be written"), "{code:?} {text}");
    for (words, told) in [
        (["--baseline", "keep", "x"], "`save FILE` or `diff FILE`"),
        (["--fast", "--report", "a.txt"], "ends in .md or .html"),
    ] {
        let (code, text) = check(&config, &words);
        assert!(code == Some(64) && text.contains(told), "{code:?} {text}");
    }
}
