//! Where the custom DNS comes from, and whether that changed as far as is remembered: after a change the environment needs a
//! restart, and this machine and the environment may disagree until then.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ase_probes::{clock, errand::Errand};
use jiff::Timestamp;

use crate::{
    config::host,
    model::settings::{ResolverSource, Resolvers},
    resolvers::{
        dhcp_lease::{self, Lease},
        memory::{KEPT, Memory},
    },
};

/// Time between two looks at the resolver files.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the start waits for what is remembered: a disk takes milliseconds, if it does not hang.
const PATIENCE: Duration = Duration::from_secs(1);
/// The files have to name other servers for this long before they are asked: who renews a lease or edits a file may need
/// several steps.
pub const GRACE: Duration = Duration::from_secs(30);

/// What the host's files say about DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostDns {
    /// The servers that the files name now.
    pub servers: Vec<IpAddr>,
    /// The search suffixes in the files.
    pub suffixes: Vec<String>,
    /// What DHCP handed out, where its client left a lease that this user may read.
    pub lease: Option<Lease>,
    /// What the C library does not take from the resolver file although it looks as if it should, in plain words.
    pub oddities: Vec<String>,
    /// When the servers last changed, since the Unix epoch; `None` as far as is remembered.
    pub changed: Option<Duration>,
}

impl HostDns {
    /// What the suffix tells about the network's DNS, in plain words; `None` where it tells nothing.
    pub fn hint(&self) -> Option<&'static str> {
        match self.mode()? {
            Mode::Custom => Some("the network has custom DNS servers (DHCP suffix reddog.microsoft.com)"),
            Mode::Azure => Some("the network uses Azure-provided DNS (DHCP suffix internal.cloudapp.net)"),
        }
    }

    /// What contradicts itself or needs an operator, in plain words; empty where all is well.
    pub fn findings(&self, resolvers: &Resolvers) -> Vec<String> {
        let azure = resolvers.azure.ip();
        let mut findings = Vec::new();
        if let Some(at) = self.changed.and_then(|changed| Timestamp::from_second(changed.as_secs() as i64).ok()) {
            let custom = resolvers.custom.iter().map(SocketAddr::ip);
            findings.push(format!(
                "the DNS servers of this host changed (seen {at}){}: unless it was done since, restart the environment, it \
                 keeps the old ones until then",
                if custom.eq(self.servers.iter().copied()) { " and the agent asks the new ones" } else { "" }
            ));
        }
        findings.extend(self.oddities.iter().cloned());
        if self.is_without_server(resolvers) {
            findings.push(format!(
                "{} names no DNS server: most programs on this host cannot resolve names, and the agent asks Azure DNS \
                 alone",
                host::RESOLV_CONF
            ));
        }
        let only_azure = self.servers == [azure];
        match self.mode() {
            Some(Mode::Custom) if only_azure => findings.push(
                "DHCP says that the network has custom DNS servers, but this host asks Azure DNS only".to_owned(),
            ),
            Some(Mode::Azure) if !only_azure && !self.servers.is_empty() => findings.push(format!(
                "DHCP says that the network uses Azure-provided DNS, but this host asks {}",
                list(&self.servers)
            )),
            Some(Mode::Custom | Mode::Azure) | None => {}
        }
        if let Some(lease) = self.lease.as_ref().filter(|lease| differ(&lease.servers, &self.servers)) {
            findings.push(format!(
                "DHCP handed out {}, but this host's resolver files name {}",
                list(&lease.servers),
                list(&self.servers)
            ));
        }
        let configured: Vec<IpAddr> = resolvers.custom.iter().map(SocketAddr::ip).collect();
        if resolvers.source == ResolverSource::Config && !self.servers.is_empty() && differ(&configured, &self.servers)
        {
            findings.push(format!(
                "the configuration names {}, this host's resolver files {}: make sure that apps use the former",
                list(&configured),
                list(&self.servers)
            ));
        }
        findings
    }

    /// Whether neither the configuration nor this host's files name a server, so that nobody knows whom apps ask.
    pub fn is_without_server(&self, resolvers: &Resolvers) -> bool {
        self.servers.is_empty() && resolvers.source != ResolverSource::Config
    }

    fn mode(&self) -> Option<Mode> {
        let leased = self.lease.iter().flat_map(|lease| &lease.suffixes);
        let suffixes: Vec<&str> =
            self.suffixes.iter().chain(leased).map(|suffix| suffix.trim_end_matches('.')).collect();
        let ends = |end: &str| suffixes.iter().any(|suffix| suffix.ends_with(end));
        if ends("reddog.microsoft.com") {
            Some(Mode::Custom)
        } else if ends("internal.cloudapp.net") {
            Some(Mode::Azure)
        } else {
            None
        }
    }
}

