//! What ends a command early, with its exit code.

use std::{os::unix::net::UnixDatagram, process::ExitCode};

use crate::config::ConfigError;

/// The command line is wrong (`sysexits.h`, EX_USAGE).
pub const EXIT_USAGE: u8 = 64;
/// The configuration is wrong (`sysexits.h`, EX_CONFIG).
pub const EXIT_CONFIG: u8 = 78;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An input file is wrong.
    #[error("{0}")]
    Input(String),
    /// Something else went wrong.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A failure that is neither the command line's nor the configuration's.
    pub fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }

    /// The exit code that scripts see.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Config(_) | Self::Input(_) => EXIT_CONFIG,
            Self::Other(_) => 1,
        })
    }
}

/// Descriptors that the runtime needs for itself: epoll, its waker, two ends of the pipe for signals, and one to spare.
const DESCRIPTORS: usize = 5;

/// The runtime of one command: one thread, as in the daemon.
///
/// # Errors
/// What the system refused.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // Where one is missing the runtime panics, so that they are tried first: by sockets, which need no file to be there.
    let spare: std::io::Result<Vec<UnixDatagram>> = (0..DESCRIPTORS).map(|_| UnixDatagram::unbound()).collect();
    drop(spare.map_err(|error| Failure::Other(format!("this machine gives no file descriptors: {error}")))?);
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)
}
