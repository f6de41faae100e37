//! The flows that a daemon has seen, from its state directory or a status that somebody saved.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ase_probes::{class::Class, regular_file};

use crate::{
    commands::failure::Failure,
    lint::{read::seen, seen::SeenFlow},
    store::history::{Query, read},
};

/// Larger statuses are refused, in bytes: that of 10 000 endpoints is 20 MB.
const LARGEST: u64 = 64 << 20;

/// Each flow once, and what says none, with the reason.
///
/// # Errors
/// A place that is neither a state directory nor a status.
pub(super) fn flows(places: &[PathBuf]) -> Result<(Vec<SeenFlow>, Vec<String>), Failure> {
    let (mut flows, mut left) = (Vec::new(), Vec::new());
    for place in places {
        let (found, without) = if place.is_dir() { remembered(place)? } else { of_status(place)? };
        flows.extend(found);
        left.extend(without);
    }
    Ok((without_repetitions(flows), left))
}

fn of_status(file: &Path) -> Result<(Vec<SeenFlow>, Vec<String>), Failure> {
    let name = file.display().to_string();
    let bytes = regular_file::read_handed_over(file, LARGEST);
    let bytes = bytes.map_err(|error| Failure::Input(format!("{name}: {error}")))?;
    seen::flows(&name, &bytes).map_err(|error| Failure::Input(error.to_string()))
}

fn remembered(folder: &Path) -> Result<(Vec<SeenFlow>, Vec<String>), Failure> {
    let query = Query { since: Duration::ZERO, endpoint: None };
    let history = read(folder, &query).map_err(|error| Failure::Input(error.to_string()))?;
    let (mut flows, mut left) = (Vec::new(), Vec::new());
    // The newest outcome of an endpoint counts.
    for outcome in history.outcomes.iter().rev() {
        let Some(class) = Class::from_label(&outcome.class) else { continue };
        match SeenFlow::of_id(&outcome.endpoint, class) {
            Some(flow) => flows.push(SeenFlow { worked: outcome.result != "failed", ..flow }),
            None => left.push(format!("{}: the id {} says no port: no flow", folder.display(), outcome.endpoint)),
        }
    }
    left.sort();
    left.dedup();
    Ok((flows, left))
}

/// Each endpoint once; one whose addresses are known tells more than one without.
fn without_repetitions(flows: Vec<SeenFlow>) -> Vec<SeenFlow> {
    let mut kept: Vec<SeenFlow> = Vec::new();
    for flow in flows {
        match kept.iter_mut().find(|other| other.name == flow.name && other.port == flow.port) {
            Some(other) if other.addresses.is_empty() && !flow.addresses.is_empty() => *other = flow,
            Some(_) => {}
            None => kept.push(flow),
        }
    }
    kept
}
