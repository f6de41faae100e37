//! The life of the shipped unit under a real systemd: started, reloaded with a good and a bad file, hung, killed, kept out
//! by a port that is taken, asked through a socket of systemd's own, and stopped while a peer keeps silent.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use crate::{
    http_client::status,
    private_systemd::{PAGE, PrivateSystemd, shipped, shipped_file},
    process::wait_for,
};

/// One port of loopback where nobody listens, so that there is an incident at once.
const CLOSED: &str = "resolvers: {custom: [127.0.0.1]}\nprofile: custom\nendpoints:\n  \
    add: [{class: tcp, host: 127.0.0.1, port: 9, interval: 1s, timeout: 500ms}]\n\
    pace: {failing_interval: 500ms, confirm_after: 200ms, flows_per_destination: 1000}\n";

/// A property of the unit.
fn property(systemd: &PrivateSystemd, name: &str) -> String {
    systemd.says(&format!("systemctl show -P {name} ase-agent")).trim().to_owned()
}

fn write(systemd: &PrivateSystemd, configuration: &str) {
    systemd.does(&format!("{{ cat >/etc/ase-agent/ase-agent.yaml <<'END'\n{configuration}END\n}}"));
}

fn page(systemd: &PrivateSystemd) -> Option<Value> {
    systemd.inside(|| status(PAGE))
}

/// Waits until the memory holds one incident that is open, and returns since when it is.
fn incident(systemd: &PrivateSystemd) -> Value {
    wait_for("an incident", || {
        let history = systemd.says("ase-agent history --state-dir /var/lib/ase-agent --output json");
        let incidents = serde_json::from_str::<Value>(&history).ok()?["incidents"].as_array()?.clone();
        let [only] = &*incidents else { return None };
        only["closed"].is_null().then(|| only["since"].clone())
    })
}

fn until_restarted(systemd: &PrivateSystemd, times: &str) {
    wait_for("a restart", || {
        (property(systemd, "NRestarts") == times && property(systemd, "ActiveState") == "active").then_some(())
    });
}

#[test]
fn systemd_is_told_of_readiness_of_reloads_and_of_how_things_stand() {
    let Some(systemd) = PrivateSystemd::boot(&shipped(), CLOSED) else { return };
    systemd.does("systemctl start ase-agent");
    assert_eq!(page(&systemd).expect("who is ready answers")["agent"]["ready"], true, "ready is after the first round");
    let sentence = "1 of 1 classes lost something critical: tcp";
    wait_for(sentence, || (property(&systemd, "StatusText") == sentence).then_some(()));
    let process = property(&systemd, "MainPID");

    write(&systemd, &CLOSED.replace("port: 9,", "port: 10,"));
    systemd.does("systemctl reload ase-agent");
    let watched =
        |port: &str| page(&systemd).is_some_and(|page| page["endpoints"][0]["id"] == format!("127.0.0.1:{port}"));
    wait_for("the new endpoint", || watched("10").then_some(()));

    write(&systemd, &CLOSED.replace("profile: custom", "profile: custom\nprofil: custom"));
    let said = systemd.says("systemctl reload ase-agent && echo reloaded");
    assert!(said.contains("failed") && !said.contains("reloaded"), "{said}");
    let journal = systemd.journal();
    assert!(journal.contains("ase-agent.yaml:3") && journal.contains("profil"), "the line is named: {journal}");
    assert!(watched("10"), "the old configuration stays in force");
    assert_eq!(property(&systemd, "ActiveState"), "active");

    // Whoever sends the signal past the check is told by the status line.
    systemd.does(&format!("kill -HUP {process}"));
    let said = "the configuration in force is an old one: /etc/ase-agent/ase-agent.yaml:3";
    wait_for(said, || property(&systemd, "StatusText").contains(said).then_some(()));
    assert_eq!(property(&systemd, "MainPID"), process, "no reload is a restart");
    systemd.does("systemctl stop ase-agent");
    assert_eq!(property(&systemd, "Result"), "success");
}

