//! Where an exchange of several phases stands, so that its end can say in which phase it came and after how long.

use std::time::Instant;

use crate::{
    clock,
    evidence::{Stop, Trouble},
    seen::Phases,
    verdict::Phase,
};

/// The running phase and its start.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    phases: &'a mut Phases,
    phase: Phase,
    since: Instant,
}

impl<'a> Progress<'a> {
    /// Starts with a phase, now.
    pub(crate) fn begin(phase: Phase, phases: &'a mut Phases) -> Self {
        Self { phases, phase, since: clock::now() }
    }

    /// Ends the running phase and starts another, now.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.enter_at(phase, clock::now());
    }

    /// Ends the running phase and starts another at a moment that was noted before.
    pub(crate) fn enter_at(&mut self, phase: Phase, at: Instant) {
        self.phases.record(self.phase, at.saturating_duration_since(self.since));
        (self.phase, self.since) = (phase, at);
    }

    /// The running phase.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Ends the last phase.
    ///
    /// # Errors
    /// What ended the exchange early, with the phase that it was in.
    pub(crate) fn end(self, result: Result<(), Trouble>) -> Result<(), Stop> {
        let elapsed = clock::now().saturating_duration_since(self.since);
        self.phases.record(self.phase, elapsed);
        result.map_err(|trouble| Stop { phase: self.phase, trouble, elapsed })
    }
}

impl Stop {
    /// An exchange that never began, because the question itself breaks a rule.
    pub(crate) fn unasked(rule: &'static str) -> Self {
        Self { phase: Phase::Local, trouble: Trouble::Unasked(rule), elapsed: std::time::Duration::ZERO }
    }
}
