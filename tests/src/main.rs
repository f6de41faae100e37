//! The `ase-lab` command.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use ase_lab::{
    demo,
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
        Command::Guest { folder, user, command } => {
            subnet::guest(&folder, user == "root", &command).map(|()| ExitCode::SUCCESS)
        }
    }
}
