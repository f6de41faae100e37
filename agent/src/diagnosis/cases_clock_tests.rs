//! Cases while somebody sets the wall clock, or while it is wrong.

use ase_probes::{
    http::{Answer, Reply},
    tls::{Certificate, Handshake, Invalid},
};

use super::*;

#[test]
fn a_clock_that_is_set_back_widens_nothing_and_asks_nobody_again() {
    let mut world = World::new(endpoints(4, &[80, 443]));
    let silent = |endpoint: &Endpoint| ["20.0.0.1:443", "20.0.0.2:443"].contains(&&*endpoint.id.0);
    world.round(|_| false);
    for turn in 0..10 {
        world.second += 30;
        world.set_back = if turn < 3 { 0 } else { 3600 };
        let wanted = world.round(silent);
        assert_eq!(wanted.visits, BTreeSet::new(), "turn {turn}: everybody has just been visited");
        world.measure(&wanted, denied);
        world.review();
        let scopes: Vec<Scope> = world.cases.ledger.open.iter().map(|incident| incident.scope).collect();
        assert!(!scopes.is_empty() && !scopes.contains(&Scope::Port), "turn {turn}: others on 443 work: {scopes:?}");
    }
    let begun = world.changes.iter().filter(|change| matches!(change, Change::Began(_))).count();
    world.second += 30;
    world.round(|_| false);
    let ended = world.changes.iter().filter(|change| matches!(change, Change::Ended(_))).count();
    assert_eq!((world.cases.ledger.open.len(), ended), (0, begun));
}

#[test]
fn a_clock_that_is_set_back_during_an_outage_holds_no_incident_open() {
    let mut world = World::new(endpoints(12, &[443]));
    world.round(|_| false);
    let is_lost = |endpoint: &Endpoint| ["20.0.0.2:443", "20.0.0.3:443"].contains(&&*endpoint.id.0);
    let mut components = BTreeSet::new();
    for turn in 0..20 {
        world.second += 10;
        world.set_back = if turn < 10 { 0 } else { 3600 };
        let wanted = world.round(is_lost);
        world.measure(&wanted, denied);
        world.second += 1;
        world.review();
        components.extend(world.cases.ledger.open.iter().map(|incident| incident.component.clone()));
    }
    assert_eq!(components.into_iter().collect::<Vec<_>>(), ["single hosts on TCP 443"]);
    let told = |world: &World| world.cases.ledger.open.iter().map(|incident| incident.id).collect::<Vec<_>>();
    assert_eq!(told(&world), [1]);
    world.second += 10;
    world.round(|_| false);
    world.review();
    assert!(told(&world).is_empty(), "all is well again");
}

/// The only host that is silent for two seconds, three times, so that its incident comes and goes.
fn that_comes_and_goes() -> World {
    let mut world = World::new(endpoints(4, &[443]));
    world.round(|_| false);
    let first = |endpoint: &Endpoint| &*endpoint.id.0 == "20.0.0.1:443";
    for turn in 0..4 {
        world.second += 30;
        let wanted = world.round(first);
        world.measure(&wanted, denied);
        world.second += 9;
        world.round(first);
        assert_eq!(world.cases.ledger.open.len(), 1, "turn {turn}");
        world.second += 1;
        world.round(|_| false);
    }
    assert_eq!(world.cases.ledger.open.len(), 1, "it comes and goes");
    world
}

#[test]
fn a_clock_that_is_set_ends_nothing_that_comes_and_goes_before_its_time() {
    for (set_back, set_forward) in [(0, 0), (3600, 0), (0, 3600)] {
        let mut world = that_comes_and_goes();
        let told = Arc::clone(&world.cases.ledger.open[0]);
        (world.set_back, world.set_forward) = (set_back, set_forward);
        for _ in 0..11 {
            world.second += 10;
            world.round(|_| false);
            let open: Vec<u64> = world.cases.ledger.open.iter().map(|incident| incident.id).collect();
            assert_eq!(open, [told.id], "{set_back} {set_forward}: it may come back");
        }
        world.second += 10;
        world.round(|_| false);
        assert!(world.cases.ledger.open.is_empty(), "{set_back} {set_forward}: quiet for two minutes");
        let ended = world.cases.ledger.closed.last().expect("it ended").ended;
        assert_eq!(ended, world.at().wall, "told by the wall clock as it is");
    }
}

#[test]
fn a_clock_that_is_set_during_a_visit_makes_no_trouble_older_than_what_worked_before() {
    for (set_back, set_forward) in [(0, 0), (3600, 0), (0, 3600)] {
        let mut world = World::new(endpoints(5, &[80, 443]));
        world.round(|_| false);
        for _ in 0..2 {
            world.second += 10;
            let began = world.at().wall;
            world.second += 5;
            (world.set_back, world.set_forward) = (set_back, set_forward);
            for index in 0..world.views.len() {
                let silence = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
                let is_lost = world.views[index].endpoint.target.port == 443;
                let took = Duration::from_secs(if is_lost { 5 } else { 0 });
                let visit = world.visit_of(index, is_lost.then_some(silence));
                world.take_in(index, Visit { began, took, ..visit });
            }
            let wanted = world.review();
            world.measure(&wanted, denied);
            world.review();
        }
        let [incident] = &world.cases.ledger.open[..] else { panic!("{:?}", world.cases.ledger.open) };
        assert_eq!((incident.scope, incident.endpoints.len()), (Scope::Port, 5), "{set_back} {set_forward}");
    }
}

#[test]
fn a_certificate_is_excused_by_this_machines_clock_only_where_it_is_valid_by_the_others() {
    const HOUR: f64 = 3600.0;
    for (ahead, ended, expected) in [
        (HOUR, 3 * 86_400, Cause::TlsCertInvalid),
        (-HOUR, 3 * 86_400, Cause::TlsCertInvalid),
        (-HOUR, 1800, Cause::LocalClock),
        (-400.0 * 24.0 * HOUR, 3 * 86_400, Cause::LocalClock),
        (0.0, 1800, Cause::TlsCertInvalid),
    ] {
        let mut world = World::new(endpoints(6, &[443]));
        for _ in 0..2 {
            world.second += 10;
            for index in 0..6 {
                let invalid = Finding::new(Cause::TlsCertInvalid, Phase::Tls, Confidence::Likely);
                let mut visit = world.visit_of(index, (index == 0).then_some(invalid));
                let now = i64::try_from(visit.began.as_secs()).expect("it is near");
                let leaf =
                    Certificate { not_before: now - 40_000_000, not_after: now - ended, ..Certificate::default() };
                let invalid = Some(Invalid::Expired);
                let expired = Handshake { chain: vec![leaf], invalid, ..Handshake::default() };
                let reply = match index {
                    0 => Reply { tls: Some(expired), ..Reply::default() },
                    _ => {
                        let answer = Answer { clock_offset: Some(ahead), ..Answer::default() };
                        Reply { answer: Some(answer), ..Reply::default() }
                    }
                };
                visit.outcomes[0].protocol = Protocol::Http(Box::new(reply));
                world.take_in(index, visit);
            }
            world.review();
        }
        assert_eq!(world.causes()[0], Some(expected), "{ahead} {ended}: {:?}", world.cases.diagnosis(0));
    }
}
