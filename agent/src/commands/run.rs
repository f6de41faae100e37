//! `ase-agent run`: the daemon, from its arguments to its end.

use std::process::ExitCode;

use clap::Args;

use crate::{
    commands::{
        daemon,
        failure::{Failure, runtime},
        logs::{self, LogFormat},
        options::ConfigFile,
        service_manager,
    },
    config,
    net::listen,
};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Listen here instead of where the configuration says: ADDRESS:PORT, localhost:PORT, or :PORT for every address
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen::parse)]
    pub listen: Option<std::net::SocketAddr>,
    /// What to log: off, error, warn, info, debug or trace, also per module (`info,ase_agent::visit::visitor=debug`)
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// Runs until it is told to stop.
///
/// # Errors
/// A bad filter, a bad configuration, an address that cannot be bound.
pub fn run(arguments: &Run) -> Result<ExitCode, Failure> {
    let socket = service_manager::socket().map_err(refused)?;
    logs::start(&arguments.log_level, arguments.log_format).map_err(Failure::Usage)?;
    let activated = socket.as_ref().map(std::net::TcpListener::local_addr).transpose().map_err(refused)?;
    let (file, listen) = (arguments.config.config.clone(), activated.or(arguments.listen));
    let load = move || config::load(file.as_deref()).map(|settings| settings.listening(listen));
    let settings = load()?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let listener = match socket {
            Some(socket) => daemon::adopt(socket, &settings),
            None => daemon::bind(&settings).await,
        };
        let listener = listener.map_err(Failure::other)?;
        daemon::run(settings, listener, load, std::future::pending()).await.map_err(Failure::other)
    });
    // A configuration that is being read again is not waited for: its disk may hang.
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// The socket is systemd's: what is wrong with it is said before anything else.
fn refused(error: std::io::Error) -> Failure {
    Failure::other(format!("the socket that systemd passed (LISTEN_FDS) cannot be used: {error}"))
}
