//! What is read from this machine now and then, beside the visits: its own facts, and what its files say about DNS.

use std::sync::Arc;

use ase_probes::local_facts::LocalFacts;

use crate::{
    engine::machine::MachineWatch,
    model::settings::Settings,
    resolvers::host_files::{HostDns, ResolverWatch},
};

/// The watches.
#[derive(Debug)]
pub struct Surroundings {
    machine: MachineWatch,
    files: ResolverWatch,
}

impl Surroundings {
    /// Looks for the first time.
    pub fn start(settings: &Settings) -> Self {
        Self { machine: MachineWatch::start(settings), files: ResolverWatch::start() }
    }

    /// Looks again where it is time.
    pub fn look(&mut self, settings: &Settings) {
        self.files.look();
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
}
