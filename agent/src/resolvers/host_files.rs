//! Where the custom DNS comes from, and whether that changed since the start: after a change the environment needs a
//! restart, and this machine and the environment may disagree until then.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use ase_probes::clock;

use crate::{
    config::host,
    model::settings::{ResolverSource, Resolvers},
    resolvers::dhcp_lease::{self, Lease},
};

/// Time between two looks at the resolver files.
const LOOK_EVERY: Duration = Duration::from_secs(10);
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
    /// When the servers last changed, since the Unix epoch; `None` since the start.
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
        if self.changed.is_some() {
            let custom = resolvers.custom.iter().map(SocketAddr::ip);
            findings.push(format!(
                "the DNS servers of this host changed since the start{}: restart the environment, it keeps the old ones",
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
}

impl ResolverWatch {
    /// Remembers what the files say now.
    pub fn start() -> Self {
        let now = clock::now();
        Self { seen: read(), looked: now, since: now }
    }

    /// What is known.
    pub fn seen(&self) -> &HostDns {
        &self.seen
    }

    /// Looks again if it is time.
    pub fn look(&mut self) {
        let now = clock::now();
        if now.duration_since(self.looked) >= LOOK_EVERY {
            self.looked = now;
            self.compare(read(), clock::wall());
        }
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
        self.seen = HostDns { changed, ..found };
    }
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
        ResolverWatch { seen, looked: now, since: now }
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
