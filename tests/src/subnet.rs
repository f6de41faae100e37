//! A subnet with a whole Azure around it: two network namespaces joined by one wire. In one live the simulated servers,
//! in the other a command runs as an unprivileged user, with the lab's resolver and authority in place.

use std::{
    ffi::OsString,
    net::IpAddr,
    process::{ExitCode, Stdio},
};

use anyhow::Result;
use ase_agent::{catalog::Host, config};
use nix::unistd::geteuid;

use crate::{
    azure::{Authorities, Azure, Place, SLOTS, Stopped},
    guest::{CUSTOM_DNS, Folder, Guest},
    namespace,
};

/// What to run, and with which servers missing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Hosts (`HOST` or `HOST:PORT`) whose servers are not started.
    pub stopped: Vec<String>,
}

/// Runs a plan and returns the command's exit code.
///
/// # Errors
/// When the namespaces, the servers or the command cannot be started.
pub fn run(plan: &Plan) -> Result<ExitCode> {
    let is_root = geteuid().is_root();
    namespace::enter()?;
    let authorities = Authorities::new()?;
    let folder = Folder::new(&authorities.lab)?;
    let settings_file = folder.write("ase-agent.yaml", &filled_slots())?;
    let settings = config::load(Some(&settings_file))?;
    namespace::ip("link set lo up")?;
    let mut guest = Guest::start(&plan.command, &folder, is_root, Stdio::inherit())?;
    let addresses = settings.catalog.endpoints.iter().filter_map(|endpoint| match &endpoint.host {
        Host::Address(address) => Some(*address),
        Host::Name(_) => None,
    });
    let mut fixed: Vec<IpAddr> = addresses.collect();
    fixed.sort();
    fixed.dedup();
    fixed.into_iter().try_for_each(namespace::make_address_local)?;
    namespace::make_local("198.18.0.0/15")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stopped = Stopped(plan.stopped.clone());
    let azure = runtime.block_on(Azure::start(&settings, Place::OwnAddresses, &authorities, &stopped))?;
    guest.begin()?;
    let status = guest.wait()?;
    drop(azure);
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(u8::try_from(code).unwrap_or(1))))
}

/// The configuration that fills every slot with a simulated host.
fn filled_slots() -> String {
    let rows: String = SLOTS.iter().map(|(slot, host)| format!("  {slot}: [{host}]\n")).collect();
    format!("vantage: ase-lab subnet\nresolvers:\n  custom: [{CUSTOM_DNS}]\nslots:\n{rows}")
}
