//! Status documents that were saved, read again as looks: when, which addresses were asked, what failed and by what.

use std::{net::SocketAddr, time::Duration};

use ase_probes::cause::Cause;
use jiff::Timestamp;
use serde::Deserialize;

use crate::readers::allowlist::{Seen, Sighting};

#[derive(Deserialize)]
struct Document {
    schema: String,
    at: String,
    endpoints: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    status: String,
    #[serde(default)]
    cause: Option<String>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    last_visit: Option<String>,
    #[serde(default)]
    evidence: Vec<String>,
    #[serde(default)]
    addresses: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

/// Reads a status document (`/api/v1/status`, `ase-agent check --output json`).
///
/// # Errors
/// What is wrong with it, in a sentence that begins behind the file's name.
pub fn look_from_json(text: &str) -> Result<Sighting, String> {
    let wanted = "/api/v1/status or `ase-agent check --output json` is wanted";
    let document: Document =
        serde_json::from_str(text).map_err(|error| format!("is no status of this agent ({error}): {wanted}"))?;
    if !document.schema.starts_with("ase-agent/status/") {
        return Err(format!("has the schema {:?}: {wanted}", document.schema));
    }
    let at = moment(&document.at).ok_or_else(|| format!("says no time at which it was made: {wanted}"))?;
    let visited = document.endpoints.into_iter().filter(|entry| entry.last_visit.is_some());
    Ok(Sighting { at, endpoints: visited.map(|entry| (entry.id.clone(), seen(entry))).collect() })
}

fn seen(entry: Entry) -> Seen {
    let cause = entry.cause.as_deref().and_then(Cause::from_label).map(Cause::definition);
    let address = |one: &Address| one.address.parse::<SocketAddr>().ok().map(|address| address.ip());
    Seen {
        has_failed: entry.status == "failed",
        owner: cause.map(|cause| cause.owner),
        cause: cause.map(|cause| (cause.label.to_owned(), cause.summary)),
        since: entry.since.as_deref().and_then(moment),
        addresses: entry.addresses.iter().filter_map(address).collect(),
        evidence: entry.evidence,
    }
}

fn moment(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<Timestamp>().ok()?.duration_since(Timestamp::UNIX_EPOCH)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{readers::json::to_json, sample};

    #[test]
    fn a_status_that_was_saved_reads_back_as_the_look_it_was() {
        let snapshot = sample::snapshot();
        let look = look_from_json(&to_json(&snapshot, "0.1.0")).expect("a status");
        assert_eq!(look, Sighting::of(&snapshot));
    }

    #[test]
    fn what_is_no_status_says_what_is_wanted() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"schema\": \"other/1\", \"at\": \"\", \"endpoints\": []}",
            "{\"schema\": \"ase-agent/status/1\", \"at\": \"yesterday\", \"endpoints\": []}",
        ] {
            let error = look_from_json(text).expect_err("it is none");
            assert!(error.ends_with("is wanted"), "{error}");
        }
    }
}
