//! The schedule by hand and under any sequence of samples: rhythm, room, rests, and nobody forgotten.

use std::sync::Arc;

use super::{super::room::PATIENCE, *};
use crate::{model::catalog::EndpointId, sample};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const SPACING: Duration = Duration::from_secs(64);
const GOOD: Ended = Ended { upshot: Upshot::Good, asked: true };
const BAD: Ended = Ended { upshot: Upshot::Bad, asked: true };
const DENIED: Ended = Ended { upshot: Upshot::AskedToSlowDown, asked: true };

fn rhythm() -> Rhythm {
    let interval = Duration::from_secs(30);
    Rhythm { interval, confirm_after: SECOND, failing_interval: Duration::from_secs(10), sockets: 1, courtesy: None }
}

fn time_server(peer: &str) -> Rhythm {
    let courtesy = Some(Courtesy { peer: peer.into(), spacing: SPACING });
    Rhythm { interval: SPACING, confirm_after: 2 * SECOND, courtesy, ..rhythm() }
}

fn bounds(active: usize) -> Bounds {
    Bounds { active, sockets: 10_000 }
}

fn start() -> Instant {
    ase_probes::clock::now()
}

fn endless(rhythms: Vec<Rhythm>, active: usize, now: Instant) -> Schedule {
    Schedule::new(rhythms, bounds(active), Rounds::Endless { spread: 5 * SECOND }, now)
}

/// Takes the next visit when it is due and ends it at once; returns when that was.
fn visit(schedule: &mut Schedule, ended: Ended) -> Instant {
    let at = schedule.next_due().expect("a task is planned");
    let [due] = schedule.take_due(at)[..] else { panic!("one visit is due") };
    assert_eq!(schedule.finished(due.visit, ended, at), Some(due.task));
    at
}

/// Ends the only task's visit and returns how long it then waits.
fn wait_after(schedule: &mut Schedule, ended: Ended) -> Duration {
    let at = visit(schedule, ended);
    schedule.next_due().expect("planned again") - at
}

#[test]
fn a_healthy_task_keeps_its_interval() {
    let mut schedule = endless(vec![rhythm()], 1, start());
    let _settles = wait_after(&mut schedule, GOOD);
    for _ in 0..5 {
        assert_eq!(wait_after(&mut schedule, GOOD), rhythm().interval);
    }
}

#[test]
fn a_bad_sample_is_confirmed_then_asked_faster_with_back_off() {
    let mut schedule = endless(vec![rhythm()], 1, start());
    assert_eq!(wait_after(&mut schedule, BAD), SECOND);
    assert!(schedule.is_confirming(0));
    let waits: Vec<_> = (0..4).map(|_| wait_after(&mut schedule, BAD).as_secs()).collect();
    assert_eq!(waits, [10, 20, 30, 30]);
    assert!(wait_after(&mut schedule, GOOD) >= rhythm().interval / 2);
}

#[test]
fn a_plea_for_peace_doubles_the_pause_and_is_never_confirmed() {
    let mut schedule = endless(vec![rhythm()], 1, start());
    let waits: Vec<_> = (0..6).map(|_| wait_after(&mut schedule, DENIED).as_secs()).collect();
    assert_eq!(waits, [60, 120, 240, 480, 960, 1024]);
}

#[test]
fn waiting_for_room_is_not_lateness() {
    let now = start();
    let mut schedule = Schedule::new(vec![rhythm(); 10], bounds(4), Rounds::One, now);
    let first = schedule.take_due(now);
    assert_eq!((first.len(), schedule.next_due()), (4, Some(now + PATIENCE)));
    let later = now + PATIENCE / 2;
    assert_eq!(schedule.finished(first[0].visit, GOOD, later), Some(first[0].task));
    let next = schedule.take_due(later + SECOND / 100);
    assert_eq!((next.len(), next[0].late), (1, SECOND / 100), "it was there since the other one ended");
    assert_eq!(schedule.lateness().lag(later), SECOND / 100);
    assert_eq!(schedule.lateness().wait(later), PATIENCE / 2);
}

