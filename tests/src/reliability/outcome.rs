//! What came of one row: whether the agent survived it, what it said, what is not as it must be.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Whether the agent survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// It did, in time.
    Survived,
    /// It panicked.
    Panicked,
    /// It did not end in time.
    Hung,
}

impl Standing {
    /// The word in the table.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Survived => "survived",
            Self::Panicked => "panicked",
            Self::Hung => "hung",
        }
    }
}

/// What became of a daemon.
#[derive(Debug)]
pub(super) struct Became {
    pub(super) said: String,
    pub(super) recovery: Option<Duration>,
    pub(super) lost: Option<u64>,
}

impl Became {
    pub(super) fn said(said: impl Into<String>) -> Self {
        Self { said: said.into(), recovery: None, lost: None }
    }

    /// Recovered after so long, or never.
    pub(super) fn recovered(after: Option<Duration>) -> Self {
        Self {
            said: if after.is_some() { "recovered" } else { "never recovered" }.to_owned(),
            recovery: after,
            lost: None,
        }
    }
}

/// What came of one row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// The kind of fault.
    pub(super) kind: &'static str,
    /// The fault, in words.
    pub(super) name: String,
    /// What must be said.
    pub(super) expected: String,
    /// What was said.
    pub(super) said: String,
    /// Whether the agent survived.
    pub(super) standing: Standing,
    /// What is not as it must be, in words; nothing where the row holds.
    pub(super) misses: Vec<String>,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub(super) took: Duration,
    /// How far behind its deadline it ended.
    #[serde(serialize_with = "seconds")]
    pub(super) overrun: Duration,
    /// Bytes that the other side got rid of.
    pub(super) bytes: u64,
    /// Commits that were lost, where the fault could cost some.
    pub(super) lost: Option<u64>,
    /// The time until all was well again after the fault ended, in seconds, where it ends.
    pub(super) recovery: Option<f64>,
    /// Why the row is known not to hold.
    pub(super) open: Option<String>,
    /// What the agent said besides.
    pub(super) evidence: Vec<String>,
}

impl Outcome {
    /// Whether everything was as it must be.
    pub(super) fn is_as_expected(&self) -> bool {
        self.standing == Standing::Survived && self.misses.is_empty() && self.lost.unwrap_or(0) == 0
    }

    /// Whether it fails, and nobody said so before; or holds although somebody said that it does not.
    pub(super) fn is_news(&self) -> bool {
        self.is_as_expected() == self.open.is_some() || self.standing != Standing::Survived
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e3).round() / 1e3)
}
