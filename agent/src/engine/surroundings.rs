//! What is read from this machine now and then, beside the visits: its own facts, what its files say about DNS, what was
//! imported of the environment, and the files that were exported from Azure.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ase_probes::local_facts::LocalFacts;

use crate::{
    config::adopted,
    engine::{environment::EnvironmentWatch, machine::MachineWatch},
    exports::{view::Reading, watch::ExportsWatch},
    imports::memory::Memory,
    model::settings::Settings,
    resolvers::host_files::{HostDns, ResolverWatch},
};

/// How long a single look waits at its end for files that were not read until then: local ones take milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// The watches.
#[derive(Debug)]
pub struct Surroundings {
    machine: MachineWatch,
    files: ResolverWatch,
    environment: EnvironmentWatch,
    exports: Option<ExportsWatch>,
}

impl Surroundings {
    /// Looks for the first time.
    pub fn start(settings: &Settings) -> Self {
        let machine = MachineWatch::start(settings);
        let exports = ExportsWatch::start(settings, stands(settings, machine.seen()));
        Self { machine, files: ResolverWatch::start(), environment: EnvironmentWatch::start(settings), exports }
    }

    /// Looks again where it is time.
    pub fn look(&mut self, settings: &Settings) {
        self.files.look();
        self.environment.look();
        self.machine.look(settings);
        let stands = self.stands(settings);
        self.exports.iter_mut().for_each(|exports| exports.look(stands));
    }

    /// Takes new settings in force.
    pub fn reload(&mut self, settings: &Settings) {
        self.exports = ExportsWatch::reload(self.exports.take(), settings, self.stands(settings));
    }

    /// The settings with the servers that this host's resolver files name since long enough, where others are asked.
    pub fn adopted(&self, settings: &Settings) -> Option<Settings> {
        let servers = self.files.settled(&settings.resolvers)?;
        tracing::warn!(before = ?settings.resolvers.custom, now = ?servers, "other DNS servers of this host are asked now");
        Some(adopted::asking(settings, servers))
    }

    /// Waits for what was not read yet, where nothing will be read later.
    pub fn conclude(&mut self) {
        self.exports.iter_mut().for_each(|exports| exports.wait(PATIENCE));
    }

    /// The address that packets leave from.
    pub fn stands(&self, settings: &Settings) -> Option<IpAddr> {
        stands(settings, self.machine.seen())
    }

    /// What is known of the exports; `None` where there are none.
    pub fn exports(&self) -> Option<&Reading> {
        self.exports.as_ref().map(ExportsWatch::reading)
    }

    /// What this machine says about itself.
    pub fn machine(&self) -> &Arc<LocalFacts> {
        self.machine.seen()
    }

    /// What its files say about DNS.
    pub fn host_dns(&self) -> &HostDns {
        self.files.seen()
    }

    /// The environment as it was imported last.
    pub fn environment(&self) -> Option<Arc<Memory>> {
        self.environment.seen().cloned()
    }
}

fn stands(settings: &Settings, machine: &LocalFacts) -> Option<IpAddr> {
    settings.egress.source.or(machine.source.ok().and_then(Result::ok))
}
