//! How long `ase-agent lint` takes for a group of 1 000 rules beside a tag file of 100 000 prefixes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ase_probes::clock;
use clap::Args;
use serde_json::{Value, json};

use crate::programs;

/// Rules of the group.
const RULES: u32 = 1_000;
/// Tags of the tag file, and prefixes of each.
const TAGS: u32 = 1_000;
const PREFIXES: u32 = 100;

/// Arguments of `lint-time`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How often each group is judged; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Exit with 1 when a median is longer than this many milliseconds
    #[arg(long, value_name = "MILLISECONDS")]
    budget: Option<u64>,
    /// The agent's binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

/// Judges each group several times and prints the medians.
///
/// # Errors
/// A folder that cannot be written, an agent that cannot judge.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let agent = match &arguments.agent {
        Some(agent) => agent.clone(),
        None => std::env::current_exe()?.with_file_name(programs::AGENT),
    };
    let folder = tempfile::tempdir()?;
    let tags = write(folder.path(), "tags.json", &tag_file())?;
    let mut slow = false;
    for (name, group) in groups() {
        let file = write(folder.path(), "nsg.json", &group)?;
        let mut taken: Vec<Duration> = Vec::new();
        for _ in 0..arguments.rounds {
            taken.push(once(&agent, &file, &tags)?);
        }
        taken.sort_unstable();
        let median = taken[taken.len() / 2];
        slow |= arguments.budget.is_some_and(|budget| median > Duration::from_millis(budget));
        println!(
            "{name:<28} {:>7.1} ms (of {} runs, {RULES} rules, {} prefixes)",
            median.as_secs_f64() * 1e3,
            taken.len(),
            TAGS * PREFIXES
        );
    }
    Ok(ExitCode::from(u8::from(slow)))
}

fn once(agent: &Path, group: &Path, tags: &Path) -> Result<Duration> {
    let mut command = Command::new(agent);
    command.arg("lint").arg(group).arg("--tags").arg(tags);
    command.args(["--subnet", "10.0.1.0/24", "--vnet", "10.0.0.0/16", "--deployment", "ilb", "--format", "json"]);
    command.env_remove("ASE_AGENT_CONFIG").stdin(Stdio::null()).stdout(Stdio::null());
    let began = clock::now();
    let status = command.status().with_context(|| format!("{}", agent.display()))?;
    let took = began.elapsed();
    ensure!(matches!(status.code(), Some(0..=3)), "{command:?} ended with {status}");
    Ok(took)
}

fn write(folder: &Path, name: &str, value: &Value) -> Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, value.to_string())?;
    Ok(file)
}

/// Prefixes of different tags lie among each other, as those of Azure's regions do.
fn tag_file() -> Value {
    let prefix = |tag: u32, at: u32| {
        let place = 20 * 65_536 + at * TAGS + tag;
        format!("{}.{}.{}.0/25", place / 65_536, place / 256 % 256, place % 256)
    };
    let tag = |tag: u32| {
        let prefixes: Vec<String> = (0..PREFIXES).map(|at| prefix(tag, at)).collect();
        json!({"name": format!("Service{tag}"), "properties": {"addressPrefixes": prefixes}})
    };
    json!({"changeNumber": 1, "cloud": "Public", "values": (0..TAGS).map(tag).collect::<Vec<_>>()})
}

/// Groups that differ in what their rules have in common.
fn groups() -> [(&'static str, Value); 4] {
    let rule = |at: u32, access: &str, to: String, ports: String| {
        json!({"name": format!("r{at}"), "priority": 101 + at, "access": access, "direction": "Outbound", "protocol": "Tcp",
            "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": to, "destinationPortRange": ports})
    };
    let group = |one: &dyn Fn(u32) -> Value| json!({"name": "nsg-ase", "securityRules": (0..RULES).map(one).collect::<Vec<_>>()});
    let tag = |at: u32| format!("Service{}", at % TAGS);
    let mixed = |at: u32| if at.is_multiple_of(3) { "Deny" } else { "Allow" };
    [
        ("a tag each, one other port", group(&|at| rule(at, "Deny", tag(at), "8080".to_owned()))),
        ("a tag each, HTTPS", group(&|at| rule(at, "Allow", tag(at), "443".to_owned()))),
        ("a tag each, denied, HTTPS", group(&|at| rule(at, "Deny", tag(at), "443".to_owned()))),
        (
            "prefixes, ports, both ways",
            group(&|at| rule(at, mixed(at), format!("10.{}.{}.0/24", at / 256, at % 256), format!("{}", 1 + at * 7))),
        ),
    ]
}
