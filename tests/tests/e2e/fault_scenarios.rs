//! What the daemon says of faults, in worlds with a box on the path: some of them, and all where nothing may be skipped.

use std::process::Command;

use nix::unistd::geteuid;
use serde_json::Value;

use crate::process::{binary, require, run};

/// The part of all causes that must be exact.
const EXACT: f64 = 0.95;

#[test]
fn faults_are_named_and_healthy_worlds_are_silent() {
    let tools = [("ip", "iproute2"), ("nft", "nftables"), ("unbound", "unbound"), ("knotd", "knot")];
    if !tools.iter().all(|(program, package)| require(program, package)) {
        return;
    }
    if !geteuid().is_root() {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "fault scenarios need root");
        println!("SKIPPED: fault scenarios need root, for /dev/net/tun");
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
    let (least, total) = if is_whole { (EXACT, 110.0) } else { (1.0, 8.0) };
    assert!(count("total") >= total, "{summary}");
    assert!(count("cause_exact") >= least * count("total"), "{text}");
    assert_eq!((count("healthy_silent"), count("local_blamed")), (count("healthy"), 0.0), "{text}");
}
