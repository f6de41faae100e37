//! What a bench watches: how many endpoints of which kind, where they are, and what each program under test is told.

use std::{
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use ase_agent::net::duration;
use serde::{Deserialize, Serialize};

/// Where the agent listens, in the guest.
pub(super) const AGENT: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10123));
/// Where blackbox_exporter listens, in the guest.
pub(super) const BLACKBOX: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9115));
/// Where Prometheus listens, in the guest.
pub(super) const PROMETHEUS: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090));
/// The DNS server that the agent is told is its own and Azure's.
const RESOLVER: &str = "198.18.0.53";
/// The only zone that the DNS servers know; every name in it has an address.
pub(super) const ZONE: &str = "bench.example";
/// Endpoints in one /24.
const PER_NET: u32 = 250;
/// The longest that a probe may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Connect and close.
    Tcp,
    /// One question by UDP.
    Dns,
    /// One GET.
    Http,
    /// A full handshake and one GET.
    Https,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 4] = [Self::Tcp, Self::Dns, Self::Http, Self::Https];

    /// The word for it, the same for the agent's class and the exporter's prober.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of its servers.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Tcp => 7000,
            Self::Dns => 53,
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Endpoints of equal rhythm, each with an address of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Endpoints {
    /// The kinds, which take turns.
    pub(super) kinds: Vec<Kind>,
    /// How many there are.
    pub(super) count: usize,
    /// How often each is asked.
    pub(super) interval: Duration,
}

impl Endpoints {
    fn each(&self) -> impl Iterator<Item = (Kind, Ipv4Addr)> {
        (0u32..).zip(self.kinds.iter().cycle()).take(self.count).map(|(index, kind)| (*kind, address(index)))
    }

    /// Shorter than the interval, which the agent demands.
    fn timeout(&self) -> Duration {
        TIMEOUT.min(self.interval * 4 / 5)
    }

    /// The agent's configuration: nothing but these endpoints.
    pub(super) fn for_agent(&self, folder: &Path) -> String {
        let (every, timeout) = (show(self.interval), show(self.timeout()));
        let of_all = |value: &str| Kind::ALL.map(|kind| format!("{}: {value}", kind.label())).join(", ");
        let mut text = format!(
            "profile: custom\nvantage: ase-lab bench\nlisten: \"{AGENT}\"\nresolvers: {{custom: [{RESOLVER}], azure: {RESOLVER}}}\n\
             ca: {{file: \"{}\", system: false}}\nstate_dir: \"{}\"\nintervals: {{{}}}\ntimeouts: {{{}}}\n\
             endpoints:\n  add:\n",
            folder.join("ca.pem").display(),
            folder.join("state").display(),
            of_all(&every),
            of_all(&timeout),
        );
        for (kind, address) in self.each() {
            let more = match kind {
                Kind::Tcp => format!(", port: {}", kind.port()),
                Kind::Dns => format!(", question: a.{ZONE}"),
                Kind::Http => String::new(),
                // The exporter verifies names too.
                Kind::Https => ", verify: full".to_owned(),
            };
            let written = writeln!(text, "  - {{class: {}, host: {address}{more}}}", kind.label());
            written.expect("a string takes all");
        }
        text
    }

    /// The exporter's modules, one for each kind.
    pub(super) fn for_blackbox(&self, folder: &Path) -> String {
        let (timeout, ca) = (show(self.timeout()), folder.join("ca.pem"));
        format!(
            "modules:\n  tcp: {{prober: tcp, timeout: {timeout}, tcp: {{preferred_ip_protocol: ip4}}}}\n  \
             dns: {{prober: dns, timeout: {timeout}, dns: {{preferred_ip_protocol: ip4, query_name: a.{ZONE}, query_type: A}}}}\n  \
             http: {{prober: http, timeout: {timeout}, http: {{preferred_ip_protocol: ip4}}}}\n  \
             https: {{prober: http, timeout: {timeout}, http: {{preferred_ip_protocol: ip4, tls_config: {{ca_file: \"{}\"}}}}}}\n",
            ca.display()
        )
    }

