//! What comes and goes too fast to be confirmed, over time: failures whose next visit, a second later, passes.

use std::collections::BTreeSet;

use ase_probes::evidence::TcpInfo;

use super::*;

/// What a measurement says while the way is there: everybody passes, from every source port.
fn passing(key: &Key) -> Vec<(Contrast, bool)> {
    match key.ask {
        Ask::SourcePorts => {
            vec![(Contrast::PortDecides, false), (Contrast::NewFlowsMixed, false), (Contrast::NewFlowsPass, true)]
        }
        _ => denied(key),
    }
}

/// These endpoints are silent for a moment; asked again a second later they answer, and what that makes one want to
/// know is measured. Everybody is visited once besides.
pub(super) fn moment_without(world: &mut World, hit: &[usize], answers: impl Fn(&Key) -> Vec<(Contrast, bool)>) {
    hit.iter().for_each(|index| world.visit(*index, true));
    world.review();
    world.second += 1;
    hit.iter().for_each(|index| world.visit(*index, false));
    let wanted = world.review();
    world.measure(&wanted, answers);
    world.review();
    world.second += 11;
    world.round(|_| false);
}

#[test]
fn a_way_that_is_lost_for_seconds_again_and_again_is_one_incident_that_says_how_often() {
    let mut world = World::new(endpoints(4, &[80, 443]));
    world.round(|_| false);
    for hit in [[0, 1], [2, 5]] {
        moment_without(&mut world, &hit, passing);
    }
    assert!(world.cases.ledger.open.is_empty(), "twice is chance: {:?}", world.cases.ledger.open);
    for hit in [[3, 4], [6, 7], [0, 3]] {
        moment_without(&mut world, &hit, passing);
    }
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((incident.finding.cause, incident.scope), (Cause::Dropped, Scope::Egress), "{incident:?}");
    assert_eq!((incident.endpoints.len(), incident.component.as_str()), (8, "everything outside this network"));
    let told = "it comes and goes: 5 times within 1 min what failed was well when asked again";
    assert_eq!(incident.evidence[0], told, "{incident:?}");
    for _ in 0..5 {
        world.second += 30;
        world.round(|_| false);
    }
    assert!(world.cases.ledger.open.is_empty(), "quiet for two minutes: {:?}", world.cases.ledger.open);
    assert!(world.causes().iter().all(Option::is_none));
    assert_eq!(world.cases.ledger.opened.values().sum::<u64>(), 1);
}

#[test]
fn new_flows_that_meet_the_next_moment_without_a_way_once_take_nothing_back() {
    let mut world = World::new(endpoints(4, &[80, 443]));
    world.round(|_| false);
    for (hit, answers) in [([0, 1], passing as fn(&Key) -> _), ([2, 3], shut), ([4, 5], shut), ([6, 7], passing)] {
        moment_without(&mut world, &hit, answers);
    }
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((incident.finding.cause, incident.scope), (Cause::Dropped, Scope::Egress), "{incident:?}");
    assert_eq!(incident.endpoints.len(), 8, "{incident:?}");
}

#[test]
fn a_host_that_is_silent_for_seconds_again_and_again_is_named_alone() {
    let mut world = World::new(endpoints(12, &[443]));
    world.round(|_| false);
    (0..4).for_each(|_| moment_without(&mut world, &[7], passing));
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((incident.finding.cause, incident.component.as_str()), (Cause::Dropped, "20.0.0.8:443"));
    assert_eq!(incident.evidence[0], "it comes and goes: 4 times within 1 min what failed was well when asked again");
}

#[test]
fn a_host_that_comes_and_goes_is_named_alone_whatever_others_meet_once() {
    let mut world = World::new(endpoints(12, &[443]));
    world.round(|_| false);
    for hit in [vec![7], vec![7, 2], vec![4], vec![7], vec![7]] {
        moment_without(&mut world, &hit, passing);
    }
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((incident.finding.cause, incident.component.as_str()), (Cause::Dropped, "20.0.0.8:443"));
}

