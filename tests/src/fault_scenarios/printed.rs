//! What `ase-agent check` must print, as a scenario file says it.

use anyhow::{Context, Result};
use ase_agent::net::duration::HumanDuration;
use serde::Deserialize;
use serde_json::Value;

/// What `ase-agent check` must print.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Check {
    /// Words that it must print.
    pub(super) says: Vec<String>,
    /// Words that its first incident must hold.
    pub(super) first: Vec<String>,
    /// Words that it must not print.
    pub(super) not: Vec<String>,
    /// How long it may take.
    pub(super) within: Option<HumanDuration>,
    /// Whether it prints on a terminal of 80 columns and 24 lines, and the row keeps what that shows.
    pub(super) screen: bool,
}

/// The written form of [`Check`]: a list is what it says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CheckKeys {
    says: Vec<String>,
    first: Vec<String>,
    not: Vec<String>,
    within: Option<HumanDuration>,
    screen: bool,
}

impl TryFrom<Value> for Check {
    type Error = anyhow::Error;

    fn try_from(value: Value) -> Result<Self> {
        if value.is_array() {
            return Ok(Self { says: serde_json::from_value(value).context("check")?, ..Self::default() });
        }
        let CheckKeys { says, first, not, within, screen } = serde_json::from_value(value).context("check")?;
        Ok(Self { says, first, not, within, screen })
    }
}
