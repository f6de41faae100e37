//! The commands that mend and confirm a finding. They are printed, never run.

use std::net::IpAddr;

use crate::lint::{
    finding::Packet,
    judge::{Case, gate::Gate},
    read::{is_expression, last_name},
    requirements::{Peer, Requirement},
    route::Subnet,
    rule::{AddressTerm, Group, Rule},
    tags::Tag,
    traffic::{Direction, Protocols, every_port, real_ports},
};

/// The part of a resource's id behind a word, for example the resource group.
fn part_of<'a>(id: Option<&'a str>, word: &str) -> Option<&'a str> {
    let id = id.filter(|id| !is_expression(id))?;
    id.split('/').skip_while(|part| !part.eq_ignore_ascii_case(word)).nth(1)
}

/// The resource group of an id; a word for it where there is none.
pub(super) fn resource_group(id: Option<&str>) -> &str {
    part_of(id, "resourceGroups").unwrap_or("RESOURCE_GROUP")
}

/// A group's name for a command.
fn group_arguments(group: &Group) -> String {
    let name = if group.name.is_empty() { "GROUP" } else { last_name(&group.name) };
    format!("-g {} --nsg-name {name}", resource_group(group.id.as_deref()))
}

/// A subnet's name for a command.
pub(super) fn subnet_arguments(subnet: Option<&Subnet>) -> String {
    let id = subnet.and_then(|subnet| subnet.id.as_deref());
    let network = part_of(id, "virtualNetworks").unwrap_or("VNET");
    let name = subnet.map(|subnet| last_name(&subnet.name)).filter(|name| !name.is_empty()).unwrap_or("SUBNET");
    format!("-g {} --vnet-name {network} -n {name}", resource_group(id))
}

/// The nearest free priority above a rule, so that a new rule is looked at before it.
fn free_priority(gate: &Gate<'_>, direction: Direction, rule: &Rule) -> String {
    let taken: Vec<u32> =
        gate.ruling(direction).rules.iter().filter_map(|rule| rule.priority.value().copied()).collect();
    let below = rule.priority.value().copied().unwrap_or(4_097).min(4_097);
    let free = (100..below).rev().find(|priority| !taken.contains(priority));
    free.map_or_else(|| "PRIORITY".to_owned(), |priority| priority.to_string())
}

/// Allows a requirement before the rule that denies it.
pub(super) fn allow(case: &Case<'_>, gate: &Gate<'_>, requirement: &Requirement, rule: &Rule) -> String {
    let prefixes = || {
        let nets = case.world.subnet.prefixes();
        if nets.is_empty() {
            "SUBNET_PREFIX".to_owned()
        } else {
            nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
    };
    let peer = match &requirement.peer {
        Peer::Subnet => prefixes(),
        Peer::Vnet => "VirtualNetwork".to_owned(),
        Peer::Internet | Peer::Any | Peer::Clients | Peer::Somewhere => "'*'".to_owned(),
        Peer::Tag(tag) => tag.to_string(),
        Peer::Nets(nets) => nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let direction = requirement.direction();
    let (source, destination) = match direction {
        Direction::Inbound => (peer, prefixes()),
        Direction::Outbound => (prefixes(), peer),
    };
    let ports = requirement.ports();
    let ports = if ports == real_ports() || ports == every_port() {
        "'*'".to_owned()
    } else {
        crate::lint::traffic::show_ports(&ports).replace(", ", " ")
    };
    let protocol = match requirement.protocols() {
        Protocols::TCP => "Tcp",
        Protocols::UDP => "Udp",
        _ => "'*'",
    };
    format!(
        "az network nsg rule create {} -n allow-{} --priority {} --direction {direction} --access Allow --protocol {protocol} \
         --source-address-prefixes {source} --destination-address-prefixes {destination} --destination-port-ranges {ports}",
        group_arguments(gate.group),
        requirement.id,
        free_priority(gate, direction, rule)
    )
}

/// Allows the load balancer to any port before the rule that denies it.
pub(super) fn allow_load_balancer(gate: &Gate<'_>, rule: &Rule) -> String {
    format!(
        "az network nsg rule create {} -n allow-load-balancer --priority {} --direction Inbound --access Allow --protocol '*' \
         --source-address-prefixes AzureLoadBalancer --destination-address-prefixes '*' --destination-port-ranges '*'",
        group_arguments(gate.group),
        free_priority(gate, Direction::Inbound, rule)
    )
}

/// Asks the fabric about a packet. It needs a machine with the same group: the one of the mirror subnet. Of protocols without
/// ports it knows nothing; then the rules in force are listed.
pub(super) fn test_flow(packet: &Packet, group_id: Option<&str>) -> String {
    let resource_group = resource_group(group_id);
    if !matches!(packet.protocol.as_str(), "TCP" | "UDP") {
        return format!("az network nic list-effective-nsg -g {resource_group} -n PROBE_NIC");
    }
    let (local, remote) = if packet.direction == "Inbound" {
        ((&packet.destination, packet.destination_port), (&packet.source, packet.source_port))
    } else {
        ((&packet.source, packet.source_port), (&packet.destination, packet.destination_port))
    };
    let local = (if local.0.parse::<IpAddr>().is_ok() { local.0 } else { "PROBE_ADDRESS" }, local.1);
    format!(
        "az network watcher test-ip-flow -g {resource_group} --vm PROBE_VM --direction {} --protocol {} --local {}:{} --remote {}:{}",
        packet.direction,
        packet.protocol,
        local.0,
        local.1,
        an_address(remote.0),
        remote.1
    )
}

/// Asks the fabric for the next hop of a packet.
pub(super) fn next_hop(packet: &Packet, resource_group: &str) -> String {
    let from = if packet.source.parse::<IpAddr>().is_ok() { packet.source.as_str() } else { "PROBE_ADDRESS" };
    format!(
        "az network watcher show-next-hop -g {resource_group} --vm PROBE_VM --source-ip {from} --dest-ip {}",
        an_address(&packet.destination)
    )
}

/// An address for a command: where only a tag is known, the command looks one up.
fn an_address(end: &str) -> String {
    let Some(tag) = Tag::parse(end).filter(|_| end.parse::<IpAddr>().is_err()) else { return end.to_owned() };
    let region = tag.region().unwrap_or_default();
    format!(
        "$(az network list-service-tags -l {} --query \"values[?starts_with(name,'{}') && properties.region=='{region}'].\
         properties.addressPrefixes[0] | [0]\" -o tsv | cut -d/ -f1)",
        if region.is_empty() { "westeurope" } else { region },
        tag.service()
    )
}

/// Deletes a rule.
pub(super) fn delete(group: &Group, rule: &Rule) -> String {
    format!("az network nsg rule delete {} -n {}", group_arguments(group), quoted(&rule.name))
}

fn quoted(name: &str) -> String {
    if name.contains(char::is_whitespace) { format!("'{name}'") } else { name.to_owned() }
}

/// Terms in words.
pub(super) fn show_terms(terms: &[AddressTerm]) -> String {
    let show = |term: &AddressTerm| match term {
        AddressTerm::Any => "any address".to_owned(),
        AddressTerm::Net(net) => net.to_string(),
        AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _) => tag.to_string(),
        AddressTerm::Interfaces(name) => format!("the interfaces of {name}"),
        AddressTerm::Expression(text) => text.clone(),
    };
    let shown: Vec<String> = terms.iter().map(show).collect();
    match shown.len() {
        0..=4 => shown.join(", "),
        many => format!("{} and {} more", shown[..3].join(", "), many - 3),
    }
}
