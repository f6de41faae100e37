//! What happens to the rest of an incident when one of its endpoints works again: nobody draws new conclusions from old
//! signs. Each keeps its cause until its own next visit, and that visit is brought forward.

use std::collections::{BTreeMap, BTreeSet};

use ase_probes::cause::Cause;

use super::Cases;
use crate::{
    diagnosis::localise::{Failing, follows_the_flow},
    model::{catalog::EndpointId, diagnosis::Incident},
};

/// What is left of incidents whose end one of their endpoints has shown, by their places in the ledger.
pub(super) type OldSigns = BTreeMap<usize, Vec<EndpointId>>;

impl Cases {
    /// Notes a visit. The first endpoint that works again relieves the others of its incident. A fault that takes some
    /// flows and spares others relieves nobody by letting one pass.
    pub(super) fn relieve(&mut self, index: usize, works: bool) {
        let was_relieved = self.relieved.remove(&index);
        let was_failing = self.cases.get(&index).is_some_and(|case| case.is_trouble() && !case.sign.symptom.is_quiet());
        if !self.has_past || !works || was_relieved || !was_failing {
            return;
        }
        let own = &self.neighbourhood.endpoint(index).id;
        // Those that relieve nobody are not searched: each of their endpoints would search them at its recovery.
        let mut relieving = self.ledger.open.iter().filter(|incident| !follows_the_flow(incident.finding.cause));
        let others = relieving.find(|incident| incident.endpoints.contains(own)).map(|it| &it.endpoints);
        let others = others.into_iter().flatten().filter_map(|id| self.numbers.get(&id.0).copied());
        let others = others.filter(|other| *other != index && self.cases.contains_key(other));
        self.to_revisit.extend(others.filter(|other| self.relieved.insert(*other)));
    }

    /// Parts failures that are old signs of an incident which another endpoint has left, by the incident's place in the
    /// ledger, from those that are none.
    pub(super) fn part_old_signs(&self, failing: Vec<Failing>) -> (OldSigns, Vec<Failing>) {
        if self.relieved.is_empty() {
            return (OldSigns::new(), failing);
        }
        let mut part_of: BTreeMap<(Cause, &EndpointId), usize> = BTreeMap::new();
        for (number, incident) in self.ledger.open.iter().enumerate() {
            for id in &incident.endpoints {
                part_of.entry((incident.finding.cause, id)).or_insert(number);
            }
        }
        let (mut old, mut rest) = (OldSigns::new(), Vec::new());
        for failure in failing {
            let id = &self.neighbourhood.endpoint(failure.index).id;
            match part_of.get(&(failure.finding.cause, id)).filter(|_| self.relieved.contains(&failure.index)) {
                Some(number) => old.entry(*number).or_default().push(id.clone()),
                None => rest.push(failure),
            }
        }
        (old, rest)
    }

    /// Adds what is left of incidents, as they were, to the situations of the moment: old signs begin nothing new.
    pub(super) fn add_old_signs(&self, old: OldSigns, situations: &mut Vec<Incident>) {
        for (number, left) in old {
            let incident = &self.ledger.open[number];
            let (known, hidden): (BTreeSet<_>, BTreeSet<_>) =
                (incident.endpoints.iter().collect(), incident.hides.iter().collect());
            let hides = left.iter().filter(|id| hidden.contains(id)).cloned();
            let goes_on = |situation: &&mut Incident| {
                situation.finding.cause == incident.finding.cause
                    && situation.endpoints.iter().any(|other| known.contains(other))
            };
            match situations.iter_mut().find(goes_on) {
                Some(situation) => {
                    situation.hides.extend(hides);
                    situation.endpoints.extend(left);
                }
                None => {
                    let hides = hides.collect();
                    situations.push(Incident { endpoints: left, hides, ..Incident::clone(incident) });
                }
            }
        }
    }
}
