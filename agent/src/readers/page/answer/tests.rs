//! What the top of the first page says, and what is said of the estimated risk.

use std::{collections::BTreeMap, sync::Arc};

use ase_probes::class::Class;

use super::*;
use crate::{
    model::{assumptions::Assumptions, diagnosis::Episodes, endpoint::Status, visit::Untested},
    readers::page::{
        incidents,
        reading::{page, words},
    },
    risk::estimate::{Loss, Risk},
    sample,
};

#[test]
fn the_first_sentence_is_that_of_check() {
    let snapshot = sample::snapshot();
    let first = report::render(&snapshot, None, report::Look::default()).lines().next().expect("a line").to_owned();
    let page = page(&snapshot);
    let between = |start: &str, end: &str| {
        let said = page.split(start).nth(1).and_then(|rest| rest.split(end).next());
        words(said.unwrap_or_else(|| panic!("{start}: {page}")))
    };
    let (heading, counts) = (between("<h1>", "</h1>"), between("<p class=\"worst\">", "</p>"));
    assert!(heading.ends_with(char::is_alphanumeric), "a heading ends with its words: {heading}");
    assert!(heading.contains(", since 2027-01-15 07:47:25 UTC; the network team mends it"), "{heading}");
    assert!(page.contains("since <time datetime=\"2027-01-15T07:47:25Z\""), "the script says it in the reader's zone");
    let timeless = heading.replace(", since 2027-01-15 07:47:25 UTC", "");
    assert_eq!(format!("{counts}; {timeless}"), first, "but for the time, which one look cannot tell");
    let title = "✕ TCP 1433 to every host: packets vanish without any answer (dropped, likely), since 07:47 UTC; \
                 the network team mends it";
    assert!(page.contains(&format!("<title>{title}</title>")), "{page}");
    assert_eq!(crate::readers::page::title(&snapshot), title);
}

#[test]
fn the_first_sentence_is_about_the_worst_incident_and_the_others_are_counted_below() {
    let mut snapshot = sample::snapshot();
    let mut other = (*snapshot.incidents.open[0]).clone();
    (other.id, other.component, other.endpoints) = (4, "a printer".to_owned(), Vec::new());
    snapshot.incidents.open.insert(0, Arc::new(other));
    let page = page(&snapshot);
    assert!(page.contains("<h1>TCP 1433 to every host: "), "{page}");
    assert!(page.contains("lost something critical: sql; <a href=\"#incidents\">1 more incident</a></p>"), "{page}");
    snapshot.incidents.open.clear();
    assert!(
        crate::readers::page::title(&snapshot).ends_with(&Summary::of(&snapshot).sentence()),
        "without an incident as ever"
    );
}

#[test]
fn all_well_is_calm() {
    let mut snapshot = sample::snapshot();
    sample::set_all(&mut snapshot, Status::Healthy);
    snapshot.incidents.open.clear();
    let page = page(&snapshot);
    assert!(page.contains("class=\"answer good\"") && page.contains("No incident is open"), "{page}");
}

/// The top of the page beside a sample whose endpoints are all well.
fn top(change: impl FnOnce(&mut Snapshot)) -> (String, String) {
    let mut snapshot = sample::snapshot();
    sample::set_all(&mut snapshot, Status::Healthy);
    snapshot.incidents.open.clear();
    change(&mut snapshot);
    let page = page(&snapshot);
    let top = page.split("id=\"answer\"").nth(1).and_then(|rest| rest.split("</div>").next()).expect("an answer");
    (
        page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default().to_owned(),
        words(top),
    )
}

fn suspend(snapshot: &mut Snapshot) {
    let environment = Arc::make_mut(snapshot.environment.as_mut().expect("the sample has an environment"));
    environment.environment.suspended = Some(true);
}

