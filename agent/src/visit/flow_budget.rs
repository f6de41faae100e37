//! How many new flows each destination may still get this minute. SNAT ports are finite, and the prober must
//! not spend what it measures.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ase_probes::clock;

/// The length of a budget period.
const PERIOD: Duration = Duration::from_secs(60);
/// One flow in so many is held back for confirmations: without one a failure is never told. Of the default of 60 these are
/// six, as many as the failures that speak for two kinds of trouble at one destination in a single look.
const HELD_BACK: u32 = 10;
/// Of a small budget as many are held back as speak for one kind of trouble, and no more than every other flow.
const HELD_BACK_AT_LEAST: u32 = 3;

/// Flows begun per destination in its current period.
#[derive(Debug)]
pub struct FlowBudget {
    limit: u32,
    spent: BTreeMap<SocketAddr, (Instant, u32)>,
    /// When destinations of the past were forgotten last.
    forgot: Option<Instant>,
}

impl FlowBudget {
    /// A budget of `limit` new flows per destination and minute.
    pub fn new(limit: u32) -> Self {
        Self { limit, spent: BTreeMap::new(), forgot: None }
    }

    /// Takes over what was spent under an earlier limit.
    pub fn inherit(&mut self, earlier: &Self) {
        self.spent.clone_from(&earlier.spent);
    }

    /// Takes one flow to `destination`; false when its budget is spent, but for what is held back for confirmations.
    pub fn take(&mut self, destination: SocketAddr, now: Instant) -> bool {
        self.take_below(self.to_ask(), destination, now)
    }

    /// Takes one flow to `destination` in order to confirm a failure; false when all of its budget is spent.
    pub fn take_to_confirm(&mut self, destination: SocketAddr, now: Instant) -> bool {
        self.take_below(self.limit, destination, now)
    }

    /// Whether [`FlowBudget::take`] would give a flow.
    pub fn has(&self, destination: SocketAddr, now: Instant) -> bool {
        self.count(destination, now) < self.to_ask()
    }

    /// Whether [`FlowBudget::take_to_confirm`] would give a flow.
    pub fn has_to_confirm(&self, destination: SocketAddr, now: Instant) -> bool {
        self.count(destination, now) < self.limit
    }

    /// The flows of a period that no confirmation needs.
    fn to_ask(&self) -> u32 {
        self.limit - held_back(self.limit)
    }

    /// The flows that a destination got in its current period.
    fn count(&self, destination: SocketAddr, now: Instant) -> u32 {
        let of_now = self.spent.get(&destination).filter(|(began, _)| now.duration_since(*began) < PERIOD);
        of_now.map_or(0, |(_, count)| *count)
    }

    fn take_below(&mut self, limit: u32, destination: SocketAddr, now: Instant) -> bool {
        // Once per period: with longer intervals nearly every visit is to a destination of the past.
        if self.forgot.is_none_or(|forgot| now.duration_since(forgot) >= PERIOD) {
            self.spent.retain(|_, (began, _)| now.duration_since(*began) < PERIOD);
            self.forgot = Some(now);
        }
        let (began, count) = self.spent.entry(destination).or_insert((now, 0));
        if now.duration_since(*began) >= PERIOD {
            (*began, *count) = (now, 0);
        }
        if *count >= limit {
            return false;
        }
        *count += 1;
        true
    }
}

/// How many of so many flows are held back for confirmations.
fn held_back(limit: u32) -> u32 {
    HELD_BACK_AT_LEAST.min(limit / 2).max(limit / HELD_BACK)
}

/// A budget that several callers spend.
#[derive(Debug)]
pub struct SharedFlows(Mutex<FlowBudget>);

impl SharedFlows {
    /// A budget of `limit` new flows per destination and minute.
    pub fn new(limit: u32) -> Self {
        Self(Mutex::new(FlowBudget::new(limit)))
    }

    /// Takes one flow to `destination`; false when its budget is spent, but for what is held back for confirmations.
    pub fn take(&self, destination: SocketAddr) -> bool {
        self.budget().take(destination, clock::now())
    }

    /// Takes one flow to `destination` in order to confirm a failure; false when all of its budget is spent.
    pub fn take_to_confirm(&self, destination: SocketAddr) -> bool {
        self.budget().take_to_confirm(destination, clock::now())
    }

