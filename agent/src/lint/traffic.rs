//! Traffic as a box: protocols × sources × their ports × destinations × their ports, and how one box is cut by another.

use std::fmt;

use crate::lint::{addresses::AddressSet, ranges::Ranges};

/// A set of port numbers.
pub type PortSet = Ranges<u16>;

/// All ports. Protocols without ports are at 0, so that a rule for some ports does not match them.
pub fn every_port() -> PortSet {
    Ranges::one(0, u16::MAX)
}

/// The ports that packets can have.
pub fn real_ports() -> PortSet {
    Ranges::one(1, u16::MAX)
}

/// Where protocols without ports are.
pub fn no_port() -> PortSet {
    Ranges::one(0, 0)
}

/// Ports as people write them: `80, 443, 10001-10020`.
pub fn show_ports(ports: &PortSet) -> String {
    if *ports == every_port() || *ports == real_ports() {
        return "any port".to_owned();
    }
    let show = |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ports.parts().iter().map(show).collect::<Vec<_>>().join(", ")
}

/// Which way a packet goes, seen from the subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the subnet.
    Inbound,
    /// Out of the subnet.
    Outbound,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "Inbound",
            Self::Outbound => "Outbound",
        })
    }
}

/// A set of protocols: the five that rules can name, and the rest, which only a rule for all protocols matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocols(u8);

impl Protocols {
    /// None.
    pub const NONE: Self = Self(0);
    /// TCP.
    pub const TCP: Self = Self(1);
    /// UDP.
    pub const UDP: Self = Self(2);
    /// ICMP.
    pub const ICMP: Self = Self(4);
    /// ESP (RFC 4303).
    pub const ESP: Self = Self(8);
    /// AH (RFC 4302).
    pub const AH: Self = Self(16);
    /// All others.
    pub const OTHER: Self = Self(32);
    /// All.
    pub const ALL: Self = Self(63);

    const NAMED: [(Self, &str); 6] = [
        (Self::TCP, "TCP"),
        (Self::UDP, "UDP"),
        (Self::ICMP, "ICMP"),
        (Self::ESP, "ESP"),
        (Self::AH, "AH"),
        (Self::OTHER, "other protocols"),
    ];

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One of them for an example.
    pub fn example(self) -> &'static str {
        Self::NAMED.iter().find(|(one, _)| !one.intersection(self).is_empty()).map_or("none", |(_, name)| name)
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("any protocol");
        }
        let named: Vec<_> = Self::NAMED.iter().filter(|(one, _)| !one.intersection(*self).is_empty()).collect();
        f.write_str(&named.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "))
    }
}

/// All packets whose protocol, addresses and ports are each in a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// The protocols.
    pub protocols: Protocols,
    /// The senders.
    pub source: AddressSet,
    /// Their ports.
    pub source_ports: PortSet,
    /// The receivers.
    pub destination: AddressSet,
    /// Their ports.
    pub destination_ports: PortSet,
}

impl Traffic {
    /// Whether no packet is in it.
    pub fn is_empty(&self) -> bool {
        self.protocols.is_empty()
            || self.source.is_empty()
            || self.source_ports.is_empty()
            || self.destination.is_empty()
            || self.destination_ports.is_empty()
    }

    /// Whether a packet can be in it: TCP and UDP have ports from 1, the other protocols have none and are at 0.
    pub fn has_packets(&self) -> bool {
        let with_ports = Protocols::TCP.union(Protocols::UDP);
        let both = |holds: &dyn Fn(&PortSet) -> bool| holds(&self.source_ports) && holds(&self.destination_ports);
        let ported =
            !self.protocols.intersection(with_ports).is_empty() && both(&|ports| ports.overlaps(&real_ports()));
        let portless = !self.protocols.minus(with_ports).is_empty() && both(&|ports| ports.contains(0));
        !self.is_empty() && (ported || portless)
    }

    /// Whether a packet is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.protocols.intersection(other.protocols).is_empty()
            && self.destination_ports.overlaps(&other.destination_ports)
            && self.source_ports.overlaps(&other.source_ports)
            && self.source.overlaps(&other.source)
            && self.destination.overlaps(&other.destination)
    }

    /// The packets in both; none where it would be empty.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        self.overlaps(other).then(|| Self {
            protocols: self.protocols.intersection(other.protocols),
            source: self.source.intersection(&other.source),
            source_ports: self.source_ports.intersection(&other.source_ports),
            destination: self.destination.intersection(&other.destination),
            destination_ports: self.destination_ports.intersection(&other.destination_ports),
        })
    }

    /// Whether all of it is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.protocols.minus(other.protocols).is_empty()
            && self.destination_ports.is_within(&other.destination_ports)
            && self.source_ports.is_within(&other.source_ports)
            && self.source.is_within(&other.source)
            && self.destination.is_within(&other.destination)
    }

    /// The packets of this one that are not in the other, as at most five boxes that share no packet.
    pub fn minus(&self, other: &Self) -> Vec<Self> {
        if !self.overlaps(other) {
            return vec![self.clone()];
        }
        let mut rest = Vec::new();
        let mut left = self.clone();
        let outside = left.protocols.minus(other.protocols);
        rest.push(Self { protocols: outside, ..left.clone() });
        left.protocols = left.protocols.intersection(other.protocols);
        rest.push(Self { destination_ports: left.destination_ports.minus(&other.destination_ports), ..left.clone() });
        left.destination_ports = left.destination_ports.intersection(&other.destination_ports);
        rest.push(Self { source_ports: left.source_ports.minus(&other.source_ports), ..left.clone() });
        left.source_ports = left.source_ports.intersection(&other.source_ports);
        rest.push(Self { source: left.source.minus(&other.source), ..left.clone() });
        left.source = left.source.intersection(&other.source);
        rest.push(Self { destination: left.destination.minus(&other.destination), ..left.clone() });
        rest.retain(|piece| !piece.is_empty());
        rest
    }
}
