//! Burn rate: how fast a class spends its budget of lost time, over several windows at once. Pure; it is told how much
//! of the class was lost and how much time passed.
//!
//! The windows and factors are those of the Site Reliability Workbook, chapter 5, section 6 (multiwindow,
//! multi-burn-rate alerts). Probes are few compared with a service's requests, so the objective is 99.5 % rather than
//! 99.9 %: with a sample every 30 s, two bad ones in an hour must not alert. Time that was not observed counts as not
//! lost, so a start during an outage does not read as a burnt budget.

use std::time::Duration;

/// The share of time in which a class is meant to work.
pub const OBJECTIVE: f64 = 0.995;
/// Parts of a window that are forgotten one by one.
const PARTS: usize = 60;
/// A pause of the machine counts for this long at most: three default intervals.
const LONGEST: Duration = Duration::from_secs(90);

/// A window of time that is looked back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// Five minutes.
    FiveMinutes,
    /// Half an hour.
    HalfHour,
    /// An hour.
    Hour,
    /// Six hours.
    SixHours,
    /// Three days.
    ThreeDays,
}

impl Window {
    /// Every window, the shortest first.
    pub const ALL: [Self; 5] = [Self::FiveMinutes, Self::HalfHour, Self::Hour, Self::SixHours, Self::ThreeDays];

    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::HalfHour => "30m",
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::ThreeDays => "3d",
        }
    }

    /// Its length.
    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::FiveMinutes => 300,
            Self::HalfHour => 1800,
            Self::Hour => 3600,
            Self::SixHours => 6 * 3600,
            Self::ThreeDays => 72 * 3600,
        })
    }
}

/// Two windows that must burn at once: the long one shows that it matters, the short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pair {
    /// 1 h and 5 min at 14.4: 2 % of a 30-day budget in an hour.
    Fast,
    /// 6 h and 30 min at 6: 5 % in six hours.
    Medium,
    /// 3 d and 6 h at 1: 10 % in three days.
    Slow,
}

impl Pair {
    /// Every pair, the fastest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Medium, Self::Slow];

    /// The long window, the short one, and the burn rate that both must exceed.
    pub fn rule(self) -> (Window, Window, f64) {
        match self {
            Self::Fast => (Window::Hour, Window::FiveMinutes, 14.4),
            Self::Medium => (Window::SixHours, Window::HalfHour, 6.0),
            Self::Slow => (Window::ThreeDays, Window::SixHours, 1.0),
        }
    }
}

/// Lost seconds of one window, in parts.
#[derive(Clone, Debug, PartialEq)]
struct Ring {
    part: f64,
    lost: [f32; PARTS],
    newest: usize,
    into_newest: f64,
}

impl Ring {
    fn new(window: Window) -> Self {
        Self { part: window.length().as_secs_f64() / PARTS as f64, lost: [0.0; PARTS], newest: 0, into_newest: 0.0 }
    }

    /// Lets time pass in which this share was lost. Each part gets what was lost in it, so that a window never holds more
    /// than its length.
    fn pass(&mut self, seconds: f64, loss: f64) {
        // A pause as long as the window leaves nothing of what was before.
        let mut left = seconds.min(self.part * PARTS as f64);
        while left > 0.0 {
            let taken = left.min(self.part - self.into_newest);
            self.lost[self.newest] += (taken * loss) as f32;
            self.into_newest += taken;
            left -= taken;
            if self.into_newest >= self.part {
                self.newest = (self.newest + 1) % PARTS;
                self.lost[self.newest] = 0.0;
                self.into_newest = 0.0;
            }
        }
    }
}

/// The burn rates of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct BurnRate {
    rings: [Ring; Window::ALL.len()],
}

impl Default for BurnRate {
    fn default() -> Self {
        Self { rings: Window::ALL.map(Ring::new) }
    }
}

