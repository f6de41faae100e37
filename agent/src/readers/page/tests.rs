//! What every page holds to: nothing anybody says becomes markup, each part is on its page under its own name, and no page
//! grows beyond measure.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    reading::{card, endpoint_of, incident_of, page, timeline, words},
    *,
};
use crate::{
    model::{
        catalog::Severity,
        diagnosis::{Closed, Diagnosis, Origin, Scope},
        endpoint::Status,
        visit::Untested,
    },
    sample::{self, AT},
    store::{
        account::{self, Account},
        rows::IncidentRow,
    },
};

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

#[test]
fn what_says_nothing_is_left_out() {
    let mut snapshot = sample::snapshot();
    let view = Arc::make_mut(&mut snapshot.endpoints[5]);
    let endpoint = Arc::make_mut(&mut view.endpoint);
    endpoint.about.documented_as = Some("*".to_owned());
    let id = endpoint.id.0.to_string();
    assert!(!words(&page(&snapshot)).contains(" for * "), "nobody stands for everything");
    let alone = endpoint_of(&snapshot, &id);
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
        let told = endpoint_of(&snapshot, &ill);
        assert!(words(&told).contains(said), "{told}");
    }
    let told = words(&incident_of(&snapshot));
    assert!(told.contains("Who the network team mends it ") && !told.contains("(the network team"), "{told}");
    let missing = words(&missing(&snapshot, "incident", "none"));
    assert!(missing.contains("too old") && !missing.contains("watched"), "{missing}");
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
    let one = endpoint_of(&snapshot, "login.microsoftonline.com:443");
    let seen = [page(&snapshot), one, incident_of(&snapshot)].map(|page| refresh(&page));
    assert_eq!(seen.each_ref().map(Option::as_deref), [Some("15"), Some("60"), Some("60")]);
    let incident = snapshot.incidents.open.remove(0);
    snapshot.incidents.closed.push(Arc::new(Closed { incident, ended: AT }));
    assert_eq!(refresh(&incident_of(&snapshot)), None, "it is over");
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
    assert!(!card(&html).contains('`'), "{}", card(&html));
    let one = incident_of(&snapshot);
    assert!(one.contains("<code>az network nic list</code>"), "{one}");
    assert!(one.contains("- **Type:** `"), "Markdown keeps its backticks: {one}");
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
    let endpoint = endpoint_of(&snapshot, &id);
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
        Arc::make_mut(&mut Arc::make_mut(view).endpoint).severity = Severity::Warning;
    }
    assert_eq!(signs(&snapshot), ["part"; 4], "as the answer, which says that nothing critical is lost");
    assert!(page(&snapshot).contains("<div class=\"answer part\""));
}
