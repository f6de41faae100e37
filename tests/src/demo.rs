//! The product live on loopback: a small Azure on high ports, the agent on top, and faults that come and go.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Arguments {}

/// Runs the demo.
///
/// # Errors
/// When a port cannot be bound.
pub fn run(_: &Arguments) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
