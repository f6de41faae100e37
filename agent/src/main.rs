//! The `ase-agent` command.

use std::process::ExitCode;

use ase_agent::commands::{
    allowlist, check,
    cli::{Cli, Command},
    config, doctor, explain,
    failure::EXIT_USAGE,
    history, import, lint, nameresolver, nslookup, pages, plan, portal, preflight, probe, profile, run, stdout,
    tcpping, trace, variables, witness,
};
use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let command = variables::without_empty(Cli::command());
    let cli = command
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .unwrap_or_else(|error| std::process::exit(refuse_or_help(&error)));
    let result = match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Preflight(arguments) => preflight::run(&arguments),
        Command::Allowlist(arguments) => allowlist::run(&arguments),
        Command::Nameresolver(arguments) => nameresolver::run(&arguments),
        Command::Nslookup(arguments) => nslookup::run(&arguments),
        Command::Tcpping(arguments) => tcpping::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Portal(arguments) => portal::run(&arguments),
        Command::Witness(arguments) => witness::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Profile(command) => profile::run(command),
        Command::History(arguments) => history::run(&arguments),
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Import(command) => import::run(&command),
        Command::Plan(command) => plan::run(&command),
        Command::Completions(arguments) => pages::complete(&arguments, Cli::command()),
        Command::Man(arguments) => pages::man(&arguments, Cli::command()),
        Command::Explain { cause, output } => explain::run(cause.as_deref(), output),
    };
    result.unwrap_or_else(|failure| {
        let lines = failure.to_string();
        stdout::complain(&lines.lines().map(|line| format!("ase-agent: {line}\n")).collect::<String>());
        failure.exit_code()
    })
}

/// Prints what the command line is missing, or the help that it asks for; returns the exit code.
fn refuse_or_help(asked: &clap::Error) -> i32 {
    let text = asked.render().ansi().to_string();
    if asked.use_stderr() {
        stdout::complain(&text);
        return EXIT_USAGE.into();
    }
    stdout::print(&text).map_or_else(
        |failure| {
            stdout::complain(&format!("ase-agent: {failure}\n"));
            1
        },
        |_read| 0,
    )
}
