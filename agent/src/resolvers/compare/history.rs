//! What the last rounds said: unions over rotating answers, and when a class is firm enough to be published.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use super::{Answer, Comparison, ComparisonClass};

/// Rounds whose addresses are united.
const UNION_ROUNDS: usize = 10;
/// Equal rounds before a class is published.
const FIRM_ROUNDS: u32 = 3;
/// Rounds after which it is known that both sides share their addresses: one may be chance.
const KNOWN_ROUNDS: u32 = 2;
/// Addresses remembered at most per name and side.
const MAX_REMEMBERED: usize = 256;
/// Rounds with one time to live that could not all be by chance.
const SAME_TTL_ROUNDS: u32 = 4;
/// Time in which a cache would have counted a time to live down.
const COUNTED_DOWN: Duration = Duration::from_secs(2);
/// Responses after which the server's distance is known.
const KNOWN_RESPONSES: u32 = 10;
/// Differences below this are the scheduler's.
const NOISE: Duration = Duration::from_millis(1);

/// The published class of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The comparison in force.
    pub comparison: Comparison,
    /// How often the published class changed.
    pub changes: u64,
}

/// When Azure DNS last gave an address, and for how long it allowed to keep it.
#[derive(Clone, Copy, Debug)]
struct Given {
    last: Duration,
    ttl: Duration,
}

/// A time to live that did not change from round to round although a cache would have counted it down.
#[derive(Clone, Copy, Debug)]
struct SameTtl {
    ttl: Duration,
    first: Duration,
    last: Duration,
    rounds: u32,
}

/// What is remembered of one name.
#[derive(Clone, Debug, Default)]
pub struct History {
    custom: VecDeque<BTreeSet<IpAddr>>,
    azure: VecDeque<BTreeSet<IpAddr>>,
    azure_seen: BTreeMap<IpAddr, Given>,
    disjoint_since: Option<Duration>,
    /// Rounds in which both sides had addresses, and those among them in which they shared one.
    rounds: (u32, u32),
    parted: bool,
    astray: bool,
    same_ttl: Option<SameTtl>,
    responses: u32,
    fastest: Option<Duration>,
    nearer: Option<(Duration, Duration)>,
    candidate: Option<(ComparisonClass, u32)>,
    published: Option<Published>,
}

