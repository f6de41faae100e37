//! Where endpoints went at a reload: what is known by number finds its endpoint again under the new numbers.

use std::{collections::BTreeMap, sync::Arc};

use super::catalog::{Endpoint, EndpointId, Target};

/// The new number of every endpoint that stays, by its old number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remap(Vec<Option<usize>>);

impl Remap {
    /// Follows endpoints from one catalogue to the next. One that asks somebody else, or something else, does not stay; how often
    /// it is asked, how long it may take and what its loss means may change: what is known of the peer is as true as before.
    pub fn between(before: &[Arc<Endpoint>], after: &[Arc<Endpoint>]) -> Self {
        let numbers: BTreeMap<&EndpointId, usize> =
            after.iter().enumerate().map(|(number, endpoint)| (&endpoint.id, number)).collect();
        let follow = |endpoint: &Arc<Endpoint>| {
            let number = *numbers.get(&endpoint.id)?;
            asks_the_same(endpoint, &after[number]).then_some(number)
        };
        Self(before.iter().map(follow).collect())
    }

    /// The new number of an endpoint; `None` where it did not stay.
    pub fn get(&self, before: usize) -> Option<usize> {
        self.0.get(before).copied().flatten()
    }

    /// Whether every endpoint stays with its number, and none is new among so many.
    pub fn is_identity(&self, after: usize) -> bool {
        self.0.len() == after && self.0.iter().enumerate().all(|(before, now)| *now == Some(before))
    }

    /// Renumbers what is known by endpoint; what belongs to endpoints that did not stay is dropped.
    pub fn apply<T>(&self, known: BTreeMap<usize, T>) -> BTreeMap<usize, T> {
        known.into_iter().filter_map(|(before, what)| Some((self.get(before)?, what))).collect()
    }
}

fn asks_the_same(before: &Endpoint, after: &Endpoint) -> bool {
    let target = Target { timeout: after.target.timeout, ..before.target.clone() };
    before.class == after.class && target == after.target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn endpoints_that_stay_are_found_again_and_changed_ones_are_not() {
        let before: Vec<Arc<Endpoint>> =
            sample::snapshot().endpoints.iter().take(3).map(|view| Arc::clone(&view.endpoint)).collect();
        let (mut moved, mut slower) = ((*before[1]).clone(), (*before[2]).clone());
        moved.target.port = 5353;
        (slower.interval, slower.target.timeout) = (slower.interval * 2, slower.target.timeout * 2);
        let after = vec![Arc::new(moved), Arc::new(slower)];
        let remap = Remap::between(&before, &after);
        assert_eq!([0, 1, 2, 3].map(|number| remap.get(number)), [None, None, Some(1), None]);
        assert_eq!(remap.apply(BTreeMap::from([(0, 'a'), (2, 'c')])), BTreeMap::from([(1, 'c')]));
        assert!(!remap.is_identity(after.len()));
        let same = Remap::between(&before, &before);
        assert!(same.is_identity(3) && !same.is_identity(4), "one that is new is a change");
    }
}
