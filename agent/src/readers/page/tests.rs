//! What the pages say of the sample, and that nothing anybody says becomes markup.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ase_probes::cause::Cause;

use super::*;
use crate::{
    model::{
        catalog::{EndpointId, Severity},
        contrast::Contrast,
        diagnosis::{Alternative, Closed, Diagnosis, Origin, Scope},
        endpoint::{EndpointView, Status},
        visit::Untested,
    },
    readers::{report, summary::Summary},
    resolvers::compare::ComparisonClass,
    sample::{self, AT},
    store::{
        account::{self, Account},
        rows::IncidentRow,
    },
};

fn page(snapshot: &Snapshot) -> String {
    let mut course = Course::default();
    course.take(snapshot);
    landing(snapshot, &course)
}

/// Elements that stand within a line of text.
const INLINE: [&str; 10] = ["span", "/span", "time", "/time", "a", "/a", "b", "/b", "code", "/code"];

/// The text of a page as a reader of its markup hears it.
fn words(html: &str) -> String {
    let mut text = String::new();
    for (number, piece) in html.split('<').enumerate() {
        let (tag, said) = if number == 0 { ("", piece) } else { piece.split_once('>').unwrap_or_default() };
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        if !INLINE.contains(&name) {
            text.push(' ');
        }
        text.push_str(said);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

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
    assert_eq!(super::title(&snapshot), title);
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
    assert!(super::title(&snapshot).ends_with(&Summary::of(&snapshot).sentence()), "without an incident as ever");
}

#[test]
fn an_open_incident_says_what_since_when_why_who_and_what_next() {
    let page = words(&page(&sample::snapshot()));
    for said in [
        "Open incidents 1",
        "TCP 1433 to every host",
        "since 2027-01-15 07:47:25 UTC (the first visit that showed it), for 12 min · likely · on the path",
        "Who network team",
        "203.0.113.40:1433: connect phase: no answer before the deadline",
        "Or local_firewall, if",
        "Hits 2",
        "### TCP 1433 to every host",
    ] {
        assert!(page.contains(said), "{said:?} is missing: {page}");
    }
}

#[test]
fn everything_else_stands_below() {
    let page = words(&page(&sample::snapshot()));
    for said in [
        "Estimated risk of suspension",
        "An estimate, no measurement",
        "Early warnings",
        "round trips rose and stay high",
        "smarteventlogs.blob.core.windows.net:443 for *.blob.core.windows.net",
        "1 not configured",
        "db.database.windows.net ✕ private_bypass",
        "blocked.in-management",
        "Catalogue ase-v2, cloud public, edition 2026-01-01",
        "ASE v1 and v2 retired on 2024-08-31",
        "apps in ASE v3 (ase-v3), apps with VNet integration (vnet-integration), API Management (apim-classic)",
        "ase-1: status Ready, not suspended",
        "took up the clocks of an earlier process",
    ] {
        assert!(page.contains(said), "{said:?} is missing: {page}");
    }
}

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
fn names_that_were_not_compared_are_counted_in_a_sentence() {
    let mut snapshot = sample::snapshot();
    let mut one = (*snapshot.names[0]).clone();
    one.published = None;
    let asked = Arc::new(one.clone());
    one.last = None;
    let one = Arc::new(one);
    snapshot.names = Arc::new(Vec::new());
    assert!(words(&page(&snapshot)).contains("No name is compared."), "none is to be");
    for (names, said) in [
        (1, "The one name was not compared yet."),
        (9, "None of the 9 names was compared yet; ase-agent nameresolver --compare does it at once."),
    ] {
        snapshot.names = Arc::new(vec![Arc::clone(&one); names]);
        let page = words(&page(&snapshot));
        assert!(page.contains(said), "{said}: {page}");
    }
    snapshot.names = Arc::new(vec![asked, one]);
    assert!(words(&page(&snapshot)).contains("1 of 2 names were asked on both sides once"));
}

#[test]
fn addresses_of_another_round_than_their_meaning_are_said_to_be() {
    let mut snapshot = sample::snapshot();
    let of_last = "The addresses are those of the last round, which alone is ";
    assert!(!words(&page(&snapshot)).contains(of_last));
    let names = Arc::make_mut(&mut snapshot.names);
    let name = names.iter_mut().find(|name| name.published.is_some()).expect("one is compared");
    let survey = Arc::make_mut(Arc::make_mut(name).last.as_mut().expect("it was asked"));
    survey.comparison.class = ComparisonClass::Identical;
    let label = ComparisonClass::Identical.label();
    assert!(words(&page(&snapshot)).contains(&format!("{of_last}{label}. Azure DNS leads to")), "{label}");
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
        let episodes = crate::model::diagnosis::Episodes { is_quiet: true, ..Default::default() };
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

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'</title></textarea>\u{202e}\u{1b}[31m";

/// A snapshot in which everybody who can say something says this.
fn hostile() -> Snapshot {
    let said = format!("{HOSTILE}{}", "x".repeat(10_000));
    let mut snapshot = sample::snapshot();
    snapshot.agent.vantage.clone_from(&said);
    snapshot.agent.origin.clone_from(&said);
    snapshot.agent.warnings = vec![said.clone()];
    let catalog = Arc::make_mut(&mut snapshot.catalog);
    (catalog.profile, catalog.edition) = (said.clone(), said.clone());
    (catalog.slots[0].name, catalog.slots[0].hint) = (said.clone(), said.clone());
    let view = Arc::make_mut(&mut snapshot.endpoints[5]);
    let endpoint = Arc::make_mut(&mut view.endpoint);
    endpoint.id = EndpointId(said.as_str().into());
    (endpoint.about.documented_as, endpoint.about.note) = (Some(said.clone()), Some(said.clone()));
    Arc::make_mut(view.last.as_mut().expect("it was visited")).remarks = vec![said.clone()];
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    (incident.component, incident.evidence) = (said.clone(), vec![said.clone(); 3]);
    incident.endpoints.push(EndpointId(said.as_str().into()));
    let name = Arc::make_mut(&mut Arc::make_mut(&mut snapshot.names)[0]);
    name.name = said.as_str().into();
    name.published.as_mut().expect("the sample's name is compared").reason.clone_from(&said);
    snapshot.exports.as_mut().expect("the sample has exports").reading.wrong = vec![said];
    snapshot
}

fn assert_harmless(page: &str) {
    let tags: Vec<&str> = page.split('<').skip(1).collect();
    assert_eq!(tags.iter().filter(|tag| tag.starts_with("script")).count(), 1, "the page's own script alone");
    assert!(!tags.iter().any(|tag| tag.starts_with("img") || tag.starts_with("/textarea")), "an image came in");
    assert_eq!(tags.iter().filter(|tag| tag.starts_with("/title")).count(), page.matches("<title>").count());
    assert!(!page.contains(['\u{202e}', '\u{1b}']), "the direction of writing is turned");
    // What stands between quotes is a value; everything else of a tag is the template's.
    let outside = |tag: &str| tag.split('>').next().unwrap_or_default().split('"').step_by(2).collect::<String>();
    assert!(!tags.iter().map(|tag| outside(tag)).any(|tag| tag.contains("onerror")), "an attribute was broken out of");
}

fn hostile_account() -> Account {
    let mut account = Account::default();
    let (cause, settled_by) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    account.others.push(account::Other { cause, settled_by });
    account.note(AT, HOSTILE.to_owned());
    account
}

#[test]
fn nothing_that_anybody_says_becomes_markup() {
    let snapshot = hostile();
    let course = Course::default();
    let first = landing(&snapshot, &course);
    assert_harmless(&first);
    assert!(first.contains("&#60;script&#62;alert(1)") && first.contains("\\u{202e}"), "{first}");
    let id = snapshot.endpoints[5].endpoint.id.clone();
    let page = endpoint(&snapshot, &course, &id.0, &course::Recalled::default()).expect("it is watched");
    assert_harmless(&page);
    let open = named(&snapshot, "3").expect("it is open");
    assert_harmless(&incident(&snapshot, &open, None));
    let row = IncidentRow {
        component: HOSTILE.to_owned(),
        cause: HOSTILE.to_owned(),
        evidence: vec![HOSTILE.to_owned()],
        account: hostile_account(),
        ..IncidentRow::default()
    };
    assert_harmless(&remembered_incident(&snapshot, &row));
    assert_harmless(&missing(&snapshot, "endpoint", HOSTILE));
}

#[test]
fn what_is_long_does_not_make_the_page_long() {
    let (usual, hostile) = (page(&sample::snapshot()).len(), page(&hostile()).len());
    assert!(hostile < usual + 150_000, "{usual} bytes grew to {hostile}");
}

/// Every part by its id.
fn parts(snapshot: &Snapshot) -> BTreeMap<String, (Mark, Html)> {
    let mut parts = BTreeMap::new();
    each_part(snapshot, &Course::default(), |id, mark, html| {
        assert!(parts.insert(id.clone(), (mark, html)).is_none(), "{id} comes once");
    });
    parts
}

#[test]
fn a_page_of_many_endpoints_is_written_into_the_room_that_it_takes() {
    for endpoints in [1, 100, 2000] {
        let snapshot = sample::large(endpoints);
        let mut course = Course::default();
        course.take(&snapshot);
        let page = landing(&snapshot, &course);
        let room = ROOM + snapshot.endpoints.len() * ROW;
        assert_eq!(page.capacity(), room, "{} bytes for {endpoints} endpoints: it grew", page.len());
    }
}

#[test]
fn every_id_stands_once_and_every_part_is_on_the_page() {
    let snapshot = sample::snapshot();
    let (page, parts) = (page(&snapshot), parts(&snapshot));
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    for (id, (_, html)) in &parts {
        assert!(ids.contains(&id.as_str()), "{id} is not on the page");
        let html = html.as_str();
        assert!(html.contains("data-live") && html.contains(&format!("id=\"{id}\"")), "{html}");
    }
}

#[test]
fn only_the_parts_that_changed_get_another_mark() {
    let (before, mut snapshot) = (sample::snapshot(), sample::snapshot());
    Arc::make_mut(&mut snapshot.endpoints[5]).since = AT;
    let marks = |snapshot| parts(snapshot).into_iter().map(|(id, (mark, _))| (id, mark)).collect::<BTreeMap<_, _>>();
    let (old, new) = (marks(&before), marks(&snapshot));
    let changed: Vec<_> =
        new.iter().filter(|(id, mark)| old.get(*id) != Some(mark)).map(|(id, _)| id.clone()).collect();
    let id = text::anchor('e', "login.microsoftonline.com:443");
    assert_eq!(changed, std::slice::from_ref(&id));
    assert_ne!(old[&id].standing, new[&id].standing, "since when it stands so is no mere visit");
    assert_eq!(layout(&before), layout(&snapshot));
    sample::set_all(&mut snapshot, Status::Healthy);
    assert_ne!(layout(&before), layout(&snapshot), "the worst stand first, so that the order is another");
}

#[test]
fn a_groups_heading_is_told_when_its_first_endpoint_fails_and_no_row_moves() {
    let mut snapshot = sample::snapshot();
    let failed = snapshot.endpoints.iter().map(|view| view.status).find(|status| matches!(status, Status::Failed(_)));
    sample::set_all(&mut snapshot, Status::Healthy);
    let (layout_before, before) = (layout(&snapshot), parts(&snapshot));
    let group = endpoints::grouped(&snapshot).into_values().next().expect("the sample has endpoints");
    let first = group[0].endpoint.id.clone();
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id == first).expect("it is watched");
    Arc::make_mut(view).status = failed.expect("one of the sample failed");
    assert_eq!(layout(&snapshot), layout_before, "it stood first already");
    let parts = parts(&snapshot);
    let told = parts.iter().filter(|(id, (mark, _))| before[*id].0 != *mark);
    let html: Vec<&str> = told.map(|(_, (_, html))| html.as_str()).collect();
    assert!(html.iter().any(|part| words(part).ends_with(", 1 not healthy")), "{html:?}");
}

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
    let row = IncidentRow {
        id: "1799990000000-1".to_owned(),
        cause: "dropped".to_owned(),
        component: "TCP 1433 to every host".to_owned(),
        since: snapshot.agent.started - Duration::from_secs(755),
        ..IncidentRow::default()
    };
    let mut course = Course::default();
    course.recall(course::Recalled::default(), vec![row.clone()], snapshot.agent.started);
    let unseen = "Open when the last process ended, not seen again yet: TCP 1433 to every host, dropped, began";
    for (ready, is_said) in [(false, true), (true, false)] {
        snapshot.agent.ready = ready;
        let html = landing(&snapshot, &course);
        let page = words(&html);
        assert_eq!(page.contains(unseen), is_said, "{page}");
        assert_eq!(page.contains("No incident is open The last one: TCP 1433"), !is_said, "{page}");
        assert_eq!(page.contains("UTC ? not seen again yet dropped"), is_said, "the list says so as well: {page}");
        assert_eq!(html.contains("open when the last process ended\"><title>"), is_said, "and the timeline: {html}");
    }
    let own = words(&remembered_incident(&snapshot, &row));
    assert!(own.contains("? not seen again yet dropped") && !own.contains("degraded"), "{own}");
    assert!(own.contains("showed it) open when the last process ended, not seen again yet"), "{own}");
    assert!(
        own.contains("showed it; open when the last process ended, not seen again yet)"),
        "so does the copy: {own}"
    );
}

