//! `ase-agent config`: work on configuration files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};

use crate::{
    commands::{
        cli::{ConfigFile, Output, PLAIN_EXIT_CODES},
        failure::{EXIT_CONFIG, Failure},
        stdout,
    },
    config::{
        self,
        effective::{Effective, Which},
    },
    exports::disk,
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
        ConfigCommand::Check { file, output: Output::Table } => config_check(file),
        ConfigCommand::Check { file, output: Output::Json } => checked_as_json(file),
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

/// The same as a document, with every mistake; the exit code says whether there is one.
fn checked_as_json(file: &Path) -> Result<ExitCode, Failure> {
    let loaded = config::load(Some(file));
    let settings = loaded.as_ref().ok();
    let exports = settings.and_then(|settings| settings.exports.as_ref());
    let unread = exports.and_then(|exports| disk::read(&exports.files).err()).unwrap_or_default();
    let of_file = loaded.as_ref().err().into_iter().flat_map(|error| error.mistakes.clone());
    let mistakes: Vec<_> = of_file
        .map(|mistake| (mistake.at, mistake.message))
        .chain(unread.into_iter().map(|message| (None, message)))
        .collect();
    let made = settings.map(|settings| (&*settings.catalog, settings.warnings.as_slice()));
    stdout::print(&json::checked_to_json(&file.display().to_string(), made, &mistakes))?;
    Ok(if mistakes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) })
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
