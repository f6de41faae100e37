//! Every endpoint as it stands: where what a visit means becomes a status, a count and a moment. What a review changes
//! afterwards is said by the cases.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::verdict::Verdict;

use crate::{
    engine::{pulse::Clocks, snapshot::ClassView},
    model::{
        catalog::{Catalog, Endpoint},
        endpoint::{EndpointView, Status},
        remap::Remap,
        visit::{Hindrance, Judgement, Untested, Visit},
    },
};

/// The endpoints' views and what their last visits mean, in the catalogue's order.
#[derive(Debug)]
pub struct Endpoints {
    views: Vec<Arc<EndpointView>>,
    judged: Vec<Judgement>,
    /// How visits are put off, where they are.
    put_off: Vec<Option<PutOff>>,
    /// Why endpoints that failed once could not be asked again in a single look.
    held_up: BTreeMap<usize, Hindrance>,
}

/// Visits to an endpoint are put off, and none showed anything since.
#[derive(Clone, Debug)]
struct PutOff {
    since: Instant,
    /// Whether the visit that was put off last is still to come, and is counted already.
    is_to_come: bool,
    /// When the name was asked for last, and where it led, if nobody was asked there.
    resolved: Instant,
    led_to: Vec<IpAddr>,
}

/// What a single look left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOpen {
    /// How many endpoints were never visited.
    pub unvisited: usize,
    /// How many failures were not confirmed, by the reason.
    pub unconfirmed: BTreeMap<Hindrance, usize>,
}

impl Endpoints {
    /// Nothing was visited yet. `now` is the time since the Unix epoch.
    pub fn new(catalog: &Catalog, now: Duration) -> Self {
        let views: Vec<_> = catalog.endpoints.iter().map(|endpoint| unvisited(endpoint, now)).collect();
        let judged = vec![Err(Untested::NotYet); views.len()];
        Self { judged, put_off: vec![None; views.len()], held_up: BTreeMap::new(), views }
    }

    /// Follows the catalogue; endpoints that stay keep what is known of them.
    pub fn reload(&mut self, catalog: &Catalog, remap: &Remap, now: Duration) {
        let before = std::mem::replace(self, Self::new(catalog, now));
        for (number, known) in before.views.into_iter().zip(before.judged).zip(before.put_off).enumerate() {
            if let Some(after) = remap.get(number) {
                ((self.views[after], self.judged[after]), self.put_off[after]) = known;
                // It may be asked in another rhythm, and weigh otherwise.
                if self.views[after].endpoint != catalog.endpoints[after] {
                    Arc::make_mut(&mut self.views[after]).endpoint = Arc::clone(&catalog.endpoints[after]);
                }
            }
        }
    }

    /// The views.
    pub fn views(&self) -> &[Arc<EndpointView>] {
        &self.views
    }

    /// The views, for the diagnosis, which restates what it has thought over.
    pub fn views_mut(&mut self) -> &mut [Arc<EndpointView>] {
        &mut self.views
    }

    /// Counts a visit that begins, and says whom it visits. One that was put off is counted already.
    pub fn begin(&mut self, index: usize) -> Arc<Endpoint> {
        let view = Arc::make_mut(&mut self.views[index]);
        view.attempts += u64::from(self.put_off[index].as_ref().is_none_or(|put_off| !put_off.is_to_come));
        Arc::clone(&view.endpoint)
    }

    /// The addresses that failed at the last visit, which a confirmation asks again.
    pub fn failed(&self, index: usize) -> Vec<IpAddr> {
        self.views[index].last.as_ref().map(|last| last.failed.clone()).unwrap_or_default()
    }

