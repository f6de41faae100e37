//! Whether something may be deployed or changed now: each check's state and reasons, and the one verdict that follows from them.
//! How they are printed is decided in `preflight/page.rs`.

mod names;
mod page;
mod rest;

use std::collections::BTreeSet;

use crate::{
    engine::snapshot::Snapshot,
    lint::{finding::Report, size::Sum},
    readers::summary::count,
};

pub use page::render;

/// What every preflight says about DNS servers: a change of them is the one that nobody sees until the next restart.
pub const ABOUT_SERVERS: &str = "DNS servers are set on the virtual network before the environment is created; after a change \
                                 it takes the new ones only when it restarts";

/// How a check went, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing was given to check, or there is nothing of the kind.
    NotGiven,
    /// All of it is as it should be.
    Go,
    /// Something is worth a look first.
    Warning,
    /// It could not be judged.
    Open,
    /// Something speaks against it.
    NoGo,
}

impl State {
    /// Returns the word used in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotGiven => "not_given",
            Self::Go => "go",
            Self::Warning => "warning",
            Self::Open => "open",
            Self::NoGo => "no_go",
        }
    }
}

/// A reason for a check's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What it makes of the check.
    pub state: State,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub next: Option<String>,
    /// Who does that.
    pub owner: Option<&'static str>,
}

impl Reason {
    fn new(state: State, what: impl Into<String>) -> Self {
        Self { state, what: what.into(), next: None, owner: None }
    }

    fn with(self, next: impl Into<String>, owner: &'static str) -> Self {
        Self { next: Some(next.into()), owner: Some(owner), ..self }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its stable name, for documents.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it looked at, in one line.
    pub looked: String,
    /// Why it is not simply well, the worst first.
    pub reasons: Vec<Reason>,
    /// Its state where there is no reason.
    otherwise: State,
}

impl Check {
    /// A check that looked at something; without reasons it is well.
    fn of(id: &'static str, title: &'static str, looked: impl Into<String>, mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.state));
        Self { id, title, looked: looked.into(), reasons, otherwise: State::Go }
    }

    /// A check for which nothing was given.
    fn not_given(id: &'static str, title: &'static str, why: impl Into<String>) -> Self {
        Self { id, title, looked: why.into(), reasons: Vec::new(), otherwise: State::NotGiven }
    }

    /// How it went: as its worst reason says.
    pub fn state(&self) -> State {
        self.reasons.iter().map(|reason| reason.state).max().unwrap_or(self.otherwise)
    }
}

/// The one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Go,
    /// Nothing speaks against it, but something is worth a look.
    GoWithWarnings,
    /// Something speaks against it.
    NoGo,
    /// Something could not be judged, and nothing else speaks against it.
    Undecided,
}

impl Verdict {
    /// Returns the word used in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::GoWithWarnings => "go_with_warnings",
            Self::NoGo => "no_go",
            Self::Undecided => "undecided",
        }
    }

    /// The exit code: 0 go, 1 no-go, 2 go with warnings, 3 could not be judged.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Go => 0,
            Self::NoGo => 1,
            Self::GoWithWarnings => 2,
            Self::Undecided => 3,
        }
    }
}

/// What exports say, from the configuration or from files that were named.
#[derive(Clone, Debug, Default)]
pub struct Exported<'a> {
    /// What the lint says; `None` where no file could be judged.
    pub report: Option<&'a Report>,
    /// What is wrong with the files.
    pub wrong: &'a [String],
    /// Whether the subnet itself is among what was given.
    pub has_subnet: bool,
    /// Whether rules or routes are so old that they may have changed since.
    pub is_stale: bool,
}

/// The size that is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Instances of all plans at their peak.
    pub instances: u32,
    /// The addresses that they take, as `plan subnet` adds them up.
    pub sum: Sum,
    /// The length of the subnet's prefix; `None` where nobody said it.
    pub prefix: Option<u8>,
}

/// What is known when the verdict is given.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// One look at everything.
    pub snapshot: &'a Snapshot,
    /// Exports; `None` where none were given.
    pub exported: Option<&'a Exported<'a>>,
    /// Names and suffixes that are meant to be private.
    pub private: &'a BTreeSet<String>,
    /// The size that is planned; `None` where nobody said it.
    pub planned: Option<&'a Planned>,
}

/// A preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The checks, in the order in which one rests on the other.
    pub checks: Vec<Check>,
}

impl Preflight {
    /// Judges what is known.
    pub fn of(known: Known<'_>) -> Self {
        let (snapshot, exported) = (known.snapshot, known.exported);
        Self {
            checks: vec![
                names::servers(snapshot),
                names::public(known),
                names::private(known),
                rest::dependencies(snapshot),
                rest::clock(snapshot),
                rest::rules(exported),
                rest::subnet(exported, known.planned),
            ],
        }
    }

    /// The one answer.
    pub fn verdict(&self) -> Verdict {
        match self.checks.iter().map(Check::state).max() {
            Some(State::NoGo) => Verdict::NoGo,
            Some(State::Open) => Verdict::Undecided,
            Some(State::Warning) => Verdict::GoWithWarnings,
            Some(State::Go | State::NotGiven) | None => Verdict::Go,
        }
    }

    /// The answer in one sentence.
    pub fn sentence(&self) -> String {
        let of = |state: State| {
            let titles: Vec<_> = self.checks.iter().filter(|check| check.state() == state).map(|c| c.title).collect();
            titles.join(", ")
        };
        match self.verdict() {
            Verdict::Go => {
                let given = self.checks.iter().filter(|check| check.state() == State::Go).count();
                format!("go: {} found nothing", count(given, "check"))
            }
            Verdict::GoWithWarnings => format!("go with warnings: {}", of(State::Warning)),
            Verdict::NoGo => format!("no-go: {}", of(State::NoGo)),
            Verdict::Undecided => format!("not decided: {} could not be judged", of(State::Open)),
        }
    }
}

#[cfg(test)]
mod tests;
