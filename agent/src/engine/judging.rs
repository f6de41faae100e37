//! What silence proves where this machine stood still meanwhile: nothing. Pure.

use ase_probes::{
    cause::Cause,
    evidence::Ending,
    outcome::Outcome,
    resolve::Resolution,
    verdict::{Confidence, Finding, Phase, Verdict},
};

use crate::{
    engine::pulse::Stall,
    model::visit::{Hindrance, Judgement, Untested, Visit},
};

/// The judgement of a visit that found fault with silence and overlapped a stall; `None` where the visit may speak for itself.
pub fn judge_stalled(visit: &Visit, stall: Option<Stall>) -> Option<Judgement> {
    let _stall = stall.filter(|_| is_silence(visit))?;
    Some(Ok(Finding::new(Cause::LocalStall, Phase::Local, Confidence::Likely).failed()))
}

/// Whether a stall of the agent or of this machine hid what a visit would have shown.
pub fn is_hidden(judged: Judgement) -> bool {
    matches!(judged, Ok(verdict) if verdict.finding().is_some_and(|finding| finding.cause == Cause::LocalStall))
}

/// Why a visit shows so little of its endpoint that what was known before still stands; `None` where it shows something.
pub fn hindrance(judged: Judgement) -> Option<Hindrance> {
    match judged {
        Ok(_) => is_hidden(judged).then_some(Hindrance::Stall),
        Err(Untested::NoTime) => Some(Hindrance::Time),
        Err(Untested::BudgetSpent) => Some(Hindrance::Budget),
        Err(Untested::Resting) => Some(Hindrance::Rest),
        Err(Untested::Died) => Some(Hindrance::Death),
        Err(
            Untested::NotYet
            | Untested::Inconclusive(_)
            | Untested::Forbidden(_)
            | Untested::BeyondLimit
            | Untested::Unconfirmed(..),
        ) => None,
    }
}

/// Whether a visit found fault where somebody did not answer in time: the endpoint at one of its addresses, the server that
/// says why its name has no address, or one that was to resolve the name behind a redirect. An exchange that nothing stopped
/// was answered.
fn is_silence(visit: &Visit) -> bool {
    let of_the_name = visit.resolution.as_ref().and_then(Resolution::telling).filter(|_| visit.outcomes.is_empty());
    let mut failed = visit.outcomes.iter().filter(|one| matches!(one.verdict, Verdict::Failed(_))).chain(of_the_name);
    let is_silent = |one: &Outcome| one.seen.stop.as_ref().is_some_and(|stop| stop.trouble.ending() == Ending::Silence);
    let found_fault = matches!(visit.result, Ok(Verdict::Failed(_) | Verdict::Degraded(_)));
    found_fault && (visit.led_into_silence || failed.any(is_silent))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ase_probes::{
        evidence::{Stop, Trouble},
        outcome::Protocol,
        seen::{Phases, Seen},
    };

    use super::*;
    use crate::{engine::pulse::Kind, sample};

    fn exchange(trouble: Option<Trouble>) -> Outcome {
        let stop = trouble.map(|trouble| Stop { phase: Phase::Response, trouble, elapsed: Duration::ZERO });
        let seen = Seen { stop, ..Seen::default() };
        let verdict = Finding::new(Cause::Unknown, Phase::Response, Confidence::Confirmed).failed();
        let address = ([198, 18, 0, 1], 443).into();
        Outcome { address, phases: Phases::default(), verdict, seen, protocol: Protocol::Nothing }
    }

    /// A failed visit with these exchanges, and these in vain while its name was resolved.
    fn failed(outcomes: &[Option<Trouble>], asked_for_the_name: &[Option<Trouble>]) -> Visit {
        let visit = sample::snapshot().endpoints.iter().find_map(|view| view.last.as_deref().cloned());
        let exchanges = |all: &[Option<Trouble>]| all.iter().cloned().map(exchange).collect();
        let resolution = Resolution {
            name: "a.example".to_owned(),
            addresses: Vec::new(),
            server: None,
            elapsed: Duration::ZERO,
            failures: exchanges(asked_for_the_name),
            finding: None,
        };
        let verdict = Finding::new(Cause::Unknown, Phase::Response, Confidence::Confirmed).failed();
        let (outcomes, resolution, result) = (exchanges(outcomes), Some(resolution), Ok(verdict));
        Visit { outcomes, resolution, result, ..visit.expect("a visit") }
    }

    /// What the first server said is why the name has no address.
    fn proved(mut visit: Visit) -> Visit {
        let resolution = visit.resolution.as_mut().expect("its name was asked for");
        let finding = Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed);
        (resolution.failures[0].verdict, resolution.finding) = (finding.failed(), Some(finding));
        visit
    }

    /// One of the addresses works, so that the name is not lost.
    fn degraded(mut visit: Visit) -> Visit {
        let finding = Finding::new(Cause::Unknown, Phase::Response, Confidence::Confirmed);
        visit.outcomes.push(Outcome { verdict: Verdict::Healthy, ..exchange(None) });
        visit.result = Ok(Verdict::Degraded(finding));
        visit
    }

    #[test]
    fn a_stall_hides_silence_and_no_answer() {
        let stall = Stall { ended: ase_probes::clock::now(), lasted: Duration::from_secs(2), kind: Kind::NotRun };
        let rows = [
            (failed(&[Some(Trouble::TimedOut)], &[]), true, "a silent peer"),
            (failed(&[], &[Some(Trouble::TimedOut)]), true, "a silent name server"),
            (failed(&[], &[Some(Trouble::TimedOut), None]), false, "one that says no after one that is silent"),
            (
                proved(failed(&[], &[None, Some(Trouble::TimedOut)])),
                false,
                "one that says no before one that is silent",
            ),
            (failed(&[], &[None]), false, "NXDOMAIN"),
            (failed(&[None], &[]), false, "another status than the expected, a server that says RATE"),
            (failed(&[None], &[Some(Trouble::TimedOut)]), false, "the same, and one name server was silent"),
            (failed(&[Some(Trouble::Closed)], &[]), false, "a closed connection"),
            (
                failed(&[None, Some(Trouble::TimedOut)], &[]),
                true,
                "an odd answer, and another address that may be well",
            ),
            (degraded(failed(&[Some(Trouble::TimedOut)], &[])), true, "one address works and another is silent"),
            (degraded(failed(&[Some(Trouble::Closed)], &[])), false, "one address works and another closes"),
            (
                Visit { led_into_silence: true, ..failed(&[None], &[]) },
                true,
                "a redirect to a name whose DNS servers are silent",
            ),
        ];
        for (visit, is_hidden, what) in rows {
            assert_eq!(judge_stalled(&visit, Some(stall)).is_some(), is_hidden, "{what}");
            assert_eq!(judge_stalled(&visit, None), None, "{what}, and no stall");
        }
    }
}
