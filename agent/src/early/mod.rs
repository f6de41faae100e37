//! Early warnings: what moves before a class is lost; each detector's file holds its own threshold. Pure; it is told what visits learned and that time passed.
//!
//! No single detector sees everything: a burn rate sees flapping but no short outage, φ sees silence but no flapping,
//! CUSUM sees a path getting slower while every probe succeeds. They stand beside the risk and never move it. Memory is
//! bounded: about 4 kB per class, 100 bytes per address of an endpoint, 3 kB per time server.

pub mod burn_rate;
pub mod cusum;
pub mod drift;
pub mod parts;
pub mod phi;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use ase_probes::{
    class::Class,
    outcome::{Outcome, Protocol},
    verdict::Verdict,
};

use crate::{
    model::{
        catalog::{Catalog, EndpointId},
        endpoint::EndpointView,
        visit::{Judgement, Visit},
    },
    risk::estimate::Loss,
};
use burn_rate::{BurnRate, Window};
use cusum::Cusum;
use drift::Drift;
use phi::Phi;

/// A class of which nothing could be tested for this long is in the dark: three default intervals.
pub const BLIND_AFTER: Duration = Duration::from_secs(90);

/// Addresses that are remembered of an endpoint: twice as many as one visit asks, since names lead to others in turn.
const ADDRESSES: usize = 16;
/// An address that no visit asked for so long is forgotten: half of what is known of it is out of date.
const FORGOTTEN: Duration = Duration::from_secs(1800);

/// What the detectors of one class say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassEarly {
    /// How fast its budget of lost time is spent, per window of [`Window::ALL`].
    pub burn: [f64; Window::ALL.len()],
    /// How surprising the silence since its last success is; `None` before the first.
    pub phi: Option<f64>,
    /// The worst rise of round trips among its endpoints, 1 is an alarm; `None` while all of them learn.
    pub latency: Option<f64>,
    /// The endpoint with that rise.
    pub slowest: Option<EndpointId>,
    /// How long nothing of it could be tested.
    pub untested: Duration,
}

impl ClassEarly {
    /// Whether nothing of it could be tested for three intervals.
    pub fn is_blind(&self) -> bool {
        self.untested >= BLIND_AFTER
    }
}

/// What all detectors say at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EarlyView {
    /// Every class that has endpoints.
    pub classes: BTreeMap<Class, ClassEarly>,
    /// Seconds per second that a time server's offset grows, where enough is known.
    pub drifts: Arc<BTreeMap<EndpointId, f64>>,
}

#[derive(Clone, Debug)]
struct ClassState {
    burn: BurnRate,
    phi: Phi,
    untested: Duration,
    latencies: Latencies,
}

/// The round trips of one address: another of the same name may lie in another region.
#[derive(Clone, Copy, Debug)]
struct Latency {
    address: IpAddr,
    cusum: Cusum,
    last: Duration,
    /// Visits in a row that did not meet it.
    missed: u32,
}

/// The round trips of one class's endpoints, address by address, and which of them rose most. Only a fall of that one makes
/// the others be looked at again.
#[derive(Clone, Debug, Default)]
struct Latencies {
    of: BTreeMap<EndpointId, Vec<Latency>>,
    worst: Option<(f64, EndpointId)>,
}

impl Latencies {
    /// Takes in that an endpoint was visited, before what was met there. A rise that is met no more is over after as many visits
    /// as it would be were each as usual: a name that leads elsewhere now is mended, and of what does not answer nothing is known.
    /// Of several addresses that are met meanwhile, each has its turn.
    fn visited(&mut self, id: &EndpointId) {
        let Some(known) = self.of.get_mut(id) else { return };
        let is_any = known.iter().any(|latency| latency.cusum.is_alarm());
        let missed: Vec<u32> = known.iter().filter(|_| is_any).map(|latency| latency.missed).collect();
        let mut is_news = false;
        for latency in known {
            let met_since = missed.iter().filter(|other| **other < latency.missed).count().max(1);
            if latency.missed >= cusum::LONGEST_END * met_since as u32 && latency.cusum.is_alarm() {
                latency.cusum.relent();
                is_news = true;
            }
            latency.missed = latency.missed.saturating_add(1);
        }
        if is_news && self.worst.as_ref().is_some_and(|(_, slowest)| slowest == id) {
            self.look_again();
        }
    }

