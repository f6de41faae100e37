//! The page of one incident while it is open, when it ended, and when only the store knows it.

use super::*;
use crate::{
    model::{contrast::Contrast, diagnosis::Closed, endpoint::OverUnseen},
    readers::page::{
        Course, When, course, incident, landing,
        reading::{page, words},
        remembered_incident,
    },
    sample::{self, AT},
    store::account::Account,
};

/// How the cause was told from others, and what else it could be.
fn assert_account(told: &str) {
    for said in
        ["What was asked and answered Rule R10 for 2 endpoints, observed", "What else it could be", "local_firewall"]
    {
        assert!(told.contains(said), "{said}: {told}");
    }
    let page = told.split(" Report ").next().unwrap_or_default();
    assert_eq!(page.matches(Contrast::OtherPortsWork.words(true)).count(), 1, "each stands once: {page}");
}

#[test]
fn an_incident_keeps_its_link_when_it_ended_and_when_only_the_store_knows_it() {
    let mut snapshot = sample::snapshot();
    snapshot.store.incidents = Arc::new([(3, "1799999000000-3".to_owned())].into());
    let key = "1799999000000-3";
    assert!(page(&snapshot).contains(&format!("href=\"./incident/{key}\"")));
    let open = snapshot.incidents.open.remove(0);
    snapshot.incidents.closed.push(Arc::new(Closed { incident: open, ended: AT - Duration::from_secs(60) }));
    let ended = words(&incident(&snapshot, &named(&snapshot, key).expect("it ended a minute ago"), None));
    assert!(
        ended.contains("ended 2027-01-15 07:59:00 UTC after 11 min") && ended.contains("What was to do"),
        "{ended}"
    );
    assert_account(&ended);
    let mut account = Account::of(&snapshot.incidents.closed[0].incident);
    account.note(AT - Duration::from_secs(700), "evidence: the control port answers".to_owned());
    snapshot.incidents.closed.clear();
    assert!(named(&snapshot, key).is_none());
    let row = IncidentRow {
        id: key.to_owned(),
        cause: "dropped".to_owned(),
        component: "TCP 1433 to every host".to_owned(),
        since: AT - Duration::from_secs(755),
        closed: Some(AT - Duration::from_secs(60)),
        account,
        ..IncidentRow::default()
    };
    let told = words(&remembered_incident(&snapshot, &row));
    assert!(told.contains("network team"), "{told}");
    assert_account(&told);
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
    assert!(at("the first visit that shows it") < at("the control port answers"), "in order of time: {told}");
    assert!(at("the control port answers") < at("it ended"), "{told}");
    let mut course = Course::default();
    course.recall(course::Recalled::default(), vec![row], snapshot.agent.started);
    assert!(landing(&snapshot, &course).contains(&format!("<a href=\"./incident/{key}\">TCP 1433 to every host</a>")));
}

#[test]
fn what_was_open_when_the_last_process_ended_is_not_said_to_be_over_before_everybody_was_asked() {
    let mut snapshot = sample::snapshot();
    snapshot.incidents.open.clear();
    let (s, started) = (Duration::from_secs, snapshot.agent.started);
    let mut row = IncidentRow {
        id: "1799990000000-1".to_owned(),
        cause: "dropped".to_owned(),
        component: "TCP 1433 to every host".to_owned(),
        since: started - s(7300),
        published: started - s(7290),
        ..IncidentRow::default()
    };
    // It was seen for two minutes, then no agent looked for two hours, and then all of it answered within seven seconds.
    let over = OverUnseen { last_seen: started - s(7180), by: started + s(7) };
    let mut course = Course::default();
    course.recall(course::Recalled::default(), vec![row.clone()], snapshot.agent.started);
    let unseen = "Open when the last process ended, not seen again yet: TCP 1433 to every host, dropped, began";
    for (ended, is_said) in [(None, true), (Some(over), false)] {
        snapshot.store.over_unseen = Arc::new(ended.map(|over| (row.id.clone(), over)).into_iter().collect());
        let html = landing(&snapshot, &course);
        let page = words(&html);
        assert_eq!(page.contains(unseen), is_said, "{page}");
        assert_eq!(page.contains("No incident is open The last one: TCP 1433"), !is_said, "{page}");
        assert_eq!(page.contains("UTC ? not seen again yet dropped"), is_said, "the list says so as well: {page}");
        assert_eq!(html.contains("open when the last process ended\"><title>"), is_said, "and the timeline: {html}");
        assert_eq!(page.contains("and lasted 2 min to 2 h"), !is_said, "nobody saw when it ended: {page}");
    }
    let own = words(&remembered_incident(&snapshot, &row));
    assert!(own.contains("? not seen again yet dropped") && !own.contains("degraded"), "{own}");
    assert!(own.contains("showed it) open when the last process ended, not seen again yet"), "{own}");
    assert!(
        own.contains("showed it; open when the last process ended, not seen again yet)"),
        "so does the copy: {own}"
    );
    (row.closed, row.account.last_seen) = (Some(over.by), Some(over.last_seen));
    let own = words(&remembered_incident(&snapshot, &row));
    let utc = |at| When::of(at).utc;
    let between = format!("between {} and {}, while no agent looked", utc(over.last_seen), utc(over.by));
    assert!(own.contains(&format!("ended {between}, after 2 min to 2 h")), "{own}");
    assert!(own.contains(&format!("Ended:** {between}")), "so does the copy: {own}");
    let at = |what: &str| own.find(what).unwrap_or_else(|| panic!("{what}: {own}"));
    assert!(at("it was last seen") < at("it was over: it had ended while no agent looked"), "{own}");
}

#[test]
fn the_course_says_what_it_was_named_at_first_and_since_when_it_is_as_it_is() {
    let s = Duration::from_secs;
    let mut row = IncidentRow { since: AT - s(1000), published: AT - s(990), ..IncidentRow::default() };
    let told = |row: &IncidentRow| words(&remembered_incident(&sample::snapshot(), row));
    let present = "UTC its present cause, confidence and scope stand since then";
    assert!(told(&row).contains(present), "an earlier version noted no name");
    row.account.note(AT - s(990), "it was named: dropped, possible".to_owned());
    let named = told(&row);
    assert!(named.contains("07:43:30 UTC it was named: dropped, possible") && !named.contains(present), "{named}");
    row.published = AT - s(900);
    let surer = told(&row);
    assert!(surer.contains("07:43:30 UTC it was named: dropped, possible"), "{surer}");
    assert!(surer.contains(&format!("07:45:00 {present}")), "{surer}");
}

#[test]
fn endpoints_that_were_hit_one_after_the_other_are_one_line_of_the_course() {
    let s = Duration::from_secs;
    let mut row = IncidentRow { since: AT - s(1000), published: AT - s(990), ..IncidentRow::default() };
    for second in 0..30 {
        row.account.note(AT - s(900 - second), format!("it hit host-{second}:443, too"));
    }
    row.account.note(AT - s(860), "it hit a:1 and 3 more, too".to_owned());
    row.account.note(AT - s(850), "evidence: the control port answers".to_owned());
    row.account.note(AT - s(840), "it hit late:443, too".to_owned());
    let told = words(&remembered_incident(&sample::snapshot(), &row));
    let course = told.split(" Course ").nth(1).and_then(|rest| rest.split(" Evidence ").next()).expect("a course");
    assert_eq!(course.matches("it hit").count(), 2, "{course}");
    assert!(course.contains("07:45:00 UTC to 2027-01-15 07:45:40 UTC it hit host-0:443 and 33 more, too"), "{course}");
    assert!(course.contains("07:46:00 UTC it hit late:443, too"), "{course}");
}