#[test]
fn the_endpoints_that_are_named_are_the_worst_ones() {
    let mut snapshot = sample::snapshot();
    let ids: Vec<EndpointId> = snapshot.endpoints.iter().map(|view| view.endpoint.id.clone()).collect();
    let last = ids.last().expect("the sample has endpoints").clone();
    for view in &mut snapshot.endpoints {
        let view = Arc::make_mut(view);
        let severity = if view.endpoint.id == last { Severity::Critical } else { Severity::Warning };
        Arc::make_mut(&mut view.endpoint).severity = severity;
    }
    Arc::make_mut(&mut snapshot.incidents.open[0]).endpoints = ids.clone();
    let html = page(&snapshot);
    let card = words(html.split("<article").nth(1).and_then(|rest| rest.split("</article>").next()).expect("a card"));
    let expected = format!("Hits {} {last} ", ids.len());
    assert!(card.contains(&expected), "{expected}: {card}");
    assert!(card.contains(&format!("- **Hits:** {last}, ")), "so does the copy: {card}");
    let row = IncidentRow { endpoints: ids.iter().map(ToString::to_string).collect(), ..IncidentRow::default() };
    let told = words(&remembered_incident(&snapshot, &row));
    assert!(told.contains(&format!("Endpoints {} {last} ", ids.len())), "and what the store remembers: {told}");
}

