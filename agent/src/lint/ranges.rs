//! Sets of numbers on a line, as sorted ranges that neither touch nor overlap: what sets of addresses and of ports rest on.
//!
//! Both ends of a range belong to it. A set is shared, not copied: clones of a service tag with thousands of prefixes are free.

use std::sync::Arc;

/// A number on a line with a first and a last one.
pub trait Step: Copy + Ord {
    /// The last number of the line.
    const LAST: Self;
    /// The number behind this one, which is not the last.
    fn after(self) -> Self;
    /// The number before this one, which is not the first.
    fn before(self) -> Self;
}

impl Step for u16 {
    const LAST: Self = Self::MAX;
    fn after(self) -> Self {
        self + 1
    }
    fn before(self) -> Self {
        self - 1
    }
}

impl Step for u128 {
    const LAST: Self = Self::MAX;
    fn after(self) -> Self {
        self + 1
    }
    fn before(self) -> Self {
        self - 1
    }
}

/// A search in a long list costs about so many steps of walking along it: then walking both is faster.
const SEARCH_STEPS: usize = 16;

/// A set of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ranges<T> {
    parts: Arc<[(T, T)]>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { parts: Arc::from([]) }
    }
}

impl<T: Step> FromIterator<(T, T)> for Ranges<T> {
    /// The union of ranges in any order; a reversed one is empty.
    fn from_iter<I: IntoIterator<Item = (T, T)>>(ranges: I) -> Self {
        let mut given: Vec<(T, T)> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        // Most of what comes is in order, or two lists in order: the stable sort sees that.
        given.sort();
        let mut parts: Vec<(T, T)> = Vec::with_capacity(given.len());
        for (first, last) in given {
            match parts.last_mut() {
                Some((_, end)) if *end == T::LAST || first <= end.after() => *end = last.max(*end),
                _ => parts.push((first, last)),
            }
        }
        Self { parts: parts.into() }
    }
}

impl<T: Step> Ranges<T> {
    /// The numbers from the first to the last one given.
    pub fn one(first: T, last: T) -> Self {
        Self::from_iter([(first, last)])
    }

    /// The ranges, in order.
    pub fn parts(&self) -> &[(T, T)] {
        &self.parts
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The smallest number.
    pub fn first(&self) -> Option<T> {
        self.parts.first().map(|(first, _)| *first)
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: T) -> bool {
        let behind = self.parts.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).is_some_and(|at| number <= self.parts[at].1)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => self.parts.iter().chain(other.parts.iter()).copied().collect(),
        }
    }

    /// The ranges that overlap a given one.
    fn over(&self, first: T, last: T) -> impl Iterator<Item = (T, T)> {
        let from = self.parts.partition_point(|(_, end)| *end < first);
        self.parts[from..].iter().take_while(move |(begin, _)| *begin <= last).copied()
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (few, many) = if self.parts.len() <= other.parts.len() { (self, other) } else { (other, self) };
        let common = few.parts.iter().flat_map(|&(first, last)| {
            many.over(first, last).map(move |(begin, end)| (begin.max(first), end.min(last)))
        });
        Self { parts: common.collect() }
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let (Some(&(from, _)), Some(&(_, to))) = (other.parts.first(), other.parts.last()) else { return self.clone() };
        let begin = self.parts.partition_point(|(_, end)| *end < from);
        let end = self.parts.partition_point(|(first, _)| *first <= to).max(begin);
        let mut parts = Vec::with_capacity(self.parts.len() + 1);
        parts.extend_from_slice(&self.parts[..begin]);
        for &(first, last) in &self.parts[begin..end] {
            let mut from = Some(first);
            for (begin, end) in other.over(first, last) {
                if let Some(start) = from.filter(|start| *start < begin) {
                    parts.push((start, begin.before()));
                }
                from = (end < last).then(|| end.after());
            }
            parts.extend(from.map(|start| (start, last)));
        }
        parts.extend_from_slice(&self.parts[end..]);
        Self { parts: parts.into() }
    }

    /// Whether both share a number.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (few, many) = if self.parts.len() <= other.parts.len() { (self, other) } else { (other, self) };
        if few.parts.len() * SEARCH_STEPS < many.parts.len() {
            return few.parts.iter().any(|&(first, last)| many.over(first, last).next().is_some());
        }
        let (mut few, mut many) = (few.parts.iter().peekable(), many.parts.iter().peekable());
        while let (Some(&&(a, a_end)), Some(&&(b, b_end))) = (few.peek(), many.peek()) {
            if a <= b_end && b <= a_end {
                return true;
            }
            if a_end < b {
                few.next()
            } else {
                many.next()
            };
        }
        false
    }

    /// Whether all of this one is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.parts.iter().all(|&(first, last)| {
            other.over(first, last).next().is_some_and(|(begin, end)| begin <= first && last <= end)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_become_one_range_and_reversed_ones_vanish() {
        let set: Ranges<u16> = [(5, 9), (1, 4), (20, 12), (65_000, 65_535), (65_535, 65_535)].into_iter().collect();
        assert_eq!(set.parts(), [(1, 9), (65_000, 65_535)]);
    }

    #[test]
    fn the_ends_of_the_line_are_numbers_like_others() {
        let all = Ranges::one(0u16, u16::MAX);
        assert_eq!(all.minus(&Ranges::one(0, 0)).parts(), [(1, u16::MAX)]);
        assert_eq!(all.minus(&Ranges::one(u16::MAX, u16::MAX)).parts(), [(0, u16::MAX - 1)]);
        assert!(all.minus(&all).is_empty());
    }

    fn sets() -> impl Strategy<Value = Ranges<u16>> {
        proptest::collection::vec((0u16..60, 0u16..60), 0..8).prop_map(|ranges| ranges.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_number_is_in_a_result_exactly_when_logic_says_so(a in sets(), b in sets()) {
            let (union, both, only_a) = (a.union(&b), a.intersection(&b), a.minus(&b));
            for number in 0u16..62 {
                let (in_a, in_b) = (a.contains(number), b.contains(number));
                prop_assert_eq!(union.contains(number), in_a || in_b);
                prop_assert_eq!(both.contains(number), in_a && in_b);
                prop_assert_eq!(only_a.contains(number), in_a && !in_b);
            }
            prop_assert_eq!(a.overlaps(&b), !both.is_empty());
            prop_assert_eq!(a.is_within(&b), only_a.is_empty());
            for result in [&union, &both, &only_a] {
                prop_assert!(result.parts().windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
