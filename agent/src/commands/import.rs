//! `ase-agent import`: what the management API says of an environment, from files or fetched, becomes configuration, a second
//! view, and a memory of its addresses.

mod environment;
mod inbound;
mod outbound;
mod source;
mod target;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use self::{source::Source, target::Target};
use crate::commands::failure::Failure;

const OUTBOUND_NOTES: &str = "\
The answer of outboundNetworkDependenciesEndpoints, of which three shapes are known, becomes configuration: slots are filled, what
the profile has already is left out, each line says where it comes from. With --seen the environment's own view is compared with
the agent's.

Exit codes:
  0   imported
  1   the management API did not answer
  2   imported; the environment does not reach something, or the agent and the environment differ
  64  the command line is wrong
  78  a file is no such answer, or the file of --into exists

Examples:
  az rest --method get --url \"$ID/outboundNetworkDependenciesEndpoints?api-version=2022-03-01\" > outbound.json
  ase-agent import outbound outbound.json --into ase-agent.yaml
  ase-agent import outbound outbound.json --seen status.json --output json
  ase-agent import outbound --live --id \"$ID\"";

const INBOUND_NOTES: &str = "\
The answer of inboundNetworkDependenciesEndpoints is compared with the documented management addresses; give it to `ase-agent lint`
beside the group and the route table, which are then judged by this environment's own list.

Exit codes:
  0   imported
  1   the management API did not answer
  64  the command line is wrong
  78  a file is no such answer, or the file of --into exists

Examples:
  ase-agent import inbound inbound.json
  ase-agent import inbound --live --id \"$ID\" --into inbound.json";

const ENVIRONMENT_NOTES: &str = "\
The answers about the environment itself (the resource, capacities/virtualip, configurations/networking) are remembered in the state
directory: a change of its addresses is an event, and the daemon shows both as metrics.

Exit codes:
  0   imported, nothing new
  1   the environment is suspended, or the management API did not answer
  2   its addresses or its kind changed since the last time
  64  the command line is wrong
  78  a file is no such answer, or the file of --into exists

Examples:
  az rest --method get --url \"$ID?api-version=2022-03-01\" > environment.json
  az rest --method get --url \"$ID/capacities/virtualip?api-version=2022-03-01\" > addresses.json
  ase-agent import environment environment.json addresses.json --state-dir /var/lib/ase-agent
  ase-agent import environment --live --id \"$ID\"";

/// What can be imported.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// What the environment depends on, as configuration; and what it reaches itself
    #[command(after_help = OUTBOUND_NOTES)]
    Outbound(Box<Outbound>),
    /// Who must reach the environment
    #[command(after_help = INBOUND_NOTES)]
    Inbound(Box<Inbound>),
    /// Its state and addresses, and what changed since the last time
    #[command(after_help = ENVIRONMENT_NOTES)]
    Environment(Box<Environment>),
}

/// Arguments of `import outbound`.
#[derive(Debug, Args)]
pub struct Outbound {
    /// Where the answer comes from.
    #[command(flatten)]
    source: Source,
    /// The profile that the configuration is for
    #[arg(long, default_value = "ase-v2")]
    profile: String,
    /// Flows that the daemon has seen: its state directory, or a status as JSON (repeatable)
    #[arg(long, value_name = "DIR|FILE")]
    seen: Vec<PathBuf>,
    /// Where the result goes.
    #[command(flatten)]
    target: Target,
}

/// Arguments of `import inbound`.
#[derive(Debug, Args)]
pub struct Inbound {
    /// Where the answer comes from.
    #[command(flatten)]
    source: Source,
    /// Where the result goes.
    #[command(flatten)]
    target: Target,
}

/// Arguments of `import environment`.
#[derive(Debug, Args)]
pub struct Environment {
    /// Where the answers come from.
    #[command(flatten)]
    source: Source,
    /// The environment's name, where the answers are about several
    #[arg(long)]
    name: Option<String>,
    /// The state directory of the agent, in which the environment is remembered [default: $STATE_DIRECTORY]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where the result goes.
    #[command(flatten)]
    target: Target,
}

/// Imports and prints; the exit code says what was found.
///
/// # Errors
/// A file that is no such answer, an API that gives none, an output that exists.
pub fn run(command: &ImportCommand) -> Result<ExitCode, Failure> {
    match command {
        ImportCommand::Outbound(arguments) => outbound::run(arguments),
        ImportCommand::Inbound(arguments) => inbound::run(arguments),
        ImportCommand::Environment(arguments) => environment::run(arguments),
    }
}