#[test]
fn of_several_cards_the_first_shows_its_commands_and_no_other_cause_does() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let mut other = (*snapshot.incidents.open[0]).clone();
    (other.id, other.component) = (4, "a printer".to_owned());
    other.endpoints.truncate(1);
    snapshot.incidents.open.push(Arc::new(other));
    let page = page(&snapshot);
    let cards: Vec<&str> = page.split("<article").skip(1).collect();
    let shown = |card: &str| {
        let typed =
            card.split("<details id=\"").skip(1).filter(|rest| rest.contains("<summary>What to type</summary>"));
        typed.map(|rest| rest.split('>').next().is_some_and(|tag| tag.ends_with(" open"))).collect::<Vec<_>>()
    };
    assert_eq!(cards.iter().map(|card| shown(card)).collect::<Vec<_>>(), [vec![true, false], vec![false, false]]);
    let outside = |card: &str| {
        let folded = card.split("<details").skip(1).filter_map(|rest| rest.split("</details>").next());
        card.matches("<pre").count() - folded.map(|part| part.matches("<pre").count()).sum::<usize>()
    };
    assert!(cards.iter().all(|card| outside(card) == 0), "every command is folded with its likes: {page}");
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
fn endpoints_of_an_incident_that_count_as_healthy_are_said_to_be_not_confirmed_yet() {
    let mut snapshot = sample::snapshot();
    assert!(!words(&page(&snapshot)).contains("not confirmed"), "all of the sample are");
    let id = snapshot.incidents.open[0].endpoints[1].clone();
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id == id).expect("it is watched");
    Arc::make_mut(view).status = Status::Healthy;
    let said = "Hits 2, of which 1 is not confirmed yet";
    assert!(words(&page(&snapshot)).contains(said));
    assert!(words(&incident_of(&snapshot)).contains("Endpoints 2, of which 1 is not confirmed yet"));
    let own = |snapshot: &Snapshot| {
        endpoint(snapshot, &Course::default(), &id.0, &course::Recalled::default()).expect("it is watched")
    };
    assert!(words(&own(&snapshot)).contains("; its last visit was bad, which is not confirmed yet"));
    sample::set_all(&mut snapshot, Status::Healthy);
    for view in &mut snapshot.endpoints {
        let visit = Arc::make_mut(view).last.as_mut().map(Arc::make_mut);
        visit.into_iter().for_each(|visit| visit.result = Ok(ase_probes::verdict::Verdict::Healthy));
    }
    assert!(!words(&page(&snapshot)).contains("not confirmed"), "who answers again needs no confirmation");
}

