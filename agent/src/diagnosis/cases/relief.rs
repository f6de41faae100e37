//! How a trouble ends that several endpoints share. When one of them works again, or somebody else works whom it would hit as
//! well, the others show old signs: nobody draws new conclusions from those. Each keeps its cause until a visit that began
//! afterwards, and that visit is brought forward.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Verdict};

use super::{Case, Cases, failed_at};
use crate::{
    diagnosis::{
        localise::{Failing, Group, follows_the_flow},
        symptom::Symptom,
    },
    model::{
        catalog::EndpointId,
        diagnosis::{Incident, Scope},
        remap::Remap,
        visit::Visit,
    },
};

/// What is left of incidents whose end has been shown, by their places in the ledger.
pub(super) type OldSigns = BTreeMap<usize, Vec<EndpointId>>;

/// What is known of repairs. All moments are those of the steady clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Relief {
    /// Endpoints that show old signs.
    relieved: BTreeMap<usize, Relieved>,
    /// Endpoints whose visit has yet to be wished for: once, so that one that is put off is not asked for again.
    to_revisit: BTreeSet<usize>,
    /// When something that several endpoints share was last seen to work again, by what its failures looked like.
    repairs: BTreeMap<(Symptom, Cause), Duration>,
    /// Endpoints outside of all incidents that have failed before such a repair only.
    late: BTreeSet<usize>,
    /// Incidents that may be over, each with how far it reached when a success cast doubt on it.
    doubted: BTreeMap<u64, Scope>,
}

/// Since when an endpoint's trouble may be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relieved {
    pub(super) since: Duration,
    /// Whether its name may fail once more in a visit that began later: a server answers from memory for a while (RFC 2308
    /// section 7). Not where nobody has seen the server mended.
    pub(super) may_be_remembered: bool,
}

impl Relief {
    /// Whether an endpoint shows old signs.
    pub(super) fn is_relieved(&self, index: usize) -> bool {
        self.relieved.contains_key(&index)
    }

    /// Whether an endpoint has failed before a repair only, and was part of no incident: it begins none.
    pub(super) fn is_late(&self, index: usize) -> bool {
        self.late.contains(&index)
    }

    /// Takes the endpoints whose visits would tell what is left.
    pub(super) fn take_to_revisit(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.to_revisit)
    }

    /// Whom nobody may ask any more shows no old sign either: its case is about something else.
    pub(super) fn forget(&mut self, index: usize) {
        self.relieved.remove(&index);
    }

    /// From now on an endpoint shows old signs.
    pub(super) fn relieve(&mut self, index: usize, relieved: Relieved) {
        if !self.is_relieved(index) {
            self.relieved.insert(index, relieved);
            self.to_revisit.insert(index);
        }
    }

    /// Follows endpoints to their numbers after a reload.
    pub(super) fn remap(&mut self, remap: &Remap) {
        self.relieved = remap.apply(std::mem::take(&mut self.relieved));
        self.to_revisit = self.to_revisit.iter().filter_map(|index| remap.get(*index)).collect();
        self.late = self.late.iter().filter_map(|index| remap.get(*index)).collect();
    }
}

impl Cases {
    /// Notes a visit that began then, and says whether it shows an old sign once more. The first endpoint that works again
    /// relieves the others of its incident. A fault that takes some flows and spares others relieves nobody by letting one
    /// pass.
    pub(super) fn relieve(&mut self, index: usize, visit: &Visit, began: Duration) -> bool {
        let works = matches!(visit.result, Ok(Verdict::Healthy | Verdict::Degraded(_)));
        if matches!(visit.result, Ok(Verdict::Failed(_))) && self.is_old_sign(index, visit, began) {
            return true;
        }
        let was_relieved = self.relief.relieved.remove(&index).is_some();
        let case = self.cases.get(&index).filter(|case| case.is_trouble() && !case.sign.symptom.is_quiet());
        let Some(case) = case.filter(|_| self.has_past && works && !was_relieved) else { return false };
        let own = &self.neighbourhood.endpoint(index).id;
        // Those that relieve nobody are not searched: each of their endpoints would search them at its recovery.
        let mut relieving = self.ledger.open.iter().filter(|incident| !follows_the_flow(incident.finding.cause));
        let Some(incident) = relieving.find(|incident| incident.endpoints.contains(own)) else { return false };
        let others = incident.endpoints.iter().filter_map(|id| self.numbers.get(&id.0).copied());
        let others: Vec<usize> = others.filter(|other| *other != index && self.cases.contains_key(other)).collect();
        let (id, scope, looks) = (incident.id, incident.scope, looks(case));
        self.end_for(&others, (id, scope), true);
        if scope > Scope::Endpoint {
            self.relief.repairs.insert(looks, self.steady.now());
        }
        false
    }

    /// Whether a failed visit shows what an endpoint showed before the repair: it began before that, or the server that
    /// resolves the name says once more what it said then.
    fn is_old_sign(&mut self, index: usize, visit: &Visit, began: Duration) -> bool {
        let is_of_the_name = failed_at(visit).is_some();
        let Some(case) = self.cases.get(&index) else { return false };
        let Some(relieved) = self.relief.relieved.get_mut(&index) else { return false };
        if began < relieved.since {
            self.relief.to_revisit.insert(index);
            return true;
        }
        let is_first = std::mem::replace(&mut relieved.may_be_remembered, false);
        is_first && is_of_the_name && case.sign.is_resolving
    }

