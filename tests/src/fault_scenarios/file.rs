//! What a scenario file holds: the world, the fault, what happens then, and what the agent must say of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use ase_agent::net::duration::HumanDuration;
use serde::Deserialize;
use serde_json::Value;

use super::{expect::Expect, exported::Exported, polite::Polite, printed::Check, whole};
use crate::{
    fault::rules::{self, Rule},
    guest_fault::GuestFault,
};

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
    /// Group and name of the file.
    #[serde(skip)]
    pub(super) file: String,
    /// What is the case, one line.
    pub(super) what: String,
    /// Which kind of fault it shows.
    #[allow(dead_code, reason = "it tells the reader which files show the same")]
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
    /// Keys that are put over the agent's configuration, which it reads again, when all was healthy before the fault.
    #[serde(default)]
    pub(super) reloaded: Option<serde_json::Map<String, Value>>,
    /// Which endpoints there are.
    #[serde(default)]
    pub(super) world: World,
    /// Who is asked what it says.
    #[serde(default)]
    pub(super) by: By,
    /// What was exported from Azure, where the agent is to know it.
    #[serde(default)]
    pub(super) exports: Option<Exported>,
    /// Endpoints beside the lab's own, as in the configuration.
    #[serde(default)]
    pub(super) add: Vec<Value>,
    /// Names that get so many addresses, each with the same servers.
    #[serde(default)]
    pub(super) addresses: BTreeMap<String, u8>,
    /// Whether names have addresses of IPv6, and none of IPv4; time servers, too.
    #[serde(default)]
    pub(super) ipv6: bool,
    /// Whether names have addresses of IPv4 as well.
    #[serde(default)]
    pub(super) with_ipv4: bool,
    /// How many files the agent may have open, which it can know from its start.
    #[serde(default)]
    pub(super) files: Option<u32>,
    /// The fault comes and goes before it is judged; in the end it stays if `expect` is an incident.
    #[serde(default)]
    pub(super) flaps: Option<Flaps>,
    /// What happens when the right thing was said, in turn.
    #[serde(default)]
    pub(super) then: Vec<Step>,
    /// What the agent must say.
    pub(super) expect: Expect,
    /// The status that these endpoints must have in the end, by id.
    #[serde(default)]
    pub(super) statuses: BTreeMap<String, String>,
    /// The only causes that endpoints may have in the end.
    #[serde(default)]
    pub(super) causes: Vec<String>,
    /// Causes and words that may not be said at any moment, neither by the daemon nor by `check`.
    #[serde(default)]
    pub(super) never: Vec<String>,
    /// Words that the daemon must have said at some moment, of an incident or of an endpoint.
    #[serde(default)]
    pub(super) says: Vec<String>,
    /// Words that the daemon's log must hold in the end.
    #[serde(default)]
    pub(super) logs: Vec<String>,
    /// Time servers that are asked no more often than a public one may be.
    #[serde(default)]
    pub(super) polite: Option<Polite>,
    /// What `ase-agent check` must print.
    #[serde(default)]
    pub(super) check: Option<Check>,
    /// The longest time for the right incident, from the fault.
    #[serde(default)]
    pub(super) limit: Option<HumanDuration>,
}

/// Which endpoints the world holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum World {
    /// Few, chosen so that each has partners to compare it with.
    #[default]
    Small,
    /// The built-in profile, unmodified, with every slot filled.
    Builtin,
}

/// Who is asked what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum By {
    /// A daemon, and then `check` beside it, if `check` is given.
    #[default]
    Daemon,
    /// `check` alone, where no daemon runs.
    Check,
    /// Each of them, in a world of its own.
    Both,
}

/// A fault that comes and goes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flaps {
    /// How long it lasts.
    pub(super) on: HumanDuration,
    /// How long it is gone.
    pub(super) off: HumanDuration,
    /// How often.
    pub(super) times: u32,
}

/// Something that happens after the right thing was said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// How long after what was before it.
    #[serde(default)]
    pub(super) after: Option<HumanDuration>,
    /// What happens.
    pub(super) r#do: Deed,
    /// How soon after a repair nothing may be open any more; else the scenario's limit.
    #[serde(default)]
    pub(super) within: Option<HumanDuration>,
    /// How often endpoints must be visited in the time after a reload, at least, by id.
    #[serde(default)]
    pub(super) visits: BTreeMap<String, u64>,
}

