//! `ase-agent config`: work on configuration files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};

use crate::{
    commands::{
        failure::{EXIT_CONFIG, Failure},
        options::{ConfigFile, Output, PLAIN_EXIT_CODES},
        stdout,
    },
    config::{
        self, ConfigError, Mistake,
        effective::{Effective, Which},
    },
    exports::disk,
    model::settings::Settings,
    readers::json,
};

/// Commands on configuration files.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file without running anything
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent config check /etc/ase-agent/ase-agent.yaml\n  \
        ase-agent config check /etc/ase-agent/ase-agent.yaml --output json"))]
    Check {
        /// The file
        file: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Show a configuration with where each value came from, in a form that can be read again
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent config show --effective\n  \
        ase-agent config show --config /etc/ase-agent/ase-agent.yaml --output json"))]
    Show {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigFile,
        /// Show all that is in force: defaults, what this host says and the rows of the profile too
        #[arg(long)]
        effective: bool,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        output: Format,
    },
    /// Print the JSON Schema of the configuration, for editors that complete and check it
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent config schema"))]
    Schema,
}

/// How to print a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// With comments, for people
    Yaml,
    /// With the origins in a key of their own, for programs
    Json,
}

/// The schema, as a test makes it of the types.
const SCHEMA: &str = include_str!("../../../docs/config.schema.json");

/// Does what was asked of a file.
///
/// # Errors
/// What is wrong with the file.
pub fn run(command: &ConfigCommand) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check { file, output: Output::Table } => check(file),
        ConfigCommand::Check { file, output: Output::Json } => check_as_json(file),
        ConfigCommand::Show { config, effective, output } => {
            let which = if *effective { Which::Effective } else { Which::Written };
            let shown = Effective::load(config.config.as_deref(), which)?;
            stdout::print(&match output {
                Format::Yaml => shown.to_yaml(),
                Format::Json => shown.to_json(),
            })?;
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Schema => {
            stdout::print(SCHEMA)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a file makes, and every mistake in it or in the exports that it names. A daemon starts without those, as what is in
/// such files may change at any time; whoever checks wants to know.
fn checked(file: &Path) -> (Option<Settings>, Vec<Mistake>) {
    match config::load(Some(file)) {
        Err(error) => (None, error.mistakes),
        Ok(settings) => {
            let unread = settings.exports.as_ref().and_then(|exports| disk::read(&exports.files).err());
            let mistake = |message| Mistake { at: None, message };
            let mistakes = unread.unwrap_or_default().into_iter().map(mistake).collect();
            (Some(settings), mistakes)
        }
    }
}

/// The answer as a document; the exit code says whether there is a mistake.
fn check_as_json(file: &Path) -> Result<ExitCode, Failure> {
    let (settings, mistakes) = checked(file);
    let made = settings.as_ref().map(|settings| (&*settings.catalog, settings.warnings.as_slice()));
    let listed: Vec<_> = mistakes.into_iter().map(|mistake| (mistake.at, mistake.message)).collect();
    stdout::print(&json::checked_to_json(&file.display().to_string(), made, &listed))?;
    Ok(if listed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) })
}

/// The answer in words.
fn check(file: &Path) -> Result<ExitCode, Failure> {
    match checked(file) {
        (Some(settings), mistakes) if mistakes.is_empty() => {
            stdout::print_line(&config::summary(file, &settings))?;
            Ok(ExitCode::SUCCESS)
        }
        (_, mistakes) => Err(ConfigError { origin: file.display().to_string(), mistakes }.into()),
    }
}
