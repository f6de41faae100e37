//! `ase-agent import outbound`: dependencies become configuration, and the environment's view stands beside the agent's.

use std::process::ExitCode;

use super::Outbound;
use crate::{
    commands::{failure::Failure, options::Output, seen, stdout},
    config::profile::Profile as BuiltIn,
    imports::{
        configuration::{Profile, Slot, yaml},
        outbound::{Dependency, read},
        vantage::{Compared, View, compare},
    },
    readers::json::{ImportHead, outbound_to_json},
};

/// Imports; prints the configuration, or what was written and how the views compare.
pub(super) fn run(arguments: &Outbound) -> Result<ExitCode, Failure> {
    let profile = profile(&arguments.profile, &arguments.source.cloud)?;
    let pages = arguments.source.pages("/outboundNetworkDependenciesEndpoints")?;
    let (dependencies, mut left) = read(&pages).map_err(|error| Failure::Input(error.to_string()))?;
    let (flows, without) = seen::flows(&arguments.seen)?;
    left.extend(without);
    let compared = compare(&dependencies, &flows);
    let report = report(&dependencies, &compared, !arguments.seen.is_empty());
    let source = arguments.source.words();
    let text = yaml(&dependencies, &profile, &source);
    let is_written = arguments.target.write(&text)?;
    stdout::print(&match arguments.target.output {
        Output::Json => {
            outbound_to_json(&ImportHead { what: "outbound", source: &source, left_out: &left }, &compared, &text)
        }
        Output::Table if is_written => report,
        Output::Table => {
            let comments: String = report.lines().map(|line| format!("# {line}\n")).collect();
            format!("{comments}{text}")
        }
    })?;
    left.iter().for_each(|line| stdout::complain(&format!("ase-agent: left out: {line}\n")));
    let lost = dependencies.iter().any(|one| one.accessible == Some(false));
    let differs = compared.iter().any(|one| one.view.is_bad());
    Ok(ExitCode::from(if lost || differs { 2 } else { 0 }))
}

/// What a built-in profile knows.
fn profile(name: &str, cloud: &str) -> Result<Profile, Failure> {
    let built_in = BuiltIn::load(name, cloud).map_err(|error| Failure::Usage(error.to_string()))?;
    let known =
        built_in.rows.iter().flat_map(|row| row.ports.iter().map(|port| (row.host.to_ascii_lowercase(), *port)));
    let slot = |slot: &crate::config::profile::SlotRow| Slot {
        name: slot.name.clone(),
        documented_as: slot.documented_as.clone(),
        ports: slot.ports.clone(),
    };
    Ok(Profile {
        name: name.to_owned(),
        cloud: cloud.to_owned(),
        known: known.collect(),
        slots: built_in.slots.iter().map(slot).collect(),
    })
}

fn report(dependencies: &[Dependency], compared: &[Compared], is_compared: bool) -> String {
    let count = |accessible| dependencies.iter().filter(|one| one.accessible == accessible).count();
    let mut text = format!(
        "the environment reaches {} of {} ({} not said); its view is a bare connect, which an appliance can accept in the peer's place\n",
        count(Some(true)),
        dependencies.len(),
        count(None)
    );
    let worth = |one: &&Compared| one.view.is_bad() || one.dependency.accessible == Some(false);
    compared.iter().filter(worth).for_each(|one| text.push_str(&line(one)));
    if is_compared {
        let both = compared.iter().filter(|one| one.view == View::Both).count();
        let unknown = compared.iter().filter(|one| one.view == View::Unknown).count();
        text.push_str(&format!("compared with the agent: both reach {both}, {unknown} only one of them has tried\n"));
    }
    text
}

fn line(one: &Compared) -> String {
    let at = &one.dependency;
    let port = at.port.map(|port| format!(":{port}")).unwrap_or_default();
    let address = at.address.map(|address| format!(" ({address})")).unwrap_or_default();
    let latency = at.latency.map(|ms| format!(", {ms:.1} ms from the environment")).unwrap_or_default();
    let words = if one.view == View::Unknown { "the environment does not reach it" } else { one.view.words() };
    format!("{}{port}{address}{latency}: {words}\n", at.name.escape_debug())
}
