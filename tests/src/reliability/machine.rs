//! Faults of the agent's own machine against a real daemon with a store: files that are not files, disks that are full or
//! gone, limits, signals, stops, kills; and what became of the daemon and of what it remembers.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ase_agent::{
    net::duration::HumanDuration,
    store::history::{self, Query},
};
use ase_probes::clock;
use nix::{sys::signal::Signal, unistd::geteuid};
use serde::Deserialize;

use super::{
    cgroup::Group,
    daemon::{Daemon, END, Home, PATIENCE, STORE_OK, settled, wait_for, within},
    damage::{Damage, Thing},
    outcome::{Became, Outcome, Standing},
    row::Named,
    surroundings::{self, LEAST, Rewrite},
};
use crate::namespace;

/// Rows that are played at once.
const AT_ONCE: usize = 8;
/// How long a store that can be used may take to be opened.
const OPENS: Duration = Duration::from_secs(4);
/// One row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MachineRow {
    /// In words.
    name: String,
    /// What happens.
    fault: Fault,
    /// What must become of it.
    expect: String,
    /// Why the row is known not to hold.
    #[serde(default)]
    open: Option<String>,
}

impl MachineRow {
    /// Whether everything is there that it takes; what is not is said.
    fn can_be_played(&self, has_root: bool, has_groups: bool) -> bool {
        let want = match (self.fault.needs_root() && !has_root, self.fault.needs_group() && !has_groups) {
            (true, _) => "root",
            (false, true) => "a memory cgroup",
            (false, false) => return true,
        };
        println!("SKIPPED for want of {want}: machine: {}", self.name);
        false
    }
}

impl Named for MachineRow {
    fn called(&self) -> String {
        format!("machine: {}", self.name)
    }
}

/// A fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// The store was damaged while the daemon did not run.
    Store(Damage),
    /// The state directory is removed while it runs.
    StateRemoved,
    /// The disk of the state directory is full, then free again; as root only.
    DiskFull,
    /// The disk of the state directory can only be read at first, then written; as root only.
    ReadOnly,
    /// It may open no further file for a while.
    NoDescriptors,
    /// It does not run for a while, as on a machine that was suspended.
    Stopped(HumanDuration),
    /// It is told to reload again and again while what it watches is lost.
    Reloads(usize),
    /// Its configuration is this from the start.
    Configuration(Thing),
    /// Its configuration becomes this and it is told to reload; then it becomes what it was.
    Reload(Thing),
    /// Its log cannot be written.
    LogFull,
    /// It is told to end once, or twice.
    Told(usize),
    /// It is killed so often while it writes.
    Kills(usize),
    /// It is killed while something is lost, and started again.
    Restart,
    /// The same, and its store was written by a clock that was ahead by so many seconds; behind, where negative.
    ClockWas(i64),
    /// Its clock is ahead of every time server by so many seconds, or behind; as root only.
    ClockIs(i64),
    /// The host's resolver file is replaced without end, read anew again and again, and left whole; as root only.
    ResolverFile(Rewrite),
    /// The interface to what it watches is down for so long; as root only.
    InterfaceDown(HumanDuration),
    /// It may have so many MiB, while clients ask for more than they read; where a memory cgroup can be made.
    Memory(u64),
    /// It is killed for want of memory as it starts with something lost, and started again with enough; likewise.
    OutOfMemory,
}

/// Plays all rows, some side by side; what needs root is left out without it, and said.
///
/// # Errors
/// When a row cannot be staged.
pub(super) fn play(rows: Vec<MachineRow>) -> Result<Vec<Outcome>> {
    let (has_root, has_groups) = (geteuid().is_root(), Group::new(LEAST).is_ok());
    let rows: Vec<_> = rows.into_iter().filter(|row| row.can_be_played(has_root, has_groups)).collect();
    let count = rows.len();
    let (queue, outcomes) = (Mutex::new(rows.into_iter().enumerate()), Arc::new(Mutex::new(Vec::with_capacity(count))));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((place, row)) = next else { return };
                    let stage = || play_one(&row);
                    let outcome = if row.fault.has_own_network() { namespace::apart(stage) } else { stage() };
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
                }
            });
        }
    });
    let mut outcomes = std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn play_one(row: &MachineRow) -> Result<Outcome> {
    let start = clock::now();
    let home = Home::new()?;
    let became = row.fault.befall(&home).unwrap_or_else(|error| Became::said(format!("not staged: {error:#}")));
    let log = fs::read_to_string(home.folder.path().join("log")).unwrap_or_default();
    let standing = match (log.contains("panicked"), became.said == "hangs") {
        (true, _) => Standing::Panicked,
        (false, true) => Standing::Hung,
        (false, false) => Standing::Survived,
    };
    let miss = (became.said != row.expect).then(|| format!("became of it: {}", became.said));
    let lines = log.lines().rev().take(3).map(str::to_owned).collect();
    Ok(Outcome {
        kind: "machine",
        name: row.name.clone(),
        expected: row.expect.clone(),
        said: became.said,
        standing,
        misses: miss.into_iter().collect(),
        took: start.elapsed(),
        overrun: Duration::ZERO,
        bytes: 0,
        lost: became.lost,
        recovery: became.recovery.map(|time| time.as_secs_f64()),
        open: row.open.clone(),
        evidence: lines,
    })
}

