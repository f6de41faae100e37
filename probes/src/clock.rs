//! The one place where this crate reads a clock.
#![allow(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, for durations and deadlines.
pub fn now() -> Instant {
    Instant::now()
}

/// The time since boot, which runs on while the machine is suspended (`CLOCK_BOOTTIME` in `clock_gettime(2)`); zero if the
/// kernel does not tell.
pub fn since_boot() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// The wall clock as time since the Unix epoch, for certificates and NTP; zero if it stands before 1970.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
