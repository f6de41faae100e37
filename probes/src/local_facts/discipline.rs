//! How this machine's clock is kept, by the kernel's own account: whether anything keeps it at all, and how wrong it may be.

use std::time::Duration;

use super::Fact;
use crate::kernel;

/// How the clock is kept (`adjtimex(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// Whether somebody synchronises it: no `STA_UNSYNC`, and the kernel's state is no `TIME_ERROR`.
    pub is_synchronised: bool,
    /// The most by which it may be wrong. The kernel lets it grow by half a millisecond each second.
    pub largest_error: Duration,
}

impl Discipline {
    /// Asks the kernel. Nothing is changed, and no privilege is needed.
    pub fn read() -> Fact<Self> {
        let (is_synchronised, largest_error) = kernel::clock_keeping()?;
        Ok(Self { is_synchronised, largest_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_everybody_how_the_clock_is_kept() {
        let discipline = Discipline::read().expect("adjtimex(2) reads without privileges");
        // An unsynchronised clock is said to be wrong by at most 16 s (`NTP_PHASE_LIMIT` in `include/linux/timex.h`).
        assert!(discipline.largest_error <= Duration::from_secs(3600), "{discipline:?}");
    }
}
