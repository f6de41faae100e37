//! Which parts of the first page open pages are told, and when: what changed at once, but of a row whose endpoint stands as
//! it stood, so that only its last visits are news, no more than every half minute. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::readers::page::Mark;

/// A row of which only the last visits are news is told again after this: a little less than the default interval of visits,
/// so that with it none waits.
const QUIET: Duration = Duration::from_secs(25);

/// What open pages were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    at: Duration,
    number: u64,
    layout: u64,
    parts: BTreeMap<String, (Mark, Duration)>,
}

impl Told {
    /// The time of the snapshot that was told last, since the Unix epoch; zero where none was.
    pub(super) fn at(&self) -> Duration {
        self.at
    }

    /// The number of that snapshot.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Begins with the snapshot of this number and time, and says whether it is too much to be told in parts: pages are to fetch
    /// it anew then.
    pub(super) fn begin(&mut self, number: u64, at: Duration, layout: u64) -> bool {
        let is_whole = layout != self.layout || self.at.is_zero();
        (self.number, self.at, self.layout) = (number, at, layout);
        if is_whole {
            self.parts.clear();
        }
        is_whole
    }

    /// Whether a part of the snapshot that was begun is to be told now. It counts as told then.
    pub(super) fn is_due(&mut self, id: &str, mark: Mark) -> bool {
        let is_due = match self.parts.get(id) {
            Some((told, _)) if told.whole == mark.whole => false,
            Some((told, since)) if mark.standing.is_some() && told.standing == mark.standing => {
                // A clock that was set back makes everything due.
                self.at.checked_sub(*since).is_none_or(|passed| passed >= QUIET)
            }
            Some(_) | None => true,
        };
        if is_due {
            self.parts.insert(id.to_owned(), (mark, self.at));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    /// What pages are told of a snapshot with these parts.
    fn take(pages: &mut Told, at: u64, layout: u64, parts: &[(&str, u64, Option<u64>)]) -> Vec<String> {
        let is_whole = pages.begin(at, S(at), layout);
        let due =
            parts.iter().filter(|(id, whole, standing)| pages.is_due(id, Mark { whole: *whole, standing: *standing }));
        let due: Vec<String> = due.map(|(id, _, _)| (*id).to_owned()).collect();
        if is_whole { vec!["whole".to_owned()] } else { due }
    }

    #[test]
    fn what_changed_is_told_at_once_and_the_last_visits_of_a_row_that_stands_as_it_stood_now_and_then() {
        let mut pages = Told::default();
        let mut take = |at, parts: &[_]| take(&mut pages, at, 7, parts);
        assert_eq!(take(100, &[("answer", 1, None), ("row", 1, Some(1))]), ["whole"], "nobody was told anything");
        assert_eq!(take(101, &[("answer", 1, None), ("row", 1, Some(1))]), [""; 0]);
        assert_eq!(take(102, &[("answer", 2, None), ("row", 2, Some(1))]), ["answer"], "a visit like those before");
        assert_eq!(take(103, &[("answer", 2, None), ("row", 3, Some(2))]), ["row"], "it stands otherwise");
        assert_eq!(take(127, &[("answer", 2, None), ("row", 4, Some(2))]), [""; 0]);
        assert_eq!(
            take(128, &[("answer", 2, None), ("row", 4, Some(2))]),
            ["row"],
            "what waited is told without more news"
        );
        assert_eq!(take(200, &[("answer", 2, None), ("row", 4, Some(2)), ("new", 1, Some(1))]), ["new"]);
        let changed = [("answer", 2, None), ("row", 5, Some(2)), ("new", 1, Some(1))];
        assert_eq!(take(50, &changed), ["row"], "the clock went back, and may be back for an hour");
    }

    #[test]
    fn another_layout_is_told_as_a_whole_and_nothing_of_it_twice() {
        let mut pages = Told::default();
        take(&mut pages, 1, 7, &[("row", 1, Some(1))]);
        assert_eq!(take(&mut pages, 2, 8, &[("row", 2, Some(1))]), ["whole"]);
        assert_eq!(take(&mut pages, 60, 8, &[("row", 2, Some(1))]), [""; 0]);
        assert_eq!(pages.at(), S(60));
    }
}
