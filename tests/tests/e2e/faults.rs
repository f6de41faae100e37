//! The bench of hostile peers: every row holds or is named as open, and the table can fail.

use std::{fs, process::Command};

use serde_json::Value;

use crate::process::{binary, require, require_root, run};

/// The share of rows that must be as expected, in percent.
const DUE: f64 = 98.0;

/// What the bench says: whether it holds, its text, and its report.
fn bench(arguments: &[&str]) -> (bool, String, Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let output = run(Command::new(binary("ase-lab")).arg("faults").args(arguments).arg("--report").arg(&report));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let read = fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (output.status.success(), text, serde_json::from_str(&read).expect("the report is JSON"))
}

#[test]
fn whatever_a_peer_does_the_agent_survives_it_and_says_what_it_is() {
    let (holds, text, report) = bench(&[]);
    assert!(holds, "{text}");
    let summary = &report["summary"];
    let count = |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("{key} is counted: {summary}"));
    let rows = report["rows"].as_array().expect("the report lists rows");
    assert!(count("rows") >= 250 && rows.len() as u64 == count("rows"), "{summary}");
    assert_eq!((count("panics"), count("hangs"), count("lost")), (0, 0, 0), "{text}");
    assert!(count("as_expected") as f64 * 100.0 >= DUE * count("rows") as f64, "{text}");
    let open = summary["open"].as_array().expect("the open ones are listed");
    assert!(open.iter().all(|row| row["name"].is_string() && row["reason"].is_string()), "{summary}");
    println!("{text}");
}

/// Minutes are too short to tell growth from noise on a busy machine: one shows that the daemon lives and that the slopes are
/// told, and `--soak 30` judges them.
#[test]
fn a_daemon_outlives_a_minute_of_hostile_peers_and_clients() {
    let output = run(Command::new(binary("ase-lab")).args(["faults", "--soak", "1"]));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(text.contains("1.0 min: the daemon lives"), "{text}");
    assert_eq!(text.matches(" per hour after the warm-up").count(), 3, "{text}");
    println!("{text}");
}

#[test]
fn a_row_that_is_not_as_expected_is_told_and_fails_the_table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = "- {name: it accepts, kind: tcp, peer: [hold], expect: failed refused}\n\
        - {name: nobody listens, kind: tcp, listens: nobody, expect: failed refused remote likely}\n\
        - {name: it ends, kind: tcp, peer: [close], expect: healthy, open: it was thought not to hold}\n";
    fs::write(folder.path().join("rows.yaml"), rows).expect("the folder is writable");
    let (holds, text, report) = bench(&["--data", &folder.path().display().to_string()]);
    assert!(!holds, "{text}");
    for words in [
        "NOT AS EXPECTED: tcp: it accepts",
        "expected: failed refused",
        "said: healthy",
        "HOLDS, THOUGH CALLED OPEN: tcp: it ends",
        "66.7 % of verdicts as expected",
    ] {
        assert!(text.contains(words), "({words}) in {text}");
    }
    assert_eq!(report["summary"]["as_expected"], 2, "{report}");
}

/// What `probe dns` says of a server whose questions draw an ICMP message of a router long before the answer; they go on
/// to the server where it `passes`.
fn beside_icmp(passes: bool) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let server = "{host: \"10.53.0.4\", protocol: udp, port: 53, direction: ";
    let icmp = format!("{{icmp: {{type: 3, code: 13, from: 1, pass: {passes}}}}}");
    let fault = format!(
        "box:\n  - {{match: {server}out}}, do: {icmp}}}\n  - {{match: {server}in}}, do: {{delay: {{by: 300ms}}}}}}\n"
    );
    fs::write(file.path(), fault).expect("the file is writable");
    let mut lab = Command::new(binary("ase-lab"));
    lab.args(["subnet", "--fault"]).arg(file.path());
    let output = run(lab.args(["--", "ase-agent", "probe", "dns", "10.53.0.4", "--name", "login.live.com"]));
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_forged_icmp_message_ends_no_dns_exchange_whose_answer_comes_later() {
    if !(require("ip", "iproute2") && require_root("put a box on the path")) {
        return;
    }
    let (code, text) = beside_icmp(true);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("healthy") && text.contains("NOERROR"), "{text}");
    let (icmp, answer) = (text.find("ICMP type 3 code 13"), text.find("DNS answer NOERROR"));
    assert!(icmp.is_some() && icmp < answer, "the message comes first: {text}");
    let (code, text) = beside_icmp(false);
    assert!(code == Some(1) && text.contains("rejected"), "without an answer the message is believed: {text}");
}
