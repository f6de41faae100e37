//! How a trouble ends that several endpoints share.

use ase_probes::{
    dns::{Question, RecordType, Transport},
    resolve::Resolution,
};

use super::*;
use crate::model::diagnosis::Incident;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 4)), 53);

/// These names on port 443, and at the end the server that resolves them.
fn names(names: &[&str]) -> World {
    let named = |name: &str| {
        let model = endpoint("20.0.0.1", 443);
        let target = Target { host: Host::Name(name.to_owned()), ..model.target.clone() };
        Arc::new(Endpoint { id: EndpointId(format!("{name}:443").into()), target, ..(*model).clone() })
    };
    let mut all: Vec<_> = names.iter().map(|name| named(name)).collect();
    let model = endpoint(&SERVER.ip().to_string(), SERVER.port());
    let probe = Probe::Dns(Question::address("a.example".to_owned(), RecordType::A, Transport::Udp));
    all.push(Arc::new(Endpoint { target: Target { probe, ..model.target.clone() }, ..(*model).clone() }));
    World::new(all)
}

const FOUR: [&str; 4] = ["a.one.example", "b.two.example", "c.three.example", "d.four.example"];

fn servfail() -> Finding {
    Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed)
}

fn silence() -> Finding {
    Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible)
}

impl World {
    /// A visit that took so many seconds. Of a name, what was found is found at the server.
    fn visit_after(&mut self, index: usize, found: Option<Finding>, seconds: u64) {
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
    // The rest is lost long after, which is something else, and all is mended at once.
    for _ in 0..2 {
        world.second += 10;
        let wanted = world.round(|_| true);
        world.measure(&wanted, denied);
        world.second += 1;
        world.review();
    }
    let both = [(1, "TCP 443 to every host", 4), (2, "everything outside this network", 8)];
    assert_eq!(world.is_open(), both, "{:?}", world.changes);
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

#[test]
fn names_that_fail_alone_are_told_as_names_once_they_were_asked_again_after_another_resolved() {
    for (hit, names, is_at_once) in
        [(vec![2], "c.three.example:443", true), (vec![2, 3], "single names at the DNS server 10.0.0.4", false)]
    {
        let mut world = self::names(&FOUR);
        (0..5).for_each(|index| world.visit_after(index, None, 0));
        world.second += 10;
        hit.iter().for_each(|index| world.visit_after(*index, Some(servfail()), 0));
        world.review();
        let told = |world: &World| world.is_open().into_iter().map(|(_, it, _)| it.to_owned()).collect::<Vec<_>>();
        assert_eq!(told(&world), ["the DNS server 10.0.0.4"], "nobody else was asked");
        world.second += 1;
        world.visit_after(0, None, 0);
        let wanted = world.review();
        assert_eq!(told(&world) == [names], is_at_once, "{:?}", world.is_open());
        assert_eq!(hit.iter().all(|index| wanted.visits.contains(index)), !is_at_once);
        world.second += 1;
        hit.iter().for_each(|index| world.visit_after(*index, Some(servfail()), 0));
        world.review();
        assert_eq!((told(&world), world.begun()), (vec![names.to_owned()], 1), "{:?}", world.changes);
    }
}
