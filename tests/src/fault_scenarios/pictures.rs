//! The pictures of the documentation: the real agent with every endpoint of the built-in profile, staged healthy, without its
//! DNS server, without any way out, at a reload, gone and started anew, and what a browser in its place shows of its page. Or
//! the page of any scenario, as picture and as text.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ase_probes::clock;
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    file::{By, Faults, Scenario},
    judge,
    stage::Stage,
};
use crate::browser::{Browser, Screen};

/// The world of the pictures.
const WORLD: &str =
    "{what: the pictures of the documentation, row: healthy, world: builtin, by: check, expect: silent}";
/// How the agent is started: it remembers, so that one that is started anew knows what was.
const AGENT: &str =
    "STATE_DIRECTORY=\"$HOME/state\" exec ase-agent run --config \"$ASE_LAB_CONFIG\" 2>>\"$HOME/agent.log\"";
/// Time between two visits of an endpoint: short, so that the pictures need not be waited for.
const EVERY: Duration = Duration::from_secs(5);
/// The same where a single scenario is staged, as `ase-lab scenarios` has it.
const PACE: Duration = Duration::from_secs(8);
/// The longest wait for what is to be seen.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long it must have been seen before a picture is taken: each endpoint was visited since, and failures were confirmed.
const STEADY: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// The same where it is measured.
const GLANCE: Duration = Duration::from_millis(100);

const WIDE: Screen = Screen { width: 1280, height: 1500, scale: 1.0, is_dark: false };
const DARK: Screen = Screen { is_dark: true, ..WIDE };
const SHORT: Screen = Screen { height: 900, ..WIDE };
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
    /// Stage this scenario instead, and write its first page as picture and as text
    #[arg(long, value_name = "SCENARIO.yaml")]
    staged: Option<PathBuf>,
    /// What its two files are called
    #[arg(long, value_name = "NAME", default_value = "staged")]
    name: String,
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
    if let Some(file) = &arguments.staged {
        return staged(file, &arguments.folder, &arguments.name);
    }
    let scenario: Scenario = serde_saphyr::from_str(WORLD).context("the world of the pictures")?;
    let mut stage = Stage::build(&scenario, EVERY)?;
    stage.begin()?;
    let agent = Running::start(&stage)?;
    until(&stage, |status| status["agent"]["ready"] == true && status["summary"]["failed"] == 0)?;
    let mut browser = browser_in(&stage)?;
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
    reload_and_restart(&stage, agent, &mut browser, &arguments.folder)?;
    // While the agent is gone nobody answers.
    browser.complaints.retain(|complaint| !complaint.contains("ERR_"));
    ensure!(browser.complaints.is_empty(), "the browser complained: {:?}", browser.complaints);
    Ok(())
}

/// The agent as a process that can be told to reload and be ended.
struct Running(Child);

impl Running {
    fn start(stage: &Stage) -> Result<Self> {
        stage.command(AGENT)?.spawn().map(Self).context("cannot start the agent")
    }

    fn tell(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.0.id())?), signal)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn browser_in(stage: &Stage) -> Result<Browser> {
    Browser::start(&["nsenter", "-t", &stage.process().to_string(), "-n", "chromium"])
}

/// In the total outage: a reload, during which the page stays as it is, an agent that is gone, and the same incident after it
/// was started anew.
fn reload_and_restart(stage: &Stage, mut agent: Running, browser: &mut Browser, folder: &Path) -> Result<()> {
    let loaded = stage.status()?["agent"]["loaded"].clone();
    look(browser, "/", SHORT)?;
    agent.tell(Signal::SIGHUP)?;
    let status = until(stage, |status| status["agent"]["loaded"] != loaded && !judge::incidents(status).is_empty())?;
    browser.wait_until("document.getElementById('live').textContent === ', live'")?;
    // The agent's own section says when which configuration came into force.
    browser.value("document.getElementById('h-agent').scrollIntoView({behavior: 'instant'})")?;
    browser.picture(&folder.join("page-reload.png"))?;
    let incidents = judge::incidents(&status);
    let since = incidents.first().map(|one| one["since"].clone()).context("one is open")?;
    let path = browser.value("document.querySelector('.card h3 a').pathname")?;
    let path = path.as_str().context("the card has a link that stays")?.to_owned();
    look(browser, &path, SHORT)?;
    agent.tell(Signal::SIGTERM)?;
    agent.0.wait()?;
    browser.wait_until("!document.getElementById('link').hidden")?;
    browser.picture(&folder.join("page-agent-gone.png"))?;
    let anew = Running::start(stage)?;
    let is_it = |one: &&Value| one["since"] == since;
    until(stage, |status| judge::incidents(status).iter().any(&is_it))?;
    take(browser, &path, SHORT, &folder.join("page-restart.png"))?;
    drop(anew);
    ["page-reload", "page-agent-gone", "page-restart"].iter().for_each(|name| println!("{name}"));
    Ok(())
}

