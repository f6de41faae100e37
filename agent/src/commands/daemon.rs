//! The daemon: the monitor's loop, the web server on a thread beside it, and the signals that end or reload it.

use std::{future::Future, net::SocketAddr, path::Path, time::Duration};

use ase_probes::clock;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{
    commands::{open_files, reloads::Reloads, service_manager::ServiceManager},
    config::ConfigError,
    engine::monitor::{FIRST_ROUND, Monitor},
    model::settings::Settings,
    store::CLOSE_WITHIN,
    web::{
        accepting::Limits,
        live::Live,
        server::{self, Command},
        thread::WebThread,
    },
};

/// Reload requests that may wait.
const COMMANDS: usize = 8;
/// The time that the memory gets to write its last when the end is hastened.
const HURRIED: Duration = Duration::from_secs(1);

/// Why the daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The web server's address could not be bound.
    #[error("cannot listen on {address} (key `listen`): {source}")]
    Listen {
        /// The address of the key `listen`.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The web server's thread could not be started.
    #[error("cannot start the web server: {0}")]
    Web(#[source] std::io::Error),
    /// Signals could not be subscribed to.
    #[error("cannot watch signals: {0}")]
    Signals(#[source] std::io::Error),
}

/// Binds the web server's address, before anything is started.
///
/// # Errors
/// [`DaemonError::Listen`] when the address is in use, not ours or not permitted.
pub async fn bind(settings: &Settings) -> Result<TcpListener, DaemonError> {
    let address = settings.listen;
    TcpListener::bind(address).await.map_err(|source| DaemonError::Listen { address, source })
}

/// Takes the socket that systemd opened, in place of the address of the configuration.
///
/// # Errors
/// [`DaemonError::Listen`] when nobody can be accepted on it.
pub fn adopt(socket: std::net::TcpListener, settings: &Settings) -> Result<TcpListener, DaemonError> {
    let address = settings.listen;
    TcpListener::from_std(socket).map_err(|source| DaemonError::Listen { address, source })
}

/// Runs until `stop` resolves or SIGTERM or SIGINT arrives, then drains. `load` reads the configuration again.
///
/// # Errors
/// [`DaemonError::Signals`] when signals cannot be watched, [`DaemonError::Web`] when the web server cannot be started.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    load: impl Fn() -> Result<Settings, ConfigError> + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let mut signals = Signals::watch().map_err(DaemonError::Signals)?;
    let listen = settings.listen;
    let state_dir = settings.state_dir.clone();
    tracing::info!(
        %listen, origin = settings.origin, profile = settings.catalog.profile, cloud = settings.catalog.cloud,
        endpoints = settings.catalog.endpoints.len(), slots_not_configured = settings.catalog.slots.len(),
        "watching"
    );
    settings.warnings.iter().for_each(|warning| tracing::warn!(warning, "configuration"));
    let limits = Limits { drain: settings.pace.drain, ..Limits::default() };
    let mut monitor = Monitor::new(settings, FIRST_ROUND, open_files::take(), rand::random());
    let (commands, mut requests) = mpsc::channel(COMMANDS);
    let live = Live::new(monitor.subscribe(), state_dir.clone());
    let site = server::site(monitor.subscribe(), commands, live.clone());
    let web = WebThread::start(listener, site, limits, live.follow()).await.map_err(DaemonError::Web)?;
    let mut reloads = Reloads::new(load);
    let mut systemd = ServiceManager::new(monitor.subscribe(), clock::now());
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = monitor.step() => systemd.turned(clock::now()),
            () = &mut stop => break,
            () = signals.ends.next() => break,
            _ = signals.hang_up.recv() => {
                systemd.reloading();
                reloads.ask(None);
            }
            Some(Command::Reload(reply)) = requests.recv() => {
                systemd.reloading();
                reloads.ask(Some(reply));
            }
            (loaded, replies) = reloads.loaded() => {
                let result = reload(&mut monitor, loaded, listen, state_dir.as_deref());
                systemd.reloaded(&result);
                replies.into_iter().for_each(|reply| drop(reply.send(result.clone())));
            }
        }
    }
    tracing::info!("draining");
    systemd.stopping();
    end(monitor, web, signals.ends).await;
    tracing::info!("stopped");
    Ok(())
}

/// Lets what is under way end, remembers, and closes the web server. A second signal leaves out all waiting but a second for
/// the memory; a third that one as well.
async fn end(mut monitor: Monitor, web: WebThread, mut ends: Ends) {
    let mut is_hurried = tokio::select! {
        () = monitor.drain() => false,
        () = ends.next() => true,
    };
    let patience = if is_hurried { HURRIED } else { CLOSE_WITHIN };
    if is_hurried {
        tracing::warn!("a second signal: nothing under way is waited for");
    }
    tokio::select! {
        () = monitor.close(patience) => {}
        () = ends.next() => {
            tracing::warn!("another signal: the memory is not waited for");
            is_hurried = true;
        }
    }
    // Without snapshots to come, pages that are open are let go at once.
    drop(monitor);
    if !is_hurried {
        tokio::select! {
            () = web.stop() => {}
            () = ends.next() => tracing::warn!("a second signal: web clients are not waited for"),
        }
    }
}

/// Takes a new configuration in force, or keeps the old one and says why.
fn reload(
    monitor: &mut Monitor,
    loaded: Option<Result<Settings, ConfigError>>,
    listen: SocketAddr,
    state_dir: Option<&Path>,
) -> Result<(), String> {
    let died = || Err("reading it died; this is a defect of the agent".to_owned());
    let loaded = loaded.map_or_else(died, |read| read.map_err(|error| error.to_string()));
    let settings = loaded.and_then(|settings| match settings.listen {
        same if same == listen && settings.state_dir.as_deref() == state_dir => Ok(settings),
        same if same == listen => Err("state_dir cannot change at a reload: restart".to_owned()),
        other => Err(format!("listen ({other}) cannot differ from the address in use ({listen}) at a reload: restart")),
    });
    match settings {
        Ok(settings) => {
            tracing::info!(origin = settings.origin, "configuration reloaded");
            monitor.reload(settings);
            Ok(())
        }
        Err(error) => {
            tracing::error!(error, "configuration not reloaded, the old one stays in force");
            monitor.reload_failed();
            Err(error)
        }
    }
}

struct Signals {
    ends: Ends,
    hang_up: Signal,
}

/// The signals that ask for the end.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn watch() -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { ends: Ends { terminate, interrupt }, hang_up: signal(SignalKind::hangup())? })
    }
}

impl Ends {
    /// Waits for the next one. Cancel safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
