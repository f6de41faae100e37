//! The comparison by sets against a slow one that asks both sides packet by packet, as the fabric does.

use proptest::{prelude::*, test_runner::Config};

use super::{
    addresses::AddressSet,
    compare::{rerouted, shifts, through},
    evaluate::{Fate, Reach, Ruling},
    evaluate_tests::{everything, fabric, full_book, groups, members, packets, traffic_of, world},
    route::{NextHop, Origin, Route, Table},
    routing::Routing,
    rule::{Access, AddressTerm, Group, Known},
    traffic::Direction,
};

/// Cases × packets for each: 120 000 packets in a run.
const CASES: u32 = 300;
const PACKETS: usize = 400;

fn fate(access: Access) -> Fate {
    match access {
        Access::Allow => Fate::Allowed,
        Access::Deny => Fate::Denied,
    }
}

/// Two groups that have most of their rules in common, as two editions of one file have.
fn editions() -> impl Strategy<Value = (Group, Group)> {
    (groups(), groups(), any::<proptest::sample::Index>()).prop_map(|(before, other, cut)| {
        let mut rules = before.rules.clone();
        if !rules.is_empty() {
            rules.remove(cut.index(rules.len()));
        }
        rules.extend(other.rules.into_iter().take(2));
        rules.sort_by_key(|rule| rule.priority.value().copied());
        rules.dedup_by_key(|rule| rule.priority.value().copied());
        (before, Group { rules, ..Group::default() })
    })
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    #[test]
    fn what_changes_is_what_the_fabric_changes_packet_by_packet(
        (before, after) in editions(),
        outbound in any::<bool>(),
        packets in proptest::collection::vec(packets(), PACKETS),
    ) {
        let (world, members) = (world(full_book()), members());
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let [was, is] = [&before, &after].map(|group| Ruling::new(group, direction, &world));
        let found = shifts(&[&was], &[&is], vec![everything(&world)], Reach::These).expect("few pieces");
        for packet in &packets {
            let sides = [&before, &after].map(|group| fabric(group, direction, packet, &members));
            let [Some(said_before), Some(said_after)] = sides else { continue };
            let one = traffic_of(packet);
            let holding: Vec<_> = found.iter().filter(|shift| shift.traffic.overlaps(&one)).collect();
            let expected = (fate(said_before), fate(said_after));
            match holding.as_slice() {
                [] => prop_assert_eq!(expected.0, expected.1, "{:?} {:?}", packet, direction),
                [shift] => prop_assert_eq!((shift.before.0, shift.after.0), expected, "{:?} {:?}", packet, direction),
                several => prop_assert!(false, "{packet:?} stands in {} pieces", several.len()),
            }
        }
    }

    #[test]
    fn two_groups_in_a_row_let_through_what_each_of_them_does(
        first in groups(), second in groups(), packets in proptest::collection::vec(packets(), 40),
    ) {
        let (world, members) = (world(full_book()), members());
        let rulings = [&first, &second].map(|group| Ruling::new(group, Direction::Inbound, &world));
        for packet in &packets {
            let sides = [&first, &second].map(|group| fabric(group, Direction::Inbound, packet, &members));
            let [Some(a), Some(b)] = sides else { continue };
            let ruled = through(&[&rulings[0], &rulings[1]], vec![traffic_of(packet)], Reach::These).expect("one packet");
            prop_assert_eq!(ruled.len(), 1);
            prop_assert_eq!(ruled[0].fate, if a == b { fate(a) } else { Fate::Denied });
        }
    }

    #[test]
    fn nothing_changes_between_a_group_and_itself(group in groups()) {
        let world = world(full_book());
        let ruling = Ruling::new(&group, Direction::Outbound, &world);
        let found = shifts(&[&ruling], &[&ruling], vec![everything(&world)], Reach::These).expect("few pieces");
        prop_assert_eq!(found, vec![]);
    }
}

#[test]
fn without_a_group_everything_passes_and_a_new_one_changes_what_it_denies() {
    let world = world(full_book());
    let ruling = Ruling::new(&Group::default(), Direction::Inbound, &world);
    let found = shifts(&[], &[&ruling], vec![everything(&world)], Reach::These).expect("few pieces");
    assert!(!found.is_empty());
    assert!(found.iter().all(|shift| shift.before == (Fate::Allowed, None) && shift.after.0 != Fate::Allowed));
}

#[test]
fn a_destination_is_rerouted_where_its_next_hop_differs_and_nowhere_else() {
    let world = world(full_book());
    let net = |text: &str| text.parse().expect("a prefix");
    let table = |prefix: &str, next_hop| Table {
        name: "rt".to_owned(),
        id: None,
        location: None,
        takes_bgp: Known::Value(false),
        routes: vec![Route {
            name: "own".to_owned(),
            destinations: vec![AddressTerm::Net(net(prefix))],
            next_hop,
            origin: Origin::User,
            active: true,
            at: String::new(),
        }],
        subnets: Vec::new(),
        effective: false,
    };
    let routing = |table: &Table| Routing::new(Some(table), &[], &world);
    let (before, after) =
        (routing(&table("203.0.113.0/24", NextHop::Nowhere)), routing(&table("203.0.113.0/25", NextHop::Nowhere)));
    let moved = rerouted(&before, &after, &AddressSet::every_v4());
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert_eq!(moved[0].destinations, AddressSet::of(&[net("203.0.113.128/25")]));
    assert_eq!((moved[0].before[0].1, moved[0].after[0].1), (&NextHop::Nowhere, &NextHop::Internet));
}
