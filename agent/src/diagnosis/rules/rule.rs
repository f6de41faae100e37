//! One row of the decision table: what it needs, and what it says.

use ase_probes::{
    cause::{Cause, Side},
    verdict::Confidence::{self, Possible},
};

use crate::{
    diagnosis::symptom::Symptom,
    model::{
        contrast::{Ask, Contrast},
        diagnosis::Origin,
    },
};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its number in the decision procedure, with a letter for the variant.
    pub id: &'static str,
    /// The symptoms it explains.
    pub symptoms: &'static [Symptom],
    /// The contrasts that must be known, and their answers.
    pub needs: &'static [(Contrast, bool)],
    /// The cause; `None` keeps what the exchange alone said.
    pub cause: Option<Cause>,
    /// The side, where it is not the one that the cause usually lies on.
    pub side: Option<Side>,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it rests on.
    pub origin: Origin,
    /// What to look at first, where that is more than the cause's own advice.
    pub hint: Option<&'static str>,
}

/// A rule that names a cause.
pub(super) const fn rule(
    id: &'static str,
    symptoms: &'static [Symptom],
    needs: &'static [(Contrast, bool)],
    cause: Cause,
    confidence: Confidence,
) -> Rule {
    Rule {
        id,
        symptoms,
        needs,
        cause: Some(cause),
        side: None,
        confidence,
        origin: origin(needs, confidence),
        hint: None,
    }
}

/// A rule that needs what neighbours show rests on them, and what is no more than possible rests on nothing.
const fn origin(needs: &[(Contrast, bool)], confidence: Confidence) -> Origin {
    if matches!(confidence, Possible) {
        return Origin::Guess;
    }
    let mut next = 0;
    while next < needs.len() {
        if matches!(needs[next].0.ask(), Ask::Neighbours) {
            return Origin::Inferred;
        }
        next += 1;
    }
    Origin::Observed
}

impl Rule {
    pub(super) const fn on(mut self, side: Side) -> Self {
        self.side = Some(side);
        self
    }

    pub(super) const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// A rule that keeps the cause which the exchange alone found.
pub(super) const fn keep(
    id: &'static str,
    symptoms: &'static [Symptom],
    needs: &'static [(Contrast, bool)],
    confidence: Confidence,
) -> Rule {
    Rule { id, symptoms, needs, cause: None, side: None, confidence, origin: Origin::Observed, hint: None }
}
