//! What all scenarios together must reach: of everything, of each group, and what may not happen even once.

use std::collections::BTreeMap;

use super::Row;

/// The part that must be right in every respect: cause, side, scope, endpoints, confidence, what `check` prints, nothing
/// older than the fault, nothing begun after its repair, nothing said that may never be.
const STRICT: f64 = 0.97;
/// Small groups, each the only one that shows what people rely on. One miss is chance: `check` hears of a loss of 20 % only
/// if enough packets of its one round are lost, and whole runs missed one row of more than 500. Two are a fault.
const ONE_MISS: [&str; 7] = ["addresses", "builtin", "check", "pause", "polite", "reload", "slots"];
/// Of every other group, one row in so many may be missed, and at least one.
const ONE_IN: usize = 10;

/// What may not happen even once, in words, and whether it did.
type Never = (&'static str, fn(&Row) -> bool);

/// Why these rows of a whole run are not good enough; empty where they are.
pub(super) fn falls_short(rows: &[Row]) -> Vec<String> {
    let mut short = Vec::new();
    let strict = rows.iter().filter(|row| row.is_strict()).count();
    if (strict as f64) < STRICT * rows.len() as f64 {
        short.push(format!("{strict} of {} are right, not {} %", rows.len(), STRICT * 100.0));
    }
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows {
        let (missed, total) = groups.entry(&row.group).or_default();
        *missed += usize::from(!row.is_strict());
        *total += 1;
    }
    for (group, (missed, total)) in groups {
        let spare = if ONE_MISS.contains(&group) { 1 } else { (total / ONE_IN).max(1) };
        if missed > spare {
            short.push(format!("{group}: {missed} of {total} are missed, and {spare} may be"));
        }
    }
    let never: [Never; 6] = [
        ("could not be played", |row| row.broken),
        ("said what may never be said", |row| !row.never_violated.is_empty()),
        ("asked a time server too often", |row| !row.impolite.is_empty()),
        ("did not let an incident live on", |row| !row.unsteady.is_empty()),
        ("said something where all is well", |row| row.healthy && !row.silent),
        ("blamed a fault of this machine on others", |row| row.local_blamed),
    ];
    for (what, is_so) in never {
        let paths = rows.iter().filter(|row| is_so(row)).map(|row| format!("{}/{}", row.group, row.name));
        short.extend(paths.map(|path| format!("{path} {what}")));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a group, of which so many were missed.
    fn group(name: &str, total: usize, missed: usize) -> Vec<Row> {
        let row =
            |index| Row { group: name.to_owned(), name: "x".to_owned(), exact: index >= missed, ..Row::default() };
        (0..total).map(row).collect()
    }

    /// What falls short of these rows and of many that are right.
    fn of(rows: Vec<Row>) -> Vec<String> {
        falls_short(&[group("path", 500, 0), rows].concat())
    }

    #[test]
    fn one_miss_of_a_small_group_is_chance_and_two_are_not() {
        for name in ONE_MISS {
            assert_eq!((of(group(name, 6, 1)).len(), of(group(name, 6, 2)).len()), (0, 1), "{name}");
        }
        assert_eq!(of(group("pause", 3, 3)), ["pause: 3 of 3 are missed, and 1 may be"]);
        assert_eq!((of(group("flap", 12, 1)).len(), of(group("flap", 12, 2)).len()), (0, 1));
        assert_eq!((of(group("web", 58, 5)).len(), of(group("web", 58, 6)).len()), (0, 1));
    }

    #[test]
    fn every_group_may_miss_some_and_all_together_fewer() {
        let rows = ["web", "sql", "time"].map(|name| group(name, 40, 4)).concat();
        assert_eq!(falls_short(&rows), ["108 of 120 are right, not 97 %"]);
    }

    #[test]
    fn what_may_not_happen_once_falls_short_by_itself() {
        let right = Row { group: "web".to_owned(), name: "x".to_owned(), exact: true, ..Row::default() };
        let told = || vec!["told".to_owned()];
        for (row, words) in [
            (Row { broken: true, exact: false, ..right.clone() }, "web/x could not be played"),
            (Row { never_violated: told(), ..right.clone() }, "web/x said what may never be said"),
            (Row { impolite: told(), ..right.clone() }, "web/x asked a time server too often"),
            (Row { unsteady: told(), ..right.clone() }, "web/x did not let an incident live on"),
            (Row { healthy: true, ..right.clone() }, "web/x said something where all is well"),
            (Row { local_blamed: true, ..right.clone() }, "web/x blamed a fault of this machine on others"),
        ] {
            assert_eq!(of(vec![row]), [words]);
        }
        assert_eq!(of(vec![Row { healthy: true, silent: true, ..right.clone() }, right]), [""; 0]);
    }
}
