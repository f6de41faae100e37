//! Every kind of address there is, with the document that says so and what each is good for, and the canary, an address
//! where nobody can be. The IANA registries of
//! special-purpose addresses (RFC 6890) list the same.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

/// The canary, in TEST-NET-1 (RFC 5737): nobody can be here, and whoever answers does so in others' place.
pub const CANARY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The same among addresses of IPv6 (RFC 3849).
pub const CANARY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// How the two are spoken of.
const CANARIES: [&str; 2] =
    ["192.0.2.1, where nobody can be (RFC 5737)", "2001:db8::1, where nobody can be (RFC 3849)"];

/// The canary of the same family as a peer: the path of one family says nothing about the other's.
pub fn canary_beside(peer: IpAddr) -> IpAddr {
    if peer.is_ipv4() { CANARY } else { CANARY_V6 }
}

/// What is said of the canary, said of the one of a peer's family.
pub fn of_family(peer: IpAddr, words: &str) -> String {
    let [v4, v6] = CANARIES;
    if peer.is_ipv4() { words.to_owned() } else { words.replace(v4, v6) }
}

/// The payload of a full segment to or from an address, on Ethernet with TCP's timestamps, in bytes (RFC 894, RFC 7323).
pub fn full_segment(address: IpAddr) -> u32 {
    if address.is_ipv4() { 1448 } else { 1428 }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// "This network", or no address at all.
    Unspecified,
    /// This machine.
    Loopback,
    /// This link, with the metadata service of clouds.
    LinkLocal,
    /// Azure DNS and the platform's wire server, 168.63.129.16.
    Platform,
    /// The operator's own network.
    Private,
    /// Shared by a provider's customers (carrier-grade NAT).
    Shared,
    /// Assigned to protocols, or thrown away; no service of anybody.
    Protocol,
    /// Wraps an IPv4 address in a way that is no longer in use: nobody means it who asks for a service.
    Tunnel,
    /// For examples in documents.
    Documentation,
    /// For test benches.
    Benchmark,
    /// A group of receivers.
    Multicast,
    /// Not assigned.
    Reserved,
    /// Everything else.
    Public,
}

/// A stretch of addresses with one meaning.
struct Stretch {
    prefix: IpNet,
    class: AddressClass,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8, class: AddressClass) -> Stretch {
    Stretch { prefix: IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length), class }
}

const fn v6(start: [u16; 3], length: u8, class: AddressClass) -> Stretch {
    let [a, b, c] = start;
    Stretch { prefix: IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), length), class }
}

const fn host_v6(last: u16, class: AddressClass) -> Stretch {
    Stretch { prefix: IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, last)), 128), class }
}

