//! The command line: what can be asked of `ase-agent`, and nothing about how it is done.

use std::{path::PathBuf, time::Duration};

use ase_probes::class::Class;
use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};

use crate::net::duration;

const EXIT_CODES: &str = "\
Exit codes:
  0   all well (slots that are not configured do not count)
  1   something critical is lost, or the command itself failed
  2   only warnings: something of lesser severity is lost, degraded or could not be tested
  64  the command line is wrong
  78  the configuration is wrong";

const RESOLVER_EXIT_CODES: &str = "\
Exit codes:
  0   the name resolves; with --compare: the two sides differ in no worrying way
  1   the name does not resolve; with --compare: apps are led astray
  2   with --compare: worth a look
  64  the name or the command line is wrong
  78  the configuration is wrong";

/// Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.
#[derive(Debug, Parser)]
#[command(name = "ase-agent", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: probe on a schedule, serve /metrics, /api/v1/status and /-/ready
    #[command(
        after_help = "SIGHUP or POST /-/reload takes a changed configuration; a bad one is refused and the old one \
        stays in force. SIGTERM drains.\n\nExample:\n  ase-agent run --config /etc/ase-agent/ase-agent.yaml"
    )]
    Run(Run),
    /// Probe everything once, now, and report
    #[command(after_help = format!("{EXIT_CODES}\n\nExamples:\n  ase-agent check\n  ase-agent check --class dns --class sql\n  \
        ase-agent check --endpoint login.microsoftonline.com:443 --output json"))]
    Check(Check),
    /// Resolve a name the way an App Service worker does: the answer that the app gets
    #[command(after_help = format!("{RESOLVER_EXIT_CODES}\n\nExamples:\n  ase-agent nameresolver login.microsoftonline.com\n  \
        ase-agent nameresolver myserver.database.windows.net 10.0.0.4\n  \
        ase-agent nameresolver --compare myserver.database.windows.net"))]
    Nameresolver(Nameresolver),
    /// Resolve a name by Azure DNS: the answer that the platform gets
    #[command(after_help = RESOLVER_EXIT_CODES)]
    Nslookup(Nslookup),
    /// Work on configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show the built-in dependency catalogues
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Show what the agent remembers: risk clocks, incidents and outcomes, also of earlier processes
    #[command(
        after_help = "It reads while the agent writes. The state directory is --state-dir, else $STATE_DIRECTORY, else the \
        configuration's `state_dir`, else /var/lib/ase-agent.\n\nExamples:\n  ase-agent history --since 2h\n  \
        ase-agent history --endpoint login.live.com:443 --outcomes\n  ase-agent history --incidents --output json"
    )]
    History(History),
    /// Explain a cause: what it means, where it lies, who mends it and how
    Explain {
        /// The cause's label, for example tls_intercepted; without one all causes are listed
        cause: Option<String>,
    },
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// The configuration file; without one: profile ase-v2, public cloud, resolvers of this host
    #[arg(long, value_name = "FILE", env = "ASE_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// What to log: error, warn, info, debug or trace, also per module (`info,ase_agent::visit::visitor=debug`)
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// key=value pairs
    Logfmt,
    /// one JSON object per line
    Json,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Check only this class (repeatable)
    #[arg(long, value_name = "CLASS", value_parser = PossibleValuesParser::new(Class::ALL.map(Class::label))
        .map(|label| Class::from_label(&label).expect("clap admits only labels of classes")))]
    pub class: Vec<Class>,
    /// Check only this endpoint: its id or its host name (repeatable)
    #[arg(long, value_name = "NAME")]
    pub endpoint: Vec<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// List healthy endpoints too
    #[arg(long, short)]
    pub verbose: bool,
}

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
    /// Do not fall back to Azure DNS, as in an App Service Environment v3
    #[arg(long)]
    pub no_azure_fallback: bool,
}

/// Faster rounds would look like an attack on the servers.
fn between_rounds(text: &str) -> Result<Duration, String> {
    let every = duration::parse(text)?;
    let shortest = Duration::from_millis(200);
    if every < shortest { Err(format!("must be at least {}", duration::show(shortest))) } else { Ok(every) }
}

/// Arguments of `nslookup`.
#[derive(Debug, Args)]
pub struct Nslookup {
    /// The name to resolve
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// How far to look back, for example 30m, 2h or 48h
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = crate::net::duration::parse)]
    pub since: std::time::Duration,
    /// Only what concerns this endpoint, by its id
    #[arg(long, value_name = "ID")]
    pub endpoint: Option<String>,
    /// Only incidents
    #[arg(long, conflicts_with = "outcomes")]
    pub incidents: bool,
    /// Only outcomes
    #[arg(long)]
    pub outcomes: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The state directory of the agent
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// The platform that an app runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlatformName {
    /// one try of 3 s
    Windows,
    /// five tries of 1 s
    Linux,
}

/// How to print a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Commands on configuration files.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file without running anything
    Check {
        /// The file
        file: PathBuf,
    },
}

/// Commands on profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the built-in profiles and their clouds
    List,
    /// Show every endpoint and slot that would be watched, and all that the agent itself sends
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