#[test]
fn an_agent_that_hangs_or_is_killed_comes_back_and_remembers() {
    let unit = shipped().replace("WatchdogSec=30s", "WatchdogSec=3s");
    assert_ne!(unit, shipped(), "the unit has a watchdog");
    let Some(systemd) = PrivateSystemd::boot(&unit, CLOSED) else { return };
    systemd.does("systemctl start ase-agent");
    let before = incident(&systemd);

    // Three times the watchdog's patience: a loop that turns is left alone.
    let active = property(&systemd, "ActiveEnterTimestampMonotonic").parse::<u64>().expect("a number");
    wait_for("ten seconds", || {
        let now: f64 = systemd.says("cut -d' ' -f1 /proc/uptime").trim().parse().ok()?;
        (now * 1e6 > active as f64 + 1e7).then_some(())
    });
    assert_eq!(property(&systemd, "NRestarts"), "0", "{}", systemd.journal());

    systemd.does(&format!("kill -STOP {}", property(&systemd, "MainPID")));
    until_restarted(&systemd, "1");
    assert!(systemd.journal().contains("Watchdog timeout"), "{}", systemd.journal());
    assert_eq!(incident(&systemd), before, "a hang loses nothing");

    systemd.does(&format!("kill -KILL {}", property(&systemd, "MainPID")));
    until_restarted(&systemd, "2");
    assert_eq!(incident(&systemd), before, "a crash loses nothing");
}

#[test]
fn a_port_that_is_taken_is_named_and_a_socket_of_systemd_starts_the_agent() {
    let Some(systemd) = PrivateSystemd::boot(&shipped(), CLOSED) else { return };
    let taken = systemd.inside(|| TcpListener::bind(PAGE)).expect("nobody else is there");
    let said = systemd.says("systemctl start ase-agent && echo started");
    assert!(!said.contains("started"), "{said}");
    let journal = systemd.journal();
    assert!(journal.contains("cannot listen on 127.0.0.1:10123 (key `listen`)"), "{journal}");
    drop(taken);
    wait_for("the next try", || page(&systemd));

    systemd.does("systemctl stop ase-agent");
    let socket = std::fs::read_to_string(shipped_file("ase-agent.socket")).expect("it is shipped");
    systemd.does(&format!("{{ cat >/run/systemd/system/ase-agent.socket <<'END'\n{socket}END\n}}"));
    systemd.does("systemctl daemon-reload; systemd-analyze verify ase-agent.socket; systemctl start ase-agent.socket");
    assert_eq!(property(&systemd, "ActiveState"), "inactive");
    // The one question that starts it is answered, and not refused.
    let page = page(&systemd).expect("the socket holds whoever asks until the agent answers");
    assert_eq!(page["endpoints"][0]["id"], "127.0.0.1:9");
    systemd.does("systemctl restart ase-agent");
    assert!(self::page(&systemd).is_some());
}

#[test]
fn a_stop_does_not_wait_for_a_peer_that_never_answers() {
    // systemd would end it by force, and say so, if it waited for the peer.
    let unit = shipped().replace("[Service]\n", "[Service]\nTimeoutStopSec=20s\n");
    assert_ne!(unit, shipped());
    let Some(systemd) = PrivateSystemd::boot(&unit, CLOSED) else { return };
    systemd.does("systemctl start ase-agent");
    let silent = systemd.inside(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("loopback has free ports");
    let port = silent.local_addr().expect("bound above").port();
    let endpoint = format!("add: [{{class: http, host: 127.0.0.1, port: {port}, interval: 10m, timeout: 5m}}]");
    write(
        &systemd,
        &CLOSED.replace("pace: {", "pace: {drain: 1s, ").replace(first_line_of("add: ", CLOSED), &endpoint),
    );
    systemd.does("systemctl reload ase-agent");
    wait_for("a visit under way", || {
        let page = page(&systemd)?;
        (page["endpoints"][0]["class"] == "http" && page["agent"]["visits_in_flight"] == 1).then_some(())
    });
    systemd.does("systemctl stop ase-agent");
    assert_eq!(property(&systemd, "Result"), "success", "{}", systemd.journal());
}

/// The rest of the first line from these words on.
fn first_line_of<'a>(words: &str, text: &'a str) -> &'a str {
    let start = text.find(words).expect("the words are there");
    text[start..].lines().next().expect("a text has a line")
}
