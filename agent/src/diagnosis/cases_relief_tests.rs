//! How a trouble ends that several endpoints share.

use ase_probes::{
    dns::{Question, RecordType, Transport},
    resolve::Resolution,
};

use super::*;
use crate::model::diagnosis::Incident;

pub(super) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 4)), 53);

/// These names on port 443, and at the end the server that resolves them.
fn names(names: &[&str]) -> World {
    World::new(names.iter().map(|name| named(name)).chain([name_server(&SERVER.ip().to_string())]).collect())
}

pub(super) fn named(name: &str) -> Arc<Endpoint> {
    let model = endpoint("20.0.0.1", 443);
    let target = Target { host: Host::Name(name.to_owned()), ..model.target.clone() };
    Arc::new(Endpoint { id: EndpointId(format!("{name}:443").into()), target, ..(*model).clone() })
}

pub(super) fn name_server(address: &str) -> Arc<Endpoint> {
    let model = endpoint(address, SERVER.port());
    let probe = Probe::Dns(Question::address("a.example".to_owned(), RecordType::A, Transport::Udp));
    Arc::new(Endpoint { target: Target { probe, ..model.target.clone() }, ..(*model).clone() })
}

pub(super) const FOUR: [&str; 4] = ["a.one.example", "b.two.example", "c.three.example", "d.four.example"];

pub(super) fn servfail() -> Finding {
    Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed)
}

fn silence() -> Finding {
    Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible)
}

impl World {
    /// A visit that took so many seconds. Of a name, what was found is found at the server.
    pub(super) fn visit_after(&mut self, index: usize, found: Option<Finding>, seconds: u64) {
        let took = Duration::from_secs(seconds);
        let visit = Visit { began: self.at().wall - took, took, ..self.visit_of(index, found) };
        let Host::Name(name) = self.views[index].endpoint.target.host.clone() else {
            return self.take_in(index, visit);
        };
        let resolution = Resolution {
            name,
            addresses: if found.is_some() { Vec::new() } else { vec![visit.outcomes[0].address.ip()] },
            server: Some(SERVER),
            elapsed: took,
            failures: found.map(|found| outcome(SERVER, Some(found))).into_iter().collect(),
            finding: found,
        };
        let outcomes = if found.is_some() { Vec::new() } else { visit.outcomes.clone() };
        self.take_in(index, Visit { resolution: Some(resolution), outcomes, ..visit });
    }

    fn is_open(&self) -> Vec<(u64, &str, usize)> {
        let told = |incident: &Arc<Incident>| incident.id;
        let open = &self.cases.ledger.open;
        open.iter().map(|it| (told(it), it.component.as_str(), it.endpoints.len())).collect()
    }

    fn begun(&self) -> usize {
        self.changes.iter().filter(|change| matches!(change, Change::Began(_))).count()
    }
}

/// The server says of every name that it fails, for long enough.
fn without_the_server(world: &mut World) {
    (0..world.views.len()).for_each(|index| world.visit_after(index, None, 0));
    for _ in 0..2 {
        world.second += 10;
        (0..world.views.len()).for_each(|index| world.visit_after(index, Some(servfail()), 0));
        world.review();
    }
    let all = world.views.len();
    assert_eq!(world.is_open(), [(1, "the DNS server 10.0.0.4", all)]);
}

#[test]
fn a_visit_that_was_under_way_at_the_repair_shows_an_old_sign() {
    let mut world = names(&FOUR);
    without_the_server(&mut world);
    world.second += 10;
    [0, 1, 2, 4].into_iter().for_each(|index| world.visit_after(index, None, 1));
    let wanted = world.review();
    assert!(wanted.visits.contains(&3));
    world.second += 4;
    // Its first bytes left before the repair.
    world.visit_after(3, Some(servfail()), 6);
    let wanted = world.review();
    assert_eq!(world.is_open(), [(1, "the DNS server 10.0.0.4", 1)], "as it was");
    assert!(wanted.visits.contains(&3), "what is left is asked at once");
    world.second += 1;
    world.visit_after(3, None, 1);
    world.review();
    assert_eq!((world.is_open(), world.begun(), world.changes.len()), (vec![], 1, 2), "{:?}", world.changes);
}

