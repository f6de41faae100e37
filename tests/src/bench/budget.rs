//! The figures to reach, and whether a run stays within a multiple of them. CPU and memory only: how late or how many probes
//! were made is the busy machine's doing as well as the agent's.

use serde::Serialize;

use super::{
    endpoints::Kind,
    play::{AGENT_NAME, Measurement, Subject},
};

/// The agent's share of one core with ten thousand endpoints every 30 s, and its memory in MiB.
const LARGE: (f64, f64) = (0.25, 120.0);
/// Endpoints from which on [`LARGE`] holds.
const MANY: usize = 10_000;

/// CPU for each probe, in milliseconds.
fn to_reach(kind: Kind) -> f64 {
    match kind {
        Kind::Tcp | Kind::Dns => 0.20,
        Kind::Http => 0.25,
        Kind::Https => 0.55,
    }
}

/// A figure and what it may be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    case: String,
    what: &'static str,
    measured: f64,
    limit: f64,
}

impl Line {
    /// Whether the figure is too large.
    pub(super) fn is_over(&self) -> bool {
        self.measured > self.limit
    }

    /// One line for people.
    pub(super) fn shown(&self) -> String {
        let verdict = if self.is_over() { "TOO MUCH" } else { "within" };
        format!("{verdict}: {} {}: {:.3}, limit {:.3}", self.case, self.what, self.measured, self.limit)
    }
}

/// The agent's figures in a measurement, each with `factor` times the figure to reach.
pub(super) fn of(one: &Measurement, factor: f64) -> Vec<Line> {
    let Some(endpoints) = one.plan.endpoints.as_ref().filter(|_| one.plan.subject != Subject::Blackbox) else {
        return Vec::new();
    };
    let line = |what, measured, limit: f64| Line { case: one.plan.case.clone(), what, measured, limit: limit * factor };
    let of_kinds: f64 = endpoints.kinds.iter().map(|kind| to_reach(*kind)).sum();
    // No probe at all is no cheap probe.
    let cpu = one.cpu_per_probe(AGENT_NAME).unwrap_or(f64::INFINITY);
    let mut lines = vec![line("CPU per probe in ms", cpu, of_kinds / endpoints.kinds.len() as f64)];
    if let Some(spent) = one.spent.get(AGENT_NAME).filter(|_| one.watched >= MANY) {
        // What was not probed was not paid for: the share is that of all that was to be made.
        let share = spent.cpu_seconds / one.seconds * (one.expected / one.made() as f64).max(1.0);
        lines.push(line("share of one core", if one.made() > 0 { share } else { f64::INFINITY }, LARGE.0));
        lines.push(line("peak memory in MiB", spent.memory.peak as f64 / 1024.0, LARGE.1));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        endpoints::Endpoints,
        play::{Lab, Plan, Spent},
        spent::Memory,
    };
    use std::{collections::BTreeMap, time::Duration};

    fn measured(kinds: &[Kind], count: usize, made: u64, cpu_seconds: f64) -> Measurement {
        let endpoints = Endpoints { kinds: kinds.to_vec(), count, interval: Duration::from_secs(5) };
        let memory = Memory { resident: 1024, peak: 200 * 1024 };
        Measurement {
            plan: Plan {
                case: "a case".to_owned(),
                subject: Subject::AgentAlone,
                endpoints: Some(endpoints),
                warm_up: Duration::ZERO,
                lasting: Duration::from_secs(10),
                agent: "ase-agent".into(),
            },
            watched: count,
            seconds: 10.0,
            expected: 1000.0,
            reported: made,
            arrived: Some(made),
            counting_seconds: 0.0,
            healthy: 1,
            spent: BTreeMap::from([(AGENT_NAME.to_owned(), Spent { cpu_seconds, memory })]),
            gap_error_ms: None,
            gap_error_reading_ms: None,
            lag: None,
            readings: BTreeMap::new(),
            lab: Lab::default(),
        }
    }

    fn over(one: &Measurement, factor: f64) -> Vec<&'static str> {
        of(one, factor).iter().filter(|line| line.is_over()).map(|line| line.what).collect()
    }

    #[test]
    fn each_kind_has_its_own_limit_and_a_mix_their_mean() {
        assert_eq!(over(&measured(&[Kind::Tcp], 10, 1000, 0.21), 1.0), ["CPU per probe in ms"]);
        assert_eq!(over(&measured(&[Kind::Tcp], 10, 1000, 0.21), 3.0), [""; 0]);
        assert_eq!(over(&measured(&[Kind::Https], 10, 1000, 0.54), 1.0), [""; 0]);
        assert_eq!(over(&measured(&Kind::ALL, 10, 1000, 0.29), 1.0), [""; 0]);
        assert_eq!(over(&measured(&Kind::ALL, 10, 1000, 0.31), 1.0), ["CPU per probe in ms"]);
    }

    #[test]
    fn probes_that_were_not_made_save_nothing() {
        assert_eq!(over(&measured(&[Kind::Tcp], 10, 0, 0.0), 3.0), ["CPU per probe in ms"]);
        assert_eq!(over(&measured(&[Kind::Tcp], 10, 500, 0.11), 1.0), ["CPU per probe in ms"]);
    }

    #[test]
    fn ten_thousand_endpoints_have_limits_of_their_own() {
        let one = measured(&Kind::ALL, MANY, 100_000, 2.6);
        assert_eq!(over(&one, 1.0), ["share of one core", "peak memory in MiB"]);
        assert_eq!(over(&one, 2.0), [""; 0]);
    }

    #[test]
    fn half_of_the_probes_in_half_of_the_share_is_the_whole_share() {
        let share = |made, cpu_seconds| {
            let one = measured(&[Kind::Https], MANY, made, cpu_seconds);
            of(&one, 1.0).into_iter().find(|line| line.what == "share of one core").expect("it is large").measured
        };
        assert!((share(500, 1.0) - 0.2).abs() < 1e-9, "{}", share(500, 1.0));
        assert!((share(1000, 1.0) - 0.1).abs() < 1e-9 && (share(2000, 1.0) - 0.1).abs() < 1e-9);
        assert!(share(0, 0.0).is_infinite(), "no probe at all is no cheap probe");
    }

    #[test]
    fn the_exporter_has_no_budget() {
        let mut one = measured(&[Kind::Tcp], 10, 0, 0.0);
        one.plan.subject = Subject::Blackbox;
        assert!(of(&one, 1.0).is_empty());
    }
}
