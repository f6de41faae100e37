//! A real Prometheus, configured by the scrape snippet of the README, reads the agent.

use std::{fs, net::SocketAddr, process::Command};

use serde_json::Value;

use crate::{
    http_client::get,
    process::{Program, binary, free_port, require, run, wait_for},
};

/// Every series that readers rely on.
const PROMISED: [&str; 24] = [
    "ase_probe_success",
    "ase_probe_attempts_total",
    "ase_probe_failed_total",
    "ase_probe_duration_seconds_bucket",
    "ase_dependency_up",
    "ase_endpoint_last_success_timestamp_seconds",
    "ase_tls_certificate_expiry_timestamp_seconds",
    "ase_ntp_offset_seconds",
    "ase_ntp_delay_seconds",
    "ase_ntp_root_distance_seconds",
    "ase_ntp_stratum",
    "ase_ntp_reach_ratio",
    "ase_dns_response_seconds",
    "ase_agent_build_info",
    "ase_agent_schedule_lag_seconds",
    "ase_agent_config_last_reload_successful",
    "ase_dns_comparison",
    "ase_dns_resolver_up",
    "ase_dns_changes_total",
    "ase_dns_source_changed_timestamp_seconds",
    "ase_suspension_risk_ratio",
    "ase_suspension_risk_level",
    "ase_dependency_lost_seconds",
    "ase_time_to_horizon_seconds",
];

fn root(path: &str) -> String {
    fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).expect("the file is in the repository")
}

#[test]
fn the_readme_shows_the_shipped_scrape_configuration() {
    let (readme, shipped) = (root("README.md"), root("dashboards/prometheus.yml"));
    let configuration: String =
        shipped.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert!(readme.contains(&configuration), "the README's snippet and dashboards/prometheus.yml are the same");
}

#[test]
fn prometheus_has_every_promised_series_and_promtool_is_silent() {
    if !(require("prometheus", "prometheus") && require("promtool", "prometheus")) {
        return;
    }
    let page = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let demo = tempfile::tempdir().expect("a temporary folder");
    let mut lab = Command::new(binary("ase-lab"));
    let _demo = Program::start(demo, lab.args(["demo", "--for", "90s", "--listen", &page.to_string()]))
        .until("the demo", || get(page, "/-/ready").is_some_and(|response| response.code == 200));
    let check = format!("curl -sS http://{page}/metrics | promtool check metrics");
    let checked = run(Command::new("sh").args(["-c", &check]));
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let scrape = root("dashboards/prometheus.yml").replace("127.0.0.1:10123", &page.to_string());
    fs::write(folder.path().join("prometheus.yml"), scrape.replace("15s", "1s")).expect("the folder is writable");
    let web = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("prometheus");
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]);
    command.arg(format!("--web.listen-address={web}"));
    let _prometheus = Program::start(folder, &mut command)
        .until("Prometheus", || get(web, "/-/ready").is_some_and(|r| r.code == 200));
    for name in PROMISED {
        wait_for(name, || {
            let answer = get(web, &format!("/api/v1/query?query=count({name})"))?;
            let answer: Value = serde_json::from_str(&answer.body).ok()?;
            answer["data"]["result"][0]["value"][1].as_str().filter(|count| *count != "0").map(str::to_owned)
        });
    }
}
