//! What the timeline draws and says of each span.

use std::sync::Arc;

use super::*;
use crate::{
    model::diagnosis::Closed,
    readers::page::{
        assets, course, landing,
        reading::{page, timeline, words},
    },
    sample::{self, AT},
    store::rows::OutcomeRow,
};

/// A remembered outcome of an endpoint of this class.
fn remembered(class: &'static str, result: &'static str, from: Duration, to: Duration) -> OutcomeRow {
    OutcomeRow {
        endpoint: format!("{class}:1").into(),
        class: class.into(),
        result: result.into(),
        cause: None,
        phase: None,
        began: from,
        ended: to,
        count: 1,
        took: Duration::from_secs(1),
    }
}

#[test]
fn a_minute_after_the_first_start_nobody_says_that_a_month_was_calm() {
    let (mut snapshot, mut course) = (sample::snapshot(), Course::default());
    snapshot.incidents.open.clear();
    snapshot.incidents.closed.clear();
    course.take(&snapshot);
    snapshot.at += Duration::from_secs(60);
    course.take(&snapshot);
    let month = timeline(&landing(&snapshot, &course), "d30");
    let text = words(&month);
    assert!(text.contains("No incident since 2027-01-15 08:00:00 UTC; what was before is not known."), "{text}");
    assert!(!text.contains("in the last"), "{text}");
    assert!(month.contains("<rect class=\"m-gap\" x=\"0\" y=\"1\" width=\"1000\""), "{month}");
}

#[test]
fn time_in_which_no_agent_ran_is_drawn_as_not_known() {
    let (mut snapshot, mut course) = (sample::snapshot(), Course::default());
    snapshot.incidents.open.clear();
    snapshot.incidents.closed.clear();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let mut outcomes = course::Recalled::default();
    let mut looked = |from: Duration, to: Duration| outcomes.take(remembered("sql", "healthy", from, to));
    looked(AT - hours(48), AT - hours(12));
    looked(AT - hours(6), AT - hours(1));
    course.recall(outcomes, Vec::new(), AT - hours(1));
    for minute in 0..=60 {
        snapshot.at = AT - hours(1) + Duration::from_secs(60) * minute;
        course.take(&snapshot);
    }
    let html = landing(&snapshot, &course);
    let day = timeline(&html, "d1");
    assert!(words(&day).starts_with("No incident in the last 24 h, as far as that is known."), "{day}");
    assert!(day.contains("<rect class=\"m-gap\" x=\"500\" y=\"1\" width=\"250\""), "{day}");
    assert_eq!(day.matches("m-gap").count(), 1, "{day}");
    let six = timeline(&html, "h6");
    assert!(words(&six).starts_with("No incident in the last 6 h.") && !six.contains("m-gap"), "{six}");
    assert!(words(&timeline(&html, "d7")).contains("No incident since 2027-01-13 08:00:00 UTC"), "{html}");
}

#[test]
fn a_class_of_which_not_all_answered_is_drawn_and_told_in_every_span() {
    let (mut course, hours) = (Course::default(), |hours: u64| Duration::from_secs(hours * 3600));
    let mut outcomes = course::Recalled::default();
    outcomes.take(remembered("sql", "healthy", AT - hours(48), AT - hours(6)));
    outcomes.take(remembered("sql", "failed", AT - hours(6), AT - hours(4)));
    outcomes.take(remembered("sql", "healthy", AT - hours(4), AT));
    outcomes.take(remembered("ntp", "healthy", AT - hours(48), AT));
    course.recall(outcomes, Vec::new(), AT);
    let html = landing(&sample::snapshot(), &course);
    let day = timeline(&html, "d1");
    assert!(day.contains("<th scope=\"row\">sql</th>") && !day.contains("<th scope=\"row\">ntp</th>"), "{day}");
    assert!(
        day.contains("most did not between 2027-01-15 02:00:00 UTC and 2027-01-15 04:00:00 UTC\""),
        "the picture in words: {day}"
    );
    let shapes = |class: &str| day.split(&format!("<path class=\"u-{class}\" d=\"")).nth(1).is_some();
    assert!(shapes("good") && shapes("bad") && !shapes("part"), "{day}");
    for (span, said) in
        [("h6", "sql in the last 6 h: "), ("d7", "sql in the last 7 d: "), ("d30", "sql in the last 30 d: ")]
    {
        assert!(timeline(&html, span).contains(said), "{span}: {html}");
    }
    let hour = timeline(&html, "h1");
    assert!(words(&hour).contains("Every class answered in the last 1 h, as far as that is known."), "{hour}");
    assert!(!hour.contains("class=\"lane\""), "{hour}");
    let history = html.split("<div id=\"past\"").nth(1).expect("the history is there");
    assert!(words(history).contains("all answered some did not most did not"), "a legend tells what is drawn");
}

#[test]
fn classes_that_flap_for_a_month_do_not_make_the_page_long() {
    let snapshot = sample::snapshot();
    let mut outcomes = course::Recalled::default();
    for view in &snapshot.classes {
        for span in bars::SPANS {
            let bar = span / 96;
            for number in (1..96).rev() {
                let result = if number % 2 == 0 { "healthy" } else { "failed" };
                outcomes.take(remembered(view.class.label(), result, AT - bar * number, AT - bar * (number - 1)));
            }
        }
    }
    let mut course = Course::default();
    course.recall(outcomes, Vec::new(), AT);
    let (calm, wild) = (page(&snapshot).len(), landing(&snapshot, &course).len());
    let drawn = snapshot.classes.len() * bars::SPANS.len();
    assert!(wild > calm && wild < calm + drawn * 96 * 32, "{calm} bytes grew to {wild}");
}

#[test]
fn an_open_incident_is_told_from_ended_ones_by_its_outline() {
    let mut snapshot = sample::snapshot();
    let incident = Arc::clone(&snapshot.incidents.open[0]);
    snapshot.incidents.closed.push(Arc::new(Closed { incident, ended: AT - Duration::from_secs(60) }));
    let html = page(&snapshot);
    let rule = |class: &str| {
        assets::STYLE.content.split(&format!(".{class} {{")).nth(1).and_then(|rest| rest.split('}').next())
    };
    assert!(rule("m-bad").is_some_and(|rule| rule.contains("stroke")), "open ones have an outline");
    assert!(rule("m-over").is_some_and(|rule| !rule.contains("stroke")), "ended ones have none");
    assert!(
        html.contains("class=\"m-bad\"") && words(&html).contains("open, critical loss open ended not known"),
        "{html}"
    );
}

/// The seconds that a tick says.
fn seconds(tick: &str) -> f64 {
    let (number, unit) = tick.trim_end_matches(" ago").split_once(' ').expect("a number and its unit");
    let whole = number.trim_end_matches(['½', '¼']);
    let part = match number.chars().last() {
        Some('½') => 0.5,
        Some('¼') => 0.25,
        _ => 0.0,
    };
    let unit = [("min", 60.0), ("h", 3600.0), ("d", 86_400.0)].into_iter().find(|(name, _)| *name == unit);
    (whole.parse::<f64>().expect("a number") + part) * unit.expect("a unit").1
}

#[test]
fn every_tick_says_the_quarter_at_which_it_stands() {
    for ((name, _, ticks), length) in SPANS.into_iter().zip(bars::SPANS) {
        let said = ticks.map(seconds);
        assert_eq!(said, [4.0, 3.0, 2.0, 1.0].map(|quarter| length.as_secs_f64() * quarter / 4.0), "{name}: {ticks:?}");
    }
}
