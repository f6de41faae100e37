//! What to type about an incident, the first suspect first: commands with the addresses and ports of the endpoint that shows
//! it filled in; capitals stand for names that this machine cannot know.

use std::net::{IpAddr, SocketAddr};

use ase_probes::{cause::Cause, class::Class};

use super::{HOST_BEFORE, MANAGEMENT, Shown, at_platform, is_datagram, known, suspect::Suspect};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::Host,
        contrast::Ask,
        diagnosis::{Alternative, Incident, Scope},
    },
    net::address::canary_beside,
    resolvers::compare::{ComparisonClass, zone_to_forward},
};

/// Reads what a handshake brought.
const READ: &str = "openssl x509 -noout -subject -issuer -dates";
/// How this machine's clock stands.
const CLOCKS: &str = "timedatectl; chronyc -n sources";
/// What suffers flows on this machine itself.
const OWN: &str = "nstat -az; ip -s link; sudo nft list ruleset";
/// Packet sizes that are tried: that of Ethernet, those that tunnels leave of it, and the least that IPv6 has to carry.
const PACKETS: [usize; 4] = [1500, 1460, 1400, 1280];
/// A zone that every resolver of the public Internet knows, and that is none of the dependencies'.
const OTHER_ZONE: &str = "com. NS";
/// The routes in force.
const ROUTES: &str = "az network nic show-effective-route-table -g GROUP -n NIC -o table";
/// Which instances the health probe of the load balancer finds.
const INSTANCES: &str = "az monitor metrics list --resource LOAD-BALANCER-ID --metric DipAvailability --dimension BackendIPAddress -o table";
/// How far the ports of the way out are used up.
const PORTS: &str = "az monitor metrics list --resource FIREWALL-ID --metric SNATPortUtilization -o table";

