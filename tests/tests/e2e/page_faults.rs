//! A fault that is injected while the page is open, by the real agent in the lab's namespaces and a browser beside it: it stands
//! there with its cause, who mends it and what to do, and is gone after its repair.

use std::{fs, path::PathBuf, process::Command};

use crate::process::{binary, require, require_root, run};

/// Visits every 2 s, which wait for 1 s: with these a fault is to stand on the page within 5 s.
const PACE: &str = "config:
  intervals: {dns: 2s, ntp: 2s, http: 2s, https: 2s, sql: 2s, monitoring: 2s}
  timeouts: {dns: 1s, ntp: 1s, http: 1s, https: 1s, sql: 1s, monitoring: 1s}
";
/// What a machine keeps that runs everything else beside it: three times those 5 s. What an idle one takes stands in docs/page.md.
const WITHIN: f64 = 15.0;

/// Scenarios with what the page must say of each: nobody answers, somebody else does, the peer says no.
const FAULTS: [(&str, &str, &str, &str); 3] = [
    ("path/nsg-port-1433", "dropped", "network team", "outbound NSG rules"),
    ("web/inspection", "tls_intercepted", "network team", "TLS inspection"),
    ("web/service-dead", "refused", "peer or platform", "service listens"),
];

#[test]
fn a_fault_stands_on_the_open_page_with_cause_owner_and_advice_and_so_does_its_end() {
    if !require("chromium", "chromium") || !require("nsenter", "util-linux") || !require("nft", "nftables") {
        return;
    }
    if !require_root("stage faults, which opens /dev/net/tun") {
        return;
    }
    binary("ase-lab");
    // One after the other: what three stages and browsers take from one another is no delay of the page.
    FAULTS.into_iter().for_each(is_told);
}

fn is_told((scenario, cause, owner, advice): (&str, &str, &str, &str)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/faults/{scenario}.yaml"));
    let text = fs::read_to_string(file).expect("the scenario is there");
    let staged = folder.path().join("staged.yaml");
    fs::write(&staged, format!("{text}{PACE}")).expect("the folder is writable");
    let mut lab = Command::new(binary("ase-lab"));
    let output = run(lab.arg("page-pictures").arg("--staged").arg(&staged).arg(folder.path()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{scenario}: {said}{}", String::from_utf8_lossy(&output.stderr));
    let line = |lead: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("staged: {lead}")));
        line.unwrap_or_else(|| panic!("{scenario}: {lead} is missing: {said}"))
    };
    assert_eq!(line("cause: "), cause, "{scenario}");
    assert!(line("owner: ").contains(owner), "{scenario}: {said}");
    assert!(line("advice: ").contains(advice), "{scenario}: {said}");
    for what in ["the incident stood ", "its end stood "] {
        assert!(seconds(line(what)) <= WITHIN, "{scenario}: {said}");
    }
}

/// The seconds of a line, all together.
fn seconds(line: &str) -> f64 {
    let numbers = line.split(' ').filter_map(|word| word.parse::<f64>().ok());
    let (count, sum) = numbers.fold((0, 0.0), |(count, sum), seconds| (count + 1, sum + seconds));
    assert_eq!(count, 2, "in the status and on the page: {line}");
    sum
}
