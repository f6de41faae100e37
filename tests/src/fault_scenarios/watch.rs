//! What is noted whenever the agent is looked at: what may never be said, what must live on, what may not begin.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{file::Scenario, judge};

/// The most lines that are kept of one kind: the first ones tell what is wrong.
const MOST: usize = 8;

/// What was seen in all looks so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was said at which time, in seconds from the fault.
    pub(super) course: Vec<(f64, String)>,
    /// Causes that were named on the way and are wrong.
    pub(super) in_passing: BTreeSet<String>,
    /// Whether at any time a fault of the machine itself was blamed on others.
    pub(super) has_blamed: bool,
    /// What was said though it may never be.
    pub(super) never: BTreeSet<String>,
    /// Words of `says` that were said.
    pub(super) heard: BTreeSet<String>,
    /// Whether an incident was named where none may be.
    pub(super) has_cried: bool,
    /// What else is wrong.
    pub(super) wrong: Vec<String>,
    /// What shows that an incident that must live on did not, or that the gauge which pages had a gap.
    pub(super) unsteady: Vec<String>,
    /// Time servers that were asked too often.
    pub(super) impolite: Vec<String>,
    /// The incident that must live on: its id and its beginning.
    steady: Option<(Value, Value)>,
    /// When the fault was repaired.
    repaired: Option<Timestamp>,
    /// The incidents that were open when the fault became another one, and every one that was seen since.
    turn: Option<Turn>,
}

/// What was open when the fault became another one, and what was seen since.
#[derive(Debug)]
struct Turn {
    at: Timestamp,
    before: Vec<Value>,
    seen: BTreeSet<String>,
}

impl Watch {
    /// Takes a look.
    pub(super) fn look(&mut self, scenario: &Scenario, status: &Value, seconds: f64) {
        let said = judge::incidents(status).into_iter().map(judge::told).collect::<Vec<_>>().join("; ");
        if self.course.last().is_none_or(|(_, last)| *last != said) && !(self.course.is_empty() && said.is_empty()) {
            self.course.push((seconds, said));
        }
        self.in_passing.extend(judge::strangers(scenario, status));
        judge::contradictions(status).into_iter().for_each(|told| self.wrong(told));
        judge::cried_early(scenario, status).into_iter().for_each(|told| self.wrong(told));
        self.has_blamed |= judge::blames_others(scenario, status);
        self.never.extend(scenario.never.iter().filter(|word| judge::says(status, word)).cloned());
        self.heard.extend(scenario.says.iter().filter(|word| judge::says(status, word)).cloned());
        if let Some(steady) = &self.steady {
            let lives = |incident: &&Value| (&incident["id"], &incident["since"]) == (&steady.0, &steady.1);
            if !judge::incidents(status).iter().any(lives) {
                let now = judge::incidents(status).into_iter().map(judge::known_by).collect::<Vec<_>>().join(", ");
                let (id, since) = steady;
                note(&mut self.unsteady, format!("incident {id} since {since} must live on: {now}"));
            }
        }
        if let Some(turn) = &mut self.turn {
            turn.seen.extend(judge::incidents(status).into_iter().map(|incident| incident["id"].to_string()));
        }
        if let Some(repaired) = self.repaired {
            judge::begun_after(repaired, status).into_iter().for_each(|told| self.wrong(told));
        }
    }

    /// Notes something wrong, once.
    pub(super) fn wrong(&mut self, told: String) {
        note(&mut self.wrong, told);
    }

    /// Notes a gap in what must live on, once.
    pub(super) fn unsteady(&mut self, told: String) {
        note(&mut self.unsteady, told);
    }

    /// Notes a time server that was asked too often, once.
    pub(super) fn impolite(&mut self, told: String) {
        note(&mut self.impolite, told);
    }

    /// Notes incidents where none may be.
    pub(super) fn look_early(&mut self, scenario: &Scenario, status: &Value) {
        self.never.extend(scenario.never.iter().filter(|word| judge::says(status, word)).cloned());
        for incident in judge::incidents(status) {
            self.has_cried = true;
            self.wrong(format!("said while all was well: {}: {}", judge::told(incident), incident["evidence"]));
        }
    }

    /// From now on this incident must live on as it is, until the repair.
    pub(super) fn hold_steady(&mut self, incident: &Value) {
        self.steady = Some((incident["id"].clone(), incident["since"].clone()));
    }

    /// The fault becomes another one while these incidents are open.
    pub(super) fn note_turn(&mut self, status: &Value, now: Timestamp) {
        let before = judge::incidents(status).into_iter().cloned().collect();
        self.turn = Some(Turn { at: now, before, seen: BTreeSet::new() });
    }

