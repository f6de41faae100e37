//! `ase-agent nameresolver`: one name as an app's worker with its `WEBSITE_DNS_*` settings gets it, or both sides of the
//! comparison.

use std::{net::IpAddr, process::ExitCode, sync::Arc, time::Duration};

use ase_probes::resolve::valid_name;
use clap::{Args, ValueEnum};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    commands::{
        failure::{Failure, runtime},
        name_rounds,
        options::{ConfigFile, Output},
        stdout,
    },
    config,
    model::settings::Settings,
    net::duration,
    readers::{json, nameresolver as layout},
    resolvers::{
        compare::Worry,
        names::NameView,
        survey::Surveyor,
        worker::{Platform, WorkerDns},
    },
};

/// Arguments of `nameresolver`.
#[derive(Debug, Args)]
pub struct Nameresolver {
    /// The name to resolve
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Ask this server instead of the configured ones: ADDRESS or ADDRESS:PORT
    #[arg(value_name = "SERVER")]
    pub server: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Show the custom DNS and Azure DNS beside each other, with what the difference means
    #[arg(long)]
    pub compare: bool,
    /// With --compare: compare so many times; what rotates is united and a class is in force after three equal rounds
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "compare",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// With --rounds: time from one round to the next, at least 200ms
    #[arg(long, value_name = "DURATION", default_value = "5s", requires = "rounds", value_parser = between_rounds)]
    pub every: Duration,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Whose defaults for tries and time-outs count
    #[arg(long, value_enum, default_value_t = PlatformName::Windows)]
    pub platform: PlatformName,
    /// The app setting: servers to ask, separated by commas
    #[arg(long, value_name = "SERVERS", env = "WEBSITE_DNS_SERVER", value_delimiter = ',')]
    pub dns_server: Vec<String>,
    /// The app setting: a server that is asked last; it has no effect alone
    #[arg(long, value_name = "SERVER", env = "WEBSITE_DNS_ALT_SERVER")]
    pub dns_alt_server: Option<String>,
    /// The app setting: tries
    #[arg(long, value_name = "COUNT", env = "WEBSITE_DNS_ATTEMPTS", value_parser = clap::value_parser!(u32).range(1..=5))]
    pub dns_attempts: Option<u32>,
    /// The app setting: seconds that one try takes at most
    #[arg(long, value_name = "SECONDS", env = "WEBSITE_DNS_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..=30))]
    pub dns_timeout: Option<u64>,
    /// Do not fall back to Azure DNS, as in an App Service Environment v3 [default: as the profile says]
    #[arg(long)]
    pub no_azure_fallback: bool,
}

/// Faster rounds would look like an attack on the servers.
fn between_rounds(text: &str) -> Result<Duration, String> {
    let every = duration::parse(text)?;
    let shortest = Duration::from_millis(200);
    if every < shortest { Err(format!("must be at least {}", duration::show(shortest))) } else { Ok(every) }
}

/// The platform that an app runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlatformName {
    /// one try of 3 s
    Windows,
    /// five tries of 1 s
    Linux,
}

/// Asks and prints; the exit code says how it went.
///
/// # Errors
/// A name or a server that cannot be asked, or a bad configuration.
pub fn run(arguments: &Nameresolver) -> Result<ExitCode, Failure> {
    let name = name_to_ask(&arguments.name)?;
    let mut settings = config::load(arguments.config.config.as_deref())?;
    let given: Vec<&String> = arguments.server.iter().chain(&arguments.dns_server).collect();
    let given: Vec<_> =
        given.into_iter().map(|text| config::server(text)).collect::<Result<_, _>>().map_err(Failure::Usage)?;
    if !given.is_empty() {
        settings.resolvers.custom = given;
    }
    let alternative = arguments.dns_alt_server.as_deref().map(config::server).transpose().map_err(Failure::Usage)?;
    let runtime = runtime()?;
    let rng = || StdRng::from_seed(rand::random());
    if arguments.compare && arguments.rounds > 1 {
        return compare_in_rounds(&runtime, &settings, &name, arguments);
    }
    if arguments.compare {
        let survey = runtime.block_on(Surveyor::new(&settings).survey(&name, rng()));
        let survey = survey.map_err(|fault| Failure::other(format!("{name}: {fault}")))?;
        stdout::print(&match arguments.output {
            Output::Json => json::survey_to_json(&survey) + "\n",
            Output::Table => layout::render_comparison(&survey),
        })?;
        return Ok(worry_code(survey.comparison.worry));
    }
    let platform = match arguments.platform {
        PlatformName::Windows => Platform::Windows,
        PlatformName::Linux => Platform::Linux,
    };
    let only_this = arguments.server.is_some() || arguments.no_azure_fallback || !settings.catalog.falls_back;
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
    let show = |round, view: &NameView| {
        stdout::print(&match arguments.output {
            Output::Json => json::round_to_json(round, view) + "\n",
            Output::Table => layout::render_round(round, view),
        })
    };
    let rng = StdRng::from_seed(rand::random());
    let view = runtime.block_on(name_rounds::run(&Surveyor::new(settings), name, plan, rng, show))?;
    if let (Output::Table, Some(survey)) = (arguments.output, &view.last) {
        stdout::print(&format!("\n{}", layout::render_comparison(survey)))?;
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

/// Resolves a name as a worker with these settings does, and prints it.
pub(super) fn answer(
    runtime: &tokio::runtime::Runtime,
    worker: &WorkerDns,
    settings: &Settings,
    name: &str,
    output: Output,
) -> Result<ExitCode, Failure> {
    let egress = Arc::new(settings.egress.clone());
    let resolved = runtime.block_on(worker.resolve(name, &egress, StdRng::from_seed(rand::random())));
    let resolved = resolved.ok_or_else(|| Failure::Usage("no DNS server is configured".to_owned()))?;
    stdout::print(&match output {
        Output::Json => json::resolved_to_json(name, &resolved) + "\n",
        Output::Table => layout::render(name, &resolved),
    })?;
    if output == Output::Table {
        layout::remarks(&resolved).iter().for_each(|remark| stdout::complain(&format!("{remark}\n")));
    }
    Ok(ExitCode::from(u8::from(!layout::is_resolved(&resolved))))
}

/// Checks that a name can be asked.
pub(super) fn name_to_ask(name: &str) -> Result<String, Failure> {
    if name.parse::<IpAddr>().is_ok() {
        return Err(Failure::Usage(format!("NAME ({name}) is an address already: there is nothing to resolve")));
    }
    valid_name(name).map_err(|rule| Failure::Usage(format!("NAME ({}): {rule}", name.escape_debug())))?;
    Ok(name.trim_end_matches('.').to_owned())
}
