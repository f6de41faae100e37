//! How the result of an import is told, and where it goes: to standard output, or into a file that is never overwritten silently.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use ase_probes::regular_file;
use clap::Args;

use crate::commands::{failure::Failure, options::Output};

/// Where a result goes.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Write the result into this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) into: Option<PathBuf>,
    /// Replace the file where it exists
    #[arg(long, requires = "into")]
    pub(super) overwrite: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

impl Target {
    /// Writes the text where a file was asked for; whether it did.
    ///
    /// # Errors
    /// A file that exists, or cannot be written.
    pub(super) fn write(&self, text: &str) -> Result<bool, Failure> {
        let Some(path) = &self.into else { return Ok(false) };
        if self.overwrite {
            replace(path, text)?;
            return Ok(true);
        }
        let refused = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Failure::Input(format!("--into ({}): exists; --overwrite replaces it", path.display()))
            }
            _ => Failure::Input(format!("--into ({}): {error}", path.display())),
        };
        let mut file = File::options().write(true).create_new(true).open(path).map_err(refused)?;
        file.write_all(text.as_bytes()).map_err(refused)?;
        Ok(true)
    }
}

/// Puts a text in the place of a file in one step: whoever reads meanwhile sees the old one or the new one.
///
/// # Errors
/// What the system said.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let refused = |error| Failure::Input(format!("cannot write {}: {error}", path.display()));
    regular_file::replace(path, text.as_bytes()).map_err(refused)
}
