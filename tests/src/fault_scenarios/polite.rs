//! Time servers that are asked no more often than they may be, whatever happens.

use std::time::Duration;

use ase_agent::net::duration::HumanDuration;
use serde::Deserialize;

/// How soon after a question its confirmation comes at the latest: a time-out and the pause before it.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);
/// How early a question may come: clocks and wake-ups are not exact.
const EARLY: Duration = Duration::from_millis(500);

/// How often time servers may be asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Polite {
    /// Their names.
    pub(super) names: Vec<String>,
    /// The least time from one question to the next.
    pub(super) apart: HumanDuration,
    /// Whether one confirmation may follow each question: not where the server asked to be left alone.
    #[serde(default = "yes")]
    pub(super) confirmed: bool,
}

fn yes() -> bool {
    true
}

/// What is wrong with the times at which a server was asked: two questions are apart, but for one confirmation each where
/// that is granted.
pub(super) fn impolite(asked: &[Duration], polite: &Polite) -> Vec<String> {
    let apart = polite.apart.0;
    let all = asked.iter().map(|at| format!("{:.1}", at.as_secs_f64())).collect::<Vec<_>>().join(" ");
    let mut wrong = Vec::new();
    let mut last: Option<(Duration, bool)> = None;
    for at in asked {
        last = match last {
            Some((before, is_confirmed)) if *at + EARLY < before + apart => {
                let gap = *at - before;
                if is_confirmed || !polite.confirmed || gap > CONFIRMED_WITHIN {
                    wrong.push(format!(
                        "was asked {:.1} s after a question, not {} s: at {all} s",
                        gap.as_secs_f64(),
                        apart.as_secs()
                    ));
                }
                Some((before, true))
            }
            _ => Some((*at, false)),
        };
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_confirmation_is_polite_and_more_is_not() {
        let wrong = |seconds: &[u64], confirmed| {
            let times: Vec<Duration> = seconds.iter().map(|second| Duration::from_secs(*second)).collect();
            let apart = HumanDuration(Duration::from_secs(64));
            impolite(&times, &Polite { names: Vec::new(), apart, confirmed }).len()
        };
        let asked = |seconds: &[u64]| wrong(seconds, true);
        assert_eq!((asked(&[0, 64, 128]), asked(&[0, 4, 64, 66, 130])), (0, 0));
        assert_eq!((asked(&[0, 30]), asked(&[0, 4, 8]), asked(&[0, 10, 20, 30])), (1, 1, 2));
        assert_eq!((wrong(&[0, 64, 128], false), wrong(&[0, 4, 68], false)), (0, 1), "who asked to be left alone");
    }
}
