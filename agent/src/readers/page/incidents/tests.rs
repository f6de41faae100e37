//! What the cards of the open incidents say, and what they say first.

use std::{collections::BTreeSet, sync::Arc};

use ase_probes::cause::Cause;

use crate::{
    model::{
        catalog::{EndpointId, Severity},
        contrast::Contrast,
        diagnosis::Alternative,
        endpoint::Status,
    },
    readers::page::{
        reading::{card, page, words},
        remembered_incident,
    },
    sample,
    store::rows::IncidentRow,
};

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
fn the_worst_that_an_incident_hits_stands_first_and_says_so_where_it_is_not_lost() {
    let mut snapshot = sample::snapshot();
    let ids: Vec<EndpointId> = snapshot.incidents.open[0].endpoints.clone();
    let place = |id: &EndpointId| snapshot.endpoints.iter().position(|view| view.endpoint.id == *id).expect("watched");
    let [first, last] = [place(&ids[0]), place(&ids[1])];
    let view = Arc::make_mut(&mut snapshot.endpoints[first]);
    Arc::make_mut(&mut view.endpoint).severity = Severity::Warning;
    let view = Arc::make_mut(&mut snapshot.endpoints[last]);
    view.status = Status::Degraded(view.status.finding().expect("it failed"));
    let told = words(card(&page(&snapshot)));
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
    let (worst, other) = (format!("{} sql, critical, degraded", ids[1]), format!("{} sql, warning", ids[0]));
    assert!(at(&worst) < at(&other), "{told}");
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
