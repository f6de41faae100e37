//! What our own questions show about each DNS server: how it answers, and whether it drops questions only while many are
//! asked. Pure: what was heard goes in, with its time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use crate::resolvers::compare::DnsOutcome;

/// How far back signs of throttling are looked for, in seconds: two rounds of comparisons, which are what asks much at once.
const WINDOW: u64 = 600;
/// Quiet seconds that are older than this are summed up by the minute, in seconds: a visit is heard of when it ends, so that the
/// last ones may still turn out otherwise. Without that, what is kept of a server would grow for ten minutes, to two kilobytes
/// where it is asked every five seconds.
const SETTLED: u64 = 60;
/// What is summed up, in seconds.
const MINUTE: u64 = 60;
/// Questions in one second that are too many: no server without a limit loses any of so few, and a limit below would be
/// met by one page of a browser.
const MANY: u32 = 10;
/// Lost questions below which nothing is said: one or two are a path's ordinary loss.
const LOST: u32 = 3;
/// Answers in quiet seconds after the last loss that show a recovery: as many as losses, so that neither is luck.
const RECOVERED: u32 = 3;

/// Every way a server can answer; the labels are [`DnsOutcome::label`].
pub const OUTCOMES: [DnsOutcome; 8] = [
    DnsOutcome::Answer,
    DnsOutcome::Nodata,
    DnsOutcome::Nxdomain,
    DnsOutcome::Servfail,
    DnsOutcome::Refused,
    DnsOutcome::Formerr,
    DnsOutcome::Timeout,
    DnsOutcome::Malformed,
];

/// One second in which the server was asked, or several quiet ones of one minute with none between them that was not quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second {
    /// The first of them.
    at: u64,
    asked: u32,
    lost: u32,
    /// The most that was asked in one of them.
    rate: u32,
}

impl Second {
    /// Whether nothing was lost at a rate that is not many: however many are summed up, no loss is one at such a rate.
    fn is_quiet(self) -> bool {
        self.lost == 0 && self.rate < MANY
    }

    /// Whether both are quiet and of one minute.
    fn goes_with(self, next: Self) -> bool {
        self.is_quiet() && next.is_quiet() && self.at / MINUTE == next.at / MINUTE
    }
}

/// Why a server seems to throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// Questions lost in the window.
    pub lost: u32,
    /// The lowest rate, in questions per second, at which one was lost.
    pub from_rate: u32,
    /// Questions at lower rates, all answered.
    pub quiet: u32,
}

/// What one server did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    counts: BTreeMap<DnsOutcome, u64>,
    /// In order of time.
    seconds: VecDeque<Second>,
}

impl Load {
    /// Takes in how one question fared that was asked at this time since the Unix epoch.
    pub fn hear(&mut self, outcome: DnsOutcome, at: Duration) {
        *self.counts.entry(outcome).or_default() += 1;
        let (at, lost) = (at.as_secs(), u32::from(outcome == DnsOutcome::Timeout));
        // By a clock that was set back, what was heard before is yet to come.
        if self.seconds.back().is_some_and(|newest| newest.at > at + SETTLED) {
            self.seconds.clear();
        }
        // A visit is heard of when it ends, so the second is the newest or, by its timeout, a few before.
        let later = self.seconds.iter().rev().take_while(|second| second.at > at).count();
        let place = self.seconds.len() - later;
        match place.checked_sub(1).map(|before| &mut self.seconds[before]).filter(|second| second.at == at) {
            Some(second) => {
                (second.asked, second.lost) = (second.asked + 1, second.lost + lost);
                second.rate += 1;
            }
            None => {
                // A clone has room for what it has: doubling that would double the memory at each snapshot.
                self.seconds.reserve_exact(1);
                self.seconds.insert(place, Second { at, asked: 1, lost, rate: 1 });
            }
        }
        self.forget();
        self.sum_up();
    }

