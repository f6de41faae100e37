//! In which stretches of time somebody looked: what is drawn of the time between them is not known.

use std::time::Duration;

/// Stretches, the oldest first, none of which touches another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched(Vec<(Duration, Duration)>);

impl Watched {
    /// Adds a stretch. Those that are no further from it than `near` become one with it.
    pub(super) fn add(&mut self, from: Duration, to: Duration, near: Duration) {
        let first = self.0.partition_point(|(_, end)| *end + near < from);
        let next = self.0.partition_point(|(start, _)| *start <= to + near).max(first);
        let whole =
            self.0[first..next].iter().fold((from, to), |(from, to), (start, end)| (from.min(*start), to.max(*end)));
        self.0.splice(first..next, [whole]);
    }

    /// Adds the stretches of others.
    pub(super) fn take(&mut self, others: Self, near: Duration) {
        others.0.into_iter().for_each(|(from, to)| self.add(from, to, near));
    }

    /// The first moment in which somebody looked.
    pub(super) fn first(&self) -> Option<Duration> {
        self.0.first().map(|(from, _)| *from)
    }

    /// Forgets what ended before a moment.
    pub(super) fn forget(&mut self, before: Duration) {
        let old = self.0.partition_point(|(_, end)| *end < before);
        self.0.drain(..old);
    }

    /// The stretches between `from` and `to` in which nobody looked.
    pub(super) fn gaps(&self, from: Duration, to: Duration) -> Vec<(Duration, Duration)> {
        let (mut gaps, mut at) = (Vec::new(), from);
        for (start, end) in &self.0 {
            gaps.push((at, (*start).min(to)));
            at = at.max(*end);
        }
        gaps.push((at, to));
        gaps.retain(|(from, to)| from < to);
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn watched(stretches: &[(u64, u64)]) -> Watched {
        let mut watched = Watched::default();
        stretches.iter().for_each(|(from, to)| watched.add(S(*from), S(*to), S(10)));
        watched
    }

    #[test]
    fn stretches_that_are_near_become_one_in_whatever_order_they_come() {
        assert_eq!(watched(&[(300, 400), (100, 200), (205, 290)]), watched(&[(100, 400)]));
        assert_eq!(watched(&[(300, 400), (100, 200), (120, 130)]).0, [(S(100), S(200)), (S(300), S(400))]);
        assert_eq!(watched(&[(100, 200), (50, 500), (600, 700)]).0, [(S(50), S(500)), (S(600), S(700))]);
    }

    #[test]
    fn what_lies_between_is_a_gap() {
        let watched = watched(&[(100, 200), (300, 400)]);
        let gaps = |from, to| {
            watched
                .gaps(S(from), S(to))
                .into_iter()
                .map(|(from, to)| (from.as_secs(), to.as_secs()))
                .collect::<Vec<_>>()
        };
        assert_eq!(gaps(0, 500), [(0, 100), (200, 300), (400, 500)]);
        assert_eq!(gaps(150, 250), [(200, 250)]);
        assert_eq!(gaps(310, 390), []);
        assert_eq!(Watched::default().gaps(S(1), S(2)), [(S(1), S(2))]);
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let mut watched = watched(&[(100, 200), (300, 400)]);
        watched.forget(S(250));
        assert_eq!(watched.first(), Some(S(300)));
    }
}
