//! The clock of all simulators together. Seen from the agent, a world that is ahead is a local clock that is behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use ase_probes::clock;
use serde::Deserialize;

/// How far the clocks of all simulators are from this machine's; clones share it.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<AtomicI64>);

/// What a scenario does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shift {
    /// Seconds that every simulated clock, certificate and list is ahead of this machine.
    pub shift_seconds: i64,
}

impl World {
    /// Moves the clocks of all simulators.
    pub fn shift(&self, shift: Shift) {
        self.0.store(shift.shift_seconds, Ordering::Relaxed);
    }

    /// Seconds that the simulators are ahead.
    pub fn offset(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The time by the simulators' clocks, since 1970.
    pub fn now(&self) -> Duration {
        let (now, offset) = (clock::wall(), self.offset());
        let by = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { now.saturating_sub(by) } else { now + by }
    }
}
