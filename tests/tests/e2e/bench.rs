//! The bench itself, in small: every part of it runs, and its figures agree with a count that it does not make.

use std::{fs, process::Command};

use serde_json::Value;

use crate::process::{binary, require, run};

/// How often the agent may spend the figures to reach here. They are those of an optimised build at a thousand endpoints; an
/// unoptimised one took 4 to 7 times as much for each of its few probes on a busy machine, an idle one takes up to 2.7 times as
/// much again (docs/bench.md, *the same pace*), and half of that is left for slower processors.
const FACTOR: &str = "30";

/// Runs the bench and returns its report; `None` without root where that may be skipped.
fn bench(arguments: &[&str]) -> Option<(String, Value)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let mut lab = Command::new(binary("ase-lab"));
    let output = run(lab.arg("bench").args(arguments).args(["--budget", FACTOR, "--report"]).arg(&report));
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if error.contains("only root may open /dev/net/tun") {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "{error}");
        println!("SKIPPED: {error}");
        return None;
    }
    assert!(output.status.success(), "{text}{error}");
    let report = fs::read_to_string(report).expect("the bench writes its report");
    Some((text.into_owned(), serde_json::from_str(&report).expect("the report is JSON")))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// What must be true of every measurement, however slow the day.
fn check(one: &Value) {
    let of = |key: &str| number(&one[key]);
    // While counters are read some probes are made, and at each end some are under way: one side has counted them.
    let at_the_ends = of("expected") / of("seconds") * (of("counting_seconds") + 0.5);
    assert!(of("arrived") > 0.0 && (of("reported") - of("arrived")).abs() <= at_the_ends, "{one}");
    assert!(of("healthy") > of("watched") / 2.0, "{one}");
    let spent = one["spent"].as_object().expect("programs are listed");
    assert!(spent.values().all(|spent| number(&spent["memory"]["peak"]) > 0.0), "{one}");
    let is_alone = one["plan"]["subject"] == "agent-alone";
    assert_eq!(spent.len(), if is_alone { 1 } else { 2 }, "{one}");
    let pages = one["readings"].as_object().expect("pages are listed").len();
    assert_eq!(pages, if spent.contains_key("agent") { 2 } else { 0 }, "{one}");
}

#[test]
fn the_page_is_measured_in_small() {
    if !(require("ip", "iproute2") && require("chromium", "chromium")) {
        return;
    }
    let mut lab = Command::new(binary("ase-lab"));
    let few = ["--endpoints", "40", "--pages", "3", "--for", "2s", "--budget", FACTOR];
    let output = run(lab.arg("page-load").args(few));
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if error.contains("only root may open /dev/net/tun") {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "{error}");
        return println!("SKIPPED: {error}");
    }
    assert!(output.status.success(), "{text}{error}");
    let figure = |what: &str| {
        let line = text.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {text}"));
        line[what.len()..].split_whitespace().find_map(|word| word.parse::<f64>().ok()).expect("a line has a figure")
    };
    for what in ["first byte of the page, median", "the page, packed", "resident memory in the second minute, median"] {
        assert!(figure(what) > 0.0, "{what}: {text}");
    }
    assert!(figure("messages a second for each page") > 0.3, "open pages are told every second: {text}");
    assert_eq!(figure("streams that were refused"), 0.0, "{text}");
}

/// Runs cases with few endpoints, checks each measurement, and looks for words in the tables.
fn small(cases: &str, count: usize, words: &[&str]) {
    let tools = [("ip", "iproute2"), ("prometheus", "prometheus"), ("prometheus-blackbox-exporter", "of this name")];
    if !tools.into_iter().all(|(program, package)| require(program, package)) {
        return;
    }
    let few = ["--endpoints", "50", "--interval", "1s", "--warm-up", "500ms", "--for", "2s"];
    let Some((text, report)) = bench(&[&few[..], &["--cases", cases]].concat()) else { return };
    let measurements = report["measurements"].as_array().expect("measurements are listed");
    assert_eq!(measurements.len(), count, "{text}");
    measurements.iter().for_each(check);
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_is_reported_of_tcp_and_dns_is_what_the_servers_saw() {
    small("tcp,dns", 4, &["CPU per probe", "agent/blackbox", "within: tcp CPU per probe", "path late"]);
}

#[test]
fn what_is_reported_of_http_https_and_the_agent_alone_is_what_the_servers_saw() {
    small("http,https,alone-40", 5, &["within: https CPU per probe", "within: alone-40 CPU per probe"]);
}

#[test]
fn a_case_that_there_is_not_is_refused_with_those_that_there_are() {
    let output = run(Command::new(binary("ase-lab")).args(["bench", "--cases", "udp"]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("tcp, dns, http, https or alone-N"), "{error}");
}