impl BurnRate {
    /// Lets `elapsed` pass in which this share of the class was lost; `None` while nothing could be tested.
    pub fn step(&mut self, loss: Option<f64>, elapsed: Duration) {
        let observed = elapsed.min(LONGEST);
        for ring in &mut self.rings {
            ring.pass((elapsed - observed).as_secs_f64(), 0.0);
            ring.pass(observed.as_secs_f64(), loss.unwrap_or(0.0).clamp(0.0, 1.0));
        }
    }

    /// The share of the window that was lost over the share that may be lost: 1 spends the budget exactly.
    pub fn rate(&self, window: Window) -> f64 {
        let lost: f64 = self.rings[window as usize].lost.iter().map(|lost| f64::from(*lost)).sum();
        lost / window.length().as_secs_f64() / (1.0 - OBJECTIVE)
    }

    /// Every rate, in the order of [`Window::ALL`].
    pub fn rates(&self) -> [f64; Window::ALL.len()] {
        Window::ALL.map(|window| self.rate(window))
    }

    /// The fastest pair of windows that both burn.
    pub fn alarm(&self) -> Option<Pair> {
        alarm(&self.rates())
    }
}

/// The fastest pair of windows that both burn, of rates in the order of [`Window::ALL`].
pub fn alarm(rates: &[f64; Window::ALL.len()]) -> Option<Pair> {
    Pair::ALL.into_iter().find(|pair| {
        let (long, short, factor) = pair.rule();
        rates[long as usize] > factor && rates[short as usize] > factor
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUND: Duration = Duration::from_secs(30);

    fn after(rounds: usize, lost: impl Fn(usize) -> bool) -> Option<usize> {
        let mut burn = BurnRate::default();
        (0..rounds).find(|round| {
            burn.step(Some(f64::from(u8::from(lost(*round)))), ROUND);
            burn.alarm().is_some()
        })
    }

    #[test]
    fn a_whole_loss_alarms_after_nine_rounds_and_a_flap_after_eighteen() {
        assert_eq!(after(200, |_| true), Some(8));
        assert!(after(200, |round| round % 4 < 2).is_some_and(|round| round <= 18));
    }

    #[test]
    fn eight_lost_rounds_of_an_hour_do_not_alarm() {
        assert_eq!(after(2000, |round| round % 120 < 8 && round < 120), None);
    }

    #[test]
    fn what_left_the_window_is_forgotten() {
        let mut burn = BurnRate::default();
        (0..10).for_each(|_| burn.step(Some(1.0), ROUND));
        assert!((burn.rate(Window::FiveMinutes) - 200.0).abs() < 4.0, "{:?}", burn.rates());
        (0..10).for_each(|_| burn.step(Some(0.0), ROUND));
        assert_eq!(burn.rate(Window::FiveMinutes), 0.0);
        assert!(burn.rate(Window::Hour) > 14.4);
        burn.step(None, Duration::from_secs(4 * 24 * 3600));
        assert_eq!(burn.rates(), [0.0; 5]);
    }

    #[test]
    fn steps_that_straddle_the_edge_of_a_window_lose_no_more_than_it_has() {
        let mut burn = BurnRate::default();
        for seconds in [83, 89, 90, 88, 90, 90] {
            burn.step(Some(1.0), Duration::from_secs(seconds));
            let rate = burn.rate(Window::FiveMinutes);
            assert!(rate <= 200.0 + 1e-3, "{rate} of 200 after {seconds} s more");
        }
    }

    proptest! {
        #[test]
        fn rates_are_bounded_and_untested_time_burns_nothing(
            steps in proptest::collection::vec((proptest::option::of(0.0..=1.0f64), 1u64..600), 1..200),
        ) {
            let mut burn = BurnRate::default();
            for (loss, seconds) in steps {
                let before = burn.rates();
                burn.step(loss, Duration::from_secs(seconds));
                for (old, new) in before.iter().zip(burn.rates()) {
                    prop_assert!((0.0..=200.0 + 1e-3).contains(&new), "{new}");
                    prop_assert!(loss.is_some_and(|loss| loss > 0.0) || new <= old + 1e-6);
                }
            }
        }
    }
}