#[test]
fn a_host_that_is_silent_for_seconds_again_and_again_is_told_while_others_are_lost_one_after_another() {
    let mut world = World::new(endpoints(60, &[443]));
    world.round(|_| false);
    for turn in 0..4 {
        let lost = |index: usize| (20..=20 + turn).contains(&index);
        let silent = |world: &mut World, index: usize| world.visit(index, index == 7 || lost(index));
        (0..60).for_each(|index| silent(&mut world, index));
        world.review();
        world.second += 1;
        (20..=20 + turn).for_each(|index| silent(&mut world, index));
        world.visit(7, false);
        let wanted = world.review();
        world.measure(&wanted, passing);
        world.review();
        world.second += 11;
        (0..60).for_each(|index| world.visit(index, lost(index)));
        world.review();
        assert_eq!(world.causes()[7].is_some(), turn > 1, "turn {turn}");
    }
    let told =
        world.cases.ledger.open.iter().find(|incident| incident.endpoints.iter().any(|id| *id.0 == *"20.0.0.8:443"));
    assert_eq!(told.map(|incident| incident.finding.cause), Some(Cause::Dropped), "{:?}", world.cases.ledger.open);
}

#[test]
fn a_way_that_comes_and_goes_and_then_stays_away_stays_one_incident() {
    let mut world = World::new(endpoints(4, &[80, 443]));
    world.round(|_| false);
    for hit in [[0, 1], [2, 5], [0, 3], [1, 2]] {
        moment_without(&mut world, &hit, passing);
    }
    assert_eq!(world.cases.ledger.open.len(), 1);
    for _ in 0..3 {
        let wanted = world.round(|_| true);
        world.measure(&wanted, denied);
        world.review();
        world.second += 1;
    }
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!((incident.id, incident.scope, incident.endpoints.len()), (1, Scope::Egress, 8), "{incident:?}");
}

#[test]
fn one_that_is_lost_before_the_others_in_a_moment_without_a_way_does_not_stand_apart() {
    let mut world = World::new(endpoints(4, &[80, 443]));
    world.round(|_| false);
    let hit = [0, 1, 2, 5];
    (0..4).for_each(|_| moment_without(&mut world, &hit, passing));
    assert_eq!(world.cases.ledger.open.len(), 1);
    world.visit(7, true);
    world.review();
    world.second += 1;
    hit.iter().for_each(|index| world.visit(*index, true));
    world.review();
    world.second += 1;
    hit.iter().for_each(|index| world.visit(*index, false));
    for _ in 0..2 {
        let wanted = world.review();
        world.measure(&wanted, passing);
        world.visit(7, true);
        world.review();
        let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
        assert_eq!((incident.id, incident.scope, incident.endpoints.len()), (1, Scope::Egress, 5), "{incident:?}");
        world.second += 1;
    }
}

/// What new flows do where a table is full: all fail, whatever their source ports.
fn shut(key: &Key) -> Vec<(Contrast, bool)> {
    match key.ask {
        Ask::SourcePorts => {
            vec![(Contrast::PortDecides, false), (Contrast::NewFlowsMixed, false), (Contrast::NewFlowsPass, false)]
        }
        _ => denied(key),
    }
}

#[test]
fn a_table_that_is_full_does_not_come_and_go() {
    let mut world = World::new(endpoints(12, &[443]));
    world.round(|_| false);
    (0..4).for_each(|_| moment_without(&mut world, &[7], shut));
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!(incident.finding.cause, Cause::FlowTableFull);
}

#[test]
fn what_new_flows_did_before_one_passed_is_asked_again_after_it() {
    let mut world = World::new(endpoints(12, &[443]));
    world.round(|_| false);
    world.second += 8;
    world.visit(7, true);
    let wanted = world.review();
    assert!(wanted.errands.iter().any(|(key, _)| key.ask == Ask::SourcePorts), "{:?}", wanted.errands);
    world.measure(&wanted, shut);
    world.second += 1;
    world.visit(7, false);
    let wanted = world.review();
    assert!(wanted.errands.iter().any(|(key, _)| key.ask == Ask::SourcePorts), "{:?}", wanted.errands);
    world.second += 1;
    world.measure(&wanted, shut);
    world.review();
    assert_eq!(world.causes()[7], Some(Cause::FlowTableFull));
}

/// Some flows at once get one answer and some another, whatever their source ports.
fn mixed(key: &Key) -> Vec<(Contrast, bool)> {
    match key.ask {
        Ask::SourcePorts => {
            vec![(Contrast::PortDecides, false), (Contrast::NewFlowsMixed, true), (Contrast::NewFlowsPass, false)]
        }
        _ => denied(key),
    }
}

