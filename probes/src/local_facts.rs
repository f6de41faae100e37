//! What this machine says about itself without any privilege and without sending a packet: its descriptors, ports,
//! sockets, flow table, route, next hop and link. What is not known says why: a machine may have nothing of the kind, or a
//! sandbox may hide it.

mod discipline;
mod netlink;
mod route;

use std::{
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use nix::{
    errno::Errno,
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use socket2::Type;

use self::route::Way;
pub use self::{
    discipline::Discipline,
    route::{Neighbour, NextHop},
};
use crate::{
    egress::{Egress, Shape},
    evidence::Trouble,
};

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

/// A fact, or why it is not known.
pub type Fact<T> = Result<T, Unread>;

/// Why a fact is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The machine has nothing of the kind: no connection tracking, no route to the peer, no neighbour asked so far.
    Absent,
    /// The kernel refused with this `errno(3)`: a sandbox hides the file or forbids the socket.
    Refused(i32),
    /// The kernel told it in a form that is not known here.
    Unintelligible,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is none"),
            Self::Refused(errno) => f.write_str(&Errno::from_raw(*errno).desc().to_lowercase()),
            Self::Unintelligible => f.write_str("its form is not known"),
        }
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::Unintelligible, Self::Refused)
    }
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// How many ports it holds.
    pub(crate) fn count(self) -> u64 {
        u64::from(self.last.saturating_sub(self.first)) + 1
    }
}

/// What a machine says about itself, as far as it matters for one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFacts {
    /// Descriptors of this process and their soft limit (`RLIMIT_NOFILE`).
    pub files: Fact<Usage>,
    /// The local ports that the kernel chooses from.
    pub port_range: Fact<PortRange>,
    /// TCP sockets in use on this machine, both families, without the waiting ones.
    pub tcp_sockets: Fact<u64>,
    /// TCP sockets that wait for late segments (TIME-WAIT).
    pub tcp_waiting: Fact<u64>,
    /// UDP sockets in use on this machine, both families.
    pub udp_sockets: Fact<u64>,
    /// Flows in this machine's connection tracking and their maximum.
    pub tracked_flows: Fact<Usage>,
    /// The address that packets to the peer leave from; the error number of `errno(3)` where there is no route.
    pub source: Fact<Result<IpAddr, i32>>,
    /// The device and router that packets to the peer leave through.
    pub next_hop: Fact<NextHop>,
    /// Whether that device has a link. Where the device is not known: whether any device but loopback has one.
    pub link: Fact<bool>,
    /// What the neighbour table knows of the next hop.
    pub neighbour: Fact<Neighbour>,
}

/// What the kernel gives every process (`INR_OPEN_CUR` in `include/uapi/linux/fs.h`).
const FILES: usize = 1024;

/// The number of files that this process may have open, by its soft limit (`RLIMIT_NOFILE` in `getrlimit(2)`).
pub fn file_limit() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(FILES, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

/// Raises the soft limit of open files to so many, as far as the hard one allows, and returns the limit that holds then. Who has
/// more keeps it.
pub fn raise_file_limit(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return FILES };
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).min(hard);
    // Where a sandbox forbids it, the soft limit holds.
    let is_raised = wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    usize::try_from(if is_raised { wanted } else { soft }).unwrap_or(usize::MAX)
}

impl LocalFacts {
    /// Reads everything that concerns `peer`. A few small files of `/proc`, two sockets, no packet.
    pub fn about(peer: SocketAddr, egress: &Egress) -> Self {
        Self::from_parts(Path::new("/proc"), source(peer, egress), Way::to(peer.ip(), egress))
    }

    fn from_parts(proc: &Path, source: Fact<Result<IpAddr, i32>>, way: Way) -> Self {
        // Of this thread's network namespace, which need not be the process's.
        let sockets = ["sockstat", "sockstat6"].map(|name| read(&proc.join("thread-self/net").join(name)));
        Self {
            files: files(proc),
            port_range: read(&proc.join("sys/net/ipv4/ip_local_port_range")).and_then(|text| port_range(&text)),
            tcp_sockets: sum(&sockets, &["TCP:", "TCP6:"], "inuse"),
            tcp_waiting: sum(&sockets, &["TCP:"], "tw"),
            udp_sockets: sum(&sockets, &["UDP:", "UDP6:"], "inuse"),
            tracked_flows: tracked_flows(&proc.join("sys/net")),
            source,
            next_hop: way.next_hop,
            link: way.link,
            neighbour: way.neighbour,
        }
    }

    /// What this machine has but does not tell, each with the reason: what rests on it can never be found out here.
    pub fn hidden(&self) -> Vec<(&'static str, Unread)> {
        let all = [
            ("the count of open files", self.files.as_ref().err()),
            ("the range of local ports", self.port_range.as_ref().err()),
            ("the count of TCP sockets", self.tcp_sockets.as_ref().err()),
            ("the count of waiting TCP sockets", self.tcp_waiting.as_ref().err()),
            ("the count of UDP sockets", self.udp_sockets.as_ref().err()),
            ("the connection tracking table", self.tracked_flows.as_ref().err()),
            ("the source address", self.source.as_ref().err()),
            ("the route", self.next_hop.as_ref().err()),
            ("the link state", self.link.as_ref().err()),
            ("the neighbour table", self.neighbour.as_ref().err()),
        ];
        all.into_iter()
            .filter_map(|(what, why)| Some((what, *why?)))
            .filter(|(_, why)| *why != Unread::Absent)
            .collect()
    }

    /// The number of ports that the kernel chooses from.
    pub fn ports(&self) -> Option<u64> {
        self.port_range.ok().map(PortRange::count)
    }

