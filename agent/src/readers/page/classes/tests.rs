//! How the classes stand, in the table and on the wall.

use std::time::Duration;

use super::*;
use crate::{
    model::{endpoint::Status, visit::Untested},
    readers::page::{
        landing,
        reading::{page, words},
    },
    sample,
};

#[test]
fn a_class_that_is_unknown_says_why_beside_bars_that_are_good() {
    let mut snapshot = sample::snapshot();
    sample::set_all(&mut snapshot, Status::Healthy);
    let mut course = Course::default();
    for _ in 0..100 {
        course.take(&snapshot);
        snapshot.at += Duration::from_secs(1);
    }
    sample::set_all(&mut snapshot, Status::Unknown(Untested::BudgetSpent));
    let html = landing(&snapshot, &course);
    let row = html.split("<th scope=\"row\">ntp</th>").nth(1).and_then(|rest| rest.split("</tr>").next());
    let row = row.expect("the sample has time servers");
    assert!(row.contains("class=\"u-good\""), "{row}");
    let said = words(row);
    assert!(said.contains("? unknown 2 could not be judged: the budget of new flows"), "{said}");
    assert!(
        said.ends_with("not judged now 100 % before not known"),
        "neither its past nor its risk reads as fine now: {said}"
    );
}

#[test]
fn a_wall_has_the_risk_and_every_class_in_a_line() {
    let mut snapshot = sample::snapshot();
    let wall = |snapshot: &Snapshot| {
        let html = page(snapshot);
        let line = html.split("<p id=\"wall\"").nth(1).and_then(|rest| rest.split_once('>')?.1.split("</p>").next());
        words(line.expect("a line"))
    };
    let said = wall(&snapshot);
    assert!(said.starts_with("Estimated risk of suspension "), "{said}");
    for class in snapshot.classes.iter().filter(|class| class.endpoints > 0) {
        let label = class.class.label();
        let is_there = |sign: &&str| said.contains(&format!("{sign} {label}"));
        assert!(["✓", "▲", "✕", "?"].iter().any(is_there), "{label}: {said}");
    }
    sample::set_all(&mut snapshot, Status::Unknown(Untested::NotYet));
    snapshot.risk.as_mut().expect("it is configured").total = 0.0;
    let dark = wall(&snapshot);
    assert!(dark.starts_with("Estimated risk of suspension ? ") && !dark.contains("0 %"), "as in the tile: {dark}");
    snapshot.risk.as_mut().expect("it is configured").to_horizon = Some(Duration::ZERO);
    assert!(wall(&snapshot).contains("past the assumed horizon"), "{}", wall(&snapshot));
}
