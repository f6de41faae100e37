//! What the daemon says of faults, in worlds with a box on the path: some of them, and all where nothing may be skipped.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::process::{binary, require, require_root, run};

/// The fewest scenarios that stand for all.
const QUICK: f64 = 8.0;
/// How long `check` may take to name an outage of the whole built-in profile, in seconds.
const NAMED_WITHIN: f64 = 15.0;

/// Who holds it has the machine: what is timed is played alone.
static MACHINE: Mutex<()> = Mutex::new(());

/// How many scenario files there are, as whoever added them wrote it down.
fn files_written_down() -> usize {
    let counts: BTreeMap<String, usize> =
        serde_saphyr::from_str(include_str!("../../scenarios/count.yaml")).expect("it counts by group");
    counts.values().sum()
}

/// What a run of scenarios prints, and its report.
fn play(arguments: &[&str]) -> (String, Value) {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let output = run(Command::new(binary("ase-lab")).arg("scenarios").args(arguments).arg("--report").arg(&report));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let report = std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, serde_json::from_str(&report).expect("the report is JSON"))
}

#[test]
fn faults_are_named_and_healthy_worlds_are_silent() {
    let tools = [("ip", "iproute2"), ("nft", "nftables"), ("unbound", "unbound"), ("knotd", "knot")];
    if !tools.iter().all(|(program, package)| require(program, package)) {
        return;
    }
    if !require_root("play fault scenarios, which open /dev/net/tun") {
        return;
    }
    let is_whole = std::env::var_os("CI").is_some();
    // The comparisons of two resolvers have a test of their own, which asks for all of them.
    let (text, report) = play(&[if is_whole { "--faults" } else { "--quick" }]);
    let summary = &report["summary"];
    let count = |key: &str| summary[key].as_f64().expect("the summary counts");
    if is_whole {
        assert_eq!(count("files"), files_written_down() as f64, "no scenario file is lost: {summary}");
    } else {
        assert!(count("total") >= QUICK, "{summary}");
        assert_eq!(count("strict"), count("total"), "{text}");
    }
    assert_eq!(summary["falls_short"], json!([]), "{text}");
}

/// Among the others `check` is granted as much again where the processor was busy; here nothing is.
#[test]
fn an_outage_of_everything_is_named_in_time_where_nothing_else_runs() {
    if !(require("ip", "iproute2") && require_root("play fault scenarios, which open /dev/net/tun")) {
        return;
    }
    let (text, report) = play(&["builtin/egress-cut-by-check"]);
    let rows = report["scenarios"].as_array().expect("the report lists scenarios");
    assert_eq!((rows.len(), &report["summary"]["strict"]), (1, &json!(1)), "{text}");
    let seconds = rows[0]["check_seconds"].as_f64().expect("check was asked");
    assert!(seconds <= NAMED_WITHIN, "check took {seconds:.1} s\n{text}");
    println!("check took {seconds:.1} s");
}
