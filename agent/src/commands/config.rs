//! `ase-agent config`: work on configuration files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{
    commands::{failure::Failure, stdout},
    config,
    exports::disk,
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
    let words = config::check(file)?;
    let settings = config::load(Some(file))?;
    // A daemon starts without them, as what is in such files may change at any time; whoever checks wants to know.
    let exports = settings.exports.map(|exports| disk::read(&exports.files)).transpose();
    exports.map_err(|wrong| {
        let lines: Vec<String> = wrong.iter().map(|wrong| format!("{}: {wrong}", file.display())).collect();
        Failure::Input(lines.join("\n"))
    })?;
    stdout::print_line(&words)?;
    Ok(ExitCode::SUCCESS)
}
