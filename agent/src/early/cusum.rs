//! CUSUM on the logarithm of the round trip: a creeping or lasting rise that no single sample shows. Pure.
//!
//! Page's one-sided cumulative sum with k = 1 and h = 8 in units of the deviation. Each sample is clipped to three
//! deviations, so at least h / (3 − k) = 4 samples are needed: one slow answer never alarms. The baseline follows with a
//! half-life of 30 minutes, and stands still while the sum is above h / 2 and the rise is one that matters, so that such a
//! rise does not become normal unnoticed, while the swing of a day does. An alarm ends when the sum, which is at most 2 h, is
//! back at h / 2: after (2 h − h / 2) / k = 12 samples as usual at the latest, where noise does not add to them. A rise that
//! lasts an hour is accepted as the new normal: this is an early warning, not a state.

use std::time::Duration;

/// The sum from which on there is an alarm, in deviations.
const ALARM: f64 = 8.0;
/// What a sample must exceed to add to the sum, in deviations.
const SLACK: f64 = 1.0;
/// What one sample counts at most, in deviations.
const CLIP: f64 = 3.0;
/// The sum never exceeds this, so that the end of a rise is seen.
const CAP: f64 = 2.0 * ALARM;
/// Samples as usual that end the highest sum's alarm.
pub const LONGEST_END: u32 = ((CAP - ALARM / 2.0) / SLACK) as u32;
/// The smallest deviation of ln(round trip): about 5 %.
const LEAST_DEVIATION: f64 = 0.05;
/// A rise below this factor never alarms: ln 1.25.
const LEAST_RISE: f64 = 0.223_143_551_314_209_76;
/// The share by which the rise follows the newest sample.
const SMOOTHING: f64 = 1.0 / 3.0;
/// The time after which an old sample counts half.
const HALF_LIFE: f64 = 1800.0;
/// Samples before anything is said.
const LEARNING: u32 = 10;
/// A rise that lasts this long is the new normal.
const ACCEPTED: f64 = 3600.0;
/// A pause counts for this long at most in the baseline.
const LONGEST: f64 = 300.0;

/// The baseline of one endpoint and the sum above it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cusum {
    seen: u32,
    mean: f64,
    variance: f64,
    sum: f64,
    rise: f64,
    risen_for: f64,
    alarms: bool,
}

impl Cusum {
    /// Takes a round trip, `elapsed` after the one before.
    pub fn observe(&mut self, round_trip: Duration, elapsed: Duration) {
        let x = round_trip.as_secs_f64().max(1e-6).ln();
        let elapsed = elapsed.as_secs_f64().min(LONGEST);
        self.seen = self.seen.saturating_add(1);
        if self.seen > LEARNING {
            let rise = x - self.mean;
            self.rise += SMOOTHING * (rise - self.rise);
            let z = (rise / self.deviation()).clamp(-CLIP, CLIP);
            self.sum = (self.sum + z - SLACK).clamp(0.0, CAP);
            self.alarms = if self.alarms { self.sum > ALARM / 2.0 } else { self.sum > ALARM && self.rise > LEAST_RISE };
            self.risen_for = if self.alarms { self.risen_for + elapsed } else { 0.0 };
        }
        if self.risen_for > ACCEPTED {
            *self = Self::default();
        } else if self.sum <= ALARM / 2.0 || !(self.alarms || self.rise > LEAST_RISE) {
            self.learn(x, elapsed);
        }
    }

    /// Nothing speaks for a rise any more; what is usual stays known.
    pub fn relent(&mut self) {
        (self.sum, self.rise, self.risen_for, self.alarms) = (0.0, 0.0, 0.0, false);
    }

    /// A running mean at first, then an exponentially weighted one.
    fn learn(&mut self, x: f64, elapsed: f64) {
        let weight =
            (1.0 - (-elapsed / HALF_LIFE * std::f64::consts::LN_2).exp()).max(1.0 / f64::from(self.seen.max(1)));
        let weight = weight.clamp(0.0, 1.0);
        let off = x - self.mean;
        let clipped = off.clamp(-CLIP * self.deviation(), CLIP * self.deviation());
        let off = if self.seen > LEARNING { clipped } else { off };
        self.variance = if self.seen == 1 { 0.0 } else { (1.0 - weight) * (self.variance + weight * off * off) };
        self.mean = if self.seen == 1 { x } else { self.mean + weight * off };
    }