#[test]
fn a_visit_that_is_put_off_leaves_an_old_sign_old_and_one_that_nobody_may_make_does_not() {
    let forbidden = Untested::Forbidden(SERVER.ip());
    for (untested, left) in [
        (Untested::BudgetSpent, "the DNS server 10.0.0.4"),
        (Untested::Resting, "the DNS server 10.0.0.4"),
        (Untested::NoTime, "the DNS server 10.0.0.4"),
        (forbidden, "d.four.example:443"),
    ] {
        let mut world = names(&FOUR);
        without_the_server(&mut world);
        world.second += 10;
        [0, 1, 2, 4].into_iter().for_each(|index| world.visit_after(index, None, 1));
        world.review();
        world.second += 1;
        let at = world.at();
        let visit = Visit { outcomes: Vec::new(), result: Err(untested), ..world.visit_of(3, None) };
        let around = Neighbours { views: &world.views, names: &world.names, platform: PLATFORM, now: at.wall };
        assert_eq!(world.cases.take_in(3, &visit, &around, at), Err(untested));
        world.review();
        assert_eq!(world.is_open(), [(1, left, 1)], "{untested:?}: {:?}", world.changes);
        world.second += 10;
        world.visit_after(3, None, 0);
        world.review();
        assert_eq!((world.is_open(), world.begun()), (vec![], 1), "{untested:?}: {:?}", world.changes);
    }
}

#[test]
fn a_visit_that_ended_in_another_way_after_the_repair_tells_no_more_than_when_it_began() {
    let mut world = names(&FOUR);
    without_the_server(&mut world);
    world.second += 10;
    [0, 1, 2, 4].into_iter().for_each(|index| world.visit_after(index, None, 1));
    world.review();
    world.second += 4;
    world.visit_after(3, Some(Finding::new(Cause::ProtocolViolation, Phase::Dns, Confidence::Confirmed)), 6);
    world.review();
    assert_eq!(world.is_open(), [(1, "the DNS server 10.0.0.4", 1)], "as it was");
    world.second += 1;
    world.visit_after(3, None, 1);
    world.review();
    assert_eq!((world.is_open(), world.begun()), (vec![], 1), "{:?}", world.changes);
}

#[test]
fn a_failure_that_the_server_remembers_is_no_trouble_of_the_name_and_one_that_stays_is() {
    for stays in [false, true] {
        let mut world = names(&FOUR);
        without_the_server(&mut world);
        world.second += 10;
        [0, 1, 2, 4].into_iter().for_each(|index| world.visit_after(index, None, 1));
        world.review();
        world.second += 2;
        world.visit_after(3, Some(servfail()), 0);
        world.review();
        assert_eq!(world.is_open(), [(1, "the DNS server 10.0.0.4", 1)], "as it was");
        world.second += 10;
        world.visit_after(3, Some(servfail()).filter(|_| stays), 0);
        world.review();
        let left = if stays { vec![(1, "d.four.example:443", 1)] } else { vec![] };
        assert_eq!((world.is_open(), world.begun()), (left, 1), "{:?}", world.changes);
    }
}

#[test]
fn a_name_that_fails_once_more_after_its_server_has_failed_is_the_same_incident() {
    let mut world = names(&FOUR);
    without_the_server(&mut world);
    world.second += 10;
    (0..5).for_each(|index| world.visit_after(index, None, 0));
    world.review();
    assert_eq!(world.is_open(), []);
    for hit in [vec![2], vec![1, 2]] {
        for _ in 0..2 {
            world.second += 10;
            (0..5).for_each(|index| world.visit_after(index, Some(servfail()).filter(|_| hit.contains(&index)), 0));
            world.review();
        }
        assert_eq!(world.is_open().iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1], "{:?}", world.changes);
    }
    assert_eq!(world.begun(), 1);
    world.second += 10;
    (0..5).for_each(|index| world.visit_after(index, None, 0));
    world.review();
    // Another name is another trouble, and so is the same name where somebody answers and is silent.
    for _ in 0..2 {
        world.second += 10;
        let silent = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
        let visit = Visit { resolution: None, ..world.visit_of(2, Some(silent)) };
        world.take_in(2, visit);
        world.review();
    }
    assert_eq!(world.begun(), 2, "{:?}", world.changes);
}

