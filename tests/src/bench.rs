//! What a probe costs: the agent against blackbox_exporter and the Prometheus that drives it, and the agent alone, each
//! in namespaces of its own behind a path with a round trip of 10 ms.

mod arrivals;
mod budget;
mod endpoints;
mod facts;
pub mod open_pages;
mod page;
mod path;
mod play;
mod servers;
mod spent;
mod stage;
mod table;

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use ase_agent::net::duration;
use clap::Args;
use nix::unistd::geteuid;
use serde::Serialize;

use self::{
    endpoints::{Endpoints, Kind},
    facts::Facts,
    play::{AGENT_NAME, BLACKBOX_NAME, Measurement, Plan, Subject},
};
use crate::namespace;

/// The case of the built-in profile, called by the number of its endpoints.
const PROFILE: &str = "alone-141";
/// How often each endpoint is asked unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(5);
/// The same where there are more than [`MANY`] endpoints.
const LONG_INTERVAL: Duration = Duration::from_secs(30);
/// More endpoints than this are asked every [`LONG_INTERVAL`].
const MANY: usize = 2_000;
/// The interval of most endpoints of the built-in profile.
const PROFILE_INTERVAL: Duration = Duration::from_secs(30);

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to measure: tcp, dns, http, https (agent and blackbox_exporter in turn), alone-N (the agent with N endpoints of
    /// all four kinds), alone-141 (the agent with the built-in profile in the simulated Azure)
    #[arg(
        long,
        value_name = "CASE,…",
        value_delimiter = ',',
        default_value = "tcp,dns,http,https,alone-141,alone-1000,alone-10000"
    )]
    cases: Vec<Case>,
    /// The window of each measurement [default: 30s, alone 60s, alone-141 5m]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasting: Option<Duration>,
    /// How often everything is measured; the tables show medians
    #[arg(long, value_name = "N", default_value_t = 1)]
    rounds: u32,
    /// Endpoints of the comparisons
    #[arg(long, value_name = "N", default_value_t = 1000)]
    endpoints: usize,
    /// How often each endpoint is asked [default: 5s, more than 2000 endpoints 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    interval: Option<Duration>,
    /// Time between the first visit of every endpoint and the window [default: two intervals]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    warm_up: Option<Duration>,
    /// The agent's binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Write facts and all measurements to this file
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Exit with 1 when the agent spends more than this many times the figures to reach
    #[arg(long, value_name = "FACTOR", num_args = 0..=1, default_missing_value = "3")]
    budget: Option<f64>,
}

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Against(Kind),
    Alone(usize),
    Profile,
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.label() == text).map(Self::Against);
        let alone = || text.strip_prefix("alone-")?.parse().ok().filter(|count| *count > 0).map(Self::Alone);
        let profile = (text == PROFILE).then_some(Self::Profile);
        profile.or(kind).or_else(alone).ok_or_else(|| "must be tcp, dns, http, https or alone-N".to_owned())
    }
}

impl Case {
    fn label(self) -> String {
        match self {
            Self::Against(kind) => kind.label().to_owned(),
            Self::Alone(count) => format!("alone-{count}"),
            Self::Profile => PROFILE.to_owned(),
        }
    }

    fn lasting(self) -> Duration {
        Duration::from_secs(match self {
            Self::Against(_) => 30,
            Self::Alone(_) => 60,
            Self::Profile => 300,
        })
    }

    fn subjects(self) -> &'static [Subject] {
        match self {
            Self::Against(_) => &[Subject::Agent, Subject::Blackbox],
            Self::Alone(_) | Self::Profile => &[Subject::AgentAlone],
        }
    }
}

/// Everything that was found, for a file.
#[derive(Serialize)]
struct Report<'a> {
    facts: &'a Facts,
    measurements: &'a [Measurement],
    budget: &'a [budget::Line],
}

