//! `ase-agent explain`: what a cause means.

use std::process::ExitCode;

use ase_probes::cause::Cause;

use crate::{
    commands::{failure::Failure, stdout},
    readers::explain as layout,
};

/// Explains a cause, or lists them all.
///
/// # Errors
/// A label that no cause has.
pub fn run(cause: Option<&str>) -> Result<ExitCode, Failure> {
    let Some(label) = cause else {
        stdout::print(&layout::list())?;
        return Ok(ExitCode::SUCCESS);
    };
    let cause = Cause::from_label(label)
        .ok_or_else(|| Failure::Usage(format!("cause ({label}): no such cause; `ase-agent explain` lists them")))?;
    stdout::print(&layout::explain(cause))?;
    Ok(ExitCode::SUCCESS)
}
