//! Who did something when: an ordered set that answers "anyone since then?" without looking at everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Moments, each with the number of whom it belongs to. The caller removes what it inserted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments(BTreeSet<(Duration, usize)>);

impl Moments {
    /// Adds a moment, or takes it away.
    pub fn set(&mut self, at: Duration, who: usize, is_member: bool) {
        if is_member {
            self.0.insert((at, who));
        } else {
            self.0.remove(&(at, who));
        }
    }

    /// Everyone whose moment is then or later, the newest first.
    pub fn since(&self, then: Duration) -> impl Iterator<Item = usize> {
        self.0.range((then, 0)..).rev().map(|(_, who)| *who)
    }

    /// Everyone whose moment is earlier than that, the oldest first.
    pub fn before(&self, then: Duration) -> impl Iterator<Item = usize> {
        self.0.range(..(then, 0)).map(|(_, who)| *who)
    }

    /// Everyone, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(_, who)| *who)
    }

    /// The newest moment.
    pub fn newest(&self) -> Option<Duration> {
        self.0.last().map(|(at, _)| *at)
    }

    /// Whether anyone's moment is then or later.
    pub fn any_since(&self, then: Duration) -> bool {
        self.newest().is_some_and(|newest| newest >= then)
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Moments by what those whom they belong to have in common: "which of these since then?" costs as much as there are of these,
/// however many share one.
#[derive(Clone, Debug)]
pub struct MomentsBy<K> {
    all: BTreeMap<K, Moments>,
    /// The newest moment of each.
    newest: BTreeSet<(Duration, K)>,
}

impl<K: Ord> Default for MomentsBy<K> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), newest: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> MomentsBy<K> {
    /// Adds a moment of somebody who belongs to `key`, or takes it away.
    pub fn set(&mut self, key: &K, at: Duration, who: usize, is_member: bool) {
        let moments = self.all.entry(key.clone()).or_default();
        let before = moments.newest();
        moments.set(at, who, is_member);
        let after = moments.newest();
        if after.is_none() {
            self.all.remove(key);
        }
        if before != after {
            if let Some(at) = before {
                self.newest.remove(&(at, key.clone()));
            }
            self.newest.extend(after.map(|at| (at, key.clone())));
        }
    }

    /// Every key with a moment then or later, the newest first.
    pub fn since(&self, then: Duration) -> impl Iterator<Item = &K> {
        self.newest.iter().rev().take_while(move |(at, _)| *at >= then).map(|(_, key)| key)
    }

    /// The newest moment of all.
    pub fn newest(&self) -> Option<Duration> {
        self.newest.last().map(|(at, _)| *at)
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_a_key_is_looked_at_once() {
        let (mut shared, second) = (MomentsBy::default(), Duration::from_secs);
        (0..1000).for_each(|who| shared.set(&(who % 2), second(1000 + who as u64), who, true));
        let since = |shared: &MomentsBy<usize>, then| shared.since(second(then)).copied().collect::<Vec<_>>();
        assert_eq!((since(&shared, 0), since(&shared, 1999), since(&shared, 2000)), (vec![1, 0], vec![1], vec![]));
        shared.set(&1, second(1999), 999, false);
        assert_eq!((since(&shared, 0), shared.newest()), (vec![0, 1], Some(second(1998))));
        (0..999).for_each(|who| shared.set(&(who % 2), second(1000 + who as u64), who, false));
        assert!(shared.is_empty() && since(&shared, 0).is_empty());
    }
}
