//! From confirmed cases to incidents: which failures share a component, and what an incident says of itself.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Ask, Case, Cases, Moment, SLACK, asks::keys, is_confirmed};
use crate::{
    diagnosis::{
        conclude::asked_of,
        incidents::Situation,
        localise::{Failing, localise},
        neighbours::{Neighbours, port_of},
    },
    model::{catalog::EndpointId, contrast::Contrast, diagnosis::Scope, visit::Visit},
};

/// Evidence lines that an incident takes from one of its endpoints.
const EVIDENCE: usize = 4;
/// The longest time that others have the benefit of the doubt: the platform's own address is asked twice, 3 s each.
const BENEFIT: Duration = Duration::from_secs(8);

impl Cases {
    /// Turns the confirmed cases into incidents.
    pub fn settle(&mut self, around: &Neighbours<'_>, at: Moment) {
        let failing: Vec<Failing> = self
            .cases
            .iter()
            .filter(|(index, case)| {
                // One that waits for its confirmation helps to find the component, and never makes an incident alone.
                let shows = !case.sign.symptom.is_quiet() || is_confirmed(&around.views[**index]);
                shows && case.is_trouble() && !self.may_be_local(**index, case, around, at)
            })
            .map(|(index, case)| Failing {
                index: *index,
                finding: case.diagnosis.finding,
                peer: case.sign.peer,
                is_resolving: case.sign.is_resolving,
                since: case.since,
            })
            .collect();
        let mut situations = Vec::new();
        for group in localise(&failing, around) {
            let members: Vec<&Failing> = group.members.iter().map(|number| &failing[*number]).collect();
            if !members.iter().any(|member| is_confirmed(&around.views[member.index])) {
                continue;
            }
            situations.extend(self.situation(&members, group.component.scope(), group.component.to_string(), around));
            for member in members {
                if let Some(case) = self.cases.get_mut(&member.index) {
                    Arc::make_mut(&mut case.diagnosis).scope = group.component.scope();
                }
            }
        }
        self.ledger.update(situations, at.wall);
    }

    /// Whether a question is under way whose answer may show that the fault is this machine's own. Until it comes nobody
    /// is blamed.
    fn may_be_local(&self, index: usize, case: &Case, around: &Neighbours<'_>, at: Moment) -> bool {
        let endpoint = &around.views[index].endpoint;
        // What neighbours will show is open until they do; a measurement that was made and taught nothing is over.
        let is_asked = |open: Contrast| {
            let key = keys(open.ask(), endpoint.id.0.clone(), case.sign.peer, port_of(endpoint), around);
            key.map_or(open.ask() == Ask::Neighbours, |key| self.fresh(&key, case, at.now).is_none())
        };
        let mut alternatives = case.diagnosis.alternatives.iter();
        at.now.duration_since(case.opened) < BENEFIT
            && !case.diagnosis.finding.cause.is_local()
            && alternatives.any(|other| other.cause.is_local() && is_asked(other.open))
    }

    fn situation(
        &self,
        members: &[&Failing],
        scope: Scope,
        component: String,
        around: &Neighbours<'_>,
    ) -> Option<Situation> {
        // The surest member speaks for all; among equals one that was tested itself, then the first in the catalogue.
        let voice = members
            .iter()
            .min_by_key(|member| (std::cmp::Reverse(member.finding.confidence), member.is_resolving, member.index))?;
        let case = self.cases.get(&voice.index)?;
        let id = |index: usize| around.views[index].endpoint.id.clone();
        let visit = around.views[voice.index].last.as_deref();
        let mut evidence = visit.map(Visit::evidence).unwrap_or_default();
        evidence.truncate(EVIDENCE);
        evidence.extend(case.diagnosis.contrasts.iter().cloned());
        evidence.extend(self.measured_lines(voice.index, case, around));
        let ids = |wanted: &dyn Fn(&Failing) -> bool| -> Vec<EndpointId> {
            let mut chosen: Vec<usize> = members.iter().filter(|m| wanted(m)).map(|member| member.index).collect();
            chosen.sort_unstable();
            chosen.into_iter().map(id).collect()
        };
        let component = match members {
            [only] if scope == Scope::Endpoint => id(only.index).to_string(),
            _ => component,
        };
        Some(Situation {
            component,
            finding: voice.finding,
            scope,
            hint: case.diagnosis.hint,
            endpoints: ids(&|_| true),
            hides: ids(&|member| member.is_resolving && members.len() > 1),
            evidence,
            alternatives: case.diagnosis.alternatives.clone(),
            since: members.iter().map(|member| member.since).min().unwrap_or_default(),
        })
    }

    /// What the measurements about one endpoint showed, in plain words.
    fn measured_lines(&self, index: usize, case: &Case, around: &Neighbours<'_>) -> Vec<String> {
        let endpoint = &around.views[index].endpoint;
        let asks: BTreeSet<Ask> = asked_of(case.sign.symptom).map(Contrast::ask).collect();
        let keys = asks
            .into_iter()
            .filter(|ask| *ask != Ask::ThisMachine)
            .filter_map(|ask| keys(ask, endpoint.id.0.clone(), case.sign.peer, port_of(endpoint), around));
        let learned = keys.filter_map(|key| self.learned.get(&key)).filter(|learned| learned.at + SLACK >= case.opened);
        learned.flat_map(|learned| learned.measured.lines.iter().cloned()).collect()
    }
}
