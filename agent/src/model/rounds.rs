//! How often the agent looks: a daemon again and again, a check once.

use std::time::Duration;

/// How often each task is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Again and again, the first visits spread over this time.
    Endless {
        /// The time over which the first visits are spread.
        spread: Duration,
    },
    /// Once, and once more to confirm a bad sample.
    One,
}