#[test]
fn the_phase_of_one_is_not_said_of_everything_outside() {
    let mut snapshot = sample::snapshot();
    assert!(words(&incident_of(&snapshot)).contains("likely on the path in phase connect Copy as Markdown What to do"));
    Arc::make_mut(&mut snapshot.incidents.open[0]).scope = Scope::Egress;
    let told = words(&incident_of(&snapshot));
    assert!(told.contains("likely on the path Copy as Markdown What to do"), "{told}");
    let row = |side: &str| IncidentRow { side: side.to_owned(), phase: "ntp".to_owned(), ..IncidentRow::default() };
    let told = |side| words(&remembered_incident(&snapshot, &row(side)));
    assert!(told("local").contains("on this machine") && !told("local").contains("phase ntp"));
    assert!(told("of a later version").contains("where is not known"));
}

#[test]
fn what_says_nothing_is_left_out() {
    let mut snapshot = sample::snapshot();
    let view = Arc::make_mut(&mut snapshot.endpoints[5]);
    let endpoint = Arc::make_mut(&mut view.endpoint);
    endpoint.about.documented_as = Some("*".to_owned());
    let id = endpoint.id.0.to_string();
    assert!(!words(&page(&snapshot)).contains(" for * "), "nobody stands for everything");
    let alone =
        super::endpoint(&snapshot, &Course::default(), &id, &course::Recalled::default()).expect("it is watched");
    assert!(!words(&alone).contains("Stands for"), "{alone}");
    let (place, finding) = (0..snapshot.endpoints.len())
        .find_map(|place| Some((place, snapshot.endpoints[place].status.finding()?)))
        .expect("one of the sample failed");
    let ill = snapshot.endpoints[place].endpoint.id.0.to_string();
    for (hint, said) in [(Some("a route to nowhere"), "Hint a route to nowhere"), (None, "Next ")] {
        Arc::make_mut(&mut snapshot.endpoints[place]).diagnosis = Some(Arc::new(Diagnosis {
            finding,
            rule: "R10",
            origin: Origin::Observed,
            scope: Scope::Port,
            hint,
            contrasts: Vec::new(),
            alternatives: Vec::new(),
        }));
        let told =
            super::endpoint(&snapshot, &Course::default(), &ill, &course::Recalled::default()).expect("it is watched");
        assert!(words(&told).contains(said), "{told}");
    }
    let told = words(&incident_of(&snapshot));
    assert!(told.contains("Who the network team mends it ") && !told.contains("(the network team"), "{told}");
    let missing = words(&missing(&snapshot, "incident", "none"));
    assert!(missing.contains("too old") && !missing.contains("watched"), "{missing}");
}

