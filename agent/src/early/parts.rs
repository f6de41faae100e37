//! Sums over a window of time, in parts: a window holds as much time at one sample a second as at one a minute, and its memory
//! does not grow with their number. Pure.

use std::{collections::VecDeque, time::Duration};

/// Parts that a window has: forgetting is so coarse.
pub const PARTS: u32 = 60;

/// The parts of a window, each with when it began, the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts<T> {
    parts: VecDeque<(Duration, T)>,
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self { parts: VecDeque::new() }
    }
}

impl<T: Default> Parts<T> {
    /// The part that a sample of this moment belongs to. What a window of this length does not reach is forgotten.
    pub fn at(&mut self, now: Duration, window: Duration) -> &mut T {
        while self.parts.front().is_some_and(|(began, _)| now.saturating_sub(*began) > window) {
            self.parts.pop_front();
        }
        if self.parts.back().is_none_or(|(began, _)| now.saturating_sub(*began) >= window / PARTS) {
            self.parts.push_back((now, T::default()));
        }
        let last = self.parts.len() - 1;
        &mut self.parts[last].1
    }

    /// Every part.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.parts.iter().map(|(_, part)| part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(3600);

    proptest::proptest! {
        #[test]
        fn a_window_holds_its_time_whatever_the_rate(pauses in proptest::collection::vec(1u64..300_000, 1..2000)) {
            let (mut parts, mut now, mut all) = (Parts::<u32>::default(), Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                *parts.at(now, WINDOW) += 1;
                all.push(now);
            }
            let within = |window: Duration| all.iter().filter(|at| now - **at <= window).count() as u32;
            // Forgetting is as coarse as a part is long.
            let held = parts.iter().sum::<u32>();
            proptest::prop_assert!((within(WINDOW - WINDOW / PARTS)..=within(WINDOW)).contains(&held), "{held}");
            proptest::prop_assert!(parts.iter().count() <= PARTS as usize + 1);
        }
    }
}
