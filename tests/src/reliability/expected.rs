//! What must be said of a peer, as data: a status, and where it is not well a cause, a side and a confidence.

use ase_agent::model::visit::{Untested, Visit};
use ase_probes::verdict::{Finding, Verdict};
use serde::{Deserialize, Deserializer, de::Error};

/// The statuses of a visit.
const STATUSES: [&str; 5] = ["healthy", "degraded", "failed", "inconclusive", "untested"];
/// Where a fault lies, as labels.
const SIDES: [&str; 4] = ["local", "path", "remote", "unknown"];
/// How sure a finding is, as labels.
const CONFIDENCES: [&str; 3] = ["possible", "likely", "confirmed"];

/// The words, in this order: status, cause, side, confidence. Words left out at the end may be any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected(Vec<String>);

impl Expected {
    /// Reads the words.
    ///
    /// # Errors
    /// The word that is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let is_untested = words.first().is_some_and(|word| word == "untested");
        for (place, word) in words.iter().enumerate() {
            let is_known = match place {
                0 => STATUSES.contains(&word.as_str()),
                1 if is_untested => {
                    ["forbidden", "no-time", "budget", "not-yet", "beyond-limit"].contains(&word.as_str())
                }
                1 => ase_probes::cause::Cause::from_label(word).is_some(),
                2 => SIDES.contains(&word.as_str()),
                3 => CONFIDENCES.contains(&word.as_str()),
                _ => false,
            };
            if !is_known {
                return Err(format!("expect ({text}) must be a status, cause, side and confidence; `{word}` is none"));
            }
        }
        if words.is_empty() { Err("expect must not be empty".to_owned()) } else { Ok(Self(words)) }
    }

    /// Whether a visit said so.
    pub(super) fn is(&self, said: &Said) -> bool {
        self.0.iter().zip(said.0.iter().map(Some).chain(std::iter::repeat(None))).all(|(due, said)| Some(due) == said)
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What a visit said, in the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said(Vec<String>);

impl Said {
    /// The words of a visit.
    pub(super) fn of(visit: &Visit) -> Self {
        let words = match visit.result {
            Ok(Verdict::Healthy) => vec!["healthy".to_owned()],
            Ok(Verdict::Degraded(finding)) => found("degraded", finding),
            Ok(Verdict::Failed(finding)) => found("failed", finding),
            Ok(Verdict::Inconclusive(finding)) | Err(Untested::Inconclusive(finding)) => found("inconclusive", finding),
            Err(why) => vec!["untested".to_owned(), untested(why).to_owned()],
        };
        Self(words)
    }

    /// The words of what never came to an end.
    pub(super) fn nothing(why: &str) -> Self {
        Self(vec![why.to_owned()])
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

fn found(status: &str, finding: Finding) -> Vec<String> {
    let Finding { cause, side, confidence, .. } = finding;
    [status, cause.label(), side.label(), confidence.label()].map(str::to_owned).to_vec()
}

fn untested(why: Untested) -> &'static str {
    match why {
        Untested::Forbidden(_) => "forbidden",
        Untested::NoTime => "no-time",
        Untested::BudgetSpent => "budget",
        Untested::Resting => "resting",
        Untested::BeyondLimit => "beyond-limit",
        Untested::NotYet | Untested::Inconclusive(_) | Untested::Died | Untested::Unconfirmed(..) => "not-yet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said(text.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn words_left_out_at_the_end_may_be_any_and_others_not() {
        let due = |text| Expected::parse(text).expect(text);
        let reset = said("failed reset unknown likely");
        for (text, holds) in [
            ("failed", true),
            ("failed reset", true),
            ("failed reset unknown likely", true),
            ("failed reset path", false),
            ("failed refused", false),
            ("degraded reset", false),
            ("healthy", false),
        ] {
            assert_eq!(due(text).is(&reset), holds, "{text}");
        }
        assert!(!due("failed reset").is(&said("failed")));
        assert!(due("untested forbidden").is(&said("untested forbidden")));
    }

    #[test]
    fn a_word_that_is_none_is_refused() {
        for text in
            ["", "well", "failed gremlins", "failed reset everywhere", "failed reset path surely", "healthy a b c d"]
        {
            assert!(Expected::parse(text).is_err(), "{text}");
        }
    }
}