/// What the DHCP suffix tells about the network (name-resolution-for-vms-and-role-instances).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// `reddog.microsoft.com`, the placeholder where custom servers are set.
    Custom,
    /// `*.internal.cloudapp.net`.
    Azure,
}

/// Whether two lists name different servers; their order is a preference, not a contradiction.
fn differ(one: &[IpAddr], other: &[IpAddr]) -> bool {
    let set = |list: &[IpAddr]| list.iter().copied().collect::<BTreeSet<_>>();
    set(one) != set(other)
}

fn list(servers: &[IpAddr]) -> String {
    let servers: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
    if servers.is_empty() { "none".to_owned() } else { servers.join(", ") }
}

/// Looks at the resolver files now and then.
#[derive(Debug)]
pub struct ResolverWatch {
    seen: HostDns,
    looked: Instant,
    /// When the files were first seen to name these servers.
    since: Instant,
    /// `None` where nothing is remembered beyond the process.
    memory: Option<Kept>,
}

/// What is remembered beyond the process. Its disk is never waited for beyond the start.
#[derive(Debug, Default)]
struct Kept {
    folder: PathBuf,
    /// What stands there.
    stands: Option<Memory>,
    reading: Errand<Option<Memory>>,
    writing: Errand<std::io::Result<()>>,
}

impl Kept {
    /// Begins to read.
    fn read(folder: &Path) -> Self {
        let mut kept = Self { folder: folder.to_owned(), ..Self::default() };
        let folder = folder.to_owned();
        kept.reading.send(move || Memory::read(&folder));
        kept
    }

    /// Writes what is new, unless it is still read or written what was.
    fn write(&mut self, memory: Memory) {
        if let Some(Err(error)) = self.writing.result() {
            tracing::warn!(folder = %self.folder.display(), %error, "this host's DNS servers cannot be remembered");
        }
        if self.reading.is_under_way() || self.writing.is_under_way() || self.stands.as_ref() == Some(&memory) {
            return;
        }
        let (folder, text) = (self.folder.clone(), memory.clone());
        self.writing.send(move || text.write(&folder));
        // What could not be written is not tried again before something changes.
        self.stands = Some(memory);
    }
}

impl ResolverWatch {
    /// Reads what the files say now, and compares that with what the state directory remembers.
    pub fn start(state_dir: Option<&Path>) -> Self {
        let (memory, now) = (state_dir.map(Kept::read), clock::now());
        let mut watch = Self { seen: read(), looked: now, since: now, memory };
        watch.recall(PATIENCE, clock::wall());
        watch
    }

    /// What is known.
    pub fn seen(&self) -> &HostDns {
        &self.seen
    }

    /// Looks again if it is time, and remembers what is new.
    pub fn look(&mut self) {
        self.recall(Duration::ZERO, clock::wall());
        let now = clock::now();
        if now.duration_since(self.looked) >= LOOK_EVERY {
            self.looked = now;
            self.compare(read(), clock::wall());
        }
        self.remember();
    }

    /// Takes up what was remembered once it is read: waits no longer than this for it.
    fn recall(&mut self, patience: Duration, at: Duration) {
        let Some(kept) = &mut self.memory else { return };
        let Some(memory) = kept.reading.wait(patience).flatten() else { return };
        let found = std::mem::replace(&mut self.seen, earlier(&memory));
        kept.stands = Some(memory);
        self.compare(found, at);
    }