    fn forget(&mut self) {
        let newest = self.seconds.back().map_or(0, |second| second.at);
        while self.seconds.front().is_some_and(|oldest| oldest.at + WINDOW <= newest) {
            self.seconds.pop_front();
        }
    }

    /// Sums up what is settled.
    fn sum_up(&mut self) {
        let newest = self.seconds.back().map_or(0, |second| second.at);
        let mut settled = self.seconds.iter().take_while(|second| second.at + SETTLED <= newest).count();
        let mut place = 1;
        while place < settled {
            let (sum, next) = (self.seconds[place - 1], self.seconds[place]);
            if sum.goes_with(next) {
                self.seconds[place - 1] =
                    Second { asked: sum.asked + next.asked, rate: sum.rate.max(next.rate), ..sum };
                self.seconds.remove(place);
                settled -= 1;
            } else {
                place += 1;
            }
        }
    }

    /// How often the server answered like this.
    pub fn count(&self, outcome: DnsOutcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or_default()
    }

    /// Signs of throttling: questions were lost only in seconds with many of them, none in quieter ones, and quiet
    /// seconds after the last loss were answered again. A server that is down loses questions at any rate.
    pub fn throttling(&self) -> Option<Throttling> {
        let lost: u32 = self.seconds.iter().map(|second| second.lost).sum();
        let from_rate = self.seconds.iter().filter(|second| second.lost > 0).map(|second| second.rate).min()?;
        if lost < LOST || from_rate < MANY {
            return None;
        }
        let last_loss = self.seconds.iter().filter(|second| second.lost > 0).map(|second| second.at).max()?;
        let quiet = |second: &&Second| second.rate < from_rate;
        let asked = |seconds: &mut dyn Iterator<Item = &Second>| seconds.map(|second| second.asked).sum::<u32>();
        let after = asked(&mut self.seconds.iter().filter(quiet).filter(|second| second.at > last_loss));
        let quiet = asked(&mut self.seconds.iter().filter(quiet));
        (after >= RECOVERED).then_some(Throttling { lost, from_rate, quiet })
    }
}

/// What every server did; only servers that are known from the start are counted. A clone shares each server's load
/// until more is heard of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Each server's place in `loads`.
    places: Arc<BTreeMap<SocketAddr, usize>>,
    loads: Vec<Arc<Load>>,
}