/// A span of the timeline, as it is read.
fn timeline(html: &str, span: &str) -> String {
    let rest = html.split(&format!("<div class=\"span {span}\">")).nth(1).expect("the span is there");
    rest.split("</div>").next().unwrap_or_default().to_owned()
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

/// A remembered outcome of an endpoint of this class.
fn remembered(
    class: &'static str,
    result: &'static str,
    from: Duration,
    to: Duration,
) -> crate::store::rows::OutcomeRow {
    crate::store::rows::OutcomeRow {
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

#[test]
fn an_endpoint_has_its_phases_its_chain_and_its_evidence() {
    let snapshot = sample::snapshot();
    let page = endpoint(&snapshot, &Course::default(), "login.microsoftonline.com:443", &course::Recalled::default())
        .expect("it is watched");
    let text = words(&page);
    for said in
        ["connect 6.0 ms", "tls 14 ms", "CN=login.microsoftonline.com", "issued by CN=Test Root", "Asked every 30s"]
    {
        assert!(text.contains(said), "{said:?} is missing: {text}");
    }
    assert!(page.contains("<rect class=\"s-tls fill\" x=\"118\""), "TLS begins where connecting ended: {page}");
    assert!(endpoint(&snapshot, &Course::default(), "nobody:1", &course::Recalled::default()).is_none());
}

#[test]
fn the_phase_that_failed_looks_and_reads_so_and_one_address_has_one_waterfall() {
    let mut snapshot = sample::snapshot();
    let failed = |view: &Arc<EndpointView>| {
        let visit = view.last.as_ref()?;
        let phase = visit.outcomes.first()?.verdict.finding()?.phase;
        matches!(view.status, Status::Failed(_)).then_some((view.endpoint.id.0.clone(), phase))
    };
    let (id, phase) = snapshot.endpoints.iter().find_map(failed).expect("one of the sample failed");
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id.0 == id).expect("it is watched");
    let visit = Arc::make_mut(Arc::make_mut(view).last.as_mut().expect("it was visited"));
    visit.phases = visit.outcomes[0].phases;
    let shown = |snapshot: &Snapshot, id: &str| {
        let page = endpoint(snapshot, &Course::default(), id, &course::Recalled::default()).expect("it is watched");
        let fall = page.split("<table class=\"fall\">").nth(1).and_then(|rest| rest.split("</table>").next());
        (page.matches("class=\"fall\"").count(), fall.expect("a waterfall").to_owned())
    };
    let (falls, fall) = shown(&snapshot, &id);
    assert!(words(&fall).contains(&format!("{} ✕ failed", phase.label())), "{fall}");
    assert!(falls == 1 && fall.matches("class=\"s-bad fill\"").count() == 1, "{fall}");
    let (falls, fall) = shown(&snapshot, "login.microsoftonline.com:443");
    assert!(falls == 1 && !fall.contains("bad"), "{fall}");
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id.0 == id).expect("it is watched");
    let visit = Arc::make_mut(Arc::make_mut(view).last.as_mut().expect("it was visited"));
    visit.outcomes.push(visit.outcomes[0].clone());
    assert_eq!(shown(&snapshot, &id).0, 3, "that of the visit, and one for each address");
}

#[test]
fn what_takes_the_focus_has_a_name_and_what_is_drawn_has_words() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let (id, mut course) = ("login.microsoftonline.com:443", Course::default());
    course.take(&snapshot);
    let one = endpoint(&snapshot, &course, id, &course::Recalled::default()).expect("it is watched");
    let pages = [page(&snapshot), incident_of(&snapshot)];
    let named: Vec<&str> = pages.iter().flat_map(|page| page.split("<pre ").skip(1)).collect();
    assert!(named.len() > 4, "{named:?}");
    for pre in named {
        assert!(pre.contains("tabindex=\"0\" role=\"group\" aria-label=\""), "{pre}");
    }
    assert!(pages[0].contains("aria-label=\"last 1 visits, 0 failed; median "), "{}", pages[0]);
    assert!(one.contains("aria-label=\"How long they took: last 1 visits, 0 failed; median "), "{one}");
    assert!(words(&one).contains("the newest right: ✓answered"), "{one}");
}