/// The first that holds an address decides.
const STRETCHES: &[Stretch] = &[
    // IPv4
    v4(0, 0, 0, 0, 8, AddressClass::Unspecified),      // RFC 791 section 3.2
    v4(127, 0, 0, 0, 8, AddressClass::Loopback),       // RFC 1122 section 3.2.1.3
    v4(169, 254, 0, 0, 16, AddressClass::LinkLocal),   // RFC 3927; 169.254.169.254 is the metadata service
    v4(168, 63, 129, 16, 32, AddressClass::Platform),  // Azure, "What is IP address 168.63.129.16?"
    v4(10, 0, 0, 0, 8, AddressClass::Private),         // RFC 1918
    v4(172, 16, 0, 0, 12, AddressClass::Private),      // RFC 1918
    v4(192, 168, 0, 0, 16, AddressClass::Private),     // RFC 1918
    v4(100, 64, 0, 0, 10, AddressClass::Shared),       // RFC 6598
    v4(192, 0, 2, 0, 24, AddressClass::Documentation), // RFC 5737
    v4(198, 51, 100, 0, 24, AddressClass::Documentation), // RFC 5737
    v4(203, 0, 113, 0, 24, AddressClass::Documentation), // RFC 5737
    v4(192, 0, 0, 0, 24, AddressClass::Protocol),      // RFC 6890
    v4(192, 88, 99, 0, 24, AddressClass::Tunnel),      // RFC 7526: the relays of 6to4
    v4(198, 18, 0, 0, 15, AddressClass::Benchmark),    // RFC 2544
    v4(224, 0, 0, 0, 4, AddressClass::Multicast),      // RFC 5771
    v4(240, 0, 0, 0, 4, AddressClass::Reserved),       // RFC 1112 section 4, with the broadcast of RFC 919
    // IPv6
    host_v6(0, AddressClass::Unspecified),            // RFC 4291 section 2.5.2
    host_v6(1, AddressClass::Loopback),               // RFC 4291 section 2.5.3
    v6([0, 0, 0], 96, AddressClass::Tunnel),          // RFC 4291 section 2.5.5.1: IPv4-compatible
    v6([0x64, 0xff9b, 1], 48, AddressClass::Private), // RFC 8215: translation within one network
    v6([0x100, 0, 0], 64, AddressClass::Protocol),    // RFC 6666: discarded
    v6([0x2001, 0xdb8, 0], 32, AddressClass::Documentation), // RFC 3849
    v6([0x2001, 2, 0], 48, AddressClass::Benchmark),  // RFC 5180
    v6([0x2001, 0, 0], 32, AddressClass::Tunnel),     // RFC 4380: Teredo
    v6([0x2001, 0, 0], 23, AddressClass::Protocol),   // RFC 2928
    v6([0x2002, 0, 0], 16, AddressClass::Tunnel),     // RFC 3056: 6to4
    v6([0x3fff, 0, 0], 20, AddressClass::Documentation), // RFC 9637
    v6([0x5f00, 0, 0], 16, AddressClass::Protocol),   // RFC 9602: segment routing
    v6([0xfc00, 0, 0], 7, AddressClass::Private),     // RFC 4193
    v6([0xfe80, 0, 0], 10, AddressClass::LinkLocal),  // RFC 4291 section 2.5.6
    v6([0xfec0, 0, 0], 10, AddressClass::Private),    // RFC 3879: site-local, deprecated
    v6([0xff00, 0, 0], 8, AddressClass::Multicast),   // RFC 4291 section 2.7
    v6([0x2000, 0, 0], 3, AddressClass::Public),      // RFC 4291 section 2.4, by the IANA registry
    v6([0, 0, 0], 0, AddressClass::Reserved),         // not assigned
];

/// The prefix of addresses that a translator makes of IPv4 addresses (RFC 6052 section 2.1, NAT64 with DNS64).
const TRANSLATED: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)), 96);

/// The address that packets to `address` reach in the end: an IPv4 address that is written as IPv6, mapped (RFC 4291
/// section 2.5.5.2) or translated, is that IPv4 address.
pub fn reached(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if TRANSLATED.contains(&IpAddr::V6(v6)) => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        canonical => canonical,
    }
}

/// Says what an address is for.
pub fn class_of(address: IpAddr) -> AddressClass {
    let address = reached(address);
    let found = STRETCHES.iter().find(|stretch| stretch.prefix.contains(&address));
    found.map_or(AddressClass::Public, |stretch| stretch.class)
}

/// What an address is good for, as an answer to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Nothing lives there.
    Sink,
    /// The operator's own network, a provider's shared space, or this link.
    Private,
    /// Everything else; the addresses of test benches too, since a test bench plays the public network.
    Public,
}

/// Sorts an address. `sinkholes` are addresses that the operator knows to be sinkholes.
pub fn kind_of(address: IpAddr, sinkholes: &BTreeSet<IpAddr>) -> AddressKind {
    if sinkholes.contains(&address.to_canonical()) {
        return AddressKind::Sink;
    }
    match class_of(address) {
        AddressClass::Unspecified | AddressClass::Loopback | AddressClass::Documentation | AddressClass::Reserved => {
            AddressKind::Sink
        }
        AddressClass::Private | AddressClass::Shared | AddressClass::LinkLocal => AddressKind::Private,
        AddressClass::Platform
        | AddressClass::Protocol
        | AddressClass::Tunnel
        | AddressClass::Benchmark
        | AddressClass::Multicast
        | AddressClass::Public => AddressKind::Public,
    }
}

