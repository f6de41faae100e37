//! What the agent must say in a scenario: nothing, an incident for each fault, or whatever it likes.

use anyhow::{Result, anyhow, bail, ensure};
use ase_probes::cause::{Cause, Side};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// What `expect` says where nothing may be said.
const SILENT: &str = "silent";
/// What `expect` says where incidents are not what is judged.
const ANYTHING: &str = "anything";
/// The scopes of an incident, from the narrowest.
const SCOPES: [&str; 6] = ["endpoint", "host", "port", "class", "egress", "vm"];
/// How sure an incident can be, from the least.
pub(super) const CONFIDENCES: [&str; 3] = ["possible", "likely", "confirmed"];

/// What the agent must say.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum Expect {
    /// Nothing, ever.
    Silence,
    /// Whatever it likes: something else is judged.
    Anything,
    /// One incident for each.
    Incidents(Vec<Expectation>),
}

/// One incident.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    /// The label of the cause; alternatives are separated by `|`.
    pub(super) cause: String,
    /// The side; alternatives are separated by `|`.
    #[serde(default)]
    pub(super) side: Option<String>,
    /// The scope; alternatives are separated by `|`.
    #[serde(default)]
    pub(super) scope: Option<String>,
    /// What is broken, as the incident calls it, with `*` for any text; alternatives are separated by `|`.
    #[serde(default)]
    pub(super) component: Option<String>,
    /// The least confidence.
    #[serde(default)]
    pub(super) confidence: Option<String>,
    /// Which endpoints it has.
    #[serde(default)]
    pub(super) endpoints: Option<Endpoints>,
    /// Causes that no incident may have.
    #[serde(default)]
    pub(super) not: Vec<String>,
    /// Causes of further incidents that may stand beside it.
    #[serde(default)]
    pub(super) also: Vec<String>,
}

/// Which endpoints an incident has.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Endpoints {
    /// Whichever: chance decides.
    Word(AnyOfThem),
    /// Exactly these: ids, with `*` for any text; those after `!` are left out.
    These(Vec<String>),
}

/// The word that stands for whichever endpoints.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AnyOfThem {
    /// Chance decides.
    Any,
}

impl TryFrom<Value> for Expect {
    type Error = anyhow::Error;

    fn try_from(value: Value) -> Result<Self> {
        let incidents: Vec<Expectation> = match value {
            Value::String(word) if word == SILENT => return Ok(Self::Silence),
            Value::String(word) if word == ANYTHING => return Ok(Self::Anything),
            Value::String(word) => {
                bail!("expect ({word}) must be the word {SILENT} or {ANYTHING}, an incident, or a list of them")
            }
            Value::Array(list) => list.into_iter().map(read).collect::<Result<_>>()?,
            one => vec![read(one)?],
        };
        ensure!(!incidents.is_empty(), "expect ([]) must name an incident, or be the word {SILENT}");
        incidents.iter().try_for_each(Expectation::check)?;
        Ok(Self::Incidents(incidents))
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| anyhow!("expect: {error}"))
}

impl Expect {
    /// The causes that are expected, as one word.
    pub(super) fn causes(&self) -> String {
        match self {
            Self::Silence => SILENT.to_owned(),
            Self::Anything => ANYTHING.to_owned(),
            Self::Incidents(incidents) => join(incidents.iter().map(|incident| incident.cause.as_str()).collect()),
        }
    }
}

impl Expectation {
    /// Whether an incident of this cause may stand beside it.
    pub(super) fn tolerates(&self, cause: &Value) -> bool {
        self.also.iter().any(|label| cause == label.as_str())
    }

    /// Whether this cause is the expected one.
    pub(super) fn is(&self, cause: &Value) -> bool {
        self.cause.split('|').any(|label| cause == label)
    }

    fn check(&self) -> Result<()> {
        let others = self.not.iter().chain(&self.also).map(String::as_str);
        for label in self.cause.split('|').chain(others) {
            Cause::from_label(label).ok_or_else(|| anyhow!("expect.cause ({label}) must be one of the causes"))?;
        }
        let sides = [Side::Local, Side::Path, Side::Remote, Side::Unknown].map(Side::label);
        for (key, words, allowed) in [
            ("side", &self.side, sides.as_slice()),
            ("scope", &self.scope, SCOPES.as_slice()),
            ("confidence", &self.confidence, CONFIDENCES.as_slice()),
        ] {
            for word in words.iter().flat_map(|words| words.split('|')) {
                ensure!(allowed.contains(&word), "expect.{key} ({word}) must be one of: {}", allowed.join(", "));
            }
        }
        Ok(())
    }
}

/// Causes as one word; none is silence.
pub(super) fn join(mut causes: Vec<&str>) -> String {
    causes.sort_unstable();
    if causes.is_empty() { SILENT.to_owned() } else { causes.join("+") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (expect, words) in [
            ("loud", "expect (loud)"),
            ("{cause: gremlins}", "(gremlins)"),
            ("{cause: dropped, scope: port|town}", "expect.scope (town)"),
            ("{cause: dropped, sides: path}", "unknown field `sides`"),
            ("[]", "expect ([])"),
        ] {
            let error = serde_saphyr::from_str::<Expect>(expect).expect_err(expect).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
