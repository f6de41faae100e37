//! A subnet with a whole Azure around it: two network namespaces joined by one wire. In one live the simulated servers,
//! in the other a command runs as an unprivileged user, with the lab's resolver and authority in place.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, Result};
use ase_agent::config;
use nix::unistd::geteuid;

use crate::{
    azure::{Authorities, Azure, Place, SLOTS, Stopped, zone_of},
    fault::{Engine, rules::FaultFile},
    guest::{self, CUSTOM_DNS, Folder, Guest},
    namespace, programs,
    sim::dns::{self, Zone},
};

/// What to run, and with which servers missing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Hosts (`HOST` or `HOST:PORT`) whose servers are not started.
    pub stopped: Vec<String>,
    /// A file of faults on the path.
    pub fault: Option<PathBuf>,
}

/// Runs a plan and returns the command's exit code.
///
/// # Errors
/// When the namespaces, the servers or the command cannot be started.
pub fn run(plan: &Plan) -> Result<ExitCode> {
    if programs::names_agent(&plan.command) {
        programs::need_agent()?;
    }
    let is_root = geteuid().is_root();
    namespace::enter()?;
    let authorities = Authorities::new()?;
    let folder = Folder::new(&authorities.lab)?;
    let settings_file = folder.write("ase-agent.yaml", &filled_slots())?;
    let settings = config::load(Some(&settings_file))?;
    namespace::ip("link set lo up")?;
    let engine = plan.fault.as_deref().map(|file| faulty(file, &zone_of(&settings.catalog, Place::OwnAddresses)));
    let engine = engine.transpose()?;
    let lay = |guest| match engine {
        Some(engine) => guest::lay_box(guest, engine).map(drop),
        None => guest::lay_wire(guest),
    };
    let mut guest = Guest::start_on(lay, &plan.command, &folder, is_root, Stdio::inherit())?;
    namespace::make_fixed_addresses_local(&settings)?;
    namespace::make_local("198.18.0.0/15")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stopped = Stopped(plan.stopped.clone());
    let azure = runtime.block_on(Azure::start(&settings, Place::OwnAddresses, &authorities, &stopped))?;
    guest.begin()?;
    let status = guest.wait()?;
    drop(azure);
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(u8::try_from(code).unwrap_or(1))))
}

/// The path that a file describes. Its rules may name hosts of the zone.
fn faulty(file: &Path, zone: &Zone) -> Result<Engine> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let faults: FaultFile = serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
    Engine::new(faults.path, &faults.r#box, &|name| dns::first(zone, name)).with_context(|| file.display().to_string())
}

/// The configuration that fills every slot with a simulated host.
pub(crate) fn filled_slots() -> String {
    let rows: String = SLOTS.iter().map(|(slot, host)| format!("  {slot}: [{host}]\n")).collect();
    format!("vantage: ase-lab subnet\nresolvers:\n  custom: [{CUSTOM_DNS}]\nslots:\n{rows}")
}
