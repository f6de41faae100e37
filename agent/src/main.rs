//! The `ase-agent` command.

use std::process::ExitCode;

use ase_agent::commands::{
    check,
    cli::{Cli, Command},
    config, explain,
    failure::EXIT_USAGE,
    history, nameresolver, nslookup, profile, run,
};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let code = if error.use_stderr() { EXIT_USAGE.into() } else { 0 };
        drop(error.print());
        std::process::exit(code)
    });
    let result = match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Nameresolver(arguments) => nameresolver::run(&arguments),
        Command::Nslookup(arguments) => nslookup::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Profile(command) => profile::run(command),
        Command::History(arguments) => history::run(&arguments),
        Command::Explain { cause } => explain::run(cause.as_deref()),
    };
    result.unwrap_or_else(|failure| {
        anstream::eprintln!("ase-agent: {failure}");
        failure.exit_code()
    })
}
