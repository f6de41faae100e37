//! How fast this machine's clock runs away from a time server: the slope of the offsets of the last hour. Pure.
//!
//! Least squares over at most 64 offsets. The kernel disciplines a clock by at most 500 parts per million
//! (`MAXFREQ` in Linux' timex.h), so a slope beyond that cannot be mended by slewing.

use std::{collections::VecDeque, time::Duration};

/// A slope from here on is beyond what the kernel can correct.
pub const WORRYING: f64 = 500e-6;
/// Offsets that are remembered.
const SAMPLES: usize = 64;
/// Offsets that are needed.
const FEWEST: usize = 8;
/// The time they must span.
const SHORTEST: f64 = 480.0;
/// Older offsets are forgotten.
const WINDOW: Duration = Duration::from_secs(3600);

/// The offsets of one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drift {
    samples: VecDeque<(Duration, f64)>,
}

impl Drift {
    /// Takes an offset in seconds: server clock minus this machine's clock.
    pub fn observe(&mut self, offset: f64, now: Duration) {
        let old = |(at, _): &(Duration, f64)| now.saturating_sub(*at) > WINDOW;
        while self.samples.len() == SAMPLES || self.samples.front().is_some_and(old) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, offset));
    }

    /// Seconds that the offset grows per second; `None` while too little is known.
    pub fn slope(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let origin = first.0;
        if self.samples.len() < FEWEST || last.0.saturating_sub(origin).as_secs_f64() < SHORTEST {
            return None;
        }
        let count = self.samples.len() as f64;
        let x = |at: Duration| at.saturating_sub(origin).as_secs_f64();
        let mean_x = self.samples.iter().map(|(at, _)| x(*at)).sum::<f64>() / count;
        let mean_y = self.samples.iter().map(|(_, offset)| offset).sum::<f64>() / count;
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (at, offset) in &self.samples {
            covariance += (x(*at) - mean_x) * (offset - mean_y);
            variance += (x(*at) - mean_x).powi(2);
        }
        (variance > 0.0).then(|| covariance / variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(samples: u32, offset: impl Fn(f64) -> f64) -> Drift {
        let mut drift = Drift::default();
        for number in 0..samples {
            let at = Duration::from_secs(64) * number;
            drift.observe(offset(at.as_secs_f64()), at);
        }
        drift
    }

    #[test]
    fn the_slope_is_that_of_the_line() {
        let slope = fed(200, |at| 0.25 - 20e-6 * at).slope().expect("enough samples");
        assert!((slope + 20e-6).abs() < 1e-12, "{slope}");
        assert!(fed(200, |at| 0.001 * (at / 64.0).sin()).slope().is_some_and(|slope| slope.abs() < 1e-6));
    }

    #[test]
    fn too_little_says_nothing_and_memory_is_bounded() {
        assert_eq!(fed(7, |_| 0.0).slope(), None);
        assert_eq!(fed(8, |_| 0.0).slope(), None);
        assert_eq!(fed(9, |_| 0.0).slope(), Some(0.0));
        assert!(fed(500, |_| 0.0).samples.len() <= SAMPLES);
    }
}
