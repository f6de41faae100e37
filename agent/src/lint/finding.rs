//! What a lint says: findings with their kind, severity and proof, and what could not be judged.

use std::fmt;

pub use crate::model::catalog::Severity;

/// What is wrong, in one word. [`Kind::ALL`] is the whole list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "`definition` says what each is")]
pub enum Kind {
    Blocked,
    PartlyBlocked,
    LbCut,
    Route,
    Subnet,
    PlatformTagDenied,
    Input,
    AppPortClosed,
    IneffectiveRule,
    Shadowed,
    ShadowedPartly,
    SuspiciousPort,
    CopiedAddresses,
    Assignment,
    TooWide,
    NotNeeded,
    NoEffect,
    LegacyPort,
    DefaultOnly,
    Conditional,
    CannotTell,
}

/// What a kind of finding means.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its stable id.
    pub id: &'static str,
    /// What it says, one sentence.
    pub title: &'static str,
    /// Why it matters and what to do.
    pub text: &'static str,
}

impl Kind {
    /// All kinds, the worst first.
    pub const ALL: [Self; 21] = [
        Self::Blocked,
        Self::PartlyBlocked,
        Self::LbCut,
        Self::Route,
        Self::Subnet,
        Self::PlatformTagDenied,
        Self::Input,
        Self::AppPortClosed,
        Self::IneffectiveRule,
        Self::Shadowed,
        Self::ShadowedPartly,
        Self::SuspiciousPort,
        Self::CopiedAddresses,
        Self::Assignment,
        Self::TooWide,
        Self::NotNeeded,
        Self::NoEffect,
        Self::LegacyPort,
        Self::DefaultOnly,
        Self::Conditional,
        Self::CannotTell,
    ];

    /// Its stable id.
    pub fn id(self) -> &'static str {
        self.definition().id
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A packet that shows a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// `Inbound` or `Outbound`.
    pub direction: String,
    /// For example `TCP`.
    pub protocol: String,
    /// An address, or the name of a tag.
    pub source: String,
    /// Zero where the protocol has no ports.
    pub source_port: u16,
    /// An address, or the name of a tag.
    pub destination: String,
    /// Zero where the protocol has no ports.
    pub destination_port: u16,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (&self.source, &self.destination);
        match self.destination_port {
            0 => write!(f, "{} {from} -> {to}", self.protocol),
            port => write!(f, "{} {from} -> {to} port {port}", self.protocol),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The requirement that suffers, for example `in-management`.
    pub requirement: Option<String>,
    /// The rule or route that the finding is about; for what is blocked, the one that decides.
    pub rule: Option<String>,
    /// The rule that takes traffic from `rule`, or decides.
    pub by: Option<String>,
    /// The group, table or subnet.
    pub resource: Option<String>,
    /// Where it stands: file and path in it.
    pub at: Option<String>,
    /// What is wrong and what breaks.
    pub message: String,
    /// A packet that shows it.
    pub packet: Option<Packet>,
    /// The document that says so, with its edition.
    pub source: Option<String>,
    /// The command that mends it.
    pub fix: Option<String>,
    /// The command that confirms it.
    pub confirm: Option<String>,
}

impl Finding {
    /// A finding of which only the words are known.
    pub fn new(kind: Kind, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity,
            requirement: None,
            rule: None,
            by: None,
            resource: None,
            at: None,
            message: message.into(),
            packet: None,
            source: None,
            fix: None,
            confirm: None,
        }
    }

    /// Its stable id: the kind, and the requirement where there is one.
    pub fn id(&self) -> String {
        match &self.requirement {
            Some(requirement) => format!("{}.{requirement}", self.kind),
            None => self.kind.id().to_owned(),
        }
    }
}

/// Something that a file does not hold enough to judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unjudged {
    /// The requirement that stays open.
    pub requirement: Option<String>,
    /// The rule or route that it hangs on.
    pub rule: Option<String>,
    /// Where it stands: file and path in it.
    pub at: Option<String>,
    /// Why, and what would settle it.
    pub why: String,
}

/// The result in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing above information, and everything could be judged.
    Fine,
    /// A warning or worse.
    Findings,
    /// Nothing above information, but a requirement stays open.
    CouldNotJudge,
}

impl Verdict {
    /// Its name in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Findings => "findings",
            Self::CouldNotJudge => "could_not_judge",
        }
    }
}

/// All that a lint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// Findings that the user has set aside, each with the reason.
    pub suppressed: Vec<(Finding, String)>,
    /// What stays open.
    pub could_not_judge: Vec<Unjudged>,
    /// What no export can show, and which data were used.
    pub notes: Vec<String>,
}

impl Report {
    /// The result in one word.
    pub fn verdict(&self) -> Verdict {
        match self.worst() {
            Some(Severity::Critical | Severity::Warning) => Verdict::Findings,
            Some(Severity::Info) | None if !self.could_not_judge.is_empty() => Verdict::CouldNotJudge,
            Some(Severity::Info) | None => Verdict::Fine,
        }
    }

    /// The worst severity.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// The exit code: 1 a critical finding, 2 warnings only, 3 nothing found but something open, 0 all well.
    pub fn exit_code(&self) -> u8 {
        match (self.worst(), self.verdict()) {
            (Some(Severity::Critical), _) => 1,
            (Some(Severity::Warning), _) => 2,
            (_, Verdict::CouldNotJudge) => 3,
            (_, Verdict::Fine | Verdict::Findings) => 0,
        }
    }
}
