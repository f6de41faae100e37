//! `ase-agent witness`: the other direction, from its arguments to its end.

mod knock;

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    commands::{
        failure::{Failure, runtime},
        logs::{self, LogFormat},
        service_manager,
    },
    witness::{
        key::Key,
        listener::{self, Open},
        port::{self, Port},
    },
};

/// What the help of `witness` says beside its options.
pub(super) const NOTES: &str = "\
Both sides need the same secret in a file that only its owner may read:
  (umask 077; head -c 32 /dev/urandom | base64 >witness.key)
Nothing but a sealed challenge that is new gets a byte back. Ports below 1024 need no capability where systemd opens them
(ase-agent-witness.socket). It runs until SIGTERM or SIGINT.

Exit codes:
  0   it was told to stop
  1   a port could not be opened
  64  the command line is wrong
  78  the file with the key is wrong

Examples:
  ase-agent witness --listen 454,455,16001,80 --key witness.key
  ase-agent witness --listen 8454,8123/udp --address 127.0.0.1 --key witness.key
  ase-agent witness knock --help";

/// Arguments of `witness`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Witness {
    /// The other side.
    #[command(subcommand)]
    pub command: Option<WitnessCommand>,
    /// Ports to listen on, separated by commas, /udp behind those of UDP; beside those that systemd opened
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = port::parse)]
    pub listen: Vec<Port>,
    /// Listen on this address only
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,
    /// The file with the shared secret, 32 to 1024 bytes, open to nobody but its owner
    #[arg(long, value_name = "FILE", required = true)]
    pub key: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// The other side of a witness.
#[derive(Debug, Subcommand)]
pub enum WitnessCommand {
    /// Knock at the ports of a witness, and say which of them are open in both directions and which way loses the others
    #[command(after_help = knock::NOTES)]
    Knock(knock::Knock),
}

/// Answers until it is told to stop, or knocks.
///
/// # Errors
/// A bad key, a port that cannot be opened.
pub fn run(arguments: &Witness) -> Result<ExitCode, Failure> {
    if let Some(WitnessCommand::Knock(arguments)) = &arguments.command {
        return knock::run(arguments);
    }
    let given = service_manager::sockets().map_err(refused)?;
    let ports = port::each_once(&arguments.listen).map_err(|rule| Failure::Usage(format!("--listen: {rule}")))?;
    if ports.is_empty() && given.is_empty() {
        return Err(Failure::Usage("--listen must name a port, as systemd passed no socket".to_owned()));
    }
    let key = arguments.key.as_deref().map(Key::read).transpose().map_err(Failure::Input)?;
    let key = key.ok_or_else(|| Failure::Usage("--key must name a file".to_owned()))?;
    logs::start("info", arguments.log_format).map_err(Failure::Usage)?;
    let mut sockets = given;
    for port in ports {
        sockets.push(Open::bind(port, arguments.address).map_err(|error| unopened(port, &error))?);
    }
    runtime()?.block_on(until_told(sockets, key)).map_err(Failure::other)?;
    Ok(ExitCode::SUCCESS)
}

async fn until_told(sockets: Vec<Open>, key: Key) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ports = sockets.iter().map(|socket| socket.port().to_string()).collect::<Vec<_>>().join(" ");
    tracing::info!(ports, "witnessing");
    tokio::select! {
        ended = listener::serve(sockets, key) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn refused(error: std::io::Error) -> Failure {
    Failure::other(format!("the sockets that systemd passed (LISTEN_FDS) cannot be used: {error}"))
}

fn unopened(port: Port, error: &std::io::Error) -> Failure {
    let hint = if error.kind() == std::io::ErrorKind::PermissionDenied {
        "; below 1024 let systemd open it (ase-agent-witness.socket), or grant CAP_NET_BIND_SERVICE"
    } else {
        ""
    };
    Failure::other(format!("cannot listen on {port}: {error}{hint}"))
}