#[test]
fn without_a_script_each_page_is_fetched_anew_as_often_as_it_changes() {
    let mut snapshot = sample::snapshot();
    let refresh =
        |page: &str| page.split("http-equiv=\"refresh\" content=\"").nth(1)?.split('"').next().map(str::to_owned);
    let one = endpoint(&snapshot, &Course::default(), "login.microsoftonline.com:443", &course::Recalled::default())
        .expect("it is watched");
    let seen = [page(&snapshot), one, incident_of(&snapshot)].map(|page| refresh(&page));
    assert_eq!(seen.each_ref().map(Option::as_deref), [Some("15"), Some("60"), Some("60")]);
    let incident = snapshot.incidents.open.remove(0);
    snapshot.incidents.closed.push(Arc::new(Closed { incident, ended: AT }));
    assert_eq!(refresh(&incident_of(&snapshot)), None, "it is over");
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

#[test]
fn what_is_to_be_typed_in_advice_is_code_and_hostile_words_between_backticks_stay_text() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.hint = Some("ask `az network nic list`, or `<script>alert(1)</script>`");
    snapshot.agent.warnings = vec!["see `dns.private` and `<img src=x>`".to_owned()];
    let html = page(&snapshot);
    for said in ["<code>az network nic list</code>", "<code>&#60;script&#62;alert(1)", "<code>dns.private</code>"] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert_harmless(&html);
    let card = html.split("<article").nth(1).and_then(|rest| rest.split("<details class=\"copy\"").next());
    assert!(card.is_some_and(|card| !card.contains('`')), "{card:?}");
    let one = incident_of(&snapshot);
    assert!(one.contains("<code>az network nic list</code>"), "{one}");
    assert!(one.contains("- **Type:** `"), "Markdown keeps its backticks: {one}");
}

/// The Markdown of a page with one report, as it is copied.
fn copied(html: &str) -> String {
    let report = html.split("<pre class=\"report\"").nth(1).and_then(|rest| Some(rest.split_once('>')?.1));
    let report = report.and_then(|rest| rest.split("</pre>").next()).expect("a report").to_owned();
    [
        ("<span class=\"piece\">", ""),
        ("</span>", ""),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ]
    .into_iter()
    .fold(report, |report, (escaped, said)| report.replace(escaped, said))
}

#[test]
fn what_a_peer_says_is_no_markup_in_a_copied_report() {
    let mut snapshot = sample::snapshot();
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.evidence = vec!["server said ![x](http://x.example/) <img src=x> `a` **b**".to_owned()];
    incident.component = "[TCP 1433](http://x.example/)".to_owned();
    incident.hint = Some("ask `az network nic list`");
    for html in [page(&snapshot), incident_of(&snapshot)] {
        let report = copied(&html);
        for said in [
            "### \\[TCP 1433\\](http://x.example/): ",
            "- server said \\!\\[x\\](http://x.example/) &lt;img src=x&gt; \\`a\\` \\*\\*b\\*\\*",
            "- **Cause:** `dropped` (likely, side path, scope port)",
        ] {
            assert!(report.contains(said), "{said}: {report}");
        }
    }
}

#[test]
fn a_copied_report_says_all_that_the_page_says() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.hides = vec![incident.endpoints[1].clone()];
    for html in [page(&snapshot), incident_of(&snapshot)] {
        let report = copied(&html);
        for said in [
            "\n- **Hint:** a rule for this port is the first suspect\n",
            "\n- **Hides:** 1 of these 2: its own service could not be tested\n",
            "\nEvidence:\n\n- no other host works on the same port\n- 203.0.113.40:1433",
            "\nWhat was asked and answered (rule R10 for 2 endpoints, observed):\n\n- ",
            "\nWhat else it could be:\n\n- `local_firewall` ",
            ": if the platform's own address does not answer either\n  - **Type:** `sudo nft list ruleset`\n",
        ] {
            assert!(report.contains(said), "{said:?}: {report}");
        }
    }
}

#[test]
fn a_copied_report_of_many_endpoints_names_some_whole_and_counts_the_rest() {
    let mut snapshot = sample::snapshot();
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.endpoints = (0..98).map(|number| EndpointId(format!("shard-{number}.example:1433").into())).collect();
    let report = copied(&page(&snapshot));
    let hits = report.lines().find(|line| line.starts_with("- **Hits:** ")).expect("a line of hits");
    let named = hits.matches(".example:1433").count();
    assert!(hits.starts_with("- **Hits:** shard-0.example:1433, shard-1.example:1433, "), "{hits}");
    assert!(
        named < 98 && hits.ends_with(&format!("shard-{}.example:1433 and {} more", named - 1, 98 - named)),
        "{hits}"
    );
}

fn incident_of(snapshot: &Snapshot) -> String {
    incident(snapshot, &named(snapshot, "3").expect("it is open"), None)
}

#[test]
fn a_card_says_first_what_it_types_first() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let told = words(&incident_of(&snapshot));
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
    assert!(at("First check outbound NSG rules") < at("Next check what was changed"), "{told}");
    assert!(told.contains("Expect access Deny and its ruleName if an NSG drops it"), "{told}");
    assert!(told.contains("- **Expect:** access Deny and its ruleName"), "the copy says so as well: {told}");
    assert!(
        at("Next check what was changed") < at("test-ip-flow") && at("test-ip-flow") < at("show-next-hop"),
        "{told}"
    );
}

