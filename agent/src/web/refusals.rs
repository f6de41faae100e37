//! How often a fault that comes again and again is said: at once, and then once a minute with how many were not said. Pure.

use std::time::{Duration, Instant};

/// Time between two words about the same.
const EVERY: Duration = Duration::from_secs(60);

/// A fault that may come hundreds of times a second.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    said: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    /// Takes in one more; if it is to be said, how many since the last word were not.
    pub(super) fn say(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.duration_since(said) < EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_at_once_and_then_once_a_minute() {
        let now = ase_probes::clock::now();
        let mut refusals = Refusals::default();
        let said: Vec<_> = (0..1000).filter_map(|step| refusals.say(now + Duration::from_millis(step * 200))).collect();
        assert_eq!(said, [0, 299, 299, 299]);
    }
}
