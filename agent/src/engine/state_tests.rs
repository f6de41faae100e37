//! The whole engine in virtual time: operations that come in any order, and what once went wrong.

use std::{collections::BTreeSet, time::Duration};

use ase_probes::{cause::Cause, class::Class};
use proptest::prelude::*;

use super::{
    peers::{ENDPOINTS, Mood, Operation, TWINS, WEB},
    world::{LASTS, QUIET, SECOND, World},
    *,
};
use crate::model::catalog::Endpoint;

/// Runs these operations in a world of its own.
fn run(operations: &[Operation]) -> World {
    // The diagnosis prepares flows to hold as tasks; nobody runs them here.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World::new();
    operations.iter().for_each(|operation| world.apply(operation));
    world.end();
    world
}

/// The same operations, and after each of them the configuration is read again.
fn reloaded_after_each(operations: &[Operation]) -> Vec<Operation> {
    operations.iter().flat_map(|operation| [operation.clone(), Operation::Reload(2)]).collect()
}

fn mood() -> impl Strategy<Value = Mood> {
    use Mood::{Deadly, Denying, Failing, Healthy, Nameless, Partly, Silent, Slow};
    prop::sample::select(vec![Healthy, Slow, Failing, Silent, Partly, Denying, Nameless, Deadly])
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0u64..120_000).prop_map(|millis| Operation::Advance(Duration::from_millis(millis))),
        4 => (0..ENDPOINTS, mood()).prop_map(|(number, mood)| Operation::Set(number, mood)),
        2 => (0..ENDPOINTS).prop_map(Operation::Hurry),
        1 => (1usize..4).prop_map(Operation::Reload),
        1 => (any::<[bool; ENDPOINTS]>(), 0..2 * ENDPOINTS).prop_map(|(chosen, one)| Operation::Replace(chosen, one)),
        1 => (1u32..600).prop_map(|seconds| Operation::Suspend(SECOND * seconds)),
        1 => (1u32..20).prop_map(|seconds| Operation::Stall(SECOND * seconds)),
        1 => WEB.prop_map(Operation::Spend),
    ]
}

/// Operations without those that change what is watched.
fn undisturbed() -> impl Strategy<Value = Operation> {
    operation().prop_map(|operation| match operation {
        Operation::Replace(..) | Operation::Reload(_) | Operation::Suspend(_) | Operation::Stall(_) => {
            Operation::Advance(10 * SECOND)
        }
        Operation::Advance(_) | Operation::Set(..) | Operation::Hurry(_) | Operation::Spend(_) => operation,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_order_of_events_loses_an_incident_or_a_visit_invents_one_or_is_impolite(
        operations in prop::collection::vec(operation(), 0..30),
    ) {
        run(&operations);
    }
}

proptest! {
    // Each is two runs.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reload_that_changes_nothing_is_invisible(operations in prop::collection::vec(undisturbed(), 0..20)) {
        let (reloaded, undisturbed) = (run(&reloaded_after_each(&operations)), run(&operations));
        prop_assert_eq!(&reloaded.incidents, &undisturbed.incidents);
        let closed = |world: &World| world.state.diagnosing.ledger().closed.clone();
        prop_assert_eq!(closed(&reloaded), closed(&undisturbed), "when they ended, and what was told of them");
    }
}

#[test]
fn a_fault_is_one_incident_however_often_the_configuration_is_read() {
    let mut operations =
        vec![Operation::Advance(60 * SECOND), Operation::Set(1, Mood::Failing), Operation::Advance(LASTS)];
    operations.extend((0..20).flat_map(|_| [Operation::Reload(3), Operation::Advance(7 * SECOND)]));
    let world = run(&operations);
    assert_eq!(world.incidents.len(), 1, "{:?}", world.incidents);
}

/// The review at a reload once moved the next one by a tenth of a second, and with it the visits that it brings forward: the
/// failing endpoint was asked again after its repair instead of before.
#[test]
fn a_reload_moves_no_visit_that_a_review_brings_forward() {
    let wait = |millis: u64| Operation::Advance(Duration::from_millis(millis));
    let operations = |last: u64| {
        [
            wait(73_733),
            Operation::Hurry(0),
            Operation::Hurry(0),
            wait(43_231),
            Operation::Hurry(5),
            Operation::Set(1, Mood::Silent),
            Operation::Hurry(0),
            Operation::Set(3, Mood::Failing),
            wait(last),
        ]
    };
    // Around the moments at which the two are asked for the second time.
    let mut counts = BTreeSet::new();
    for last in (16_500..19_000).step_by(100) {
        let operations = operations(last);
        let incidents = run(&operations).incidents;
        counts.insert(incidents.len());
        assert_eq!(run(&reloaded_after_each(&operations)).incidents, incidents, "{last} ms");
    }
    assert_eq!(counts, BTreeSet::from([0, 1, 2]), "neither before its repair, one, and both");
}

/// A review that had to wait for its pace is made when it is due, reload or not: where the model let it wait for the next
/// event, the reload was that event, and visits that the review brings forward began earlier.
#[test]
fn a_reload_makes_no_review_earlier_than_it_is_made_anyway() {
    use Operation::{Hurry, Set};
    let wait = |millis: u64| Operation::Advance(Duration::from_millis(millis));
    let hidden = |number: usize, mood: Mood| {
        let first = [Set(4, Mood::Slow), wait(10_000), Set(1, Mood::Nameless), Hurry(0), Set(number, mood)];
        [&first[..], &[wait(10_000), wait(10_000), wait(43_501)]].concat()
    };
    for operations in [hidden(5, Mood::Silent), hidden(2, Mood::Nameless)] {
        let incidents = run(&operations).incidents;
        assert!(!incidents.is_empty());
        assert_eq!(run(&reloaded_after_each(&operations)).incidents, incidents, "{operations:?}");
    }
}

#[test]
fn a_diagnosis_that_is_switched_off_is_shown_nowhere() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World::new();
    world.advance(60 * SECOND);
    world.apply(&Operation::Set(1, Mood::Failing));
    world.advance(LASTS);
    let told = |world: &World| world.state.endpoints.views().iter().filter(|view| view.diagnosis.is_some()).count();
    assert_eq!((told(&world), world.state.diagnosing.ledger().open.len()), (1, 1));
    let mut settings = (*world.state.settings).clone();
    settings.diagnosis.enabled = false;
    world.reload(settings);
    assert_eq!((told(&world), world.state.diagnosing.ledger().open.len()), (0, 0));
}