/// The card of the sample's incident, without what is copied.
fn card(html: &str) -> &str {
    let card = html.split("<article").nth(1).and_then(|rest| rest.split("<details class=\"copy\"").next());
    card.expect("an incident is open")
}

#[test]
fn what_is_to_be_known_before_one_types_stands_once_before_the_commands() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    Arc::make_mut(&mut snapshot.incidents.open[0]).scope = Scope::Egress;
    let (first, alone) = (page(&snapshot), incident_of(&snapshot));
    for html in [card(&first), alone.split("Report</h2>").next().expect("the report is last")] {
        let told = words(html);
        let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
        for said in ["az needs what is broken here", "GROUP: the resource group of", "NIC: its network interface"] {
            assert!(at(said) < at("az network") && told.matches(said).count() == 1, "{said}: {told}");
        }
    }
    for html in [first, alone] {
        let report = copied(&html);
        let at = |what: &str| report.find(what).unwrap_or_else(|| panic!("{what}: {report}"));
        assert!(at("- **Note:** `az` needs") < at("- **Type:**"), "{report}");
        assert!(at("- **Fill in:** GROUP: the resource group") < at("- **Type:**"), "{report}");
    }
    Arc::make_mut(&mut snapshot.incidents.open[0]).finding.cause = ase_probes::cause::Cause::LocalClock;
    assert!(!page(&snapshot).contains("GROUP"), "there is nothing to fill in");
}

#[test]
fn a_command_that_stands_in_a_card_is_not_typed_again_for_another_cause() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let other = |cause| Alternative { cause, open: Contrast::ControlAnswers, answer: false };
    let causes = [Cause::Rejected, Cause::LocalFirewall, Cause::LocalFirewall];
    Arc::make_mut(&mut snapshot.incidents.open[0]).alternatives = causes.map(other).to_vec();
    let first = page(&snapshot);
    let commands: Vec<String> =
        card(&first).split("<pre").skip(1).map(|rest| words(rest.split("</pre>").next().unwrap_or_default())).collect();
    assert!(commands.iter().any(|command| command.contains("nft list ruleset")), "{commands:?}");
    assert_eq!(commands.iter().collect::<BTreeSet<_>>().len(), commands.len(), "{commands:?}");
}

#[test]
fn a_command_that_changes_something_is_told_from_those_that_look() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    Arc::make_mut(&mut snapshot.incidents.open[0]).finding.cause = Cause::LocalClock;
    for html in [page(&snapshot), incident_of(&snapshot)] {
        let told = words(&html);
        let changed = "this sets this machine's clock at once, and the times of logs and running programs leap with it";
        assert!(told.replace("&#39;", "'").contains(&format!("Mend {changed}: sudo chronyc makestep")), "{told}");
        assert_eq!(told.matches("Mend this ").count(), 1, "{told}");
        assert!(
            copied(&html).contains("`sudo chronyc makestep`") && copied(&html).contains("- **Mend** (this "),
            "{html}"
        );
    }
}

#[test]
fn code_in_evidence_is_code_wherever_the_pages_show_it() {
    let mut snapshot = sample::snapshot();
    let said = "`tds: \"8.0\"` asks so at once";
    Arc::make_mut(&mut snapshot.incidents.open[0]).evidence = vec![said.to_owned()];
    let view = Arc::make_mut(&mut snapshot.endpoints[5]);
    let id = view.endpoint.id.0.to_string();
    Arc::make_mut(view.last.as_mut().expect("it was visited")).remarks = vec![said.to_owned()];
    view.status = Status::Unknown(Untested::Forbidden([203, 0, 113, 9].into()));
    let mut row = IncidentRow { evidence: vec![said.to_owned()], ..IncidentRow::default() };
    row.account.note(AT, format!("evidence: {said}"));
    let (first, remembered) = (page(&snapshot), remembered_incident(&snapshot, &row));
    let endpoint =
        super::endpoint(&snapshot, &Course::default(), &id, &course::Recalled::default()).expect("it is watched");
    for (html, times) in [(card(&first), 1), (&*remembered, 2), (&*endpoint, 1)] {
        let page = html.split("Report</h2>").next().unwrap_or_default();
        assert_eq!(page.matches("<code>tds: &#34;8.0&#34;</code> asks so at once").count(), times, "{page}");
        assert!(!page.contains('`'), "{page}");
    }
    assert!(!parts(&snapshot)[&text::anchor('e', &id)].1.as_str().contains('`'), "nor where the mouse rests");
}