impl Shown<'_> {
    pub(super) fn commands(&self, incident: &Incident, snapshot: &Snapshot) -> Vec<String> {
        let looked_at = || vec![self.looked_at()];
        match incident.finding.cause {
            cause
                if self.is_platform(snapshot)
                    && at_platform(cause).is_some_and(|(_, before)| before == HOST_BEFORE) =>
            {
                vec![OWN.to_owned()]
            }
            Cause::Dropped | Cause::Rejected => self.of_the_path(incident, snapshot),
            Cause::Unreachable | Cause::ProxiedBlind | Cause::AsymmetricReply => {
                vec![self.next_hop(snapshot), self.flow(snapshot, self.address.port())]
            }
            Cause::DnsNoTcp => vec![flow_by("TCP", snapshot, self.address), self.next_hop(snapshot)],
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
            Cause::DnsNoReply => self.of_the_name(snapshot).into_iter().rev().collect(),
            Cause::DnsServfail => self.of_the_servfail(snapshot),
            Cause::DnsRefused | Cause::DnsNxdomain | Cause::DnsNodata | Cause::DnsDivergent | Cause::DnsIntercepted => {
                self.of_the_name(snapshot)
            }
            Cause::Refused if self.address.port() == 53 => self.of_the_name(snapshot).into_iter().rev().collect(),
            Cause::LocalRoute => vec![format!("ip route; ip rule; ip route get {}", self.address.ip())],
            Cause::NextHopDown => vec![format!("ip neigh; ip -s link; ip route get {}", self.address.ip())],
            Cause::LocalFirewall => vec!["sudo nft list ruleset".to_owned()],
            Cause::LocalClock => vec![CLOCKS.to_owned()],
            Cause::NtpWrongTime => vec!["chronyc -n sources".to_owned()],
            Cause::LocalFdLimit => {
                vec!["ls /proc/$(pidof ase-agent)/fd | wc -l; systemctl show ase-agent -p LimitNOFILE".to_owned()]
            }
            Cause::LocalStall => vec!["cat /proc/pressure/cpu; vmstat 1 5".to_owned()],
            Cause::LocalSetup => vec!["journalctl -b -u ase-agent; systemctl show ase-agent".to_owned()],
            Cause::LocalPorts => vec!["ss -s; sysctl net.ipv4.ip_local_port_range".to_owned()],
            Cause::MtuBlackhole => self.of_large_packets(incident, snapshot),
            Cause::Refused if !is_datagram(self.view) => self.of_the_listener(),
            Cause::PacketLoss | Cause::Slow if !is_datagram(self.view) => vec![self.connects()],
            Cause::None
            | Cause::Unknown
            | Cause::PacketLoss
            | Cause::Slow
            | Cause::Refused
            | Cause::HttpStatus
            | Cause::NtpDenied
            | Cause::NtpUnsynced
            | Cause::ProtocolViolation => looked_at(),
        }
    }

    /// What to type to see whether it is another cause, `asked` being the incident as if it were.
    pub(super) fn of_other(&self, other: &Alternative, asked: &Incident, snapshot: &Snapshot) -> Option<String> {
        let is_by_canary = matches!(other.open.ask(), Ask::DnsCanary | Ask::UdpCanary);
        if other.cause == Cause::DnsIntercepted && is_by_canary {
            let canary = canary_beside(self.address.ip());
            return Some(format!("dig +tries=1 +time=3 @{canary} {}", self.name()));
        }
        self.commands(asked, snapshot).into_iter().next()
    }

    /// Whether these commands are how to do the next step; else they show what is to be ruled out before.
    pub(super) fn is_next_looking(&self, incident: &Incident, snapshot: &Snapshot) -> bool {
        let is_sql = self.view.endpoint.class == Class::Sql;
        match incident.finding.cause {
            Cause::Dropped | Cause::TlsCertInvalid | Cause::TlsRejected => true,
            Cause::Refused => self.view.endpoint.class != Class::Ntp,
            Cause::Rejected => {
                let is_server = self.is_custom_dns(snapshot) && incident.scope == Scope::Host;
                self.is_platform(snapshot) || is_server || incident.scope == Scope::Egress
            }
            Cause::Reset => !self.is_platform(snapshot),
            // Within TDS no other client helps: the agent itself tells what it cannot do.
            Cause::LocalLimit => !is_sql,
            _ => false,
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
                "sudo nft list ruleset".to_owned(),
            ];
        }
        let (rules, route) = (self.flow(snapshot, self.address.port()), self.next_hop(snapshot));
        match Suspect::of(incident, self, snapshot) {
            Suspect::PortRule if incident.scope == Scope::Port => {
                vec![rules, "az network nic list-effective-nsg -g GROUP -n NIC".to_owned(), route]
            }
            Suspect::PortRule => vec![rules, route],
            Suspect::AllRule => vec![rules, ROUTES.to_owned(), route],
            Suspect::WayOut => vec![ROUTES.to_owned(), route, rules],
            Suspect::Server => self.of_each_server(snapshot),
            Suspect::Inspection => vec![route],
            Suspect::Platform | Suspect::Host => vec![route, rules],
        }
    }

    /// Each DNS server asked, and the way to each.
    fn of_each_server(&self, snapshot: &Snapshot) -> Vec<String> {
        let servers = self.servers_or_itself();
        let asked = servers.iter().map(|server| format!("dig +time=3 @{server} {MANAGEMENT}"));
        let flows = servers.iter().map(|server| self.flow_to(snapshot, SocketAddr::new(*server, self.address.port())));
        asked.chain(flows).chain(servers.iter().map(|server| next_hop_to(snapshot, *server))).collect()
    }

    /// The custom DNS servers that are to blame; the one that was asked where none is known to be.
    pub(super) fn servers_or_itself(&self) -> Vec<IpAddr> {
        self.servers_or(self.address.ip())
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
        flow_by(if is_datagram(self.view) { "UDP" } else { "TCP" }, snapshot, to)
    }

    /// Twenty connects, one after the other.
    fn connects(&self) -> String {
        format!("ase-agent tcpping -n 20 {}", self.address)
    }

    /// Where the name leads, and whether anybody listens there.
    fn of_the_listener(&self) -> Vec<String> {
        let name = match &self.view.endpoint.target.host {
            Host::Name(name) => Some(format!("ase-agent nameresolver --compare {name}")),
            Host::Address(_) => None,
        };
        name.into_iter().chain([self.connects()]).collect()
    }

    /// Where the effective routes send the packets.
    fn next_hop(&self, snapshot: &Snapshot) -> String {
        next_hop_to(snapshot, self.address.ip())
    }

    /// How both sides answer for the name, and each server alone.
    fn of_the_name(&self, snapshot: &Snapshot) -> Vec<String> {
        let name = self.name();
        let server = match self.view.last.as_ref().and_then(|visit| visit.resolution.as_ref()?.server) {
            Some(server) => server.ip(),
            None if self.address.port() == 53 => self.address.ip(),
            None => snapshot.resolvers.custom.first().map_or(snapshot.resolvers.azure, |server| *server).ip(),
        };
        let alone = self.servers_or(server).into_iter().map(|server| format!("dig @{server} {name}"));
        std::iter::once(format!("ase-agent nameresolver --compare {name}")).chain(alone).collect()
    }

    /// The same, and whether it is the name's zone alone, or Azure DNS as well.
    fn of_the_servfail(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut commands = self.of_the_name(snapshot);
        let azure = snapshot.resolvers.azure.ip();
        if !self.servers_or_itself().contains(&azure) {
            commands.push(format!("dig @{azure} {}", self.name()));
        }
        let zones = self.servers.iter().map(|server| format!("dig @{server} {OTHER_ZONE}"));
        commands.into_iter().chain(zones).collect()
    }

    /// A name that DNS servers are asked for.
    fn name(&self) -> &str {
        match &self.view.endpoint.target.host {
            Host::Name(name) => name.as_str(),
            Host::Address(_) => MANAGEMENT,
        }
    }

    /// The zone whose forwarding is missing.
    fn unforwarded(&self, snapshot: &Snapshot) -> Option<String> {
        let class = self.compared(snapshot)?.published.as_ref()?.class;
        let is_missing = matches!(class, ComparisonClass::PrivateBypass | ComparisonClass::PrivateZoneMissing);
        Some(zone_to_forward(&self.private_zone(snapshot).filter(|_| is_missing)?).to_owned())
    }

    /// The forwarding that is missing, as a DNS server on Windows is told of it.
    fn forwarded(&self, snapshot: &Snapshot) -> Option<String> {
        let (zone, azure) = (self.unforwarded(snapshot)?, snapshot.resolvers.azure.ip());
        Some(format!("Add-DnsServerConditionalForwarderZone -Name {zone} -MasterServers {azure}"))
    }

    /// The same in the words of other DNS servers, where `mending` speaks to one on Windows.
    pub(super) fn on_other_servers(&self, incident: &Incident, snapshot: &Snapshot) -> Option<String> {
        let is_forwarding = self.mending(incident, snapshot).iter().any(|command| command.contains("DnsServer"));
        let (zone, azure) = (self.unforwarded(snapshot).filter(|_| is_forwarding)?, snapshot.resolvers.azure.ip());
        Some(format!(
            "`Add-DnsServer…` is PowerShell, on a DNS server on Windows; BIND: `zone \"{zone}\" {{ type forward; forward only; forwarders {{ {azure}; }}; }};`; Unbound: `forward-zone:` with `name: {zone}` and `forward-addr: {azure}`"
        ))
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

    /// Where on the path large packets end, and which sizes pass: the payload is the packet without the heads of IP and ICMP.
    /// Neither uses the port, so that where large packets pass on another port it is asked itself before.
    fn of_large_packets(&self, incident: &Incident, snapshot: &Snapshot) -> Vec<String> {
        let address = self.address.ip();
        let heads = if address.is_ipv6() { 48 } else { 28 };
        let sizes = PACKETS.map(|packet| (packet - heads).to_string()).join(" ");
        let is_of_port = known::passes_elsewhere(incident, self, snapshot).is_some();
        let of_port = match self.is_asked_by_openssl() {
            true => self.handshake(""),
            false => self.looked_at(),
        };
        let of_path = [
            format!("tracepath -n {address}"),
            format!("for s in {sizes}; do ping -c 1 -W 2 -M do -s $s {address} >/dev/null && echo $s passes; done"),
        ];
        is_of_port.then_some(of_port).into_iter().chain(of_path).collect()
    }

    /// The agent's own look at it, with all that it saw.
    fn looked_at(&self) -> String {
        format!("ase-agent check -v --endpoint {}", self.view.endpoint.id)
    }
}

/// Whether the NSGs of this machine's NIC let a flow of this protocol pass.
fn flow_by(protocol: &str, snapshot: &Snapshot, to: SocketAddr) -> String {
    format!(
        "az network watcher test-ip-flow -g GROUP --vm VM --direction Outbound --protocol {protocol} --local '{}:*' --remote '{}:{}'",
        source(snapshot),
        to.ip(),
        to.port(),
    )
}

fn next_hop_to(snapshot: &Snapshot, to: IpAddr) -> String {
    format!("az network watcher show-next-hop -g GROUP --vm VM --source-ip {} --dest-ip {to}", source(snapshot))
}

fn source(snapshot: &Snapshot) -> String {
    let source: Option<IpAddr> = snapshot.machine.source.ok().and_then(Result::ok);
    source.map_or_else(|| "THIS-VM".to_owned(), |source| source.to_string())
}