/// What happens in a step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) enum Deed {
    /// The agent reads its configuration again, with these keys put over it. The incident must live on as it is.
    Reload(serde_json::Map<String, Value>),
    /// The fault becomes another one, of which exactly this must be said, and nothing else on the way: incidents that are
    /// open and still expected live on as they are.
    Turn(Turn),
    /// The fault ends. The incident must end too, and none may begin.
    Repair,
    /// Nothing but the time that passes.
    Wait,
}

/// Another fault in the place of the one before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    /// What is broken from now on.
    pub(super) fault: Faults,
    /// What the agent must say of it.
    pub(super) expect: Expect,
    /// How many incidents begin.
    pub(super) begin: usize,
}

/// A kind of fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "it tells the reader which files show the same")]
pub(super) enum Row {
    /// A number that all files of the same kind share.
    Number(u8),
    /// `combo` or `healthy`.
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

impl Faults {
    /// These, while others last: a rule of the box comes before the earlier ones, because it may take another's place.
    pub(super) fn during(&self, before: &Self) -> Self {
        Self { r#box: self.r#box.iter().chain(&before.r#box).cloned().collect(), ..self.clone() }
    }

    /// These and others, all from the start.
    fn with(&self, before: &Self) -> Self {
        Self {
            servers: before.servers.clone().into_iter().chain(self.servers.clone()).collect(),
            guest: before.guest.iter().chain(&self.guest).cloned().collect(),
            ..self.during(before)
        }
    }
}

impl Scenario {
    /// Whether nothing may be said.
    pub(super) fn is_healthy(&self) -> bool {
        matches!(self.expect, Expect::Silence)
    }

    /// The causes that are expected, as one word.
    pub(super) fn expected(&self) -> String {
        self.expect.causes()
    }

    /// Whether it is over soon: few endpoints, and neither a long wait nor anything after the first word.
    pub(super) fn is_short(&self) -> bool {
        self.world == World::Small && self.then.is_empty() && self.flaps.is_none() && self.limit.is_none()
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
        scenario.file = scenario.path();
        whole::check(&scenario).with_context(|| file.display().to_string())?;
        Ok(scenario)
    }

    /// The ways in which it is played, one after the other.
    pub(super) fn plays(self) -> Vec<Self> {
        if self.by != By::Both {
            return vec![self];
        }
        let mut by_check = Self { by: By::Check, name: format!("{}-by-check", self.name), ..self.clone() };
        // Where nobody was there before, what happens is so from the start.
        if let Some(fault) = by_check.fault.take() {
            by_check.before = fault.with(&by_check.before);
        }
        by_check.then.clear();
        by_check.says.clear();
        by_check.logs.clear();
        vec![Self { by: By::Daemon, ..self }, by_check]
    }
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

    /// How many scenario files each group has, as written down by whoever adds or removes one: none is lost unseen.
    fn manifest() -> Result<BTreeMap<String, usize>> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/count.yaml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
    }

    #[test]
    fn every_file_is_whole() {
        let files = files().expect("the folder is there");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for file in &files {
            let scenario = Scenario::load(file).unwrap_or_else(|error| panic!("{error:#}"));
            let is_healthy = matches!(&scenario.row, Row::Word(word) if word == "healthy");
            assert_eq!(is_healthy, scenario.is_healthy(), "{}", scenario.path());
            *counts.entry(scenario.group).or_default() += 1;
        }
        assert_eq!(counts, manifest().expect("the manifest is there"), "a file was added or lost: update count.yaml");
    }

    #[test]
    fn both_are_two_plays_and_check_alone_starts_into_the_fault() {
        let text = "what: x\nrow: 17\nby: both\nfault: {servers: {world: 1}}\nexpect: silent\ncheck: {within: 15s}\n";
        let plays = serde_saphyr::from_str::<Scenario>(text).expect(text).plays();
        let of = |by: By| plays.iter().find(|play| play.by == by).expect("it is played by both");
        assert_eq!((plays.len(), of(By::Daemon).fault.is_some(), of(By::Check).fault.is_some()), (2, true, false));
        assert!(of(By::Check).before.servers.contains_key("world"));
        assert!(of(By::Check).check.as_ref().is_some_and(|check| check.within.is_some()));
    }
}