impl Fault {
    fn needs_root(&self) -> bool {
        matches!(self, Self::DiskFull | Self::ReadOnly) || self.has_own_network()
    }

    fn needs_group(&self) -> bool {
        matches!(self, Self::Memory(_) | Self::OutOfMemory)
    }

    fn has_own_network(&self) -> bool {
        matches!(self, Self::ClockIs(_) | Self::ResolverFile(_) | Self::InterfaceDown(_))
    }

    fn befall(&self, home: &Home) -> Result<Became> {
        match self {
            Self::Store(damage) => store(home, *damage),
            Self::StateRemoved => state_removed(home),
            Self::DiskFull => disk_full(home),
            Self::ReadOnly => read_only(home),
            Self::NoDescriptors => no_descriptors(home),
            Self::Stopped(time) => stopped(home, time.0),
            Self::Reloads(count) => reloads(home, *count),
            Self::Configuration(thing) => configuration(home, *thing),
            Self::Reload(thing) => reload(home, *thing),
            Self::LogFull => log_full(home),
            Self::Told(times) => told(home, *times),
            Self::Kills(count) => kills(home.folder.path(), *count),
            Self::Restart => surroundings::restart(home),
            Self::ClockWas(ahead) => surroundings::clock_was(home, *ahead),
            Self::ClockIs(ahead) => surroundings::clock_is(home, *ahead),
            Self::ResolverFile(rewrite) => surroundings::resolver_file(home, *rewrite),
            Self::InterfaceDown(time) => surroundings::interface_down(home, time.0),
            Self::Memory(most) => surroundings::memory(home, *most),
            Self::OutOfMemory => surroundings::out_of_memory(home),
        }
    }
}

fn store(home: &Home, damage: Damage) -> Result<Became> {
    let mut daemon = settled(home)?;
    daemon.signal(Signal::SIGTERM)?;
    daemon.end(END).context("the first daemon ends")?;
    damage.befall(&home.store())?;
    let mut again = home.start()?;
    again.until("healthy").context("what it watches becomes healthy")?;
    let start = clock::now();
    let recovery = wait_for(OPENS, || again.metric(STORE_OK).filter(|ok| *ok == 1.0)).map(|_| start.elapsed());
    let resets = again.metric("ase_store_resets_total ").unwrap_or_default();
    let said = match (recovery, resets > 0.0) {
        (None, _) => "without a store",
        (Some(_), true) => "set aside",
        (Some(_), false) => "used",
    };
    again.signal(Signal::SIGTERM)?;
    let said = if again.end(END).is_some() { said } else { "hangs" };
    Ok(Became { recovery, ..Became::said(said) })
}

fn state_removed(home: &Home) -> Result<Became> {
    let daemon = settled(home)?;
    fs::remove_dir_all(home.state())?;
    home.target.close();
    let start = clock::now();
    let is_back = || home.store().is_file() && daemon.metric(STORE_OK) == Some(1.0);
    Ok(Became::recovered(wait_for(PATIENCE * 2, || is_back().then(|| start.elapsed()))))
}

/// A daemon whose state directory is a disk of its own, in a mount namespace of the daemon's.
fn on_disk(home: &Home, options: &str) -> Result<Daemon> {
    fs::create_dir_all(home.state())?;
    let script = format!("mount -t tmpfs -o size=2m,{options} none state && exec \"$@\"");
    let mut command = within(&home.command()?, "unshare", &["-m", "sh", "-c", &script, "sh"]);
    command.current_dir(home.folder.path());
    let daemon = home.start_by(command)?;
    daemon.until("healthy").context("what it watches becomes healthy")?;
    Ok(daemon)
}

/// Runs a script where the daemon's disk is.
fn beside(daemon: &Daemon, home: &Home, script: &str) -> Result<()> {
    let there = format!("cd {} && {script}", home.folder.path().display());
    let status = Command::new("nsenter").args(["-t", &daemon.id().to_string(), "-m", "sh", "-c", &there]).status()?;
    ensure!(status.success(), "{script} fails");
    Ok(())
}

fn disk_full(home: &Home) -> Result<Became> {
    let daemon = on_disk(home, "rw")?;
    daemon.until_metric(STORE_OK, 1.0).context("the store is opened")?;
    beside(&daemon, home, "dd if=/dev/zero of=state/fill bs=4096 2>/dev/null; true")?;
    // What becomes of the endpoint has to be written.
    home.target.close();
    daemon.until("failed").context("the loss is seen")?;
    if daemon.until_metric(STORE_OK, 0.0).is_none() {
        return Ok(Became::said("never said that it cannot write"));
    }
    beside(&daemon, home, "rm state/fill")?;
    Ok(Became::recovered(daemon.until_metric(STORE_OK, 1.0)))
}

