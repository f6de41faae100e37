//! A path that loses some flows for good, over time: who meets only those is silent, and nothing else is behind it.

use super::*;

/// What source ports showed: whether they decide, whether new flows fared differently, and whether all of them passed.
type Shown = (bool, bool, bool);

const PER_PORT: Shown = (true, true, false);
const ALL_WORK: Shown = (false, false, true);
const ALL_FAIL: Shown = (false, false, false);
const RANDOM: Shown = (false, true, false);

/// What a network says in which source ports showed this, and nothing else is wrong.
fn answers((decide, mixed, pass): Shown) -> impl Fn(&Key) -> Vec<(Contrast, bool)> {
    move |key| match key.ask {
        Ask::SourcePorts => {
            vec![(Contrast::PortDecides, decide), (Contrast::NewFlowsMixed, mixed), (Contrast::NewFlowsPass, pass)]
        }
        _ => denied(key),
    }
}

/// An endpoint that is asked by datagrams.
fn by_datagram(host: &str, port: u16) -> Arc<Endpoint> {
    let model = endpoint(host, port);
    let probe = match port {
        53 => {
            Probe::Dns(ase_probes::dns::Question::liveness("example.com".to_owned(), ase_probes::dns::Transport::Udp))
        }
        _ => Probe::Ntp(ase_probes::ntp::Question),
    };
    Arc::new(Endpoint { target: Target { probe, ..model.target.clone() }, ..(*model).clone() })
}

/// How silence looks on a port.
fn silence(phase: Phase) -> Finding {
    Finding::new(Cause::Dropped, phase, Confidence::Possible)
}

/// Endpoints are silent, are asked again, and their source ports decide: from now on it is known that flows die there.
fn flows_die(world: &mut World, indices: &[usize], phase: Phase) {
    // A hello alone that is not answered is no reason to try source ports.
    let phase = if phase == Phase::Tls { Phase::Connect } else { phase };
    world.round(|_| false);
    for index in indices {
        world.second += 20;
        world.visit_that(*index, Some(silence(phase)));
        let wanted = world.review();
        world.measure(&wanted, answers(PER_PORT));
        world.second += 1;
        world.visit_that(*index, Some(silence(phase)));
        world.review();
        assert_eq!(world.causes()[*index], Some(Cause::FlowHashLoss));
        world.second += 10;
        world.visit(*index, false);
        world.review();
    }
}

/// An endpoint is silent, and is silent again when it is asked a second later. Everything is measured but source ports,
/// which take longer; says what is still wanted.
fn silent_twice(world: &mut World, index: usize, phase: Phase) -> Wanted {
    let mut wanted = Wanted::default();
    for pause in [8, 1] {
        world.second += pause;
        world.visit_that(index, Some(silence(phase)));
        let mut others = world.review();
        others.errands.retain(|(key, _)| key.ask != Ask::SourcePorts);
        world.measure(&others, denied);
        wanted = world.review();
    }
    wanted
}

/// The causes of which an incident ever began.
fn begun(world: &World) -> Vec<Cause> {
    world.cases.ledger.opened.keys().copied().collect()
}

/// Four hosts on one port, and two on another.
fn hosts(by_datagrams: Option<u16>) -> Vec<Arc<Endpoint>> {
    let mut hosts: Vec<Arc<Endpoint>> = match by_datagrams {
        Some(port) => (1..=4).map(|host| by_datagram(&format!("10.0.0.{host}"), port)).collect(),
        None => endpoints(4, &[443]),
    };
    hosts.extend((1..=2).map(|host| endpoint(&format!("20.0.1.{host}"), 80)));
    hosts
}

/// Every way of being silent that a flow which dies has, with the hosts that are.
fn silences() -> [(Phase, Vec<Arc<Endpoint>>); 4] {
    [
        (Phase::Connect, hosts(None)),
        (Phase::Tls, hosts(None)),
        (Phase::Dns, hosts(Some(53))),
        (Phase::Ntp, hosts(Some(123))),
    ]
}

#[test]
fn silence_where_flows_are_known_to_die_is_no_drop_while_it_is_measured() {
    for (phase, hosts) in silences() {
        let mut world = World::new(hosts);
        flows_die(&mut world, &[0], phase);
        let wanted = silent_twice(&mut world, 2, phase);
        assert_eq!(world.causes()[2], Some(Cause::FlowHashLoss), "{phase:?}: {:?}", world.cases.diagnosis(2));
        let origin = world.cases.diagnosis(2).map(|diagnosis| diagnosis.origin);
        assert_eq!(origin, Some(Origin::Inferred), "{phase:?}: it was measured at another");
        let asks = |key: &Key| key.ask == Ask::SourcePorts;
        assert!(wanted.errands.iter().any(|(key, index)| asks(key) && *index == 2), "{phase:?}: {wanted:?}");
        assert_eq!(begun(&world), [Cause::FlowHashLoss], "{phase:?}");
    }
}

#[test]
fn silence_that_began_before_the_repair_is_no_drop_and_no_full_table_because_flows_pass_when_it_is_asked() {
    for (phase, hosts) in silences() {
        for shown in [ALL_WORK, RANDOM] {
            let mut world = World::new(hosts.clone());
            flows_die(&mut world, &[0, 1], phase);
            let wanted = silent_twice(&mut world, 2, phase);
            world.measure(&wanted, answers(shown));
            for _ in 0..40 {
                world.review();
                world.second += 8;
                let wanted = world.round(|_| false);
                world.measure(&wanted, answers(ALL_WORK));
            }
            assert_eq!(begun(&world), [Cause::FlowHashLoss], "{phase:?} {shown:?}");
            assert!(world.cases.ledger.open.is_empty(), "{phase:?} {shown:?}: {:?}", world.cases.ledger.open);
            assert_eq!(world.cases.ledger.closed.len(), 1, "{phase:?} {shown:?}: it is one incident");
        }
    }
}

