//! What a daemon on this machine says while somebody looks once: it has watched for a while, and knows what comes and goes.
//! `web/witness.rs` asks it.

use std::net::SocketAddr;

use ase_probes::cause::Cause;
use serde::{Deserialize, Serialize};

use crate::{engine::snapshot::Snapshot, model::diagnosis::Incident, net::foreign};

/// Characters of one text that are repeated.
const LONGEST: usize = 300;
/// Endpoints, or lines of evidence, that are repeated.
const MOST: usize = 200;

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its open incidents.
    pub incidents: Vec<ToldIncident>,
}

/// An incident as the daemon tells it (`docs/status.schema.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldIncident {
    /// The cause's label.
    pub cause: String,
    /// The broken component, in plain words.
    pub component: String,
    /// Which side it lies on.
    pub side: String,
    /// How much is lost.
    pub scope: String,
    /// How sure that is.
    pub confidence: String,
    /// What to look at first.
    pub hint: Option<String>,
    /// The ids of the endpoints.
    pub endpoints: Vec<String>,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// Since when, RFC 3339.
    pub since: String,
}

impl Witness {
    /// The incidents of causes that a snapshot of one look does not show.
    pub fn beyond<'a>(&'a self, snapshot: &Snapshot) -> impl Iterator<Item = &'a ToldIncident> {
        let shown: Vec<&str> = snapshot.incidents.open.iter().map(|incident| incident.finding.cause.label()).collect();
        self.incidents.iter().filter(move |told| !shown.contains(&told.cause.as_str()))
    }
}

impl Witness {
    /// What the daemon says of an incident that this look shows as well.
    pub fn same(&self, incident: &Incident) -> Option<&ToldIncident> {
        let hits =
            |told: &&ToldIncident| incident.endpoints.iter().any(|id| told.endpoints.iter().any(|hit| *hit == *id.0));
        self.incidents.iter().filter(|told| told.cause == incident.finding.cause.label()).find(hits)
    }
}

impl ToldIncident {
    /// The same in a form that can be shown: whoever listens there may be no daemon of ours.
    pub fn plain(self) -> Self {
        let word = |text: String| foreign::plain_within(&text, LONGEST);
        let list = |texts: Vec<String>| texts.into_iter().take(MOST).map(word).collect();
        Self {
            cause: word(self.cause),
            component: word(self.component),
            side: word(self.side),
            scope: word(self.scope),
            confidence: word(self.confidence),
            hint: self.hint.map(word),
            endpoints: list(self.endpoints),
            evidence: list(self.evidence),
            since: word(self.since),
        }
    }

    /// What happened, in plain words; empty for a cause that this version does not know.
    pub fn summary(&self) -> &'static str {
        Cause::from_label(&self.cause).map_or("", |cause| cause.definition().summary)
    }

    /// What to do next, in plain words.
    pub fn next_step(&self) -> Option<String> {
        Cause::from_label(&self.cause).map(|cause| cause.definition().next_words())
    }
}