    /// What is said of the other fault is said: so many incidents may have begun, none of which claims to be older, and those
    /// from before that are open are as they were.
    pub(super) fn end_turn(&mut self, status: &Value, begin: usize) {
        let Some(turn) = self.turn.take() else { return };
        let known: BTreeSet<String> = turn.before.iter().map(|incident| incident["id"].to_string()).collect();
        let new: Vec<&String> = turn.seen.difference(&known).collect();
        if new.len() != begin {
            self.wrong(format!("{} incidents began with the turn, not {begin}: {new:?}", new.len()));
        }
        for incident in judge::incidents(status) {
            match turn.before.iter().find(|before| before["id"] == incident["id"]) {
                Some(before) => {
                    for key in
                        ["since", "endpoints", "component"].into_iter().filter(|key| before[key] != incident[key])
                    {
                        self.wrong(format!(
                            "incident {}: {key} was {}, is {}",
                            incident["id"], before[key], incident[key]
                        ));
                    }
                }
                None => {
                    let only = json!({"incidents": [incident]});
                    judge::too_early(turn.at, &only).into_iter().for_each(|told| self.wrong(told));
                }
            }
        }
    }

    /// From now on no incident may begin, and every one may end.
    pub(super) fn note_repair(&mut self, now: Timestamp) {
        (self.steady, self.repaired) = (None, Some(now));
    }

    /// Whether an incident must live on.
    pub(super) fn is_steady(&self) -> bool {
        self.steady.is_some()
    }
}

fn note(told: &mut Vec<String>, one: String) {
    if told.len() < MOST && !told.contains(&one) {
        told.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(keys: &str) -> Scenario {
        serde_saphyr::from_str(&format!("what: x\nrow: 17\nexpect: {{cause: dropped}}\n{keys}")).expect(keys)
    }

    fn status(id: u32, since: &str) -> Value {
        json!({"incidents": [{"id": id, "cause": "dropped", "since": since, "endpoints": [], "evidence": ["silence"]}]})
    }

    #[test]
    fn what_is_said_for_a_moment_was_said() {
        let scenario = scenario("never: [refused, silence]\nsays: [silence, thunder]");
        let mut watch = Watch::default();
        watch.look(&scenario, &json!({"incidents": []}), 0.0);
        assert!(watch.never.is_empty() && watch.course.is_empty());
        watch.look(&scenario, &status(1, "2026-01-01T00:00:00Z"), 1.0);
        watch.look(&scenario, &json!({"incidents": []}), 2.0);
        assert_eq!((watch.never.len(), watch.heard.len(), watch.course.len()), (1, 1, 2));
        assert!(watch.never.contains("silence") && watch.heard.contains("silence"));
    }

    #[test]
    fn an_incident_that_gets_another_number_did_not_live_on() {
        let scenario = scenario("");
        let mut watch = Watch::default();
        let first = status(1, "2026-01-01T00:00:00Z");
        watch.hold_steady(&first["incidents"][0]);
        watch.look(&scenario, &first, 1.0);
        assert!(watch.unsteady.is_empty());
        watch.look(&scenario, &status(2, "2026-01-01T00:00:00Z"), 2.0);
        watch.look(&scenario, &status(1, "2026-01-01T00:00:01Z"), 3.0);
        watch.look(&scenario, &json!({"incidents": []}), 4.0);
        assert_eq!((watch.unsteady.len(), watch.wrong.len()), (3, 0), "{:?}", watch.unsteady);
    }

    #[test]
    fn nothing_may_begin_after_the_repair() {
        let scenario = scenario("");
        let mut watch = Watch::default();
        watch.note_repair("2026-01-01T00:01:00Z".parse().expect("a time"));
        watch.look(&scenario, &status(1, "2026-01-01T00:00:30Z"), 1.0);
        assert!(watch.wrong.is_empty());
        watch.look(&scenario, &status(2, "2026-01-01T00:01:11Z"), 2.0);
        assert_eq!(watch.wrong.len(), 1);
    }

    #[test]
    fn a_turn_begins_so_many_incidents_and_changes_none_that_was_open() {
        let of = |incidents: Value| json!({"incidents": incidents});
        let old = json!({"id": 1, "since": "2026-01-01T00:00:00Z", "endpoints": ["a:443"], "component": "a:443"});
        let new = json!({"id": 2, "since": "2026-01-01T00:01:01Z", "endpoints": ["b:443"], "component": "the rest"});
        let with = |incident: &Value, key: &str, value: Value| {
            let mut incident = incident.clone();
            incident[key] = value;
            incident
        };
        let wrong = |looks: &[Value]| {
            let mut watch = Watch::default();
            watch.note_turn(&of(json!([old])), "2026-01-01T00:01:00Z".parse().expect("a time"));
            looks.iter().for_each(|look| watch.look(&scenario(""), look, 1.0));
            watch.end_turn(looks.last().expect("a look"), 1);
            watch.wrong.len()
        };
        let both = of(json!([old, new]));
        assert_eq!(wrong(&[of(json!([old])), both.clone()]), 0);
        assert_eq!(wrong(&[of(json!([old]))]), 1, "nothing began");
        assert_eq!(wrong(&[of(json!([old, with(&new, "id", json!(3))])), both]), 1, "something narrower began first");
        assert_eq!(wrong(&[of(json!([with(&old, "endpoints", json!(["a:443", "b:443"]))]))]), 2);
        assert_eq!(wrong(&[of(json!([old, with(&new, "since", json!("2026-01-01T00:00:30Z"))]))]), 1);
    }
}
