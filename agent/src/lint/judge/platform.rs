//! Rules by the tags of the platform, which alone can stop Azure DNS, the metadata service and licensing.

use crate::lint::{
    evaluate::{Fate, Reach},
    finding::{Finding, Kind, Report, Severity},
    judge::{Case, Deployment, flows, gate::Gate, mend},
    rule::AddressTerm,
    tags::Tag,
    traffic::{Direction, PortSet, Protocols, Traffic, real_ports},
};

/// Tag, ports, severity of its loss, what breaks.
const PLATFORM: [(&str, u16, Severity, &str); 3] = [
    ("AzurePlatformDNS", 53, Severity::Critical, "the platform always asks Azure DNS, custom servers or not"),
    ("AzurePlatformIMDS", 80, Severity::Warning, "the metadata service gives machines their identity and events"),
    ("AzurePlatformLKM", 1688, Severity::Warning, "Windows is not activated"),
];

/// Looks for denied platform tags, and for ports of apps that cannot have an address of their own.
pub(super) fn check(case: &Case<'_>, gate: &Gate<'_>, report: &mut Report) {
    let group = gate.group;
    for (name, port, severity, breaks) in PLATFORM {
        let traffic = Traffic {
            protocols: if port == 53 { Protocols::UDP.union(Protocols::TCP) } else { Protocols::TCP },
            source: case.world.subnet.clone(),
            source_ports: real_ports(),
            destination: case.world.term(&AddressTerm::Tag(Tag::named(name))).sure,
            destination_ports: PortSet::one(port, port),
        };
        if traffic.is_empty() {
            continue;
        }
        let Ok(pieces) = gate.outbound.decide(vec![traffic], Reach::These) else { continue };
        let denied = |piece: &&crate::lint::evaluate::Piece| {
            piece.fate == Fate::Denied && !gate.outbound.rules[piece.by].is_default
        };
        if let Some(piece) = pieces.iter().find(denied) {
            let rule = &gate.outbound.rules[piece.by];
            let packet = flows::packet(&case.world, Direction::Outbound, &piece.traffic);
            let message = format!("{} denies {name}: {breaks}", rule.name);
            report.findings.push(Finding {
                rule: Some(rule.name.clone()),
                by: Some(rule.name.clone()),
                resource: Some(group.name.clone()),
                at: Some(rule.at.clone()),
                confirm: Some(mend::test_flow(&packet, group.id.as_deref())),
                packet: Some(packet),
                fix: Some(mend::delete(group, rule)),
                ..Finding::new(Kind::PlatformTagDenied, severity, message)
            });
        }
    }
    let assigned = case.question.app_ports.len() + case.export.app_ports.len();
    if assigned > 0 && case.deployment == Some(Deployment::Ilb) {
        let message =
            "apps with an address of their own (IP-SSL) are impossible with an internal load balancer".to_owned();
        let requirement = Some("app-assigned".to_owned());
        report.findings.push(Finding { requirement, ..Finding::new(Kind::Input, Severity::Warning, message) });
    }
}