#[test]
fn nothing_is_called_in_order_beside_an_open_incident_or_a_suspended_environment() {
    assert!(top(|_| {}).1.contains("in order"), "calm is possible");
    let open = sample::snapshot().incidents.open[0].clone();
    let quiet = |snapshot: &mut Snapshot| {
        let episodes = Episodes { is_quiet: true, ..Default::default() };
        snapshot.incidents.episodes.insert(open.id, episodes);
        snapshot.incidents.open.push(Arc::clone(&open));
    };
    let (title, said) = top(quiet);
    assert!(
        title.starts_with("▲ TCP 1433 to every host")
            && said.contains("TCP 1433 to every host is not lost at the moment"),
        "{said}"
    );
    assert!(said.contains("12 endpoints prove their peer at the moment"), "{said}");
    assert!(!said.contains("in order") && !said.contains("watched and well"), "{said}");
    let (title, said) = top(suspend);
    assert_eq!(
        title,
        "✕ ase-1 is suspended, says the management API, though 12 endpoints prove their peer at the moment"
    );
    assert!(said.contains("✕ suspended ase-1 is suspended, ") && !said.contains("in order"), "{said}");
    let (title, said) = top(|snapshot| {
        quiet(snapshot);
        suspend(snapshot);
    });
    assert!(title.starts_with("✕ TCP 1433") && said.contains("ase-1 is suspended, says the management API"), "{said}");
}

#[test]
fn early_warnings_and_a_refused_reload_stand_beside_the_counts() {
    let (_, said) = top(|snapshot| snapshot.agent.reload_ok = false);
    assert!(said.contains("▲ early warnings ✕ agent: reload refused seen from"), "{said}");
    assert!(!top(|_| {}).1.contains("refused"), "only where one was");
}

/// The tile beside a sample whose SQL is lost whole for so long, as its clock counts it.
fn tile(lost: f64, elapsed: Duration, has_failures: bool) -> String {
    let mut snapshot = sample::snapshot();
    if !has_failures {
        sample::set_all(&mut snapshot, Status::Healthy);
    }
    let mut clocks = Risk::new(Assumptions::default(), Class::ALL);
    clocks.step(1, &BTreeMap::from([(Class::Sql, Loss::Known(lost))]), elapsed);
    snapshot.risk = Some(clocks.estimate());
    risk(&snapshot, &Course::default()).into_string()
}

#[test]
fn beside_a_fresh_loss_the_figure_looks_like_no_all_clear() {
    for (lost, elapsed) in [(1.0, 0), (1.0, 60), (0.0, 60)] {
        let fresh = tile(lost, Duration::from_secs(elapsed), true);
        assert!(fresh.contains("<p class=\"figure part\">") && fresh.contains("<span>so far</span>"), "{fresh}");
        assert!(!fresh.contains(">none<") && !fresh.contains("good") && !fresh.contains("steady"), "{fresh}");
        assert_eq!(fresh.contains("↗</span> rising; the horizon in"), lost > 0.0, "{fresh}");
        assert!(lost > 0.0 || !fresh.contains("steady"), "what does not count yet is no calm: {fresh}");
    }
    let calm = tile(0.0, Duration::from_secs(60), false);
    assert!(calm.contains("<p class=\"figure good\">") && calm.contains("<span>none</span>"), "{calm}");
    let late = tile(1.0, Duration::from_secs(9000), true);
    assert!(late.contains("<p class=\"figure bad\">") && late.contains("<span>level: page</span>"), "{late}");
}

#[test]
fn the_trend_is_said_when_enough_is_known_and_the_line_says_its_time_and_height() {
    let (mut course, mut snapshot) = (Course::default(), sample::snapshot());
    sample::set_all(&mut snapshot, Status::Healthy);
    snapshot.risk = Some(Risk::new(Assumptions::default(), Class::ALL).estimate());
    let mut after = |minutes: u32| {
        while snapshot.at < sample::AT + RISK_EVERY * minutes {
            snapshot.at += RISK_EVERY;
            course.take(&snapshot);
        }
        risk(&snapshot, &course).into_string()
    };
    let young = after(3);
    assert!(!young.contains("steady") && !young.contains("rising") && !young.contains("<path"), "{young}");
    let known = after(21);
    assert!(known.contains("→</span> steady"), "a quarter of an hour is known: {known}");
    assert!(known.contains("the last 4 h 0 min, of which 20 min are known; the upper edge is 10.0 %</p>"), "{known}");
    assert!(known.contains("<path d=\"M110.0 23.0L"), "20 minutes of four hours are narrow: {known}");
    assert!(after(300).contains("the last 4 h 0 min; the upper edge is 10.0 %</p>"), "all of it is known");
}