    /// The configuration of a Prometheus that drives the exporter: one scrape for each probe.
    pub(super) fn for_prometheus_with_blackbox(&self) -> String {
        let mut text = self.head();
        for kind in &self.kinds {
            let module = kind.label();
            let written = write!(
                text,
                "- job_name: {module}\n  metrics_path: /probe\n  params: {{module: [{module}]}}\n  relabel_configs:\n  \
                 - {{source_labels: [__address__], target_label: __param_target}}\n  \
                 - {{source_labels: [__param_target], target_label: instance}}\n  \
                 - {{target_label: __address__, replacement: \"{BLACKBOX}\"}}\n  static_configs:\n  - targets:\n"
            );
            written.expect("a string takes all");
            for (_, address) in self.each().filter(|(of, _)| of == kind) {
                let target = match kind {
                    Kind::Tcp | Kind::Dns => format!("{address}:{}", kind.port()),
                    Kind::Http | Kind::Https => format!("{module}://{address}/"),
                };
                writeln!(text, "    - {target}").expect("a string takes all");
            }
        }
        text
    }

    /// The configuration of a Prometheus that reads the agent's one page as often as each endpoint is asked.
    pub(super) fn for_prometheus_with_agent(&self) -> String {
        format!("{}- job_name: ase-agent\n  static_configs: [{{targets: [\"{AGENT}\"]}}]\n", self.head())
    }

    fn head(&self) -> String {
        let (every, timeout) = (show(self.interval), show(self.interval * 9 / 10));
        format!("global: {{scrape_interval: {every}, scrape_timeout: {timeout}}}\nscrape_configs:\n")
    }
}

/// A duration as all three programs read it: without blanks.
fn show(time: Duration) -> String {
    duration::show(time).replace(' ', "")
}

/// The address of an endpoint, in the benchmarking space of RFC 2544.
fn address(index: u32) -> Ipv4Addr {
    let first = u32::from(Ipv4Addr::new(198, 18, 1, 1));
    Ipv4Addr::from(first + index / PER_NET * 256 + index % PER_NET)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(kinds: &[Kind], count: usize) -> Endpoints {
        Endpoints { kinds: kinds.to_vec(), count, interval: Duration::from_secs(5) }
    }

    #[test]
    fn the_agent_watches_these_endpoints_and_no_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = crate::authority::Authority::new("bench").expect("a key can be made");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder is writable");
        let file = folder.path().join("ase-agent.yaml");
        std::fs::write(&file, endpoints(&Kind::ALL, 100).for_agent(folder.path())).expect("the folder is writable");
        let settings = ase_agent::config::load(Some(&file)).expect("a good configuration");
        assert_eq!(settings.catalog.endpoints.len(), 100);
        for endpoint in &settings.catalog.endpoints {
            assert!(endpoint.id.0.starts_with("198.18.1."), "{}", endpoint.id);
            assert_eq!((endpoint.interval, endpoint.target.timeout), (Duration::from_secs(5), TIMEOUT));
        }
    }

    #[test]
    fn ten_thousand_endpoints_have_addresses_of_their_own_and_fit_a_configuration() {
        let endpoints = endpoints(&Kind::ALL, 10_000);
        let addresses: std::collections::BTreeSet<Ipv4Addr> = endpoints.each().map(|(_, address)| address).collect();
        assert_eq!(addresses.len(), 10_000);
        assert!(addresses.iter().all(|address| address.octets()[0..2] == [198, 18]));
        assert!(endpoints.for_agent(Path::new("/")).len() < 1 << 20, "the agent takes files up to 1 MiB");
    }

    #[test]
    fn prometheus_asks_the_exporter_about_every_endpoint() {
        let text = endpoints(&[Kind::Dns, Kind::Https], 4).for_prometheus_with_blackbox();
        for target in ["- 198.18.1.1:53\n", "- https://198.18.1.2/\n", "- 198.18.1.3:53\n", "- https://198.18.1.4/\n"] {
            assert!(text.contains(target), "{target}: {text}");
        }
        let head = "{scrape_interval: 5s, scrape_timeout: 4s500ms}";
        assert!(text.contains(head) && text.contains("module: [dns]"), "{text}");
    }
}