    /// Takes in a visit and what it means, and returns the status before. What waits for its confirmation changes no
    /// status yet.
    pub fn take_in(&mut self, index: usize, visit: Visit, judged: Judgement, is_confirmed: bool) -> Status {
        let view = Arc::make_mut(&mut self.views[index]);
        let before = view.status;
        match judged {
            Ok(Verdict::Healthy | Verdict::Degraded(_)) => {
                view.reach = view.reach << 1 | 1;
                view.last_success = Some(visit.began + visit.took);
            }
            Ok(Verdict::Failed(finding)) => {
                view.reach <<= 1;
                *view.failures.entry(finding.cause).or_default() += 1;
            }
            Ok(Verdict::Inconclusive(_)) | Err(_) => {}
        }
        if is_confirmed {
            view.stand(status_of(judged), visit.began, visit.began + visit.took);
        }
        // One that died saw nothing: what was seen before still stands.
        if judged != Err(Untested::Died) || view.last.is_none() {
            view.last = Some(Arc::new(visit.shrunk()));
        }
        (self.judged[index], self.put_off[index]) = (judged, None);
        before
    }

    /// Notes under which number the store was handed the last outcome of an endpoint, if it was.
    pub fn hand_over(&mut self, index: usize, number: Option<u64>) {
        if let Some(number) = number {
            Arc::make_mut(&mut self.views[index]).handed_over = number;
        }
    }

    /// Takes a first failure as confirmed, since so many others failed again in the same way. Since the visit more may have been
    /// learned than it was judged by: `restate` says what it means now.
    pub fn confirm(&mut self, index: usize, others: usize, restate: impl FnOnce(Status) -> Status) {
        let view = Arc::make_mut(&mut self.views[index]);
        let Some(last) = &mut view.last else { return };
        let visit = Arc::make_mut(last);
        visit.confirmed_by = others;
        let (began, ended) = (visit.began, visit.began + visit.took);
        view.stand(restate(status_of(self.judged[index])), began, ended);
    }

    /// Takes in why an endpoint that failed once is not asked again in a single look.
    pub fn hold_up(&mut self, index: usize, why: Hindrance) {
        self.held_up.insert(index, why);
    }

    /// Says of every endpoint that failed once, and was not asked again before the look ended, that it is not confirmed.
    pub fn give_up(&mut self) -> LeftOpen {
        let mut left = LeftOpen::default();
        for (index, (view, judged)) in self.views.iter_mut().zip(&self.judged).enumerate() {
            if is_visited(view) {
                continue;
            }
            let Some(finding) = judged.ok().and_then(|verdict| verdict.finding()) else {
                left.unvisited += 1;
                continue;
            };
            let why = self.held_up.get(&index).copied().unwrap_or(Hindrance::Time);
            *left.unconfirmed.entry(why).or_default() += 1;
            Arc::make_mut(view).status = Status::Unknown(Untested::Unconfirmed(finding, why));
        }
        left
    }

    /// Says of an endpoint that was never visited, and will not be in this look, why that is so.
    pub fn leave(&mut self, index: usize, why: Untested, now: Duration) {
        if self.judged[index] == Err(Untested::NotYet) {
            Arc::make_mut(&mut self.views[index]).stand(Status::Unknown(why), now, now);
        }
    }

    /// Takes in that a visit was put off. Where none was made for a whole interval, what was well is no longer known to be;
    /// what was not stands until somebody sees that it is over. One that asked somebody before was made, and what it saw is shown,
    /// unless it is to confirm what is shown. Returns the status before, if it changed.
    pub fn put_off(&mut self, index: usize, visit: Visit, confirms: bool, at: Clocks) -> Option<Status> {
        let why = visit.result.err()?;
        let has_asked = !visit.outcomes.is_empty();
        let first = PutOff { since: at.now, is_to_come: true, resolved: at.now, led_to: Vec::new() };
        let put_off = self.put_off[index].get_or_insert(first);
        let since = put_off.since;
        put_off.is_to_come = !has_asked;
        if visit.resolution.is_some() {
            let spent = visit.unasked.iter().filter(|unasked| unasked.why == Untested::BudgetSpent);
            let spent = spent.filter(|_| visit.outcomes.is_empty()).map(|unasked| unasked.address.ip());
            (put_off.resolved, put_off.led_to) = (at.now, spent.collect());
        }
        if has_asked && !confirms {
            Arc::make_mut(&mut self.views[index]).last = Some(Arc::new(visit.shrunk()));
        }
        let view = &self.views[index];
        let stands = match view.status {
            Status::Failed(_) | Status::Degraded(_) => true,
            Status::Unknown(known) => {
                known == why || matches!(known, Untested::Forbidden(_) | Untested::Inconclusive(_) | Untested::Died)
            }
            Status::Healthy => false,
        };
        if stands || at.now - since < view.endpoint.interval {
            return None;
        }
        Some(Arc::make_mut(&mut self.views[index]).stand(Status::Unknown(why), at.wall, at.wall))
    }

