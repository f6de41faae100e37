//! How much answered, in bars: each stands for a part of a span of time from an hour to thirty days, and holds endpoint-seconds.
//! It is told and reads no clock.

use std::{collections::VecDeque, time::Duration};

/// How far back the bars of a day reach.
pub const REACH: Duration = SPANS[DAY];
/// How far back incidents reach.
pub const PAST: Duration = SPANS[SPANS.len() - 1];
/// The spans of the timeline: an hour, 6 hours, a day, 7 and 30 days.
pub(super) const SPANS: [Duration; 5] = [hours(1), hours(6), hours(24), hours(7 * 24), hours(30 * 24)];
/// The place of the day among them.
const DAY: usize = 2;
/// Bars in each span: one for each quarter of an hour of a day.
pub(super) const BARS: u64 = 96;
/// What one bar of a day stands for.
pub(super) const BAR: Duration = Duration::from_secs(REACH.as_secs() / BARS);

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// Endpoint-seconds of one bar.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bar {
    /// The bar's number since the Unix epoch.
    pub(super) number: u64,
    /// Endpoint-seconds in which endpoints answered.
    pub(super) good: f64,
    /// Endpoint-seconds in which they did not.
    pub(super) bad: f64,
    /// Endpoint-seconds in which nobody could judge them.
    pub(super) dark: f64,
}

impl Bar {
    /// Whether for the most part nobody could judge.
    pub(super) fn is_dark(&self) -> bool {
        self.dark > self.good + self.bad
    }
}

/// How endpoints did in a stretch of time, in endpoint-seconds, or in each of its seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Did {
    pub(super) good: f64,
    pub(super) bad: f64,
    pub(super) dark: f64,
}

impl Did {
    /// What one endpoint did in each second by the word for its result.
    pub(super) fn of(result: &str) -> Self {
        match result {
            "unknown" => Self { dark: 1.0, ..Self::default() },
            "failed" => Self { bad: 1.0, ..Self::default() },
            _ => Self { good: 1.0, ..Self::default() },
        }
    }

    /// What so many seconds like this one come to.
    fn times(self, seconds: f64) -> Self {
        Self { good: self.good * seconds, bad: self.bad * seconds, dark: self.dark * seconds }
    }
}

/// Bars, the oldest first; those of which nothing is known are left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bars {
    /// What one stands for.
    every: Duration,
    /// Those that are known.
    pub(super) bars: VecDeque<Bar>,
}

impl Default for Bars {
    /// Those of a day.
    fn default() -> Self {
        Self { every: BAR, bars: VecDeque::new() }
    }
}

impl Bars {
    /// The number of the bar of a moment since the Unix epoch, and when a bar begins.
    fn number(&self, at: Duration) -> u64 {
        u64::try_from(at.as_millis() / self.every.as_millis()).unwrap_or(u64::MAX)
    }

    fn began(&self, number: u64) -> Duration {
        self.every * u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Adds seconds that began at this moment, to the bar of that moment.
    pub(super) fn add(&mut self, at: Duration, did: Did) {
        let number = self.number(at);
        let place = self.bars.partition_point(|bar| bar.number < number);
        if self.bars.get(place).is_none_or(|bar| bar.number != number) {
            self.bars.insert(place, Bar { number, ..Bar::default() });
        }
        let bar = &mut self.bars[place];
        (bar.good, bar.bad, bar.dark) = (bar.good + did.good, bar.bad + did.bad, bar.dark + did.dark);
        while self.bars.len() > BARS as usize {
            self.bars.pop_front();
        }
    }

    /// Adds a stretch in each second of which endpoints did this, cut where bars begin.
    pub(super) fn add_stretch(&mut self, from: Duration, to: Duration, did: Did) {
        let mut at = from;
        while at < to {
            let end = self.began(self.number(at) + 1).min(to);
            self.add(at, did.times(end.saturating_sub(at).as_secs_f64()));
            at = end;
        }
    }

    /// When the first bar began that is not over a whole day before `now`.
    pub(super) fn first_within_a_day(&self, now: Duration) -> Option<Duration> {
        self.bars.iter().map(|bar| self.began(bar.number)).find(|began| *began + REACH > now)
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }

    /// When the bar at a place begins, where the last place is the bar of `now`.
    pub(super) fn begins(&self, place: u64, now: Duration) -> Duration {
        self.began((self.number(now) + 1 + place).saturating_sub(BARS))
    }

    /// Each bar that is known, with its place from the left: the last place is the bar of `now`.
    pub(super) fn placed(&self, now: Duration) -> impl Iterator<Item = (u64, &Bar)> {
        let first = (self.number(now) + 1).saturating_sub(BARS);
        self.bars
            .iter()
            .filter_map(move |bar| Some((bar.number.checked_sub(first)?, bar)))
            .filter(|(place, _)| *place < BARS)
    }

    /// The share that answered; `None` while nothing is known.
    pub(super) fn share(&self, now: Duration) -> Option<f64> {
        let (good, bad) = self.placed(now).fold((0.0, 0.0), |(good, bad), (_, bar)| (good + bar.good, bad + bar.bad));
        (good + bad > 0.0).then(|| good / (good + bad))
    }
}

/// The bars of each of the [`SPANS`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spans([Bars; SPANS.len()]);

impl Default for Spans {
    fn default() -> Self {
        Self(SPANS.map(|span| Bars { every: span / BARS as u32, bars: VecDeque::new() }))
    }
}

impl Spans {
    /// Adds a stretch in each second of which endpoints did this.
    pub(super) fn add_stretch(&mut self, from: Duration, to: Duration, did: Did) {
        self.0.iter_mut().for_each(|bars| bars.add_stretch(from, to, did));
    }

    /// Adds the bars of others.
    pub(super) fn join(&mut self, others: Self) {
        for (bars, others) in self.0.iter_mut().zip(others.0) {
            for Bar { number, good, bad, dark } in others.bars {
                bars.add(bars.began(number), Did { good, bad, dark });
            }
        }
    }

    /// Those of the last day.
    pub(super) fn day(&self) -> &Bars {
        &self.0[DAY]
    }

    /// Those of the span at this place among the [`SPANS`].
    pub(super) fn at(&self, span: usize) -> Option<&Bars> {
        self.0.get(span)
    }
}
