//! A way of six routers in network namespaces, for both families: the second sends some traffic to itself, as a transparent
//! proxy does, and balances over two, the fourth passes 1400 bytes, the fifth sends no ICMP.

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
};

use ase_lab::{namespace, programs};
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::PTR},
};
use tempfile::TempDir;

use crate::process::{agent, require, require_root, run, wait_for};

/// The target's addresses.
pub(crate) const TARGETS: [&str; 2] = ["20.9.0.9", "fd09:99::9"];
/// The port that the target itself accepts, and the one that the proxy accepts in its place.
pub(crate) const OPEN: u16 = 443;
pub(crate) const PROXIED: u16 = 80;
/// The machines: a client, six routers, the target.
const MACHINES: [&str; 8] = ["c", "r1", "r2", "r3a", "r3b", "r4", "r5", "t"];
/// The links in order of their numbers, with what they pass: 10.9.NUMBER.0/30 and fd09:NUMBER::/64, the nearer end first.
const LINKS: [(&str, &str, u16); 8] = [
    ("c", "r1", 1500),
    ("r1", "r2", 1500),
    ("r2", "r3a", 1500),
    ("r2", "r3b", 1500),
    ("r3a", "r4", 1500),
    ("r3b", "r4", 1500),
    ("r4", "r5", 1400),
    ("r5", "t", 1500),
];
/// Where each machine sends what is for the target, and what is for the client.
const ROUTES: [(&str, &str, &str); 8] = [
    ("c", "via 1.2", ""),
    ("r1", "via 2.2", ""),
    ("r2", "nexthop via 3.2 nexthop via 4.2", "via 2.1"),
    ("r3a", "via 5.2", "via 3.1"),
    ("r3b", "via 6.2", "via 4.1"),
    ("r4", "via 7.2", "via 5.1"),
    ("r5", "via 8.2", "via 7.1"),
    ("t", "", "via 8.1"),
];

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A user without any rights.
    Nobody,
    /// A user with every right, for tools that send raw packets.
    Root,
}

/// The machines; they end with this value.
pub(crate) struct Routers {
    machines: BTreeMap<&'static str, Child>,
    /// Files that everybody may read, among them the agent.
    folder: TempDir,
}

impl Drop for Routers {
    fn drop(&mut self) {
        for machine in self.machines.values_mut() {
            drop(machine.kill());
            drop(machine.wait());
        }
    }
}

impl Routers {
    /// Builds the way; `None` with a loud skip where the rights or programs are missing.
    pub(crate) fn new() -> Option<Self> {
        let tools = [("ip", "iproute2"), ("unshare", "util-linux"), ("setpriv", "util-linux"), ("nft", "nftables")];
        if !(tools.into_iter().all(|(tool, package)| require(tool, package)) && require_root("make network namespaces"))
        {
            return None;
        }
        let folder = programs::open_folder().expect("a folder for everybody");
        let machines = MACHINES.into_iter().map(|name| (name, machine(name, &folder))).collect();
        let routers = Self { machines, folder };
        (1..).zip(LINKS).for_each(|(number, link)| routers.link(number, link));
        ROUTES.into_iter().for_each(|route| routers.route(route));
        routers.oddities();
        let (from, to) = (agent(), routers.agent());
        // A file that this process writes is open in whatever another thread starts meanwhile, and cannot be run.
        assert!(run(Command::new("cp").arg(from).arg(&to)).status.success(), "the agent can be copied");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("the copy is ours");
        Some(routers)
    }

    fn agent(&self) -> PathBuf {
        self.folder.path().join("ase-agent")
    }

    fn id(&self, machine: &str) -> u32 {
        self.machines[machine].id()
    }

    fn ip(&self, machine: &str, words: &str) {
        namespace::ip_in(self.id(machine), words).unwrap_or_else(|error| panic!("{machine}: {error:#}"));
    }

    fn shell(&self, machine: &str, script: &str) {
        namespace::tool_in(self.id(machine), "sh", &["-ec", script])
            .unwrap_or_else(|error| panic!("{machine}: {error:#}"));
    }

    fn link(&self, number: u8, (near, far, mtu): (&str, &str, u16)) {
        let (one, other) = (format!("{near}-{far}"), format!("{far}-{near}"));
        self.ip(near, &format!("link add {one} type veth peer name {other} netns {}", self.id(far)));
        for (machine, device, host) in [(near, one, 1), (far, other, 2)] {
            self.ip(machine, &format!("addr add 10.9.{number}.{host}/30 dev {device}"));
            self.ip(machine, &format!("addr add fd09:{number}::{host}/64 dev {device} nodad"));
            self.ip(machine, &format!("link set {device} mtu {mtu} up"));
        }
    }