#[test]
fn an_incident_looks_alike_in_its_card_its_page_and_the_history() {
    let signs = |snapshot: &Snapshot| {
        let (first, alone) = (page(snapshot), incident_of(snapshot));
        let class = |html: &str, start: &str| {
            let rest = html.split(start).nth(1).unwrap_or_else(|| panic!("{start}: {html}"));
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let day = timeline(&first, "d1");
        let drawn = class(day.split("<a href=").nth(1).expect("it is drawn"), "<rect class=\"m-");
        let listed = first.split("The newest incidents").nth(2).expect("a list").to_owned();
        [
            class(&first, "<article class=\"card "),
            class(&alone, "class=\"answer "),
            drawn,
            class(&listed, "<span class=\""),
        ]
    };
    let mut snapshot = sample::snapshot();
    assert_eq!(signs(&snapshot), ["bad"; 4]);
    for view in &mut snapshot.endpoints {
        Arc::make_mut(&mut Arc::make_mut(view).endpoint).severity = crate::model::catalog::Severity::Warning;
    }
    assert_eq!(signs(&snapshot), ["part"; 4], "as the answer, which says that nothing critical is lost");
    assert!(page(&snapshot).contains("<div class=\"answer part\""));
}

#[test]
fn the_worst_that_an_incident_hits_stands_first_and_says_so_where_it_is_not_lost() {
    let mut snapshot = sample::snapshot();
    let ids: Vec<EndpointId> = snapshot.incidents.open[0].endpoints.clone();
    let place = |id: &EndpointId| snapshot.endpoints.iter().position(|view| view.endpoint.id == *id).expect("watched");
    let [first, last] = [place(&ids[0]), place(&ids[1])];
    let view = Arc::make_mut(&mut snapshot.endpoints[first]);
    Arc::make_mut(&mut view.endpoint).severity = crate::model::catalog::Severity::Warning;
    let view = Arc::make_mut(&mut snapshot.endpoints[last]);
    view.status = Status::Degraded(view.status.finding().expect("it failed"));
    let told = words(card(&page(&snapshot)));
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
    let (worst, other) = (format!("{} sql, critical, degraded", ids[1]), format!("{} sql, warning", ids[0]));
    assert!(at(&worst) < at(&other), "{told}");
}

#[test]
fn a_copied_report_says_what_is_hidden_what_was_hinted_and_what_else_it_could_be() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.hides = vec![incident.endpoints[0].clone()];
    incident.hint = Some("look at the route first");
    let report = copied(&page(&snapshot));
    for said in [
        "- **Hint:** look at the route first",
        "- `local_firewall` ",
        "  - **Type:** `sudo nft list ruleset`",
        "- **Hides:** 1 of these 2: its own service could not be tested",
        "(the first visit that showed it; 12 min)",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }
}

#[test]
fn since_when_an_incident_and_its_endpoints_are_lost_is_said_with_what_that_means() {
    let snapshot = sample::snapshot();
    let id = snapshot.incidents.open[0].endpoints[0].to_string();
    let first = words(&page(&snapshot));
    assert!(first.contains("Since: when the state was confirmed. An incident counts from the first visit"), "{first}");
    let alone =
        words(&endpoint(&snapshot, &Course::default(), &id, &course::Recalled::default()).expect("it is watched"));
    assert!(alone.contains("UTC (confirmed then)"), "{alone}");
    assert!(alone.contains("since 2027-01-15 07:47:25 UTC (the first visit that showed it)"), "{alone}");
}

#[test]
fn a_name_is_as_sure_to_lead_astray_as_the_incident_that_says_so() {
    let mut snapshot = sample::snapshot();
    let alone = words(&page(&snapshot));
    assert!(alone.contains("✕ private_bypass (by the answers alone)"), "{alone}");
    let name = snapshot.names.iter().find(|view| view.published.is_some()).expect("it is compared").name.to_string();
    let view = Arc::make_mut(&mut snapshot.endpoints[8]);
    Arc::make_mut(&mut view.endpoint).target.host = crate::model::catalog::Host::Name(name);
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.endpoints = vec![snapshot.endpoints[8].endpoint.id.clone()];
    incident.finding.cause = ase_probes::cause::Cause::DnsDivergent;
    let told = words(&page(&snapshot));
    assert!(told.contains("✕ private_bypass (likely)"), "{told}");
}

#[test]
fn when_a_certificate_ends_that_verified_nothing_is_not_shown() {
    let mut snapshot = sample::snapshot();
    let id = "login.microsoftonline.com:443";
    let shown = |snapshot: &Snapshot| {
        let page = endpoint(snapshot, &Course::default(), id, &course::Recalled::default()).expect("it is watched");
        (page.contains("The certificate ends"), page.contains("its end decides"))
    };
    assert_eq!(shown(&snapshot), (true, true));
    let view = snapshot.endpoints.iter_mut().find(|view| &*view.endpoint.id.0 == id).expect("it is watched");
    let visit = Arc::make_mut(Arc::make_mut(view).last.as_mut().expect("it was visited"));
    let ase_probes::outcome::Protocol::Http(reply) = &mut visit.outcomes[0].protocol else { panic!("it is HTTPS") };
    reply.tls.as_mut().expect("it is HTTPS").invalid = Some(ase_probes::tls::Invalid::UnknownIssuer);
    assert_eq!(shown(&snapshot), (false, false));
}
