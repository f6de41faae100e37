//! `ase-agent config`: work on configuration files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{
    commands::{failure::Failure, stdout},
    config,
};

/// Commands on configuration files.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file without running anything
    Check {
        /// The file
        file: PathBuf,
    },
}

/// Does what was asked of a file.
///
/// # Errors
/// What is wrong with the file.
pub fn run(command: &ConfigCommand) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check { file } => config_check(file),
    }
}

fn config_check(file: &Path) -> Result<ExitCode, Failure> {
    stdout::print_line(&config::check(file)?)?;
    Ok(ExitCode::SUCCESS)
}