impl History {
    /// Remembers one round's answers and returns the unions over the last rounds: custom DNS, Azure DNS. What Azure DNS
    /// gave before it moved the name is not in its union.
    pub fn remember(&mut self, custom: &Answer, azure: &Answer, at: Duration) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
        for address in &azure.addresses {
            let given = self.azure_seen.entry(*address).or_insert(Given { last: at, ttl: Duration::ZERO });
            *given = Given { last: at, ttl: given.ttl.max(azure.ttl.unwrap_or_default()) };
        }
        while self.azure_seen.len() > MAX_REMEMBERED {
            let oldest = self.azure_seen.iter().min_by_key(|(_, given)| given.last).map(|(address, _)| *address);
            oldest.map(|address| self.azure_seen.remove(&address));
        }
        if !custom.addresses.is_empty() && !azure.addresses.is_empty() {
            let disjoint = custom.addresses.is_disjoint(&azure.addresses);
            self.disjoint_since = disjoint.then(|| self.disjoint_since.unwrap_or(at));
        }
        self.watch_ttl(custom, at);
        self.watch_response(custom);
        push(&mut self.custom, &custom.addresses);
        push(&mut self.azure, &azure.addresses);
        self.watch_parting(custom);
        (self.custom.iter().flatten().copied().collect(), in_use(&self.azure))
    }

    /// Whether a round shows other addresses than the last rounds, on either side: what rotates is no change.
    pub fn is_new(&self, custom: &Answer, azure: &Answer) -> bool {
        let given =
            |rounds: &VecDeque<BTreeSet<IpAddr>>, address: &IpAddr| rounds.iter().any(|round| round.contains(address));
        !custom.addresses.iter().all(|address| given(&self.custom, address))
            || !azure.addresses.iter().all(|address| given(&self.azure, address))
    }

    /// Whether Azure DNS gave all these addresses once, none of them within its time to live and twice the time between
    /// two rounds, and the two sides have shared no address for three times that time to live (rule 20).
    pub fn is_stale(&self, custom: &BTreeSet<IpAddr>, at: Duration, between_rounds: Duration) -> bool {
        let given: Option<Vec<Given>> = custom.iter().map(|address| self.azure_seen.get(address).copied()).collect();
        let Some(given) = given.filter(|given| !given.is_empty()) else { return false };
        let old = |given: &Given| at.saturating_sub(given.last) > given.ttl.max(between_rounds * 2);
        let ttl = given.iter().map(|given| given.ttl).max().unwrap_or_default();
        let apart = self.disjoint_since.is_some_and(|since| at.saturating_sub(since) > ttl * 3);
        apart && given.iter().all(old)
    }

    /// Whether both sides shared an address in every round before the present parting, in two rounds at least.
    pub fn is_parted(&self) -> bool {
        self.parted
    }

    /// Whether the custom DNS alone left what both sides gave in every round before, and nothing else.
    pub fn is_astray(&self) -> bool {
        self.astray
    }

    fn watch_parting(&mut self, custom: &Answer) {
        let azure = in_use(&self.azure);
        if custom.addresses.is_empty() || azure.is_empty() {
            return;
        }
        let shares = !custom.addresses.is_disjoint(&azure);
        let (all, shared) = self.rounds;
        let was_parted = self.parted;
        self.parted = !shares && (self.parted || all == shared && shared >= KNOWN_ROUNDS);
        self.astray = self.parted && if was_parted { self.astray } else { self.was_steady() } && is_one(&self.azure);
        self.rounds = if self.parted { self.rounds } else { (all.saturating_add(1), shared + u32::from(shares)) };
    }

    /// Whether both sides gave the same in every round but the last one of the custom DNS: no sign of a rotation.
    fn was_steady(&self) -> bool {
        let before = self.custom.iter().rev().skip(1).filter(|round| !round.is_empty());
        let all: BTreeSet<&BTreeSet<IpAddr>> =
            before.chain(self.azure.iter().filter(|round| !round.is_empty())).collect();
        all.len() == 1
    }

    /// The custom DNS's time to live, where it stays the same although a cache would count it down.
    pub(super) fn fixed_ttl(&self) -> Option<Duration> {
        let same = self.same_ttl.filter(|same| same.rounds >= SAME_TTL_ROUNDS)?;
        (same.last.saturating_sub(same.first) >= COUNTED_DOWN).then_some(same.ttl)
    }

    /// The last response and the fastest before it, where it took less than half of that.
    pub(super) fn nearer(&self) -> Option<(Duration, Duration)> {
        self.nearer
    }

    fn watch_ttl(&mut self, custom: &Answer, at: Duration) {
        self.same_ttl = custom.ttl.filter(|_| !custom.authoritative).map(|ttl| match self.same_ttl {
            Some(same) if same.ttl == ttl && at.saturating_sub(same.last) < ttl => {
                SameTtl { last: at, rounds: same.rounds + 1, ..same }
            }
            Some(_) | None => SameTtl { ttl, first: at, last: at, rounds: 1 },
        });
    }

    fn watch_response(&mut self, custom: &Answer) {
        self.nearer = None;
        let Some(took) = custom.response else { return };
        if let Some(fastest) = self.fastest
            && self.responses >= KNOWN_RESPONSES
            && took < fastest / 2
            && fastest.saturating_sub(took) > NOISE
        {
            self.nearer = Some((took, fastest));
        }
        self.responses += 1;
        self.fastest = Some(self.fastest.map_or(took, |fastest| fastest.min(took)));
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

fn push(rounds: &mut VecDeque<BTreeSet<IpAddr>>, addresses: &BTreeSet<IpAddr>) {
    if rounds.len() == UNION_ROUNDS {
        rounds.pop_front();
    }
    rounds.push_back(addresses.clone());
}

/// Whether all rounds with addresses gave the same.
fn is_one(rounds: &VecDeque<BTreeSet<IpAddr>>) -> bool {
    rounds.iter().filter(|round| !round.is_empty()).collect::<BTreeSet<_>>().len() == 1
}

/// The addresses that a name has by these rounds, the newest last. A rotation changes again and again, and all that it
/// gave belongs to it; one that changed a single time has moved, and what it gave before belongs to nobody any more.
fn in_use(rounds: &VecDeque<BTreeSet<IpAddr>>) -> BTreeSet<IpAddr> {
    let given: Vec<&BTreeSet<IpAddr>> = rounds.iter().filter(|round| !round.is_empty()).collect();
    let changes: Vec<usize> = (1..given.len()).filter(|round| given[*round] != given[*round - 1]).collect();
    let first = match changes[..] {
        [moved] => moved,
        _ => 0,
    };
    given[first..].iter().copied().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolvers::compare::Worry;

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

    fn answer(last: u8, ttl: u64) -> Answer {
        let address = IpAddr::from([20, 0, 0, last]).to_string();
        Answer { ttl: Some(Duration::from_secs(ttl)), ..Answer::with(&[], &[&address]) }
    }

    #[test]
    fn addresses_that_rotate_out_are_still_compared_for_ten_rounds() {
        let mut history = History::default();
        for round in 0..12 {
            let at = Duration::from_secs(300 * u64::from(round));
            let (custom, azure) = history.remember(&answer(round, 60), &answer(round + 1, 60), at);
            assert_eq!(custom.len(), usize::from(round + 1).min(10));
            assert!(round < 2 || !custom.is_disjoint(&azure));
        }
    }

    #[test]
    fn what_changes_once_has_moved_and_what_changes_again_rotates() {
        let azure_after = |rounds: &[u8]| {
            let mut history = History::default();
            let union = |round: &u8| history.remember(&answer(1, 60), &answer(*round, 60), Duration::ZERO).1;
            let last = rounds.iter().map(union).last().unwrap_or_default();
            [1u8, 2, 3].map(|host| last.contains(&IpAddr::from([20, 0, 0, host])))
        };
        assert_eq!(azure_after(&[1, 1, 1, 2]), [false, true, false], "moved");
        assert_eq!(azure_after(&[1, 1, 1, 2, 2]), [false, true, false], "moved for good");
        assert_eq!(azure_after(&[1, 2, 1]), [true, true, false], "came back");
        assert_eq!(azure_after(&[1, 2, 3, 3, 3]), [true, true, true], "more than two places");
    }

    /// Whether the old address counts as stale at these times: Azure DNS gave it at 0 and another one from 300 s on.
    fn stale_at(times: [u64; 4], ttl: u64, between_rounds: u64) -> [bool; 4] {
        let mut history = History::default();
        history.remember(&answer(1, ttl), &answer(1, ttl), Duration::ZERO);
        history.remember(&answer(1, ttl), &answer(2, ttl), Duration::from_secs(300));
        let old = answer(1, ttl).addresses;
        times.map(|at| history.is_stale(&old, Duration::from_secs(at), Duration::from_secs(between_rounds)))
    }

    #[test]
    fn an_address_is_stale_when_azure_gave_it_long_ago() {
        assert_eq!(stale_at([300, 480, 481, 600], 60, 10), [false, false, true, true], "apart for three times 60 s");
        assert_eq!(
            stale_at([481, 600, 601, 900], 60, 300),
            [false, false, true, true],
            "twice the time between rounds"
        );
        assert_eq!(stale_at([601, 3600, 11_100, 11_101], 3600, 300), [false, false, false, true], "the time to live");
        let mut history = History::default();
        history.remember(&answer(1, 60), &answer(1, 60), Duration::ZERO);
        history.remember(&answer(9, 60), &answer(2, 60), Duration::from_secs(300));
        assert!(!history.is_stale(&answer(9, 60).addresses, Duration::from_secs(9999), Duration::ZERO), "never given");
        assert!(!history.is_stale(&BTreeSet::new(), Duration::from_secs(9999), Duration::ZERO), "nothing to be stale");
    }

    #[test]
    fn sides_that_share_an_address_again_start_to_drift_apart_anew() {
        let mut history = History::default();
        let (old, new) = (answer(1, 60), answer(2, 60));
        for (at, custom, azure) in [(0, &old, &old), (300, &old, &new), (600, &new, &new), (900, &old, &new)] {
            history.remember(custom, azure, Duration::from_secs(at));
        }
        assert!(!history.is_stale(&old.addresses, Duration::from_secs(1000), Duration::from_secs(10)));
        assert!(history.is_stale(&old.addresses, Duration::from_secs(1100), Duration::from_secs(10)));
    }

    #[test]
    fn sides_that_always_shared_an_address_part_and_those_that_never_did_do_not() {
        let parted_after = |rounds: &[(u8, u8)]| {
            let mut history = History::default();
            for (custom, azure) in rounds {
                history.remember(&answer(*custom, 60), &answer(*azure, 60), Duration::ZERO);
            }
            history.is_parted()
        };
        assert!(parted_after(&[(1, 1), (1, 1), (9, 1)]) && parted_after(&[(1, 1), (1, 1), (9, 1), (9, 1)]));
        assert!(!parted_after(&[(1, 1), (9, 1)]), "one round may be chance");
        assert!(!parted_after(&[(1, 1), (1, 1), (9, 1), (1, 1)]), "together again");
        assert!(!parted_after(&[(1, 1), (2, 1), (2, 2), (9, 2)]), "they differed before");
    }

    #[test]
    fn the_custom_dns_goes_astray_where_it_alone_leaves_what_never_changed() {
        let astray_after = |rounds: &[(u8, u8)]| {
            let mut history = History::default();
            for (custom, azure) in rounds {
                history.remember(&answer(*custom, 60), &answer(*azure, 60), Duration::ZERO);
            }
            history.is_astray()
        };
        assert!(astray_after(&[(1, 1), (1, 1), (9, 1)]) && astray_after(&[(1, 1), (1, 1), (9, 1), (8, 1)]));
        assert!(!astray_after(&[(1, 1), (9, 1)]), "one round may be chance");
        assert!(!astray_after(&[(1, 1), (1, 1), (9, 2)]), "both have moved");
        assert!(!astray_after(&[(1, 1), (1, 1), (9, 1), (9, 2)]), "Azure DNS moves too");
        assert!(!astray_after(&[(1, 1), (2, 2), (9, 2)]), "it rotates");
        assert!(!astray_after(&[(1, 1), (1, 1), (9, 1), (1, 1)]), "together again");
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for host in 0..2000u32 {
            let [.., high, low] = host.to_be_bytes();
            let address = IpAddr::from([20, 0, high, low]).to_string();
            let answer = Answer::with(&[], &[&address]);
            history.remember(&answer, &answer, Duration::from_secs(u64::from(host)));
        }
        assert!(history.azure_seen.len() <= MAX_REMEMBERED);
    }
}
