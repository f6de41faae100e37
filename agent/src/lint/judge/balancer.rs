//! Whether the load balancer reaches the environment, or a deny-all hides the default rule that lets it in.

use super::{Case, flows::packet, gate::Gate, mend};
use crate::lint::{
    addresses::AddressSet,
    evaluate::{Fate, Piece, Reach},
    finding::{Finding, Kind, Report, Severity},
    requirements::port_set,
    traffic::{Direction, PortSet, Protocols, Traffic, real_ports},
    world::PLATFORM,
};

/// A rule for so many ports is for services; whoever opens more opens a range, and means everybody.
const PORTS_OF_APPS: u32 = 1_024;
/// The port of the load balancer's keep-alive (network-info.md).
const KEEP_ALIVE: u16 = 16_001;

/// Whether a rule names the ports of some services rather than opening a range.
fn is_for_apps(ports: &PortSet) -> bool {
    ports.parts().iter().map(|(first, last)| u32::from(last - first) + 1).sum::<u32>() <= PORTS_OF_APPS
}

/// Whether a deny-all hides the default rule for the load balancer.
pub(super) fn check(case: &Case<'_>, gate: &Gate<'_>, report: &mut Report) {
    if case.profile().requirement("in-lb-16001").is_none() {
        return;
    }
    let traffic = Traffic {
        protocols: Protocols::TCP,
        source: AddressSet::address(PLATFORM),
        source_ports: real_ports(),
        destination: case.world.subnet.clone(),
        destination_ports: real_ports(),
    };
    let Ok(pieces) = gate.inbound.decide(vec![traffic], Reach::These) else { return };
    let open = pieces.iter().filter(|piece| piece.fate != Fate::Denied);
    // What is open to everybody is meant for clients; only the rest counts as given to the load balancer, and the two ports
    // that it needs.
    let app_ports = port_set(&case.profile().app_ports);
    let needed = PortSet::one(454, 455);
    let given = |piece: &Piece| {
        let (ports, rule) = (piece.traffic.destination_ports.clone(), gate.inbound.may(piece.by));
        match (rule.source.overlaps(&case.world.internet), is_for_apps(&rule.destination_ports)) {
            (true, true) => ports.intersection(&needed),
            (true, false) => ports.minus(&app_ports),
            (false, _) => ports,
        }
    };
    let ports = open.fold(PortSet::default(), |all, piece| all.union(&given(piece)));
    let keep_alive = PortSet::one(KEEP_ALIVE, KEEP_ALIVE);
    let Some(cut) = pieces.iter().find(|piece| piece.fate == Fate::Denied && !gate.inbound.rules[piece.by].is_default)
    else {
        return;
    };
    if !ports.is_within(&keep_alive) {
        return;
    }
    let rule = &gate.inbound.rules[cut.by];
    let reaches = if ports.is_empty() { "nothing" } else { "16001 only" };
    let message = format!(
        "{} hides AllowAzureLoadBalancerInBound, and the load balancer reaches {reaches}: its probes from 168.63.129.16 fail and the \
         environment loses its front ends within days; allow AzureLoadBalancer to any port",
        rule.name
    );
    let packet = packet(&case.world, Direction::Inbound, &cut.traffic);
    report.findings.push(Finding {
        rule: Some(rule.name.clone()),
        by: Some(rule.name.clone()),
        resource: Some(gate.group.name.clone()),
        at: Some(rule.at.clone()),
        fix: Some(mend::allow_load_balancer(gate, rule)),
        confirm: Some(mend::test_flow(&packet, gate.group.id.as_deref())),
        packet: Some(packet),
        source: Some("MicrosoftDocs/azure-docs issue 115138; network-info.md, edition 2022-03-29".to_owned()),
        ..Finding::new(Kind::LbCut, Severity::Critical, message)
    });
}
