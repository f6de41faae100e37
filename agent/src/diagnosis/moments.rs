//! Who did something when: an ordered set that answers "anyone since then?" without looking at everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// So many moments are a list. Most hosts and addresses have one endpoint or two, and the smallest tree has room for eleven.
const FEW: usize = 8;

/// A moment in nanoseconds since the Unix epoch, and the number of whom it belongs to: two thirds of the memory of a duration and
/// a `usize`, and each endpoint is in a dozen of these lists.
type Moment = (u64, u32);

fn moment(at: Duration, who: usize) -> Moment {
    (nanos(at), u32::try_from(who).unwrap_or(u32::MAX))
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

fn who(moment: &Moment) -> usize {
    moment.1 as usize
}

/// Moments, each with the number of whom it belongs to. The caller removes what it inserted.
#[derive(Clone, Debug)]
pub struct Moments(Kept);

/// How they are kept, in order.
#[derive(Clone, Debug)]
#[expect(clippy::box_collection, reason = "without the box each list of a few takes a third more")]
enum Kept {
    /// A few, in no more memory than they need.
    Few(Vec<Moment>),
    /// Any number.
    Many(Box<BTreeSet<Moment>>),
}

impl Default for Moments {
    fn default() -> Self {
        Self(Kept::Few(Vec::new()))
    }
}

impl Moments {
    /// Adds a moment, or takes it away.
    pub fn set(&mut self, at: Duration, who: usize, is_member: bool) {
        let moment = moment(at, who);
        match &mut self.0 {
            Kept::Many(many) if is_member => _ = many.insert(moment),
            Kept::Many(many) => _ = many.remove(&moment),
            Kept::Few(few) => match (few.binary_search(&moment), is_member) {
                (Err(_), true) if few.len() >= FEW => {
                    let many = few.iter().copied().chain([moment]).collect();
                    self.0 = Kept::Many(Box::new(many));
                }
                (Err(place), true) => {
                    few.reserve_exact(1);
                    few.insert(place, moment);
                }
                (Ok(place), false) => _ = few.remove(place),
                (Ok(_), true) | (Err(_), false) => {}
            },
        }
    }

    /// Everyone whose moment is then or later, the newest first.
    pub fn since(&self, then: Duration) -> impl Iterator<Item = usize> {
        let first = moment(then, 0);
        let few = self.few();
        let few = few[few.partition_point(|moment| *moment < first)..].iter().rev();
        few.chain(self.many().flat_map(move |many| many.range(first..).rev())).map(who)
    }

    /// Everyone whose moment is earlier than that, the oldest first.
    pub fn before(&self, then: Duration) -> impl Iterator<Item = usize> {
        let first = moment(then, 0);
        let few = self.few();
        let few = few[..few.partition_point(|moment| *moment < first)].iter();
        few.chain(self.many().flat_map(move |many| many.range(..first))).map(who)
    }

    /// Everyone, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.few().iter().chain(self.many().flatten()).map(who)
    }

    /// The newest moment.
    pub fn newest(&self) -> Option<Duration> {
        let newest = match &self.0 {
            Kept::Few(few) => few.last(),
            Kept::Many(many) => many.last(),
        };
        newest.map(|(at, _)| Duration::from_nanos(*at))
    }

    /// Whether anyone's moment is then or later.
    pub fn any_since(&self, then: Duration) -> bool {
        self.newest().is_some_and(|newest| newest >= then)
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.newest().is_none()
    }

    fn few(&self) -> &[Moment] {
        match &self.0 {
            Kept::Few(few) => few,
            Kept::Many(_) => &[],
        }
    }

    fn many(&self) -> impl Iterator<Item = &BTreeSet<Moment>> {
        match &self.0 {
            Kept::Few(_) => None,
            Kept::Many(many) => Some(&**many),
        }
        .into_iter()
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_is_alone_takes_the_memory_of_one() {
        let mut moments = Moments::default();
        for second in 1..100 {
            moments.set(Duration::from_secs(second), 7, true);
            let Kept::Few(few) = &moments.0 else { panic!("one is few") };
            assert_eq!((few.len(), few.capacity()), (1, 1));
            moments.set(Duration::from_secs(second), 7, false);
        }
        assert!(
            size_of::<Moments>() <= size_of::<BTreeSet<Moment>>(),
            "there are three for each host and each address"
        );
    }

    proptest! {
        #[test]
        fn few_or_many_say_what_an_ordered_set_says(
            steps in proptest::collection::vec((0u64..9, 0usize..4, any::<bool>()), 1..80), then in 0u64..9,
        ) {
            let (mut moments, mut model) = (Moments::default(), BTreeSet::new());
            let then = Duration::from_secs(then);
            for (at, who, is_member) in steps {
                let at = Duration::from_secs(at);
                moments.set(at, who, is_member);
                if is_member { model.insert((at, who)); } else { model.remove(&(at, who)); }
                let who = |(_, who): &(Duration, usize)| *who;
                prop_assert!(moments.iter().eq(model.iter().map(who)));
                prop_assert!(moments.since(then).eq(model.range((then, 0)..).rev().map(who)));
                prop_assert!(moments.before(then).eq(model.range(..(then, 0)).map(who)));
                prop_assert_eq!(moments.newest(), model.last().map(|(at, _)| *at));
                prop_assert_eq!(moments.is_empty(), model.is_empty());
            }
        }
    }

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
