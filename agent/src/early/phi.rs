//! φ-accrual: how surprising the silence since the last success is, given how successes used to come. Pure.
//!
//! φ = −log₁₀ P(gap > t) with a normal fit of the last gaps (Hayashibara et al., "The φ accrual failure detector",
//! 2004), of the time in which one endpoint succeeds 200 times: a class of many endpoints remembers more gaps and no less
//! time. φ = 8 means that a silence this long comes once in 10⁸ gaps while all is well. Gaps that were already
//! suspected belong to a failure, not to the rhythm, and are not learned. Time in which nothing could be tested is no
//! silence.

use std::time::Duration;

use super::parts::Parts;

/// φ from here on is a suspicion.
pub const SUSPECT: f64 = 8.0;
/// Expected intervals whose gaps are remembered.
const INTERVALS: f64 = 200.0;
/// The deviation is at least this share of the expected interval, so that a steady rhythm forgives a late visit.
const LEAST_DEVIATION: f64 = 0.25;

/// Gaps, summed up: their number, seconds and squares of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Gaps {
    count: f64,
    seconds: f64,
    squares: f64,
}

/// The rhythm of successes. Times are those of one monotonic clock, from any beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Phi {
    expected: f64,
    gaps: Parts<Gaps>,
    last: Option<Duration>,
}

impl Phi {
    /// Nothing succeeded yet; a success is expected every `expected`.
    pub fn new(expected: Duration) -> Self {
        Self { expected: expected.as_secs_f64().max(0.001), gaps: Parts::default(), last: None }
    }

    /// Takes another expected interval; the rhythm so far is kept.
    pub fn expect(&mut self, expected: Duration) {
        self.expected = expected.as_secs_f64().max(0.001);
    }

    /// Notes a success.
    pub fn success(&mut self, now: Duration) {
        if let (Some(last), Some(phi)) = (self.last, self.phi(now))
            && phi < SUSPECT
        {
            let gap = now.saturating_sub(last).as_secs_f64();
            let gaps = self.gaps.at(now, Duration::from_secs_f64(self.expected * INTERVALS));
            gaps.count += 1.0;
            gaps.seconds += gap;
            gaps.squares += gap * gap;
        }
        self.last = self.last.max(Some(now));
    }

    /// Notes that nothing could be tested for this long.
    pub fn forgive(&mut self, untested: Duration, now: Duration) {
        self.last = self.last.map(|last| last.saturating_add(untested).min(now));
    }

    /// The suspicion at this moment; `None` before the first success.
    pub fn phi(&self, now: Duration) -> Option<f64> {
        let silence = now.saturating_sub(self.last?).as_secs_f64();
        let (mean, deviation) = self.rhythm();
        Some(-log10_tail((silence - mean) / deviation))
    }

    fn rhythm(&self) -> (f64, f64) {
        let sum = |of: fn(&Gaps) -> f64| self.gaps.iter().map(of).sum::<f64>();
        let count = sum(|gaps| gaps.count);
        let (mean, spread) = if count == 0.0 {
            (self.expected, 0.0)
        } else {
            let mean = sum(|gaps| gaps.seconds) / count;
            (mean, (sum(|gaps| gaps.squares) / count - mean * mean).max(0.0).sqrt())
        };
        (mean, spread.max(self.expected * LEAST_DEVIATION))
    }
}

/// The decimal logarithm of the upper tail of the standard normal distribution. Abramowitz and Stegun 26.2.17 near the
/// middle (error below 7.5e-8), the continued fraction 26.2.14 in the tail, where the logarithm must not underflow.
fn log10_tail(z: f64) -> f64 {
    let log_density = -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln();
    if z > 3.0 {
        let fraction = (1..=40).rev().fold(z, |below, term| z + f64::from(term) / below);
        return (log_density - fraction.ln()) / std::f64::consts::LN_10;
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = log_density.exp() * polynomial;
    let upper = if z < 0.0 { 1.0 - tail } else { tail };
    upper.log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn steady(successes: u32, every: Duration) -> (Phi, Duration) {
        let mut phi = Phi::new(every);
        (0..successes).for_each(|n| phi.success(every * n));
        (phi, every * (successes - 1))
    }

    #[test]
    fn the_tail_is_that_of_the_normal_distribution() {
        let rows = [
            (0.0, 0.5),
            (1.0, 0.158_655_25),
            (2.9, 1.865_813e-3),
            (3.1, 9.676_03e-4),
            (5.612, 1e-8),
            (-1.0, 0.841_344_75),
        ];
        for (z, tail) in rows {
            assert!((log10_tail(z) - f64::log10(tail)).abs() < 2e-3, "{z}: {}", log10_tail(z));
        }
        assert!(log10_tail(200.0) < -8000.0);
    }

    #[test]
    fn a_silence_of_three_intervals_is_suspect_and_one_late_visit_is_not() {
        let (phi, last) = steady(50, 30 * SECOND);
        assert!(phi.phi(last + 45 * SECOND).is_some_and(|phi| phi < 3.0));
        assert!(phi.phi(last + 90 * SECOND).is_some_and(|phi| phi >= SUSPECT));
    }

    #[test]
    fn before_the_first_success_there_is_nothing_to_suspect() {
        assert_eq!(Phi::new(SECOND).phi(1000 * SECOND), None);
    }

    #[test]
    fn a_long_outage_does_not_teach_patience() {
        let (mut phi, last) = steady(50, 30 * SECOND);
        let back = last + 7200 * SECOND;
        phi.success(back);
        assert!(phi.phi(back + 90 * SECOND).is_some_and(|phi| phi >= SUSPECT));
    }

    #[test]
    fn a_rhythm_is_not_forgotten_sooner_because_successes_come_faster() {
        let (mut phi, mut now) = steady(100, 30 * SECOND);
        for _ in 0..600 {
            now += SECOND;
            phi.success(now);
        }
        assert!(phi.phi(now + 50 * SECOND).is_some_and(|phi| phi < SUSPECT), "ten minutes ago each gap was of 30 s");
        for _ in 0..2 * 3600 {
            now += SECOND;
            phi.success(now);
        }
        assert!(phi.phi(now + 50 * SECOND).is_some_and(|phi| phi >= SUSPECT), "two hours ago they were");
    }

    #[test]
    fn untested_time_is_no_silence() {
        let (mut phi, last) = steady(50, 30 * SECOND);
        for round in 1..=20u32 {
            phi.forgive(30 * SECOND, last + round * 30 * SECOND);
        }
        assert!(phi.phi(last + 620 * SECOND).is_some_and(|phi| phi < 1.0));
    }

    proptest! {
        #[test]
        fn suspicion_only_grows_while_nothing_succeeds(
            gaps in proptest::collection::vec(1u64..120, 1..300), waits in proptest::collection::vec(1u64..1000, 2..20),
        ) {
            let mut phi = Phi::new(30 * SECOND);
            let mut now = Duration::ZERO;
            for gap in gaps {
                now += Duration::from_secs(gap);
                phi.success(now);
            }
            let mut before = 0.0;
            for wait in waits {
                now += Duration::from_secs(wait);
                let after = phi.phi(now).expect("something succeeded");
                prop_assert!(after.is_finite() && after >= before - 1e-6, "{before} then {after}");
                before = after;
            }
        }
    }
}
