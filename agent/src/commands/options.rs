//! What the command lines of several commands share: where the configuration is, how a result is printed, and the exit codes of
//! those that judge nothing.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The exit codes of commands that judge nothing.
pub(super) const PLAIN_EXIT_CODES: &str = "\
Exit codes:
  0   it was done
  1   it could not be done
  64  the command line is wrong
  78  the configuration or a file is wrong";

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// The configuration file; without one: profile ase-v2, public cloud, resolvers of this host
    #[arg(long, value_name = "FILE", env = "ASE_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// How to print a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}