#[test]
fn a_thousand_silent_peers_begin_at_once_but_for_a_pause() {
    let now = start();
    let mut schedule = Schedule::new(vec![rhythm(); 1000], bounds(64), Rounds::One, now);
    let mut begun = 0;
    let mut at = now;
    while begun < 1000 {
        at = schedule.next_due().expect("silence makes room");
        begun += schedule.take_due(at).len();
    }
    assert_eq!(schedule.room().in_flight(), 1000);
    assert!(at - now <= 16 * PATIENCE, "{:?}", at - now);
    assert_eq!(schedule.lateness().lag(at), Duration::ZERO);
}

#[test]
fn descriptors_bound_what_is_under_way_and_the_rest_waits_its_turn() {
    let now = start();
    let scarce = Bounds { active: 64, sockets: 100 };
    let mut schedule = Schedule::new(vec![rhythm(); 150], scarce, Rounds::One, now);
    let first = schedule.take_due(now);
    let second = schedule.take_due(now + PATIENCE);
    assert_eq!((first.len(), second.len(), schedule.next_due()), (64, 36, None), "only an end makes room");
    for due in &first {
        assert_eq!(schedule.finished(due.visit, GOOD, now + 7 * SECOND), Some(due.task));
    }
    assert_eq!(schedule.take_due(now + 7 * SECOND).len(), 50, "nothing is dropped");
    assert_eq!(schedule.lateness().wait(now + 7 * SECOND), 7 * SECOND);
}

#[test]
fn one_round_visits_each_task_once_and_confirms_the_bad() {
    let now = start();
    let mut schedule = Schedule::new(vec![rhythm(); 2], bounds(8), Rounds::One, now);
    let taken = schedule.take_due(now);
    assert_eq!(schedule.finished(taken[0].visit, GOOD, now), Some(0));
    assert_eq!(schedule.finished(taken[1].visit, BAD, now), Some(1));
    assert!(!schedule.is_over());
    let again = schedule.take_due(now + SECOND);
    assert_eq!(again.iter().map(|due| due.task).collect::<Vec<_>>(), [1]);
    assert_eq!(schedule.finished(again[0].visit, BAD, now + SECOND), Some(1));
    assert!(schedule.next_due().is_none() && schedule.is_over());
}

#[test]
fn starts_are_spread_evenly_and_share_wake_ups() {
    let now = start();
    let mut schedule = endless(vec![rhythm(); 1000], 1000, now);
    let (mut wake_ups, mut largest) = (0, 0);
    while let Some(at) = schedule.next_due() {
        largest = largest.max(schedule.take_due(at).len());
        wake_ups += 1;
    }
    assert!(wake_ups <= 51, "{wake_ups} wake-ups for 5 s at 100 ms");
    assert!(largest <= 25, "{largest} visits in one of 50 slots for 1000");
}

#[test]
fn a_visit_that_is_brought_forward_is_due_at_once_and_a_confirmation_keeps_its_wait() {
    let mut schedule = endless(vec![rhythm()], 1, start());
    let at = visit(&mut schedule, GOOD);
    schedule.bring_forward(0, at + SECOND);
    assert_eq!(schedule.next_due(), Some(at + SECOND));
    let at = visit(&mut schedule, BAD);
    let planned = schedule.next_due();
    schedule.bring_forward(0, at + SECOND / 10);
    assert_eq!(schedule.next_due(), planned);
}

#[test]
fn nobody_brings_a_time_server_forward_past_its_rest() {
    let mut schedule = endless(vec![time_server("a:123")], 8, start());
    let asked = visit(&mut schedule, GOOD);
    for tenth in 0..600 {
        schedule.bring_forward(0, asked + SECOND / 10 * tenth);
    }
    let again = visit(&mut schedule, BAD);
    assert!(again - asked >= SPACING, "{:?}", again - asked);
    let confirmed = visit(&mut schedule, BAD);
    assert_eq!(confirmed - again, 2 * SECOND, "a failure is confirmed as ever");
    schedule.bring_forward(0, confirmed + SECOND);
    assert!(visit(&mut schedule, BAD) - confirmed >= SPACING, "but a failing server is asked no more often");
}

#[test]
fn a_plea_outlasts_everything_also_at_a_server_of_ones_own() {
    let own = Courtesy { peer: "10.0.0.1:123".into(), spacing: Duration::ZERO };
    let mut schedule = endless(vec![Rhythm { courtesy: Some(own), ..rhythm() }], 8, start());
    let asked = visit(&mut schedule, DENIED);
    schedule.bring_forward(0, asked + SECOND);
    assert!(schedule.next_due().expect("planned") - asked >= 2 * rhythm().interval);
}

