//! The kernel's answers, as they come for each kind of route and neighbour.

use netlink_packet_core::Emitable;
use proptest::prelude::*;

use super::*;

fn bytes(message: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An answer to the question for the route to `peer`.
fn route(peer: IpAddr, kind: RouteType, attributes: Vec<RouteAttribute>) -> Vec<u8> {
    let mut message = RouteMessage::default();
    message.header = RouteHeader { address_family: family(peer), kind, ..RouteHeader::default() };
    message.attributes = attributes;
    bytes(&message)
}

#[test]
fn a_route_names_the_device_and_the_router_or_the_peer_itself() {
    let gateway = |router: &str| RouteAttribute::Gateway(address(router).into());
    for (peer, router, expected) in [
        ("20.1.2.3", Some(gateway("10.0.1.1")), "10.0.1.1"),
        ("10.0.1.9", None, "10.0.1.9"),
        ("2001:db8::7", Some(gateway("fe80::1")), "fe80::1"),
        ("fd00::9", None, "fd00::9"),
        ("20.1.2.3", Some(RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().expect("an address")))), "fe80::1"),
    ] {
        let peer = address(peer);
        let attributes = [RouteAttribute::Destination(peer.into()), RouteAttribute::Oif(4)].into_iter().chain(router);
        let found = Hop::parse(&route(peer, RouteType::Unicast, attributes.collect()), peer);
        assert_eq!(found, Ok(Hop { device: 4, address: address(expected) }), "{peer}");
    }
}

#[test]
fn a_route_that_forbids_leads_nowhere() {
    let peer = address("2001:db8::7");
    for kind in [RouteType::Unreachable, RouteType::Prohibit, RouteType::BlackHole, RouteType::Throw] {
        assert_eq!(Hop::parse(&route(peer, kind, vec![RouteAttribute::Oif(1)]), peer), Err(Unread::Absent), "{kind:?}");
    }
    assert_eq!(Hop::parse(&route(peer, RouteType::Unicast, Vec::new()), peer), Err(Unread::Absent));
    assert_eq!(Hop::parse(b"short", peer), Err(Unread::Unintelligible));
}

#[test]
fn a_neighbour_has_answered_while_its_link_address_is_in_use() {
    for (state, expected) in [
        (NeighbourState::Reachable, Ok(true)),
        (NeighbourState::Stale, Ok(true)),
        (NeighbourState::Delay, Ok(true)),
        (NeighbourState::Probe, Ok(true)),
        (NeighbourState::Permanent, Ok(true)),
        (NeighbourState::Noarp, Ok(true)),
        (NeighbourState::Incomplete, Ok(false)),
        (NeighbourState::Failed, Ok(false)),
        (NeighbourState::None, Err(Unread::Absent)),
    ] {
        let mut entry = NeighbourMessage::default();
        entry.header.state = state;
        assert_eq!(answered(&bytes(&entry)), expected, "{state:?}");
    }
}

#[test]
fn a_link_is_there_when_the_device_is_on_and_has_a_carrier() {
    for (flags, expected) in [
        (LinkFlags::Up | LinkFlags::Running, true),
        (LinkFlags::Up, false),
        (LinkFlags::Running, false),
        (LinkFlags::empty(), false),
    ] {
        assert_eq!(has_link(flags), expected, "{flags:?}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_read(bytes: Vec<u8>, peer: [u8; 16]) {
        // Headers of 12, 12 and 16 bytes, and a device takes an attribute of 8.
        prop_assert!(Hop::parse(&bytes, peer.into()).is_err() || bytes.len() >= 20);
        prop_assert!(answered(&bytes).is_err() || bytes.len() >= 12);
        prop_assert_eq!(flags(&bytes).is_err(), bytes.len() < 16);
    }
}
