//! The table of the bench: counts by kind, the rows that are not as expected, and whether anything is news.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::outcome::{Outcome, Standing};

/// What came of all rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) outcomes: Vec<Outcome>,
    /// Panics on whatever thread.
    pub(super) panics: usize,
    pub(super) took: Duration,
}

/// Counts of one kind, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: usize,
    as_expected: usize,
    open: usize,
    panics: usize,
    hangs: usize,
    lost: u64,
    overrun: Duration,
    bytes: u64,
    recovery: Option<f64>,
}

impl Counts {
    fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            counts.rows += 1;
            counts.as_expected += usize::from(outcome.is_as_expected());
            counts.open += usize::from(outcome.open.is_some());
            counts.panics += usize::from(outcome.standing == Standing::Panicked);
            counts.hangs += usize::from(outcome.standing == Standing::Hung);
            counts.lost += outcome.lost.unwrap_or(0);
            counts.overrun = counts.overrun.max(outcome.overrun);
            counts.bytes = counts.bytes.max(outcome.bytes);
            counts.recovery = longest(counts.recovery, outcome.recovery);
        }
        counts
    }

    fn line(&self, kind: &str) -> String {
        format!(
            "{kind:<12}{:>6}{:>13}{:>6}{:>8}{:>7}{:>6}{:>12}{:>14}{:>11}",
            self.rows,
            self.as_expected,
            self.open,
            self.panics,
            self.hangs,
            self.lost,
            format!("{:.3} s", self.overrun.as_secs_f64()),
            format!("{:.0} KiB", self.bytes as f64 / 1024.0),
            self.recovery.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s")),
        )
    }
}

impl Table {
    /// Whether nothing panicked, hung or got lost, and every row that is not as expected is known.
    pub(super) fn holds(&self) -> bool {
        self.panics == 0 && !self.outcomes.iter().any(Outcome::is_news)
    }

    fn all(&self) -> Counts {
        let counts = Counts::of(&self.outcomes);
        Counts { panics: counts.panics.max(self.panics), ..counts }
    }

    /// The table as people read it.
    pub(super) fn render(&self, every_row: bool) -> String {
        let mut text = format!(
            "{:<12}{:>6}{:>13}{:>6}{:>8}{:>7}{:>6}{:>12}{:>14}{:>11}\n",
            "kind", "rows", "as expected", "open", "panics", "hangs", "lost", "overrun", "most bytes", "recovery"
        );
        let mut kinds: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        self.outcomes.iter().for_each(|outcome| kinds.entry(outcome.kind).or_default().push(outcome));
        for (kind, outcomes) in kinds {
            text.push_str(&format!("{}\n", Counts::of(outcomes).line(kind)));
        }
        let all = self.all();
        text.push_str(&format!("{}\n", all.line("all")));
        for outcome in self.outcomes.iter().filter(|outcome| every_row || outcome.is_news() || outcome.open.is_some()) {
            described(&mut text, outcome);
        }
        let share = all.as_expected as f64 * 100.0 / all.rows.max(1) as f64;
        let summary = format!(
            "\n{} rows in {:.1} s: {} panics, {} hangs, {} lost commits, {share:.1} % of verdicts as expected, {} open",
            all.rows,
            self.took.as_secs_f64(),
            all.panics,
            all.hangs,
            all.lost,
            all.open
        );
        text + &summary
    }

    /// The table as programs read it.
    pub(super) fn report(&self) -> Value {
        let all = self.all();
        let open = self.outcomes.iter().filter_map(|outcome| {
            let reason = outcome.open.as_ref()?;
            Some(json!({"kind": outcome.kind, "name": outcome.name, "reason": reason}))
        });
        json!({
            "summary": {
                "rows": all.rows,
                "as_expected": all.as_expected,
                "panics": all.panics,
                "hangs": all.hangs,
                "lost": all.lost,
                "seconds": self.took.as_secs_f64(),
                "open": open.collect::<Vec<_>>(),
            },
            "rows": self.outcomes,
        })
    }
}

