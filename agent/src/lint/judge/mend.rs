//! The commands that mend and confirm a finding. They are printed, never run.

use crate::lint::{
    finding::Packet,
    judge::{Case, flows::Gate},
    read::last_name,
    requirements::{Peer, Requirement},
    rule::{AddressTerm, Group, Rule},
    traffic::{Direction, Protocols, every_port, real_ports},
};

/// A group's name for a command.
fn group_arguments(group: &Group) -> String {
    let resource_group = group.id.as_deref().and_then(|id| {
        let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case("resourceGroups"));
        parts.nth(1)
    });
    let name = if group.name.is_empty() { "GROUP" } else { last_name(&group.name) };
    format!("-g {} --nsg-name {name}", resource_group.unwrap_or("RESOURCE_GROUP"))
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

/// Asks the fabric about a packet. It needs a machine with the same group: the one of the mirror subnet.
pub(super) fn test_flow(packet: &Packet) -> String {
    let (local, remote) = if packet.direction == "Inbound" {
        ((&packet.destination, packet.destination_port), (&packet.source, packet.source_port))
    } else {
        ((&packet.source, packet.source_port), (&packet.destination, packet.destination_port))
    };
    let protocol = if packet.protocol == "UDP" { "UDP" } else { "TCP" };
    format!(
        "az network watcher test-ip-flow -g RESOURCE_GROUP --vm PROBE_VM --direction {} --protocol {protocol} --local {}:{} --remote {}:{}",
        packet.direction, local.0, local.1, remote.0, remote.1
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
