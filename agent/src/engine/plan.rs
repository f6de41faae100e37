//! What each endpoint wants of the schedule: its rhythm, how many descriptors visits may use, and what a visit meant, a time
//! server's kiss of death too. Pure.

use std::time::Duration;

use ase_probes::{
    cause::Cause,
    class::Class,
    outcome::Outcome,
    verdict::{Finding, Verdict},
};

use crate::{
    engine::{
        courtesy::Courtesy,
        room::Bounds,
        schedule::{Ended, Rhythm, Upshot},
    },
    model::{
        catalog::Endpoint,
        endpoint::Status,
        politeness::TIME_SERVER_REST,
        settings::Pace,
        visit::{Judgement, Untested, Visit},
    },
};

/// A second question to one time server keeps this distance (the smallest spacing in a burst, RFC 5905 section 13).
const NTP_CONFIRM_AFTER: Duration = Duration::from_secs(2);
/// Pause before a visit is tried again whose destination's flow budget was spent: a quarter of the budget's period.
const BUDGET_PAUSE: Duration = Duration::from_secs(15);
/// Pause before a visit is made again whose answer a stall hid: what was late meanwhile is taken in first.
pub const STALL_PAUSE: Duration = Duration::from_millis(500);
/// Descriptors that are not for visits: 64 connections of the web server, 8 held flows, 8 follow-up measurements that ask
/// from several ports each, the surveys of names, the store, and the runtime's own.
const RESERVED: usize = 256;

/// How an endpoint wants to be visited.
pub fn rhythm(endpoint: &Endpoint, pace: &Pace) -> Rhythm {
    let is_time_server = endpoint.class == Class::Ntp;
    let confirm_after = if is_time_server { pace.confirm_after.max(NTP_CONFIRM_AFTER) } else { pace.confirm_after };
    Rhythm {
        interval: endpoint.interval,
        confirm_after,
        failing_interval: pace.failing_interval,
        sockets: endpoint.target.addresses.most(),
        courtesy: is_time_server.then(|| courtesy(endpoint)),
    }
}

/// Every time server's plea to be left alone is heard; one that is not ours is given rest unasked.
fn courtesy(endpoint: &Endpoint) -> Courtesy {
    let spacing = if endpoint.is_public_time_server() { TIME_SERVER_REST } else { Duration::ZERO };
    Courtesy { peer: format!("{}:{}", endpoint.target.host, endpoint.target.port).into(), spacing }
}

/// The room for visits in a process that may have so many files open. Where there are few, half of them are for visits.
pub fn bounds(pace: &Pace, files: usize) -> Bounds {
    Bounds { active: pace.concurrency, sockets: files.saturating_sub(RESERVED).max(files / 2).max(1) }
}

/// What a visit meant for the schedule.
pub fn ended(visit: &Visit, judged: Judgement) -> Ended {
    Ended { upshot: upshot(visit, judged), asked: visit.outcomes.iter().any(was_asked) }
}

fn upshot(visit: &Visit, judged: Judgement) -> Upshot {
    if visit.outcomes.iter().any(|outcome| outcome.verdict.finding().is_some_and(is_plea)) {
        return Upshot::AskedToSlowDown;
    }
    match judged {
        Ok(Verdict::Failed(_)) => Upshot::Bad,
        Ok(Verdict::Healthy | Verdict::Degraded(_)) => Upshot::Good,
        Err(Untested::BudgetSpent) => Upshot::PutOff(BUDGET_PAUSE),
        Ok(Verdict::Inconclusive(_)) | Err(_) => Upshot::Unknown,
    }
}

/// Whether a name that worked, or was not known, now fails at some of its addresses: one silent exchange is no more proof there
/// than at a name with a single address, so that it is asked again before anything is said.
pub fn is_to_confirm(visit: &Visit, judged: Judgement, stood: Status) -> bool {
    let works = matches!(stood, Status::Healthy | Status::Unknown(_));
    works
        && matches!((visit.result, judged), (Ok(Verdict::Degraded(_)), Ok(Verdict::Degraded(_))))
        && !visit.failed.is_empty()
}

fn is_plea(finding: Finding) -> bool {
    finding.cause == Cause::NtpDenied
}

/// Whether a packet may have reached the peer: this machine did not prevent the exchange.
fn was_asked(outcome: &Outcome) -> bool {
    !matches!(outcome.verdict, Verdict::Inconclusive(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_leave_descriptors_for_everything_else() {
        let pace = Pace {
            concurrency: 64,
            flows_per_destination: 60,
            confirm_after: Duration::from_secs(1),
            failing_interval: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        };
        let sockets = |files| bounds(&pace, files).sockets;
        assert_eq!((sockets(4096), sockets(1024), sockets(100), sockets(0)), (3840, 768, 50, 1));
    }
}