#[test]
fn where_nothing_can_be_tested_the_figure_neither_looks_nor_reads_as_an_all_clear() {
    let mut snapshot = sample::snapshot();
    snapshot.risk = Some(Risk::new(Assumptions::default(), Class::ALL).estimate());
    sample::set_all(&mut snapshot, Status::Unknown(Untested::NotYet));
    let dark = risk(&snapshot, &Course::default()).into_string();
    assert!(dark.contains("<p class=\"figure none\"><b>?</b> <span>not known</span>"), "{dark}");
    for fine in ["0 %", "good", "steady", "<span>none</span>"] {
        assert!(!dark.contains(fine), "{fine}: {dark}");
    }
    assert!(dark.contains("Nothing is tested"), "{dark}");
    sample::set_all(&mut snapshot, Status::Healthy);
    let class = &mut snapshot.classes[0];
    (class.up, class.failed, class.unknown) = (0, 0, class.endpoints);
    let part = risk(&snapshot, &Course::default()).into_string();
    assert!(part.contains("<p class=\"figure none\">") && part.contains("<span>so far</span>"), "{part}");
    assert!(part.contains("It says nothing of dns: nothing there can be tested."), "{part}");
    snapshot.endpoints.clear();
    assert!(!risk(&snapshot, &Course::default()).into_string().contains("good"), "nothing is watched");
}

#[test]
fn an_open_incident_is_neither_in_order_nor_unknown_to_the_answer() {
    let mut snapshot = sample::snapshot();
    for (status, word) in
        [(Status::Healthy, "quiet at the moment"), (Status::Unknown(Untested::NotYet), "endpoints not judged")]
    {
        sample::set_all(&mut snapshot, status);
        let open = answer(&snapshot).into_string();
        assert!(open.starts_with("<div class=\"answer part\""), "{open}");
        assert!(title(&snapshot).starts_with(PART.sign), "{}", title(&snapshot));
        let card = incidents::cards(&snapshot, &Course::default()).into_string();
        assert!(card.contains("<article class=\"card part\"") && card.contains(word), "{card}");
    }
}

/// What is said of SQL lost whole for so long.
fn said(lost: f64, elapsed: Duration, has_failures: bool) -> Option<String> {
    let mut risk = Risk::new(Assumptions::default(), Class::ALL);
    risk.step(1, &BTreeMap::from([(Class::Sql, Loss::Known(lost))]), elapsed);
    counts(&sample::snapshot(), &risk.estimate(), has_failures)
}

/// The sample, whose failures have been seen so often.
fn failed_so_often(often: u64) -> Snapshot {
    let mut snapshot = sample::snapshot();
    for view in &mut snapshot.endpoints {
        let view = std::sync::Arc::make_mut(view);
        (view.attempts, view.reach) = (10 + often, 0xff_u8.wrapping_shl(often as u32));
    }
    snapshot.risk = Some(Risk::new(Assumptions::default(), Class::ALL).estimate());
    snapshot
}

#[test]
fn a_loss_that_does_not_count_yet_is_no_figure_and_it_is_said_when_it_counts() {
    let tile = |often| risk(&failed_so_often(often), &Course::default()).into_string();
    // A failure and its confirmation are one sample, and two more make three.
    let fresh = tile(2);
    assert!(fresh.contains("<b>?</b> <span>too early to say</span>") && !fresh.contains("0 %"), "{fresh}");
    assert!(fresh.contains("from the third bad sample in a row on, here within 1 min,"), "{fresh}");
    let borne = tile(4);
    assert!(borne.contains("<b>0 %</b> <span>so far</span>") && borne.contains(BORNE), "{borne}");
}

#[test]
fn beside_a_fresh_loss_the_figure_says_what_it_counts_from_and_when_it_rises() {
    let fresh = said(1.0, Duration::from_secs(60), true).expect("something is lost");
    assert!(
        fresh.starts_with("It counts from when the loss was confirmed: sql for 1 min; 5.0 % (info) in "),
        "{fresh}"
    );
    let late = said(1.0, Duration::from_secs(9000), true).expect("something is lost");
    assert!(late.contains("sql for 2 h 30 min; 80.0 % (critical) in "), "{late}");
    assert_eq!(said(0.0, Duration::from_secs(60), true).as_deref(), Some(BORNE), "it failed often enough");
    assert_eq!(said(0.0, Duration::from_secs(60), false), None, "where nothing is lost, nothing needs to be said");
}
