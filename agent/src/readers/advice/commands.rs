//! What to type about an incident, the first suspect first: commands with the addresses and ports of the endpoint that shows
//! it filled in; capitals stand for names that this machine cannot know.

use std::net::{IpAddr, SocketAddr};

use ase_probes::{cause::Cause, class::Class};

use super::{MANAGEMENT, Shown, is_datagram};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::Host,
        diagnosis::{Incident, Scope},
    },
    resolvers::compare::{ComparisonClass, zone_to_forward},
};

/// Reads what a handshake brought.
const READ: &str = "openssl x509 -noout -subject -issuer -dates";
/// How this machine's clock stands.
const CLOCKS: &str = "timedatectl; chronyc -n sources";
/// The routes in force.
const ROUTES: &str = "az network nic show-effective-route-table -g GROUP -n NIC -o table";
/// Which instances the health probe of the load balancer finds.
const INSTANCES: &str = "az monitor metrics list --resource LOAD-BALANCER-ID --metric DipAvailability --dimension BackendIPAddress -o table";
/// How far the ports of the way out are used up.
const PORTS: &str = "az monitor metrics list --resource FIREWALL-ID --metric SNATPortUtilization -o table";

impl Shown<'_> {
    pub(super) fn commands(&self, incident: &Incident, snapshot: &Snapshot) -> Vec<String> {
        let looked_at = || vec![format!("ase-agent check -v --endpoint {}", self.view.endpoint.id)];
        match incident.finding.cause {
            Cause::Dropped
            | Cause::Rejected
            | Cause::Unreachable
            | Cause::ProxiedBlind
            | Cause::AsymmetricReply
            | Cause::DnsNoTcp => self.of_the_path(incident, snapshot),
            Cause::SqlRedirectBlocked => vec![self.flow(snapshot, 11_000)],
            Cause::TlsBlocked => vec![self.handshake(""), self.next_hop(snapshot)],
            Cause::HttpBlocked | Cause::Reset => vec![self.next_hop(snapshot)],
            Cause::FlowHashLoss => vec![self.next_hop(snapshot), INSTANCES.to_owned()],
            Cause::FlowTableFull => vec![self.next_hop(snapshot), PORTS.to_owned()],
            // Within TDS there is no handshake that another program could make.
            Cause::TlsIntercepted | Cause::TlsCertInvalid | Cause::TlsRejected | Cause::LocalLimit
                if self.view.endpoint.class == Class::Sql =>
            {
                looked_at()
            }
            Cause::TlsIntercepted => vec![self.handshake(READ), self.next_hop(snapshot)],
            Cause::TlsCertInvalid => vec![self.handshake(READ)],
            Cause::TlsRejected | Cause::LocalLimit => vec![self.handshake(" -showcerts")],
            Cause::DnsServfail
            | Cause::DnsRefused
            | Cause::DnsNxdomain
            | Cause::DnsNodata
            | Cause::DnsDivergent
            | Cause::DnsIntercepted
            | Cause::DnsNoReply => self.of_the_name(snapshot),
            Cause::Refused if self.is_custom_dns(snapshot) => self.of_the_name(snapshot),
            Cause::LocalRoute | Cause::NextHopDown => vec![format!("ip route get {}", self.address.ip())],
            Cause::LocalFirewall => vec!["sudo nft list ruleset".to_owned()],
            Cause::LocalClock | Cause::NtpWrongTime => vec![CLOCKS.to_owned()],
            Cause::LocalFdLimit => vec!["systemctl show ase-agent -p LimitNOFILE".to_owned()],
            Cause::LocalPorts => vec!["ss -s; sysctl net.ipv4.ip_local_port_range".to_owned()],
            Cause::MtuBlackhole => self.of_large_packets(),
            Cause::PacketLoss | Cause::Slow | Cause::Refused if !is_datagram(self.view) => {
                vec![format!("ase-agent tcpping -n 20 {}", self.address)]
            }
            Cause::None
            | Cause::Unknown
            | Cause::LocalSetup
            | Cause::LocalStall
            | Cause::PacketLoss
            | Cause::Slow
            | Cause::Refused
            | Cause::HttpStatus
            | Cause::NtpDenied
            | Cause::NtpUnsynced
            | Cause::ProtocolViolation => looked_at(),
        }
    }

    pub(super) fn mending(&self, incident: &Incident, snapshot: &Snapshot) -> Vec<String> {
        match incident.finding.cause {
            Cause::TlsBlocked | Cause::HttpBlocked => vec![self.allowed(snapshot)],
            Cause::LocalClock => vec!["sudo chronyc makestep".to_owned()],
            Cause::DnsNxdomain | Cause::DnsNodata | Cause::DnsDivergent => {
                self.forwarded(snapshot).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// A port is a matter of rules first, a host of routes. No route touches the platform's own address.
    fn of_the_path(&self, incident: &Incident, snapshot: &Snapshot) -> Vec<String> {
        if self.is_platform(snapshot) {
            return vec![
                "az network nic list-effective-nsg -g GROUP -n NIC | grep -B9 -A9 AzurePlatformDNS".to_owned(),
            ];
        }
        let (rules, route) = (self.flow(snapshot, self.address.port()), self.next_hop(snapshot));
        match incident.scope {
            Scope::Port => vec![rules, "az network nic list-effective-nsg -g GROUP -n NIC".to_owned(), route],
            Scope::Egress => vec![ROUTES.to_owned(), route, rules],
            Scope::Host if self.is_custom_dns(snapshot) => self.of_each_server(snapshot),
            _ => vec![route, rules],
        }
    }

    /// Each DNS server asked, and the way to each.
    fn of_each_server(&self, snapshot: &Snapshot) -> Vec<String> {
        let servers = self.servers_or(self.address.ip());
        let asked = servers.iter().map(|server| format!("dig +time=3 @{server} {MANAGEMENT}"));
        let flows = servers.iter().map(|server| self.flow_to(snapshot, SocketAddr::new(*server, self.address.port())));
        asked.chain(flows).chain(servers.iter().map(|server| next_hop_to(snapshot, *server))).collect()
    }

    /// The custom DNS servers that are to blame; this one where none is known to be.
    fn servers_or(&self, server: IpAddr) -> Vec<IpAddr> {
        if self.servers.is_empty() { vec![server] } else { self.servers.clone() }
    }

    /// Whether the NSGs of this machine's NIC let the flow pass.
    fn flow(&self, snapshot: &Snapshot, port: u16) -> String {
        self.flow_to(snapshot, SocketAddr::new(self.address.ip(), port))
    }

    fn flow_to(&self, snapshot: &Snapshot, to: SocketAddr) -> String {
        let protocol = if is_datagram(self.view) { "UDP" } else { "TCP" };
        format!(
            "az network watcher test-ip-flow -g GROUP --vm VM --direction Outbound --protocol {protocol} --local '{}:*' --remote '{}:{}'",
            source(snapshot),
            to.ip(),
            to.port(),
        )
    }

    /// Where the effective routes send the packets.
    fn next_hop(&self, snapshot: &Snapshot) -> String {
        next_hop_to(snapshot, self.address.ip())
    }

    /// How both sides answer for the name, and each server alone.
    fn of_the_name(&self, snapshot: &Snapshot) -> Vec<String> {
        let name = match &self.view.endpoint.target.host {
            Host::Name(name) => name.as_str(),
            Host::Address(_) => MANAGEMENT,
        };
        let server = match self.view.last.as_ref().and_then(|visit| visit.resolution.as_ref()?.server) {
            Some(server) => server.ip(),
            None if self.address.port() == 53 => self.address.ip(),
            None => snapshot.resolvers.custom.first().map_or(snapshot.resolvers.azure, |server| *server).ip(),
        };
        let alone = self.servers_or(server).into_iter().map(|server| format!("dig @{server} {name}"));
        std::iter::once(format!("ase-agent nameresolver --compare {name}")).chain(alone).collect()
    }

    /// The forwarding that is missing, as a DNS server on Windows is told of it.
    fn forwarded(&self, snapshot: &Snapshot) -> Option<String> {
        let class = self.compared(snapshot)?.published.as_ref()?.class;
        let is_missing = matches!(class, ComparisonClass::PrivateBypass | ComparisonClass::PrivateZoneMissing);
        let (zone, azure) = (self.private_zone(snapshot).filter(|_| is_missing)?, snapshot.resolvers.azure.ip());
        Some(format!("Add-DnsServerConditionalForwarderZone -Name {} -MasterServers {azure}", zone_to_forward(&zone)))
    }

    /// A handshake as an ordinary client makes it.
    fn handshake(&self, more: &str) -> String {
        let name = match &self.view.endpoint.target.host {
            Host::Name(name) => format!("-servername {name}"),
            Host::Address(_) => "-noservername".to_owned(),
        };
        match more {
            READ => format!("openssl s_client -connect {} {name} </dev/null 2>/dev/null | {READ}", self.address),
            more => format!("openssl s_client -connect {} {name}{more} </dev/null", self.address),
        }
    }

    /// The rule that lets the name pass, where the appliance is an Azure Firewall with a policy.
    fn allowed(&self, snapshot: &Snapshot) -> String {
        let (host, port) = (&self.view.endpoint.target.host, self.address.port());
        let scheme = if self.view.endpoint.class == Class::Http { "Http" } else { "Https" };
        format!(
            "az network firewall policy rule-collection-group collection rule add -g GROUP --policy-name POLICY --rcg-name RULE-GROUP --collection-name COLLECTION -n allow-{host} --rule-type ApplicationRule --source-addresses {} --target-fqdns {host} --protocols {scheme}={port}",
            source(snapshot)
        )
    }

    /// Where on the path large packets end. 1372 bytes and both heads make 1400, which every tunnel of Azure carries.
    fn of_large_packets(&self) -> Vec<String> {
        let address = self.address.ip();
        vec![format!("tracepath -n {address}"), format!("ping -c 3 -M do -s 1372 {address}")]
    }
}

fn next_hop_to(snapshot: &Snapshot, to: IpAddr) -> String {
    format!("az network watcher show-next-hop -g GROUP --vm VM --source-ip {} --dest-ip {to}", source(snapshot))
}

fn source(snapshot: &Snapshot) -> String {
    let source: Option<IpAddr> = snapshot.machine.source.ok().and_then(Result::ok);
    source.map_or_else(|| "THIS-VM".to_owned(), |source| source.to_string())
}
