//! Which parts of the first page open pages are told, and when: what changed at once, but of a row whose endpoint stands as
//! it stood, so that only its last visits are news, no more than every half minute. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::readers::page::Mark;

/// A row of which only the last visits are news is told again after this: a little less than the default interval of visits,
/// so that with it none waits.
const QUIET: Duration = Duration::from_secs(25);

/// What open pages are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Too much to be told in parts: to be fetched anew.
    Whole,
    /// The parts with these ids.
    Parts(Vec<String>),
}

/// What open pages were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    at: Duration,
    layout: u64,
    parts: BTreeMap<String, (Mark, Duration)>,
}

impl Told {
    /// The time of the snapshot that was told last, since the Unix epoch; zero where none was.
    pub(super) fn at(&self) -> Duration {
        self.at
    }

    /// Takes the marks of a snapshot, and says what is to be told of it.
    pub(super) fn take(&mut self, at: Duration, layout: u64, marks: BTreeMap<String, Mark>) -> News {
        let is_whole = layout != self.layout || self.at.is_zero();
        (self.at, self.layout) = (at, layout);
        if is_whole {
            self.parts = marks.into_iter().map(|(id, mark)| (id, (mark, at))).collect();
            return News::Whole;
        }
        let is_due = |id: &str, mark: &Mark| match self.parts.get(id) {
            Some((told, _)) if told.whole == mark.whole => false,
            Some((told, since)) if mark.standing.is_some() && told.standing == mark.standing => {
                at.saturating_sub(*since) >= QUIET
            }
            Some(_) | None => true,
        };
        let due: Vec<(String, Mark)> = marks.into_iter().filter(|(id, mark)| is_due(id, mark)).collect();
        let ids = due.iter().map(|(id, _)| id.clone()).collect();
        self.parts.extend(due.into_iter().map(|(id, mark)| (id, (mark, at))));
        News::Parts(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn marks(parts: &[(&str, u64, Option<u64>)]) -> BTreeMap<String, Mark> {
        parts
            .iter()
            .map(|(id, whole, standing)| ((*id).to_owned(), Mark { whole: *whole, standing: *standing }))
            .collect()
    }

    fn told(news: News) -> Vec<String> {
        match news {
            News::Whole => vec!["whole".to_owned()],
            News::Parts(ids) => ids,
        }
    }

    #[test]
    fn what_changed_is_told_at_once_and_the_last_visits_of_a_row_that_stands_as_it_stood_now_and_then() {
        let mut pages = Told::default();
        let mut take = |at, parts: &[_]| told(pages.take(S(at), 7, marks(parts)));
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
    }

    #[test]
    fn another_layout_is_told_as_a_whole_and_nothing_of_it_twice() {
        let mut pages = Told::default();
        pages.take(S(1), 7, marks(&[("row", 1, Some(1))]));
        assert_eq!(pages.take(S(2), 8, marks(&[("row", 2, Some(1))])), News::Whole);
        assert_eq!(pages.take(S(60), 8, marks(&[("row", 2, Some(1))])), News::Parts(Vec::new()));
        assert_eq!(pages.at(), S(60));
    }
}