/// Measures every case in turn, round by round, and prints the tables.
///
/// # Errors
/// Without root, or when a program cannot be started or ends early.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    ensure!(geteuid().is_root(), "only root may open /dev/net/tun, which the path needs: run this as root");
    let agent = agent(arguments.agent.as_ref())?;
    let facts = Facts::gather(&agent);
    println!("{}", facts.lines());
    let mut measurements = Vec::new();
    for round in 1..=arguments.rounds {
        for case in &arguments.cases {
            for subject in case.subjects() {
                let plan = plan(arguments, *case, *subject, agent.clone());
                let measured = play_apart(&plan).with_context(|| format!("{} in round {round}", case.label()))?;
                eprintln!("{}", told(round, &measured));
                measurements.push(measured);
            }
        }
    }
    println!("{}", table::render(&measurements, facts.cores));
    let lines: Vec<budget::Line> = arguments
        .budget
        .iter()
        .flat_map(|factor| measurements.iter().flat_map(|one| budget::of(one, *factor)))
        .collect();
    lines.iter().for_each(|line| println!("{}", line.shown()));
    if let Some(file) = &arguments.report {
        let report = Report { facts: &facts, measurements: &measurements, budget: &lines };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::from(u8::from(lines.iter().any(budget::Line::is_over))))
}

/// Makes the measurement that `bench` asks for, in this process, and prints it for it.
///
/// # Errors
/// When the plan cannot be read or carried out.
pub fn play_one(plan: &str) -> Result<ExitCode> {
    namespace::die_with_parent()?;
    let plan = serde_json::from_str(plan).context("the plan of `bench`")?;
    println!("{}", serde_json::to_string(&play::play(plan)?)?);
    Ok(ExitCode::SUCCESS)
}

fn agent(named: Option<&PathBuf>) -> Result<PathBuf> {
    let own = std::env::current_exe()?.with_file_name("ase-agent");
    let agent = named.cloned().unwrap_or(own);
    ensure!(
        agent.is_file(),
        "{} is missing: build the agent first (cargo build --release --workspace)",
        agent.display()
    );
    Ok(agent)
}

fn plan(arguments: &Arguments, case: Case, subject: Subject, agent: PathBuf) -> Plan {
    let of = |kinds: &[Kind], count: usize| {
        let usual = if count > MANY { LONG_INTERVAL } else { INTERVAL };
        Some(Endpoints { kinds: kinds.to_vec(), count, interval: arguments.interval.unwrap_or(usual) })
    };
    let endpoints = match case {
        Case::Against(kind) => of(&[kind], arguments.endpoints),
        Case::Alone(count) => of(&Kind::ALL, count),
        Case::Profile => None,
    };
    let interval = endpoints.as_ref().map_or(PROFILE_INTERVAL, |endpoints| endpoints.interval);
    Plan {
        case: case.label(),
        subject,
        endpoints,
        // A visit reaches its endpoint's own phase within one and a half intervals of the first.
        warm_up: arguments.warm_up.unwrap_or(2 * interval),
        lasting: arguments.lasting.unwrap_or_else(|| case.lasting()),
        agent,
    }
}

/// Measures in a process of its own: each has its own namespaces and begins cold.
fn play_apart(plan: &Plan) -> Result<Measurement> {
    let output = Command::new(std::env::current_exe()?)
        .arg("play-bench")
        .arg(serde_json::to_string(plan)?)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measurement")?;
    if !output.status.success() {
        bail!("the measurement ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("the measurement says nothing that can be read")
}

/// One measurement in one line, for those who wait.
fn told(round: u32, one: &Measurement) -> String {
    let program = if one.plan.subject == Subject::Blackbox { BLACKBOX_NAME } else { AGENT_NAME };
    let cost = one.cpu_per_probe(program).unwrap_or(f64::NAN);
    format!(
        "round {round}: {} {program}: {cost:.3} ms for each of {} probes in {:.0} s, {} of {} endpoints healthy",
        one.plan.case,
        one.made(),
        one.seconds,
        one.healthy,
        one.watched
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_as_they_are_called() {
        for text in ["tcp", "https", "alone-141", "alone-1000"] {
            assert_eq!(text.parse::<Case>().map(Case::label), Ok(text.to_owned()));
        }
        assert_eq!("alone-141".parse(), Ok(Case::Profile));
        for text in ["alone", "alone-0", "alone-x", "udp", ""] {
            assert!(text.parse::<Case>().is_err(), "{text}");
        }
    }
}
