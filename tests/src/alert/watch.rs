//! The monitoring side: real Prometheus and Alertmanager with the shipped rules and routes, and a webhook receiver.

use std::{
    fs::File,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Timing;
use crate::{
    guest::Folder,
    loopback::{self, Receiver},
    namespace,
    scaled::scaled,
};

/// The shipped alerts.
const ALERTS: &str = include_str!("../../../dashboards/rules/alerts.yml");
/// The shipped recording rules.
const RECORDING: &str = include_str!("../../../dashboards/rules/recording.yml");
/// The shipped routes and silences.
const ROUTES: &str = include_str!("../../../dashboards/alertmanager.yml");
/// Where the shipped configuration sends its messages.
const SHIPPED_RECEIVER: &str = "127.0.0.1:9999";

/// Where Prometheus listens.
const PROMETHEUS: &str = "10.53.9.10:9090";
/// Where Alertmanager listens.
const ALERTMANAGER: &str = "10.53.9.11:9093";
/// Where the webhook receiver listens.
const RECEIVER: &str = "10.53.9.12:9999";

/// The running programs; they end with this.
#[derive(Debug)]
pub(super) struct Watch {
    programs: Vec<Child>,
    prometheus: SocketAddr,
    /// What was paged.
    pub(super) receiver: Receiver,
}

impl Watch {
    /// Starts all three; they scrape `agent`.
    ///
    /// # Errors
    /// When a program is missing or an address cannot be bound.
    pub(super) fn start(agent: SocketAddr, folder: &Folder, timing: Timing) -> Result<Self> {
        let address = |text: &str| text.parse::<SocketAddr>().context("a constant is an address");
        let (prometheus, alertmanager, receiver) = (address(PROMETHEUS)?, address(ALERTMANAGER)?, address(RECEIVER)?);
        for place in [prometheus, alertmanager, receiver] {
            namespace::make_address_local(place.ip())?;
        }
        let divisor = timing.divisor();
        folder.write("alerts.yml", &scaled(ALERTS, divisor))?;
        folder.write("recording.yml", RECORDING)?;
        folder.write("alertmanager.yml", &scaled(ROUTES, divisor).replace(SHIPPED_RECEIVER, RECEIVER))?;
        folder.write("prometheus.yml", &configuration(agent, timing))?;
        let mut watch = Self { programs: Vec::new(), prometheus, receiver: Receiver::start(receiver)? };
        watch.run(
            folder,
            "prometheus-alertmanager",
            &["--config.file=alertmanager.yml", "--storage.path=alertmanager", "--cluster.listen-address="],
            alertmanager,
        )?;
        watch.run(folder, "prometheus", &["--config.file=prometheus.yml", "--storage.tsdb.path=data"], prometheus)?;
        for place in [alertmanager, prometheus] {
            super::until(&format!("{place} is ready"), Duration::from_secs(30), || loopback::get(place, "/-/ready"))?;
        }
        Ok(watch)
    }

    fn run(&mut self, folder: &Folder, program: &str, words: &[&str], listen: SocketAddr) -> Result<()> {
        let log = File::create(folder.path().join(format!("{program}.log")))?;
        let child = Command::new("setpriv")
            // The programs must not outlive the lab, however it ends.
            .args(["--pdeathsig", "KILL", program])
            .args(words)
            .args([format!("--web.listen-address={listen}"), "--log.level=warn".to_owned()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program} by setpriv (packages {program} and util-linux)"))?;
        self.programs.push(child);
        Ok(())
    }

    /// Asks Prometheus for the current value of an expression; `None` if there is no series.
    pub(super) fn value(&self, expression: &str) -> Option<f64> {
        let path = format!("/api/v1/query?query={}", loopback::escaped(expression));
        let answer = loopback::get_json(self.prometheus, &path)?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// The labels of the alerts that fire now.
    pub(super) fn firing(&self) -> Vec<Value> {
        let answer = loopback::get_json(self.prometheus, "/api/v1/alerts").unwrap_or_default();
        let alerts = answer["data"]["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
        alerts.iter().filter(|alert| alert["state"] == "firing").map(|alert| alert["labels"].clone()).collect()
    }

    /// Fails if a program has ended.
    ///
    /// # Errors
    /// With its exit status.
    pub(super) fn check(&mut self) -> Result<()> {
        for child in &mut self.programs {
            if let Some(status) = child.try_wait()? {
                bail!("a program of the monitoring side ended with {status}");
            }
        }
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for child in &mut self.programs {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn configuration(agent: SocketAddr, timing: Timing) -> String {
    let interval = timing.scrape_interval().as_secs();
    format!(
        "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, evaluation_interval: {interval}s}}
rule_files: [recording.yml, alerts.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{ALERTMANAGER}\"]}}]}}]}}
scrape_configs:
  - job_name: ase-agent
    static_configs: [{{targets: [\"{agent}\"], labels: {{environment: lab, vantage: mirror}}}}]
"
    )
}
