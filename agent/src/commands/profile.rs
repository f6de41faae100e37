//! `ase-agent profile`: the built-in catalogues, and all that would be sent.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    commands::{
        failure::Failure,
        options::{ConfigFile, Output, PLAIN_EXIT_CODES},
        stdout,
    },
    config,
    readers::profile as layout,
};

/// Commands on profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the built-in profiles and their clouds
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent profile list\n  \
        ase-agent profile list --output json"))]
    List {
        /// How to print it
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Show every endpoint and slot that would be watched, and all that the agent itself sends
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent profile show\n  \
        ase-agent profile show ase-v3 --cloud usgov --output json"))]
    Show {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigFile,
        /// Show this profile instead of the configured one
        #[arg(value_name = "PROFILE")]
        profile: Option<String>,
        /// The cloud: public, usgov or china
        #[arg(long)]
        cloud: Option<String>,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

/// Prints it.
///
/// # Errors
/// A bad configuration, or a profile that there is not.
pub fn run(command: ProfileCommand) -> Result<ExitCode, Failure> {
    let _read = match command {
        ProfileCommand::List { output } => stdout::print(&layout::render_list(output == Output::Json))?,
        ProfileCommand::Show { config: ConfigFile { config }, profile, cloud, output } => {
            let settings = config::load_profile(config.as_deref(), profile.as_deref(), cloud.as_deref())?;
            stdout::print(&layout::render_show(&settings, output == Output::Json))?
        }
    };
    Ok(ExitCode::SUCCESS)
}
