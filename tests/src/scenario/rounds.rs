//! Scenarios with a past: one name compared round after round while the servers change.

use std::io::{BufRead, BufReader};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Scenario, command, servers::Servers};
use crate::guest::{Folder, Guest};

/// Several rounds, and what changes between them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rounds {
    /// How many.
    count: u32,
    /// Time from one to the next, as people write it.
    every: String,
    /// Records of Azure DNS after the first round, after the second, and so on in turn.
    #[serde(default)]
    azure: Vec<String>,
    /// Whether the custom DNS asks a server with Azure's first records, which ends after the first round.
    #[serde(default)]
    pub(super) cut_upstream: bool,
}

/// Lets the agent compare in rounds; what it says last, with the class in force, the rounds and how many alarmed.
pub(super) fn ask(
    scenario: &Scenario,
    rounds: &Rounds,
    servers: &mut Servers,
    folder: &Folder,
    is_root: bool,
) -> Result<Value> {
    let count = rounds.count.to_string();
    let command = command(scenario, folder, &["--rounds", &count, "--every", &rounds.every])?;
    let mut guest = Guest::start(&command, folder, is_root, std::process::Stdio::piped())?;
    let stdout = guest.stdout().context("the agent's output is piped")?;
    guest.begin()?;
    let (mut last, mut alarms, mut odd, mut made) = (Value::Null, 0u32, 0u32, 0u32);
    for (line, next) in BufReader::new(stdout).lines().zip(turns(rounds)) {
        last = serde_json::from_str(&line?).context("the agent prints a line of JSON per round")?;
        made += 1;
        // What is in force alarms; a round that a busy machine answered late does not, as in the daemon.
        alarms += u32::from(is_alarm(&last["in_force"]));
        odd += u32::from(is_alarm(&last["comparison"]));
        if let Some(records) = next {
            servers.change_azure(records, folder)?;
        }
        if rounds.cut_upstream {
            servers.cut_upstream();
        }
    }
    guest.wait()?;
    anyhow::ensure!(made == rounds.count, "the agent made {made} of {} rounds", rounds.count);
    last["comparison"] = last["in_force"].clone();
    last["rounds"] = json!(made);
    last["alarms"] = json!(alarms);
    last["odd_rounds"] = json!(odd);
    Ok(last)
}

fn is_alarm(comparison: &Value) -> bool {
    comparison["worry"].as_str().is_some_and(|worry| worry != "fine")
}

/// The records that Azure DNS gets after each round.
fn turns(rounds: &Rounds) -> impl Iterator<Item = Option<&String>> {
    let records = (!rounds.azure.is_empty()).then(|| rounds.azure.iter().cycle());
    let mut records = records.into_iter().flatten();
    std::iter::repeat_with(move || records.next())
}
