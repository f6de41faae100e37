//! `ase-lab scenarios`: every scenario in a process and namespaces of its own, many at once, and what the agent said of
//! them in one report.

mod exported;
mod file;
mod judge;
pub mod packets;
pub mod pictures;
mod play;
mod polite;
mod printed;
mod queue;
mod report;
mod stage;
mod surroundings;
mod watch;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use ase_agent::net::duration;
use ase_probes::clock;
use clap::Args;
use nix::unistd::geteuid;

pub(crate) use self::report::Row;
use self::{
    file::{Scenario, World},
    queue::{Queue, Weighed},
};
use crate::{namespace, programs};

/// Arguments of `scenarios`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run only scenarios whose group or name holds every one of these words; dns means the comparisons of two
    /// resolvers, dns/ the faults of name servers
    filter: Vec<String>,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How many run at once
    #[arg(long, value_name = "NUMBER", default_value_t = 24)]
    jobs: usize,
    /// How often every endpoint is visited; the daemon's own default is 30s
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "8s")]
    every: Duration,
    /// Run only the few that stand for all
    #[arg(long)]
    quick: bool,
    /// Only list them
    #[arg(long)]
    list: bool,
}

/// Something that runs in a process of its own.
enum Job {
    /// A fault scenario.
    Fault(PathBuf, Box<Scenario>),
    /// The comparisons of two resolvers whose names hold this word.
    Comparisons(String),
}

/// The group of the comparisons.
const COMPARISONS: &str = "dns";

/// Runs the chosen scenarios; the exit code is 1 if one is missed.
///
/// # Errors
/// When a file is broken, nothing is chosen, or the report cannot be written.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let jobs = choose(&arguments.filter, arguments.quick)?;
    if arguments.list {
        jobs.iter().for_each(|job| println!("{}", job.title()));
        return Ok(ExitCode::SUCCESS);
    }
    programs::need_agent()?;
    let is_root = geteuid().is_root();
    let needs_root = jobs.iter().any(|job| matches!(job, Job::Fault(..)));
    ensure!(is_root || !needs_root, "fault scenarios need root: only root may open /dev/net/tun");
    let file = arguments.report.as_deref().map(fs::File::create).transpose().context("cannot write the report")?;
    let start = clock::now();
    let workers = arguments.jobs.clamp(1, jobs.len());
    let (queue, rows) = (Queue::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = queue.take() {
                    let done = job.run(arguments.every);
                    queue.done(&job);
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    done.iter().for_each(|row| row.print(rows.len() + 1));
                    rows.extend(done);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    report::print(&rows, start.elapsed());
    if let Some(mut file) = file {
        writeln!(file, "{:#}", report::document(&rows, start.elapsed())).context("cannot write the report")?;
    }
    Ok(ExitCode::from(u8::from(rows.iter().any(|row| !row.is_strict()))))
}

/// The jobs whose group and name hold every word.
fn choose(words: &[String], is_quick: bool) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    let rest: Vec<&String> = words.iter().filter(|word| *word != COMPARISONS).collect();
    if !is_quick && (rest.len() < words.len() || words.is_empty()) {
        jobs.push(Job::Comparisons(rest.first().map(|word| (*word).clone()).unwrap_or_default()));
    }
    if rest.len() == words.len() {
        for file in file::files()? {
            let scenario = Scenario::load(&file)?;
            let is_quick_enough = scenario.quick || !is_quick;
            for play in scenario.plays().into_iter().filter(|_| is_quick_enough) {
                if words.iter().all(|word| play.path().contains(word.as_str())) {
                    jobs.push(Job::Fault(file.clone(), Box::new(play)));
                }
            }
        }
    }
    if jobs.is_empty() {
        bail!("no scenario's group or name holds ({})", words.join(" "));
    }
    Ok(jobs)
}

impl Weighed for Job {
    fn is_heavy(&self) -> bool {
        matches!(self, Self::Fault(_, scenario) if scenario.world == World::Builtin)
    }

    fn is_short(&self) -> bool {
        matches!(self, Self::Fault(_, scenario) if scenario.is_short())
    }
}

impl Job {
    fn title(&self) -> String {
        match self {
            Self::Fault(_, scenario) => scenario.path(),
            Self::Comparisons(word) => format!("{COMPARISONS}/*{word}*"),
        }
    }

    /// Runs it, and makes a row even of what broke.
    fn run(&self, every: Duration) -> Vec<Row> {
        self.rows(every).unwrap_or_else(|error| vec![self.broken(&format!("{error:#}"))])
    }

    fn rows(&self, every: Duration) -> Result<Vec<Row>> {
        let mut command = Command::new(std::env::current_exe()?);
        match self {
            Self::Fault(file, scenario) => {
                command.arg("play").arg(file).arg(every.as_secs().to_string()).arg(&scenario.name)
            }
            Self::Comparisons(word) => command.arg("compare-resolvers").arg(word),
        };
        command.env("RUST_BACKTRACE", "0").env_remove("RUST_LIB_BACKTRACE");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let output = child.and_then(std::process::Child::wait_with_output).context("cannot start a scenario")?;
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn broken(&self, error: &str) -> Row {
        let (group, name, expected) = match self {
            Self::Fault(_, scenario) => (scenario.group.clone(), scenario.name.clone(), scenario.expected()),
            Self::Comparisons(_) => (COMPARISONS.to_owned(), "all".to_owned(), "comparisons".to_owned()),
        };
        let misses = vec![error.to_owned()];
        let file = if let Self::Fault(_, scenario) = self { Some(scenario.file.clone()) } else { None };
        Row { file, group, name, expected, got: "broken".to_owned(), misses, ..Row::default() }
    }
}

/// Plays one scenario in this process and prints its row as JSON.
///
/// # Errors
/// When the file is broken, is not played under this name, or its world cannot be built.
pub fn play_one(file: &Path, every: Duration, name: &str) -> Result<ExitCode> {
    namespace::die_with_parent()?;
    let scenario = Scenario::load(file)?.plays().into_iter().find(|play| play.name == name);
    let scenario = scenario.with_context(|| format!("{} is not played as {name}", file.display()))?;
    let played = play::play(&scenario, every)?;
    let rows = [report::Row::of(&scenario, &played)];
    println!("{}", serde_json::to_string(&rows)?);
    Ok(ExitCode::SUCCESS)
}

/// Runs the comparisons of two resolvers in this process and prints their rows as JSON.
///
/// # Errors
/// When a server cannot be started.
pub fn compare_resolvers(word: &str) -> Result<ExitCode> {
    namespace::die_with_parent()?;
    println!("{}", serde_json::to_string(&crate::scenario::rows(word)?)?);
    Ok(ExitCode::SUCCESS)
}
