//! Whom to ask, and what: all that a visit needs to know, whoever wants it made, with how many addresses of a name at most.

use std::{fmt, net::IpAddr, time::Duration};

use ase_probes::probe::Probe;

use crate::net::address::{AddressClass, class_of};

/// Whom a probe speaks to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name, resolved at each visit; lower case, without the final dot.
    Name(String),
    /// A fixed address.
    Address(IpAddr),
}

impl Host {
    /// Whether it is an address of the operator's own network (RFC 1918) or of a test bench (RFC 2544): limits that
    /// protect public servers do not apply.
    pub fn is_own(&self) -> bool {
        match self {
            Self::Address(address) => {
                matches!(class_of(*address), AddressClass::Private | AddressClass::Benchmark)
            }
            Self::Name(_) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Which of a name's addresses a visit tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Every resolved address, both families.
    All,
    /// The first address that the resolver gave, of IPv4 where this machine has a route to it, else of IPv6.
    #[default]
    First,
}

impl Addresses {
    /// How many addresses of one name are asked at most.
    pub fn most(self) -> usize {
        match self {
            Self::All => 8,
            Self::First => 1,
        }
    }
}

/// Which kind of address a name is expected to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpectAddress {
    /// No expectation.
    #[default]
    Any,
    /// A private address, for example behind a private endpoint.
    Private,
    /// A public address.
    Public,
}

/// Whose DNS servers resolve the name of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResolvedBy {
    /// The custom DNS, as apps do.
    #[default]
    Custom,
    /// Azure DNS alone, as the platform does for what it fetches or mounts itself.
    Azure,
}

impl ResolvedBy {
    /// Returns the word used in files, reports and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Azure => "azure",
        }
    }
}

/// Whom to ask, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whom the probe speaks to.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// The question that proves the peer.
    pub probe: Probe,
    /// Which addresses are tried.
    pub addresses: Addresses,
    /// Which kind of address is expected.
    pub expect_address: ExpectAddress,
    /// Whose DNS servers resolve the name.
    pub resolved_by: ResolvedBy,
    /// The bound of one visit over all its phases.
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_servers_are_known_by_their_addresses() {
        let is_own = |text: &str| Host::Address(text.parse().expect("an address")).is_own();
        assert!(["10.1.2.3", "192.168.0.1", "198.18.0.1", "198.19.255.255", "fd00::1"].into_iter().all(is_own));
        assert!(!["20.1.2.3", "198.17.0.1", "198.20.0.1", "2001:db8::1"].into_iter().any(is_own));
        assert!(!Host::Name("time.windows.com".to_owned()).is_own());
    }
}
