//! What is read from this machine now and then, beside the visits: its own facts, what its files say about DNS, and what was
//! imported of the environment.

use std::sync::Arc;

use ase_probes::local_facts::LocalFacts;

use crate::{
    engine::{environment::EnvironmentWatch, machine::MachineWatch},
    imports::memory::Memory,
    model::settings::Settings,
    resolvers::host_files::{HostDns, ResolverWatch},
};

/// The watches.
#[derive(Debug)]
pub struct Surroundings {
    machine: MachineWatch,
    files: ResolverWatch,
    environment: EnvironmentWatch,
}

impl Surroundings {
    /// Looks for the first time.
    pub fn start(settings: &Settings) -> Self {
        Self {
            machine: MachineWatch::start(settings),
            files: ResolverWatch::start(),
            environment: EnvironmentWatch::start(settings),
        }
    }

    /// Looks again where it is time.
    pub fn look(&mut self, settings: &Settings) {
        self.files.look();
        self.environment.look();
        self.machine.look(settings);
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
