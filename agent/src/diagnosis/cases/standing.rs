//! How endpoints stand in the light of their cases.

use std::sync::Arc;

use ase_probes::{
    cause::Cause,
    verdict::{Finding, Verdict},
};

use super::{Cases, Moment, Wanted, settle::is_hidden};
use crate::{
    diagnosis::{incidents::Change, neighbours::Neighbours},
    model::{
        diagnosis::Diagnosis,
        endpoint::{EndpointView, Status},
        visit::Untested,
    },
    resolvers::names::Comparisons,
};

impl Cases {
    /// Thinks all open cases over, makes incidents of them, and brings the views of endpoints up to date that this changes;
    /// `Wanted::changed` names them. Says what would tell more, and what changed in the ledger.
    pub fn think_over(
        &mut self,
        views: &mut [Arc<EndpointView>],
        names: &Comparisons,
        at: Moment,
    ) -> (Wanted, Vec<Change>) {
        let platform = self.neighbourhood.platform();
        let mut wanted = self.review(&Neighbours { views, names, platform, now: at.wall }, at);
        let mut changed = self.take_changed();
        for index in &changed {
            let status = self.stands(*index, &views[*index]);
            if views[*index].status != status {
                let before = Arc::make_mut(&mut views[*index]).stand(status, at.wall, at.wall);
                wanted.restated.push((*index, before));
            }
        }
        let changes = self.settle(&Neighbours { views, names, platform, now: at.wall }, at);
        wanted.visits.append(&mut self.take_to_revisit());
        changed.extend(self.take_changed());
        for index in &changed {
            let diagnosis = self.diagnosis(*index);
            if views[*index].diagnosis != diagnosis {
                Arc::make_mut(&mut views[*index]).diagnosis = diagnosis;
            }
        }
        wanted.changed = changed;
        (wanted, changes)
    }

    /// How an endpoint stands now. What a case made of a visit that showed nothing wrong is over with the case.
    fn stands(&self, index: usize, view: &EndpointView) -> Status {
        let is_well = view.last.as_ref().is_some_and(|visit| visit.result == Ok(Verdict::Healthy));
        let is_over = is_well && !self.cases.contains_key(&index);
        match view.status {
            Status::Degraded(_) if is_over => Status::Healthy,
            Status::Unknown(Untested::Inconclusive(_)) if is_over && !is_hidden(view.status) => Status::Healthy,
            status => self.restate(index, status),
        }
    }

    /// An endpoint's status in the light of its case. A fault of this machine's own counts against nobody, and what a stall
    /// hid is shown by the next visit alone.
    pub fn restate(&self, index: usize, status: Status) -> Status {
        let Some(case) = self.cases.get(&index) else { return status };
        let finding = case.diagnosis.finding;
        let own = |finding| Status::Unknown(Untested::Inconclusive(finding));
        match status {
            Status::Healthy | Status::Degraded(_) if finding.cause == Cause::None => status,
            Status::Healthy if !case.sign.symptom.is_quiet() => status,
            Status::Healthy | Status::Degraded(_) if finding.cause.is_local() => own(finding),
            Status::Healthy | Status::Degraded(_) => Status::Degraded(finding),
            Status::Failed(_) => finding.failed().into(),
            _ if is_hidden(status) => status,
            Status::Unknown(Untested::Inconclusive(earlier)) if earlier.cause.is_local() => finding.failed().into(),
            Status::Unknown(_) => status,
        }
    }

    /// Why an endpoint is as it is, where there is something to say.
    pub fn diagnosis(&self, index: usize) -> Option<Arc<Diagnosis>> {
        let case = self.cases.get(&index)?;
        case.is_trouble().then(|| Arc::clone(&case.diagnosis))
    }
}

/// The verdict of a visit in the light of its diagnosis. A fault of this machine's own counts against nobody.
pub(super) fn judged(observed: Verdict, finding: Finding) -> Verdict {
    match observed {
        _ if finding.cause == Cause::None => observed,
        Verdict::Failed(_) | Verdict::Inconclusive(_) => finding.failed(),
        Verdict::Healthy | Verdict::Degraded(_) if finding.cause.is_local() => Verdict::Inconclusive(finding),
        Verdict::Healthy | Verdict::Degraded(_) => Verdict::Degraded(finding),
    }
}
