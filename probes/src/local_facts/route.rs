//! The way to a peer as this machine's kernel would send a packet now, for both families, and whether the device has a link
//! and the next hop answers. Rules, tables and metrics are the kernel's business, which is asked for its decision.

use std::{fmt, net::IpAddr};

use netlink_packet_core::Parseable;
use netlink_packet_route::{
    AddressFamily,
    link::{LinkFlags, LinkHeader},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourHeader, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia},
};
use nix::net::if_::{if_indextoname, if_nametoindex};

use super::{
    Fact, Unread,
    netlink::{About, Kernel, Scope},
};
use crate::egress::Egress;

/// Where packets to a peer go first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The network device.
    pub device: String,
    /// The router; the peer itself where it is on the link.
    pub address: IpAddr,
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the next hop is {} on {}", self.address, self.device)
    }
}

/// What the neighbour table (ARP, IPv6 neighbour discovery) knows of the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The next hop.
    pub address: IpAddr,
    /// Whether it has told its link address. `false`: it was asked and did not answer.
    pub answered: bool,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.answered { "has told" } else { "does not tell" };
        write!(f, "{} {how} its link address", self.address)
    }
}

/// The way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) next_hop: Fact<NextHop>,
    pub(super) neighbour: Fact<Neighbour>,
    pub(super) link: Fact<bool>,
}

impl Way {
    /// Asks the kernel for the way to `peer`.
    pub(super) fn to(peer: IpAddr, egress: &Egress) -> Self {
        let told = egress.interface.as_deref().map(|name| if_nametoindex(name).map_err(|_| Unread::Absent)).transpose();
        match (Kernel::open().map_err(Unread::from), told) {
            (Ok(mut kernel), Ok(told)) => Self::asked(&mut kernel, peer, egress, told),
            (Err(why), _) | (_, Err(why)) => Self { next_hop: Err(why), neighbour: Err(why), link: Err(why) },
        }
    }

    fn asked(kernel: &mut Kernel, peer: IpAddr, egress: &Egress, told: Option<u32>) -> Self {
        let hop = hop(kernel, peer, egress.source, told);
        let device = told.or(hop.ok().map(|hop| hop.device));
        Self {
            next_hop: hop.and_then(Hop::named),
            neighbour: hop.and_then(|hop| neighbour(kernel, hop)),
            link: match device {
                Some(device) => link(kernel, device),
                None => any_link(kernel),
            },
        }
    }
}

/// A next hop by its device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    device: u32,
    address: IpAddr,
}

impl Hop {
    fn named(self) -> Fact<NextHop> {
        let name = if_indextoname(self.device).map_err(|errno| Unread::Refused(errno as i32))?;
        Ok(NextHop { device: name.to_string_lossy().into_owned(), address: self.address })
    }

    /// Reads the kernel's answer to a question for the route to `peer`.
    fn parse(message: &[u8], peer: IpAddr) -> Fact<Self> {
        let route = RouteMessage::parse(message).map_err(|_| Unread::Unintelligible)?;
        if !matches!(route.header.kind, RouteType::Unicast | RouteType::Local | RouteType::Anycast) {
            return Err(Unread::Absent);
        }
        let find = |wanted: fn(&RouteAttribute) -> Option<IpAddr>| route.attributes.iter().find_map(wanted);
        let device = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(device) => Some(*device),
            _ => None,
        });
        Ok(Self { device: device.ok_or(Unread::Absent)?, address: find(router).unwrap_or(peer) })
    }
}

/// The router that an attribute of a route names. One of the other family is a `Via` (RFC 9229).
fn router(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) | RouteAttribute::Via(RouteVia::Inet(address)) => {
            Some((*address).into())
        }
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) | RouteAttribute::Via(RouteVia::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    }
}

fn hop(kernel: &mut Kernel, peer: IpAddr, source: Option<IpAddr>, device: Option<u32>) -> Fact<Hop> {
    let whole = if peer.is_ipv4() { 32 } else { 128 };
    let source = source.filter(|source| source.is_ipv4() == peer.is_ipv4());
    let mut question = RouteMessage::default();
    question.header =
        RouteHeader { address_family: family(peer), destination_prefix_length: whole, ..RouteHeader::default() };
    question.header.source_prefix_length = if source.is_some() { whole } else { 0 };
    question.attributes.push(RouteAttribute::Destination(peer.into()));
    question.attributes.extend(source.map(|source| RouteAttribute::Source(source.into())));
    question.attributes.extend(device.map(RouteAttribute::Oif));
    let answer = kernel.ask(About::Route, Scope::One, &question)?;
    Hop::parse(answer.first().ok_or(Unread::Absent)?, peer)
}

fn neighbour(kernel: &mut Kernel, hop: Hop) -> Fact<Neighbour> {
    let mut question = NeighbourMessage::default();
    question.header =
        NeighbourHeader { family: family(hop.address), ifindex: hop.device, ..NeighbourHeader::default() };
    question.attributes.push(NeighbourAttribute::Destination(match hop.address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    }));
    let answer = kernel.ask(About::Neighbour, Scope::One, &question)?;
    let answered = answered(answer.first().ok_or(Unread::Absent)?)?;
    Ok(Neighbour { address: hop.address, answered })
}

/// Whether the neighbour of an entry has told its link address (`NUD_VALID` in the kernel's `net/neighbour.h`).
fn answered(entry: &[u8]) -> Fact<bool> {
    let header = NeighbourHeader::parse(entry).map_err(|_| Unread::Unintelligible)?;
    match header.state {
        NeighbourState::Reachable
        | NeighbourState::Stale
        | NeighbourState::Delay
        | NeighbourState::Probe
        | NeighbourState::Noarp
        | NeighbourState::Permanent => Ok(true),
        NeighbourState::Incomplete | NeighbourState::Failed => Ok(false),
        _ => Err(Unread::Absent),
    }
}

/// Whether a device has a link.
fn link(kernel: &mut Kernel, device: u32) -> Fact<bool> {
    let question = LinkHeader { index: device, ..LinkHeader::default() };
    let answer = kernel.ask(About::Link, Scope::One, &question)?;
    Ok(has_link(flags(answer.first().ok_or(Unread::Absent)?)?))
}

/// Whether any device but loopback has a link.
fn any_link(kernel: &mut Kernel) -> Fact<bool> {
    let mut any = Err(Unread::Absent);
    for message in kernel.ask(About::Link, Scope::All, &LinkHeader::default())? {
        let flags = flags(&message)?;
        if !flags.contains(LinkFlags::Loopback) {
            any = Ok(any.unwrap_or(false) || has_link(flags));
        }
    }
    any
}

/// The header suffices, so that no attribute of an unusual device can make it unreadable.
fn flags(message: &[u8]) -> Fact<LinkFlags> {
    LinkHeader::parse(message).map(|header| header.flags).map_err(|_| Unread::Unintelligible)
}

fn has_link(flags: LinkFlags) -> bool {
    flags.contains(LinkFlags::Up | LinkFlags::Running)
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

#[cfg(test)]
mod tests;
