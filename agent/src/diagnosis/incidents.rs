//! The ledger of incidents: which are open, since when, and how many there were. It is told the groups of the moment.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use ase_probes::cause::Cause;

use crate::{
    diagnosis::localise::follows_the_flow,
    model::{
        catalog::EndpointId,
        diagnosis::{CLOSED_LIMIT, Closed, Incident, Ledger},
    },
};

/// What an update of the ledger brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An incident began.
    Began(Arc<Incident>),
    /// An incident ended.
    Ended(Arc<Incident>),
}

impl Ledger {
    /// Takes in what is the case at this moment: opens, continues and closes incidents. The ledger gives numbers and
    /// times; whatever `situations` have there counts for nothing.
    pub fn update(&mut self, situations: Vec<Incident>, now: Duration) -> Vec<Change> {
        let mut before = Before::new(std::mem::take(&mut self.open));
        let mut changes = Vec::new();
        for situation in situations {
            let incident = match before.take(&situation) {
                Some(earlier) => carry_on(earlier, situation, now),
                None => {
                    let begun = Arc::new(self.begin(situation, now));
                    changes.push(Change::Began(Arc::clone(&begun)));
                    begun
                }
            };
            self.open.push(incident);
        }
        self.open.sort_by_key(|incident| incident.id);
        for incident in before.incidents.into_values() {
            self.closed.push(Arc::new(Closed { incident: Arc::clone(&incident), ended: now }));
            changes.push(Change::Ended(incident));
        }
        let surplus = self.closed.len().saturating_sub(CLOSED_LIMIT);
        self.closed.drain(..surplus);
        changes
    }

    fn begin(&mut self, situation: Incident, now: Duration) -> Incident {
        let id = self.opened.values().sum::<u64>() + 1;
        *self.opened.entry(situation.finding.cause).or_default() += 1;
        Incident { id, published: now, ..situation }
    }
}

/// The incidents that were open until now, findable by what they are about.
struct Before {
    incidents: BTreeMap<u64, Arc<Incident>>,
    by_endpoint: BTreeMap<(Cause, EndpointId), u64>,
    by_cause: BTreeMap<Cause, VecDeque<u64>>,
}

impl Before {
    fn new(open: Vec<Arc<Incident>>) -> Self {
        let mut new = Self { incidents: BTreeMap::new(), by_endpoint: BTreeMap::new(), by_cause: BTreeMap::new() };
        for incident in open {
            let cause = incident.finding.cause;
            let ids = incident.endpoints.iter().map(|endpoint| ((cause, endpoint.clone()), incident.id));
            new.by_endpoint.extend(ids);
            new.by_cause.entry(cause).or_default().push_back(incident.id);
            new.incidents.insert(incident.id, incident);
        }
        new
    }

    /// Takes the incident that a situation continues, the oldest if there are several. The same cause at some of the same
    /// endpoints is the same incident, however far it has spread meanwhile. A fault that takes some flows and spares
    /// others hits other endpoints at each turn, so that there the cause alone counts.
    fn take(&mut self, situation: &Incident) -> Option<Arc<Incident>> {
        let cause = situation.finding.cause;
        let ids: BTreeSet<u64> = if follows_the_flow(cause) {
            self.by_cause.get_mut(&cause).and_then(VecDeque::pop_front).into_iter().collect()
        } else {
            let known = |endpoint: &EndpointId| self.by_endpoint.get(&(cause, endpoint.clone())).copied();
            situation.endpoints.iter().filter_map(known).collect()
        };
        ids.into_iter().find_map(|id| self.incidents.remove(&id))
    }
}

fn carry_on(earlier: Arc<Incident>, situation: Incident, now: Duration) -> Arc<Incident> {
    let same = (earlier.scope, earlier.finding) == (situation.scope, situation.finding);
    let published = if same { earlier.published } else { now };
    let since = earlier.since.min(situation.since);
    let next = Incident { id: earlier.id, since, published, ..situation };
    if *earlier == next { earlier } else { Arc::new(next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{
        cause::Cause,
        verdict::{Confidence, Finding, Phase},
    };

    use crate::model::diagnosis::Scope;

    fn situation(cause: Cause, endpoints: &[&str], scope: Scope) -> Incident {
        Incident {
            id: 0,
            published: Duration::ZERO,
            component: "TCP 1433 to every host".to_owned(),
            finding: Finding::new(cause, Phase::Connect, Confidence::Likely),
            scope,
            hint: None,
            endpoints: endpoints.iter().map(|id| EndpointId((*id).into())).collect(),
            hides: Vec::new(),
            evidence: Vec::new(),
            alternatives: Vec::new(),
            since: Duration::from_secs(100),
        }
    }

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_fault_that_spreads_stays_one_incident_and_counts_once() {
        let mut ledger = Ledger::default();
        ledger.update(vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)], AT(110));
        ledger.update(vec![situation(Cause::Dropped, &["a:1433", "b:1433"], Scope::Port)], AT(111));
        ledger.update(vec![situation(Cause::Dropped, &["a:1433", "b:1433"], Scope::Port)], AT(112));
        let [incident] = &ledger.open[..] else { panic!("{:?}", ledger.open) };
        assert_eq!((incident.id, incident.scope, incident.since), (1, Scope::Port, AT(100)));
        assert_eq!(incident.published, AT(111), "the scope that is shown now stood first at 111");
        assert_eq!(ledger.opened[&Cause::Dropped], 1);
    }

    #[test]
    fn what_ends_is_closed_and_another_cause_is_another_incident() {
        let mut ledger = Ledger::default();
        ledger.update(vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)], AT(110));
        ledger.update(vec![situation(Cause::Refused, &["a:1433"], Scope::Endpoint)], AT(120));
        assert_eq!((ledger.open.len(), ledger.open[0].id, ledger.closed.len()), (1, 2, 1));
        ledger.update(Vec::new(), AT(130));
        assert!(ledger.open.is_empty());
        assert_eq!(ledger.closed.last().map(|closed| closed.ended), Some(AT(130)));
    }

    #[test]
    fn closed_incidents_are_bounded() {
        let mut ledger = Ledger::default();
        for turn in 0..300 {
            ledger.update(vec![situation(Cause::Dropped, &["a:1433"], Scope::Endpoint)], AT(turn * 2));
            ledger.update(Vec::new(), AT(turn * 2 + 1));
        }
        assert_eq!(ledger.closed.len(), CLOSED_LIMIT);
        assert_eq!(ledger.opened[&Cause::Dropped], 300);
    }
}
