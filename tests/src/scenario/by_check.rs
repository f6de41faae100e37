//! Scenarios that only the whole check can tell: it tries the servers themselves beside comparing a name.

use std::{ffi::OsString, process::Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Scenario;
use crate::guest::{CUSTOM_DNS, Folder, Guest};

/// Lets the agent check the DNS servers and compare the name; the last survey with the remarks on the custom DNS.
pub(super) fn ask(scenario: &Scenario, folder: &Folder, is_root: bool) -> Result<Value> {
    let config = json!({ "resolvers": { "custom": [CUSTOM_DNS] }, "dns": { "names": [scenario.ask] } });
    let config = folder.write("ase-agent.yaml", &format!("{config}\n"))?;
    let words = ["ase-agent", "check", "--class", "dns", "--output", "json", "--config"].map(OsString::from);
    let command: Vec<OsString> = words.into_iter().chain([config.into_os_string()]).collect();
    let mut guest = Guest::start(&command, folder, is_root, Stdio::piped())?;
    guest.begin()?;
    let output = guest.output()?;
    let document: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the agent ended with {} and no JSON", output.status))?;
    let dns = &document["dns"];
    let mut got = dns["names"][0]["last"].clone();
    let custom = dns["resolvers"].as_array().and_then(|all| {
        all.iter().find(|resolver| resolver["server"].as_str().is_some_and(|server| server.starts_with(CUSTOM_DNS)))
    });
    got["remarks"] = custom.map(|custom| custom["remarks"].clone()).unwrap_or_default();
    got["intercepted"] = dns["intercepted"].clone();
    Ok(got)
}