    fn observe(&mut self, id: &EndpointId, address: IpAddr, round_trip: Duration, now: Duration) {
        let known = self.of.entry(id.clone()).or_default();
        known.retain(|latency| now.saturating_sub(latency.last) <= FORGOTTEN);
        match known.iter_mut().find(|latency| latency.address == address) {
            // One visit tells of an address once.
            Some(latency) if latency.last == now => return,
            Some(latency) => {
                latency.cusum.observe(round_trip, now.saturating_sub(latency.last));
                (latency.last, latency.missed) = (now, 0);
            }
            None => {
                if known.len() >= ADDRESSES {
                    let oldest = (0..known.len()).min_by_key(|place| known[*place].last);
                    oldest.map(|place| known.swap_remove(place));
                }
                let mut cusum = Cusum::default();
                cusum.observe(round_trip, Duration::ZERO);
                known.reserve_exact(1);
                known.push(Latency { address, cusum, last: now, missed: 0 });
            }
        }
        match (ratio(known), &self.worst) {
            (Some(ratio), Some((worst, slowest))) if (*worst, slowest) <= (ratio, id) => {
                self.worst = Some((ratio, id.clone()));
            }
            (_, Some((_, slowest))) if slowest == id => self.look_again(),
            (Some(ratio), None) => self.worst = Some((ratio, id.clone())),
            (Some(_) | None, _) => {}
        }
    }

    fn retain(&mut self, watched: impl Fn(&EndpointId) -> bool) {
        self.of.retain(|id, _| watched(id));
        self.look_again();
    }

    fn look_again(&mut self) {
        let ratios = self.of.iter().filter_map(|(id, known)| Some((ratio(known)?, id)));
        let worst = ratios.max_by(|one, other| one.0.total_cmp(&other.0));
        self.worst = worst.map(|(ratio, id)| (ratio, id.clone()));
    }
}

/// The rise at that of an endpoint's addresses where it is worst; `None` while all of them learn.
fn ratio(known: &[Latency]) -> Option<f64> {
    known.iter().filter_map(|latency| latency.cusum.ratio()).max_by(f64::total_cmp)
}

/// The detectors. Times are those of one monotonic clock, from any beginning.
#[derive(Clone, Debug)]
pub struct Early {
    classes: BTreeMap<Class, ClassState>,
    drifts: BTreeMap<EndpointId, Drift>,
    slopes: Arc<BTreeMap<EndpointId, f64>>,
}

impl Early {
    /// Detectors that have seen nothing.
    pub fn new(catalog: &Catalog) -> Self {
        let mut early = Self { classes: BTreeMap::new(), drifts: BTreeMap::new(), slopes: Arc::default() };
        early.reload(catalog);
        early
    }

    /// Takes another catalogue; what stays keeps what was learned of it.
    pub fn reload(&mut self, catalog: &Catalog) {
        let mut expected: BTreeMap<Class, Duration> = BTreeMap::new();
        for endpoint in &catalog.endpoints {
            let shortest = expected.entry(endpoint.class).or_insert(endpoint.interval);
            *shortest = (*shortest).min(endpoint.interval);
        }
        self.classes.retain(|class, _| expected.contains_key(class));
        for (class, expected) in expected {
            let fresh = || ClassState {
                burn: BurnRate::default(),
                phi: Phi::new(expected),
                untested: Duration::ZERO,
                latencies: Latencies::default(),
            };
            self.classes.entry(class).or_insert_with(fresh).phi.expect(expected);
        }
        let watched: BTreeMap<&EndpointId, Class> =
            catalog.endpoints.iter().map(|endpoint| (&endpoint.id, endpoint.class)).collect();
        for (class, state) in &mut self.classes {
            state.latencies.retain(|id| watched.get(id) == Some(class));
        }
        self.drifts.retain(|id, _| watched.contains_key(id));
        Arc::make_mut(&mut self.slopes).retain(|id, _| watched.contains_key(id));
    }

