//! The evaluator by sets against a slow one that takes packet by packet, as the fabric does.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::{prelude::*, test_runner::Config};

use super::{
    addresses::AddressSet,
    evaluate::{Fate, Reach, Ruling},
    rule::{Access, AddressTerm, Group, Known, PortTerm, Rule, Side},
    tags::{Place, Tag},
    traffic::{Direction, Protocols, Traffic, every_port},
    world::{Book, PLATFORM, World},
};

/// Addresses that sampled packets have: of the subnet, the network, the platform and the Internet.
const ADDRESSES: [&str; 10] = [
    "10.0.1.4",
    "10.0.1.250",
    "10.0.2.9",
    "10.77.0.1",
    "168.63.129.16",
    "203.0.113.7",
    "203.0.113.200",
    "20.0.0.1",
    "20.0.0.9",
    "8.8.8.8",
];
/// Ports that sampled packets have, with the edges of the ranges below among them.
const PORTS: [u16; 8] = [1, 79, 80, 81, 443, 455, 16_001, 65_535];
const NETS: [&str; 9] = [
    "10.0.1.0/24",
    "10.0.0.0/16",
    "10.0.1.4/32",
    "0.0.0.0/0",
    "203.0.113.0/24",
    "203.0.113.0/25",
    "20.0.0.0/29",
    "168.63.129.16/32",
    "10.0.0.0/8",
];
const TAGS: [&str; 6] = ["VirtualNetwork", "Internet", "AzureLoadBalancer", "Sql", "Sql.westeurope", "AzureCloud"];
const RANGES: [(u16, u16); 6] = [(0, 65_535), (80, 80), (80, 443), (454, 455), (1, 65_535), (16_001, 65_535)];
const PROTOCOLS: [Protocols; 5] = [Protocols::ALL, Protocols::TCP, Protocols::UDP, Protocols::ICMP, Protocols::ESP];

#[derive(Clone, Debug)]
pub(super) struct Packet {
    protocol: Protocols,
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    port: u16,
}

/// Which public addresses belong to a tag: the truth that a tag file would tell.
pub(super) type Members = Vec<(Tag, Vec<IpNet>)>;

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

pub(super) fn members() -> Members {
    let list = |nets: &[&str]| nets.iter().map(|text| net(text)).collect::<Vec<_>>();
    vec![
        (Tag::named("Sql"), list(&["20.0.0.0/29", "203.0.113.0/25"])),
        (Tag::named("Sql.westeurope"), list(&["20.0.0.0/30"])),
        (Tag::named("AzureCloud"), list(&["20.0.0.0/8", "203.0.113.0/25"])),
    ]
}

fn terms() -> impl Strategy<Value = AddressTerm> {
    prop_oneof![
        1 => Just(AddressTerm::Any),
        4 => proptest::sample::select(&NETS[..]).prop_map(|text| AddressTerm::Net(net(text))),
        3 => proptest::sample::select(&TAGS[..]).prop_map(|name| AddressTerm::Tag(Tag::named(name))),
    ]
}

fn sides() -> impl Strategy<Value = Side> {
    let ports = proptest::sample::select(&RANGES[..]).prop_map(|(first, last)| PortTerm::Range(first, last));
    (proptest::collection::vec(terms(), 1..3), proptest::collection::vec(ports, 1..3))
        .prop_map(|(addresses, ports)| Side { addresses, ports })
}

/// Rules with these ends.
pub(super) fn rules(
    source: impl Strategy<Value = Side>,
    destination: impl Strategy<Value = Side>,
) -> impl Strategy<Value = Rule> {
    let access = prop_oneof![Just(Access::Allow), Just(Access::Deny)];
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let protocols = proptest::sample::select(&PROTOCOLS[..]);
    (access, direction, protocols, source, destination, 100u32..4_096).prop_map(
        |(access, direction, protocols, source, destination, priority)| Rule {
            name: format!("rule-{priority}"),
            priority: Known::Value(priority),
            direction: Known::Value(direction),
            access: Known::Value(access),
            protocols: Known::Value(protocols),
            source,
            destination,
            is_default: false,
            at: String::new(),
        },
    )
}

pub(super) fn groups() -> impl Strategy<Value = Group> {
    proptest::collection::vec(rules(sides(), sides()), 0..12).prop_map(|mut rules| {
        rules.sort_by_key(|rule| rule.priority.value().copied());
        rules.dedup_by_key(|rule| rule.priority.value().copied());
        Group { name: "group".to_owned(), rules, ..Group::default() }
    })
}