    fn remember(&mut self) {
        let Some(kept) = &mut self.memory else { return };
        let leased = self.seen.lease.as_ref().map(|lease| &lease.servers);
        // A lease that became unreadable says nothing: what it said last is kept.
        let leased = leased.or(kept.stands.as_ref().and_then(|memory| memory.leased.as_ref())).cloned();
        let changed = self.seen.changed.map(|changed| Duration::from_secs(changed.as_secs()));
        kept.write(Memory { servers: self.seen.servers.clone(), leased, changed });
    }

    /// The servers that the files name since long enough and that are not asked yet. Servers that the configuration names
    /// stay whatever the files say, and files that name none say nothing.
    pub fn settled(&self, resolvers: &Resolvers) -> Option<&[IpAddr]> {
        let asked = resolvers.custom.iter().map(SocketAddr::ip);
        let is_news = !self.seen.servers.is_empty() && !asked.eq(self.seen.servers.iter().copied());
        let is_steady = self.looked.duration_since(self.since) >= GRACE;
        (resolvers.source != ResolverSource::Config && is_news && is_steady).then_some(&*self.seen.servers)
    }

    fn compare(&mut self, found: HostDns, at: Duration) {
        let leased = |dns: &HostDns| dns.lease.as_ref().map(|lease| lease.servers.clone());
        // A lease that becomes unreadable says nothing; another one that names other servers does.
        let renewed = leased(&found).is_some_and(|now| leased(&self.seen).is_some_and(|before| before != now));
        if found.servers != self.seen.servers {
            self.since = self.looked;
        }
        let changed = if found.servers == self.seen.servers && !renewed {
            self.seen.changed
        } else {
            let (before, now) = (&self.seen, &found);
            tracing::warn!(
                before = ?before.servers, now = ?now.servers, lease_before = ?leased(before), lease_now = ?leased(now),
                "the DNS servers of this host changed"
            );
            Some(at)
        };
        let changed = changed.filter(|changed| at.saturating_sub(*changed) < KEPT);
        self.seen = HostDns { changed, ..found };
    }
}

/// What was remembered, as the files said it then.
fn earlier(memory: &Memory) -> HostDns {
    let lease = memory.leased.as_ref().map(|servers| Lease { servers: servers.clone(), ..Lease::default() });
    HostDns { servers: memory.servers.clone(), lease, changed: memory.changed, ..HostDns::default() }
}

