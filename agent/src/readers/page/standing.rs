//! How something stands, in a form for the eye, the ear and the printer: a word, a sign, and a class of the style. Never by
//! colour alone.

use crate::{model::endpoint::Status, readers::report::Gravity};

/// A standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The class of the style.
    pub(super) class: &'static str,
    /// A sign that tells it without colour.
    pub(super) sign: &'static str,
    /// The word.
    pub(super) word: &'static str,
}

/// All is well.
pub(super) const GOOD: Standing = Standing { class: "good", sign: "✓", word: "healthy" };
/// Something is amiss.
pub(super) const PART: Standing = Standing { class: "part", sign: "▲", word: "degraded" };
/// It is lost.
pub(super) const BAD: Standing = Standing { class: "bad", sign: "✕", word: "failed" };
/// Nothing is known.
pub(super) const NONE: Standing = Standing { class: "none", sign: "?", word: "unknown" };

/// An incident that is over.
pub(super) const ENDED: Standing = Standing { class: "none", sign: "■", word: "ended" };

/// An incident that was open when the last process ended, and is not seen again by this one.
pub(super) const UNSEEN: Standing = Standing { class: "none", sign: "?", word: "not seen again yet" };

impl Standing {
    /// The same under another word.
    pub(super) fn said(self, word: &'static str) -> Self {
        Self { word, ..self }
    }

    /// That of an endpoint.
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Healthy => GOOD,
            Status::Degraded(_) => PART,
            Status::Failed(_) => BAD,
            Status::Unknown(_) => NONE,
        }
    }

    /// That of an open incident.
    pub(super) fn of_incident(gravity: Gravity) -> Self {
        match gravity {
            Gravity::Critical => BAD.said("critical loss"),
            Gravity::Loss => PART.said("loss"),
            Gravity::Impaired => PART,
            Gravity::Unjudged => PART.said("endpoints not judged"),
            Gravity::Quiet => PART.said("quiet at the moment"),
        }
    }

    /// The place in an order that has the worst first.
    pub(super) fn rank(self) -> u8 {
        match self.class {
            "bad" => 0,
            "part" => 1,
            "none" => 2,
            _ => 3,
        }
    }
}