#[test]
fn a_row_whose_name_failed_is_asked_in_its_turn_beside_another_row_of_its_server() {
    let waits = [25_302, 12_067, 90_831].map(|millis| Operation::Advance(Duration::from_millis(millis)));
    run(&[vec![Operation::Set(TWINS[0], Mood::Nameless)], waits.to_vec()].concat());
}

#[test]
fn an_incident_that_comes_and_goes_is_over_after_its_quiet() {
    let only: [bool; ENDPOINTS] = std::array::from_fn(|number| number == 2);
    run(&[
        Operation::Set(2, Mood::Failing),
        Operation::Advance(Duration::from_millis(2320)),
        Operation::Replace([false; ENDPOINTS], 0),
        Operation::Replace(only, 0),
        Operation::Advance(Duration::from_millis(1200)),
        Operation::Replace(only, 2),
        Operation::Advance(Duration::from_millis(1180)),
    ]);
}

#[test]
fn a_host_that_is_gone_for_minutes_again_and_again_is_one_incident_that_says_how_often_and_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    for (gone, back) in [(90, 150), (60, 60), (120, 300)] {
        let mut world = World::new();
        let is_web = |endpoint: &Arc<Endpoint>| endpoint.class == Class::Http;
        let host = world.all.catalog.endpoints.iter().position(is_web).expect("a host of the web");
        world.advance(60 * SECOND);
        for turn in 1..=4u32 {
            world.apply(&Operation::Set(host, Mood::Silent));
            world.advance(gone * SECOND);
            let [incident] = &world.state.diagnosing.ledger().open[..] else { panic!("{gone} s: nobody says so") };
            let told = incident.evidence.iter().find(|line| line.starts_with("it comes and goes"));
            // Told is what began within the last ten minutes.
            let often = format!("it comes and goes: it began {} times within ", turn.min(600 / (gone + back) + 1));
            assert_eq!(told.is_some_and(|line| line.starts_with(&often)), turn > 1, "{gone} s: {incident:?}");
            world.apply(&Operation::Set(host, Mood::Healthy));
            world.advance(back * SECOND);
        }
        world.end();
        let causes: Vec<Cause> = world.incidents.values().map(|(cause, _)| *cause).collect();
        assert_eq!(causes, [Cause::Dropped], "down for {gone} s and up for {back} s");
        world.advance(QUIET + 60 * SECOND);
        assert!(world.state.diagnosing.ledger().open.is_empty(), "ended for good");
    }
}

#[test]
fn an_address_that_is_silent_once_beside_one_that_answers_is_no_incident_and_one_that_stays_silent_is() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    for (lasts, expected) in [(false, 0), (true, 1)] {
        let mut world = World::new();
        world.advance(60 * SECOND);
        world.apply(&Operation::Set(3, Mood::Partly));
        let is_asked = |world: &World| world.under_way.values().any(|visit| visit.mood == Mood::Partly);
        for _ in 0..600 {
            if !is_asked(&world) {
                world.advance(SECOND / 10);
            }
        }
        assert!(is_asked(&world), "a visit is under way that meets silence");
        if !lasts {
            world.apply(&Operation::Set(3, Mood::Healthy));
        }
        world.advance(LASTS);
        let statuses: Vec<&str> = world.state.endpoints.views().iter().map(|view| view.status.label()).collect();
        assert_eq!(statuses[3], if lasts { "degraded" } else { "healthy" }, "{statuses:?}");
        assert_eq!(world.incidents.len(), expected, "{:?}", world.incidents);
        world.end();
    }
}

