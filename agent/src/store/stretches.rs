//! Sums up outcomes before they are remembered: successes in stretches of at most five minutes, failures one by one.
//! Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::rows::OutcomeRow;

/// The longest stretch.
const LONGEST: Duration = Duration::from_secs(300);

/// The stretches that still grow, by endpoint.
#[derive(Clone, Debug, Default)]
pub struct Stretches {
    open: BTreeMap<Arc<str>, OutcomeRow>,
}

impl Stretches {
    /// Takes one visit's outcome and returns what is to be remembered now, in the order it happened.
    pub fn take(&mut self, outcome: OutcomeRow) -> Vec<OutcomeRow> {
        match self.open.get_mut(&outcome.endpoint) {
            Some(open) if goes_on(open, &outcome) => {
                join(open, &outcome);
                Vec::new()
            }
            Some(open) if outcome.is_good() => vec![std::mem::replace(open, outcome)],
            Some(_) => self.open.remove(&outcome.endpoint).into_iter().chain([outcome]).collect(),
            None if outcome.is_good() => {
                self.open.insert(Arc::clone(&outcome.endpoint), outcome);
                Vec::new()
            }
            None => vec![outcome],
        }
    }

    /// Ends every stretch.
    pub fn finish(&mut self) -> Vec<OutcomeRow> {
        std::mem::take(&mut self.open).into_values().collect()
    }
}

fn goes_on(open: &OutcomeRow, next: &OutcomeRow) -> bool {
    let same = open.result == next.result && open.cause == next.cause && open.phase == next.phase;
    same && next.is_good() && next.ended.saturating_sub(open.began) <= LONGEST
}

fn join(open: &mut OutcomeRow, next: &OutcomeRow) {
    let count = open.count.saturating_add(next.count);
    open.took = (open.took * open.count + next.took * next.count) / count.max(1);
    open.ended = next.ended.max(open.ended);
    open.count = count;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: &str, at: u64) -> OutcomeRow {
        OutcomeRow {
            endpoint: "a:1".into(),
            class: "tcp".into(),
            result: result.to_owned().into(),
            cause: (result == "failed").then(|| "refused".into()),
            phase: None,
            began: Duration::from_secs(at),
            ended: Duration::from_secs(at + 1),
            count: 1,
            took: Duration::from_secs(1),
        }
    }

    fn fed(results: &[&str]) -> Vec<(String, u32)> {
        let mut stretches = Stretches::default();
        let mut rows: Vec<_> =
            (0..).zip(results).flat_map(|(n, result)| stretches.take(outcome(result, n * 30))).collect();
        rows.extend(stretches.finish());
        rows.into_iter().map(|row| (row.result.into_owned(), row.count)).collect()
    }

    fn rows(rows: &[(&str, u32)]) -> Vec<(String, u32)> {
        rows.iter().map(|(result, count)| ((*result).to_owned(), *count)).collect()
    }

    #[test]
    fn successes_are_summed_up_and_failures_stand_alone() {
        let (h, f, u) = ("healthy", "failed", "unknown");
        assert_eq!(fed(&[h, h, h, f, f, h, u, u]), rows(&[(h, 3), (f, 1), (f, 1), (h, 1), (u, 2)]));
        assert_eq!(fed(&["healthy"; 25]), rows(&[(h, 10), (h, 10), (h, 5)]));
    }

    #[test]
    fn every_visit_is_counted_once() {
        let results: Vec<_> = (0..500u32).map(|n| if n % 7 == 3 { "failed" } else { "healthy" }).collect();
        assert_eq!(fed(&results).iter().map(|(_, count)| count).sum::<u32>(), 500);
    }
}
