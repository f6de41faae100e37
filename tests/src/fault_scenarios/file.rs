//! What a scenario file holds: the world, the fault, and what the agent must say of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};
use ase_agent::net::duration::HumanDuration;
use ase_probes::cause::{Cause, Side};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    fault::rules::{self, Rule},
    guest_fault::GuestFault,
};

/// What `expect` says where nothing may be said.
const SILENT: &str = "silent";
/// The scopes of an incident, from the narrowest.
const SCOPES: [&str; 6] = ["endpoint", "host", "port", "class", "egress", "vm"];
/// How sure an incident can be, from the least.
pub(super) const CONFIDENCES: [&str; 3] = ["possible", "likely", "confirmed"];

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// The file's name.
    #[serde(skip)]
    pub(super) name: String,
    /// The folder's name.
    #[serde(skip)]
    pub(super) group: String,
    /// What is the case, one line.
    pub(super) what: String,
    /// The row of the fault catalogue, or `combo`, or `healthy`.
    #[allow(dead_code, reason = "it tells the reader of the file where to look")]
    pub(super) row: Row,
    /// Whether it belongs to the few that stand for all.
    #[serde(default)]
    pub(super) quick: bool,
    /// The path without faults.
    #[serde(default)]
    pub(super) path: rules::Path,
    /// Keys of the agent's configuration that differ from the lab's.
    #[serde(default)]
    pub(super) config: serde_json::Map<String, Value>,
    /// What is so from the start.
    #[serde(default)]
    pub(super) before: Faults,
    /// What happens when everything was healthy. Without it the agent starts into the fault.
    #[serde(default)]
    pub(super) fault: Option<Faults>,
    /// How long all is healthy before the fault.
    #[serde(default)]
    pub(super) healthy: Option<HumanDuration>,
    /// What the agent must say.
    pub(super) expect: Expect,
    /// Words that `ase-agent check` must print.
    #[serde(default)]
    pub(super) check: Vec<String>,
    /// The longest time for the right incident, from the fault.
    #[serde(default)]
    pub(super) limit: Option<HumanDuration>,
}

/// A row of the fault catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Row {
    /// Its number.
    #[allow(dead_code, reason = "it tells the reader of the file where to look")]
    Number(u8),
    /// `combo` or `healthy`.
    #[allow(dead_code, reason = "it tells the reader of the file where to look")]
    Word(String),
}

/// Faults, by where they are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Faults {
    /// Rules of the fault box.
    pub(super) r#box: Vec<Rule>,
    /// Moods of servers, by `HOST`, `HOST:PORT`, `*:PORT` or `world`.
    pub(super) servers: BTreeMap<String, Value>,
    /// Faults of the machine that the agent runs on.
    pub(super) guest: Vec<GuestFault>,
}

/// What the agent must say.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum Expect {
    /// Nothing, ever.
    Silence,
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
    /// The least confidence.
    #[serde(default)]
    pub(super) confidence: Option<String>,
    /// Exactly these endpoints: ids, with `*` for any text.
    #[serde(default)]
    pub(super) endpoints: Vec<String>,
    /// Causes that no incident may have.
    #[serde(default)]
    pub(super) not: Vec<String>,
    /// Causes of further incidents that may stand beside it.
    #[serde(default)]
    pub(super) also: Vec<String>,
}

impl TryFrom<Value> for Expect {
    type Error = anyhow::Error;

    fn try_from(value: Value) -> Result<Self> {
        let incidents: Vec<Expectation> = match value {
            Value::String(word) => {
                ensure!(word == SILENT, "expect ({word}) must be the word {SILENT}, an incident, or a list of them");
                return Ok(Self::Silence);
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
    serde_json::from_value(value).context("expect")
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

impl Scenario {
    /// Whether nothing may be said.
    pub(super) fn is_healthy(&self) -> bool {
        matches!(self.expect, Expect::Silence)
    }

    /// The causes that are expected, as one word.
    pub(super) fn expected(&self) -> String {
        match &self.expect {
            Expect::Silence => SILENT.to_owned(),
            Expect::Incidents(incidents) => join(incidents.iter().map(|incident| incident.cause.as_str()).collect()),
        }
    }

    /// Group and name.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// Reads a file.
    pub(super) fn load(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut scenario: Self = serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
        let word = |path: Option<&Path>| {
            path.and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned())
        };
        scenario.name = word(Some(file)).unwrap_or_default();
        scenario.group = word(file.parent()).unwrap_or_default();
        Ok(scenario)
    }
}

/// Causes as one word; none is silence.
pub(super) fn join(mut causes: Vec<&str>) -> String {
    causes.sort_unstable();
    if causes.is_empty() { SILENT.to_owned() } else { causes.join("+") }
}

/// Every scenario file, ordered by group and name.
pub(super) fn files() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/faults");
    let mut files = Vec::new();
    for group in entries(&folder)? {
        files.extend(entries(&group)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")));
    }
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_whole() {
        let files = files().expect("the folder is there");
        for file in &files {
            let scenario = Scenario::load(file).unwrap_or_else(|error| panic!("{error:#}"));
            let is_healthy = matches!(&scenario.row, Row::Word(word) if word == "healthy");
            assert_eq!(is_healthy, scenario.is_healthy(), "{}", scenario.path());
        }
        assert!(!files.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (expect, words) in [
            ("loud", "expect (loud)"),
            ("{cause: gremlins}", "(gremlins)"),
            ("{cause: dropped, scope: port|town}", "expect.scope (town)"),
            ("{cause: dropped, sides: path}", "sides"),
            ("[]", "expect ([])"),
        ] {
            let text = format!("what: x\nrow: 17\nexpect: {expect}\n");
            let error = serde_saphyr::from_str::<Scenario>(&text).expect_err(expect).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
