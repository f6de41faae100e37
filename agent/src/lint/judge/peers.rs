//! Whom a requirement is about: the addresses at its other end, and the traffic with them.

use crate::lint::{
    addresses::AddressSet,
    judge::{Case, Deployment},
    requirements::{Peer, Requirement},
    rule::AddressTerm,
    traffic::{Direction, PortSet, Protocols, Traffic, no_port, real_ports},
    world::World,
};

/// The traffic of a requirement, ports and protocols without ports apart.
pub(super) fn traffic(case: &Case<'_>, requirement: &Requirement) -> Vec<Traffic> {
    let (peer, own) = (peer(case, &requirement.peer), case.world.subnet.clone());
    let box_of = |protocols, source_ports: PortSet, destination_ports: PortSet| {
        let (source, destination) = match requirement.direction() {
            Direction::Inbound => (peer.clone(), own.clone()),
            Direction::Outbound => (own.clone(), peer.clone()),
        };
        Traffic { protocols, source, source_ports, destination, destination_ports }
    };
    let ported = requirement.protocols().minus(Protocols::ICMP);
    let icmp = requirement.protocols().intersection(Protocols::ICMP);
    let boxes = [box_of(ported, real_ports(), requirement.ports()), box_of(icmp, no_port(), no_port())];
    boxes.into_iter().filter(|traffic| !traffic.is_empty()).collect()
}

/// Who is at the other end, as addresses.
pub(super) fn peer(case: &Case<'_>, peer: &Peer) -> AddressSet {
    let world = &case.world;
    let v4_internet = world.internet.intersection(&AddressSet::every_v4().union(&AddressSet::every_name()));
    match peer {
        Peer::Subnet => world.subnet.clone(),
        Peer::Vnet => world.vnet.clone(),
        Peer::Internet => v4_internet,
        Peer::Any => world.vnet.union(&v4_internet),
        // Nothing but the environment can be in its own subnet.
        Peer::Somewhere => world.vnet.union(&v4_internet).minus(&world.subnet),
        Peer::Clients => match case.deployment {
            Some(Deployment::External) => v4_internet,
            Some(Deployment::Ilb) => neighbours(world),
            None => neighbours(world).union(&v4_internet),
        },
        Peer::Tag(tag) => world.term(&AddressTerm::Tag(tag.clone())).sure,
        Peer::Nets(nets) => AddressSet::of(nets),
    }
}

/// The network without the subnet; where nothing else of it is known, the subnet itself stands for it.
fn neighbours(world: &World) -> AddressSet {
    let others = world.vnet.minus(&world.subnet);
    if others.is_empty() { world.vnet.clone() } else { others }
}
