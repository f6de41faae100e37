//! The demo of the README: it answers, and a fault that it injects shows with its cause.

use std::{net::SocketAddr, process::Command};

use crate::{
    http_client::{get, status},
    process::{Program, binary, free_port, wait_for},
};

#[test]
fn an_injected_fault_shows_in_metrics_and_status_with_its_cause() {
    let page = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut lab = Command::new(binary("ase-lab"));
    let demo = Program::start(folder, lab.args(["demo", "--for", "90s", "--listen", &page.to_string()]))
        .until("the demo", || get(page, "/").is_some_and(|response| response.code == 200));
    let lost = wait_for("the first fault", || {
        let status = status(page)?;
        let endpoints = status["endpoints"].as_array()?;
        let lost = endpoints.iter().find(|endpoint| endpoint["cause"] == "tls_blocked")?;
        lost["id"].as_str().map(str::to_owned)
    });
    assert!(lost.starts_with("login.lab.example:"), "{lost}");
    let series = format!("ase_probe_failures_total{{class=\"https\",endpoint=\"{lost}\",cause=\"tls_blocked\"}} ");
    let metrics = get(page, "/metrics").expect("the demo answers").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series)).expect("the series exists");
    assert!(count.parse::<f64>().is_ok_and(|count| count >= 1.0), "{count}");
    assert!(metrics.contains(&format!("ase_probe_success{{class=\"https\",endpoint=\"{lost}\"}} 0")));
    let log = demo.log();
    assert!(log.contains(&format!("http://{page}/metrics")) && log.contains("fault "), "{log}");
}
