//! The `ase-lab` command.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use ase_lab::{
    alert, bench,
    dashboard::show as dashboards,
    demo, evaluate,
    fault_scenarios::{self, pictures},
    field_cases, guest, lint_time, programs, reliability, remember, screen_pictures,
    subnet::{self, Plan},
};
use clap::{Parser, Subcommand};

/// A simulated Azure for trying and testing ase-agent. It sends nothing off this machine.
#[derive(Debug, Parser)]
#[command(name = "ase-lab", version, about)]
struct Cli {
    /// Build ase-agent beside this program first, with cargo; what `cargo lab` does
    #[arg(long)]
    build_agent: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the agent live on loopback, with faults that come and go by a script
    Demo(demo::Arguments),
    /// Run a command in a subnet with a whole simulated Azure around it
    ///
    /// The unmodified built-in profile works there on its real names, addresses and ports. The command runs as an
    /// unprivileged user; the lab's authority is trusted; ASE_LAB_CONFIG names a configuration that fills the slots.
    #[command(after_help = "Examples:\n  ase-lab subnet -- ase-agent check\n  \
        ase-lab subnet --stop login.live.com -- ase-agent check --output json\n  \
        ase-lab subnet -- sh -c 'ase-agent check --config \"$ASE_LAB_CONFIG\"'\n  \
        ase-lab subnet -- dig management.azure.com")]
    Subnet {
        /// Do not start this server: HOST or HOST:PORT (repeatable)
        #[arg(long, value_name = "HOST[:PORT]")]
        stop: Vec<String>,
        /// Put a box with the faults of this file on the path (needs root)
        #[arg(long, value_name = "FILE")]
        fault: Option<PathBuf>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run scenarios and compare what the agent says with what it must say
    ///
    /// A scenario is a data file: a world, a fault in it, what the agent must say. Each runs in namespaces of its own, many
    /// at once, with the agent as an unprivileged user. Prints a line each, the confusions, the accuracy, and every miss
    /// with its evidence; the exit code is 1 if there is one. The group dns compares two real resolvers.
    #[command(after_help = "Examples:\n  ase-lab scenarios\n  ase-lab scenarios path nsg --report out.json\n  \
        ase-lab scenarios dns private")]
    Scenarios(fault_scenarios::Arguments),
    /// Measure what a probe costs: the agent against blackbox_exporter, and the agent alone (needs root)
    ///
    /// Each measurement runs in namespaces of its own, behind a path with a round trip of 10 ms and jitter. Prints CPU per
    /// probe with ratios, rhythm, memory, pages, and what the bench itself took. Build everything for release first.
    #[command(
        after_help = "Examples:\n  ase-lab bench\n  ase-lab bench --cases tcp,https --rounds 3 --report out.json\n  \
        ase-lab bench --cases alone-141 --for 5m\n  ase-lab bench --cases tcp,dns --agent old/ase-agent"
    )]
    Bench(bench::Arguments),
    /// Measure the page of a thousand endpoints, and what fifty open pages cost (needs root and Chromium)
    ///
    /// Time to the first byte, packed length, the filter in a real browser, then the lateness of probes and the growth of memory
    /// while pages are open. Prints a table; the exit code is 1 when a figure is far beyond the one to reach.
    #[command(after_help = "Examples:\n  ase-lab page-load\n  ase-lab page-load --for 2m --endpoints 141")]
    PageLoad(bench::open_pages::Arguments),
    /// Measure how long the lint takes for 1 000 rules beside a tag file of 100 000 prefixes
    #[command(after_help = "Example:\n  ase-lab lint-time --rounds 9 --budget 300")]
    LintTime(lint_time::Arguments),
    /// One measurement of `bench`
    #[command(hide = true)]
    PlayBench { plan: String },
    /// Count what diagnosis costs in packets while nothing is wrong
    Packets(fault_scenarios::packets::Arguments),
    /// One count of `packets`
    #[command(hide = true)]
    CountPackets {
        seconds: f64,
        #[arg(action = clap::ArgAction::Set)]
        is_diagnosing: bool,
    },
    /// One scenario of `scenarios`
    #[command(hide = true)]
    Play { file: PathBuf, seconds: u64, name: String },
    /// The comparisons of `scenarios`
    #[command(hide = true)]
    CompareResolvers { filter: String },
    /// A command in the place of a running guest
    #[command(hide = true)]
    Enter {
        guest: u32,
        folder: PathBuf,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Show a lost dependency becoming a page and its end becoming a resolve, with the delay of each hop (needs root)
    ///
    /// Real agent, Prometheus, Alertmanager and webhook receiver in network namespaces. First what must not page: a lost
    /// packet, a flap, a restart of the agent. Then packets to SQL vanish: exactly one page that names the cause.
    #[command(after_help = "Examples:\n  ase-lab alert\n  ase-lab alert --shipped-timing")]
    Alert(alert::Arguments),
    /// Draw the shipped dashboards over a running Prometheus, without Grafana
    ///
    /// Every panel asks what it asks in Grafana; the pages are HTML, and PNG where Chromium is installed.
    #[command(after_help = "Example:\n  ase-lab dashboards --prometheus 127.0.0.1:9090 --for 15m pictures")]
    Dashboards(dashboards::Arguments),
    /// Take the pictures of the agent's page for the documentation (needs root and Chromium)
    ///
    /// The real agent with the built-in profile, staged healthy, without its DNS server, without any way out, at a reload and a
    /// restart; six minutes. With --staged the page of one scenario, as picture and as text.
    #[command(after_help = "Examples:\n  ase-lab page-pictures docs/images\n  \
        ase-lab page-pictures --staged tests/scenarios/faults/path/nsg-port-1433.yaml --name sql out/")]
    PagePictures(pictures::Arguments),
    /// Draw the captured terminals for the documentation (needs Chromium)
    ///
    /// The captures are what `trace` and `check` show in tmux of two sizes: the test of terminals takes and holds them.
    #[command(after_help = "Example:\n  ase-lab screen-pictures docs/images")]
    ScreenPictures(screen_pictures::Arguments),
    /// Play labelled timelines to the agent's detectors and to simpler ones, and score them
    ///
    /// Loss, outages, flapping, rising round trips, restarts, pauses and local faults, all in simulated time: how late each
    /// detector is, what it misses, how often it alarms for nothing; and how well the estimated risk foretells suspension.
    #[command(
        after_help = "Examples:\n  ase-lab evaluate\n  ase-lab evaluate flap --days 40\n  ase-lab evaluate --report out.json --timelines out/"
    )]
    Evaluate(evaluate::Arguments),
    /// Run the tests of what real servers do, and count the numbered cases of docs/field.md that hold
    Field,
    /// Try hostile peers, hostile clients and faults of the machine against the agent, and print what held
    ///
    /// Each row of tests/reliability is a peer on loopback with the verdict that it must get: whatever it does, the visit
    /// ends in time, nothing panics, what it can send is bounded. Prints counts by kind and every row that is not as
    /// expected, the known ones with their reason; the exit code is 1 if there is another.
    #[command(
        after_help = "Examples:\n  ase-lab faults\n  ase-lab faults https --rows\n  ase-lab faults --report out.json"
    )]
    Faults(reliability::Arguments),
    /// Write to a store until killed, and print what was committed
    #[command(hide = true)]
    Remember {
        /// The state directory
        folder: PathBuf,
    },
    /// The other side of `subnet`
    #[command(hide = true)]
    Guest {
        folder: PathBuf,
        user: String,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Cli::parse();
    if arguments.build_agent {
        programs::build_agent()?;
    }
    match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Subnet { stop, fault, command } => subnet::run(&Plan { command, stopped: stop, fault }),
        Command::Scenarios(arguments) => fault_scenarios::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::PageLoad(arguments) => bench::open_pages::run(&arguments),
        Command::LintTime(arguments) => lint_time::run(&arguments),
        Command::PlayBench { plan } => bench::play_one(&plan),
        Command::Packets(arguments) => fault_scenarios::packets::run(&arguments),
        Command::CountPackets { seconds, is_diagnosing } => fault_scenarios::packets::count(seconds, is_diagnosing),
        Command::Play { file, seconds, name } => fault_scenarios::play_one(&file, Duration::from_secs(seconds), &name),
        Command::CompareResolvers { filter } => fault_scenarios::compare_resolvers(&filter),
        Command::Enter { guest, folder, command } => guest::join(guest, &folder, &command).map(|()| ExitCode::SUCCESS),
        Command::Alert(arguments) => alert::run(&arguments),
        Command::Dashboards(arguments) => dashboards::run(&arguments),
        Command::PagePictures(arguments) => pictures::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::ScreenPictures(arguments) => screen_pictures::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Field => field_cases::run(),
        Command::Faults(arguments) => reliability::run(&arguments),
        Command::Remember { folder } => remember::run(&folder),
        Command::Guest { folder, user, command } => {
            guest::become_command(&folder, user == "root", &command).map(|()| ExitCode::SUCCESS)
        }
    }
}
