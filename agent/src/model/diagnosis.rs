//! Why endpoints are as they are: diagnoses of single ones, and incidents that make one thing of what broke together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Finding};

use super::{catalog::EndpointId, contrast::Contrast};

/// How much is lost for one and the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One endpoint.
    Endpoint,
    /// Everything at one host or address.
    Host,
    /// Everything on one port, whoever the peer is.
    Port,
    /// A whole class of dependency.
    Class,
    /// Everything outside this network.
    Egress,
    /// Everything this machine asks, its own platform included.
    Vm,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 6] = [Self::Endpoint, Self::Host, Self::Port, Self::Class, Self::Egress, Self::Vm];

    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Host => "host",
            Self::Port => "port",
            Self::Class => "class",
            Self::Egress => "egress",
            Self::Vm => "vm",
        }
    }
}

/// Another cause that the evidence does not exclude, and what would settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The cause.
    pub cause: Cause,
    /// The contrast that would tell.
    pub open: Contrast,
    /// The answer that would speak for it.
    pub answer: bool,
}

impl Alternative {
    /// What would speak for it, in plain words.
    pub fn words(self) -> &'static str {
        self.open.words(self.answer)
    }
}

/// What a diagnosis rests on. Only what was observed at an endpoint speaks for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Nothing tells; it is what is most often behind such a symptom.
    Guess,
    /// What other endpoints show.
    Inferred,
    /// The endpoint's own exchange, or a measurement made for it.
    Observed,
}

impl Origin {
    /// Returns the word used in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Inferred => "inferred from others",
            Self::Observed => "observed",
        }
    }
}

/// Why one endpoint is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Cause, phase, side and confidence.
    pub finding: Finding,
    /// The rule that decided, for example `R38`.
    pub rule: &'static str,
    /// What it rests on.
    pub origin: Origin,
    /// How much is lost for the same reason.
    pub scope: Scope,
    /// What this network's owner should look at first, more precise than the cause's own advice.
    pub hint: Option<&'static str>,
    /// The contrasts that speak for it, in plain words.
    pub contrasts: Vec<String>,
    /// What else it could be.
    pub alternatives: Vec<Alternative>,
}

/// A rule that decided for some of an incident's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The rule, for example `R38`.
    pub rule: &'static str,
    /// What it rests on.
    pub origin: Origin,
    /// The contrasts that speak for it, in plain words.
    pub contrasts: Vec<String>,
    /// For how many endpoints.
    pub endpoints: usize,
}

impl Judged {
    /// What these diagnoses rest on; those with the same rule and contrasts are one.
    pub fn all<'a>(diagnoses: impl IntoIterator<Item = &'a Diagnosis>) -> Vec<Self> {
        let mut same: BTreeMap<(&str, &[String]), (&Diagnosis, usize)> = BTreeMap::new();
        for diagnosis in diagnoses {
            same.entry((diagnosis.rule, &diagnosis.contrasts)).or_insert((diagnosis, 0)).1 += 1;
        }
        let judged = |(diagnosis, endpoints): (&Diagnosis, usize)| {
            let Diagnosis { rule, origin, ref contrasts, .. } = *diagnosis;
            Self { rule, origin, contrasts: contrasts.clone(), endpoints }
        };
        same.into_values().map(judged).collect()
    }
}

/// One broken component and everything that fails with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its number since the start of the agent, from 1.
    pub id: u64,
    /// The broken component, in plain words.
    pub component: String,
    /// Cause, phase, side and confidence.
    pub finding: Finding,
    /// How much is lost.
    pub scope: Scope,
    /// What to look at first.
    pub hint: Option<&'static str>,
    /// Every endpoint that fails for this reason, in the catalogue's order.
    pub endpoints: Vec<EndpointId>,
    /// Those among them whose own service was not tested, because something before it failed.
    pub hides: Vec<EndpointId>,
    /// What it rests on, in plain words: contrasts first, then the evidence of one endpoint.
    pub evidence: Vec<String>,
    /// What else it could be.
    pub alternatives: Vec<Alternative>,
    /// The rules that decided at its endpoints, each with the contrasts that were asked and answered.
    pub judged: Vec<Judged>,
    /// When the first visit that showed it began, since the Unix epoch.
    pub since: Duration,
    /// When this cause and scope first stood in a snapshot, since the Unix epoch.
    pub published: Duration,
}

/// Closed incidents that are remembered.
pub const CLOSED_LIMIT: usize = 100;

/// An incident that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What it was.
    pub incident: Arc<Incident>,
    /// When it ended, since the Unix epoch.
    pub ended: Duration,
}

/// The incidents that are open, and how many there were.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Open incidents, the oldest first.
    pub open: Vec<Arc<Incident>>,
    /// Incidents closed since the start, the newest last, at most [`CLOSED_LIMIT`].
    pub closed: Vec<Arc<Closed>>,
    /// Incidents opened since the start, by cause.
    pub opened: BTreeMap<Cause, u64>,
    /// How often open incidents, and those that ended a moment ago, have begun, by number.
    pub episodes: BTreeMap<u64, Episodes>,
}

impl Ledger {
    /// Whether an open incident is not the case at the moment.
    pub fn is_quiet(&self, incident: &Incident) -> bool {
        self.episodes.get(&incident.id).is_some_and(|episodes| episodes.is_quiet)
    }
}

/// How often an incident has begun lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Episodes {
    /// When each episode began, the newest last: by a clock that nobody sets, and by the wall clock, since the Unix epoch.
    pub begun: Vec<(Duration, Duration)>,
    /// When it was last the case, by the clock that nobody sets.
    pub seen: Duration,
    /// Whether it is not the case at the moment.
    pub is_quiet: bool,
    /// Every endpoint that it has hit.
    pub hit: Arc<BTreeSet<EndpointId>>,
    /// Those of them that it has hit themselves: what it only hid may be hit by something else later.
    pub own: Arc<BTreeSet<EndpointId>>,
}