pub(super) fn packets() -> impl Strategy<Value = Packet> {
    let address = || proptest::sample::select(&ADDRESSES[..]).prop_map(|text| text.parse().expect("an address"));
    let port = || proptest::sample::select(&PORTS[..]);
    let protocol = proptest::sample::select(&PROTOCOLS[1..]);
    (protocol, address(), port(), address(), port()).prop_map(|(protocol, source, source_port, destination, port)| {
        let has_ports = protocol == Protocols::TCP || protocol == Protocols::UDP;
        let (source_port, port) = if has_ports { (source_port, port) } else { (0, 0) };
        Packet { protocol, source, source_port, destination, port }
    })
}

fn is_in_vnet(address: IpAddr) -> bool {
    net("10.0.0.0/16").contains(&address)
}

/// Whether an address is meant by a term; none for private addresses beyond the network, which are perhaps a peer's.
fn means(term: &AddressTerm, address: IpAddr, members: &Members) -> Option<bool> {
    let beyond = net("10.0.0.0/8").contains(&address) && !is_in_vnet(address);
    match term {
        AddressTerm::Any => Some(true),
        AddressTerm::Net(net) => Some(net.contains(&address)),
        AddressTerm::Tag(tag) => match tag.place() {
            Some(Place::VirtualNetwork) if !beyond => Some(is_in_vnet(address)),
            Some(Place::Internet) if !beyond => Some(!is_in_vnet(address) && address != PLATFORM),
            Some(Place::AzureLoadBalancer) => Some(address == PLATFORM),
            Some(_) => None,
            None => {
                let (_, nets) = members.iter().find(|(other, _)| other == tag).expect("the tag has members");
                Some(nets.iter().any(|net| net.contains(&address)))
            }
        },
        AddressTerm::Expanded(..) | AddressTerm::Interfaces(_) | AddressTerm::Expression(_) => None,
    }
}

fn side_matches(side: &Side, address: IpAddr, port: u16, members: &Members) -> Option<bool> {
    let port_fits = side.ports.iter().any(|term| matches!(term, PortTerm::Range(a, b) if (*a..=*b).contains(&port)));
    if !port_fits {
        return Some(false);
    }
    let each: Vec<Option<bool>> = side.addresses.iter().map(|term| means(term, address, members)).collect();
    if each.contains(&Some(true)) {
        Some(true)
    } else if each.contains(&None) {
        None
    } else {
        Some(false)
    }
}

/// What the fabric does with one packet; none where a private address beyond the network decides.
pub(super) fn fabric(group: &Group, direction: Direction, packet: &Packet, members: &Members) -> Option<Access> {
    for rule in group.in_order(direction) {
        let protocols = *rule.protocols.value().expect("known");
        if protocols.intersection(packet.protocol).is_empty() {
            continue;
        }
        let from = side_matches(&rule.source, packet.source, packet.source_port, members);
        let to = side_matches(&rule.destination, packet.destination, packet.port, members);
        match (from, to) {
            (Some(false), _) | (_, Some(false)) => {}
            (Some(true), Some(true)) => return rule.access.value().copied(),
            _ => return None,
        }
    }
    None
}

pub(super) fn traffic_of(packet: &Packet) -> Traffic {
    let port = |number| [(number, number)].into_iter().collect();
    Traffic {
        protocols: packet.protocol,
        source: AddressSet::address(packet.source),
        source_ports: port(packet.source_port),
        destination: AddressSet::address(packet.destination),
        destination_ports: port(packet.port),
    }
}

pub(super) fn everything(world: &World) -> Traffic {
    let all = world.term(&AddressTerm::Any).sure;
    Traffic {
        protocols: Protocols::ALL,
        source: all.clone(),
        source_ports: every_port(),
        destination: all,
        destination_ports: every_port(),
    }
}

pub(super) fn world(book: Book) -> World {
    World::new(&[net("10.0.1.0/24")], &[net("10.0.0.0/16")], book, TAGS.map(Tag::named))
}

pub(super) fn full_book() -> Book {
    let complete = members().into_iter().map(|(tag, nets)| (tag, AddressSet::of(&nets))).collect();
    Book { complete, ..Book::default() }
}

