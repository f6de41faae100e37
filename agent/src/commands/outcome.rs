//! How a command that looked once ends: what it found as a table or as a document, and its exit code.

use std::process::ExitCode;

use crate::commands::{failure::Failure, options::Output, stdout};

/// Prints what was found in the form that was asked for, and ends with this code.
///
/// # Errors
/// What the system said of standard output.
pub fn tell(
    output: Output,
    document: impl FnOnce() -> String,
    table: impl FnOnce() -> String,
    code: u8,
) -> Result<ExitCode, Failure> {
    let text = match output {
        Output::Json => document() + "\n",
        Output::Table => table(),
    };
    let _read = stdout::print(&text)?;
    Ok(ExitCode::from(code))
}
