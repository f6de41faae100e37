//! Log lines to standard error, as logfmt or JSON. Secrets never reach them: no type that holds one is printable.

use std::io::{self, Write};

use clap::ValueEnum;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::commands::log_filter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// key=value pairs
    Logfmt,
    /// one JSON object per line
    Json,
}

/// Starts logging.
///
/// # Errors
/// The filter's rule that is broken.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        log_filter::parse(filter).map_err(|rule| format!("--log-level ({}): {rule}", filter.escape_debug()))?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Logfmt => registry.with(tracing_logfmt::builder().layer().with_writer(|| Stderr)).try_init(),
        LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| Stderr)).try_init()
        }
    }
    .map_err(|error| error.to_string())
}

/// Standard error, where a line that cannot be written is lost and ends nothing: a log must not stop the watch.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        drop(io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
