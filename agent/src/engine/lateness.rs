//! How late visits began, and for how long they waited for room: the loop's own delay and the bounds' doing, apart.

use std::time::{Duration, Instant};

use crate::engine::histogram::Histogram;

/// The window over which the largest value is reported is between one and two of these.
const WINDOW: Duration = Duration::from_secs(30);

/// What the schedule says of its own punctuality.
#[derive(Clone, Debug)]
pub struct Lateness {
    lag: Largest,
    wait: Largest,
    lags: Histogram,
}

impl Lateness {
    /// Nothing began yet.
    pub fn new(now: Instant) -> Self {
        Self { lag: Largest::new(now), wait: Largest::new(now), lags: Histogram::default() }
    }

    /// Takes in a visit that begins `now`. It was `due`, and there was `room` for it since then.
    pub fn observe(&mut self, now: Instant, due: Instant, room: Instant) -> Duration {
        let late = now.saturating_duration_since(due.max(room));
        self.lag.observe(now, late);
        self.wait.observe(now, room.saturating_duration_since(due));
        self.lags.observe(late);
        late
    }

    /// The largest delay of the loop itself in the last half to full minute: due and room for it, but not begun.
    pub fn lag(&self, now: Instant) -> Duration {
        self.lag.value(now)
    }

    /// The longest wait for room in the last half to full minute.
    pub fn wait(&self, now: Instant) -> Duration {
        self.wait.value(now)
    }

    /// Every delay of the loop since the start.
    pub fn lags(&self) -> &Histogram {
        &self.lags
    }
}

/// The largest value over the current and the previous window.
#[derive(Clone, Debug)]
struct Largest {
    began: Instant,
    current: Duration,
    previous: Duration,
}

impl Largest {
    fn new(now: Instant) -> Self {
        Self { began: now, current: Duration::ZERO, previous: Duration::ZERO }
    }

    fn observe(&mut self, now: Instant, value: Duration) {
        let windows = self.windows(now);
        if windows > 0 {
            self.previous = if windows == 1 { self.current } else { Duration::ZERO };
            // The next window follows this one without a gap, however late in it the first visit begins.
            let began = if windows == 1 { self.began + WINDOW } else { now };
            (self.current, self.began) = (Duration::ZERO, began);
        }
        self.current = self.current.max(value);
    }

    /// It is forgotten also where nothing begins for longer than a window.
    fn value(&self, now: Instant) -> Duration {
        match self.windows(now) {
            0 => self.current.max(self.previous),
            1 => self.current,
            _ => Duration::ZERO,
        }
    }

    /// How many windows are over since the current one began.
    fn windows(&self, now: Instant) -> u128 {
        now.saturating_duration_since(self.began).as_nanos() / WINDOW.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waiting_for_room_is_not_lateness() {
        let start = ase_probes::clock::now();
        let mut lateness = Lateness::new(start);
        assert_eq!(lateness.observe(start + 5 * SECOND, start, start + 5 * SECOND), Duration::ZERO);
        let (five, six) = (start + 5 * SECOND, start + 6 * SECOND);
        assert_eq!((lateness.lag(five), lateness.wait(five)), (Duration::ZERO, 5 * SECOND));
        assert_eq!(lateness.observe(start + 6 * SECOND, start + 4 * SECOND, start + 3 * SECOND), 2 * SECOND);
        assert_eq!((lateness.lag(six), lateness.lags().count()), (2 * SECOND, 2));
    }

    #[test]
    fn what_was_late_is_forgotten_after_two_windows() {
        let start = ase_probes::clock::now();
        let mut lateness = Lateness::new(start);
        let _late = lateness.observe(start + SECOND, start, start);
        let _on_time = lateness.observe(start + WINDOW, start + WINDOW, start);
        assert_eq!(lateness.lag(start + WINDOW), SECOND, "the window before still counts");
        let _on_time = lateness.observe(start + 3 * WINDOW, start + 3 * WINDOW, start);
        assert_eq!(lateness.lag(start + 3 * WINDOW), Duration::ZERO);
    }

    #[test]
    fn what_was_late_is_forgotten_also_where_no_visit_begins() {
        let start = ase_probes::clock::now();
        let mut lateness = Lateness::new(start);
        let _late = lateness.observe(start + SECOND, start, start);
        let lags = [1, 29, 30, 59, 60, 90].map(|second| lateness.lag(start + second * SECOND));
        assert_eq!(lags, [SECOND, SECOND, SECOND, SECOND, Duration::ZERO, Duration::ZERO]);
    }

    proptest::proptest! {
        #[test]
        fn the_largest_is_that_of_the_last_half_to_full_minute_however_seldom_visits_begin(
            visits in proptest::collection::vec((0u64..90_000, 0u64..5_000), 1..40), later in 0u64..90_000,
        ) {
            let millis = Duration::from_millis;
            let start = ase_probes::clock::now();
            let (mut largest, mut all, mut now) = (Largest::new(start), Vec::new(), start);
            for (pause, value) in visits {
                now += millis(pause);
                largest.observe(now, millis(value));
                all.push((now, millis(value)));
            }
            now += millis(later);
            let within = |span: Duration| {
                let recent = all.iter().filter(|(at, _)| now.duration_since(*at) < span);
                recent.map(|(_, value)| *value).max().unwrap_or_default()
            };
            let told = largest.value(now);
            proptest::prop_assert!(told >= within(WINDOW) && told <= within(2 * WINDOW), "{told:?}");
        }
    }
}
