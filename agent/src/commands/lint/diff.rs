//! `ase-agent lint diff`: the exports of two sides compared, as the check of a pull request wants it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{Format, Terms, bytes_of, question, read_into, refused};
use crate::{
    commands::{failure::Failure, seen, stdout},
    lint::{
        judge::diff::diff,
        read::{Export, ReadError},
        render::diff as layout,
    },
};

/// What the help says about exit codes, with examples.
pub(super) const NOTES: &str = "\
Of a directory all *.json files count; files that are no exports are left out and named. What stands on both sides is no
change: `ase-agent lint` shows it.

Exit codes:
  0   nothing gets worse
  1   something critical breaks
  2   warnings only
  3   nothing breaks, but something cannot be judged any more
  64  the command line is wrong
  78  a file is no export, or cannot be read

Examples:
  ase-agent lint diff base/network head/network --deployment ilb --format markdown
  ase-agent lint diff nsg.old.json nsg.json --both subnet.json --seen /var/lib/ase-agent
  ase-agent lint diff --before nsg.json routes.json --after plan.json --seen status.json";

/// Arguments of `lint diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The exports before the change: a file, or a directory
    #[arg(value_name = "BEFORE", required_unless_present = "before_files", requires = "after")]
    pub before: Option<PathBuf>,
    /// The exports after it: a file, or a directory
    #[arg(value_name = "AFTER")]
    pub after: Option<PathBuf>,
    /// Files of the side before, where they are several
    #[arg(long = "before", value_name = "FILE", num_args = 1.., conflicts_with = "before", requires = "after_files")]
    pub before_files: Vec<PathBuf>,
    /// Files of the side after
    #[arg(long = "after", value_name = "FILE", num_args = 1.., requires = "before_files")]
    pub after_files: Vec<PathBuf>,
    /// Files that count on both sides, for example the subnet's
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub both: Vec<PathBuf>,
    /// Flows that the daemon has seen: its state directory, or a status as JSON (repeatable)
    #[arg(long, value_name = "DIR|FILE")]
    pub seen: Vec<PathBuf>,
    /// By what and how.
    #[command(flatten)]
    pub terms: Terms,
}

/// Compares and prints; the exit code says how it went.
///
/// # Errors
/// A file that cannot be read or is no export, an unknown profile, a bad configuration.
pub(super) fn run(arguments: &Diff) -> Result<ExitCode, Failure> {
    let question = question(&arguments.terms)?;
    let shared: Vec<PathBuf> = arguments.both.iter().chain(&arguments.terms.tags).cloned().collect();
    let side = |one: &Option<PathBuf>, several: &[PathBuf]| one.iter().chain(several).cloned().collect::<Vec<_>>();
    let (before, left_before) = read_side(&side(&arguments.before, &arguments.before_files), &shared)?;
    let (after, left_after) = read_side(&side(&arguments.after, &arguments.after_files), &shared)?;
    let (flows, left_seen) = seen::flows(&arguments.seen)?;
    let mut compared = diff(&question, &before, &after, &flows);
    compared.notes.extend([left_before, left_after, left_seen].concat());
    let profile = &arguments.terms.profile;
    stdout::print(&match arguments.terms.format {
        Format::Table => layout::table(&compared, profile),
        Format::Json => layout::json(&compared, profile),
        Format::Sarif => {
            layout::sarif(&compared, &after.kinds.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>())
        }
        Format::Markdown => layout::markdown(&compared, profile),
    })?;
    Ok(ExitCode::from(compared.exit_code()))
}

/// The exports of one side, and what was left out of its directories.
fn read_side(places: &[PathBuf], shared: &[PathBuf]) -> Result<(Export, Vec<String>), Failure> {
    let (mut export, mut left) = (Export::default(), Vec::new());
    for place in places {
        if !place.is_dir() {
            read_into(&mut export, place)?;
            continue;
        }
        for file in files_in(place)? {
            let bytes = bytes_of(&file)?;
            match export.read(&file.display().to_string(), &bytes) {
                Ok(()) => {}
                Err(ReadError::WrongKind { file, what }) => left.push(format!("{file} is left out: {what}")),
                Err(error) => return Err(Failure::Input(error.to_string())),
            }
        }
        if export.kinds.is_empty() {
            return Err(refused(place, &"no export among its *.json files"));
        }
    }
    shared.iter().try_for_each(|file| read_into(&mut export, file))?;
    Ok((export, left))
}

/// The JSON files of a directory, in order.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| refused(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| refused(folder, &error))?.path();
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if is_json && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
