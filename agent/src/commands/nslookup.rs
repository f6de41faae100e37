//! `ase-agent nslookup`: one name as the platform gets it, by Azure DNS.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use crate::{
    commands::{
        failure::{Failure, runtime},
        nameresolver::{answer, name_to_ask},
        options::{ConfigFile, Output},
    },
    config,
    resolvers::worker::WorkerDns,
};

/// Arguments of `nslookup`.
#[derive(Debug, Args)]
pub struct Nslookup {
    /// The name to resolve
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Asks and prints; the exit code says whether the name resolves.
///
/// # Errors
/// A name that cannot be asked, or a bad configuration.
pub fn run(arguments: &Nslookup) -> Result<ExitCode, Failure> {
    let name = name_to_ask(&arguments.name)?;
    let settings = config::load(arguments.config.config.as_deref())?;
    let azure = settings.resolvers.azure;
    let worker = WorkerDns { servers: vec![azure], attempts: 2, timeout: Duration::from_secs(2), fallback: None };
    answer(&runtime()?, &worker, &settings, &name, arguments.output)
}
