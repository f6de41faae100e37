//! Counts of the last minutes, kept by time and not by number: they mean the same at one visit a second and at thousands.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// What happened longer ago than this is forgotten: six visits at the default interval of 30 s, so that a pattern can
/// show, and short enough that what was repaired is soon forgotten.
pub const SPAN: Duration = Duration::from_secs(180);
/// Events that are this close are counted together. Forgetting is this coarse, and a window has at most 37 such parts.
const STEP: Duration = Duration::from_secs(5);

/// How often what happened within the last [`SPAN`].
#[derive(Clone, Debug)]
pub struct SlidingWindow<K> {
    parts: VecDeque<(Instant, BTreeMap<K, u64>)>,
    total: BTreeMap<K, u64>,
    sum: u64,
    last: Option<Instant>,
}

impl<K> Default for SlidingWindow<K> {
    fn default() -> Self {
        Self { parts: VecDeque::new(), total: BTreeMap::new(), sum: 0, last: None }
    }
}

impl<K: Copy + Ord> SlidingWindow<K> {
    /// Counts something.
    pub fn add(&mut self, what: K, count: u64, now: Instant) {
        self.elapse(now);
        if count == 0 {
            return;
        }
        if self.parts.back().is_none_or(|(began, _)| now.duration_since(*began) >= STEP) {
            self.parts.push_back((now, BTreeMap::new()));
        }
        if let Some((_, part)) = self.parts.back_mut() {
            *part.entry(what).or_default() += count;
        }
        *self.total.entry(what).or_default() += count;
        self.sum += count;
        self.last = Some(now);
    }

    /// Forgets what is too long ago.
    pub fn elapse(&mut self, now: Instant) {
        while self.parts.front().is_some_and(|(began, _)| now.duration_since(*began) > SPAN) {
            let part = self.parts.pop_front().map(|(_, part)| part);
            part.into_iter().flatten().for_each(|(what, count)| self.subtract(what, count));
        }
    }

    fn subtract(&mut self, what: K, count: u64) {
        self.sum -= count;
        if let Some(total) = self.total.get_mut(&what) {
            *total -= count;
            if *total == 0 {
                self.total.remove(&what);
            }
        }
    }

    /// How often something happened.
    pub fn get(&self, what: K) -> u64 {
        self.total.get(&what).copied().unwrap_or_default()
    }

    /// Everything that happened.
    pub fn each(&self) -> impl Iterator<Item = K> {
        self.total.keys().copied()
    }

    /// How many different things happened.
    pub fn kinds(&self) -> usize {
        self.total.len()
    }

    /// How often anything happened.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The time between the first and the last event that are remembered.
    pub fn length(&self) -> Duration {
        let first = self.parts.front().map(|(began, _)| *began);
        first.zip(self.last).map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }

    /// The same for things under other names; those without a new name are forgotten.
    pub fn renamed(self, rename: impl Fn(K) -> Option<K>) -> Self {
        let renamed = |known: BTreeMap<K, u64>| {
            known.into_iter().filter_map(|(what, count)| Some((rename(what)?, count))).collect::<BTreeMap<K, u64>>()
        };
        let total = renamed(self.total);
        let parts = self.parts.into_iter().map(|(began, part)| (began, renamed(part)));
        Self { parts: parts.collect(), sum: total.values().sum(), total, last: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_window_counts_what_happened_within_its_span(
            steps in proptest::collection::vec((0u64..20, 0u8..4, 0u64..3), 1..80),
        ) {
            let start = ase_probes::clock::now();
            let (mut window, mut all, mut now) = (SlidingWindow::default(), Vec::new(), start);
            for (pause, what, count) in steps {
                now += Duration::from_secs(pause);
                window.add(what, count, now);
                all.push((now, what, count));
            }
            for what in 0..4 {
                let within = |span: Duration| -> u64 {
                    let recent = all.iter().filter(|(at, who, _)| *who == what && now.duration_since(*at) <= span);
                    recent.map(|(_, _, count)| count).sum()
                };
                // Forgetting is as coarse as a part is long, and a part may go up to one step early.
                proptest::prop_assert!((within(SPAN - STEP)..=within(SPAN)).contains(&window.get(what)));
            }
            proptest::prop_assert_eq!(window.sum(), (0..4).map(|what| window.get(what)).sum::<u64>());
            proptest::prop_assert_eq!(window.kinds(), (0..4).filter(|what| window.get(*what) > 0).count());
            proptest::prop_assert!(window.parts.len() <= 38, "bounded by time: {}", window.parts.len());
        }
    }
}
