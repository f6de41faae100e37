//! What silence proves where this machine stood still meanwhile: nothing. Pure.

use ase_probes::{
    cause::Cause,
    evidence::Ending,
    verdict::{Confidence, Finding, Phase, Verdict},
};

use crate::{
    engine::pulse::Stall,
    model::visit::{Judgement, Visit},
};

/// The judgement of a visit that saw only silence and overlapped a stall; `None` where the visit may speak for itself.
pub fn judge_stalled(visit: &Visit, stall: Option<Stall>) -> Option<Judgement> {
    let _stall = stall.filter(|_| is_silence(visit))?;
    Some(Ok(Finding::new(Cause::LocalStall, Phase::Local, Confidence::Likely).failed()))
}

/// Whether a visit failed because nobody answered in time.
fn is_silence(visit: &Visit) -> bool {
    let stop = visit.outcomes.first().and_then(|outcome| outcome.seen.stop.as_ref());
    matches!(visit.result, Ok(Verdict::Failed(_))) && stop.is_none_or(|stop| stop.trouble.ending() == Ending::Silence)
}