impl Loads {
    /// Nothing was asked yet.
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        let servers: BTreeSet<SocketAddr> = servers.into_iter().collect();
        let loads = servers.iter().map(|_| Arc::default()).collect();
        Self { places: Arc::new(servers.into_iter().zip(0..).collect()), loads }
    }

    /// Takes in how one question to a server fared.
    pub fn hear(&mut self, server: SocketAddr, outcome: DnsOutcome, at: Duration) {
        if let Some(place) = self.places.get(&server) {
            Arc::make_mut(&mut self.loads[*place]).hear(outcome, at);
        }
    }

    /// Carries over what is known of servers that stay.
    pub fn inherit(&mut self, earlier: &Self) {
        for (server, place) in &*self.places {
            if let Some(known) = earlier.places.get(server) {
                self.loads[*place] = Arc::clone(&earlier.loads[*known]);
            }
        }
    }

    /// Every server in order.
    pub fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &Load)> {
        self.places.keys().zip(self.loads.iter().map(|load| &**load))
    }

    /// What this server did, if it is known.
    pub fn of(&self, server: SocketAddr) -> Option<&Load> {
        self.places.get(&server).map(|place| &*self.loads[*place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A server's load after these seconds of (questions asked, questions lost).
    fn after(seconds: &[(u64, u32, u32)]) -> Load {
        let mut load = Load::default();
        for (at, asked, lost) in seconds {
            for question in 0..*asked {
                let outcome = if question < *lost { DnsOutcome::Timeout } else { DnsOutcome::Answer };
                load.hear(outcome, Duration::from_secs(*at));
            }
        }
        load
    }

    #[test]
    fn losses_at_high_rates_only_and_a_recovery_are_throttling() {
        let found = after(&[(0, 4, 0), (10, 40, 12), (11, 30, 5), (12, 4, 0), (20, 4, 0)]).throttling();
        assert_eq!(found, Some(Throttling { lost: 17, from_rate: 30, quiet: 12 }));
        for (label, seconds) in [
            ("nothing lost", &[(0, 40, 0), (10, 4, 0)][..]),
            ("lost at any rate: it is down", &[(0, 40, 12), (1, 2, 2), (5, 4, 0)]),
            ("never recovered", &[(0, 4, 0), (10, 40, 12)]),
            ("lost while few were asked", &[(0, 5, 4), (10, 4, 0)]),
            ("one loss is an accident", &[(0, 40, 1), (10, 4, 0)]),
            ("too long ago", &[(0, 40, 12), (1000, 4, 0)]),
        ] {
            assert_eq!(after(seconds).throttling(), None, "{label}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_blind() {
        let found = after(&[(5000, 4, 0), (0, 4, 0), (10, 40, 12), (12, 4, 0), (20, 4, 0)]).throttling();
        assert_eq!(found, Some(Throttling { lost: 12, from_rate: 40, quiet: 12 }));
    }

    #[test]
    fn answers_are_counted_by_kind_and_strangers_are_not() {
        let (known, stranger) = (SocketAddr::from(([10, 0, 0, 4], 53)), SocketAddr::from(([10, 0, 0, 9], 53)));
        let mut loads = Loads::new([known]);
        loads.hear(known, DnsOutcome::Servfail, Duration::ZERO);
        loads.hear(stranger, DnsOutcome::Answer, Duration::ZERO);
        let mut next = Loads::new([known, stranger]);
        next.inherit(&loads);
        assert_eq!(next.of(known).map(|load| load.count(DnsOutcome::Servfail)), Some(1));
        assert_eq!(next.of(stranger).map(|load| load.count(DnsOutcome::Answer)), Some(0));
    }

    #[test]
    fn what_is_kept_of_a_server_that_answers_is_level_after_two_minutes() {
        let seconds: Vec<_> = (0..720).map(|question| (question * 5, 1, 0)).collect();
        let load = after(&seconds);
        let most = SETTLED / 5 + WINDOW / MINUTE + 1;
        assert!(load.seconds.capacity() as u64 <= most + 1, "{} of at most {most}", load.seconds.capacity());
        let asked: u32 = load.seconds.iter().map(|second| second.asked).sum();
        assert!(u64::from(asked) * 5 > WINDOW - MINUTE && u64::from(asked) * 5 <= WINDOW, "{asked} are in the window");
    }

    proptest! {
        #[test]
        fn sums_say_what_every_second_would_say(
            seconds in proptest::collection::btree_map(0u64..WINDOW, (1u32..30, 0u32..4), 1..80),
        ) {
            let told: Vec<_> = seconds.iter().map(|(at, (asked, lost))| (*at, *asked, *lost.min(asked))).collect();
            let each = told.iter().map(|(at, asked, lost)| Second { at: *at, asked: *asked, lost: *lost, rate: *asked });
            let exact = Load { counts: BTreeMap::new(), seconds: each.collect() };
            prop_assert_eq!(after(&told).throttling(), exact.throttling());
        }

        #[test]
        fn memory_is_bounded_and_a_quiet_loss_is_never_throttling(
            seconds in proptest::collection::vec((0u64..5000, 1u32..30, 0u32..4), 1..80),
        ) {
            let load = after(&seconds);
            prop_assert!(load.seconds.len() as u64 <= WINDOW);
            prop_assert!(load.seconds.iter().is_sorted_by(|one, next| one.at < next.at));
            if let Some(found) = load.throttling() {
                prop_assert!(found.from_rate >= MANY && found.lost >= LOST && found.quiet >= RECOVERED);
                prop_assert!(load.seconds.iter().all(|second| second.lost == 0 || second.asked >= found.from_rate));
            }
        }
    }
}