/// The first page of a scenario, as a picture and as what a screen reader reads, and how soon the fault and its repair stood on
/// a page that was open before.
fn staged(file: &Path, folder: &Path, name: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let scenario: Scenario = serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
    ensure!(!matches!(scenario.by, By::Check), "{}: a scenario of `check` has no page", file.display());
    let mut stage = Stage::build(&scenario, PACE)?;
    stage.inject(&scenario.before)?;
    stage.begin()?;
    until(&stage, |status| status["agent"]["ready"] == true)?;
    let mut browser = browser_in(&stage)?;
    look(&mut browser, "/", WIDE)?;
    if let Some(fault) = &scenario.fault {
        stage.inject(&fault.during(&scenario.before))?;
    }
    println!("{name}: the incident {}", followed(&stage, &mut browser, true)?);
    for (what, words) in card(&mut browser)? {
        println!("{name}: {what}: {words}");
    }
    until(&stage, |status| !judge::incidents(status).is_empty())?;
    take(&mut browser, "/", WIDE, &folder.join(format!("{name}.png")))?;
    let text = browser.value("document.body.innerText")?;
    fs::write(folder.join(format!("{name}.txt")), text.as_str().context("the page has text")?)?;
    if scenario.fault.is_some() {
        stage.repair(&scenario.before)?;
        println!("{name}: its end {}", followed(&stage, &mut browser, false)?);
    }
    Ok(())
}

/// Waits until the agent says that an incident is open, or none, and until the open page says so; how long each took.
fn followed(stage: &Stage, browser: &mut Browser, is_open: bool) -> Result<String> {
    let start = clock::now();
    while judge::incidents(&stage.status()?).is_empty() == is_open {
        ensure!(start.elapsed() < PATIENCE, "the incident did not come or go: {}", stage.end_of_log());
        thread::sleep(GLANCE);
    }
    let said = start.elapsed();
    let cards = "document.querySelectorAll('#incidents .card')";
    // Who mends it and what to do next stand beside the cause.
    let whole = format!(
        "{cards}.length > 0 && [...{cards}].every((it) => it.querySelector('code') && it.querySelector('.owner') && it.querySelector('.todo b'))"
    );
    browser.wait_until(&if is_open { whole } else { format!("{cards}.length === 0") })?;
    let (said, later) = (said.as_secs_f64(), (start.elapsed() - said).as_secs_f64());
    Ok(format!("stood in the status after {said:.1} s, on the open page {later:.1} s later"))
}

/// What the first card of the open page says: the cause, who mends it, and what to do.
fn card(browser: &mut Browser) -> Result<[(&'static str, String); 3]> {
    let mut said = |what, which: &str| -> Result<_> {
        let all = format!("[...document.querySelector('#incidents .card').querySelectorAll('{which}')]");
        let words = browser.value(&format!("{all}.map((it) => it.textContent).join('; ')"))?;
        Ok((what, words.as_str().context("a card has text")?.to_owned()))
    };
    Ok([said("cause", ".kind code")?, said("owner", ".owner b")?, said("advice", ".todo > p:not(.owner) b")?])
}

fn take(browser: &mut Browser, path: &str, screen: Screen, file: &Path) -> Result<()> {
    look(browser, path, screen)?;
    browser.picture(file)
}

fn look(browser: &mut Browser, path: &str, screen: Screen) -> Result<()> {
    browser.look_by(screen)?;
    browser.go(&format!("http://127.0.0.1:{}{path}", super::stage::PORT))?;
    browser.wait_until("document.getElementById('live').textContent !== ''")
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
        ensure!(
            start.elapsed() < PATIENCE,
            "what is to be seen did not come: {}{}",
            status["summary"],
            stage.end_of_log()
        );
        thread::sleep(LOOK);
    }
}