#[test]
fn a_server_whose_name_failed_was_not_asked_and_need_not_rest() {
    let mut schedule = endless(vec![time_server("a:123")], 8, start());
    let unasked = Ended { upshot: Upshot::Bad, asked: false };
    let _first = visit(&mut schedule, unasked);
    let confirmed = visit(&mut schedule, unasked);
    assert_eq!(visit(&mut schedule, unasked) - confirmed, 10 * SECOND);
    schedule.bring_forward(0, confirmed + 11 * SECOND);
    assert_eq!(schedule.next_due(), Some(confirmed + 11 * SECOND));
}

#[test]
fn two_endpoints_of_one_time_server_share_its_rest() {
    let mut schedule = endless(vec![time_server("a:123"), time_server("a:123"), time_server("b:123")], 8, start());
    let (mut asked, mut times): (Vec<Instant>, [u32; 3]) = (Vec::new(), [0; 3]);
    for _ in 0..600 {
        let at = schedule.next_due().expect("planned");
        for due in schedule.take_due(at) {
            times[due.task] += 1;
            if due.task < 2 {
                asked.push(at);
            }
            assert_eq!(schedule.finished(due.visit, GOOD, at), Some(due.task));
        }
        // Whoever is brought forward at any time gets ahead of nobody.
        schedule.bring_forward(0, at);
    }
    assert!(asked.len() >= 100);
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= SPACING), "{asked:?}");
    assert!(times[0].abs_diff(times[1]) <= 1, "each in its turn: {times:?}");
}

#[test]
fn names_that_lead_to_one_time_server_share_its_rest() {
    let address: IpAddr = [20, 0, 0, 1].into();
    let peers = ["a.example", "b.example", "20.0.0.1"];
    let mut schedule = endless(peers.map(time_server).into(), 8, start());
    let (mut asked, mut times, mut refused): (Option<Instant>, [u32; 3], u32) = (None, [0; 3], 0);
    for _ in 0..600 {
        let at = schedule.next_due().expect("planned");
        for due in schedule.take_due(at) {
            schedule.led_to(due.visit, &[address]);
            // A visit asks nobody who rests, and the schedule learns whom it would have asked.
            let ended = if asked.is_some_and(|asked| at - asked < SPACING) {
                refused += 1;
                Ended { upshot: Upshot::PutOff(15 * SECOND), asked: false }
            } else {
                (asked, times[due.task]) = (Some(at), times[due.task] + 1);
                GOOD
            };
            assert_eq!(schedule.finished(due.visit, ended, at), Some(due.task));
        }
    }
    assert!(times.iter().sum::<u32>() >= 100, "{times:?}");
    assert!(refused <= 2, "{refused} visits in vain, one for each name whose address is not known yet");
    let (least, most) = (times.iter().min(), times.iter().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "each in its turn: {times:?}");
}

#[test]
fn a_plea_is_heard_for_every_name_that_leads_to_the_server() {
    let mut schedule = endless(vec![time_server("a.example"), time_server("20.0.0.1")], 8, start());
    let at = schedule.next_due().expect("planned");
    let [due] = schedule.take_due(at)[..] else { panic!("one is due") };
    assert_eq!(due.task, 0);
    schedule.led_to(due.visit, &["::ffff:20.0.0.1".parse().expect("an address")]);
    assert_eq!(schedule.finished(due.visit, DENIED, at), Some(0));
    let mut again = at;
    while schedule.take_due(again).is_empty() {
        again = schedule.next_due().expect("planned");
    }
    assert!(again - at >= 2 * SPACING, "asked again after {:?}", again - at);
}

#[test]
fn a_reload_forgets_no_back_off() {
    let mut schedule = endless(vec![time_server("a.example")], 8, start());
    let mut asked: Vec<Instant> = Vec::new();
    for _ in 0..5 {
        let mut at = schedule.next_due().expect("planned");
        let due = loop {
            if let [due] = schedule.take_due(at)[..] {
                break due;
            }
            at = schedule.next_due().expect("planned");
        };
        asked.push(at);
        assert_eq!(schedule.finished(due.visit, DENIED, at), Some(0));
        // Its row changed.
        schedule.reload(vec![time_server("a.example")], bounds(8), &remap(&[None], 1), at + SECOND);
    }
    let pauses: Vec<u64> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [128, 256, 512, 1024], "it asks for ever longer rest");
}