fn longest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// A row that somebody wants to read: what was due, what came instead and why it is known.
fn described(text: &mut String, outcome: &Outcome) {
    let word = match (outcome.is_as_expected(), &outcome.open) {
        (true, None) => "as expected",
        (true, Some(_)) => "HOLDS, THOUGH CALLED OPEN",
        (false, Some(_)) => "open",
        (false, None) => "NOT AS EXPECTED",
    };
    let millis = outcome.took.as_millis();
    let (kind, name) = (outcome.kind, &outcome.name);
    let recovery = outcome.recovery.map_or_else(String::new, |seconds| format!(" within {seconds:.1} s"));
    let (standing, said) = (outcome.standing.label(), &outcome.said);
    let line = writeln!(text, "{word}: {kind}: {name}: {standing} after {millis} ms: {said}{recovery}");
    debug_assert!(line.is_ok(), "a text can be written to");
    if !outcome.is_as_expected() {
        text.push_str(&format!("    expected: {}\n", outcome.expected));
        outcome.misses.iter().for_each(|miss| text.push_str(&format!("    {miss}\n")));
        outcome.evidence.iter().take(4).for_each(|line| text.push_str(&format!("    evidence: {line}\n")));
    }
    if let Some(reason) = &outcome.open {
        text.push_str(&format!("    open: {reason}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(standing: Standing, misses: &[&str], open: Option<&str>) -> Outcome {
        Outcome {
            kind: "dns",
            name: "a row".to_owned(),
            expected: "healthy".to_owned(),
            said: "failed reset unknown likely".to_owned(),
            standing,
            misses: misses.iter().map(|miss| (*miss).to_owned()).collect(),
            took: Duration::from_millis(900),
            overrun: Duration::ZERO,
            bytes: 10,
            lost: None,
            recovery: None,
            open: open.map(str::to_owned),
            evidence: vec!["a line".to_owned()],
        }
    }

    fn table(outcomes: Vec<Outcome>) -> Table {
        Table { outcomes, panics: 0, took: Duration::from_secs(1) }
    }

    #[test]
    fn only_what_holds_or_is_known_makes_the_table_hold() {
        use Standing::{Hung, Panicked, Survived};
        for (row, holds) in [
            (outcome(Survived, &[], None), true),
            (outcome(Survived, &["said: x"], None), false),
            (outcome(Survived, &["said: x"], Some("known")), true),
            (outcome(Survived, &[], Some("known")), false),
            (outcome(Hung, &[], None), false),
            (outcome(Panicked, &[], Some("known")), false),
            (Outcome { lost: Some(1), ..outcome(Survived, &[], None) }, false),
        ] {
            let shown = format!("{row:?}");
            assert_eq!(table(vec![row]).holds(), holds, "{shown}");
        }
        assert!(!Table { panics: 1, ..table(vec![outcome(Survived, &[], None)]) }.holds());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_evidence_and_what_is_open_with_its_reason() {
        let rows = vec![
            outcome(Standing::Survived, &["said: failed reset"], None),
            outcome(Standing::Survived, &["said: failed reset"], Some("nobody mended it")),
            outcome(Standing::Survived, &[], None),
        ];
        let text = table(rows).render(false);
        assert_eq!(recovery_of(&text, "dns"), "-", "nothing had to recover");
        for words in ["NOT AS EXPECTED: dns: a row", "expected: healthy", "evidence: a line", "open: nobody mended it"]
        {
            assert!(text.contains(words), "{text}");
        }
        assert!(
            text.ends_with(
                "3 rows in 1.0 s: 0 panics, 0 hangs, 0 lost commits, 33.3 % of verdicts as expected, 1 open"
            )
        );
    }

    fn recovery_of(text: &str, kind: &str) -> String {
        let line = text.lines().find(|line| line.starts_with(kind)).expect("a line of the kind");
        line.split("KiB").last().expect("the last column").trim().to_owned()
    }

    #[test]
    fn the_longest_recovery_is_told_and_that_of_every_row() {
        let recovered = |seconds| Outcome { recovery: Some(seconds), ..outcome(Standing::Survived, &[], None) };
        let text = table(vec![recovered(0.5), recovered(2.5), outcome(Standing::Survived, &[], None)]).render(true);
        assert_eq!(recovery_of(&text, "dns"), "2.5 s", "{text}");
        assert!(text.contains(" unknown likely within 0.5 s\n"), "{text}");
    }
}
