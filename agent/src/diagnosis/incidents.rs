//! The ledger of incidents: which are open, since when, and how many there were. It is told the groups of the moment.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ase_probes::verdict::Finding;

use crate::{
    diagnosis::localise::follows_the_flow,
    model::{
        catalog::EndpointId,
        diagnosis::{Alternative, CLOSED_LIMIT, Closed, Incident, Ledger, Scope},
    },
};

/// What is the case at this moment; an incident without number and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The broken component, in plain words.
    pub component: String,
    /// Cause, phase, side and confidence.
    pub finding: Finding,
    /// How much is lost.
    pub scope: Scope,
    /// What to look at first.
    pub hint: Option<&'static str>,
    /// Every endpoint that fails for this reason.
    pub endpoints: Vec<EndpointId>,
    /// Those whose own service was not tested.
    pub hides: Vec<EndpointId>,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What else it could be.
    pub alternatives: Vec<Alternative>,
    /// When the first of its endpoints began to fail, since the Unix epoch.
    pub since: Duration,
}

impl Ledger {
    /// Takes in the situations of this moment: opens, continues and closes incidents.
    pub fn update(&mut self, situations: Vec<Situation>, now: Duration) {
        let mut before = std::mem::take(&mut self.open);
        for situation in situations {
            let known = before.iter().position(|incident| continues(incident, &situation));
            let incident = match known.map(|index| before.remove(index)) {
                Some(earlier) => carry_on(earlier, situation, now),
                None => Arc::new(self.begin(situation, now)),
            };
            self.open.push(incident);
        }
        self.close(before, now);
        self.open.sort_by_key(|incident| incident.id);
    }

    fn begin(&mut self, situation: Situation, now: Duration) -> Incident {
        let id = self.opened.values().sum::<u64>() + 1;
        *self.opened.entry(situation.finding.cause).or_default() += 1;
        let since = situation.since;
        tracing::warn!(
            id,
            cause = situation.finding.cause.label(),
            component = situation.component,
            scope = situation.scope.label(),
            endpoints = situation.endpoints.len(),
            "an incident began"
        );
        build(situation, id, since, now)
    }

    fn close(&mut self, ended: Vec<Arc<Incident>>, now: Duration) {
        for incident in ended {
            tracing::info!(id = incident.id, cause = incident.finding.cause.label(), "an incident ended");
            self.closed.push(Arc::new(Closed { incident, ended: now }));
        }
        let surplus = self.closed.len().saturating_sub(CLOSED_LIMIT);
        self.closed.drain(..surplus);
    }
}

/// The same cause at some of the same endpoints is the same incident, however far it has spread meanwhile. A fault that
/// takes some flows and spares others hits other endpoints at each turn.
fn continues(incident: &Incident, situation: &Situation) -> bool {
    let known: BTreeSet<&EndpointId> = incident.endpoints.iter().collect();
    let cause = incident.finding.cause;
    let shared = || situation.endpoints.iter().any(|id| known.contains(id));
    cause == situation.finding.cause && (follows_the_flow(cause) || shared())
}

fn carry_on(earlier: Arc<Incident>, situation: Situation, now: Duration) -> Arc<Incident> {
    let same = (earlier.scope, earlier.finding) == (situation.scope, situation.finding);
    let published = if same { earlier.published } else { now };
    let since = earlier.since.min(situation.since);
    let next = build(situation, earlier.id, since, published);
    if *earlier == next { earlier } else { Arc::new(next) }
}

fn build(situation: Situation, id: u64, since: Duration, published: Duration) -> Incident {
    let Situation { component, finding, scope, hint, endpoints, hides, evidence, alternatives, since: _ } = situation;
    Incident { id, component, finding, scope, hint, endpoints, hides, evidence, alternatives, since, published }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{
        cause::Cause,
        verdict::{Confidence, Phase},
    };

    fn situation(cause: Cause, endpoints: &[&str], scope: Scope) -> Situation {
        Situation {
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
