//! What the last rounds said: unions over rotating answers, and when a class is firm enough to be published.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use super::{Comparison, ComparisonClass};

/// Rounds whose addresses are united.
const UNION_ROUNDS: usize = 10;
/// Equal rounds before a class is published.
const FIRM_ROUNDS: u32 = 3;
/// Addresses remembered at most per name and side.
const MAX_REMEMBERED: usize = 256;

/// The published class of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The comparison in force.
    pub comparison: Comparison,
    /// How often the published class changed.
    pub changes: u64,
}

/// What is remembered of one name.
#[derive(Clone, Debug, Default)]
pub struct History {
    custom: VecDeque<BTreeSet<IpAddr>>,
    azure: VecDeque<BTreeSet<IpAddr>>,
    azure_seen: BTreeMap<IpAddr, Duration>,
    candidate: Option<(ComparisonClass, u32)>,
    published: Option<Published>,
}

impl History {
    /// Remembers one round's addresses and returns the unions over the last rounds: custom DNS, Azure DNS.
    pub fn remember(
        &mut self,
        custom: &BTreeSet<IpAddr>,
        azure: &BTreeSet<IpAddr>,
        at: Duration,
    ) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
        for address in azure {
            self.azure_seen.insert(*address, at);
        }
        while self.azure_seen.len() > MAX_REMEMBERED {
            let oldest = self.azure_seen.iter().min_by_key(|(_, seen)| **seen).map(|(address, _)| *address);
            oldest.map(|address| self.azure_seen.remove(&address));
        }
        (push(&mut self.custom, custom), push(&mut self.azure, azure))
    }

    /// Whether Azure DNS gave all these addresses once, and none of them for longer than `age`.
    pub fn is_stale(&self, custom: &BTreeSet<IpAddr>, at: Duration, age: Duration) -> bool {
        let old = |address| self.azure_seen.get(address).is_some_and(|seen| at.saturating_sub(*seen) > age);
        !custom.is_empty() && custom.iter().all(old)
    }

    /// Takes one round's comparison in and returns what is in force. A class is published after three equal rounds,
    /// interception at once.
    pub fn settle(&mut self, comparison: Comparison) -> Option<&Published> {
        let class = comparison.class;
        let rounds = match self.candidate {
            Some((same, rounds)) if same == class => rounds + 1,
            Some(_) | None => 1,
        };
        self.candidate = Some((class, rounds));
        let firm = rounds >= FIRM_ROUNDS || class == ComparisonClass::Intercepted;
        match &mut self.published {
            Some(published) if published.comparison.class == class => published.comparison = comparison,
            Some(published) if firm => {
                published.changes += 1;
                published.comparison = comparison;
            }
            None if firm => self.published = Some(Published { comparison, changes: 0 }),
            Some(_) | None => {}
        }
        self.published.as_ref()
    }
}

fn push(rounds: &mut VecDeque<BTreeSet<IpAddr>>, addresses: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    if rounds.len() == UNION_ROUNDS {
        rounds.pop_front();
    }
    rounds.push_back(addresses.clone());
    rounds.iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Worry;

    fn comparison(class: ComparisonClass) -> Comparison {
        Comparison { class, worry: Worry::Fine, rule: 0, equivalence: None, reason: String::new() }
    }

    fn class_after(rounds: &[ComparisonClass]) -> Option<ComparisonClass> {
        let mut history = History::default();
        rounds.iter().map(|class| history.settle(comparison(*class)).map(|p| p.comparison.class)).last().flatten()
    }

    #[test]
    fn a_class_needs_three_equal_rounds_and_interception_needs_one() {
        use ComparisonClass::{Identical, Intercepted, PrivateBypass};
        assert_eq!(class_after(&[Identical; 2]), None);
        assert_eq!(class_after(&[Identical; 3]), Some(Identical));
        assert_eq!(class_after(&[Identical, Identical, Identical, PrivateBypass, PrivateBypass]), Some(Identical));
        assert_eq!(
            class_after(&[Identical, Identical, Identical, PrivateBypass, Identical, PrivateBypass]),
            Some(Identical)
        );
        assert_eq!(class_after(&[PrivateBypass; 3]), Some(PrivateBypass));
        assert_eq!(class_after(&[Identical, Identical, Identical, Intercepted]), Some(Intercepted));
    }

    #[test]
    fn addresses_that_rotate_out_are_still_compared_for_ten_rounds() {
        let mut history = History::default();
        let address = |last: u8| BTreeSet::from([IpAddr::from([20, 0, 0, last])]);
        for round in 0..12 {
            let at = Duration::from_secs(300 * u64::from(round));
            let (custom, azure) = history.remember(&address(round), &address(round + 1), at);
            assert_eq!(custom.len(), usize::from(round + 1).min(10));
            assert!(round == 0 || !custom.is_disjoint(&azure));
        }
    }

    #[test]
    fn an_address_is_stale_when_azure_gave_it_long_ago() {
        let mut history = History::default();
        let (old, new) = (BTreeSet::from([IpAddr::from([20, 0, 0, 1])]), BTreeSet::from([IpAddr::from([20, 0, 0, 2])]));
        let age = Duration::from_secs(600);
        history.remember(&old, &old, Duration::ZERO);
        history.remember(&old, &new, Duration::from_secs(300));
        assert!(!history.is_stale(&old, Duration::from_secs(300), age));
        assert!(history.is_stale(&old, Duration::from_secs(700), age));
        assert!(!history.is_stale(&BTreeSet::from([IpAddr::from([20, 0, 0, 9])]), Duration::from_secs(900), age));
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for host in 0..2000u32 {
            let address = BTreeSet::from([IpAddr::from((0x1400_0000 + host).to_be_bytes())]);
            history.remember(&address, &address, Duration::from_secs(u64::from(host)));
        }
        assert!(history.azure_seen.len() <= MAX_REMEMBERED);
    }
}