    fn deviation(&self) -> f64 {
        self.variance.sqrt().max(LEAST_DEVIATION)
    }

    /// Whether the round trip rose.
    pub fn is_alarm(&self) -> bool {
        self.alarms
    }

    /// The sum over its threshold: from 1 on there is an alarm, at most 2; `None` while it learns.
    pub fn ratio(&self) -> Option<f64> {
        let ratio = self.sum / ALARM;
        (self.seen >= LEARNING).then(|| if self.is_alarm() { ratio.max(1.0) } else { ratio.min(0.999) })
    }

    /// The baseline round trip; `None` before the first.
    pub fn baseline(&self) -> Option<Duration> {
        (self.seen > 0).then(|| Duration::from_secs_f64(self.mean.exp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    const ROUND: Duration = Duration::from_secs(30);

    /// Feeds round trips of 10 ms with 10 % noise times `factor`, and returns the first round that alarms.
    fn first_alarm(rounds: usize, factor: impl Fn(usize) -> f64) -> Option<usize> {
        let mut rng = StdRng::from_seed([7; 32]);
        let mut cusum = Cusum::default();
        (0..rounds).find(|round| {
            let noise = 1.0 + 0.1 * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
            cusum.observe(Duration::from_secs_f64(0.01 * noise * factor(*round)), ROUND);
            cusum.is_alarm()
        })
    }

    #[test]
    fn a_step_of_a_half_is_seen_within_six_samples() {
        let seen = first_alarm(300, |round| if round < 200 { 1.0 } else { 1.5 });
        assert!(seen.is_some_and(|round| (203..=206).contains(&round)), "{seen:?}");
    }

    #[test]
    fn a_creep_of_one_percent_a_sample_is_seen() {
        let seen = first_alarm(400, |round| 1.01f64.powi(round.saturating_sub(200) as i32));
        assert!(seen.is_some_and(|round| round < 260), "{seen:?}");
    }

    #[test]
    fn the_swing_of_a_day_does_not_alarm() {
        let swing = |round: usize| 1.0 + 0.6 * (round as f64 / 2880.0 * std::f64::consts::TAU).sin();
        assert_eq!(first_alarm(5 * 2880, swing), None);
    }

    #[test]
    fn a_level_at_the_threshold_does_not_begin_and_end_again_and_again() {
        for percent in 105..150 {
            let mut rng = StdRng::from_seed([9; 32]);
            let mut cusum = Cusum::default();
            let alarms = |round: usize| {
                let noise = 1.0 + 0.1 * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
                let factor = if round < 200 { 1.0 } else { f64::from(percent) / 100.0 };
                cusum.observe(Duration::from_secs_f64(0.01 * noise * factor), ROUND);
                cusum.is_alarm()
            };
            let alarms: Vec<bool> = (0..440).map(alarms).collect();
            let begun = alarms.windows(2).filter(|pair| !pair[0] && pair[1]).count();
            assert!(begun <= 1, "{begun} times within two hours at {percent} %");
        }
    }

    #[test]
    fn thirty_quiet_days_do_not_alarm() {
        assert_eq!(first_alarm(30 * 2880, |_| 1.0), None);
    }

    #[test]
    fn a_rise_that_lasts_becomes_the_normal() {
        let mut cusum = Cusum::default();
        (0..100).for_each(|_| cusum.observe(Duration::from_millis(10), ROUND));
        (0..20).for_each(|_| cusum.observe(Duration::from_millis(30), ROUND));
        assert!(cusum.is_alarm() && cusum.ratio().is_some_and(|ratio| (1.0..=2.0).contains(&ratio)));
        (0..160).for_each(|_| cusum.observe(Duration::from_millis(30), ROUND));
        assert!(!cusum.is_alarm());
        assert!(cusum.baseline().is_some_and(|base| base.as_millis() >= 29), "{:?}", cusum.baseline());
    }

    proptest! {
        #[test]
        fn three_samples_whatever_they_are_never_alarm(odd in proptest::collection::vec(1u64..60_000_000, 1..4)) {
            let mut cusum = Cusum::default();
            (0..100).for_each(|_| cusum.observe(Duration::from_millis(10), ROUND));
            for micros in odd {
                cusum.observe(Duration::from_micros(micros), ROUND);
                prop_assert!(!cusum.is_alarm());
                prop_assert!(cusum.ratio().is_some_and(|ratio| (0.0..1.0).contains(&ratio)));
            }
        }
    }
}
