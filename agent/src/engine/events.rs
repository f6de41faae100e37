//! What the state is told and what it answers: the only words between it and the loop.

use std::sync::Arc;

use crate::{
    engine::room::VisitNumber,
    model::{catalog::Endpoint, settings::Settings, visit::Visit},
    resolvers::shell::Step,
    visit::visitor::Occasion,
};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A visit ended; without one, its task died.
    Visited(VisitNumber, Option<Box<Visit>>),
    /// A comparison of names, or a trial of their servers, went on.
    Compared(Step),
    /// The diagnosis learned something, or wants to think.
    Measured,
    /// New settings are to be in force.
    Reloaded(Box<Settings>),
    /// New settings were bad, and the old ones stay in force.
    ReloadFailed,
}

/// How far a single look has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Endpoints with a confirmed status.
    pub settled: usize,
    /// Endpoints that failed, and again.
    pub failed: usize,
    /// Visits under way.
    pub visits: usize,
    /// Visits that are planned: first ones that wait for room, and confirmations.
    pub planned: usize,
    /// Names that are yet to be compared.
    pub names: usize,
    /// Follow-up measurements under way.
    pub measurements: usize,
}

/// A visit to begin.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Its number.
    pub visit: VisitNumber,
    /// Whom to visit.
    pub endpoint: Arc<Endpoint>,
    /// Why it is made now.
    pub occasion: Occasion,
}

/// Whether readers are to be told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tell {
    /// There is none.
    Nothing,
    /// It may wait for others.
    Soon,
    /// It must not wait.
    Now,
}

/// What is to be done now. What the diagnosis and the comparison want to ask, they ask by themselves.
#[derive(Clone, Debug)]
pub struct Commands {
    /// The visits to begin.
    pub begin: Vec<Begin>,
    /// Whether readers are to be told.
    pub tell: Tell,
}
