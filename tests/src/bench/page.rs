//! What a program says of itself on its page in the format of Prometheus.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The agent's largest lateness of a visit, in the last half to full minute.
const LARGEST: &str = "ase_agent_schedule_lag_seconds ";
/// The longest wait of a visit for room, in the last half to full minute.
const WAIT: &str = "ase_agent_schedule_wait_seconds ";
/// The agent's lateness as a histogram.
const HISTOGRAM: &str = "ase_agent_schedule_delay_seconds_bucket";

/// The sum of the series that begin like this.
pub(super) fn sum(page: &str, start: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// The only value of Prometheus's answer to a query; `None` if there is none.
pub(super) fn value(answer: &str) -> Option<f64> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// How late the agent says that visits begin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lag {
    /// The largest of the last half to full minute, in milliseconds.
    pub(super) largest_ms: f64,
    /// The longest wait for room of the last half to full minute, in milliseconds.
    pub(super) wait_ms: f64,
    /// Visits not later than each bound in seconds; empty where an older agent has no histogram. The bound `+Inf` is not
    /// among them, as JSON has no number for it.
    pub(super) buckets: Vec<(f64, f64)>,
    /// All visits.
    pub(super) all: f64,
}

impl Lag {
    /// Reads a page.
    pub(super) fn of(page: &str) -> Self {
        let (mut buckets, mut all): (Vec<(f64, f64)>, f64) = (Vec::new(), 0.0);
        for line in page.lines().filter(|line| line.starts_with(HISTOGRAM)) {
            let bound = line.split_once("le=\"").and_then(|(_, rest)| rest.split_once('"')?.0.parse::<f64>().ok());
            let count = line.rsplit_once(' ').and_then(|(_, count)| count.parse().ok());
            let (Some(bound), Some(count)) = (bound, count) else { continue };
            match buckets.iter_mut().find(|bucket| bucket.0 == bound) {
                _ if bound.is_infinite() => all += count,
                Some(bucket) => bucket.1 += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { largest_ms: sum(page, LARGEST) * 1000.0, wait_ms: sum(page, WAIT) * 1000.0, buckets, all }
    }

    /// The same without the visits before a moment.
    pub(super) fn since(mut self, before: Option<&Self>) -> Self {
        let earlier = before.map(|lag| lag.buckets.as_slice()).unwrap_or_default();
        for (bound, count) in &mut self.buckets {
            *count -= earlier.iter().find(|bucket| bucket.0 == *bound).map_or(0.0, |bucket| bucket.1);
        }
        self.all -= before.map_or(0.0, |lag| lag.all);
        self
    }

    /// The lateness in milliseconds that this share of visits stays within: the bound of the bucket that it falls in.
    pub(super) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let within = |count: f64| count >= share * self.all;
        let bound = self.buckets.iter().find(|(_, count)| within(*count)).map_or(f64::INFINITY, |bucket| bucket.0);
        (self.all > 0.0).then_some(bound * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_name_are_added_up() {
        let page = "# HELP a x\na{b=\"c d\"} 2\na{b=\"e\"} 3e1\nab 7\na 1\n";
        assert_eq!((sum(page, "a{"), sum(page, "ab "), sum(page, "z")), (32.0, 7.0, 0.0));
    }

    #[test]
    fn an_answer_without_a_series_has_no_value() {
        assert_eq!(value("{\"data\":{\"result\":[{\"value\":[1,\"12\"]}]}}"), Some(12.0));
        assert_eq!((value("{\"data\":{\"result\":[]}}"), value("")), (None, None));
    }

    #[test]
    fn a_quantile_of_the_lag_is_of_the_window_alone() {
        let page = |few: u32, most: u32, all: u32| {
            format!(
                "{HISTOGRAM}{{le=\"0.001\"}} {few}\n{HISTOGRAM}{{le=\"0.01\"}} {most}\n{HISTOGRAM}{{le=\"+Inf\"}} {all}\n{LARGEST}0.25\n"
            )
        };
        let (before, after) = (Lag::of(&page(0, 0, 100)), Lag::of(&page(60, 98, 200)));
        let lag = after.since(Some(&before));
        assert_eq!((lag.largest_ms, lag.quantile_ms(0.5), lag.quantile_ms(0.98)), (250.0, Some(1.0), Some(10.0)));
        assert_eq!(lag.quantile_ms(0.99), Some(f64::INFINITY));
        assert_eq!(Lag::of("").quantile_ms(0.5), None);
        let written = serde_json::to_string(&lag).expect("numbers only");
        assert_eq!(serde_json::from_str::<Lag>(&written).expect("it was written as it is read"), lag);
    }
}
