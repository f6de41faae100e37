//! What kinds of address there are, and what each is good for.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// What an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Nothing lives there: unspecified, loopback, documentation or reserved space.
    Sink,
    /// RFC 1918, RFC 6598, RFC 4193 or link-local space.
    Private,
    /// Everything else.
    Public,
}

/// Sorts an address. `sinkholes` are addresses that the operator knows to be sinkholes.
pub fn kind_of(address: IpAddr, sinkholes: &BTreeSet<IpAddr>) -> AddressKind {
    let address = address.to_canonical();
    let sink = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || is_documentation(v4) || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_loopback(),
    };
    let link_local = matches!(address, IpAddr::V4(v4) if v4.is_link_local());
    if sink || sinkholes.contains(&address) {
        AddressKind::Sink
    } else if is_private(address) || link_local {
        AddressKind::Private
    } else {
        AddressKind::Public
    }
}

/// RFC 5737.
fn is_documentation(v4: Ipv4Addr) -> bool {
    matches!(v4.octets(), [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _])
}

/// RFC 1918, RFC 6598 and RFC 4193 addresses.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("20.6.6.7", AddressKind::Public),
        ] {
            assert_eq!(kind_of(address.parse().expect("a literal"), &known), kind, "{address}");
        }
    }
}
