//! `ase-agent import inbound`: who must reach the environment, compared with the documented addresses.

use std::process::ExitCode;

use super::Inbound;
use crate::{
    commands::{failure::Failure, options::Output, stdout},
    imports::{answer::joined, inbound::ManagementList},
    lint::{
        finding::Finding,
        read::{Export, InboundEntry},
        requirements::Management,
    },
    readers::json::{ImportHead, inbound_to_json},
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
    let problem = |problem: &Finding| format!("{}: {}", problem.at.as_deref().unwrap_or_default(), problem.message);
    let left: Vec<String> = export.problems.iter().map(problem).collect();
    left.iter().for_each(|line| stdout::complain(&format!("ase-agent: {line}\n")));
    let management = Management::of_cloud(&arguments.source.cloud);
    let is_written = arguments.target.write(&text)?;
    stdout::print(&match arguments.target.output {
        Output::Json => {
            let head = ImportHead { what: "inbound", source: &arguments.source.words(), left_out: &left };
            inbound_to_json(&head, &export.inbound, &management)
        }
        Output::Table => report(&export.inbound, &management, is_written),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn report(entries: &[InboundEntry], management: &Management, is_written: bool) -> String {
    let mut text: String = entries.iter().map(line).collect();
    match ManagementList::of(entries, management) {
        None => text.push_str("no entry for the management: the documented addresses count\n"),
        Some(ManagementList { listed, not_documented, not_listed }) => text.push_str(&format!(
            "management: {listed} addresses; {not_documented} of them are not documented, {not_listed} documented ones are not \
             listed ({}); the tag {} holds all\n",
            management.source, management.tag
        )),
    }
    if is_written {
        text.push_str("written: give the file to `ase-agent lint` beside the group and the route table\n");
    }
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
