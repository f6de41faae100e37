//! `ase-agent import environment`: the environment's state and addresses, remembered and compared with the last time.

use std::{path::Path, process::ExitCode};

use ase_probes::{clock, regular_file};

use super::{Environment, target::replace};
use crate::{
    commands::{failure::Failure, options::Output, stdout},
    config,
    imports::{
        answer::Page,
        environment::read,
        memory::{Event, FILE, LARGEST, Memory},
    },
    model::catalog::Severity,
    readers::json::{ImportHead, environment_to_json},
};

/// Imports, remembers and prints.
pub(super) fn run(arguments: &Environment) -> Result<ExitCode, Failure> {
    let pages = pages(arguments)?;
    let told = read(&pages, arguments.name.as_deref()).map_err(|error| Failure::Input(error.to_string()))?;
    let (environment, left) = told;
    let state_dir = arguments.state_dir.clone().or_else(config::service_state_dir);
    let before = state_dir.as_deref().map(remembered).transpose()?.flatten();
    let (memory, fresh) = Memory::note(before, environment, clock::wall());
    let text = memory.to_json();
    if let Some(folder) = &state_dir {
        replace(&folder.join(FILE), &text)?;
    }
    arguments.target.write(&text)?;
    stdout::print(&match arguments.target.output {
        Output::Json => {
            let head = ImportHead { what: "environment", source: &arguments.source.words(), left_out: &left };
            environment_to_json(&head, &memory, &fresh, state_dir.is_some())
        }
        Output::Table => report(&memory, &fresh, state_dir.as_deref()),
    })?;
    left.iter().for_each(|line| stdout::complain(&format!("ase-agent: left out: {line}\n")));
    let is_suspended = memory.environment.suspended == Some(true);
    let is_changed = fresh.iter().any(|event| event.severity >= Severity::Warning);
    Ok(ExitCode::from(if is_suspended { 1 } else { 2 * u8::from(is_changed) }))
}

fn pages(arguments: &Environment) -> Result<Vec<Page>, Failure> {
    let mut pages = arguments.source.pages("")?;
    if arguments.source.live {
        // Version 2 has the one, version 3 the other.
        pages.extend(arguments.source.pages_if_any("/capacities/virtualip")?);
        pages.extend(arguments.source.pages_if_any("/configurations/networking")?);
    }
    Ok(pages)
}

/// What a state directory remembers of the environment; none where it was never imported.
fn remembered(folder: &Path) -> Result<Option<Memory>, Failure> {
    let path = folder.join(FILE);
    match regular_file::read(&path, LARGEST) {
        Ok(bytes) => match Memory::from_json(&bytes) {
            Some(memory) => Ok(Some(memory)),
            None => Err(Failure::Input(format!(
                "{}: is no memory of an environment; move it away to begin anew",
                path.display()
            ))),
        },
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(Failure::Input(format!("{}: {error}", path.display()))),
    }
}

fn report(memory: &Memory, fresh: &[Event], state_dir: Option<&Path>) -> String {
    let one = &memory.environment;
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let suspended = match one.suspended {
        Some(true) => "SUSPENDED",
        Some(false) => "not suspended",
        None => "whether it is suspended is not said",
    };
    let name = if one.name.is_empty() { "the environment" } else { &one.name };
    let mut text = format!(
        "{}: kind {}, status {}, {suspended}\n",
        name.escape_debug(),
        or_unknown(&one.kind),
        or_unknown(&one.status)
    );
    for (kind, addresses) in &one.addresses {
        let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("{}: {}\n", kind.words(), if list.is_empty() { "none" } else { &list }));
    }
    for event in fresh {
        text.push_str(&format!("{}  {}\n", event.severity.label().to_uppercase(), event.what));
        event.readings.iter().for_each(|reading| text.push_str(&format!("          it may be that {reading}\n")));
    }
    match state_dir {
        Some(_) if fresh.is_empty() => text.push_str("nothing new since the last time\n"),
        Some(_) => {}
        None => text.push_str("not remembered: name the agent's state directory by --state-dir\n"),
    }
    text
}
