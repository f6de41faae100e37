//! Sets of addresses, IPv4 and IPv6 in one, with room for addresses that are known by a service tag's name only.
//!
//! All lie on one line of 128 bits: IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2, which no packet carries), and the
//! *names* in the discard-only prefix (RFC 6666), so that one arithmetic serves them all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::lint::ranges::Ranges;

/// Where IPv4 begins on the line: `::ffff:0:0`.
const V4: u128 = 0xffff_0000_0000;
/// Where IPv4 ends on the line.
const V4_END: u128 = 0xffff_ffff_ffff;
/// Where the names begin: `100::` (RFC 6666).
const NAMES: u128 = 0x0100 << 112;
/// Where the names end: `100::ffff`.
const NAMES_END: u128 = NAMES + 0xffff;

/// A set of addresses and of names that stand for addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressSet(Ranges<u128>);

/// A number for a name whose addresses are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub u16);

/// What one point of the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// An address.
    Address(IpAddr),
    /// Some address of a name.
    Name(Name),
}

fn on_line(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => V4 | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromIterator<AddressSet> for AddressSet {
    /// The union of sets, joined at once; one alone is shared.
    fn from_iter<I: IntoIterator<Item = AddressSet>>(sets: I) -> Self {
        let mut sets: Vec<AddressSet> = sets.into_iter().filter(|set| !set.is_empty()).collect();
        if sets.len() <= 1 {
            return sets.pop().unwrap_or_default();
        }
        Self(sets.iter().flat_map(|set| set.0.parts()).copied().collect())
    }
}

impl AddressSet {
    /// The addresses of prefixes. An IPv6 prefix holds no IPv4 address and no name.
    pub fn of<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for net in nets {
            let range = (on_line(net.network()), on_line(net.broadcast()));
            if matches!(net, IpNet::V4(_)) { four.push(range) } else { six.push(range) }
        }
        let (four, six): (Ranges<u128>, Ranges<u128>) = (four.into_iter().collect(), six.into_iter().collect());
        Self(six.minus(&Self::every_v4().0).minus(&Self::every_name().0).union(&four))
    }

    /// All addresses and all names.
    pub fn everything() -> Self {
        Self(Ranges::one(0, u128::MAX))
    }

    /// All IPv4 addresses.
    pub fn every_v4() -> Self {
        Self(Ranges::one(V4, V4_END))
    }

    /// All names.
    pub fn every_name() -> Self {
        Self(Ranges::one(NAMES, NAMES_END))
    }

    /// One address.
    pub fn address(address: IpAddr) -> Self {
        Self(Ranges::one(on_line(address), on_line(address)))
    }

    /// One name.
    pub fn name(name: Name) -> Self {
        let at = NAMES + u128::from(name.0);
        Self(Ranges::one(at, at))
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0))
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(self.0.minus(&other.0))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(on_line(address))
    }

    /// Whether both share an address or a name.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.overlaps(&other.0)
    }

    /// Whether all of it is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_within(&other.0)
    }

    /// How many addresses are in it, names not counted.
    pub fn count(&self) -> u128 {
        let numbers = self.minus(&Self::every_name());
        numbers
            .0
            .parts()
            .iter()
            .fold(0, |sum: u128, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// One member for an example: an address where there is one, IPv4 first, else a name.
    pub fn example(&self) -> Option<Point> {
        let numbers = self.minus(&Self::every_name());
        let four = numbers.intersection(&Self::every_v4());
        let &(first, last) = [&four.0, &numbers.0, &self.0].iter().find_map(|set| set.parts().first())?;
        // The first four addresses of a subnet are Azure's own, and a packet from there shows nothing.
        let is_number = !self.minus(&Self::every_name()).is_empty();
        Some(point(if is_number && last - first >= 8 { first + 4 } else { first }))
    }

    /// The names in it.
    pub fn names(&self) -> Vec<Name> {
        let names = self.intersection(&Self::every_name());
        let number = |at: u128| u16::try_from(at - NAMES).expect("a name's place is below 65536");
        names.0.parts().iter().flat_map(|&(first, last)| (number(first)..=number(last)).map(Name)).collect()
    }

    /// The addresses in it as the fewest prefixes, without names.
    pub fn prefixes(&self) -> Vec<IpNet> {
        let numbers = self.minus(&Self::every_name());
        let (four, six) = (numbers.intersection(&Self::every_v4()), numbers.minus(&Self::every_v4()));
        let v4 = |at: u128| Ipv4Addr::from_bits(u32::try_from(at - V4).expect("IPv4 has 32 bits"));
        let four = four.0.parts().iter().flat_map(|&(first, last)| Ipv4Subnets::new(v4(first), v4(last), 0));
        let six = six.0.parts().iter().flat_map(|&(a, b)| Ipv6Subnets::new(a.into(), b.into(), 0));
        four.map(IpNet::from).chain(six.map(IpNet::from)).collect()
    }
}

fn point(at: u128) -> Point {
    match at {
        NAMES..=NAMES_END => Point::Name(Name((at - NAMES) as u16)),
        V4..=V4_END => Point::Address(Ipv4Addr::from_bits((at - V4) as u32).into()),
        _ => Point::Address(Ipv6Addr::from_bits(at).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nets: &[&str]) -> AddressSet {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().expect("a prefix")).collect();
        AddressSet::of(&nets)
    }

    #[test]
    fn all_of_ipv6_holds_no_ipv4_and_no_name() {
        let six = of(&["::/0"]);
        assert!(!six.contains("10.0.0.1".parse().expect("an address")) && six.names().is_empty());
        assert!(six.contains("2001:db8::1".parse().expect("an address")));
        assert_eq!(of(&["::/0", "0.0.0.0/0"]).prefixes()[0].to_string(), "0.0.0.0/0");
    }

    #[test]
    fn prefixes_come_back_as_few_as_can_be() {
        let rest = of(&["10.0.0.0/24"]).minus(&of(&["10.0.0.0/26"]));
        assert_eq!(
            rest.prefixes().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.64/26", "10.0.0.128/25"]
        );
        assert_eq!(of(&["10.0.0.0/25", "10.0.0.128/25"]), of(&["10.0.0.0/24"]));
    }

    #[test]
    fn an_example_is_an_address_where_there_is_one() {
        let named = AddressSet::name(Name(7));
        assert_eq!(named.example(), Some(Point::Name(Name(7))));
        let both = named.union(&of(&["2001:db8::/32", "192.0.2.0/24"]));
        assert_eq!(both.example(), Some(Point::Address("192.0.2.4".parse().expect("an address"))));
        assert_eq!(both.names(), [Name(7)]);
        assert!(named.is_within(&AddressSet::everything()));
    }
}
