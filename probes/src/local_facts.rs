//! What this machine says about itself without any privilege and without sending a packet: its descriptors, ports,
//! sockets, flow table, route, next hop and link. What the kernel does not tell is `None`, never an error.

mod route;

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sys::resource::{Resource, getrlimit},
};
use socket2::Type;

pub use self::route::{Neighbour, NextHop};
use crate::egress::{Egress, Shape};

/// Bytes read of any one file: 64 KiB hold the neighbours and routes of any machine that the agent is made for.
const FILE_LIMIT: usize = 64 * 1024;

/// A gauge and the limit it runs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In use now.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

impl Usage {
    /// Whether at least nineteen in twenty are in use.
    pub fn is_nearly_full(self) -> bool {
        self.limit > 0 && self.used.saturating_mul(20) >= self.limit.saturating_mul(19)
    }
}

/// What a machine says about itself, as far as it matters for one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// Descriptors of this process and their soft limit (`RLIMIT_NOFILE`).
    pub files: Option<Usage>,
    /// The local ports that the kernel chooses from, both ends included.
    pub port_range: Option<(u16, u16)>,
    /// TCP sockets in use on this machine, both families, without the waiting ones.
    pub tcp_sockets: Option<u64>,
    /// TCP sockets that wait for late segments (TIME-WAIT).
    pub tcp_waiting: Option<u64>,
    /// UDP sockets in use on this machine, both families.
    pub udp_sockets: Option<u64>,
    /// Flows in this machine's connection tracking and their maximum.
    pub tracked_flows: Option<Usage>,
    /// The address that packets to the peer leave from; the error number of `errno(3)` where there is no route.
    pub source: Option<Result<IpAddr, i32>>,
    /// The device and router that packets to the peer leave through. IPv4 only.
    pub next_hop: Option<NextHop>,
    /// Whether that device has a link. Where the device is not known: whether any device but loopback has one.
    pub link: Option<bool>,
    /// What the neighbour table knows of the next hop. IPv4 only.
    pub neighbour: Option<Neighbour>,
}

/// What the kernel gives every process (`INR_OPEN_CUR` in `include/uapi/linux/fs.h`).
const FILES: usize = 1024;

/// The number of files that this process may have open, by its soft limit (`RLIMIT_NOFILE` in `getrlimit(2)`).
pub fn file_limit() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(FILES, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

impl LocalFacts {
    /// Reads everything that concerns `peer`. A few small files of `/proc`, one socket, no packet.
    pub fn about(peer: SocketAddr, egress: &Egress) -> Self {
        let mut facts = Self::from_proc(Path::new("/proc"), peer.ip());
        facts.source = source(peer, egress);
        let device = egress.interface.as_deref().or(facts.next_hop.as_ref().map(|hop| hop.device.as_str()));
        facts.link = link(device);
        facts
    }

    fn from_proc(proc: &Path, peer: IpAddr) -> Self {
        // Of this thread's network namespace, which need not be the process's.
        let read = |name: &str| read(&proc.join(name));
        let sockets = [read("thread-self/net/sockstat"), read("thread-self/net/sockstat6")];
        let next_hop = read("thread-self/net/route").and_then(|table| route::next_hop(&table, peer));
        let neighbour =
            read("thread-self/net/arp").zip(next_hop.as_ref()).and_then(|(table, hop)| route::neighbour(&table, hop));
        Self {
            files: files(proc),
            port_range: read("sys/net/ipv4/ip_local_port_range").and_then(|text| pair(&text)),
            tcp_sockets: sum(&sockets, &["TCP:", "TCP6:"], "inuse"),
            tcp_waiting: sum(&sockets, &["TCP:"], "tw"),
            udp_sockets: sum(&sockets, &["UDP:", "UDP6:"], "inuse"),
            tracked_flows: number(read("sys/net/netfilter/nf_conntrack_count"))
                .zip(number(read("sys/net/netfilter/nf_conntrack_max")))
                .map(|(used, limit)| Usage { used, limit }),
            source: None,
            next_hop,
            link: None,
            neighbour,
        }
    }

    /// The number of ports that the kernel chooses from.
    pub fn ports(&self) -> Option<u64> {
        self.port_range.map(|(first, last)| u64::from(last.saturating_sub(first)) + 1)
    }

    /// The facts in plain words, one line each.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Usage { used, limit }) = self.files {
            lines.push(format!("{used} of {limit} file descriptors are in use"));
        }
        if let Some(ports) = self.ports() {
            let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let (tcp, waiting, udp) = (count(self.tcp_sockets), count(self.tcp_waiting), count(self.udp_sockets));
            lines.push(format!(
                "{tcp} TCP sockets ({waiting} more waiting) and {udp} UDP sockets on {ports} local ports"
            ));
        }
        if let Some(Usage { used, limit }) = self.tracked_flows {
            lines.push(format!("connection tracking of this machine holds {used} of {limit} flows"));
        }
        lines.extend(self.source.map(|source| match source {
            Ok(address) => format!("packets leave from {address}"),
            Err(errno) => format!("no route: {}", nix::errno::Errno::from_raw(errno).desc().to_lowercase()),
        }));
        lines.extend(self.next_hop.as_ref().map(NextHop::to_string));
        lines.extend(self.neighbour.as_ref().map(Neighbour::to_string));
        if self.link == Some(false) {
            lines.push("the network device has no link".to_owned());
        }
        lines
    }
}

