//! What the daemon says of faults, in worlds with a box on the path: some of them, and all where nothing may be skipped.

use std::{collections::BTreeMap, process::Command};

use serde_json::{Value, json};

use crate::process::{binary, require, require_root, run};

/// The fewest scenarios that stand for all.
const QUICK: f64 = 8.0;

/// How many scenario files there are, as whoever added them wrote it down.
fn files_written_down() -> usize {
    let counts: BTreeMap<String, usize> =
        serde_saphyr::from_str(include_str!("../../scenarios/count.yaml")).expect("it counts by group");
    counts.values().sum()
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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let mut lab = Command::new(binary("ase-lab"));
    lab.args(["scenarios", "--report"]).arg(&report);
    let is_whole = std::env::var_os("CI").is_some();
    if !is_whole {
        lab.arg("--quick");
    }
    let output = run(&mut lab);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = std::fs::read_to_string(&report).expect("the report is written");
    let summary = &serde_json::from_str::<Value>(&report).expect("the report is JSON")["summary"];
    let count = |key: &str| summary[key].as_f64().expect("the summary counts");
    if is_whole {
        assert_eq!(count("files"), files_written_down() as f64, "no scenario file is lost: {summary}");
    } else {
        assert!(count("total") >= QUICK, "{summary}");
        assert_eq!(count("strict"), count("total"), "{text}");
    }
    assert_eq!(summary["falls_short"], json!([]), "{text}");
}
