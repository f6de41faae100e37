//! Which addresses the agent may reach. Names and redirects are other people's words: they must not lead it to this
//! machine, to the platform's metadata service or to reserved space.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use crate::net::address::is_private;

/// Which addresses a name may lead the agent to. Checked after resolution and on every redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Prefixes allowed although they are denied by default (loopback, link-local, multicast, reserved).
    pub allow: Vec<Prefix>,
    /// Prefixes denied although they are allowed by default.
    pub deny: Vec<Prefix>,
}

/// An address prefix in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The first address; host bits are zero.
    pub network: IpAddr,
    /// The number of network bits.
    pub length: u8,
}

/// How the agent came to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The profile or the configuration names it.
    Literal,
    /// A name resolved to it.
    Name,
    /// A redirect leads to it.
    Redirect,
}

/// Azure DNS and the platform's wire server: never a peer behind a name.
const PLATFORM: IpAddr = IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16));

impl AddressPolicy {
    /// Whether the agent may reach this address. `deny` beats `allow`, `allow` beats the defaults: literals are the
    /// operator's own choice, names may lead to private and public space, redirects to public space only.
    pub fn allows(&self, address: IpAddr, reached: Reached) -> bool {
        let address = address.to_canonical();
        if self.deny.iter().any(|prefix| prefix.contains(address)) {
            return false;
        }
        if self.allow.iter().any(|prefix| prefix.contains(address)) {
            return true;
        }
        match reached {
            Reached::Literal => true,
            Reached::Name => !is_special(address),
            Reached::Redirect => !is_special(address) && !is_private(address),
        }
    }
}

/// Loopback, link-local (with the metadata service), multicast, unspecified and reserved space.
fn is_special(address: IpAddr) -> bool {
    match address {
        PLATFORM => true,
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            first == 0 || v4.is_loopback() || v4.is_link_local() || first >= 224
        }
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast(),
    }
}

impl Prefix {
    /// Whether the address lies in the prefix.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                u32::from(network) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                u128::from(network) & mask == u128::from(address) & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be a prefix in CIDR notation, for example 10.0.0.0/8";
        let (network, length) = text.split_once('/').ok_or(RULE)?;
        let network: IpAddr = network.parse().map_err(|_| RULE)?;
        let length: u8 = length.parse().map_err(|_| RULE)?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = Self { network, length };
        if length > longest {
            return Err(RULE);
        }
        if is_network(&prefix) { Ok(prefix) } else { Err("must have no host bits set") }
    }
}

/// Whether all bits behind the prefix are zero.
fn is_network(prefix: &Prefix) -> bool {
    match prefix.network {
        IpAddr::V4(v4) => u32::from(v4) & u32::MAX.checked_shr(u32::from(prefix.length)).unwrap_or(0) == 0,
        IpAddr::V6(v6) => u128::from(v6) & u128::MAX.checked_shr(u32::from(prefix.length)).unwrap_or(0) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> AddressPolicy {
        let parse = |list: &[&str]| list.iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
        AddressPolicy { allow: parse(allow), deny: parse(deny) }
    }

    #[test]
    fn names_and_redirects_lead_only_where_they_may() {
        let default = policy(&[], &[]);
        for (address, name, redirect) in [
            ("20.1.2.3", true, true),
            ("10.0.0.4", true, false),
            ("100.64.0.1", true, false),
            ("127.0.0.1", false, false),
            ("0.0.0.0", false, false),
            ("169.254.169.254", false, false),
            ("168.63.129.16", false, false),
            ("224.0.0.1", false, false),
            ("240.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("::1", false, false),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("fd00::1", true, false),
            ("2a01::1", true, true),
        ] {
            let ip: IpAddr = address.parse().expect("a literal");
            assert_eq!(default.allows(ip, Reached::Name), name, "{address} by name");
            assert_eq!(default.allows(ip, Reached::Redirect), redirect, "{address} by redirect");
            assert!(default.allows(ip, Reached::Literal), "{address} as the operator's choice");
        }
    }

    #[test]
    fn deny_beats_allow_and_allow_beats_the_defaults() {
        let policy = policy(&["127.0.0.0/8", "20.0.0.0/8"], &["20.1.0.0/16", "::/0"]);
        let allows = |address: &str, reached| policy.allows(address.parse().expect("a literal"), reached);
        assert!(allows("127.0.0.1", Reached::Redirect));
        assert!(!allows("20.1.0.1", Reached::Literal));
        assert!(allows("20.2.0.1", Reached::Name));
        assert!(!allows("2a01::1", Reached::Literal));
        assert!(allows("9.9.9.9", Reached::Name));
    }

    #[test]
    fn prefixes_are_read_strictly() {
        for (text, valid) in [
            ("10.0.0.0/8", true),
            ("0.0.0.0/0", true),
            ("10.0.0.1/32", true),
            ("::/0", true),
            ("10.0.0.1/8", false),
            ("10.0.0.0/33", false),
            ("10.0.0.0", false),
            ("a/8", false),
        ] {
            assert_eq!(text.parse::<Prefix>().is_ok(), valid, "{text}");
        }
    }
}
