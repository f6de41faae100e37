//! The `ase-agent` command.

use std::{io::IsTerminal, path::Path, process::ExitCode, sync::Arc, time::Duration};

use ase_agent::{
    commands::{
        check::{self, Choice},
        cli::{
            Check, Cli, Command, ConfigCommand, ConfigFile, History, Nameresolver, Nslookup, Output, PlatformName,
            ProfileCommand, Run,
        },
        daemon, logs, name_rounds,
    },
    config::{self, ConfigError},
    model::settings::Settings,
    readers::{explain, history, json, nameresolver, profile, report},
    resolvers::{
        compare::Worry,
        names::NameView,
        survey::Surveyor,
        worker::{Platform, WorkerDns},
    },
    store::history::{Query, read},
    web::witness,
};
use ase_probes::{cause::Cause, resolve::valid_name};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng};

/// The agent's version, part of every document.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The command line is wrong (`sysexits.h`, EX_USAGE).
const EXIT_USAGE: u8 = 64;
/// The configuration is wrong (`sysexits.h`, EX_CONFIG).
const EXIT_CONFIG: u8 = 78;

/// Where the packaged unit keeps its state.
const DEFAULT_STATE_DIR: &str = "/var/lib/ase-agent";

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
        Command::Nameresolver(arguments) => nameresolver(&arguments),
        Command::Nslookup(arguments) => nslookup(&arguments),
        Command::Config(ConfigCommand::Check { file }) => config_check(&file),
        Command::Profile(command) => profile(command),
        Command::History(arguments) => history(&arguments),
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
    let listen = settings.listen;
    let (snapshot, witness) = runtime()?.block_on(async {
        let snapshot = check::round(settings, |settled| bar.set_position(settled as u64)).await;
        (snapshot, witness::ask(listen).await)
    });
    bar.finish_and_clear();
    match arguments.output {
        Output::Json => println!("{}", json::check_to_json(&snapshot, witness.as_ref(), VERSION)),
        Output::Table => {
            anstream::print!("{}", report::render(&snapshot, witness.as_ref(), look(arguments.verbose)));
        }
    }
    Ok(ExitCode::from(report::exit_code(&snapshot)))
}

