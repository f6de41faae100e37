//! Whether a group lets through what the service needs, with the rule that decides and a packet that shows it.

use crate::lint::{
    addresses::{AddressSet, Point},
    evaluate::{Fate, Piece, Reach, Ruling},
    finding::{Finding, Kind, Packet, Report, Severity, Unjudged},
    judge::{
        Case, Deployment, counts,
        gate::Gate,
        loss::{Lost, Meaning},
        mend,
        peers::traffic,
    },
    requirements::{Need, Peer, Requirement},
    traffic::{Direction, PortSet, Traffic, no_port, show_ports},
    world::{PLATFORM, World, private_networks},
};

/// Checks every requirement.
pub(super) fn check(case: &Case<'_>, gate: &Gate<'_>, report: &mut Report) {
    for requirement in case.requirements().iter().filter(|requirement| counts(case, requirement)) {
        one(case, gate, requirement, report);
    }
}

fn one(case: &Case<'_>, gate: &Gate<'_>, requirement: &Requirement, report: &mut Report) {
    let ruling = gate.ruling(requirement.direction());
    let reach = if matches!(requirement.peer, Peer::Nets(_)) { Reach::These } else { Reach::Everywhere };
    let pieces = match ruling.decide(traffic(case, requirement), reach) {
        Ok(pieces) => pieces,
        Err(error) => return open(gate, requirement, &error.to_string(), None, report),
    };
    let of = |fate: Fate| pieces.iter().filter(|piece| piece.fate == fate).collect::<Vec<_>>();
    let (denied, unknown, allowed) = (of(Fate::Denied), of(Fate::Unknown), of(Fate::Allowed));
    if denied.is_empty() {
        if let Some(piece) = unknown.first() {
            return undecided(case, gate, requirement, piece, report);
        }
        let by_default = allowed.iter().all(|piece| ruling.rules[piece.by].is_default);
        if by_default && requirement.kind == Need::Platform {
            report.findings.extend(default_only(case, gate, requirement, ruling, &allowed));
        }
        return;
    }
    let altogether = allowed.is_empty() && unknown.is_empty();
    if requirement.peer == Peer::Clients
        && requirement.kind == Need::Platform
        && serves_some(case, ruling, requirement, &allowed)
    {
        return;
    }
    let lost = Lost { requirement, ruling, denied, allowed, altogether };
    match requirement.kind {
        Need::App => report.findings.extend(app_finding(case, gate, &lost)),
        Need::Feature if !altogether => {}
        Need::Feature => report.findings.push(finding(case, gate, &lost, Kind::Conditional, Severity::Info)),
        Need::Platform if !altogether && lost.is_beyond_documents(case) => {}
        Need::Platform => platform(case, gate, &lost, report),
    }
}

/// Whether there are clients that reach the whole subnet on all ports: a choice of clients is no fault.
fn serves_some(case: &Case<'_>, ruling: &Ruling, requirement: &Requirement, allowed: &[&Piece]) -> bool {
    let of_client = |source: &AddressSet| {
        traffic(case, requirement).into_iter().map(|all| Traffic { source: source.clone(), ..all }).collect()
    };
    let is_served = |piece: &&Piece| {
        let pieces = ruling.decide(of_client(&piece.traffic.source), Reach::Everywhere);
        pieces.is_ok_and(|pieces| pieces.iter().all(|piece| piece.fate == Fate::Allowed))
    };
    allowed.iter().any(is_served)
}

/// Whether clients are let in that are not those who usually come: a network behind a gateway, a proxy's subnet.
fn serves_others(case: &Case<'_>, gate: &Gate<'_>, requirement: &Requirement) -> bool {
    let private = AddressSet::of(&private_networks());
    let everybody = match case.deployment {
        Some(Deployment::Ilb) => private,
        Some(Deployment::External) | None => private.union(&AddressSet::every_v4()),
    };
    let platform = case.world.subnet.union(&AddressSet::address(PLATFORM));
    let asked = traffic(case, requirement);
    let asked = asked.into_iter().map(|all| Traffic { source: everybody.minus(&platform), ..all }).collect();
    let pieces = gate.ruling(requirement.direction()).decide(asked, Reach::These).unwrap_or_default();
    pieces.iter().any(|piece| piece.fate == Fate::Allowed)
}