    /// Where the name of an endpoint led that is put off. It is asked for again after an interval, as ever.
    pub fn led_to(&self, index: usize, now: Instant) -> Vec<IpAddr> {
        let interval = self.views[index].endpoint.interval;
        let fresh = self.put_off[index].as_ref().filter(|put_off| now - put_off.resolved < interval);
        fresh.map(|put_off| put_off.led_to.clone()).unwrap_or_default()
    }

    /// How many could not be tested for this reason.
    pub fn untested(&self, why: Untested) -> usize {
        self.views.iter().filter(|view| view.status == Status::Unknown(why)).count()
    }

    /// How many have a confirmed status.
    pub fn settled(&self) -> usize {
        self.views.iter().filter(|view| is_visited(view)).count()
    }

    /// How many failed, and again.
    pub fn failed_again(&self) -> usize {
        self.views.iter().filter(|view| matches!(view.status, Status::Failed(_))).count()
    }

    /// Whether every one was visited.
    pub fn are_visited(&self) -> bool {
        self.views.iter().all(is_visited)
    }

    /// Whether every one was visited, also where what that showed waits for its confirmation.
    pub fn were_all_asked(&self) -> bool {
        self.views.iter().all(|view| is_visited(view) || view.last.is_some())
    }

    /// Every class that has endpoints or slots, in order: one walk over all endpoints.
    pub fn classes(&self, catalog: &Catalog) -> Vec<ClassView> {
        let none =
            |class| ClassView { class, endpoints: 0, up: 0, failed: 0, unknown: 0, worst: None, not_configured: 0 };
        let mut classes = BTreeMap::new();
        for slot in &catalog.slots {
            classes.entry(slot.class).or_insert_with(|| none(slot.class)).not_configured += 1;
        }
        for view in &self.views {
            let class = view.endpoint.class;
            classes.entry(class).or_insert_with(|| none(class)).count(view);
        }
        classes.into_values().collect()
    }
}

/// The status that a judgement is.
pub fn status_of(judged: Judgement) -> Status {
    match judged {
        Ok(verdict) => Status::from(verdict),
        Err(untested) => Status::Unknown(untested),
    }
}

fn is_visited(view: &Arc<EndpointView>) -> bool {
    view.status != Status::Unknown(Untested::NotYet)
}

fn unvisited(endpoint: &Arc<Endpoint>, now: Duration) -> Arc<EndpointView> {
    Arc::new(EndpointView {
        endpoint: Arc::clone(endpoint),
        status: Status::Unknown(Untested::NotYet),
        since: now,
        last: None,
        attempts: 0,
        failures: BTreeMap::new(),
        last_success: None,
        diagnosis: None,
        reach: 0,
        handed_over: 0,
    })
}

#[cfg(test)]
mod tests {
    use ase_probes::{
        cause::Cause,
        verdict::{Confidence, Finding, Phase},
    };

    use super::*;
    use crate::sample;

