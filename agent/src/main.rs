//! The `ase-agent` command.

use std::{io::IsTerminal, path::Path, process::ExitCode, sync::Arc};

use ase_agent::{
    check::{self, Choice},
    cli::{Check, Cli, Command, ConfigCommand, ConfigFile, Output, ProfileCommand, Run},
    config::{self, ConfigError},
    daemon, explain, logs, profile, report,
    settings::Settings,
    status,
};
use ase_probes::cause::Cause;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

/// The agent's version, part of every document.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The command line is wrong (`sysexits.h`, EX_USAGE).
const EXIT_USAGE: u8 = 64;
/// The configuration is wrong (`sysexits.h`, EX_CONFIG).
const EXIT_CONFIG: u8 = 78;

/// What ends the program early, with its exit code.
struct Failure(u8, String);

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self(EXIT_CONFIG, error.to_string())
    }
}

fn usage(message: String) -> Failure {
    Failure(EXIT_USAGE, message)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure(1, error.to_string())
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let code = if error.use_stderr() { EXIT_USAGE.into() } else { 0 };
        drop(error.print());
        std::process::exit(code)
    });
    let result = match cli.command {
        Command::Run(arguments) => run(&arguments),
        Command::Check(arguments) => check(&arguments),
        Command::Config(ConfigCommand::Check { file }) => config_check(&file),
        Command::Profile(command) => profile(command),
        Command::Explain { cause } => explain(cause.as_deref()),
    };
    result.unwrap_or_else(|Failure(code, message)| {
        anstream::eprintln!("ase-agent: {message}");
        ExitCode::from(code)
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

fn run(arguments: &Run) -> Result<ExitCode, Failure> {
    logs::start(&arguments.log_level, arguments.log_format).map_err(usage)?;
    let load = || {
        config::load(arguments.config.config.as_deref())
            .map(|settings| Settings { listen: arguments.listen.unwrap_or(settings.listen), ..settings })
    };
    let settings = load()?;
    runtime()?.block_on(async {
        let listener = daemon::bind(&settings).await.map_err(failed)?;
        daemon::run(settings, listener, load, std::future::pending()).await.map_err(failed)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn check(arguments: &Check) -> Result<ExitCode, Failure> {
    let settings = config::load(arguments.config.config.as_deref())?;
    let choice = Choice { classes: arguments.class.clone(), endpoints: arguments.endpoint.clone() };
    let catalog = choice.apply(&settings.catalog).map_err(|name| {
        usage(format!("--endpoint ({name}): the catalogue has no such endpoint; `ase-agent profile show` lists them"))
    })?;
    let bar = progress(catalog.endpoints.len());
    let settings = Settings { catalog: Arc::new(catalog), ..settings };
    let snapshot = runtime()?.block_on(check::round(settings, |settled| bar.set_position(settled as u64)));
    bar.finish_and_clear();
    match arguments.output {
        Output::Json => println!("{}", status::to_json_pretty(&snapshot, VERSION)),
        Output::Table => anstream::print!("{}", report::render(&snapshot, look(arguments.verbose))),
    }
    Ok(ExitCode::from(report::exit_code(&snapshot)))
}

fn look(verbose: bool) -> report::Look {
    let is_terminal = std::io::stdout().is_terminal();
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|_| is_terminal);
    report::Look { width, colour: is_terminal, verbose }
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress(endpoints: usize) -> ProgressBar {
    let bar = ProgressBar::new(endpoints as u64);
    if let Ok(style) = ProgressStyle::with_template("probing {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn config_check(file: &Path) -> Result<ExitCode, Failure> {
    println!("{}", config::check(file)?);
    Ok(ExitCode::SUCCESS)
}

fn profile(command: ProfileCommand) -> Result<ExitCode, Failure> {
    match command {
        ProfileCommand::List => print!("{}", profile::render_list()),
        ProfileCommand::Show { config: ConfigFile { config }, profile, cloud, output } => {
            let settings = config::load_profile(config.as_deref(), profile.as_deref(), cloud.as_deref())?;
            print!("{}", profile::render_show(&settings, output == Output::Json));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(cause: Option<&str>) -> Result<ExitCode, Failure> {
    let Some(label) = cause else {
        print!("{}", explain::list());
        return Ok(ExitCode::SUCCESS);
    };
    let cause = Cause::from_label(label)
        .ok_or_else(|| usage(format!("cause ({label}): no such cause; `ase-agent explain` lists them")))?;
    print!("{}", explain::explain(cause));
    Ok(ExitCode::SUCCESS)
}