#[test]
fn turns_of_flows_that_died_are_no_other_fault_when_they_are_measured_after_the_repair() {
    for shown in [ALL_WORK, RANDOM] {
        let mut world = World::new(hosts(None));
        world.round(|_| false);
        for hit in [[0, 1], [2, 3], [0, 2], [1, 3]] {
            turns::moment_without(&mut world, &hit, answers(PER_PORT));
        }
        // Whom a measurement was made for that the repair came before, or fell into.
        for view in &world.views[..4] {
            let Host::Address(address) = view.endpoint.target.host else { panic!("every host is an address") };
            let about = Some(Arc::clone(&view.endpoint.id.0));
            let key = Key { ask: Ask::SourcePorts, peer: (address, 443).into(), about };
            let measured: Contrasts = answers(shown)(&key).into_iter().collect();
            world.cases.learn(key, Measured::from(measured), world.at());
        }
        for _ in 0..40 {
            world.second += 8;
            world.round(|_| false);
        }
        assert_eq!(begun(&world), [Cause::FlowHashLoss], "{shown:?}");
        assert!(world.cases.ledger.open.is_empty(), "{shown:?}: {:?}", world.cases.ledger.open);
    }
}

#[test]
fn a_host_of_which_all_flows_fail_is_lost_once_chance_would_have_let_one_of_its_visits_pass() {
    for (phase, hosts) in silences() {
        let mut world = World::new(hosts);
        flows_die(&mut world, &[0], phase);
        let wanted = silent_twice(&mut world, 2, phase);
        world.measure(&wanted, answers(ALL_FAIL));
        world.review();
        assert_eq!(world.causes()[2], Some(Cause::FlowHashLoss), "{phase:?}: six flows fail by chance now and then");
        silent_twice(&mut world, 2, phase);
        let expected = if phase == Phase::Tls { Cause::TlsBlocked } else { Cause::Dropped };
        assert_eq!(world.causes()[2], Some(expected), "{phase:?}: {:?}", world.cases.diagnosis(2));
    }
}

#[test]
fn a_host_that_stays_silent_is_lost_whatever_was_measured_or_where_nothing_can_be() {
    for measured in [Some(ALL_WORK), None] {
        let mut world = World::new(hosts(None));
        flows_die(&mut world, &[0], Phase::Connect);
        let wanted = silent_twice(&mut world, 2, Phase::Connect);
        if let Some(shown) = measured {
            world.measure(&wanted, answers(shown));
        }
        world.review();
        assert_eq!(world.causes()[2], Some(Cause::FlowHashLoss), "{measured:?}: chance may have made it");
        (0..6).for_each(|_| drop(silent_twice(&mut world, 2, Phase::Connect)));
        assert_eq!(world.causes()[2], Some(Cause::Dropped), "{measured:?}: {:?}", world.cases.diagnosis(2));
    }
}

#[test]
fn a_host_that_is_lost_where_others_fail_and_pass_in_turn_is_found_once_chance_would_have_let_it_pass() {
    let mut world = World::new(hosts(None));
    world.round(|_| false);
    for hit in [[0, 1], [1, 2]] {
        turns::moment_without(&mut world, &hit, answers(PER_PORT));
    }
    for _ in 0..5 {
        world.second += 8;
        let wanted = world.round(|endpoint| &*endpoint.id.0 == "20.0.0.4:443");
        world.measure(&wanted, |key| {
            let lost = key.peer.ip() == IpAddr::from([20, 0, 0, 4]);
            answers(if lost { ALL_FAIL } else { PER_PORT })(key)
        });
        world.review();
    }
    let expected = [Some(Cause::FlowHashLoss), Some(Cause::Dropped)];
    assert_eq!([world.causes()[0], world.causes()[3]], expected, "{:?}", world.cases.diagnosis(3));
}

#[test]
fn a_way_that_is_lost_while_flows_are_known_to_die_is_lost_for_all() {
    for measured_while_it_works in [false, true] {
        let mut world = World::new(hosts(None));
        if measured_while_it_works {
            world.round(|_| false);
            [[0, 1], [2, 3]].iter().for_each(|hit| turns::moment_without(&mut world, hit, answers(PER_PORT)));
        } else {
            flows_die(&mut world, &[0], Phase::Connect);
        }
        for _ in 0..6 {
            world.second += 8;
            let wanted = world.round(|_| true);
            world.measure(&wanted, answers(ALL_FAIL));
            world.review();
        }
        assert_eq!(world.causes(), [Some(Cause::Dropped); 6], "{measured_while_it_works}");
        let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
        assert_eq!((incident.scope, incident.endpoints.len()), (Scope::Egress, 6), "{incident:?}");
    }
}

#[test]
fn flows_that_die_on_one_port_say_nothing_of_another_and_nothing_after_some_minutes() {
    for (index, later) in [(4, 0), (2, 200)] {
        let mut world = World::new(hosts(None));
        flows_die(&mut world, &[0], Phase::Connect);
        world.second += later;
        silent_twice(&mut world, index, Phase::Connect);
        assert_eq!(world.causes()[index], Some(Cause::Dropped), "{index} {later}");
    }
}