    /// Takes what a visit learned, and what it means.
    pub fn observe(&mut self, view: &EndpointView, visit: &Visit, judged: Judgement, now: Duration) {
        let id = &view.endpoint.id;
        if let Some(state) = self.classes.get_mut(&view.endpoint.class) {
            if matches!(judged, Ok(Verdict::Healthy | Verdict::Degraded(_))) {
                state.phi.success(now);
            }
            state.latencies.visited(id);
            for outcome in &visit.outcomes {
                if let Some(round_trip) = outcome.seen.round_trip {
                    state.latencies.observe(id, outcome.address.ip(), round_trip, now);
                }
            }
        }
        if let Some(offset) = visit.outcomes.iter().find_map(offset) {
            let drift = self.drifts.entry(id.clone()).or_default();
            drift.observe(offset, now);
            match drift.slope() {
                Some(slope) => drop(Arc::make_mut(&mut self.slopes).insert(id.clone(), slope)),
                None => drop(Arc::make_mut(&mut self.slopes).remove(id)),
            }
        }
    }

    /// Lets `elapsed` pass until `now`, in which these shares of the classes were lost, as confirmed.
    pub fn step(&mut self, losses: &BTreeMap<Class, Loss>, elapsed: Duration, now: Duration) {
        for (class, state) in &mut self.classes {
            if elapsed > BLIND_AFTER {
                // This machine was paused; the silence is its own.
                state.phi.forgive(elapsed, now);
            }
            match losses.get(class) {
                Some(Loss::Known(loss)) => {
                    state.burn.step(Some(*loss), elapsed);
                    state.untested = Duration::ZERO;
                }
                Some(Loss::Unknown) | None => {
                    state.burn.step(None, elapsed);
                    if elapsed <= BLIND_AFTER {
                        state.phi.forgive(elapsed, now);
                    }
                    state.untested = state.untested.saturating_add(elapsed);
                }
            }
        }
    }

    /// What the detectors say at this moment.
    pub fn view(&self, now: Duration) -> EarlyView {
        let classes = self.classes.iter().map(|(class, state)| (*class, state.view(now)));
        EarlyView { classes: classes.collect(), drifts: Arc::clone(&self.slopes) }
    }
}

impl ClassState {
    fn view(&self, now: Duration) -> ClassEarly {
        let worst = self.latencies.worst.as_ref();
        ClassEarly {
            burn: self.burn.rates(),
            phi: self.phi.phi(now),
            latency: worst.map(|(ratio, _)| *ratio),
            slowest: worst.map(|(_, id)| id.clone()),
            untested: self.untested,
        }
    }
}

