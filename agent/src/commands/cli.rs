//! The command line: what can be asked of `ase-agent`, by options and by environment variables, and nothing about how it is
//! done. Every variable that stands for an option is declared beside it (`env =`, in `options` and in `nameresolver`); systemd's
//! `STATE_DIRECTORY` is read in `config`.

use clap::{Parser, Subcommand};

use crate::commands::{
    allowlist,
    check::{self, Check},
    config::ConfigCommand,
    doctor::{self, Doctor},
    history::History,
    import::ImportCommand,
    lint::Lint,
    nameresolver::Nameresolver,
    nslookup::Nslookup,
    options::{Output, PLAIN_EXIT_CODES},
    pages::{Completions, ManPages},
    plan::PlanCommand,
    portal::{self, Portal},
    preflight,
    probe::Probe,
    profile::ProfileCommand,
    run::Run,
    tcpping::Tcpping,
    trace::Trace,
    witness::{self, Witness},
};

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

const NSLOOKUP_EXIT_CODES: &str = "\
Exit codes:
  0   the name resolves
  1   it does not
  64  the name or the command line is wrong
  78  the configuration is wrong";

const TCPPING_NOTES: &str = "\
Standard output has the lines of the App Service console and nothing else; why a try failed, and whether the peer itself or
something in its place accepted, goes to standard error.

Exit codes:
  0   every try succeeded
  1   none did
  2   some did
  64  the command line is wrong
  78  the configuration is wrong

Examples:
  ase-agent tcpping login.microsoftonline.com:443
  ase-agent tcpping -n 1 -w 10 myserver.database.windows.net:1433
  ase-agent tcpping -t -s 20 10.0.0.4 8080";

const PROBE_NOTES: &str = "\
The question is the daemon's own. Each line has the time since the start, the direction, the flow's number and its peer; tls
is what travels inside the encryption. A single look confirms nothing: `ase-agent check` asks again and finds out why.

Exit codes:
  0   the peer proved itself
  1   it did not
  2   it did, but something about it is worse than it should be
  3   nothing could be judged: this machine, the address policy or the budget of flows prevented it
  64  the command line is wrong
  78  the configuration is wrong

Examples:
  ase-agent probe https login.microsoftonline.com
  ase-agent probe dns 168.63.129.16/tcp --name management.azure.com -v
  ase-agent probe sql myserver.database.windows.net:1433 -vv
  ase-agent probe ntp time.windows.com --output json";

const TRACE_NOTES: &str = "\
Without privileges. Each flow keeps its addresses and ports, so that a balancing router sends all of it one way; one more flow
is of UDP to the same port, and its large datagrams find the MTU. At most two packets go to each hop of a flow. A terminal shows
the hops while they answer. Names are asked for with --names alone, of the configured DNS servers.

Exit codes:
  0   the target accepts, and nothing on the way is odd
  1   it does not
  2   it does, but: somebody nearer answers for it, a flow does not arrive, a loop, large packets vanish
  3   nothing could be judged
  64  the command line is wrong
  78  the configuration or the baseline is wrong

Examples:
  ase-agent trace login.microsoftonline.com
  ase-agent trace --flows 8 --established management.azure.com:443
  ase-agent trace --names login.microsoftonline.com
  ase-agent trace 10.0.0.4 1433 --output json";

const LINT_EXIT_CODES: &str = "\
Exit codes:
  0   nothing above information
  1   a critical finding
  2   warnings only
  3   nothing found, but a requirement could not be judged
  64  the command line is wrong
  78  a file is no export, or cannot be read";

