//! What is said of names and of the servers that answer for them.

use std::{sync::Arc, time::Duration};

use ase_probes::cause::Cause;

use super::*;
use crate::{
    model::catalog::Host,
    readers::page::reading::{page, words},
    resolvers::compare::ComparisonClass,
    sample,
};

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
fn a_name_is_as_sure_to_lead_astray_as_the_incident_that_says_so() {
    let mut snapshot = sample::snapshot();
    let alone = words(&page(&snapshot));
    assert!(alone.contains("✕ private_bypass (by the answers alone)"), "{alone}");
    let name = snapshot.names.iter().find(|view| view.published.is_some()).expect("it is compared").name.to_string();
    let view = Arc::make_mut(&mut snapshot.endpoints[8]);
    Arc::make_mut(&mut view.endpoint).target.host = Host::Name(name);
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.endpoints = vec![snapshot.endpoints[8].endpoint.id.clone()];
    incident.finding.cause = Cause::DnsDivergent;
    let told = words(&page(&snapshot));
    assert!(told.contains("✕ private_bypass (likely)"), "{told}");
}

#[test]
fn who_answers_that_he_cannot_is_not_called_silent() {
    let side = |up, response| TransportHealth { up, response, answer: None, remarks: Vec::new() };
    let took = Some(Duration::from_millis(3));
    let rows = [
        (Some(side(Some(true), took)), "answers"),
        (Some(side(Some(false), took)), "no good answer"),
        (Some(side(Some(false), None)), "no answer"),
        (None, "not watched"),
    ];
    for (side, word) in rows {
        assert_eq!(standing(side.as_ref()).word, word, "{side:?}");
    }
}
