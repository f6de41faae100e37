//! `ase-agent import inbound`: who must reach the environment, compared with the documented addresses.

use std::process::ExitCode;

use super::Inbound;
use crate::{
    commands::{failure::Failure, stdout},
    imports::answer::joined,
    lint::{
        addresses::AddressSet,
        read::{Export, InboundEntry},
        requirements::Management,
    },
};

/// Imports and prints.
pub(super) fn run(arguments: &Inbound) -> Result<ExitCode, Failure> {
    let pages = arguments.source.pages("/inboundNetworkDependenciesEndpoints")?;
    let text = joined(&pages);
    let mut export = Export::default();
    export.read(&arguments.source.words(), text.as_bytes()).map_err(|error| Failure::Input(error.to_string()))?;
    if export.inbound.is_empty() {
        let what = export.kinds.first().map_or("nothing", |(_, kind)| *kind);
        return Err(Failure::Input(format!("{}: {what}, no list of inbound dependencies", arguments.source.words())));
    }
    for problem in &export.problems {
        let at = problem.at.as_deref().unwrap_or_default();
        stdout::complain(&format!("ase-agent: {at}: {}\n", problem.message));
    }
    let management = Management::of_cloud(&arguments.source.cloud);
    stdout::print(&report(&export.inbound, &management))?;
    if arguments.target.write(&text)? {
        stdout::print("written: give the file to `ase-agent lint` beside the group and the route table\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(entries: &[InboundEntry], management: &Management) -> String {
    let mut text: String = entries.iter().map(line).collect();
    let own = entries.iter().filter(|entry| entry.description.to_ascii_lowercase().contains("management"));
    let listed = own.fold(AddressSet::default(), |all, entry| all.union(&AddressSet::of(&entry.endpoints)));
    if listed.is_empty() {
        text.push_str("no entry for the management: the documented addresses count\n");
        return text;
    }
    let documented = management.set();
    text.push_str(&format!(
        "management: {} addresses; {} of them are not documented, {} documented ones are not listed ({}); the tag {} holds all\n",
        listed.count(),
        listed.minus(&documented).count(),
        documented.minus(&listed).count(),
        management.source,
        management.tag
    ));
    text
}

fn line(entry: &InboundEntry) -> String {
    let ports: Vec<String> = entry.ports.iter().map(ToString::to_string).collect();
    let ports = if ports.is_empty() { "all ports".to_owned() } else { ports.join(", ") };
    let shown: Vec<String> = entry.endpoints.iter().take(4).map(ToString::to_string).collect();
    let more = entry.endpoints.len().saturating_sub(shown.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}: {ports} from {}{more}\n", entry.description.escape_debug(), shown.join(", "))
}
