//! Draws the shipped dashboards over a running Prometheus, for looking at them without Grafana.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ase_agent::net::duration;
use ase_probes::clock;
use clap::Args;

use super::{
    Dashboard, SHIPPED,
    answer::{self, Range},
    picture,
};

/// Points over the range.
const POINTS: u32 = 240;

/// Arguments of `dashboards`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The Prometheus that scrapes agents; its rules must hold recording.yml
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9090")]
    prometheus: SocketAddr,
    /// How far back the pictures reach
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, default_value = "15m")]
    length: Duration,
    /// The endpoint of the dashboard of one endpoint
    #[arg(long, value_name = "ID", default_value = ".*")]
    endpoint: String,
    /// Where the pages go, and the pictures where Chromium is installed
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// What stands in the place of Grafana's variables: all agents.
pub fn everything(endpoint: &str, step: Duration) -> BTreeMap<&'static str, String> {
    let all = ".*".to_owned();
    BTreeMap::from([
        ("__rate_interval", format!("{}s", (4 * step.as_secs()).max(15))),
        ("environment", all.clone()),
        ("instance", all.clone()),
        ("job", all),
        ("endpoint", endpoint.to_owned()),
    ])
}

/// Draws all.
///
/// # Errors
/// When Prometheus does not answer, or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let step = Duration::from_secs_f64((arguments.length / POINTS).as_secs_f64().ceil());
    let range = Range { end: clock::wall(), length: arguments.length, step };
    fs::create_dir_all(&arguments.folder)?;
    for (name, text) in SHIPPED {
        let dashboard = Dashboard::parse(text)?;
        let variables = everything(&arguments.endpoint, step);
        let panels = dashboard
            .panels()
            .map(|panel| Ok((panel, answer::of_panel(arguments.prometheus, panel, range, &variables)?)));
        let panels = panels.collect::<Result<Vec<_>>>()?;
        let page = arguments.folder.join(format!("{name}.html"));
        fs::write(&page, picture::page(&dashboard, &panels, range))?;
        let picture = page.with_extension("png");
        shoot(&page, &picture, picture::height(&dashboard))?;
        println!("{}", picture.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets a browser without a window draw a page. Nothing may leave this machine: no name resolves.
fn shoot(page: &Path, picture: &Path, height: u32) -> Result<()> {
    let profile = tempfile::tempdir()?;
    let page = fs::canonicalize(page)?;
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args([
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=1000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size=1224,{height}"))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .context("cannot start chromium (package chromium)")?;
    let is_there = fs::metadata(picture).is_ok_and(|file| file.len() > 0);
    ensure!(is_there, "chromium made no picture: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