/// Hosts outside on three ports; all but the last are silent for long enough, and the last was not asked meanwhile.
fn without_a_way() -> World {
    let mut world = World::new(endpoints(4, &[80, 443, 1433]));
    world.round(|_| false);
    let last = world.views.len() - 1;
    for _ in 0..3 {
        world.second += 10;
        (0..last).for_each(|index| world.visit(index, true));
        let wanted = world.review();
        world.measure(&wanted, denied);
        world.second += 1;
        world.review();
    }
    assert_eq!(world.is_open(), [(1, "everything outside this network", last)]);
    world
}

#[test]
fn one_who_works_first_and_was_not_asked_in_the_outage_begins_no_narrower_incidents() {
    let mut world = without_a_way();
    let last = world.views.len() - 1;
    let before = world.causes();
    world.second += 1;
    world.visit(last, false);
    let wanted = world.review();
    assert_eq!(world.is_open(), [(1, "everything outside this network", last)], "{:?}", world.changes);
    assert!((0..last).all(|index| wanted.visits.contains(&index)), "{:?}", wanted.visits);
    assert_eq!(world.causes(), before, "each keeps its cause");
    world.second += 1;
    let wanted = world.review();
    assert!((0..last).all(|index| !wanted.visits.contains(&index)), "once: {:?}", wanted.visits);
    world.second += 5;
    // One visit was under way.
    world.visit_after(0, Some(silence()), 8);
    (1..last).for_each(|index| world.visit(index, false));
    world.review();
    assert_eq!(world.is_open(), [(1, "everything outside this network", 1)], "{:?}", world.changes);
    world.second += 1;
    world.visit(0, false);
    world.review();
    assert_eq!((world.is_open(), world.begun()), (vec![], 1), "{:?}", world.changes);
}

#[test]
fn what_stays_lost_after_a_part_was_mended_is_told_as_what_it_is() {
    let mut world = without_a_way();
    let last = world.views.len() - 1;
    world.second += 1;
    world.visit(last, false);
    world.review();
    for _ in 0..2 {
        world.second += 10;
        let wanted = world.round(|endpoint| endpoint.target.port == 443);
        world.measure(&wanted, denied);
        world.second += 1;
        world.review();
    }
    assert_eq!(world.is_open(), [(1, "TCP 443 to every host", 4)], "{:?}", world.changes);
    // All the rest is lost as well, later, and mended at once.
    for _ in 0..2 {
        world.second += 10;
        let wanted = world.round(|_| true);
        world.measure(&wanted, denied);
        world.second += 1;
        world.review();
    }
    let open = [(1, "TCP 443 to every host", 4), (2, "everything outside this network", 8)];
    assert_eq!(world.is_open(), open, "what was lost before is no part of it: {:?}", world.changes);
    world.second += 10;
    world.round(|_| false);
    assert_eq!((world.is_open(), world.begun()), (vec![], 2), "{:?}", world.changes);
}

#[test]
fn one_whose_visit_ends_after_the_repair_begins_nothing_and_one_that_fails_afterwards_does() {
    for fails_again in [false, true] {
        let mut world = without_a_way();
        let last = world.views.len() - 1;
        world.second += 1;
        (0..last).for_each(|index| world.visit(index, false));
        world.review();
        assert_eq!(world.is_open(), []);
        world.second += 4;
        world.visit_after(last, Some(silence()), 6);
        let wanted = world.review();
        assert!(wanted.visits.contains(&last), "what is left is asked at once");
        world.measure(&wanted, denied);
        world.second += 9;
        world.review();
        assert_eq!((world.is_open(), world.begun()), (vec![], 1), "{:?}", world.changes);
        let begun = if fails_again { 2 } else { 1 };
        for _ in 0..2 {
            world.second += 1;
            world.visit(last, fails_again);
            let wanted = world.review();
            world.measure(&wanted, denied);
            world.review();
        }
        assert_eq!(world.begun(), begun, "{:?}", world.changes);
    }
}