    /// `NUMBER.HOST` in a route is an end of a link, in either family.
    fn route(&self, (machine, onward, back): (&str, &str, &str)) {
        for (family, target, client) in [("", "20.9.0.9/32", "10.9.1.0/30"), ("-6 ", "fd09:99::9/128", "fd09:1::/64")] {
            for (to, way) in [(target, onward), (client, back)] {
                if !way.is_empty() {
                    self.ip(machine, &format!("{family}route add {to} {}", in_family(way, family.is_empty())));
                }
            }
        }
    }

    /// What is special about some of the machines.
    fn oddities(&self) {
        self.ip("t", "addr add 20.9.0.9/32 dev lo");
        self.ip("t", "addr add fd09:99::9/128 dev lo nodad");
        let proxy = format!(
            "nft add table inet proxy; nft 'add chain inet proxy in {{ type nat hook prerouting priority dstnat; }}'; \
            nft add rule inet proxy in iifname r2-r1 tcp dport {PROXIED} redirect"
        );
        self.shell("r2", &proxy);
        let silent = "nft add table inet quiet; nft 'add chain inet quiet out { type filter hook output priority 0; }'; \
            nft add rule inet quiet out icmp type time-exceeded drop; \
            nft add rule inet quiet out icmpv6 type time-exceeded drop";
        self.shell("r5", silent);
        self.accept("t", OPEN);
        self.accept("r2", PROXIED);
    }

    /// Accepts connections in a machine and holds them.
    fn accept(&self, machine: &str, port: u16) {
        let bound = namespace::inside(self.id(machine), move || Ok(TcpListener::bind(("::", port))?));
        let listener = bound.unwrap_or_else(|error| panic!("{machine}: {error:#}"));
        thread::spawn(move || listener.incoming().map_while(Result::ok).collect::<Vec<_>>());
    }

    /// The words before a command of the client's.
    fn before(&self, who: Who) -> Vec<String> {
        let client = self.id("c").to_string();
        let mut words = vec!["nsenter", "-t", &client, "-n"];
        if who == Who::Nobody {
            words.extend(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            words.extend(["--inh-caps", "-all", "--bounding-set", "-all", "--no-new-privs"]);
        }
        words.into_iter().map(str::to_owned).collect()
    }

    /// Runs a command of the client's.
    pub(crate) fn run_as(&self, who: Who, program: &str, words: &[&str]) -> Output {
        let before = self.before(who);
        let mut command = Command::new(&before[0]);
        command.args(&before[1..]).arg(program).args(words);
        run(command.env_remove("ASE_AGENT_CONFIG").env("NO_COLOR", "1").current_dir("/"))
    }

    /// Runs the agent with these words there, with a configuration that asks nothing by itself.
    pub(crate) fn run_agent(&self, words: &[&str]) -> Output {
        let file = self.watch(&[9]);
        let agent = self.agent();
        self.run_as(Who::Nobody, &agent.to_string_lossy(), &[words, &["--config", &file]].concat())
    }

    /// The command line of the agent with these words there, with the configuration of [`Routers::watch`] and a resolver file
    /// that says the same.
    pub(crate) fn agent_command(&self, words: &[&str]) -> Vec<String> {
        let agent = self.agent().to_string_lossy().into_owned();
        let file = self.place("ase-agent.yaml").to_string_lossy().into_owned();
        let resolvers = self.file("resolv.conf", "nameserver 10.9.1.2\n");
        let mounted = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
        let own = ["unshare", "-m", "sh", "-c", mounted, &resolvers].map(str::to_owned).to_vec();
        let command = [self.before(Who::Nobody), vec![agent]].concat();
        let words = words.iter().map(|word| (*word).to_owned()).chain(["--config".to_owned(), file]);
        own.into_iter().chain(command).chain(words).collect()
    }

    /// Writes a configuration that watches these ports of the target; returns its path.
    pub(crate) fn watch(&self, ports: &[u16]) -> String {
        let head = "profile: custom\nresolvers: {custom: [10.9.1.2], azure: 10.9.1.2}\nendpoints:\n  add:\n";
        let entry = |port: &u16| format!("    - {{host: 20.9.0.9, class: tcp, port: {port}, timeout: 2s}}\n");
        self.file("ase-agent.yaml", &(head.to_owned() + &ports.iter().map(entry).collect::<String>()))
    }

    /// A DNS server on the first router that gives every address a name: `hop-` and the second last of its bytes, or `target`.
    pub(crate) fn name_everybody(&self) {
        let bound = namespace::inside(self.id("r1"), || Ok(UdpSocket::bind("10.9.1.2:53")?));
        let socket = bound.unwrap_or_else(|error| panic!("the first router: {error:#}"));
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let reply = Message::from_vec(&buffer[..length]).ok().map(named).and_then(|reply| reply.to_vec().ok());
                if let Some(reply) = reply {
                    drop(socket.send_to(&reply, from));
                }
            }
        });
    }

    /// A place for a file.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that the client's user may read; returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("the folder is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the file is ours");
        path.to_string_lossy().into_owned()
    }

    /// Loses all large packets on the way from the third routers to the fourth, without a word.
    pub(crate) fn swallow(&self) {
        let rules = "nft add table inet hole; nft 'add chain inet hole in { type filter hook prerouting priority -300; }'; \
            nft add rule inet hole in meta length gt 1300 drop";
        self.shell("r4", rules);
    }

    /// Drops packets for one port at the fourth router, and says so where that is wanted.
    pub(crate) fn cut(&self, port: u16, verdict: &str) {
        let rules = format!(
            "nft add table inet cut; nft 'add chain inet cut through {{ type filter hook forward priority 0; }}'; \
            nft add rule inet cut through tcp dport {port} {verdict}"
        );
        self.shell("r4", &rules);
    }

    /// The second router sends everything one way.
    pub(crate) fn unbalance(&self) {
        self.ip("r2", "route replace 20.9.0.9/32 via 10.9.4.2");
    }
}