/// The start of a file; `None` if it cannot be read.
fn read(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path).ok()?, FILE_LIMIT as u64), &mut text).ok()?;
    String::from_utf8(text).ok()
}

fn number(text: Option<String>) -> Option<u64> {
    text?.trim().parse().ok()
}

fn pair(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some((first.parse().ok()?, last.trim().parse().ok()?))
}

/// Descriptors in use. Linux 6.2 and later say the count without opening anything, even when none is left.
fn files(proc: &Path) -> Option<Usage> {
    let folder = proc.join("self/fd");
    let used = match fs::metadata(&folder).ok()?.len() {
        // The folder itself is open while it is read.
        0 => fs::read_dir(&folder).ok()?.count().saturating_sub(1) as u64,
        count => count,
    };
    let limits = read(&proc.join("self/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some(Usage { used, limit: line.split_whitespace().next()?.parse().ok()? })
}

/// The sum of a key's values over the lines of these protocols (`/proc/net/sockstat`, `/proc/net/sockstat6`).
fn sum(files: &[Option<String>], protocols: &[&str], key: &str) -> Option<u64> {
    let values: Vec<u64> = files
        .iter()
        .flatten()
        .flat_map(|text| text.lines())
        .filter(|line| protocols.iter().any(|protocol| line.starts_with(protocol)))
        .filter_map(|line| line.split_whitespace().skip_while(|word| *word != key).nth(1)?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// The route lookup: the kernel chooses the source address when a UDP socket is connected, and sends nothing.
fn source(peer: SocketAddr, egress: &Egress) -> Option<Result<IpAddr, i32>> {
    let socket = egress.socket(peer, Type::DGRAM, Shape::default()).ok()?;
    match socket.connect(&peer.into()) {
        Ok(()) => socket.local_addr().ok()?.as_socket().map(|local| Ok(local.ip())),
        Err(error) => error.raw_os_error().map(Err),
    }
}

/// Whether the device has a link, by the kernel's own list of this network namespace.
fn link(device: Option<&str>) -> Option<bool> {
    let mut known = None;
    for interface in getifaddrs().ok()? {
        let wanted = device.map_or(!interface.flags.contains(InterfaceFlags::IFF_LOOPBACK), |device| {
            interface.interface_name == device
        });
        if wanted {
            *known.get_or_insert(false) |=
                interface.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING);
        }
    }
    known
}

#[cfg(test)]
mod tests;