fn read_only(home: &Home) -> Result<Became> {
    let daemon = on_disk(home, "ro")?;
    if daemon.until_metric(STORE_OK, 0.0).is_none() {
        return Ok(Became::said("never said that it cannot write"));
    }
    beside(&daemon, home, "mount -o remount,rw state")?;
    Ok(Became::recovered(daemon.until_metric(STORE_OK, 1.0)))
}

fn no_descriptors(home: &Home) -> Result<Became> {
    let daemon = settled(home)?;
    let limit = |limits: &str| {
        let words = ["--pid", &daemon.id().to_string(), &format!("--nofile={limits}")];
        Command::new("prlimit").args(words).status()
    };
    ensure!(limit("4:1024")?.success(), "prlimit works");
    thread::sleep(Duration::from_secs(3));
    ensure!(limit("1024:1024")?.success(), "prlimit works");
    let recovery = daemon.until("healthy");
    let blamed =
        daemon.status().is_some_and(|status| status["incidents"].as_array().is_some_and(|list| !list.is_empty()));
    Ok(if blamed { Became::said("the peer was blamed") } else { Became::recovered(recovery) })
}

fn stopped(home: &Home, time: Duration) -> Result<Became> {
    let daemon = settled(home)?;
    daemon.signal(Signal::SIGSTOP)?;
    thread::sleep(time);
    daemon.signal(Signal::SIGCONT)?;
    let recovery = daemon.until("healthy");
    let blamed = daemon.log().contains("to=failed");
    Ok(if blamed { Became::said("the peer was blamed") } else { Became::recovered(recovery) })
}

fn reloads(home: &Home, count: usize) -> Result<Became> {
    let daemon = settled(home)?;
    home.target.close();
    for _ in 0..count {
        daemon.signal(Signal::SIGHUP)?;
        thread::sleep(Duration::from_millis(20));
    }
    let seen = daemon.until("failed");
    Ok(Became { recovery: seen, ..Became::said(if seen.is_some() { "seen" } else { "never seen" }) })
}

fn configuration(home: &Home, thing: Thing) -> Result<Became> {
    thing.put(&home.config())?;
    let mut daemon = Daemon::spawn(home.command()?, &home.folder.path().join("log"), home.listen)?;
    Ok(Became::said(daemon.end(END).unwrap_or_else(|| "hangs".to_owned())))
}

fn reload(home: &Home, thing: Thing) -> Result<Became> {
    const TAKEN: &str = "ase_agent_config_last_reload_successful ";
    let daemon = settled(home)?;
    thing.put(&home.config())?;
    daemon.signal(Signal::SIGHUP)?;
    if daemon.until_metric(TAKEN, 0.0).is_none() {
        return Ok(Became::said("never refused"));
    }
    Thing::Nothing.put(&home.config())?;
    fs::write(home.config(), home.text())?;
    let start = clock::now();
    daemon.signal(Signal::SIGHUP)?;
    let recovery = daemon.until_metric(TAKEN, 1.0).and_then(|_| daemon.until("healthy")).map(|_| start.elapsed());
    Ok(Became::recovered(recovery))
}

fn log_full(home: &Home) -> Result<Became> {
    let script = "exec \"$@\" --log-level trace >/dev/full 2>&1";
    let mut command = within(&home.command()?, "sh", &["-c", script, "sh"]);
    command.current_dir(home.folder.path());
    let daemon = home.start_by(command)?;
    Ok(Became::recovered(daemon.until("healthy")))
}

fn told(home: &Home, times: usize) -> Result<Became> {
    let mut daemon = settled(home)?;
    for _ in 0..times {
        // The first may have ended it already.
        drop(daemon.signal(Signal::SIGTERM));
    }
    Ok(Became::said(daemon.end(END).unwrap_or_else(|| "hangs".to_owned())))
}

/// Kills whoever writes to a store, again and again, and counts what was said to be on the disk and is not.
fn kills(folder: &Path, count: usize) -> Result<Became> {
    let (folder, mut lost) = (folder.join("state"), 0);
    fs::create_dir_all(&folder)?;
    for kill in 0..count {
        let mut writer = Command::new(std::env::current_exe()?);
        let mut child = writer.arg("remember").arg(&folder).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("piped above")?);
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let first: Vec<String> = (0..=2).filter_map(|_| told.recv_timeout(PATIENCE).ok()).collect();
        thread::sleep(Duration::from_micros(700 * kill as u64));
        child.kill()?;
        child.wait()?;
        drop(reader.join());
        let said =
            first.into_iter().chain(told.try_iter()).filter_map(|line| line.parse::<u64>().ok()).max().unwrap_or(0);
        let found = history::read(&folder, &Query::default())?;
        let saved = found.state.map_or(0, |state| state.memory.risk.sequence);
        lost += said.saturating_sub(saved) + found.damaged as u64;
    }
    Ok(Became { lost: Some(lost), ..Became::said(if lost == 0 { "nothing lost" } else { "commits are lost" }) })
}
