//! DNS servers die while something narrow has been broken for long.

use ase_probes::{evidence::Operation, resolve::Resolution};

use super::{
    ends::{FOUR, SERVER, name_server, named, servfail},
    waves::open,
    *,
};

/// ECONNREFUSED.
const CONNECTION_REFUSED: i32 = 111;

/// What a name server that is gone looks like.
fn silence() -> Finding {
    Finding::new(Cause::Dropped, Phase::Dns, Confidence::Possible)
}

impl World {
    /// So many rounds, one every 30 s, in which these find something and measurements are answered.
    fn rounds_that(&mut self, count: u32, found: impl Fn(usize) -> Option<Finding>) {
        (0..count).for_each(|_| {
            let all: Vec<usize> = (0..self.views.len()).collect();
            self.find(30, &all, &found);
        });
    }

    /// After so many seconds these are visited, and nobody else.
    fn find(&mut self, seconds: u64, indices: &[usize], found: impl Fn(usize) -> Option<Finding>) {
        self.second += seconds;
        indices.iter().for_each(|index| self.visit_after(*index, found(*index), 0));
        let wanted = self.review();
        self.measure(&wanted, denied);
        self.second += 1;
        self.review();
    }

    fn told(&self) -> Vec<(u64, String, usize, u64)> {
        open(self).into_iter().map(|(id, component, count, since)| (id, component.to_owned(), count, since)).collect()
    }
}

fn told(id: u64, component: &str, count: usize, since: u64) -> (u64, String, usize, u64) {
    (id, component.to_owned(), count, since)
}

#[test]
fn what_was_lost_long_before_is_no_wider_when_the_dns_server_dies() {
    for gone in [servfail(), silence()] {
        for old in [&["20.0.0.1:443", "40.0.0.1:443"][..], &["20.0.0.1:443", "40.0.0.1:443", "60.0.0.1:80"]] {
            let at = |id: &&str| id.parse::<SocketAddr>().expect("an address");
            let lost = old.iter().map(at).map(|at| endpoint(&at.ip().to_string(), at.port()));
            let all = lost.chain(FOUR.map(named)).chain([name_server(&SERVER.ip().to_string())]).collect();
            let mut world = World::new(all);
            world.rounds_that(1, |_| None);
            let dropped = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
            world.rounds_that(20, |index| (index < old.len()).then_some(dropped));
            let mut open = world.told();
            assert!(open.iter().any(|(_, component, ..)| component == "single hosts on TCP 443"), "{open:?}");
            let those: Vec<usize> = (old.len()..world.views.len()).collect();
            open.push(told(open.len() as u64 + 1, "the DNS server 10.0.0.4", those.len(), world.second + 5));
            let before = world.changes.len();
            (0..3).for_each(|_| world.find(5, &those, |_| Some(gone)));
            assert_eq!(world.told(), open, "{gone:?} {old:?}: {:?}", world.changes);
            assert_eq!(world.changes.len(), before + 1, "not even for a moment: {:?}", world.changes);
        }
    }
}

#[test]
fn a_dns_server_that_dies_is_no_part_of_the_name_that_failed_there_long_before() {
    let server = FOUR.len();
    let mut world = World::new(FOUR.map(named).into_iter().chain([name_server(&SERVER.ip().to_string())]).collect());
    world.rounds_that(1, |_| None);
    world.rounds_that(20, |index| (index == 0).then_some(servfail()));
    let name = told(1, "a.one.example:443", 1, 61);
    assert_eq!(world.told(), std::slice::from_ref(&name));
    let began = world.second + 5;
    world.find(5, &[0, server], |_| Some(servfail()));
    assert_eq!(world.told(), [name.clone(), told(2, "10.0.0.4:53", 1, began)], "{:?}", world.changes);
    world.find(1, &[1, 2, 3], |_| Some(servfail()));
    assert_eq!(world.told(), [name.clone(), told(2, "the DNS server 10.0.0.4", 4, began)], "{:?}", world.changes);
    world.rounds_that(2, |_| Some(servfail()));
    assert_eq!(world.told(), [name.clone(), told(2, "the DNS server 10.0.0.4", 4, began)], "{:?}", world.changes);
    world.rounds_that(1, |index| (index == 0).then_some(servfail()));
    assert_eq!(world.told(), [name], "what was there before is what is left");
}

#[test]
fn names_that_failed_long_before_stay_names_when_their_server_dies_in_another_way() {
    let mut world = World::new(FOUR.map(named).into_iter().chain([name_server(&SERVER.ip().to_string())]).collect());
    world.rounds_that(1, |_| None);
    world.rounds_that(20, |index| (index < 2).then_some(servfail()));
    let names = told(1, "single names at the DNS server 10.0.0.4", 2, 61);
    assert_eq!(world.told(), std::slice::from_ref(&names));
    let began = world.second + 5;
    (0..3).for_each(|_| world.find(5, &[2, 3, 4], |_| Some(silence())));
    assert_eq!(world.told(), [names, told(2, "the DNS server 10.0.0.4", 3, began)], "{:?}", world.changes);
}

