//! What a comparison of two exports says: every requirement and flow whose verdict changes, which way, and by which packet.

use crate::lint::finding::{Finding, Packet, Severity};

/// Which way a verdict turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Something breaks, or more of it.
    Breaks,
    /// It could be judged and cannot any more.
    Opens,
    /// Something gets better.
    Mends,
    /// Something is otherwise, neither better nor worse.
    Differs,
}

impl Turn {
    /// Its name in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Breaks => "breaks",
            Self::Opens => "opens",
            Self::Mends => "mends",
            Self::Differs => "differs",
        }
    }
}

/// A verdict on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// `holds`, the kind of a finding, or `could_not_judge`; for flows `allowed`, `denied`, `could_not_judge`.
    pub verdict: String,
    /// The rule or route that decides.
    pub rule: Option<String>,
    /// In words.
    pub message: String,
}

/// One verdict that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The requirement, for example `out-https`; for other findings the kind and the rule.
    pub about: String,
    /// The flows that it concerns, by the ids of their endpoints; empty for a requirement.
    pub flows: Vec<String>,
    /// Which way it turns.
    pub turn: Turn,
    /// How bad what breaks is, or what is over was.
    pub severity: Severity,
    /// The verdict before.
    pub before: Standing,
    /// The verdict after.
    pub after: Standing,
    /// A packet whose fate shows it.
    pub packet: Option<Packet>,
    /// The finding of the side that is worse.
    pub finding: Option<Finding>,
}

/// All that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What changes, what breaks first and the worst first.
    pub changes: Vec<Change>,
    /// How many findings stand on both sides.
    pub unchanged: usize,
    /// How many flows were compared.
    pub flows: usize,
    /// What no export can show, and which data were used.
    pub notes: Vec<String>,
}

impl Diff {
    /// How many changes turn this way.
    pub fn count(&self, turn: Turn) -> usize {
        self.changes.iter().filter(|change| change.turn == turn).count()
    }

    /// The worst of what breaks.
    pub fn worst(&self) -> Option<Severity> {
        self.changes.iter().filter(|change| change.turn == Turn::Breaks).map(|change| change.severity).max()
    }

    /// The result in one word: `breaks` from a warning upwards, else `could_not_judge`, `mends`, `same`.
    pub fn verdict(&self) -> &'static str {
        match self.worst() {
            Some(Severity::Critical | Severity::Warning) => "breaks",
            Some(Severity::Info) | None if self.count(Turn::Opens) > 0 => "could_not_judge",
            Some(Severity::Info) | None if self.count(Turn::Mends) > 0 => "mends",
            Some(Severity::Info) | None => "same",
        }
    }

    /// The exit code: 1 something critical breaks, 2 warnings only, 3 nothing breaks but something cannot be judged any
    /// more, 0 nothing gets worse.
    pub fn exit_code(&self) -> u8 {
        match (self.worst(), self.verdict()) {
            (Some(Severity::Critical), _) => 1,
            (Some(Severity::Warning), _) => 2,
            (_, "could_not_judge") => 3,
            _ => 0,
        }
    }
}
