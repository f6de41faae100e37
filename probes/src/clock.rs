//! The one place where this crate reads a clock.
#![allow(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, for durations and deadlines.
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock as time since the Unix epoch, for certificates and NTP; zero if it stands before 1970.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
