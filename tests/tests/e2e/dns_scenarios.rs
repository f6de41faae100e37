//! Every comparison of two resolvers, with unbound as the custom DNS and knot as Azure DNS.

use std::process::Command;

use serde_json::Value;

use crate::process::{binary, require, run};

#[test]
fn every_scenario_is_named_exactly_and_harmless_ones_are_silent() {
    if !(require("unbound", "unbound") && require("knotd", "knot") && require("ip", "iproute2")) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let output = run(Command::new(binary("ase-lab")).args(["scenarios", "dns", "--report"]).arg(&report));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read_to_string(&report).expect("the report is written");
    let summary = &serde_json::from_str::<Value>(&report).expect("the report is JSON")["summary"];
    assert!(summary["total"].as_u64().is_some_and(|total| total >= 20), "{summary}");
    assert_eq!((&summary["exact"], &summary["healthy_silent"]), (&summary["total"], &summary["healthy"]), "{summary}");
}