#[test]
fn a_visit_that_was_put_off_keeps_the_state_of_its_task() {
    let mut schedule = endless(vec![rhythm()], 1, start());
    let _bad = visit(&mut schedule, BAD);
    let pause = 15 * SECOND;
    assert_eq!(wait_after(&mut schedule, Ended { upshot: Upshot::PutOff(pause), asked: false }), pause);
    assert!(schedule.is_confirming(0));
}

/// The numbers after a reload: `None` where the task does not stay.
fn remap(numbers: &[Option<usize>], after: usize) -> Remap {
    let endpoint = |id: String| {
        let mut endpoint = (*sample::snapshot().endpoints[0].endpoint).clone();
        endpoint.id = EndpointId(id.into());
        Arc::new(endpoint)
    };
    let before: Vec<_> = (0..numbers.len()).map(|number| endpoint(format!("before {number}"))).collect();
    let mut stays: Vec<_> = (0..after).map(|number| endpoint(format!("after {number}"))).collect();
    for (number, to) in numbers.iter().enumerate() {
        if let Some(to) = to {
            stays[*to] = Arc::clone(&before[number]);
        }
    }
    Remap::between(&before, &stays)
}

#[test]
fn a_reload_moves_no_visit_of_a_task_that_stays() {
    let now = start();
    let (mut one, mut other) = (endless(vec![rhythm(); 5], 8, now), endless(vec![rhythm(); 5], 8, now));
    let (mut seen, mut undisturbed) = (Vec::new(), Vec::new());
    for turn in 0..60 {
        undisturbed.push((visit(&mut other, if turn % 7 == 0 { BAD } else { GOOD }), turn));
        seen.push((visit(&mut one, if turn % 7 == 0 { BAD } else { GOOD }), turn));
        let at = seen.last().map_or(now, |(at, _)| *at);
        one.reload(vec![rhythm(); 5], bounds(8), &remap(&[Some(4), Some(2), Some(0), Some(1), Some(3)], 5), at);
    }
    assert_eq!(seen, undisturbed);
}

#[test]
fn a_task_that_stays_in_another_rhythm_is_visited_by_it_from_now_on_and_not_with_all_others_at_once() {
    let slow = Rhythm { interval: 300 * SECOND, ..rhythm() };
    let mut schedule = endless(vec![slow; 10], 8, start());
    let mut now = start();
    (0..10).for_each(|_| now = visit(&mut schedule, GOOD));
    let stays: Vec<_> = (0..10).map(Some).collect();
    schedule.reload(vec![rhythm(); 10], bounds(8), &remap(&stays, 10), now);
    let mut moments = std::collections::BTreeSet::new();
    let mut tasks = std::collections::BTreeSet::new();
    while let Some(at) = schedule.next_due().filter(|at| *at <= now + 3 * rhythm().interval / 2) {
        for due in schedule.take_due(at) {
            moments.insert(at);
            tasks.insert(due.task);
            schedule.finished(due.visit, GOOD, at);
        }
    }
    assert_eq!(tasks.len(), 10, "everybody within one and a half intervals");
    assert!(moments.len() >= 10, "spread: {moments:?}");
}

#[test]
fn a_visit_under_way_finds_its_task_after_a_reload_or_tells_nothing() {
    let now = start();
    let mut schedule = Schedule::new(vec![rhythm(); 2], bounds(8), Rounds::Endless { spread: Duration::ZERO }, now);
    let taken = schedule.take_due(now);
    schedule.reload(vec![rhythm(); 2], bounds(8), &remap(&[Some(1), None], 2), now + SECOND);
    let fresh = schedule.take_due(now + 10 * SECOND);
    assert_eq!(fresh.iter().map(|due| due.task).collect::<Vec<_>>(), [0], "the other one is under way");
    assert_eq!(schedule.finished(taken[0].visit, GOOD, now + 11 * SECOND), Some(1));
    assert_eq!(schedule.finished(taken[1].visit, GOOD, now + 11 * SECOND), None);
    assert_eq!(schedule.room().in_flight(), 1, "what was dropped gave its place back");
}