#[test]
fn a_suspended_machine_blames_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World::new();
    world.advance(60 * SECOND);
    (0..4).for_each(|number| world.apply(&Operation::Set(number, Mood::Silent)));
    // A visit that is under way when the machine falls asleep ends in silence; afterwards all is well.
    let silent = |world: &World| {
        world.under_way.values().find(|visit| visit.mood == Mood::Silent).map(|visit| visit.begin.visit)
    };
    for _ in 0..600 {
        if silent(&world).is_none() {
            world.advance(SECOND / 10);
        }
    }
    let visit = silent(&world).expect("one is under way");
    let task = world.state.schedule.task_of(visit).expect("it is watched");
    (0..4).for_each(|number| world.apply(&Operation::Set(number, Mood::Healthy)));
    world.apply(&Operation::Suspend(600 * SECOND));
    while silent(&world).is_some() {
        world.advance(SECOND / 10);
    }
    let view = &world.state.endpoints.views()[task];
    assert_eq!(view.status.finding().map(|finding| finding.cause), Some(Cause::LocalStall), "{:?}", view.status);
    assert!(view.failures.is_empty(), "{:?}", view.failures);
    world.end();
    assert_eq!(world.incidents.len(), 0, "{:?}", world.incidents);
}

#[test]
fn an_endpoint_whose_visits_die_is_not_said_to_be_well_and_no_incident_ends_by_that() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World::new();
    world.advance(60 * SECOND);
    let status = |world: &World, number: usize| world.state.endpoints.views()[number].status;
    let open = |world: &World| world.state.diagnosing.ledger().open.iter().map(|open| open.id).collect::<Vec<_>>();
    let [well, lost] = [2, 3];
    world.apply(&Operation::Set(lost, Mood::Failing));
    world.advance(LASTS);
    let before = open(&world);
    assert_eq!((status(&world, well), before.len()), (Status::Healthy, 1));
    [well, lost].into_iter().for_each(|number| world.apply(&Operation::Set(number, Mood::Deadly)));
    world.advance(LASTS);
    let died = Status::Unknown(Untested::Died);
    assert_eq!([well, lost].map(|number| status(&world, number)), [died; 2]);
    assert_eq!(open(&world), before, "nobody has seen that it is over");
    [well, lost].into_iter().for_each(|number| world.apply(&Operation::Set(number, Mood::Healthy)));
    world.advance(LASTS);
    assert_eq!([well, lost].map(|number| status(&world, number)), [Status::Healthy; 2]);
    assert_eq!(open(&world), [0; 0]);
    world.end();
}

/// Lets time pass until a visit to this endpoint is under way that confirms, or not, and suspends the machine meanwhile.
fn suspend_during_a_visit(world: &mut World, number: usize, confirms: bool) {
    let id = world.all.catalog.endpoints[number].id.clone();
    let silent = |world: &World| {
        let mut visits = world.under_way.values().filter(|visit| visit.begin.endpoint.id == id);
        visits.any(|visit| {
            let task = world.state.schedule.task_of(visit.begin.visit).expect("it is watched");
            visit.mood == Mood::Silent && world.state.schedule.is_confirming(task) == confirms
        })
    };
    for _ in 0..1200 {
        if silent(world) {
            world.apply(&Operation::Suspend(10 * SECOND));
            while silent(world) {
                world.advance(SECOND / 10);
            }
            return;
        }
        world.advance(SECOND / 10);
    }
    panic!("no visit begins");
}

#[test]
fn a_failure_whose_confirmation_a_stall_hid_is_not_confirmed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World::new();
    world.advance(60 * SECOND);
    world.apply(&Operation::Set(1, Mood::Silent));
    suspend_during_a_visit(&mut world, 1, true);
    world.end();
    assert_eq!(world.incidents.len(), 0, "it failed once: {:?}", world.incidents);
}

#[test]
fn a_stall_ends_no_incident() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _context = runtime.enter();
    let mut world = World::new();
    world.advance(60 * SECOND);
    world.apply(&Operation::Set(1, Mood::Silent));
    world.advance(LASTS);
    let open = |world: &World| world.state.diagnosing.ledger().open.iter().map(|open| open.id).collect::<Vec<_>>();
    let before = open(&world);
    assert_eq!(before.len(), 1);
    suspend_during_a_visit(&mut world, 1, false);
    for _ in 0..600 {
        assert_eq!(open(&world), before, "what was confirmed stays so");
        world.advance(SECOND / 10);
    }
}