fn history(arguments: &History) -> Result<ExitCode, Failure> {
    let asked = arguments.state_dir.clone().or_else(config::service_state_dir);
    let folder = match asked {
        Some(folder) => folder,
        None => config::load(arguments.config.config.as_deref())?.state_dir.unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
    };
    let now = ase_probes::clock::wall();
    let query = Query { since: now.saturating_sub(arguments.since), endpoint: arguments.endpoint.clone() };
    let found = read(&folder, &query).map_err(failed)?;
    let shown = history::Shown { incidents: !arguments.outcomes, outcomes: !arguments.incidents };
    match arguments.output {
        Output::Json => println!("{}", json::history_to_json(&found, shown, VERSION)),
        Output::Table => print!("{}", history::render(&found, shown, now)),
    }
    Ok(ExitCode::SUCCESS)
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

fn nameresolver(arguments: &Nameresolver) -> Result<ExitCode, Failure> {
    let name = name_to_ask(&arguments.name)?;
    let mut settings = config::load(arguments.config.config.as_deref())?;
    let given: Vec<&String> = arguments.server.iter().chain(&arguments.dns_server).collect();
    let given: Vec<_> = given.into_iter().map(|text| config::server(text)).collect::<Result<_, _>>().map_err(usage)?;
    if !given.is_empty() {
        settings.resolvers.custom = given;
    }
    let alternative = arguments.dns_alt_server.as_deref().map(config::server).transpose().map_err(usage)?;
    let runtime = runtime()?;
    let rng = || StdRng::from_seed(rand::random());
    if arguments.compare && arguments.rounds > 1 {
        return compare_in_rounds(&runtime, &settings, &name, arguments);
    }
    if arguments.compare {
        let survey = runtime.block_on(Surveyor::new(&settings).survey(&name, rng()));
        match arguments.output {
            Output::Json => println!("{}", json::survey_to_json(&survey)),
            Output::Table => print!("{}", nameresolver::render_comparison(&survey)),
        }
        return Ok(worry_code(survey.comparison.worry));
    }
    let platform = match arguments.platform {
        PlatformName::Windows => Platform::Windows,
        PlatformName::Linux => Platform::Linux,
    };
    let only_this = arguments.server.is_some() || arguments.no_azure_fallback;
    let worker = WorkerDns {
        servers: settings.resolvers.custom.iter().copied().chain(alternative).collect(),
        attempts: arguments.dns_attempts.unwrap_or(platform.attempts()),
        timeout: arguments.dns_timeout.map_or(platform.timeout(), Duration::from_secs),
        fallback: (!only_this).then_some(settings.resolvers.azure),
    };
    answer(&runtime, &worker, &settings, &name, arguments.output)
}

/// Compares a name in several rounds; the class in force decides the exit code, or the last one while none is firm.
fn compare_in_rounds(
    runtime: &tokio::runtime::Runtime,
    settings: &Settings,
    name: &str,
    arguments: &Nameresolver,
) -> Result<ExitCode, Failure> {
    let plan = name_rounds::Plan { count: arguments.rounds, every: arguments.every };
    let show = |round, view: &NameView| match arguments.output {
        Output::Json => println!("{}", json::round_to_json(round, view)),
        Output::Table => print!("{}", nameresolver::render_round(round, view)),
    };
    let rng = StdRng::from_seed(rand::random());
    let view = runtime.block_on(name_rounds::run(&Surveyor::new(settings), name, plan, rng, show));
    let view = view.ok_or_else(|| failed("no round was made"))?;
    if let (Output::Table, Some(survey)) = (arguments.output, &view.last) {
        print!("\n{}", nameresolver::render_comparison(survey));
    }
    let last = view.published.as_ref().or(view.last.as_ref().map(|survey| &survey.comparison));
    Ok(last.map_or(ExitCode::SUCCESS, |comparison| worry_code(comparison.worry)))
}

fn worry_code(worry: Worry) -> ExitCode {
    ExitCode::from(match worry {
        Worry::Fine => 0,
        Worry::Warn => 2,
        Worry::Bad => 1,
    })
}

fn nslookup(arguments: &Nslookup) -> Result<ExitCode, Failure> {
    let name = name_to_ask(&arguments.name)?;
    let settings = config::load(arguments.config.config.as_deref())?;
    let azure = settings.resolvers.azure;
    let worker = WorkerDns { servers: vec![azure], attempts: 2, timeout: Duration::from_secs(2), fallback: None };
    answer(&runtime()?, &worker, &settings, &name, Output::Table)
}

fn answer(
    runtime: &tokio::runtime::Runtime,
    worker: &WorkerDns,
    settings: &Settings,
    name: &str,
    output: Output,
) -> Result<ExitCode, Failure> {
    let egress = Arc::new(settings.egress.clone());
    let resolved = runtime.block_on(worker.resolve(name, &egress, StdRng::from_seed(rand::random())));
    let resolved = resolved.ok_or_else(|| usage("no DNS server is configured".to_owned()))?;
    match output {
        Output::Json => println!("{}", json::resolved_to_json(name, &resolved)),
        Output::Table => print!("{}", nameresolver::render(name, &resolved)),
    }
    Ok(ExitCode::from(u8::from(!nameresolver::is_resolved(&resolved))))
}

/// Checks that a name can be asked.
fn name_to_ask(name: &str) -> Result<String, Failure> {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Err(usage(format!("NAME ({name}) is an address already: there is nothing to resolve")));
    }
    valid_name(name).map_err(|rule| usage(format!("NAME ({}): {rule}", name.escape_debug())))?;
    Ok(name.trim_end_matches('.').to_owned())
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
