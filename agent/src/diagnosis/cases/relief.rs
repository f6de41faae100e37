//! What happens to the rest of an incident when one of its endpoints works again: nobody draws new conclusions from old
//! signs. Each keeps its cause until its own next visit, and that visit is brought forward.

use std::sync::Arc;

use super::Cases;
use crate::{
    diagnosis::localise::{Failing, follows_the_flow},
    model::diagnosis::Incident,
};

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
        let ends = self.ledger.open.iter().find(|incident| incident.endpoints.contains(own));
        let others = ends.filter(|incident| !follows_the_flow(incident.finding.cause)).map(|it| &it.endpoints);
        let others = others.into_iter().flatten().filter_map(|id| self.numbers.get(&id.0).copied());
        let others = others.filter(|other| *other != index && self.cases.contains_key(other));
        self.to_revisit.extend(others.filter(|other| self.relieved.insert(*other)));
    }

    /// Whether a failure is an old sign of an incident that another endpoint has left.
    pub(super) fn is_old_sign(&self, failing: &Failing) -> bool {
        self.relieved.contains(&failing.index) && self.incident_of(failing).is_some()
    }

    fn incident_of(&self, failing: &Failing) -> Option<&Arc<Incident>> {
        let id = &self.neighbourhood.endpoint(failing.index).id;
        let is_its = |incident: &&Arc<Incident>| {
            incident.finding.cause == failing.finding.cause && incident.endpoints.contains(id)
        };
        self.ledger.open.iter().find(is_its)
    }

    /// Adds what is left of incidents, as they were, to the situations of the moment: old signs begin nothing new.
    pub(super) fn add_old_signs(&self, old: &[Failing], situations: &mut Vec<Incident>) {
        for failing in old {
            let Some(incident) = self.incident_of(failing) else { continue };
            let id = self.neighbourhood.endpoint(failing.index).id.clone();
            let goes_on = |situation: &&mut Incident| {
                situation.finding.cause == incident.finding.cause
                    && situation.endpoints.iter().any(|other| incident.endpoints.contains(other))
            };
            match situations.iter_mut().find(goes_on) {
                Some(situation) => situation.endpoints.push(id),
                None => {
                    let hides = incident.hides.iter().filter(|hidden| **hidden == id).cloned().collect();
                    situations.push(Incident { endpoints: vec![id], hides, ..Incident::clone(incident) });
                }
            }
        }
    }
}