#[test]
fn no_reload_gets_past_the_rest_of_a_time_server() {
    let mut schedule = endless(vec![time_server("a:123"), time_server("b:123")], 8, start());
    let mut asked = BTreeMap::new();
    for _ in 0..2 {
        let at = schedule.next_due().expect("planned");
        let [due] = schedule.take_due(at)[..] else { panic!("one is due") };
        let ended = if due.task == 0 { GOOD } else { DENIED };
        assert_eq!(schedule.finished(due.visit, ended, at), Some(due.task));
        asked.insert(due.task, at);
    }
    let mut now = asked.values().copied().max().expect("both were asked");
    for turn in 0..10 {
        now += SECOND;
        // They change, they go, they come again under other numbers.
        let plan = if turn % 2 == 0 { vec![] } else { vec![time_server("b:123"), time_server("a:123")] };
        let (before, after) = (schedule.tasks.len(), plan.len());
        schedule.reload(plan, bounds(8), &remap(&vec![None; before], after), now);
    }
    let mut again = 0;
    while again < 2 {
        let at = schedule.next_due().expect("planned");
        for due in schedule.take_due(at) {
            again += 1;
            let (was, least) = if due.task == 1 { (asked[&0], SPACING) } else { (asked[&1], 2 * SPACING) };
            assert!(at - was >= least, "{:?}", at - was);
            assert_eq!(schedule.finished(due.visit, GOOD, at), Some(due.task));
        }
    }
}

#[test]
fn a_plea_that_comes_after_a_reload_is_heard_also_from_a_server_of_ones_own() {
    let own =
        || Rhythm { courtesy: Some(Courtesy { peer: "10.0.0.1:123".into(), spacing: Duration::ZERO }), ..rhythm() };
    let mut schedule = endless(vec![own()], 8, start());
    let at = schedule.next_due().expect("planned");
    let [due] = schedule.take_due(at)[..] else { panic!("one is due") };
    schedule.reload(vec![own()], bounds(8), &remap(&[None], 1), at);
    assert_eq!(schedule.finished(due.visit, DENIED, at), None, "the reload changed its endpoint");
    let mut again = schedule.next_due().expect("planned");
    while schedule.take_due(again).is_empty() {
        again = schedule.next_due().expect("planned");
    }
    assert!(again - at >= 2 * SPACING, "asked again after {:?}", again - at);
}

proptest! {
    #[test]
    fn a_task_is_never_visited_twice_at_once_nor_forgotten(
        steps in proptest::collection::vec((0u8..5, any::<bool>(), 0u64..3000, 0usize..3), 1..200),
    ) {
        let mut now = start();
        let mut schedule = endless(vec![rhythm(), rhythm(), time_server("a:123")], 2, now);
        let mut under_way: Vec<Due> = Vec::new();
        let mut questions: Vec<(Instant, bool)> = Vec::new();
        for (upshot, asked, pause, forward) in steps {
            now += Duration::from_millis(pause);
            schedule.bring_forward(forward, now);
            if let Some(at) = schedule.next_due() {
                now = now.max(at);
                for due in schedule.take_due(now) {
                    prop_assert!(!under_way.iter().any(|other| other.task == due.task));
                    if due.task == 2 {
                        questions.push((now, schedule.is_confirming(2)));
                    }
                    under_way.push(due);
                }
            }
            if !under_way.is_empty() {
                let due = under_way.remove(0);
                let pause = Upshot::PutOff(15 * SECOND);
                let upshot = [Upshot::Good, Upshot::Bad, Upshot::Unknown, Upshot::AskedToSlowDown, pause][usize::from(upshot)];
                let asked = asked || upshot == Upshot::AskedToSlowDown;
                if due.task == 2 && !asked {
                    questions.pop();
                }
                prop_assert_eq!(schedule.finished(due.visit, Ended { upshot, asked }, now), Some(due.task));
            }
            prop_assert_eq!(schedule.planned.len() + under_way.len(), 3);
            prop_assert_eq!(schedule.room().in_flight(), under_way.len());
        }
        for pair in questions.windows(2) {
            let least = if pair[1].1 { 2 * SECOND } else { SPACING };
            prop_assert!(pair[1].0 - pair[0].0 >= least, "{:?}", questions);
        }
    }
}
