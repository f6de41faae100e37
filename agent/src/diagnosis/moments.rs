//! Who did something when: an ordered set that answers "anyone since then?" without looking at everybody.

use std::{collections::BTreeSet, time::Duration};

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