    /// The facts in plain words, one line each.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Ok(Usage { used, limit }) = self.files {
            lines.push(format!("{used} of {limit} file descriptors are in use"));
        }
        if let Some(ports) = self.ports() {
            let count = |count: Fact<u64>| count.map_or_else(|_| "?".to_owned(), |count| count.to_string());
            let (tcp, waiting, udp) = (count(self.tcp_sockets), count(self.tcp_waiting), count(self.udp_sockets));
            lines.push(format!(
                "{tcp} TCP sockets ({waiting} more waiting) and {udp} UDP sockets on {ports} local ports"
            ));
        }
        if let Ok(Usage { used, limit }) = self.tracked_flows {
            lines.push(format!("connection tracking of this machine holds {used} of {limit} flows"));
        }
        lines.extend(self.source.ok().map(|source| match source {
            Ok(address) => format!("packets leave from {address}"),
            Err(errno) => format!("no route: {}", Errno::from_raw(errno).desc().to_lowercase()),
        }));
        lines.extend(self.next_hop.as_ref().ok().map(NextHop::to_string));
        lines.extend(self.neighbour.as_ref().ok().map(Neighbour::to_string));
        if self.link == Ok(false) {
            lines.push("the network device has no link".to_owned());
        }
        lines.extend(self.hidden().into_iter().map(|(what, why)| format!("{what} cannot be read: {why}")));
        lines
    }
}

/// The start of a file.
fn read(path: &Path) -> Fact<String> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, FILE_LIMIT as u64), &mut text)?;
    String::from_utf8(text).map_err(|_| Unread::Unintelligible)
}

fn number(path: &Path) -> Fact<u64> {
    read(path)?.trim().parse().map_err(|_| Unread::Unintelligible)
}

fn port_range(text: &str) -> Fact<PortRange> {
    let (first, last) = text.trim().split_once(char::is_whitespace).ok_or(Unread::Unintelligible)?;
    let port = |word: &str| word.trim().parse().map_err(|_| Unread::Unintelligible);
    Ok(PortRange { first: port(first)?, last: port(last)? })
}

/// Flows and their maximum. Without the kernel's module there are no such files; where all of `sys/net` is missing,
/// nobody can tell.
fn tracked_flows(net: &Path) -> Fact<Usage> {
    let gauge = |name: &str| number(&net.join("netfilter").join(name));
    match (gauge("nf_conntrack_count"), gauge("nf_conntrack_max")) {
        (Ok(used), Ok(limit)) => Ok(Usage { used, limit }),
        (Err(Unread::Refused(libc::ENOENT)), _) if net.is_dir() => Err(Unread::Absent),
        (Err(why), _) | (_, Err(why)) => Err(why),
    }
}

/// Descriptors in use. Linux 6.2 and later say the count without opening anything, even when none is left.
fn files(proc: &Path) -> Fact<Usage> {
    let folder = proc.join("self/fd");
    let used = match fs::metadata(&folder)?.len() {
        // The folder itself is open while it is read.
        0 => fs::read_dir(&folder)?.count().saturating_sub(1) as u64,
        count => count,
    };
    let limits = read(&proc.join("self/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).ok_or(Unread::Unintelligible)?;
    let limit = line.split_whitespace().next().and_then(|word| word.parse().ok()).ok_or(Unread::Unintelligible)?;
    Ok(Usage { used, limit })
}

/// The sum of a key's values over the lines of these protocols (`/proc/net/sockstat`, `/proc/net/sockstat6`). Without
/// IPv6 the second file is missing.
fn sum(files: &[Fact<String>; 2], protocols: &[&str], key: &str) -> Fact<u64> {
    let [first, _] = files;
    first.as_ref().map_err(|why| *why)?;
    let values: Vec<u64> = files
        .iter()
        .flatten()
        .flat_map(|text| text.lines())
        .filter(|line| protocols.iter().any(|protocol| line.starts_with(protocol)))
        .filter_map(|line| line.split_whitespace().skip_while(|word| *word != key).nth(1)?.parse().ok())
        .collect();
    if values.is_empty() { Err(Unread::Unintelligible) } else { Ok(values.iter().sum()) }
}

/// Whether an address is one of this machine: the kernel leaves for it from itself. Nothing is sent.
pub fn is_own(address: IpAddr, egress: &Egress) -> bool {
    // The port is not asked: discard (RFC 863).
    let found = source(SocketAddr::new(address, 9), &Egress { source: None, ..egress.clone() });
    address.is_loopback() || found.is_ok_and(|source| source == Ok(address.to_canonical()))
}

/// Whether this machine's kernel knows a way to an address. Nothing is sent. What cannot be found out stands in nobody's way.
pub fn has_route(address: IpAddr, egress: &Egress) -> bool {
    // The port is not asked: discard (RFC 863).
    !matches!(source(SocketAddr::new(address, 9), egress), Ok(Err(_)))
}

/// The route lookup: the kernel chooses the source address when a UDP socket is connected, and sends nothing.
fn source(peer: SocketAddr, egress: &Egress) -> Fact<Result<IpAddr, i32>> {
    let socket = egress.socket(peer, Type::DGRAM, Shape::default()).map_err(|trouble| {
        let Trouble::Os { errno, .. } = trouble else { return Unread::Unintelligible };
        // The device that probes are told to use does not exist.
        if errno == libc::ENODEV { Unread::Absent } else { Unread::Refused(errno) }
    })?;
    match socket.connect(&peer.into()) {
        Ok(()) => Ok(Ok(socket.local_addr()?.as_socket().ok_or(Unread::Unintelligible)?.ip())),
        Err(error) => Ok(Err(error.raw_os_error().ok_or(Unread::Unintelligible)?)),
    }
}

#[cfg(test)]
mod tests;
