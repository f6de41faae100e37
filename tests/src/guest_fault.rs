//! Faults of the guest itself: of the machine on which the agent runs. They reach into the guest's namespaces and
//! process from outside, with the tools that an operator would break it with.

use std::{
    collections::BTreeSet, fs, os::unix::process::CommandExt, path::Path, process::Command, thread, time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use serde::Deserialize;

use crate::{namespace, sandbox};

/// A fault of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum GuestFault {
    /// The process may open only so many more files than it holds.
    FdLimit {
        /// How many more.
        spare: u64,
    },
    /// The range of local ports is this, and another program holds all of it, TCP and UDP.
    PortsTaken {
        /// The first port.
        from: u16,
        /// The last port.
        to: u16,
    },
    /// A route of its own forbids a destination.
    Route {
        /// What it does.
        kind: Forbids,
        /// The destination: a prefix, or `default`.
        prefix: String,
    },
    /// There is no default route.
    NoDefaultRoute,
    /// The network device is switched off.
    DeviceOff,
    /// The cable is out: the device is on and has no carrier.
    NoCarrier,
    /// The next hop to a destination does not answer ARP.
    NextHopSilent {
        /// The destination: a prefix, or `default`.
        prefix: String,
    },
    /// A firewall on the machine itself drops packets. The loopback device stays free.
    Firewall {
        /// Where.
        chain: Chain,
        /// Which packets, in nft's words, for example `udp dport 53`; empty for all.
        #[serde(default)]
        packets: String,
        /// What becomes of them: drop, or a rejection in nft's words.
        #[serde(default = "drop_them")]
        verdict: String,
    },
    /// Connection tracking is full: netfilter lets known flows pass and drops the first packet of every other.
    TrackingFull,
    /// The sandbox that the process is started in forbids it datagram sockets (EPERM). From the start only.
    Sandbox,
    /// A traffic-control program on the device drops what goes out.
    EgressProgram,
    /// The bundle of certificate authorities loses its content, and the agent reads it again.
    CaBundle {
        /// What becomes of it.
        becomes: Bundle,
    },
    /// The resolver file gets another text.
    ResolvConf {
        /// The text.
        text: String,
    },
    /// The process gets no processor for a while, again and again.
    Stalls {
        /// How long at a time.
        milliseconds: u64,
        /// The time between two.
        every_milliseconds: u64,
        /// How many.
        times: u32,
    },
    /// The device gets an IPv6 address and a default route that leads nowhere.
    Ipv6LeadsNowhere,
}

/// What a route does that forbids (ip-route(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forbids {
    /// EINVAL.
    Blackhole,
    /// EACCES.
    Prohibit,
    /// EHOSTUNREACH.
    Unreachable,
    /// ENETUNREACH: the lookup ends as if there were no route.
    Throw,
}

/// Where a firewall looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chain {
    /// At what goes out.
    Output,
    /// At what comes in.
    Input,
}

/// What becomes of the bundle of certificate authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bundle {
    /// It has no certificate.
    Empty,
    /// It is gone.
    Missing,
    /// It holds some other authority.
    Foreign,
}

fn drop_them() -> String {
    "drop".to_owned()
}

/// Whom a fault befalls.
#[derive(Clone, Copy, Debug)]
pub struct Victim<'a> {
    /// The process: the guest, and later the agent that it becomes.
    pub process: u32,
    /// The network device in its namespace.
    pub device: &'a str,
    /// The folder with its files: `ca.pem` and `resolv.conf`.
    pub folder: &'a Path,
}

/// A fault that lasts while this is held.
#[derive(Debug, Default)]
pub struct Lasting {
    /// Sockets that hold ports.
    _tcp: Vec<std::net::TcpListener>,
    _udp: Vec<std::net::UdpSocket>,
}

impl GuestFault {
    /// Whether it is over without being undone.
    pub fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Stalls { .. })
    }

    /// Makes it happen.
    ///
    /// # Errors
    /// When a tool is missing or fails, with what it said.
    pub fn befall(&self, victim: Victim<'_>) -> Result<Lasting> {
        let Victim { process, device, folder } = victim;
        let ip = |words: &str| namespace::ip_in(process, words);
        match self {
            Self::FdLimit { spare } => limit_files(process, *spare)?,
            Self::PortsTaken { from, to } => return take_ports(process, *from, *to),
            Self::Route { kind, prefix } => ip(&format!("route replace {} {prefix}", kind.word()))?,
            Self::NoDefaultRoute => ip("route del default")?,
            Self::DeviceOff => ip(&format!("link set {device} down"))?,
            Self::NoCarrier => ip(&format!("link set {device} carrier off"))?,
            Self::NextHopSilent { prefix } => lead_into_silence(process, prefix)?,
            Self::Firewall { chain, packets, verdict } => wall(process, *chain, packets, verdict)?,
            Self::TrackingFull => fill_tracking(process, folder)?,
            Self::Sandbox => sandbox::ask_for(folder)?,
            Self::EgressProgram => shoot(process, device)?,
            Self::CaBundle { becomes } => {
                becomes.write(&folder.join("ca.pem"))?;
                signal(process, Signal::SIGHUP)?;
            }
            Self::ResolvConf { text } => {
                fs::write(folder.join("resolv.conf"), text).context("cannot write resolv.conf")?
            }
            Self::Stalls { milliseconds, every_milliseconds, times } => {
                let (stop, go) = (Duration::from_millis(*milliseconds), Duration::from_millis(*every_milliseconds));
                stall(process, stop, go, *times);
            }
            Self::Ipv6LeadsNowhere => {
                ip(&format!("-6 addr add fd00:53::4/64 dev {device} nodad"))?;
                ip(&format!("-6 route add default dev {device}"))?;
            }
        }
        Ok(Lasting::default())
    }
}