    #[test]
    fn what_was_well_is_unknown_after_an_interval_of_visits_put_off_and_a_failure_stands() {
        let snapshot = sample::snapshot();
        let mut endpoints = Endpoints::new(&snapshot.catalog, Duration::ZERO);
        let visit = snapshot.endpoints.iter().find_map(|view| view.last.as_deref()).expect("a visit").clone();
        let failed = Ok(Finding::new(Cause::Dropped, Phase::Connect, Confidence::Likely).failed());
        endpoints.take_in(0, visit.clone(), Ok(Verdict::Healthy), true);
        endpoints.take_in(1, visit.clone(), failed, true);
        let start = Clocks { now: ase_probes::clock::now(), since_boot: Duration::ZERO, wall: Duration::ZERO };
        let interval = endpoints.views()[0].endpoint.interval.max(endpoints.views()[1].endpoint.interval);
        let spent = Status::Unknown(Untested::BudgetSpent);
        let again = Visit { result: Err(Untested::BudgetSpent), ..Visit::nothing_yet(Duration::ZERO) };
        let put_off = |endpoints: &mut Endpoints, after: Duration| {
            let at = Clocks { now: start.now + after, ..start };
            [0, 1].map(|index| {
                endpoints.begin(index);
                endpoints.put_off(index, again.clone(), false, at)
            })
        };
        assert_eq!(put_off(&mut endpoints, Duration::ZERO), [None, None]);
        assert_eq!(put_off(&mut endpoints, interval / 2), [None, None]);
        assert_eq!(put_off(&mut endpoints, interval), [Some(Status::Healthy), None]);
        assert_eq!((endpoints.views()[0].status, endpoints.views()[1].status.label()), (spent, "failed"));
        assert_eq!(endpoints.views()[0].attempts, 1, "one visit, which is yet to be made");
        endpoints.begin(1);
        let died = Visit { result: Err(Untested::Died), ..Visit::nothing_yet(Duration::ZERO) };
        endpoints.take_in(1, died.clone(), died.result, true);
        endpoints.begin(1);
        assert_eq!(endpoints.views()[1].attempts, 2, "one that died was made, and another begins");
        endpoints.take_in(0, visit, Ok(Verdict::Healthy), true);
        assert_eq!(put_off(&mut endpoints, interval * 2), [None, None], "it was visited meanwhile");
        assert_eq!(put_off(&mut endpoints, interval * 4), [Some(Status::Healthy), None]);
        let view = &endpoints.views()[1];
        assert_eq!(view.status, Status::Unknown(Untested::Died), "nobody saw it work since it failed");
        assert!(view.last.as_ref().is_some_and(|last| !last.outcomes.is_empty()), "what was seen before stands");
    }

    #[test]
    fn an_observation_stays_what_it_was_whatever_is_made_of_it() {
        let snapshot = sample::snapshot();
        let mut endpoints = Endpoints::new(&snapshot.catalog, Duration::ZERO);
        let visit = snapshot.endpoints.iter().find_map(|view| view.last.as_deref()).expect("a visit").clone();
        let seen = visit.result;
        let judged = Ok(Finding::new(Cause::MtuBlackhole, Phase::Tls, Confidence::Likely).failed());
        assert_ne!(seen, judged);
        let before = endpoints.take_in(0, visit.clone(), judged, false);
        assert_eq!(endpoints.views()[0].status, before, "it waits for its confirmation");
        endpoints.take_in(0, visit, judged, true);
        let view = &endpoints.views()[0];
        assert_eq!((view.status.label(), view.reach, view.failures[&Cause::MtuBlackhole]), ("failed", 0, 2));
        assert_eq!(view.last.as_ref().map(|last| last.result), Some(seen));
    }

    #[test]
    fn since_never_runs_backwards_unless_the_clock_does() {
        let snapshot = sample::snapshot();
        let second = Duration::from_secs;
        let mut endpoints = Endpoints::new(&snapshot.catalog, second(1000));
        let visit = snapshot.endpoints.iter().find_map(|view| view.last.as_deref()).expect("a visit").clone();
        let from = |began, took| Visit { began: second(began), took: second(took), ..visit.clone() };
        let failed = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Likely).failed();
        let since = |endpoints: &Endpoints| endpoints.views()[0].since.as_secs();
        endpoints.take_in(0, from(1010, 1), Ok(Verdict::Healthy), true);
        assert_eq!(since(&endpoints), 1010, "what a visit shows is so since it began");
        // Others say at 1020 that it is degraded, while a visit is under way that shows at 1025 that it failed.
        let degraded = Finding::new(Cause::PacketLoss, Phase::Response, Confidence::Likely);
        Arc::make_mut(&mut endpoints.views_mut()[0]).stand(Status::Degraded(degraded), second(1020), second(1020));
        endpoints.take_in(0, from(1018, 7), Ok(failed), true);
        assert_eq!(since(&endpoints), 1025, "until then it stood as the others said");
        endpoints.take_in(0, from(400, 1), Ok(Verdict::Healthy), true);
        assert_eq!(since(&endpoints), 400, "the clock was set back by ten minutes");
    }
}