/// What a loss means for the environment, as a finding or as something that stays open.
fn platform(case: &Case<'_>, gate: &Gate<'_>, lost: &Lost<'_>, report: &mut Report) {
    match lost.meaning(case) {
        Meaning::All => report.findings.push(finding(case, gate, lost, Kind::Blocked, lost.requirement.severity())),
        Meaning::Part(severity) => report.findings.push(finding(case, gate, lost, Kind::PartlyBlocked, severity)),
        Meaning::Harmless => report.findings.push(finding(case, gate, lost, Kind::CannotTell, Severity::Info)),
        Meaning::Open(why) => {
            let rule = &lost.ruling.rules[lost.main().by];
            open(gate, lost.requirement, &why, Some((&rule.name, &rule.at)), report);
        }
    }
}

/// Closed ports of apps: HTTP beside open HTTPS is how many want it.
fn app_finding(case: &Case<'_>, gate: &Gate<'_>, lost: &Lost<'_>) -> Option<Finding> {
    if !lost.altogether || lost.requirement.peer == Peer::Clients && serves_others(case, gate, lost.requirement) {
        return None;
    }
    let https_open = || {
        let https = case.profile().requirement("app-https")?;
        let pieces = gate.ruling(https.direction()).decide(traffic(case, https), Reach::Everywhere).ok()?;
        let serves = pieces.iter().any(|piece| piece.fate == Fate::Allowed) || serves_others(case, gate, https);
        serves.then_some(())
    };
    let mild = lost.requirement.id == "app-http" && https_open().is_some();
    let severity = if mild { Severity::Info } else { lost.requirement.severity() };
    let kind = match lost.requirement.direction() {
        Direction::Inbound => Kind::AppPortClosed,
        Direction::Outbound => Kind::Blocked,
    };
    Some(finding(case, gate, lost, kind, severity))
}

fn finding(case: &Case<'_>, gate: &Gate<'_>, lost: &Lost<'_>, kind: Kind, severity: Severity) -> Finding {
    let piece = lost.main();
    let rule = &lost.ruling.rules[piece.by];
    let priority = rule.priority.value().map(|priority| format!(", priority {priority},")).unwrap_or_default();
    let what = match kind {
        Kind::PartlyBlocked | Kind::CannotTell => format!("a part of it: {}", describe(&case.world, lost)),
        _ => "all of it".to_owned(),
    };
    let class =
        lost.requirement.traffic.as_ref().map(|class| format!(" (counts where {class} is routed into the subnet)"));
    let message = format!(
        "{} {} {} {}{priority} denies {what}; {}{}",
        lost.requirement.protocols(),
        show_ports(&lost.requirement.ports()),
        preposition(lost.requirement),
        rule.name,
        lost.requirement.breaks,
        class.unwrap_or_default()
    );
    let packet = packet(&case.world, lost.requirement.direction(), &piece.traffic);
    Finding {
        rule: Some(rule.name.clone()),
        by: Some(rule.name.clone()),
        resource: Some(gate.group.name.clone()),
        at: Some(rule.at.clone()),
        fix: Some(mend::allow(case, gate, lost.requirement, rule)),
        confirm: Some(mend::test_flow(&packet, gate.group.id.as_deref())),
        packet: Some(packet),
        ..case.finding_for(lost.requirement, kind, severity, message)
    }
}