/// One endpoint's answers are wrong and right in turn, asked again a second later.
fn in_turn(world: &mut World, index: usize, wrong: Finding) {
    world.visit_that(index, Some(wrong));
    let wanted = world.review();
    world.measure(&wanted, mixed);
    world.second += 1;
    world.visit(index, false);
    let wanted = world.review();
    world.measure(&wanted, mixed);
    world.review();
    world.second += 11;
    world.round(|_| false);
}

#[test]
fn answers_that_are_wrong_and_right_in_turn_are_the_peers_and_no_full_table() {
    let answered = [
        (Cause::HttpStatus, Phase::Response),
        (Cause::TlsCertInvalid, Phase::Tls),
        (Cause::TlsRejected, Phase::Tls),
        (Cause::ProtocolViolation, Phase::Response),
    ];
    for (cause, phase) in answered {
        let mut world = World::new(endpoints(12, &[443]));
        world.round(|_| false);
        for turn in 0..6 {
            in_turn(&mut world, 7, Finding::new(cause, phase, Confidence::Confirmed));
            let said: Vec<Cause> = world.causes().into_iter().flatten().collect();
            assert!(said.iter().all(|said| *said == cause), "{cause:?}, turn {turn}: {said:?}");
        }
        let [incident] = &world.cases.ledger.open[..] else { panic!("{cause:?}: {:?}", world.cases.ledger.open) };
        assert_eq!((incident.finding.cause, incident.component.as_str()), (cause, "20.0.0.8:443"));
        assert!(incident.evidence[0].starts_with("it comes and goes: 6 times"), "{incident:?}");
    }
}

#[test]
fn connections_that_are_all_made_and_cut_now_and_then_are_no_full_table() {
    let mut world = World::new(endpoints(12, &[443]));
    world.round(|_| false);
    (0..6).for_each(|_| in_turn(&mut world, 7, Finding::new(Cause::TlsBlocked, Phase::Tls, Confidence::Likely)));
    let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
    assert_eq!(incident.finding.cause, Cause::TlsBlocked, "{incident:?}");
}

/// So many rounds on a path that loses packets, one every 10 s, in which those are silent of whom `is_lost` says so by turn.
fn lossy_rounds(world: &mut World, count: u64, is_lost: impl Fn(u64, &Endpoint) -> bool) {
    for turn in 0..count {
        world.second += 10;
        for index in 0..world.views.len() {
            let is_lost = is_lost(turn, &world.views[index].endpoint);
            let silence = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
            let mut visit = world.visit_of(index, is_lost.then_some(silence));
            if !is_lost {
                let retransmits = 3 * u32::from((index as u64 + turn).is_multiple_of(2));
                let round_trip = Duration::from_millis(5);
                visit.outcomes[0].seen.tcp =
                    Some(TcpInfo { retransmits, round_trip, path_mtu: 1500, ..TcpInfo::default() });
            }
            world.take_in(index, visit);
        }
        let wanted = world.review();
        world.measure(&wanted, denied);
        world.review();
    }
}

#[test]
fn a_port_that_never_answers_is_denied_where_loss_would_have_let_some_of_it_pass() {
    let causes_on = |world: &World, port: u16| -> BTreeSet<Option<Cause>> {
        let causes = world.views.iter().zip(world.causes());
        causes.filter(|(view, _)| view.endpoint.target.port == port).map(|(_, cause)| cause).collect()
    };
    let mut world = World::new(endpoints(4, &[80, 443, 1433]));
    lossy_rounds(&mut world, 2, |_, _| false);
    lossy_rounds(&mut world, 6, |_, endpoint| endpoint.target.port == 1433);
    assert_eq!(causes_on(&world, 1433), [Some(Cause::Dropped)].into(), "{:?}", world.cases.diagnosis(2));
    assert_eq!(causes_on(&world, 443), [Some(Cause::PacketLoss)].into(), "{:?}", world.cases.diagnosis(1));

    let mut chance = World::new(endpoints(4, &[80, 443, 1433]));
    lossy_rounds(&mut chance, 2, |_, _| false);
    // One of the port's four hosts passes in every round; in the end none does, once.
    let is_lost = |turn: u64, endpoint: &Endpoint| {
        endpoint.target.port == 1433 && (turn == 5 || &*endpoint.id.0 != "20.0.0.4:1433")
    };
    lossy_rounds(&mut chance, 6, is_lost);
    assert_eq!(causes_on(&chance, 1433), [Some(Cause::PacketLoss)].into(), "{:?}", chance.cases.diagnosis(2));
}