#[test]
fn names_that_failed_long_before_are_no_zone_when_another_name_of_it_is_lost_on_its_way() {
    let names = ["a.one.example", "b.one.example", "c.one.example"];
    let mut world = World::new(names.map(named).into_iter().chain([name_server(&SERVER.ip().to_string())]).collect());
    world.rounds_that(1, |_| None);
    world.rounds_that(20, |index| (index < 2).then_some(servfail()));
    let two = told(1, "single names at the DNS server 10.0.0.4", 2, 61);
    assert_eq!(world.told(), std::slice::from_ref(&two));
    for _ in 0..3 {
        world.second += 5;
        let lost = world.visit_of(2, Some(Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible)));
        let resolution = Resolution {
            name: names[2].to_owned(),
            addresses: vec![lost.outcomes[0].address.ip()],
            server: Some(SERVER),
            elapsed: Duration::ZERO,
            failures: Vec::new(),
            finding: None,
        };
        world.take_in(2, Visit { resolution: Some(resolution), ..lost });
        let wanted = world.review();
        world.measure(&wanted, denied);
        world.review();
    }
    assert_eq!(world.told()[0], two, "{:?}", world.changes);
    assert!(world.told().iter().any(|it| it.1 == "c.one.example:443"), "{:?}", world.changes);
}

#[test]
fn all_dns_servers_are_lost_together_since_the_last_of_them_is() {
    let servers = ["10.0.0.4", "10.0.0.5", "168.63.129.16"];
    let mut world = World::new(servers.map(name_server).to_vec());
    world.rounds_that(1, |_| None);
    let refused = Finding::new(Cause::Refused, Phase::Dns, Confidence::Confirmed);
    world.rounds_that(20, |index| (index == 0).then_some(refused));
    let one = told(1, "10.0.0.4:53", 1, 61);
    assert_eq!(world.told(), std::slice::from_ref(&one));
    let began = world.second + 30;
    world.rounds_that(2, |index| (index < 2).then_some(refused));
    let both = told(2, "both DNS servers, 10.0.0.4 and 10.0.0.5", 1, began);
    assert_eq!(world.told(), [one, both], "{:?}", world.changes);
}

/// What is said of a service that is refused while somebody answers every question of DNS: one whose name led to `before`
/// when it worked, or never worked, and leads to `now`; without a name it is at a fixed address.
fn refused_while_intercepted(has_name: bool, before: Option<[u8; 4]>, now: [u8; 4]) -> Option<Cause> {
    let service = if has_name { named("a.one.example") } else { endpoint("20.0.0.9", 443) };
    let mut world = World::new([service].into_iter().chain(endpoints(3, &[443])).collect());
    let visit_at = |world: &mut World, address: [u8; 4], found: Option<Finding>| {
        let mut visit = world.visit_of(0, found);
        visit.outcomes[0].address = (address, 443).into();
        if found.is_some() {
            let (phase, trouble) =
                (Phase::Connect, Trouble::Os { operation: Operation::Connect, errno: CONNECTION_REFUSED });
            visit.outcomes[0].seen.stop = Some(Stop { phase, trouble, elapsed: Duration::ZERO });
        }
        // A bare accept would not prove who is there.
        visit.outcomes[0].protocol = Protocol::Nothing;
        world.take_in(0, visit);
    };
    (1..4).for_each(|index| world.visit(index, false));
    before.into_iter().for_each(|address| visit_at(&mut world, address, None));
    for _ in 0..3 {
        world.second += 10;
        visit_at(&mut world, now, Some(Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely)));
        let wanted = world.review();
        world.measure(&wanted, |key| match key.ask {
            Ask::DnsCanary => vec![(Contrast::DnsCanaryAnswers, true)],
            _ => denied(key),
        });
        world.review();
    }
    world.causes()[0]
}

#[test]
fn whoever_answers_dns_in_anothers_place_has_led_nobody_astray_who_is_where_the_service_was() {
    let (here, elsewhere) = ([20, 0, 0, 9], [20, 0, 0, 99]);
    assert_eq!(refused_while_intercepted(true, Some(here), here), Some(Cause::Refused));
    assert_eq!(refused_while_intercepted(true, Some(here), elsewhere), Some(Cause::DnsIntercepted));
    assert_eq!(refused_while_intercepted(true, None, here), Some(Cause::DnsIntercepted));
    assert_eq!(refused_while_intercepted(false, None, here), Some(Cause::Refused), "no name led there");
}