impl Forbids {
    fn word(self) -> &'static str {
        match self {
            Self::Blackhole => "blackhole",
            Self::Prohibit => "prohibit",
            Self::Unreachable => "unreachable",
            Self::Throw => "throw",
        }
    }
}

impl Bundle {
    fn write(self, path: &Path) -> Result<()> {
        match self {
            Self::Empty => fs::write(path, "").context("cannot empty the bundle"),
            Self::Missing => fs::remove_file(path).context("cannot remove the bundle"),
            Self::Foreign => {
                let other = crate::authority::Authority::new("another root")?;
                fs::write(path, other.pem()).context("cannot write the bundle")
            }
        }
    }
}

fn signal(process: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(process)?), signal).with_context(|| format!("cannot send {signal} to {process}"))
}

/// How often, and how far apart, a process is looked at to learn how few files it holds: its sockets come and go.
const LOOKS: (u32, Duration) = (40, Duration::from_millis(25));

/// The number of the file that a process could open next but for so many.
fn free_file(process: u32, spare: u64) -> Result<u64> {
    let folder = format!("/proc/{process}/fd");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
    let held: BTreeSet<u64> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    // The limit is for the number that a new file gets, which is the lowest that is free.
    let free = (0..).filter(|number| !held.contains(number)).nth(usize::try_from(spare)?);
    Ok(free.unwrap_or_default())
}

fn limit_files(process: u32, spare: u64) -> Result<()> {
    let mut limit = free_file(process, spare)?;
    for _ in 0..LOOKS.0 {
        thread::sleep(LOOKS.1);
        limit = limit.min(free_file(process, spare)?);
    }
    // A process's limits are its user's business, and root's only with CAP_SYS_RESOURCE.
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process.to_string(), &format!("--nofile={limit}:{limit}")]);
    let (user, group) = (owner(process, "Uid:")?, owner(process, "Gid:")?);
    if user != geteuid().as_raw() {
        command.uid(user).gid(group);
    }
    let output = command.output().context("cannot run prlimit")?;
    ensure!(output.status.success(), "prlimit failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The user or group that a process runs as.
fn owner(process: u32, key: &str) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("a process has an owner")?;
    line.split_whitespace().next().context("a process has an owner")?.parse().context("owners are numbers")
}

fn unless_taken<T>(bound: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match bound {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Ok(None),
        bound => bound.map(Some),
    }
}

fn take_ports(process: u32, from: u16, to: u16) -> Result<Lasting> {
    namespace::inside(process, move || {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", format!("{from} {to}"))
            .context("cannot narrow the range of local ports")?;
        let mut lasting = Lasting::default();
        for port in from..=to {
            // A port that somebody holds already is taken too.
            lasting._tcp.extend(unless_taken(std::net::TcpListener::bind(("0.0.0.0", port)))?);
            lasting._udp.extend(unless_taken(std::net::UdpSocket::bind(("0.0.0.0", port)))?);
        }
        Ok(lasting)
    })
}

/// A TUN device asks nobody for addresses: so a wire whose other end belongs to nobody stands in for the dead next hop.
fn lead_into_silence(process: u32, prefix: &str) -> Result<()> {
    let ip = |words: &str| namespace::ip_in(process, words);
    ip("link add silent0 type veth peer name silent1")?;
    ip("addr add 10.53.2.4/24 dev silent0")?;
    ip("link set silent0 up")?;
    ip("link set silent1 up")?;
    ip(&format!("route replace {prefix} via 10.53.2.1 dev silent0"))
}

fn wall(process: u32, chain: Chain, packets: &str, verdict: &str) -> Result<()> {
    let (hook, free) = match chain {
        Chain::Output => ("output", "oif lo accept"),
        Chain::Input => ("input", "iif lo accept"),
    };
    let rules = format!(
        "table inet ase_lab {{\nchain {hook} {{\ntype filter hook {hook} priority 0; policy accept;\n{free}\n{packets} {verdict}\n}}\n}}\n"
    );
    namespace::tool_in(process, "nft", &[&rules])
}

/// The maximum belongs to all namespaces at once, so that a rule does what netfilter does then, and files that are put over
/// the gauges say why.
fn fill_tracking(process: u32, folder: &Path) -> Result<()> {
    wall(process, Chain::Output, "ct state new", "drop")?;
    for (gauge, value) in [("count", "262143"), ("max", "262144")] {
        let file = folder.join(gauge);
        fs::write(&file, value).with_context(|| format!("cannot write {}", file.display()))?;
        namespace::put_over_in(process, &file, &format!("/proc/sys/net/netfilter/nf_conntrack_{gauge}"))?;
    }
    Ok(())
}

/// One instruction: return 2, which is TC_ACT_SHOT (tc-bpf(8)).
fn shoot(process: u32, device: &str) -> Result<()> {
    namespace::tool_in(process, "tc", &["qdisc", "add", "dev", device, "clsact"])?;
    let filter = ["filter", "add", "dev", device, "egress", "bpf", "da", "bytecode", "1,6 0 0 2,"];
    namespace::tool_in(process, "tc", &filter)
}

/// Stops and continues the process from a thread of its own; a process that is gone ends it.
fn stall(process: u32, stop: Duration, go: Duration, times: u32) {
    thread::spawn(move || {
        for _ in 0..times {
            if signal(process, Signal::SIGSTOP).is_err() {
                return;
            }
            thread::sleep(stop);
            if signal(process, Signal::SIGCONT).is_err() {
                return;
            }
            thread::sleep(go);
        }
    });
}