/// The answer of a server that names every address, and knows no other name.
fn named(asked: Message) -> Message {
    let mut reply = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    let Some(query) = asked.queries.first().cloned() else { return reply };
    let name = query.name().to_ascii();
    let bytes: Vec<&str> = name.split('.').collect();
    if query.query_type() == RecordType::PTR && bytes.len() > 2 {
        let host = if name.starts_with("9.0.9.20") { "target".to_owned() } else { format!("hop-{}", bytes[1]) };
        let host = Name::from_ascii(format!("{host}.lab.example.")).expect("a name");
        reply.answers.push(Record::from_rdata(query.name().clone(), 60, RData::PTR(PTR(host))));
    } else {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    reply.add_query(query);
    reply
}

/// A namespace that forwards packets of both families, balances by flow, and sends ICMP as often as it is asked to.
fn machine(name: &str, folder: &TempDir) -> Child {
    let log = folder.path().join(format!("{name}.log"));
    let ones = [
        "ipv4/ip_forward",
        "ipv6/conf/all/forwarding",
        "ipv4/fib_multipath_hash_policy",
        "ipv6/fib_multipath_hash_policy",
    ];
    let noughts = [
        "ipv4/conf/all/rp_filter",
        "ipv4/conf/default/rp_filter",
        "ipv4/icmp_ratelimit",
        "ipv4/icmp_ratemask",
        "ipv6/icmp/ratelimit",
    ];
    let set = |value: u8, keys: &[&str]| {
        keys.iter().map(|key| format!("echo {value} >/proc/sys/net/{key}; ")).collect::<String>()
    };
    let settings = set(1, &ones) + &set(0, &noughts);
    let script =
        format!("exec >{} 2>&1; set -e; ip link set lo up; {settings} echo ready; exec sleep 600", log.display());
    let child = Command::new("unshare").args(["-n", "sh", "-c", &script]).stdin(Stdio::null()).spawn();
    wait_for("a namespace", || fs::read_to_string(&log).ok()?.contains("ready").then_some(()));
    child.expect("unshare starts")
}

/// A way with its ends of links written out.
fn in_family(way: &str, is_v4: bool) -> String {
    let end = |word: &str| match word.split_once('.') {
        Some((number, host)) if is_v4 => format!("10.9.{number}.{host}"),
        Some((number, host)) => format!("fd09:{number}::{host}"),
        None => word.to_owned(),
    };
    way.split(' ').map(end).collect::<Vec<_>>().join(" ")
}
