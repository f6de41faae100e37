//! The kernel's tables of routes and neighbours, as `/proc/net/route` and `/proc/net/arp` print them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

/// The route is in use (`RTF_UP` in `linux/route.h`).
const UP: u32 = 0x1;
/// The route rejects instead of carrying (`RTF_REJECT`).
const REJECT: u32 = 0x200;
/// The neighbour's link address is known (`ATF_COM` in `linux/if_arp.h`).
const COMPLETE: u32 = 0x2;

/// Where packets to a peer go first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The network device.
    pub device: String,
    /// The router; the peer itself where it is on the link.
    pub address: Ipv4Addr,
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the next hop is {} on {}", self.address, self.device)
    }
}

/// What the neighbour table (ARP) knows of the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The next hop.
    pub address: Ipv4Addr,
    /// Whether it has told its link address. `false`: it was asked and did not answer.
    pub answered: bool,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.answered { "has told" } else { "does not tell" };
        write!(f, "{} {how} its link address", self.address)
    }
}

/// The most specific route to `peer`, as the main table has it; rules and other tables are not seen.
pub(super) fn next_hop(table: &str, peer: IpAddr) -> Option<NextHop> {
    let IpAddr::V4(peer) = peer else { return None };
    let routes = table.lines().skip(1).filter_map(Route::parse);
    let best = routes.filter(|route| route.carries(peer)).max_by_key(|route| (route.mask, !route.metric))?;
    let address = if best.gateway.is_unspecified() { peer } else { best.gateway };
    Some(NextHop { device: best.device.to_owned(), address })
}

/// The entry of the next hop.
pub(super) fn neighbour(table: &str, hop: &NextHop) -> Option<Neighbour> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [address, _, flags, _, _, device] = words[..] else { return None };
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        let wanted = device == hop.device && address.parse() == Ok(hop.address);
        wanted.then_some(Neighbour { address: hop.address, answered: flags & COMPLETE != 0 })
    })
}

struct Route<'a> {
    device: &'a str,
    destination: u32,
    mask: u32,
    gateway: Ipv4Addr,
    metric: u32,
}

impl<'a> Route<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [device, destination, gateway, flags, _, _, metric, mask, ..] = words[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let route = Self {
            device,
            destination: address(destination)?,
            mask: address(mask)?,
            gateway: address(gateway)?.into(),
            metric: metric.parse().ok()?,
        };
        (flags & (UP | REJECT) == UP).then_some(route)
    }

    fn carries(&self, peer: Ipv4Addr) -> bool {
        u32::from(peer) & self.mask == self.destination
    }
}

/// Addresses stand in the table as the machine's own number whose bytes are in network order.
fn address(hex: &str) -> Option<u32> {
    Some(u32::from_be(u32::from_str_radix(hex, 16).ok()?))
}
