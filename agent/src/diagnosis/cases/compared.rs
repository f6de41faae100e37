//! What the comparison of a name says about the endpoints behind it: their sign of trouble where nothing else ails them.

use ase_probes::verdict::{Confidence, Finding, Phase, Verdict};

use super::{Case, Cases, Moment};
use crate::{
    diagnosis::{
        neighbours::Neighbours,
        symptom::{Sign, Symptom},
    },
    model::{
        catalog::Host,
        visit::{Untested, Visit},
    },
};

impl Cases {
    /// The sign of an endpoint that works while the comparison of its name should worry somebody.
    pub(super) fn compared(&self, index: usize, around: &Neighbours<'_>) -> Option<Sign> {
        let cause = around.comparison_cause(&self.neighbourhood.endpoint(index).target.host)?;
        let finding = Finding::new(cause, Phase::Dns, Confidence::Likely);
        Some(Sign { symptom: Symptom::NamesCompared, finding, peer: None, is_resolving: false })
    }

    /// Nobody is asked at an address that no name may lead to; why the name leads there, the comparison may know.
    pub(super) fn take_in_untested(
        &mut self,
        index: usize,
        visit: &Visit,
        untested: Untested,
        around: &Neighbours<'_>,
        at: Moment,
    ) {
        if matches!(untested, Untested::Forbidden(_))
            && let Some(sign) = self.compared(index, around)
        {
            let target = self.target(index, None);
            let since = (visit.began, self.steady.before(visit.took));
            self.open_case(index, Case::new(sign, since, at.now, target).of(visit), false, around, at);
        }
    }

    /// Takes in that the comparison of a host's name now makes an incident that it did not make before, or the other way
    /// round. Endpoints that it is the only trouble of need no visit to have a case; whether it is over, a visit tells.
    pub fn hear_compared(&mut self, host: &Host, around: &Neighbours<'_>, at: Moment) -> Vec<usize> {
        self.elapse(at);
        let mut to_visit = Vec::new();
        for index in self.neighbourhood.at_host(host) {
            let only_compared = self.cases.get(&index).is_none_or(|case| case.sign.symptom == Symptom::NamesCompared);
            let visit = around.views[index].last.as_deref().filter(|visit| {
                matches!(visit.result, Ok(Verdict::Healthy) | Err(Untested::Forbidden(_))) && only_compared
            });
            match (visit, self.compared(index, around)) {
                (Some(visit), Some(sign)) => {
                    let target = self.target(index, None);
                    let since = (at.wall, self.steady.now());
                    self.open_case(index, Case::new(sign, since, at.now, target).of(visit), false, around, at);
                }
                (_, _) => to_visit.push(index),
            }
        }
        to_visit
    }
}
