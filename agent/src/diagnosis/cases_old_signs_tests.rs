//! What is known from before, over time: old signs when the common cause ends, a visit that asks nobody, a clock that is set
//! back, a reload.

use super::*;
use crate::{diagnosis::localise::Failing, model::diagnosis::Incident};

#[test]
fn old_signs_begin_no_incident_when_the_common_cause_ends() {
    let mut world = World::new(endpoints(6, &[80, 443, 1433]));
    world.round(|_| false);
    world.second += 30;
    for _ in 0..3 {
        let wanted = world.round(|_| true);
        world.measure(&wanted, denied);
        world.second += 10;
    }
    world.review();
    let begun = |world: &World| world.changes.iter().filter(|change| matches!(change, Change::Began(_))).count();
    let before = (begun(&world), world.causes());
    assert!(before.0 >= 1 && world.cases.ledger.open.len() == 1, "{:?}", world.cases.ledger.open);
    // One after the other works again; nobody else was asked since.
    for index in 0..world.views.len() {
        world.second += 1;
        world.visit(index, false);
        let wanted = world.review();
        let rest: Vec<usize> = (index + 1..world.views.len()).collect();
        let is_wished = rest.iter().all(|other| wanted.visits.contains(other));
        assert!(index > 0 || is_wished, "their visits are brought forward, once");
        assert_eq!(begun(&world), before.0, "nothing begins with old signs");
        assert!(rest.iter().all(|other| world.causes()[*other] == before.1[*other]), "each keeps its cause");
    }
    assert!(world.cases.ledger.open.is_empty());
}

#[test]
fn one_that_fails_again_after_another_has_recovered_is_judged_anew() {
    let mut world = World::new(endpoints(4, &[443]));
    world.round(|_| false);
    world.second += 30;
    for _ in 0..3 {
        let wanted = world.round(|_| true);
        world.measure(&wanted, denied);
        world.second += 10;
    }
    world.visit(0, false);
    world.visit(1, false);
    world.review();
    world.second += 1;
    world.visit(2, true);
    world.visit(3, false);
    world.review();
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!(incident.endpoints.len(), 1);
    assert!(!incident.component.contains("every host"), "{}", incident.component);
}

#[test]
fn what_is_left_of_an_incident_hides_whom_the_incident_hid() {
    let mut world = World::new(endpoints(4, &[443]));
    let ids: Vec<EndpointId> = world.views.iter().map(|view| view.endpoint.id.clone()).collect();
    let incident = Incident::clone(&sample::snapshot().incidents.open[0]);
    let incident = Incident { endpoints: ids.clone(), hides: ids[1..].to_vec(), ..incident };
    let finding = incident.finding;
    world.cases.ledger.open = vec![Arc::new(incident.clone())];
    let now = world.cases.steady.now();
    let relieved = super::super::relief::Relieved { since: now, may_be_remembered: false };
    [1, 2].into_iter().for_each(|index| world.cases.relief.relieve(index, relieved));
    let failing = |index: usize| Failing {
        index,
        finding,
        peer: None,
        servers: Vec::new(),
        router: None,
        is_resolving: index > 0,
        since: Duration::ZERO,
        noticed: Duration::ZERO,
        is_confirmed: true,
        comes_and_goes_with_others: false,
    };
    let now = Incident { endpoints: vec![ids[0].clone()], hides: Vec::new(), ..incident };
    for (situations, left) in [(vec![], &ids[1..3]), (vec![now], &ids[..3])] {
        let (old, rest) = world.cases.part_old_signs((0..4).map(failing).collect());
        assert_eq!(rest.iter().map(|failure| failure.index).collect::<Vec<_>>(), [0, 3]);
        let mut situations = situations;
        world.cases.add_old_signs(old, &mut situations);
        let [situation] = &situations[..] else { panic!("{situations:?}") };
        assert_eq!((&situation.endpoints[..], &situation.hides[..]), (left, &ids[1..3]));
    }
}

#[test]
fn a_visit_that_asks_nobody_takes_back_nothing() {
    let mut world = World::new(endpoints(3, &[80, 443]));
    let silent = |endpoint: &Endpoint| ["20.0.0.1:443", "20.0.0.2:443"].contains(&&*endpoint.id.0);
    world.round(|_| false);
    world.second += 30;
    world.round(silent);
    let third = world.views.iter().position(|view| &*view.endpoint.id.0 == "20.0.0.3:443").expect("it is there");
    world.second += 1;
    let at = world.at();
    let before = world.views[third].last.as_deref().expect("it was visited").clone();
    let visit = Visit { began: at.wall, outcomes: Vec::new(), result: Err(Untested::NoTime), ..before };
    let around = Neighbours { views: &world.views, names: &world.names, platform: PLATFORM, now: at.wall };
    assert_eq!(world.cases.take_in(third, &visit, &around, at), Err(Untested::NoTime));
    let wanted = world.review();
    assert!(world.cases.ledger.open.iter().all(|incident| incident.scope != Scope::Port), "the third has worked");
    assert!(!wanted.visits.contains(&third), "it has just been tried");
}

#[test]
fn a_reload_keeps_incidents_and_takes_out_who_left() {
    let before = endpoints(5, &[80, 443, 1433]);
    let mut world = World::new(before.clone());
    world.round(|_| false);
    world.second += 30;
    let wanted = world.round(on(1433));
    world.measure(&wanted, denied);
    world.review();
    let incident = Arc::clone(&world.cases.ledger.open[0]);

    let mut after = before.clone();
    let left = after.remove(2);
    after.reverse();
    let remap = Remap::between(&before, &after);
    world.cases.reload(&Watched { endpoints: &after, platform: PLATFORM, samples_redirects: true }, &remap);
    let mut views = vec![None; after.len()];
    for (number, view) in world.views.iter().enumerate() {
        if let Some(new) = remap.get(number) {
            views[new] = Some(Arc::clone(view));
        }
    }
    world.views = views.into_iter().map(|view| view.expect("everyone who is there was there")).collect();
    world.review();

    let [carried] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((carried.id, carried.since, carried.finding), (incident.id, incident.since, incident.finding));
    assert_eq!((carried.endpoints.len(), carried.endpoints.contains(&left.id)), (4, false));
    assert_eq!(world.changes.len(), 1, "nothing began or ended at the reload: {:?}", world.changes);
    world.second += 30;
    world.round(|_| false);
    assert!(world.cases.ledger.open.is_empty());
}

#[test]
fn a_reload_of_the_same_stirs_nothing_and_forgets_neither_what_is_to_be_measured_nor_what_was_learned() {
    let all = endpoints(4, &[80, 443]);
    let same = Remap::between(&all, &all);
    let reload = |world: &mut World| {
        world.cases.reload(&Watched { endpoints: &all, platform: PLATFORM, samples_redirects: true }, &same);
    };
    let mut world = World::new(all.clone());
    let wanted = world.round(|_| false);
    assert!(!wanted.errands.is_empty());
    reload(&mut world);
    assert_eq!(world.review().errands, wanted.errands, "they are yet to be made");
    world.measure(&wanted, denied);
    world.review();
    assert!(!world.cases.is_stirred());
    reload(&mut world);
    assert!(!world.cases.is_stirred(), "where all is well, nothing is reviewed");

    let mut world = World::new(all.clone());
    let wanted = world.round(|_| false);
    world.measure(&wanted, |key| vec![(Contrast::CanaryAccepts, key.ask == Ask::TcpCanary)]);
    reload(&mut world);
    world.review();
    assert_eq!(world.causes(), vec![Some(Cause::ProxiedBlind); 8], "a box answers for others");
}