fn offset(outcome: &Outcome) -> Option<f64> {
    match &outcome.protocol {
        Protocol::Ntp(reply) => {
            reply.packet.as_ref().filter(|packet| packet.is_synchronised()).map(|packet| packet.offset)
        }
        Protocol::Nothing | Protocol::Dns(_) | Protocol::Http(_) | Protocol::Tds(_) | Protocol::Tcp(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const ROUND: Duration = Duration::from_secs(30);

    fn early() -> (Early, crate::engine::snapshot::Snapshot) {
        let snapshot = sample::snapshot();
        (Early::new(&snapshot.catalog), snapshot)
    }

    fn all(loss: Loss) -> BTreeMap<Class, Loss> {
        Class::ALL.map(|class| (class, loss)).into()
    }

    #[test]
    fn visits_feed_the_detectors_of_their_class() {
        let (mut early, snapshot) = early();
        for round in 0..20u32 {
            for view in &snapshot.endpoints {
                if let Some(visit) = &view.last {
                    early.observe(view, visit, visit.result, ROUND * round);
                }
            }
            early.step(&all(Loss::Known(0.0)), ROUND, ROUND * round);
        }
        let view = early.view(ROUND * 19);
        assert_eq!(view.classes.len(), 7);
        assert!(view.classes[&Class::Https].phi.is_some_and(|phi| phi < 1.0));
        assert_eq!(view.classes[&Class::Sql].phi, None, "it never answered");
        assert!(view.classes[&Class::Https].latency.is_some_and(|ratio| ratio < 0.1));
        assert_eq!(view.drifts.len(), 1);
    }

    #[test]
    fn a_name_that_leads_to_a_near_and_a_far_address_in_turn_is_not_slow_and_one_that_gets_slower_is() {
        let near_and_far = |far: fn(u32) -> u64| {
            let (mut early, snapshot) = early();
            let is_there = |view: &&Arc<EndpointView>| view.endpoint.class == Class::Https && view.last.is_some();
            let view = snapshot.endpoints.iter().find(is_there).expect("the sample has one");
            let mut visit = Visit::clone(view.last.as_ref().expect("it was visited"));
            visit.outcomes.truncate(1);
            (0..400).any(|round| {
                // A name server hands the same out until its time to live is over.
                let is_far = round / 20 % 2 == 1;
                let outcome = &mut visit.outcomes[0];
                outcome.address.set_ip(if is_far { [203, 0, 113, 9] } else { [203, 0, 113, 1] }.into());
                outcome.seen.round_trip = Some(Duration::from_millis(if is_far { far(round) } else { 2 }));
                early.observe(view, &visit, visit.result, ROUND * round);
                early.view(ROUND * round).classes[&Class::Https].latency.is_some_and(|ratio| ratio >= 1.0)
            })
        };
        assert!(!near_and_far(|_| 80), "each is as it always was");
        assert!(near_and_far(|round| if round < 200 { 80 } else { 160 }), "the far one got slower");
    }

    #[test]
    fn a_rise_that_is_met_no_more_ends_as_one_that_is_mended() {
        const SLOW: std::ops::Range<u32> = 100..140;
        // A rise that lasts an hour is normal.
        const LAST: u32 = 216;
        // What each visit after the slow ones meets: where the answer came from, and its round trip in ms.
        let told = |after: fn(u32) -> Option<(u8, u64)>| {
            let (mut early, snapshot) = early();
            let is_there = |view: &&Arc<EndpointView>| view.endpoint.class == Class::Https && view.last.is_some();
            let view = snapshot.endpoints.iter().find(is_there).expect("the sample has one");
            let mut visit = Visit::clone(view.last.as_ref().expect("it was visited"));
            visit.outcomes.truncate(1);
            let warned = |round: u32| {
                let met = match round {
                    ..100 => Some((1, 10)),
                    100..140 => Some((1, 30)),
                    140.. => after(round),
                };
                let outcome = &mut visit.outcomes[0];
                outcome.seen.round_trip = met.map(|(_, millis)| Duration::from_millis(millis));
                outcome.address.set_ip([203, 0, 113, met.map_or(1, |(last, _)| last)].into());
                early.observe(view, &visit, visit.result, ROUND * round);
                early.view(ROUND * round).classes[&Class::Https].latency.is_some_and(|ratio| ratio >= 1.0)
            };
            let warned: Vec<bool> = (0..LAST).map(warned).collect();
            let begun = warned.windows(2).filter(|pair| !pair[0] && pair[1]).count();
            assert_eq!((begun, warned[SLOW.end as usize - 1]), (1, true), "it is warned of once");
            let last = warned.iter().rposition(|is_warned| *is_warned).expect("it is warned of");
            ROUND * (last as u32 + 1 - SLOW.end)
        };
        let mended = told(|_| Some((1, 10)));
        assert!(mended <= 2 * Window::FiveMinutes.length(), "{mended:?}");
        for (what, ended) in [
            ("its name leads elsewhere", told(|_| Some((2, 10)))),
            ("it does not answer", told(|_| None)),
            (
                "its name leads elsewhere, and back to what is mended",
                told(|round| Some((1 + u8::from(round < 180), 10))),
            ),
        ] {
            assert!(ended.abs_diff(mended) <= 2 * ROUND, "{what}: {ended:?} instead of {mended:?}");
        }
        let lasts = told(|round| Some(if round % 8 == 0 { (1, 30) } else { (2, 10) }));
        assert_eq!(lasts, ROUND * (LAST - SLOW.end), "one of several addresses that are met in turn stays slow");
        let lasts = told(|round| Some(if round % 16 == 0 { (1, 30) } else { (2 + (round % 16) as u8, 10) }));
        assert_eq!(lasts, ROUND * (LAST - SLOW.end), "one of many");
    }

    #[test]
    fn addresses_are_forgotten_and_never_many() {
        let (mut latencies, id) = (Latencies::default(), EndpointId("a".into()));
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for round in 0..1000 {
            latencies.observe(&id, address(round), Duration::from_millis(1), ROUND * round);
        }
        assert_eq!(latencies.of[&id].len(), ADDRESSES);
        latencies.observe(&id, address(7), Duration::from_millis(1), ROUND * 1000 + FORGOTTEN);
        assert_eq!(latencies.of[&id].len(), 1);
    }

    #[test]
    fn the_slowest_endpoint_is_the_one_whose_round_trips_rose_most_also_after_it_recovered() {
        let mut latencies = Latencies::default();
        let ids = ["a", "b", "c"].map(|id| EndpointId(id.into()));
        let mut feed = |round: u32, slow: Option<usize>| {
            for (index, id) in ids.iter().enumerate() {
                let millis = if slow == Some(index) { 30 } else { 10 };
                latencies.observe(id, IpAddr::from([192, 0, 2, 1]), Duration::from_millis(millis), ROUND * round);
            }
            let told = latencies.worst.clone();
            latencies.look_again();
            assert_eq!(told, latencies.worst, "round {round}");
            told.map(|(_, id)| id.0.to_string())
        };
        (0..60).for_each(|round| drop(feed(round, None)));
        assert_eq!(feed(60, None).as_deref(), Some("c"), "the last among equals");
        (61..80).for_each(|round| drop(feed(round, Some(0))));
        assert_eq!(feed(80, Some(0)).as_deref(), Some("a"));
        (81..400).for_each(|round| drop(feed(round, None)));
        (400..440).for_each(|round| drop(feed(round, Some(1))));
        assert_eq!(feed(440, Some(1)).as_deref(), Some("b"));
    }

    #[test]
    fn a_class_that_cannot_be_tested_is_in_the_dark_after_three_intervals_and_burns_nothing() {
        let (mut early, _) = early();
        for round in 1..=3u32 {
            assert!(!early.view(ROUND * round).classes[&Class::Dns].is_blind());
            early.step(&all(Loss::Unknown), ROUND, ROUND * round);
        }
        let dns = &early.view(ROUND * 3).classes[&Class::Dns];
        assert!(dns.is_blind());
        assert_eq!(dns.burn, [0.0; 5]);
        early.step(&all(Loss::Known(1.0)), ROUND, ROUND * 4);
        assert!(!early.view(ROUND * 4).classes[&Class::Dns].is_blind());
    }

    #[test]
    fn a_reload_forgets_what_is_gone_and_keeps_the_rest() {
        let (mut early, snapshot) = early();
        (1..=12u32).for_each(|round| early.step(&all(Loss::Known(1.0)), ROUND, ROUND * round));
        let mut catalog = (*snapshot.catalog).clone();
        catalog.endpoints.retain(|endpoint| endpoint.class != Class::Tcp);
        early.reload(&catalog);
        let view = early.view(ROUND * 12);
        assert!(!view.classes.contains_key(&Class::Tcp));
        assert!(view.classes[&Class::Sql].burn[0] > 100.0);
    }
}