    /// From now on these endpoints of an incident show old signs; what they share works again.
    fn end_for(&mut self, indices: &[usize], (id, scope): (u64, Scope), may_be_remembered: bool) {
        let now = self.steady.now();
        self.relief.doubted.insert(id, scope);
        for index in indices {
            self.relief.relieve(*index, Relieved { since: now, may_be_remembered });
            if let Some(case) = self.cases.get(index).filter(|_| scope > Scope::Endpoint) {
                self.relief.repairs.insert(looks(case), now);
            }
        }
    }

    /// Notes who has failed before a repair only and is part of no incident: it met what was repaired, and its next visit
    /// tells more.
    pub(super) fn note_late(&mut self) {
        let has_ended = |(index, case): &(&usize, &Case)| {
            let repaired = self.relief.repairs.get(&looks(case)).filter(|_| !case.sign.symptom.is_quiet());
            let began = self.neighbourhood.visited(**index);
            repaired.is_some_and(|repaired| began.is_some_and(|began| began < *repaired))
        };
        let mut late: BTreeSet<usize> = self.cases.iter().filter(has_ended).map(|(index, _)| *index).collect();
        if !late.is_empty() {
            let known: BTreeSet<&EndpointId> =
                self.ledger.open.iter().flat_map(|incident| incident.endpoints.iter()).collect();
            late.retain(|index| !known.contains(&self.neighbourhood.endpoint(*index).id));
        }
        self.relief.to_revisit.extend(late.difference(&self.relief.late));
        self.relief.late = late;
    }

    /// Parts failures that are old signs of an incident that may be over, by the incident's place in the ledger, from those
    /// that are none.
    pub(super) fn part_old_signs(&self, failing: Vec<Failing>) -> (OldSigns, Vec<Failing>) {
        if self.relief.relieved.is_empty() {
            return (OldSigns::new(), failing);
        }
        let part_of = self.incidents_of(|_| true);
        let (mut old, mut rest) = (OldSigns::new(), Vec::new());
        for failure in failing {
            let id = &self.neighbourhood.endpoint(failure.index).id;
            match part_of.get(&(failure.finding.cause, id)).filter(|_| self.relief.is_relieved(failure.index)) {
                Some(number) => old.entry(*number).or_default().push(id.clone()),
                None => rest.push(failure),
            }
        }
        (old, rest)
    }

    /// Which of the chosen open incidents an endpoint with a cause is part of, by the incident's place in the ledger.
    fn incidents_of(&self, is_chosen: impl Fn(&Incident) -> bool) -> BTreeMap<(Cause, &EndpointId), usize> {
        let mut part_of = BTreeMap::new();
        for (number, incident) in self.ledger.open.iter().enumerate().filter(|(_, incident)| is_chosen(incident)) {
            for id in &incident.endpoints {
                part_of.entry((incident.finding.cause, id)).or_insert(number);
            }
        }
        part_of
    }

    /// Takes in where failures are found now, and says whether that casts doubt on an open incident: all that is left of what
    /// several endpoints shared reaches less far, since somebody works whom it would hit as well. It may be over for them, too;
    /// their next visits tell.
    pub(super) fn doubt(&mut self, failing: &[Failing], groups: &[Group]) -> bool {
        let is_wide = |incident: &Incident| {
            let is_shared = incident.scope > Scope::Endpoint && incident.endpoints.len() > 1;
            is_shared && !follows_the_flow(incident.finding.cause)
        };
        let open: BTreeMap<u64, Scope> =
            self.ledger.open.iter().map(|incident| (incident.id, incident.scope)).collect();
        self.relief.doubted.retain(|id, scope| open.get(id) == Some(scope));
        if !self.has_past || !self.ledger.open.iter().any(|incident| is_wide(incident)) {
            return false;
        }
        let part_of = self.incidents_of(is_wide);
        let mut left: BTreeMap<usize, (Scope, Vec<usize>)> = BTreeMap::new();
        for group in groups {
            for failure in group.members.iter().map(|number| &failing[*number]) {
                let id = &self.neighbourhood.endpoint(failure.index).id;
                if let Some(number) = part_of.get(&(failure.finding.cause, id)) {
                    let (scope, members) = left.entry(*number).or_insert((Scope::Endpoint, Vec::new()));
                    *scope = group.component.scope().max(*scope);
                    members.push(failure.index);
                }
            }
        }
        let mut has_doubts = false;
        for (number, (scope, members)) in left {
            let (id, reached) = (self.ledger.open[number].id, self.ledger.open[number].scope);
            if scope >= reached {
                self.relief.doubted.remove(&id);
            } else if !self.relief.doubted.contains_key(&id) {
                self.end_for(&members, (id, reached), false);
                has_doubts = true;
            }
        }
        has_doubts
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

/// What a case's failures look like.
fn looks(case: &Case) -> (Symptom, Cause) {
    (case.sign.symptom, case.sign.finding.cause)
}