/// Whether it is an address of the operator's own network or a provider's shared space.
pub fn is_private(address: IpAddr) -> bool {
    matches!(class_of(address), AddressClass::Private | AddressClass::Shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        class_of(text.parse().expect("a literal"))
    }

    #[test]
    fn each_family_has_a_canary_where_nobody_can_be_and_words_for_it() {
        for peer in ["198.18.1.1", "2001:2::1"].map(|peer| peer.parse::<IpAddr>().expect("a literal")) {
            let canary = canary_beside(peer);
            assert_eq!(canary.is_ipv4(), peer.is_ipv4());
            assert_eq!(class_of(canary), AddressClass::Documentation);
            assert!(of_family(peer, CANARIES[0]).starts_with(&canary.to_string()));
        }
    }

    #[test]
    fn every_stretch_has_its_class_at_both_ends_and_another_one_beyond() {
        use AddressClass::*;
        for (first, last, beyond, expected) in [
            ("0.0.0.0", "0.255.255.255", "1.0.0.0", Unspecified),
            ("10.0.0.0", "10.255.255.255", "11.0.0.0", Private),
            ("100.64.0.0", "100.127.255.255", "100.128.0.0", Shared),
            ("127.0.0.0", "127.255.255.255", "128.0.0.0", Loopback),
            ("169.254.0.0", "169.254.255.255", "169.255.0.0", LinkLocal),
            ("168.63.129.16", "168.63.129.16", "168.63.129.17", Platform),
            ("172.16.0.0", "172.31.255.255", "172.32.0.0", Private),
            ("192.0.0.0", "192.0.0.255", "192.0.1.0", Protocol),
            ("192.0.2.0", "192.0.2.255", "192.0.3.0", Documentation),
            ("192.88.99.0", "192.88.99.255", "192.88.100.0", Tunnel),
            ("192.168.0.0", "192.168.255.255", "192.169.0.0", Private),
            ("198.18.0.0", "198.19.255.255", "198.20.0.0", Benchmark),
            ("198.51.100.0", "198.51.100.255", "198.51.101.0", Documentation),
            ("203.0.113.0", "203.0.113.255", "203.0.114.0", Documentation),
            ("224.0.0.0", "239.255.255.255", "223.255.255.255", Multicast),
            ("240.0.0.0", "255.255.255.255", "223.0.0.1", Reserved),
            ("::", "::", "2600::", Unspecified),
            ("::1", "::1", "2600::", Loopback),
            ("::2", "::ffff:ffff", "2600::", Tunnel),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "2600::", Private),
            ("100::", "100::ffff:ffff:ffff:ffff", "2600::", Protocol),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::", Tunnel),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "2001:200::", Benchmark),
            ("2001:3::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::", Protocol),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", Documentation),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::", Tunnel),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::", Documentation),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::", Protocol),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::", Private),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::", LinkLocal),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::", Private),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::", Multicast),
            ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2600::", Reserved),
        ] {
            assert_eq!((class(first), class(last)), (expected, expected), "{first} to {last}");
            assert_eq!(class(beyond), Public, "{beyond}, beyond {first} to {last}");
        }
    }

    #[test]
    fn an_ipv4_address_in_the_clothes_of_ipv6_is_that_ipv4_address() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", AddressClass::Loopback),
            ("::ffff:20.1.2.3", AddressClass::Public),
            ("64:ff9b::169.254.169.254", AddressClass::LinkLocal),
            ("64:ff9b::10.0.0.4", AddressClass::Private),
            ("64:ff9b::168.63.129.16", AddressClass::Platform),
            ("64:ff9b::20.1.2.3", AddressClass::Public),
        ] {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for (address, private) in [
            ("10.1.2.3", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("fd00::1", true),
            ("40.77.24.27", false),
        ] {
            assert_eq!(is_private(address.parse().expect("a literal")), private, "{address}");
        }
    }

    #[test]
    fn sinks_are_told_by_range_and_by_name() {
        let known = BTreeSet::from([IpAddr::from([20, 6, 6, 6])]);
        for (address, kind) in [
            ("0.0.0.0", AddressKind::Sink),
            ("::ffff:127.0.0.1", AddressKind::Sink),
            ("203.0.113.9", AddressKind::Sink),
            ("240.0.0.1", AddressKind::Sink),
            ("20.6.6.6", AddressKind::Sink),
            ("169.254.169.254", AddressKind::Private),
            ("10.0.0.4", AddressKind::Private),
            ("198.18.0.1", AddressKind::Public),
            ("20.6.6.7", AddressKind::Public),
        ] {
            assert_eq!(kind_of(address.parse().expect("a literal"), &known), kind, "{address}");
        }
    }
}
