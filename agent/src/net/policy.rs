//! Which addresses the agent may reach. Names, redirects and what strangers ask for are other people's words: they must not
//! lead it to this machine, to the platform's metadata service or to reserved space.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use crate::net::address::{AddressClass, class_of, reached};

/// Which addresses a name may lead the agent to. Checked after resolution and on every redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Prefixes allowed although they are denied by default (loopback, link-local, multicast, reserved).
    pub allow: Vec<IpNet>,
    /// Prefixes denied although they are allowed by default.
    pub deny: Vec<IpNet>,
    /// Ports that redirects may lead to beside those of the web.
    pub redirect_ports: BTreeSet<u16>,
}

/// The ports of the web (RFC 9110 section 4.2).
const WEB_PORTS: [u16; 2] = [80, 443];

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

impl AddressPolicy {
    /// Whether a redirect may lead from one port to another: to those of the web, to the same one, and where the operator
    /// says so. Whoever writes redirects must not choose which service of somebody else gets a connection.
    pub fn allows_port(&self, from: u16, to: u16) -> bool {
        to == from || WEB_PORTS.contains(&to) || self.redirect_ports.contains(&to)
    }

    /// Whether the operator named this address as allowed.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|prefix| prefix.contains(&address.to_canonical()))
    }

    /// Whether the agent may reach this address. `deny` beats `allow`, `allow` beats the defaults: literals are the
    /// operator's own choice, names may lead to private and public space, redirects to public space.
    pub fn allows(&self, address: IpAddr, by: Reached) -> bool {
        let canonical = address.to_canonical();
        // What a translator makes of an IPv4 address is denied with that address.
        let both = [canonical, reached(address)];
        if self.deny.iter().any(|prefix| both.iter().any(|address| prefix.contains(address))) {
            return false;
        }
        if self.lists(address) {
            return true;
        }
        let class = class_of(address);
        match by {
            Reached::Literal => true,
            Reached::Name => is_for_names(class),
            Reached::Redirect => is_for_redirects(class),
        }
    }
}

/// Nobody lives at the addresses of documents, but a DNS server that gives them is a finding that the comparison of names
/// explains, and asking there harms nobody. The addresses of test benches play the public network there.
fn is_for_names(class: AddressClass) -> bool {
    match class {
        AddressClass::Public
        | AddressClass::Private
        | AddressClass::Shared
        | AddressClass::Documentation
        | AddressClass::Benchmark => true,
        AddressClass::Unspecified
        | AddressClass::Loopback
        | AddressClass::LinkLocal
        | AddressClass::Platform
        | AddressClass::Protocol
        | AddressClass::Tunnel
        | AddressClass::Multicast
        | AddressClass::Reserved => false,
    }
}

fn is_for_redirects(class: AddressClass) -> bool {
    is_for_names(class) && !matches!(class, AddressClass::Private | AddressClass::Shared)
}

/// Reads a prefix in CIDR notation.
///
/// # Errors
/// The rule that the text breaks.
pub fn prefix(text: &str) -> Result<IpNet, &'static str> {
    let prefix: IpNet = text.parse().map_err(|_| "must be a prefix in CIDR notation, for example 10.0.0.0/8")?;
    if prefix.addr() == prefix.network() { Ok(prefix) } else { Err("must have no host bits set") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> AddressPolicy {
        let parse = |list: &[&str]| list.iter().map(|text| prefix(text).expect("a prefix")).collect();
        AddressPolicy { allow: parse(allow), deny: parse(deny), ..AddressPolicy::default() }
    }

    #[test]
    fn names_and_redirects_lead_only_where_they_may() {
        let default = policy(&[], &[]);
        for (address, name, redirect) in [
            ("20.1.2.3", true, true),
            ("2a01::1", true, true),
            ("64:ff9b::20.1.2.3", true, true),
            ("198.18.0.1", true, true),
            ("203.0.113.1", true, true),
            ("10.0.0.4", true, false),
            ("100.64.0.1", true, false),
            ("fd00::1", true, false),
            ("fec0::1", true, false),
            ("64:ff9b::10.0.0.4", true, false),
            ("127.0.0.1", false, false),
            ("0.0.0.0", false, false),
            ("169.254.169.254", false, false),
            ("168.63.129.16", false, false),
            ("192.0.0.8", false, false),
            ("192.88.99.1", false, false),
            ("224.0.0.1", false, false),
            ("240.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("::1", false, false),
            ("::127.0.0.1", false, false),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
            ("2002:7f00:1::", false, false),
            ("2001::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("64:ff9b::169.254.169.254", false, false),
            ("64:ff9b::168.63.129.16", false, false),
        ] {
            let ip: IpAddr = address.parse().expect("a literal");
            assert_eq!(default.allows(ip, Reached::Name), name, "{address} by name");
            assert_eq!(default.allows(ip, Reached::Redirect), redirect, "{address} by redirect");
            assert!(default.allows(ip, Reached::Literal), "{address} as the operator's choice");
        }
    }

    #[test]
    fn redirects_lead_to_ports_of_the_web_and_to_listed_ones() {
        let policy = AddressPolicy { redirect_ports: [8443].into(), ..policy(&[], &[]) };
        for (from, to, allowed) in [
            (80, 443, true),
            (443, 80, true),
            (443, 22, false),
            (9443, 9443, true),
            (80, 8443, true),
            (80, 8080, false),
        ] {
            assert_eq!(policy.allows_port(from, to), allowed, "{from} to {to}");
        }
    }

    #[test]
    fn deny_beats_allow_and_allow_beats_the_defaults() {
        let policy = policy(&["127.0.0.0/8", "20.0.0.0/8"], &["20.1.0.0/16", "2a00::/8"]);
        let allows = |address: &str, by| policy.allows(address.parse().expect("a literal"), by);
        assert!(allows("127.0.0.1", Reached::Redirect));
        assert!(!allows("20.1.0.1", Reached::Literal));
        assert!(!allows("64:ff9b::20.1.0.1", Reached::Literal), "translated");
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
            assert_eq!(prefix(text).is_ok(), valid, "{text}");
        }
    }
}
