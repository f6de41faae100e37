//! How fast this machine's clock runs away from a time server: the slope of the offsets of the last hour. Pure.
//!
//! Least squares over the mean offset of each minute, so that an hour is an hour however often a server is asked. The kernel
//! disciplines a clock by at most 500 parts per million (`MAXFREQ` in Linux' timex.h), so a slope beyond that cannot be
//! mended by slewing.

use std::time::Duration;

use super::parts::Parts;

/// A slope from here on is beyond what the kernel can correct.
pub const WORRYING: f64 = 500e-6;
/// Minutes with an offset that are needed.
const FEWEST: usize = 8;
/// The time they must span.
const SHORTEST: f64 = 480.0;
/// Older offsets are forgotten.
const WINDOW: Duration = Duration::from_secs(3600);

/// The sums of a minute's offsets and of the moments at which they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Minute {
    count: f64,
    moments: f64,
    offsets: f64,
}

/// The offsets of one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drift {
    minutes: Parts<Minute>,
}

impl Drift {
    /// Takes an offset in seconds: server clock minus this machine's clock.
    pub fn observe(&mut self, offset: f64, now: Duration) {
        let minute = self.minutes.at(now, WINDOW);
        minute.count += 1.0;
        minute.moments += now.as_secs_f64();
        minute.offsets += offset;
    }

    /// Seconds that the offset grows per second; `None` while too little is known.
    pub fn slope(&self) -> Option<f64> {
        let points = self.minutes.iter().map(|minute| (minute.moments / minute.count, minute.offsets / minute.count));
        let (first, last) = (points.clone().next()?.0, points.clone().last()?.0);
        let count = points.clone().count();
        if count < FEWEST || last - first < SHORTEST {
            return None;
        }
        let mean_x = points.clone().map(|(x, _)| x - first).sum::<f64>() / count as f64;
        let mean_y = points.clone().map(|(_, y)| y).sum::<f64>() / count as f64;
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (x, y) in points {
            covariance += (x - first - mean_x) * (y - mean_y);
            variance += (x - first - mean_x).powi(2);
        }
        (variance > 0.0).then(|| covariance / variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(samples: u32, every: Duration, offset: impl Fn(f64) -> f64) -> Drift {
        let mut drift = Drift::default();
        for number in 0..samples {
            let at = every * number;
            drift.observe(offset(at.as_secs_f64()), at);
        }
        drift
    }

    /// Time between two questions to a time server of somebody else's.
    const USUAL: Duration = Duration::from_secs(64);

    #[test]
    fn the_slope_is_that_of_the_line() {
        let slope = fed(200, USUAL, |at| 0.25 - 20e-6 * at).slope().expect("enough samples");
        assert!((slope + 20e-6).abs() < 1e-12, "{slope}");
        assert!(fed(200, USUAL, |at| 0.001 * (at / 64.0).sin()).slope().is_some_and(|slope| slope.abs() < 1e-6));
    }

    #[test]
    fn a_server_that_is_asked_every_second_tells_as_much_as_one_that_is_asked_every_minute() {
        // The network's swing of twenty minutes is no drift.
        let swing = |at: f64| 20e-6 * at + 0.01 * (at / 1200.0 * std::f64::consts::TAU).sin();
        for every in [1, 5, 16, 64] {
            let every = Duration::from_secs(every);
            let samples = 2 * 3600 / every.as_secs() as u32;
            let slope = fed(samples, every, swing).slope().expect("an hour is enough");
            assert!((slope - 20e-6).abs() < 10e-6, "{slope} at one sample in {every:?}");
        }
    }

    #[test]
    fn too_little_says_nothing_and_memory_is_bounded() {
        assert_eq!(fed(7, USUAL, |_| 0.0).slope(), None);
        assert_eq!(fed(8, USUAL, |_| 0.0).slope(), None);
        assert_eq!(fed(9, USUAL, |_| 0.0).slope(), Some(0.0));
        assert_eq!(fed(470, Duration::from_secs(1), |_| 0.0).slope(), None);
    }
}