fn preposition(requirement: &Requirement) -> String {
    let peer = match &requirement.peer {
        Peer::Subnet => "the own subnet".to_owned(),
        Peer::Vnet => "the virtual network".to_owned(),
        Peer::Internet => "all public addresses".to_owned(),
        Peer::Any => "all addresses".to_owned(),
        Peer::Somewhere => "an address that the configuration does not say".to_owned(),
        Peer::Clients => "clients".to_owned(),
        Peer::Tag(tag) => tag.to_string(),
        Peer::Nets(nets) => nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    match requirement.direction() {
        Direction::Inbound => format!("from {peer}:"),
        Direction::Outbound => format!("to {peer}:"),
    }
}

/// What of a requirement is denied, in words.
fn describe(world: &World, lost: &Lost<'_>) -> String {
    let ports = lost.denied.iter().fold(PortSet::default(), |all, piece| all.union(&piece.traffic.destination_ports));
    let everybody =
        lost.denied.iter().any(|piece| piece.traffic.source.count().max(piece.traffic.destination.count()) > 1 << 31);
    let whom = match lost.services(world) {
        Some(services) => services.join(", "),
        None if everybody => "public addresses".to_owned(),
        None => show_set(world, &lost.peers()),
    };
    let ports = if ports == no_port() { String::new() } else { format!(" {}", show_ports(&ports.minus(&no_port()))) };
    format!("{}{ports}, {whom}", lost.protocols())
}

/// A set in words: names and the first prefixes.
pub(super) fn show_set(world: &World, set: &AddressSet) -> String {
    let names = set.names().into_iter().map(|name| world.show(name));
    let prefixes = set.prefixes();
    let shown: Vec<String> = names.chain(prefixes.iter().map(ToString::to_string)).collect();
    match shown.len() {
        0..=4 => shown.join(", "),
        many => format!("{} and {} more", shown[..3].join(", "), many - 3),
    }
}

/// One end of a packet: an address, or the name of a tag of which none is documented.
pub(super) fn end(world: &World, set: &AddressSet) -> String {
    match set.example() {
        Some(Point::Address(address)) => address.to_string(),
        Some(Point::Name(name)) => world.member(name).map_or_else(|| world.show(name), |address| address.to_string()),
        None => "nobody".to_owned(),
    }
}

/// One packet of traffic.
pub(super) fn packet(world: &World, direction: Direction, traffic: &Traffic) -> Packet {
    let end = |set: &AddressSet| end(world, set);
    let high = |ports: &PortSet| if ports.contains(49_152) { 49_152 } else { ports.first().unwrap_or_default() };
    Packet {
        direction: direction.to_string(),
        protocol: traffic.protocols.example().to_owned(),
        source: end(&traffic.source),
        source_port: high(&traffic.source_ports),
        destination: end(&traffic.destination),
        destination_port: traffic.destination_ports.first().unwrap_or_default(),
    }
}

fn default_only(
    case: &Case<'_>,
    gate: &Gate<'_>,
    requirement: &Requirement,
    ruling: &Ruling,
    allowed: &[&Piece],
) -> Option<Finding> {
    let rule = &ruling.rules[allowed.first()?.by];
    let message = format!(
        "{} {} {} holds by the default rule {} only; no fault, until somebody adds a deny-all above it",
        requirement.protocols(),
        show_ports(&requirement.ports()),
        preposition(requirement),
        rule.name
    );
    Some(Finding {
        rule: Some(rule.name.clone()),
        by: Some(rule.name.clone()),
        resource: Some(gate.group.name.clone()),
        ..case.finding_for(requirement, Kind::DefaultOnly, Severity::Info, message)
    })
}

fn undecided(case: &Case<'_>, gate: &Gate<'_>, requirement: &Requirement, piece: &Piece, report: &mut Report) {
    let ruling = gate.ruling(requirement.direction());
    let doubts: Vec<_> = piece.doubts.iter().map(|&at| &ruling.rules[at]).collect();
    let Some(first) = doubts.first().copied().or(ruling.rules.get(piece.by)) else { return };
    let expressions = first.expressions();
    let why = if let Some(unknown) = case.unknown_tag_of(first) {
        format!("{} may match it or not: {unknown}", first.name)
    } else if expressions.is_empty() {
        format!(
            "whether {} matches depends on addresses that the export does not hold; a tag file (--tags) or prefixes may settle it",
            first.name
        )
    } else {
        format!("{} depends on {}, which only a deployment knows", first.name, expressions.join(", "))
    };
    open(gate, requirement, &why, Some((&first.name, &first.at)), report);
}

fn open(gate: &Gate<'_>, requirement: &Requirement, why: &str, rule: Option<(&str, &str)>, report: &mut Report) {
    if requirement.kind == Need::Feature {
        return;
    }
    report.could_not_judge.push(Unjudged {
        requirement: Some(requirement.id.clone()),
        rule: rule.map(|(name, _)| name.to_owned()),
        at: rule.map(|(_, at)| at.to_owned()),
        why: format!("{}: {why}", gate.group.name),
    });
}
