//! What one exchange means: the verdict, and the finding behind every verdict that is not healthy.

use crate::cause::{Cause, Side};

/// The stretch of an exchange that a duration or a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// On this machine, before any packet left.
    Local,
    /// Asking a DNS server: resolving the name, or the DNS probe's own question.
    Dns,
    /// The TCP handshake.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the request's first byte to the answer's first byte.
    Request,
    /// From the answer's first byte to its last.
    Response,
    /// The NTP exchange.
    Ntp,
    /// The TDS PRELOGIN exchange.
    Tds,
    /// No phase: nothing failed.
    None,
}

impl Phase {
    /// Every phase, in the order they happen.
    pub const ALL: [Self; 9] = [
        Self::Local,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Request,
        Self::Response,
        Self::Ntp,
        Self::Tds,
        Self::None,
    ];

    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Request => "request",
            Self::Response => "response",
            Self::Ntp => "ntp",
            Self::Tds => "tds",
            Self::None => "none",
        }
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The default hypothesis.
    Possible,
    /// A contrast or a pattern speaks for it.
    Likely,
    /// What was seen on the wire admits no other cause.
    Confirmed,
}

impl Confidence {
    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }
}

/// Why an exchange did not prove its peer, and where that showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What happened.
    pub cause: Cause,
    /// The phase in which it showed.
    pub phase: Phase,
    /// Where the fault lies.
    pub side: Side,
    /// How sure that is.
    pub confidence: Confidence,
}

impl Finding {
    /// A finding on the side that the cause usually lies on.
    pub fn new(cause: Cause, phase: Phase, confidence: Confidence) -> Self {
        Self { cause, phase, side: cause.definition().side, confidence }
    }

    /// The same finding, on another side.
    pub fn on(self, side: Side) -> Self {
        Self { side, ..self }
    }

    /// Turns the finding into a failed verdict, or an inconclusive one where the fault is this machine's own.
    pub fn failed(self) -> Verdict {
        if self.cause.is_local() { Verdict::Inconclusive(self) } else { Verdict::Failed(self) }
    }
}

/// What an exchange says about its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer proved itself.
    Healthy,
    /// The peer answered, but something about it is wrong or weaker than it should be.
    Degraded(Finding),
    /// The peer did not prove itself.
    Failed(Finding),
    /// The agent's own machine prevented the test; this never counts against a dependency.
    Inconclusive(Finding),
}

impl Verdict {
    /// Returns the finding, if there is one.
    pub fn finding(&self) -> Option<Finding> {
        match self {
            Self::Healthy => None,
            Self::Degraded(f) | Self::Failed(f) | Self::Inconclusive(f) => Some(*f),
        }
    }
}
