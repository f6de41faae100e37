//! Something wide breaks while something narrow has been broken for long.

use super::*;
use crate::model::diagnosis::Incident;

pub(super) fn open(world: &World) -> Vec<(u64, &str, usize, u64)> {
    let told = |incident: &Arc<Incident>| incident.since.as_secs() - 1_000_000;
    let open = world.cases.ledger.open.iter();
    open.map(|incident| (incident.id, &*incident.component, incident.endpoints.len(), told(incident))).collect()
}

/// So many rounds, one every 30 s, in which measurements are answered.
fn rounds(world: &mut World, count: u32, is_lost: impl Fn(&Endpoint) -> bool) {
    for _ in 0..count {
        world.second += 30;
        let wanted = world.round(&is_lost);
        world.measure(&wanted, denied);
        world.second += 1;
        world.review();
    }
}

/// Some endpoints are visited and are lost; nobody else is asked.
fn lose(world: &mut World, ids: &[&str]) {
    let at = |id: &&str| world.views.iter().position(|view| &*view.endpoint.id.0 == *id).expect("it is watched");
    let places: Vec<usize> = ids.iter().map(at).collect();
    world.second += 5;
    places.iter().for_each(|index| world.visit(*index, true));
    let wanted = world.review();
    world.measure(&wanted, denied);
    world.second += 1;
    world.review();
}

const SOME: [&str; 4] = ["20.0.0.2:443", "20.0.0.2:80", "20.0.0.3:1433", "20.0.0.4:443"];

#[test]
fn a_way_out_that_breaks_is_named_at_once_though_one_host_was_lost_long_before() {
    let mut world = World::new(endpoints(6, &[80, 443, 1433]));
    let one = |endpoint: &Endpoint| &*endpoint.id.0 == "20.0.0.1:443";
    rounds(&mut world, 1, |_| false);
    rounds(&mut world, 20, one);
    let lone = (1, "20.0.0.1:443", 1, 61);
    assert_eq!(open(&world), [lone]);
    lose(&mut world, &SOME);
    let began = world.second - 1;
    assert_eq!(open(&world), [lone, (2, "everything outside this network", 4, began)]);
    rounds(&mut world, 3, |_| true);
    assert_eq!(open(&world), [lone, (2, "everything outside this network", 17, began)]);
    rounds(&mut world, 1, one);
    assert_eq!(open(&world), [lone], "what was there before is what is left");
    rounds(&mut world, 1, |_| false);
    assert_eq!((open(&world), world.cases.ledger.opened[&Cause::Dropped]), (vec![], 2));
}

#[test]
fn a_way_out_that_breaks_is_another_incident_than_the_port_that_was_lost_before() {
    let mut world = World::new(endpoints(6, &[80, 443, 1433]));
    rounds(&mut world, 1, |_| false);
    rounds(&mut world, 4, on(443));
    let port = (1, "TCP 443 to every host", 6, 61);
    assert_eq!(open(&world), [port]);
    lose(&mut world, &["20.0.0.2:80", "20.0.0.3:1433", "20.0.0.4:80"]);
    let began = world.second - 1;
    assert_eq!(open(&world), [port, (2, "everything outside this network", 3, began)]);
    rounds(&mut world, 3, |_| true);
    assert_eq!(open(&world), [port, (2, "everything outside this network", 12, began)]);
    rounds(&mut world, 1, on(443));
    assert_eq!(open(&world), [port]);
}

#[test]
fn who_showed_something_else_before_goes_with_what_is_wide_and_makes_it_no_older() {
    let mut world = World::new(endpoints(6, &[80, 443, 1433]));
    rounds(&mut world, 1, |_| false);
    let refused = Finding::new(Cause::Refused, Phase::Connect, Confidence::Confirmed);
    for _ in 0..4 {
        world.second += 30;
        (0..world.views.len()).for_each(|index| world.visit_that(index, (index == 1).then_some(refused)));
        world.review();
    }
    assert_eq!(open(&world), [(1, "20.0.0.1:443", 1, 61)]);
    lose(&mut world, &[SOME.as_slice(), &["20.0.0.1:443"]].concat());
    let began = world.second - 1;
    assert_eq!(open(&world), [(2, "everything outside this network", 5, began)]);
}

#[test]
fn who_was_lost_with_somebody_who_works_again_gives_what_is_wide_neither_its_number_nor_its_age() {
    let mut world = World::new(endpoints(6, &[80, 443, 1433]));
    let two = |endpoint: &Endpoint| ["20.0.0.1:443", "20.0.0.2:443"].contains(&&*endpoint.id.0);
    rounds(&mut world, 1, |_| false);
    rounds(&mut world, 20, two);
    assert_eq!(open(&world), [(1, "single hosts on TCP 443", 2, 61)]);
    let again = world.views.iter().position(|view| &*view.endpoint.id.0 == "20.0.0.2:443").expect("it is watched");
    world.second += 1;
    world.visit(again, false);
    world.review();
    lose(&mut world, &["20.0.0.1:443", "20.0.0.3:443", "20.0.0.3:80", "20.0.0.4:1433", "20.0.0.5:443"]);
    let wide = (2, "everything outside this network", 5, world.second - 1);
    assert_eq!(open(&world), [wide], "{:?}", world.changes);
    rounds(&mut world, 2, |_| true);
    assert_eq!(open(&world), [(2, wide.1, 18, wide.3)], "{:?}", world.changes);
}

#[test]
fn what_spreads_to_the_rest_bit_by_bit_is_one_incident() {
    let mut world = World::new(endpoints(4, &[443]));
    rounds(&mut world, 1, |_| false);
    let below = |last: u8| move |endpoint: &Endpoint| endpoint.target.host < Host::Address([20, 0, 0, last].into());
    rounds(&mut world, 3, below(2));
    rounds(&mut world, 3, below(3));
    rounds(&mut world, 3, below(5));
    assert_eq!(open(&world), [(1, "TCP 443 to every host", 4, 61)]);
    assert_eq!(world.cases.ledger.opened[&Cause::Dropped], 1);
}
