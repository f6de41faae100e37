//! The bound in time that no peer can make a probe exceed: one deadline over all phases.

use std::time::{Duration, Instant};

use crate::clock;

/// The moment at which a probe must have ended, whatever phase it is in.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
}

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Deadline {
    /// A deadline this far from now.
    pub fn within(timeout: Duration) -> Self {
        Self { at: clock::now() + timeout }
    }

    /// The earlier of this deadline and one this far from now.
    pub fn at_most(self, timeout: Duration) -> Self {
        Self { at: self.at.min(clock::now() + timeout) }
    }

    /// The time left; zero when the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(clock::now())
    }

    /// Waits for `work`, but not longer than the deadline.
    ///
    /// # Errors
    /// [`Elapsed`] when the deadline passes first; `work` is dropped then.
    pub async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::time::timeout_at(self.at.into(), work).await.map_err(|_| Elapsed)
    }

    /// Waits for `work`, which can fail; to pass the deadline is one more way to.
    ///
    /// # Errors
    /// Those of `work`, and [`Elapsed`]; `work` is dropped then.
    pub async fn bound<T, E: From<Elapsed>>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.limit(work).await?
    }
}
