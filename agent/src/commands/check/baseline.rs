//! `check --baseline save|diff FILE`: how everything stands is kept, or compared with what was kept.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Check, Seen, look};
use crate::{
    commands::{
        failure::Failure,
        files::{self, Place},
        options::Output,
        stdout,
    },
    model::catalog::Catalog,
    readers::{
        baseline::{Baseline, render},
        json,
    },
};

/// Larger files are refused, in bytes: 10 000 endpoints are 2 MB.
const LARGEST: u64 = 16 << 20;

/// What is to be done with a baseline.
pub(super) enum Asked {
    /// It is written here.
    Save(Place),
    /// It is compared with this one.
    Diff(Box<Baseline>),
}

/// What the two words behind `--baseline` ask for; a file to compare with is read, one to write is tried.
///
/// # Errors
/// Another word, a file that is no baseline or of another profile, a place that cannot be written.
pub(super) fn asked(words: &[OsString], catalog: &Catalog) -> Result<Option<Asked>, Failure> {
    let [what, file] = words else { return Ok(None) };
    let file = PathBuf::from(file);
    match what.to_str() {
        Some("save") => {
            Place::try_at(&file).map(|place| Some(Asked::Save(place))).map_err(|rule| refused(&file, &rule))
        }
        Some("diff") => {
            let read = files::read_text(&file, LARGEST).and_then(|text| json::baseline_from_json(&text));
            let checked = read.and_then(|baseline| {
                baseline.must_be_of(&catalog.profile, &catalog.cloud).map(|()| Some(Asked::Diff(Box::new(baseline))))
            });
            checked.map_err(|rule| refused(&file, &rule))
        }
        _ => Err(Failure::Usage(format!(
            "--baseline ({}): `save FILE` or `diff FILE` is wanted",
            what.to_string_lossy().escape_debug()
        ))),
    }
}

fn refused(file: &Path, rule: &str) -> Failure {
    Failure::Input(format!("--baseline ({}) {rule}", file.display()))
}

impl Asked {
    /// Keeps what was seen, or prints what changed; the exit code where that is the answer in the report's place.
    ///
    /// # Errors
    /// What the system said of the file or of standard output.
    pub(super) fn finish(
        &self,
        seen: &Seen<'_>,
        whole: &Catalog,
        arguments: &Check,
    ) -> Result<Option<ExitCode>, Failure> {
        let now = Baseline::of(seen.snapshot, seen.is_whole);
        let before = match self {
            Self::Save(place) => {
                place.write(&json::baseline_to_json(&now))?;
                return Ok(None);
            }
            Self::Diff(before) => before,
        };
        let known = whole.endpoints.iter().map(|endpoint| &*endpoint.id.0).collect();
        let comparison = before.compare(&now, &known);
        let text = match arguments.output {
            Output::Json => json::comparison_to_json(before, &now, &comparison, &seen.snapshot.left_out) + "\n",
            Output::Table => render(before, &comparison, seen.snapshot, look(arguments.verbose)),
        };
        stdout::print(&text)?;
        Ok(Some(ExitCode::from(comparison.exit_code())))
    }
}