    /// Whether [`SharedFlows::take`] would give a flow.
    pub fn has(&self, destination: SocketAddr) -> bool {
        self.budget().has(destination, clock::now())
    }

    /// Whether [`SharedFlows::take_to_confirm`] would give a flow.
    pub fn has_to_confirm(&self, destination: SocketAddr) -> bool {
        self.budget().has_to_confirm(destination, clock::now())
    }

    /// Takes over what was spent under an earlier limit.
    pub fn inherit(&self, earlier: &Self) {
        let spent = earlier.budget();
        self.budget().inherit(&spent);
    }

    fn budget(&self) -> MutexGuard<'_, FlowBudget> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_has_its_own_budget_and_gets_it_back_after_a_minute() {
        let start = ase_probes::clock::now();
        let (one, other): (SocketAddr, SocketAddr) = (([198, 18, 0, 1], 443).into(), ([198, 18, 0, 1], 80).into());
        let mut budget = FlowBudget::new(4);
        assert!(budget.take(one, start) && budget.take(one, start));
        assert!(!budget.has(one, start) && !budget.take(one, start));
        assert!(budget.has_to_confirm(one, start) && budget.has(other, start));
        assert!(budget.take(other, start));
        assert!(budget.has(one, start + PERIOD));
        assert!(budget.take(one, start + PERIOD));
    }

    #[test]
    fn first_visits_leave_flows_for_confirmations_and_nobody_gets_more_than_all() {
        let now = ase_probes::clock::now();
        let one: SocketAddr = ([198, 18, 0, 1], 443).into();
        let mut budget = FlowBudget::new(60);
        let first = (0..100).filter(|_| budget.take(one, now)).count();
        let confirmed = (0..100).filter(|_| budget.take_to_confirm(one, now)).count();
        assert_eq!((first, confirmed), (54, 6));
        let mut budget = FlowBudget::new(60);
        assert_eq!((0..100).filter(|_| budget.take_to_confirm(one, now)).count(), 60);
        assert!(!budget.take(one, now));
    }

    #[test]
    fn also_a_small_budget_has_flows_for_confirmations_and_every_budget_most_for_first_visits() {
        let now = ase_probes::clock::now();
        let one: SocketAddr = ([198, 18, 0, 1], 443).into();
        for (limit, first) in [(1, 1), (2, 1), (3, 2), (5, 3), (9, 6), (60, 54)] {
            let mut budget = FlowBudget::new(limit);
            assert_eq!((0..100).filter(|_| budget.take(one, now)).count(), first, "of {limit}");
        }
    }

    #[test]
    fn a_budget_that_takes_over_from_another_gives_nothing_twice() {
        let start = ase_probes::clock::now();
        let one: SocketAddr = ([198, 18, 0, 1], 443).into();
        let mut before = FlowBudget::new(4);
        assert!(before.take(one, start) && before.take(one, start));
        let mut after = FlowBudget::new(5);
        after.inherit(&before);
        assert!(after.take(one, start) && !after.take(one, start));
    }

    #[test]
    fn destinations_of_the_past_are_looked_for_once_per_period() {
        let start = ase_probes::clock::now();
        let mut budget = FlowBudget::new(1);
        let destination = |second: u32| ([198, 18, (second / 256) as u8, (second % 256) as u8], 443).into();
        let mut looked = 0;
        for second in 0..600u32 {
            let before = budget.spent.len();
            assert!(budget.take(destination(second), start + Duration::from_secs(u64::from(second))));
            looked += usize::from(budget.spent.len() != before + 1);
        }
        assert!(looked <= 600 / 60, "{looked} times all were looked at");
        assert!(budget.spent.len() <= 2 * 60, "{} destinations kept", budget.spent.len());
    }

    #[test]
    fn destinations_of_the_past_are_forgotten() {
        let start = ase_probes::clock::now();
        let mut budget = FlowBudget::new(1);
        for host in 0..200u8 {
            assert!(budget.take(([198, 18, 1, host], 443).into(), start + PERIOD * u32::from(host)));
        }
        assert!(budget.spent.len() <= 2, "{} destinations kept", budget.spent.len());
    }
}
