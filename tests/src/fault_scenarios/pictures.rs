//! The pictures of the documentation: the real agent with every endpoint of the built-in profile, staged healthy, without its
//! DNS server and without any way out, and what a browser in its place shows of its page.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ase_probes::clock;
use clap::Args;
use serde_json::Value;

use super::{
    file::{Faults, Scenario},
    judge,
    stage::Stage,
};
use crate::browser::{Browser, Screen};

/// The world of the pictures.
const WORLD: &str = "{what: the pictures of the documentation, row: healthy, world: builtin, expect: silent}";
/// Time between two visits of an endpoint: short, so that the pictures need not be waited for.
const EVERY: Duration = Duration::from_secs(5);
/// The longest wait for what is to be seen.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long it must have been seen before a picture is taken: each endpoint was visited since, and failures were confirmed.
const STEADY: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

const WIDE: Screen = Screen { width: 1280, height: 1500, scale: 1.0, is_dark: false };
const DARK: Screen = Screen { is_dark: true, ..WIDE };
const PHONE: Screen = Screen { width: 390, height: 1400, scale: 1.5, is_dark: false };

/// A picture: its name, what it shows, how that is looked at.
type Picture = (&'static str, Subject, Screen);

/// What is staged one after the other: the faults, how many incidents then are open at least, and the pictures.
const SCRIPT: [(&str, usize, &[Picture]); 3] = [
    ("{}", 0, &[("page-healthy", Subject::First, WIDE)]),
    (
        "{box: [{match: {host: 10.53.0.4}, do: drop}]}",
        1,
        &[("page-dns-outage", Subject::First, DARK), ("page-incident", Subject::Incident, WIDE)],
    ),
    (
        "{box: [{match: {host: internet}, do: drop}]}",
        1,
        &[
            ("page-total-outage", Subject::First, WIDE),
            ("page-phone", Subject::First, PHONE),
            ("page-endpoint", Subject::Endpoint, DARK),
        ],
    ),
];

/// Arguments of `page-pictures`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Where the pictures go
    #[arg(value_name = "FOLDER", default_value = "docs/images")]
    folder: PathBuf,
}

/// Which page is shown.
#[derive(Clone, Copy, Debug)]
enum Subject {
    First,
    /// The worst open incident.
    Incident,
    /// The first endpoint that failed.
    Endpoint,
}

/// Takes the pictures.
///
/// # Errors
/// Without root or Chromium, or when the staged world does not become what it should.
pub fn run(arguments: &Arguments) -> Result<()> {
    fs::create_dir_all(&arguments.folder)?;
    let scenario: Scenario = serde_saphyr::from_str(WORLD).context("the world of the pictures")?;
    let mut stage = Stage::build(&scenario, EVERY)?;
    stage.begin()?;
    until(&stage, |status| status["agent"]["ready"] == true && status["summary"]["failed"] == 0)?;
    let process = stage.process().to_string();
    let mut browser = Browser::start(&["nsenter", "-t", &process, "-n", "chromium"])?;
    for (faults, incidents, pictures) in SCRIPT {
        let faults: Faults = serde_saphyr::from_str(faults).context("the faults of a picture")?;
        stage.repair(&Faults::default())?;
        until(&stage, |status| judge::incidents(status).is_empty())?;
        stage.inject(&faults)?;
        let status = until(&stage, |status| judge::incidents(status).len() >= incidents)?;
        for (name, subject, screen) in pictures {
            let path = arguments.folder.join(format!("{name}.png"));
            take(&mut browser, &address(*subject, &status)?, *screen, &path)?;
            println!("{}", path.display());
        }
    }
    ensure!(browser.complaints.is_empty(), "the browser complained: {:?}", browser.complaints);
    Ok(())
}

fn take(browser: &mut Browser, path: &str, screen: Screen, file: &Path) -> Result<()> {
    browser.look_by(screen)?;
    browser.go(&format!("http://127.0.0.1:{}{path}", super::stage::PORT))?;
    browser.wait_until("document.getElementById('live').textContent !== ''")?;
    browser.picture(file)
}

/// Where a page is.
fn address(subject: Subject, status: &Value) -> Result<String> {
    let failed = |endpoint: &&Value| endpoint["status"] == "failed";
    match subject {
        Subject::First => Ok("/".to_owned()),
        Subject::Incident => {
            let incidents = judge::incidents(status);
            Ok(format!("/incident/{}", incidents.first().context("an incident is open")?["id"]))
        }
        Subject::Endpoint => {
            let endpoints = status["endpoints"].as_array().context("the status lists endpoints")?;
            let id = endpoints.iter().find(failed).and_then(|endpoint| endpoint["id"].as_str());
            Ok(format!("/endpoint/{}", id.context("an endpoint failed")?))
        }
    }
}

/// Waits until the status is like this for a while.
fn until(stage: &Stage, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let (start, mut since): (Instant, Option<Instant>) = (clock::now(), None);
    loop {
        // Before the agent listens there is no status.
        let status = stage.status().unwrap_or_default();
        since = if !status.is_null() && fits(&status) { since.or(Some(clock::now())) } else { None };
        if since.is_some_and(|since| since.elapsed() >= STEADY) {
            return Ok(status);
        }
        ensure!(start.elapsed() < PATIENCE, "what is to be seen did not come: {}{}", status["summary"], stage.log());
        thread::sleep(LOOK);
    }
}