fn read() -> HostDns {
    let (direct, uplink) = (host::file(host::RESOLV_CONF), host::file(host::UPLINK_CONF));
    let servers = host::servers(direct.as_deref(), uplink.as_deref()).map(|found| found.servers).unwrap_or_default();
    let oddities = direct.as_deref().map(host::oddities).unwrap_or_default();
    let suffixes = [direct, uplink].iter().flatten().flat_map(|text| host::suffixes(text)).collect();
    HostDns { servers, suffixes, lease: dhcp_lease::newest(Path::new("/")), oddities, changed: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AZURE: [u8; 4] = [168, 63, 129, 16];
    const CUSTOM: [u8; 4] = [10, 0, 0, 4];
    /// Longer than any machine takes; only a test that fails waits so long.
    const LONG: Duration = Duration::from_secs(60);

    fn dns(servers: &[[u8; 4]], suffix: &str) -> HostDns {
        let servers = servers.iter().map(|server| IpAddr::from(*server)).collect();
        HostDns { servers, suffixes: vec![suffix.to_owned()], ..HostDns::default() }
    }

    fn leased(dns: HostDns, servers: &[[u8; 4]], suffix: &str) -> HostDns {
        let servers = servers.iter().map(|server| IpAddr::from(*server)).collect();
        let lease = Lease { servers, suffixes: vec![suffix.to_owned()], file: "/run/systemd/netif/leases/2".into() };
        HostDns { lease: Some(lease), ..dns }
    }

    fn watching(seen: HostDns) -> ResolverWatch {
        let now = clock::now();
        ResolverWatch { seen, looked: now, since: now, memory: None }
    }

    #[test]
    fn other_servers_are_asked_once_they_stayed_for_the_grace() {
        let (old, new) = (dns(&[CUSTOM], "corp.example"), dns(&[[10, 0, 0, 5]], "corp.example"));
        let from_file = resolvers(CUSTOM, ResolverSource::File(host::RESOLV_CONF.to_owned()));
        let mut watch = watching(old.clone());
        let start = watch.looked;
        let mut look = |second: u64, found: &HostDns| {
            watch.looked = start + Duration::from_secs(second);
            watch.compare(found.clone(), Duration::from_secs(second));
            watch.settled(&from_file).map(<[IpAddr]>::to_vec)
        };
        assert_eq!((look(10, &new), look(30, &new)), (None, None), "it may be one of several steps");
        assert_eq!((look(40, &old), look(50, &new)), (None, None), "it was");
        assert_eq!(look(50 + GRACE.as_secs(), &new), Some(new.servers.clone()));
        assert_eq!(look(90, &HostDns::default()), None, "a file that is gone names nobody");
        let configured = resolvers(CUSTOM, ResolverSource::Config);
        watch.seen = new;
        watch.since = start;
        assert_eq!(watch.settled(&configured), None, "the configuration's word stands");
    }

    fn resolvers(custom: [u8; 4], source: ResolverSource) -> Resolvers {
        Resolvers { custom: vec![(custom, 53).into()], source, azure: (AZURE, 53).into() }
    }

    fn found(dns: &HostDns) -> Vec<String> {
        dns.findings(&resolvers(CUSTOM, ResolverSource::File(host::RESOLV_CONF.to_owned())))
    }

    #[test]
    fn a_change_of_servers_is_dated_and_stays() {
        let mut watch = watching(dns(&[CUSTOM], "corp.example"));
        watch.compare(dns(&[CUSTOM], "corp.example"), Duration::from_secs(5));
        assert_eq!(watch.seen.changed, None);
        watch.compare(dns(&[[10, 0, 0, 5]], "corp.example"), Duration::from_secs(9));
        watch.compare(dns(&[[10, 0, 0, 5]], "corp.example"), Duration::from_secs(11));
        assert_eq!(watch.seen.changed, Some(Duration::from_secs(9)));
        assert!(found(&watch.seen).iter().any(|finding| finding.contains("restart the environment")));
    }

    #[test]
    fn a_change_outlives_the_process_that_saw_it_or_did_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |now: HostDns, at: u64| {
            let mut watch = ResolverWatch { memory: Some(Kept::read(folder.path())), ..watching(now) };
            watch.recall(LONG, Duration::from_secs(at));
            watch.remember();
            watch.memory.as_mut().and_then(|kept| kept.writing.wait(LONG));
            watch.seen
        };
        let (old, new) = (dns(&[CUSTOM], "corp.example"), dns(&[[10, 0, 0, 5]], "corp.example"));
        assert_eq!(start(old, 100).changed, None, "the first look remembers nothing to compare with");
        assert_eq!(start(new.clone(), 200).changed, Some(Duration::from_secs(200)), "it changed while nobody looked");
        assert_eq!(start(new.clone(), 300).changed, Some(Duration::from_secs(200)), "and is remembered");
        let later = 200 + KEPT.as_secs();
        assert_eq!(start(new, later).changed, None, "not for ever");
    }

    #[test]
    fn a_disk_that_hangs_is_not_waited_for_and_what_it_says_later_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let before = Memory { servers: vec![CUSTOM.into()], ..Memory::default() };
        let (mend, hangs) = std::sync::mpsc::channel::<Memory>();
        let mut kept = Kept { folder: folder.path().to_owned(), ..Kept::default() };
        kept.reading.send(move || hangs.recv_timeout(LONG).ok());
        let mut watch = ResolverWatch { memory: Some(kept), ..watching(dns(&[[10, 0, 0, 5]], "corp.example")) };
        watch.recall(Duration::ZERO, Duration::from_secs(8));
        watch.remember();
        assert_eq!((watch.seen.changed, Memory::read(folder.path())), (None, None));
        mend.send(before).expect("it is waited for");
        watch.recall(LONG, Duration::from_secs(9));
        assert_eq!(watch.seen.changed, Some(Duration::from_secs(9)), "it changed while nobody looked");
        watch.remember();
        watch.memory.as_mut().and_then(|kept| kept.writing.wait(LONG)).expect("it is written").expect("it is writable");
        let now = Memory::read(folder.path()).expect("it was written");
        assert_eq!((now.servers, now.changed), (vec![[10, 0, 0, 5].into()], Some(Duration::from_secs(9))));
    }

    #[test]
    fn a_new_lease_with_other_servers_is_a_change_before_any_file_follows() {
        let now = |servers: &[[u8; 4]]| leased(dns(&[CUSTOM], "corp.example"), servers, "corp.example");
        let mut watch = watching(dns(&[CUSTOM], "corp.example"));
        watch.compare(now(&[CUSTOM]), Duration::from_secs(5));
        assert_eq!(watch.seen.changed, None, "a first lease is no change");
        watch.compare(dns(&[CUSTOM], "corp.example"), Duration::from_secs(6));
        assert_eq!(watch.seen.changed, None, "an unreadable one is none either");
        watch.compare(now(&[CUSTOM]), Duration::from_secs(7));
        watch.compare(now(&[[10, 0, 0, 9]]), Duration::from_secs(8));
        assert_eq!(watch.seen.changed, Some(Duration::from_secs(8)));
        assert!(found(&watch.seen).iter().any(|finding| finding.contains("DHCP handed out 10.0.0.9")));
    }

    #[test]
    fn a_host_without_a_server_is_named_unless_the_configuration_has_one() {
        let nobody = HostDns { oddities: vec!["line 1 is odd".to_owned()], ..HostDns::default() };
        let from_file = resolvers(AZURE, ResolverSource::File(host::RESOLV_CONF.to_owned()));
        let said = nobody.findings(&from_file);
        assert!(said.len() == 2 && said[0].contains("odd") && said[1].contains("names no DNS server"), "{said:?}");
        assert!(nobody.is_without_server(&from_file));
        assert_eq!(nobody.findings(&resolvers(CUSTOM, ResolverSource::Config)).len(), 1);
    }

    #[test]
    fn the_suffix_tells_which_dns_the_network_has() {
        assert!(dns(&[AZURE], "x.internal.cloudapp.net").hint().is_some_and(|hint| hint.contains("Azure-provided")));
        let leased = leased(dns(&[CUSTOM], "corp.example"), &[CUSTOM], "reddog.microsoft.com");
        assert!(leased.hint().is_some_and(|hint| hint.contains("custom")), "from the lease too");
        for (dns, words) in [
            (dns(&[AZURE], "reddog.microsoft.com"), Some("asks Azure DNS only")),
            (dns(&[CUSTOM], "x.internal.cloudapp.net."), Some("but this host asks 10.0.0.4")),
            (dns(&[CUSTOM], "reddog.microsoft.com"), None),
            (dns(&[AZURE], "x.internal.cloudapp.net"), None),
            (dns(&[AZURE], "corp.example"), None),
            (leased, None),
        ] {
            let found = found(&dns);
            assert_eq!(found.len(), usize::from(words.is_some()), "{found:?}");
            assert!(words.is_none_or(|words| found[0].contains(words)), "{found:?}");
        }
    }

    #[test]
    fn sources_that_name_different_servers_are_named_and_the_order_is_no_difference() {
        let two = dns(&[CUSTOM, AZURE], "corp.example");
        assert_eq!(found(&leased(two.clone(), &[AZURE, CUSTOM], "corp.example")), Vec::<String>::new());
        assert!(found(&leased(two.clone(), &[AZURE], "corp.example"))[0].contains("DHCP handed out 168.63.129.16"));
        let configured = two.findings(&resolvers([10, 9, 9, 9], ResolverSource::Config));
        assert!(configured[0].contains("the configuration names 10.9.9.9"), "{configured:?}");
        assert_eq!(HostDns::default().findings(&resolvers(CUSTOM, ResolverSource::Config)), Vec::<String>::new());
    }
}
