//! `ase-agent history`: what the store remembers.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use ase_probes::clock;
use clap::Args;

use crate::{
    commands::{
        failure::Failure,
        options::{ConfigFile, Output},
        stdout,
    },
    config,
    net::duration,
    readers::{VERSION, history as layout, json},
    store::{
        StoreError,
        history::{Query, read},
    },
};

/// Where the packaged unit keeps its state.
const DEFAULT_STATE_DIR: &str = "/var/lib/ase-agent";

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// How far to look back, for example 30m, 2h or 48h
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    pub since: Duration,
    /// Only what concerns this endpoint, by its id, or this host
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Only incidents
    #[arg(long, conflicts_with = "outcomes")]
    pub incidents: bool,
    /// Only outcomes
    #[arg(long)]
    pub outcomes: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The state directory of the agent
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Reads and prints.
///
/// # Errors
/// A bad configuration, or a store that cannot be read.
pub fn run(arguments: &History) -> Result<ExitCode, Failure> {
    let asked = arguments.state_dir.clone().or_else(config::service_state_dir);
    let folder = match asked {
        Some(folder) => folder,
        None => config::load(arguments.config.config.as_deref())?.state_dir.unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
    };
    let now = clock::wall();
    let endpoint = arguments.endpoint.as_ref().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let query = Query { since: now.saturating_sub(arguments.since), endpoint };
    let found = read(&folder, &query).map_err(explained)?;
    let shown = layout::Shown { incidents: !arguments.outcomes, outcomes: !arguments.incidents };
    let _read = match arguments.output {
        Output::Json => stdout::print_line(&json::history_to_json(&found, shown, VERSION))?,
        Output::Table => stdout::print(&layout::render(&found, shown, now))?,
    };
    Ok(ExitCode::SUCCESS)
}

/// A store that is not there is the commonest reason: whoever looks for it is told how to get one.
fn explained(error: StoreError) -> Failure {
    let is_missing = matches!(&error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    let how = "no agent remembers anything there; set `state_dir` in the configuration of `ase-agent run` (under systemd \
               StateDirectory=ase-agent does), or name the folder of a running agent by --state-dir";
    Failure::Other(if is_missing { format!("{error}: {how}") } else { error.to_string() })
}