/// Watches the outbound dependencies of an Azure App Service Environment and says why one is lost.
#[derive(Debug, Parser)]
#[command(name = "ase-agent", version, about, propagate_version = true,
    after_help = format!("{EXIT_CODES}\n\nExamples:\n  ase-agent check\n  ase-agent explain tls_intercepted\n  \
        ase-agent check --help"))]
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
        after_help = format!("SIGHUP or POST /-/reload takes a changed configuration; a bad one is refused and the old one \
        stays in force. SIGTERM drains.\n\n{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent run --config /etc/ase-agent/ase-agent.yaml")
    )]
    Run(Run),
    /// Probe everything once, now, and report
    #[command(after_help = check::NOTES)]
    Check(Check),
    /// One verdict before something is deployed or changed: go, go with warnings, or no-go
    #[command(after_help = preflight::NOTES)]
    Preflight(preflight::Arguments),
    /// What has to be allowed, in the form of whoever allows it; or what of it is blocked now
    #[command(after_help = allowlist::NOTES)]
    Allowlist(allowlist::Arguments),
    /// Resolve a name the way an App Service worker does: the answer that the app gets
    #[command(after_help = format!("{RESOLVER_EXIT_CODES}\n\nExamples:\n  ase-agent nameresolver login.microsoftonline.com\n  \
        ase-agent nameresolver myserver.database.windows.net 10.0.0.4\n  \
        ase-agent nameresolver --compare myserver.database.windows.net"))]
    Nameresolver(Nameresolver),
    /// Resolve a name by Azure DNS: the answer that the platform gets
    #[command(after_help = format!("{NSLOOKUP_EXIT_CODES}\n\nExample:\n  ase-agent nslookup login.microsoftonline.com --output json"))]
    Nslookup(Nslookup),
    /// Connect again and again as an app would, and say what the accept is worth
    #[command(after_help = TCPPING_NOTES)]
    Tcpping(Tcpping),
    /// Ask one peer one question and show what was sent, what came back, when, and what it means
    #[command(after_help = PROBE_NOTES)]
    Probe(Probe),
    /// Follow the way to a peer by several flows: its hops, who answers for it, where packets end, and what passes
    #[command(after_help = TRACE_NOTES)]
    Trace(Trace),
    /// Look whether this machine is a good place to look from, and say how to mend what is not
    #[command(after_help = doctor::NOTES)]
    Doctor(Doctor),
    /// Look whether an app and its SCM site are found, reached and certified, as the Azure portal needs it
    #[command(after_help = portal::NOTES)]
    Portal(Portal),
    /// Answer the sealed challenge of a second agent, so that inbound rules and the way back are proved
    #[command(after_help = witness::NOTES)]
    Witness(Witness),
    /// Work on configuration files
    #[command(subcommand, after_help = format!("{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent config check /etc/ase-agent/ase-agent.yaml"))]
    Config(ConfigCommand),
    /// Show the built-in dependency catalogues
    #[command(subcommand, after_help = format!("{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent profile show"))]
    Profile(ProfileCommand),
    /// Show what the agent remembers: risk clocks, incidents and outcomes, also of earlier processes
    #[command(
        after_help = format!("It reads while the agent writes. The state directory is --state-dir, else $STATE_DIRECTORY, else the \
        configuration's `state_dir`, else /var/lib/ase-agent.\n\n{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent history --since 2h\n  \
        ase-agent history --endpoint login.live.com:443 --outcomes\n  ase-agent history --incidents --output json")
    )]
    History(History),
    /// Judge exported rules, routes and subnets, without asking anybody
    #[command(after_help = format!("Several files are judged together. Nothing is sent, and no command that is printed is \
        run.\n\n{LINT_EXIT_CODES}\n\nExamples:\n  ase-agent lint nsg.json --subnet 10.0.1.0/24 --vnet 10.0.0.0/16 --deployment ilb\n  \
        ase-agent lint nsg.json routes.json subnet.json --tags ServiceTags_Public.json\n  \
        ase-agent lint plan.json --profile ase-v3 --nsg ase-nsg --format sarif\n  ase-agent lint diff base/network head/network --format markdown\n  ase-agent lint explain lb_cut"))]
    Lint(Box<Lint>),
    /// Take in what the management API says of the environment: its dependencies, its own view, its addresses
    #[command(subcommand, after_help = format!("{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent import inbound inbound.json"))]
    Import(ImportCommand),
    /// Work out how large a subnet has to be
    #[command(subcommand, after_help = format!("{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent plan subnet --plan 20"))]
    Plan(PlanCommand),
    /// Print completions for a shell
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExample:\n  ase-agent completions bash"))]
    Completions(Completions),
    /// Print the manual page, or write one for each command
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent man\n  ase-agent man ./man1"))]
    Man(ManPages),
    /// Explain a cause: what it means, where it lies, who mends it and how
    #[command(after_help = format!("{PLAIN_EXIT_CODES}\n\nExamples:\n  ase-agent explain tls_intercepted\n  ase-agent explain --output json"))]
    Explain {
        /// The cause's label, for example tls_intercepted; without one all causes are listed
        cause: Option<String>,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

#[cfg(test)]
mod tests {
    use clap::{Command as Definition, CommandFactory as _};

    use super::*;

    /// What `$ID` stands for in the examples.
    const ENVIRONMENT: &str = "/subscriptions/5/resourceGroups/g/providers/Microsoft.Web/hostingEnvironments/ase";

    /// Every command with its full name and its help.
    fn helps(command: &mut Definition, name: &str, found: &mut Vec<(String, String)>) {
        found.push((name.to_owned(), command.render_long_help().to_string()));
        let below: Vec<_> = command.get_subcommands_mut().collect();
        for command in below.into_iter().filter(|command| command.get_name() != "help") {
            let name = format!("{name} {}", command.get_name());
            helps(command, &name, found);
        }
    }

    fn all() -> Vec<(String, String)> {
        let (mut command, mut found) = (Cli::command(), Vec::new());
        command.build();
        helps(&mut command, "ase-agent", &mut found);
        assert!(found.len() > 15, "{found:?}");
        found
    }

    /// The lines behind `Examples:`, which end a help; those of other programs prepare files and are left out.
    fn examples(help: &str) -> Vec<&str> {
        let behind =
            help.rsplit_once("Examples:\n").or(help.rsplit_once("Example:\n")).map_or("", |(_, behind)| behind);
        behind.trim_end().lines().map(str::trim).filter(|line| line.starts_with("ase-agent ")).collect()
    }

    #[test]
    fn every_help_ends_with_examples_of_its_own_command_that_can_be_parsed() {
        for (name, help) in all() {
            let examples = examples(&help);
            assert!(!examples.is_empty(), "{name} has no example: {help}");
            for example in examples {
                assert!(example.starts_with(&name), "{name}: {example}");
                let example = example.replace("\"$ID\"", ENVIRONMENT);
                let parsed = Cli::try_parse_from(example.split(' '));
                let is_help = parsed.as_ref().is_err_and(|error| !error.use_stderr());
                assert!(
                    parsed.is_ok() || is_help,
                    "{example}: {}",
                    parsed.err().map(|e| e.to_string()).unwrap_or_default()
                );
            }
        }
    }

    #[test]
    fn every_help_documents_its_exit_codes() {
        for (name, help) in all() {
            let (_, codes) = help.split_once("Exit codes:\n").unwrap_or_else(|| panic!("{name}: {help}"));
            for code in ["  0   ", "  1   ", "  64  ", "  78  "] {
                assert!(codes.contains(code), "{name} says nothing of{code}: {help}");
            }
        }
    }

    #[test]
    fn a_mistyped_command_or_option_is_met_with_the_one_that_was_meant() {
        for (words, meant) in [
            (&["ase-agent", "chek"][..], "'check'"),
            (&["ase-agent", "tracert", "a.example"], "'trace'"),
            (&["ase-agent", "check", "--clas", "dns"], "'--class'"),
            (&["ase-agent", "probe", "htps", "a.example"], "'https'"),
        ] {
            let error = Cli::try_parse_from(words).expect_err("no such word").to_string();
            assert!(error.contains("similar") && error.contains(meant), "{error}");
        }
    }
}