/// Cases × packets for each: 120 000 packets in a run.
const CASES: u32 = 300;
const PACKETS: usize = 400;

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    #[test]
    fn with_a_tag_file_the_sets_agree_with_the_fabric_packet_by_packet(
        group in groups(), packets in proptest::collection::vec(packets(), PACKETS),
    ) {
        let world = world(full_book());
        let members = members();
        for direction in [Direction::Inbound, Direction::Outbound] {
            let ruling = Ruling::new(&group, direction, &world);
            let pieces = ruling.decide(vec![everything(&world)], Reach::These).expect("few pieces");
            for (number, packet) in packets.iter().enumerate() {
                let traffic = traffic_of(packet);
                let holding: Vec<_> = pieces.iter().filter(|piece| piece.traffic.overlaps(&traffic)).collect();
                prop_assert_eq!(holding.len(), 1, "each packet is in one piece");
                let expected = match fabric(&group, direction, packet, &members) {
                    Some(Access::Allow) => Fate::Allowed,
                    Some(Access::Deny) => Fate::Denied,
                    None => continue,
                };
                prop_assert_eq!(holding[0].fate, expected, "{:?} {:?}", packet, direction);
                if number % 8 == 0 {
                    let alone = ruling.decide(vec![traffic], Reach::These).expect("one packet");
                    prop_assert_eq!(alone[0].fate, expected);
                }
            }
        }
    }

    #[test]
    fn without_a_tag_file_what_is_said_is_true_and_the_rest_is_left_open(
        group in groups(), packets in proptest::collection::vec(packets(), 50),
    ) {
        let world = world(Book::default());
        let members = members();
        for direction in [Direction::Inbound, Direction::Outbound] {
            let ruling = Ruling::new(&group, direction, &world);
            for packet in &packets {
                let pieces = ruling.decide(vec![traffic_of(packet)], Reach::These).expect("one packet");
                prop_assert_eq!(pieces.len(), 1);
                match (pieces[0].fate, fabric(&group, direction, packet, &members)) {
                    (Fate::Allowed, said) => prop_assert_ne!(said, Some(Access::Deny)),
                    (Fate::Denied, said) => prop_assert_ne!(said, Some(Access::Allow)),
                    (Fate::Unknown, _) => {}
                }
            }
        }
    }

    #[test]
    fn the_name_of_a_tag_fares_as_its_addresses_do(group in groups(), port in proptest::sample::select(&PORTS[..])) {
        let by_name = world(Book::default());
        let truth = world(full_book());
        let sql = AddressTerm::Tag(Tag::named("Sql.westeurope"));
        let traffic = |destination| Traffic {
            protocols: Protocols::TCP,
            source: AddressSet::address("10.0.1.4".parse().expect("an address")),
            source_ports: [(40_000, 40_000)].into_iter().collect(),
            destination,
            destination_ports: [(port, port)].into_iter().collect(),
        };
        let names = by_name.term(&sql).sure;
        let said = Ruling::new(&group, Direction::Outbound, &by_name).decide(vec![traffic(names)], Reach::These);
        let numbers = truth.term(&sql).sure.minus(&AddressSet::every_name());
        let real = Ruling::new(&group, Direction::Outbound, &truth).decide(vec![traffic(numbers)], Reach::These);
        for piece in real.expect("few pieces") {
            for said in said.as_ref().expect("few pieces") {
                prop_assert!(said.fate == Fate::Unknown || said.fate == piece.fate, "{said:?} {piece:?}");
            }
        }
    }
}

#[test]
fn a_rule_with_an_expression_leaves_open_only_what_it_may_change() {
    let mut rule = rule_denying_all();
    rule.destination.addresses = vec![AddressTerm::Expression("[parameters('x')]".to_owned())];
    let group = Group { rules: vec![rule.clone()], ..Group::default() };
    let world = world(Book::default());
    let to_internet =
        Traffic { source: world.subnet.clone(), destination: world.internet.clone(), ..everything(&world) };
    let fates = |group: &Group| -> Vec<Fate> {
        let ruling = Ruling::new(group, Direction::Outbound, &world);
        let pieces = ruling.decide(vec![to_internet.clone()], Reach::Everywhere).expect("few pieces");
        pieces.iter().map(|piece| piece.fate).collect()
    };
    assert_eq!(fates(&group), [Fate::Unknown]);
    rule.access = Known::Value(Access::Allow);
    assert_eq!(fates(&Group { rules: vec![rule], ..Group::default() }), [Fate::Allowed], "allowed either way");
}

#[test]
fn platform_tags_are_matched_by_their_own_name_only() {
    let tag = Tag::named("AzurePlatformDNS");
    let world = World::new(&[net("10.0.1.0/24")], &[], Book::default(), [tag.clone()]);
    let dns = Traffic { destination: world.term(&AddressTerm::Tag(tag.clone())).sure, ..everything(&world) };
    let mut rule = rule_denying_all();
    let group = Group { rules: vec![rule.clone()], ..Group::default() };
    assert!(!Ruling::new(&group, Direction::Outbound, &world).may(0).overlaps(&dns), "a deny-all does not touch it");
    rule.destination.addresses = vec![AddressTerm::Tag(tag)];
    let group = Group { rules: vec![rule], ..Group::default() };
    assert!(Ruling::new(&group, Direction::Outbound, &world).may(0).overlaps(&dns));
}

fn rule_denying_all() -> Rule {
    let all = Side { addresses: vec![AddressTerm::Any], ports: vec![PortTerm::ANY] };
    Rule {
        name: "deny-all".to_owned(),
        priority: Known::Value(200),
        direction: Known::Value(Direction::Outbound),
        access: Known::Value(Access::Deny),
        protocols: Known::Value(Protocols::ALL),
        source: all.clone(),
        destination: all,
        is_default: false,
        at: String::new(),
    }
}
