//! What one visit learned, or why there was nothing to learn.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    outcome::Outcome,
    resolve::Resolution,
    seen::Phases,
    verdict::{Finding, Verdict},
};

/// Why an endpoint could not be tested. Nothing is silently untested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untested {
    /// Its first visit has not ended.
    NotYet,
    /// The agent's own machine prevented the test.
    Inconclusive(Finding),
    /// The destination's budget of new flows was spent.
    BudgetSpent,
    /// Its time server was asked a moment ago by another name, or wants to be left alone.
    Resting,
    /// The policy forbids the address that its name or a redirect leads to.
    Forbidden(IpAddr),
    /// The visit's deadline was over, or nearly so, before the exchange began: its silence proves nothing.
    NoTime,
    /// Its name has more addresses than one visit asks.
    BeyondLimit,
    /// Its visit died before it showed anything, by a defect of the agent.
    Died,
    /// It failed once, and a single look ended before that was confirmed.
    Unconfirmed(Finding, Hindrance),
}

/// What kept a single look from asking, or from learning anything by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// No time was left.
    Time,
    /// The destination's budget of new flows was spent.
    Budget,
    /// The time server rests.
    Rest,
    /// This machine or the agent stood still meanwhile.
    Stall,
    /// The visit died, by a defect of the agent.
    Death,
}

impl Hindrance {
    /// Says what it was, in plain words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Time => "the time of this look was over",
            Self::Budget => "the budget of new flows to its destination was spent",
            Self::Rest => "its time server was asked a moment ago, by whatever name, or wants to be left alone",
            Self::Stall => "the agent did not run while it was asked",
            Self::Death => "its visit died, which is a defect of the agent",
        }
    }
}

impl Untested {
    /// Returns the finding behind it, if there is one.
    pub fn finding(self) -> Option<Finding> {
        match self {
            Self::Inconclusive(finding) => Some(finding),
            Self::NotYet
            | Self::BudgetSpent
            | Self::Resting
            | Self::Forbidden(_)
            | Self::NoTime
            | Self::BeyondLimit
            | Self::Died
            | Self::Unconfirmed(..) => None,
        }
    }

    /// Says why, in plain words.
    pub fn reason(self) -> String {
        match self {
            Self::NotYet => "not visited yet".to_owned(),
            Self::Inconclusive(finding) => finding.cause.definition().summary.to_owned(),
            Self::BudgetSpent => "the budget of new flows to its destination is spent".to_owned(),
            Self::Resting => {
                "its time server was asked a moment ago, by whatever name, or wants to be left alone".to_owned()
            }
            Self::Forbidden(address) => {
                format!("the address policy forbids {address}, unless `addresses.allow` in the configuration names it")
            }
            Self::NoTime => "no time was left before the deadline".to_owned(),
            Self::Unconfirmed(finding, why) => {
                format!("it failed once ({}), and that was not confirmed: {}", finding.cause.label(), why.reason())
            }
            Self::Died => "its visit died, which is a defect of the agent".to_owned(),
            Self::BeyondLimit => "its name has more addresses than one visit asks".to_owned(),
        }
    }
}

/// An address of the endpoint about which a visit learned nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// The address.
    pub address: SocketAddr,
    /// Why nothing was learned.
    pub why: Untested,
}

impl std::fmt::Display for Unasked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is untested: {}", self.address, self.why.reason())
    }
}

/// What a visit means, or why there is no meaning: what it saw itself, or what that is in the light of everything else.
pub type Judgement = Result<Verdict, Untested>;

/// What one visit learned. It is an observation, and stays as it was made.
#[derive(Clone, Debug)]
pub struct Visit {
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// How long each phase took, the resolution and the deciding exchange together.
    pub phases: Phases,
    /// How the name was resolved; `None` for a fixed address.
    pub resolution: Option<Resolution>,
    /// Every exchange with the endpoint, the deciding one first.
    pub outcomes: Vec<Outcome>,
    /// The addresses about which nothing was learned, each with the reason.
    pub unasked: Vec<Unasked>,
    /// The endpoint's own addresses that failed; a confirmation asks them again, wherever the name leads by then.
    pub failed: Vec<IpAddr>,
    /// How many others failed again in the same way and so confirmed this failure in its place; 0 where that was not so.
    pub confirmed_by: usize,
    /// Whether a redirect led to a name whose DNS servers did not answer, so that what stands there is not known.
    pub led_into_silence: bool,
    /// What the visit itself noticed: redirects followed or forbidden, addresses of the wrong kind,
    /// a name that moved between a failure and its confirmation.
    pub remarks: Vec<String>,
    /// What it shows by itself.
    pub result: Judgement,
}

impl Visit {
    /// A visit that began at this moment since the Unix epoch, and has shown nothing yet.
    pub fn nothing_yet(began: Duration) -> Self {
        Self {
            began,
            took: Duration::ZERO,
            phases: Phases::default(),
            resolution: None,
            outcomes: Vec::new(),
            unasked: Vec::new(),
            failed: Vec::new(),
            confirmed_by: 0,
            led_into_silence: false,
            remarks: Vec::new(),
            result: Err(Untested::NotYet),
        }
    }

    /// The same visit in no more memory than it needs, to be kept until the next one. A list that grew by one has room for
    /// four, and an exchange takes half a kilobyte.
    pub fn shrunk(mut self) -> Self {
        self.outcomes.shrink_to_fit();
        self.unasked.shrink_to_fit();
        self.failed.shrink_to_fit();
        self.remarks.shrink_to_fit();
        self
    }

    /// The evidence in plain words, one line each: what the visit noticed, the deciding exchange, the
    /// addresses that are untested, the resolution.
    pub fn evidence(&self) -> Vec<String> {
        let mut lines = self.remarks.clone();
        lines.extend(self.outcomes.first().map(Outcome::evidence).unwrap_or_default());
        lines.extend(self.unasked.iter().map(Unasked::to_string));
        if let Some(resolution) = &self.resolution {
            resolution.describe(&mut lines);
        }
        if self.confirmed_by > 0 {
            lines.push(format!("not asked again itself: {} others that failed alike were, and did", self.confirmed_by));
        }
        lines
    }
}
