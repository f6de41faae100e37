//! The `ase-lab` command.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use ase_lab::{
    demo, guest, scenario,
    subnet::{self, Plan},
};
use clap::{Parser, Subcommand};

/// A simulated Azure for trying and testing ase-agent. It sends nothing off this machine.
#[derive(Debug, Parser)]
#[command(name = "ase-lab", version, about)]
struct Cli {
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
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run scenarios with real DNS servers and compare what the agent says with what it must say
    ///
    /// A scenario is a data file: what the servers hold, which name is asked, what the agent must say. Prints a table and
    /// every miss with its evidence; the exit code is 1 if there is one.
    #[command(after_help = "Examples:\n  ase-lab scenarios dns\n  ase-lab scenarios dns private --report out.json")]
    Scenarios {
        /// The group: dns
        #[arg(value_parser = ["dns"])]
        group: String,
        /// Run only scenarios whose name holds this text
        filter: Option<String>,
        /// Write the results as JSON
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
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
    match Cli::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Subnet { stop, command } => subnet::run(&Plan { command, stopped: stop }),
        Command::Scenarios { group: _, filter, report } => {
            scenario::run(&scenario::Choice { filter: filter.unwrap_or_default(), report })
        }
        Command::Guest { folder, user, command } => {
            guest::become_command(&folder, user == "root", &command).map(|()| ExitCode::SUCCESS)
        }
    }
}
