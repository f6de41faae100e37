//! Where the custom DNS comes from, and whether that changed since the start: after a change the environment needs a
//! restart, and this machine and the environment may disagree until then.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use ase_probes::clock;

use crate::host;

/// Time between two looks at the resolver files.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the host's files say about DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostDns {
    /// The servers that the files name now.
    pub servers: Vec<IpAddr>,
    /// The search suffixes that DHCP handed out.
    pub suffixes: Vec<String>,
    /// When the servers last changed, since the Unix epoch; `None` since the start.
    pub changed: Option<Duration>,
}

impl HostDns {
    /// What the suffix tells about the network's DNS, in plain words; `None` where it tells nothing.
    pub fn hint(&self) -> Option<&'static str> {
        let ends = |suffix: &str| self.suffixes.iter().any(|found| found.trim_end_matches('.').ends_with(suffix));
        if ends("reddog.microsoft.com") {
            Some("the network has custom DNS servers (DHCP suffix reddog.microsoft.com)")
        } else if ends("internal.cloudapp.net") {
            Some("the network uses Azure-provided DNS (DHCP suffix internal.cloudapp.net)")
        } else {
            None
        }
    }

    /// What contradicts itself or needs an operator; `None` where all is well.
    pub fn finding(&self, azure: IpAddr) -> Option<&'static str> {
        let custom_expected = self.hint().is_some_and(|hint| hint.contains("custom"));
        if self.changed.is_some() {
            Some("the DNS servers of this host changed since the start: restart the environment, it keeps the old ones")
        } else if custom_expected && self.servers == [azure] {
            Some("DHCP says that the network has custom DNS servers, but this host asks Azure DNS only")
        } else {
            None
        }
    }
}

/// Looks at the resolver files now and then.
#[derive(Debug)]
pub struct ResolverWatch {
    seen: HostDns,
    looked: Instant,
}

impl ResolverWatch {
    /// Remembers what the files say now.
    pub fn start() -> Self {
        Self { seen: read(), looked: clock::now() }
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

    fn compare(&mut self, found: HostDns, at: Duration) {
        let changed = if found.servers == self.seen.servers {
            self.seen.changed
        } else {
            tracing::warn!(before = ?self.seen.servers, now = ?found.servers, "the DNS servers of this host changed");
            Some(at)
        };
        self.seen = HostDns { changed, ..found };
    }
}

fn read() -> HostDns {
    let file = |path: &str| std::fs::read_to_string(path).ok();
    let (direct, uplink) = (file(host::RESOLV_CONF), file(host::UPLINK_CONF));
    let servers = host::servers(direct.as_deref(), uplink.as_deref()).map(|found| found.servers).unwrap_or_default();
    let suffixes = [direct, uplink].iter().flatten().flat_map(|text| host::suffixes(text)).collect();
    HostDns { servers, suffixes, changed: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(servers: &[[u8; 4]], suffix: &str) -> HostDns {
        let servers = servers.iter().map(|server| IpAddr::from(*server)).collect();
        HostDns { servers, suffixes: vec![suffix.to_owned()], changed: None }
    }

    const AZURE: [u8; 4] = [168, 63, 129, 16];

    #[test]
    fn a_change_of_servers_is_dated_and_stays() {
        let mut watch = ResolverWatch { seen: dns(&[[10, 0, 0, 4]], "corp.example"), looked: clock::now() };
        watch.compare(dns(&[[10, 0, 0, 4]], "corp.example"), Duration::from_secs(5));
        assert_eq!(watch.seen.changed, None);
        watch.compare(dns(&[[10, 0, 0, 5]], "corp.example"), Duration::from_secs(9));
        watch.compare(dns(&[[10, 0, 0, 5]], "corp.example"), Duration::from_secs(11));
        assert_eq!(watch.seen.changed, Some(Duration::from_secs(9)));
        assert!(watch.seen.finding(AZURE.into()).is_some_and(|finding| finding.contains("restart")));
    }

    #[test]
    fn the_suffix_tells_which_dns_the_network_has() {
        assert!(dns(&[AZURE], "x.internal.cloudapp.net").hint().is_some_and(|hint| hint.contains("Azure-provided")));
        assert!(dns(&[AZURE], "reddog.microsoft.com").finding(AZURE.into()).is_some());
        assert_eq!(dns(&[[10, 0, 0, 4]], "reddog.microsoft.com").finding(AZURE.into()), None);
        assert_eq!(dns(&[AZURE], "corp.example").finding(AZURE.into()), None);
    }
}
