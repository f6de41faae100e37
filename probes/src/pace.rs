//! Whether a peer that keeps talking gets on: below which rate an answer that drips is not waited for any longer. Pure.
//!
//! Silence is another thing and has the whole deadline: what a machine computes for seconds comes at once in the end.

use std::time::{Duration, Instant};

use crate::evidence::{LEAST, Trouble};

/// Time in which nobody is hurried: TCP's own retransmissions need as long (RFC 6298 section 2).
const PATIENCE: Duration = Duration::from_secs(3);
/// What comes sooner than this after the last bytes belongs to them.
const PAUSE: Duration = Duration::from_millis(20);
/// Drops that make it a drip: two or three are a page that was computed in parts.
const DROPS: u32 = 3;

/// How an answer comes in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    times: Option<(Instant, Instant)>,
    bytes: usize,
    drops: u32,
}

impl Pace {
    /// Takes in that so many bytes came now.
    ///
    /// # Errors
    /// [`Trouble::Drips`] once they come in drops, for longer than any pause explains.
    pub(crate) fn note(&mut self, bytes: usize, now: Instant) -> Result<(), Trouble> {
        let (first, last) = self.times.unwrap_or((now, now));
        self.times = Some((first, now));
        self.bytes = self.bytes.saturating_add(bytes);
        if now.saturating_duration_since(last) >= PAUSE {
            self.drops += 1;
        }
        let elapsed = now.saturating_duration_since(first);
        let is_slow = (self.bytes as f64) < elapsed.as_secs_f64() * LEAST as f64;
        if elapsed >= PATIENCE && self.drops >= DROPS && is_slow { Err(Trouble::Drips) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// When a peer is given up that sends these bytes at these milliseconds.
    fn ends(comes: impl IntoIterator<Item = (u64, usize)>) -> Option<u64> {
        let (start, mut pace) = (clock::now(), Pace::default());
        comes
            .into_iter()
            .find(|(at, bytes)| pace.note(*bytes, start + Duration::from_millis(*at)).is_err())
            .map(|it| it.0)
    }

    #[test]
    fn a_drip_ends_after_three_seconds() {
        let drip = |every: u64, bytes: usize| ends((0..400).map(|drop| (drop * every, bytes)));
        assert_eq!(drip(1000, 1), Some(3000));
        assert_eq!(drip(900, 1), Some(3600));
        assert_eq!(drip(50, 1), Some(3000));
        assert_eq!(drip(2000, 1), Some(6000));
        assert_eq!(drip(1000, 40), Some(3000));
        assert_eq!(drip(1000, 64), None);
        assert_eq!(drip(100, 1400), None);
    }

    #[test]
    fn a_page_that_is_computed_meanwhile_is_waited_for() {
        assert_eq!(ends([(0, 20), (9000, 30)]), None);
        assert_eq!(ends([(0, 1), (4000, 10), (4001, 10), (4002, 5), (4003, 0)]), None);
        assert_eq!(ends([(0, 1), (3000, 10), (6000, 10)]), None);
    }
}
