//! A real daemon on loopback under fault: it watches one port that accepts, remembers, and is looked at through its own port.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ase_probes::clock;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{free_port::free_port, loopback, programs};

/// The longest wait for anything that a daemon is to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a daemon may take to end once it was told.
pub(super) const END: Duration = Duration::from_secs(15);
/// What `ase_store_ok` says of a store that takes what it is given.
pub(super) const STORE_OK: &str = "ase_store_ok ";
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// The agent's program, beside this one.
pub(super) fn agent() -> Result<PathBuf> {
    let agent = std::env::current_exe()?.with_file_name(programs::AGENT);
    if !agent.is_file() {
        bail!("{} is missing: build the agent first", agent.display());
    }
    Ok(agent)
}

/// Waits until a look finds something; none after so long.
pub(super) fn wait_for<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = clock::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > patience {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// A peer that accepts while it is open.
#[derive(Debug)]
pub(super) struct Target {
    /// Where.
    pub(super) address: SocketAddr,
    is_open: Arc<AtomicBool>,
}

impl Target {
    /// Starts one.
    ///
    /// # Errors
    /// When no port is free.
    pub(super) fn start() -> Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0")?)
    }

    /// Starts one that takes what this listener hears.
    ///
    /// # Errors
    /// When it is bound nowhere.
    pub(super) fn on(listener: TcpListener) -> Result<Self> {
        let address = listener.local_addr()?;
        let is_open = Arc::new(AtomicBool::new(true));
        let open = Arc::clone(&is_open);
        thread::spawn(move || {
            for client in listener.incoming() {
                if !open.load(Ordering::Relaxed) {
                    return;
                }
                drop(client);
            }
        });
        Ok(Self { address, is_open })
    }

    /// Ends it: from now on the port is refused.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        // The one that waits is let go by a last client.
        drop(std::net::TcpStream::connect(self.address));
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where a daemon lives: its folder, its port and what it watches.
#[derive(Debug)]
pub(super) struct Home {
    /// Its folder; the configuration and the state directory lie in it.
    pub(super) folder: TempDir,
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// What it watches.
    pub(super) target: Target,
}

impl Home {
    /// Prepares one, and writes the configuration.
    ///
    /// # Errors
    /// When the folder cannot be made or no port is free.
    pub(super) fn new() -> Result<Self> {
        let (folder, target) = (tempfile::tempdir()?, Target::start()?);
        let home = Self { folder, listen: ([127, 0, 0, 1], free_port()?).into(), target };
        fs::write(home.config(), home.text())?;
        Ok(home)
    }

    /// The configuration's file.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("agent.yaml")
    }

    /// The state directory.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The store's file.
    pub(super) fn store(&self) -> PathBuf {
        self.state().join(ase_agent::store::FILE)
    }

    /// The configuration.
    pub(super) fn text(&self) -> String {
        format!("resolvers: {{custom: [127.0.0.1]}}\n{}", self.text_for(self.target.address, ""))
    }

    /// The configuration of a daemon that watches this target and others besides, and takes its DNS servers from the host.
    pub(super) fn text_for(&self, target: SocketAddr, others: &str) -> String {
        format!(
            "profile: custom\nstate_dir: {}\nendpoints:\n  add: [{{class: tcp, host: {}, port: {}, interval: 500ms, \
             timeout: 400ms}}{others}]\n\
             pace: {{failing_interval: 200ms, confirm_after: 200ms, flows_per_destination: 100000}}\n",
            self.state().display(),
            target.ip(),
            target.port()
        )
    }

    /// The command that runs the daemon, with the variables of the shipped unit.
    ///
    /// # Errors
    /// When the agent is not built.
    pub(super) fn command(&self) -> Result<Command> {
        Ok(self.running(&agent()?))
    }

    fn running(&self, agent: &Path) -> Command {
        let mut command = Command::new(agent);
        command.arg("run").arg("--config").arg(self.config()).args(["--listen", &self.listen.to_string()]);
        command.env_remove("STATE_DIRECTORY").env_remove("NOTIFY_SOCKET").current_dir(self.folder.path());
        command.envs(programs::environment_of_unit());
        command
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn start(&self) -> Result<Daemon> {
        self.start_by(self.command()?)
    }

    /// The same by another command.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn start_by(&self, command: Command) -> Result<Daemon> {
        let mut daemon = Daemon::spawn(command, &self.folder.path().join("log"), self.listen)?;
        let is_up = wait_for(PATIENCE, || daemon.get("/-/healthy").or_else(|| daemon.ended().map(|_| String::new())));
        if is_up.is_none_or(|text| text.is_empty()) {
            bail!("the daemon does not answer: {}", daemon.log());
        }
        Ok(daemon)
    }
}

/// A command that is begun by another program, with the variables that it has.
pub(super) fn within(inner: &Command, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// A daemon whose endpoint was seen healthy and whose store is there.
pub(super) fn settled(home: &Home) -> Result<Daemon> {
    let daemon = home.start()?;
    daemon.until("healthy").context("what it watches becomes healthy")?;
    daemon.until_metric(STORE_OK, 1.0).context("the store is opened")?;
    Ok(daemon)
}

/// A daemon, killed when it is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
    listen: SocketAddr,
}

impl Daemon {
    /// Starts a command whose words go to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn spawn(mut command: Command, log: &Path, listen: SocketAddr) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
        Ok(Self { child: child.context("the daemon starts")?, log: log.to_owned(), listen })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A page of it.
    pub(super) fn get(&self, path: &str) -> Option<String> {
        loopback::get_within(Duration::from_secs(5), self.listen, path)
    }

    /// Its status.
    pub(super) fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.get("/api/v1/status")?).ok()
    }

    /// The status of what it watches.
    pub(super) fn standing(&self) -> Option<String> {
        self.status()?["endpoints"][0]["status"].as_str().map(str::to_owned)
    }

    /// Waits until what it watches stands so; how long that took.
    pub(super) fn until(&self, wanted: &str) -> Option<Duration> {
        let start = clock::now();
        wait_for(PATIENCE, || self.standing().filter(|standing| standing == wanted)).map(|_| start.elapsed())
    }

    /// The value of a metric.
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics")?;
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until a metric has a value; how long that took.
    pub(super) fn until_metric(&self, name: &str, value: f64) -> Option<Duration> {
        let start = clock::now();
        wait_for(PATIENCE, || self.metric(name).filter(|found| *found == value)).map(|_| start.elapsed())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.id())?), signal)?)
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// How it ends, in words; none where it does not.
    pub(super) fn end(&mut self, patience: Duration) -> Option<String> {
        let status = wait_for(patience, || self.ended())?;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("ends {code}"),
            (None, signal) => format!("killed by {}", signal.unwrap_or_default()),
        })
    }

    /// What it said.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_runs_with_the_variables_of_the_unit() {
        let command = Home::new().expect("a folder and a port").running(Path::new("agent"));
        let given: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        let wanted: Vec<_> = programs::environment_of_unit().collect();
        assert!(!wanted.is_empty() && given.len() == wanted.len(), "{given:?}");
        assert!(wanted.iter().all(|(name, value)| given.contains(&(name.as_ref(), value.as_ref()))), "{given:?}");
    }
}
