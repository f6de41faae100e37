//! What the store holds: the clocks' state, outcomes, incidents; and how a state is written as text.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use ase_probes::class::Class;

use super::account::Account;
use crate::{
    model::catalog::EndpointId,
    risk::{
        estimate::{ClockTime, Level, RiskMemory},
        hysteresis::{Hysteresis, Standing},
        steps::ClockMemory,
    },
};

/// The clocks and where every endpoint stood, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateRow {
    /// When it was saved, since the Unix epoch. Shown, never computed with: the wall clock jumps.
    pub saved: Duration,
    /// The clocks.
    pub memory: ClockMemory,
}

/// A label of a closed set: the agent's own is borrowed, one that was read may be of a later version.
pub type Label = Cow<'static, str>;

/// A stretch of equal outcomes of one endpoint. Failures stand alone, successes are summed up. One is made per visit, so
/// making one copies no text.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRow {
    /// The endpoint's id.
    pub endpoint: Arc<str>,
    /// Its class's label.
    pub class: Label,
    /// `healthy`, `degraded`, `failed` or `unknown`.
    pub result: Label,
    /// The cause's label, where there is a finding.
    pub cause: Option<Label>,
    /// The phase's label, where there is a finding.
    pub phase: Option<Label>,
    /// When the first visit began, since the Unix epoch.
    pub began: Duration,
    /// When the last visit ended.
    pub ended: Duration,
    /// How many visits.
    pub count: u32,
    /// The mean time that a visit took.
    pub took: Duration,
}

impl OutcomeRow {
    /// Whether it may be forgotten before failures are.
    pub fn is_good(&self) -> bool {
        self.result == "healthy" || self.result == "unknown"
    }
}

/// One incident, open or closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentRow {
    /// Its id.
    pub id: String,
    /// The cause's label.
    pub cause: String,
    /// The phase's label.
    pub phase: String,
    /// The side's label.
    pub side: String,
    /// The scope's label.
    pub scope: String,
    /// The confidence's label.
    pub confidence: String,
    /// What is broken, in plain words.
    pub component: String,
    /// The ids of the endpoints it explains.
    pub endpoints: Vec<String>,
    /// The evidence, one line each.
    pub evidence: Vec<String>,
    /// When the first failing visit began, since the Unix epoch.
    pub since: Duration,
    /// When it first stood in a snapshot.
    pub published: Duration,
    /// When it ended; `None` while it is open.
    pub closed: Option<Duration>,
    /// What its page needs beside that; empty where an earlier version wrote the row.
    pub account: Account,
}

/// Clocks as text, one line each: class, outage in seconds, lost share, healthy steps. Rust prints a float so that it
/// reads back exactly.
pub(super) fn clocks_to_text(risk: &RiskMemory) -> String {
    let mut text = String::new();
    for (class, time) in &risk.clocks {
        writeln!(text, "{class} {:?} {:?} {}", time.outage, time.loss, time.healthy).expect("text takes text");
    }
    text
}

/// Reads [`clocks_to_text`]; `None` if a line is not one. Classes that no longer exist are left out.
pub(super) fn clocks_from_text(text: &str) -> Option<BTreeMap<Class, ClockTime>> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let class = words.next()?.to_owned();
        let mut number = || words.next()?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let (outage, loss) = (number()?, number()?);
        let healthy = words.next()?.parse().ok()?;
        words.next().is_none().then_some((class, ClockTime { outage, loss, healthy }))
    };
    let lines: Option<Vec<_>> = text.lines().map(line).collect();
    Some(lines?.into_iter().filter_map(|(class, time)| Some((Class::from_label(&class)?, time))).collect())
}

/// Standings as text, one line each: standing, bad and good samples in a row, id.
pub(super) fn standings_to_text(standings: &BTreeMap<EndpointId, Hysteresis>) -> String {
    let mut text = String::new();
    for (id, hysteresis) in standings.iter().filter(|(id, _)| !id.0.contains(['\n', '\r'])) {
        let Hysteresis { standing, bad, good, tested: _ } = hysteresis;
        writeln!(text, "{} {bad} {good} {}", standing.label(), id.0).expect("text takes text");
    }
    text
}

/// Reads [`standings_to_text`]; `None` if a line is not one. Nothing counts as tested.
pub(super) fn standings_from_text(text: &str) -> Option<BTreeMap<EndpointId, Hysteresis>> {
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let standing = Standing::from_label(words.next()?)?;
        let (bad, good) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((EndpointId(words.next()?.into()), Hysteresis { standing, bad, good, tested: false }))
    };
    text.lines().map(line).collect()
}

/// The level with this label; `None` if there is none.
pub(super) fn level(label: &str) -> Option<Level> {
    Level::from_label(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn clocks_read_back_to_the_last_bit(outage in 0.0..1e9f64, loss in 0.0..=1.0f64, healthy in any::<u32>()) {
            let time = ClockTime { outage, loss, healthy };
            let risk = RiskMemory { clocks: Class::ALL.map(|class| (class, time)).into(), ..RiskMemory::default() };
            prop_assert_eq!(clocks_from_text(&clocks_to_text(&risk)), Some(risk.clocks));
        }
    }

    #[test]
    fn standings_read_back_whatever_the_id() {
        let hysteresis = Hysteresis { standing: Standing::Down, bad: 7, good: 0, tested: false };
        let ids = ["a:1", "my endpoint with spaces", "ünïcode:443"];
        let standings: BTreeMap<_, _> = ids.iter().map(|id| (EndpointId((*id).into()), hysteresis)).collect();
        assert_eq!(standings_from_text(&standings_to_text(&standings)), Some(standings));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for text in ["sql", "sql x 0 0", "sql -1 0 0", "sql NaN 0 0", "sql 1 0 0 0", "sql inf 0 0"] {
            assert_eq!(clocks_from_text(text), None, "{text}");
        }
        assert_eq!(clocks_from_text("teapot 1.0 0.0 3\n"), Some(BTreeMap::new()));
        assert_eq!(standings_from_text("sideways 0 0 a"), None);
        assert_eq!(standings_from_text("up 0 300 a"), None);
    }
}
