//! Rules that do not do what their words say: shadowed, without effect, too wide, copied, of another service.

use ipnet::IpNet;

use crate::lint::{
    addresses::AddressSet,
    evaluate::Ruling,
    finding::{Finding, Kind, Report, Severity, Unjudged},
    judge::{Case, gate::Gate, mend},
    requirements::port_set,
    rule::{Access, AddressTerm, Group, Rule},
    tags::Place,
    traffic::{Direction, PortSet, Traffic, show_ports},
    world::private_networks,
};

/// More boxes than this, and whether a rule is shadowed stays open.
const MOST_BOXES: usize = 2_000;

/// Checks every rule of a group.
pub(super) fn check(case: &Case<'_>, gate: &Gate<'_>, report: &mut Report) {
    let group = gate.group;
    if !case.profile().inbound_rules_apply && gate.inbound.rules.iter().any(|rule| !rule.is_default) {
        let message = "inbound rules do not apply to this subnet: nothing listens in it".to_owned();
        let resource = Some(group.name.clone());
        report.findings.push(Finding { resource, ..Finding::new(Kind::NoEffect, Severity::Info, message) });
    }
    for direction in [Direction::Inbound, Direction::Outbound] {
        let ruling = gate.ruling(direction);
        for at in (0..ruling.rules.len()).filter(|&at| !ruling.rules[at].is_default) {
            let one = One { case, group, ruling, direction, at, rule: &ruling.rules[at] };
            let found = one.findings();
            report.findings.extend(found);
        }
    }
    unknown_tags(case, group, report);
}

/// Tags that neither this program nor the tag file knows.
fn unknown_tags(case: &Case<'_>, group: &Group, report: &mut Report) {
    for rule in &group.rules {
        for term in rule.source.addresses.iter().chain(&rule.destination.addresses) {
            let AddressTerm::Tag(tag) = term else { continue };
            let (name, at) = (Some(rule.name.clone()), Some(rule.at.clone()));
            let open = case.unknown_tag(tag).map(|why| Unjudged { requirement: None, rule: name, at, why });
            report.could_not_judge.extend(open);
        }
    }
}

/// Whether one word holds another, by the names alone.
fn holds(one: &AddressTerm, other: &AddressTerm) -> bool {
    match (one, other) {
        (AddressTerm::Tag(one), AddressTerm::Tag(other)) => one.includes(other),
        _ => one == other,
    }
}

/// One rule with its place.
struct One<'a> {
    case: &'a Case<'a>,
    group: &'a Group,
    ruling: &'a Ruling,
    direction: Direction,
    at: usize,
    rule: &'a Rule,
}

impl One<'_> {
    fn finding(&self, kind: Kind, severity: Severity, message: String) -> Finding {
        Finding {
            rule: Some(self.rule.name.clone()),
            resource: Some(self.group.name.clone()),
            at: Some(self.rule.at.clone()),
            ..Finding::new(kind, severity, message)
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let ineffective = self.ineffective();
        if ineffective.is_none() {
            found.extend(self.shadow());
        }
        found.extend(ineffective);
        let has_effect = self.direction == Direction::Outbound || self.case.profile().inbound_rules_apply;
        if self.rule.access.value() == Some(&Access::Allow) && self.direction == Direction::Inbound {
            match self.management() {
                Some(finding) => found.push(finding),
                None if has_effect => found.extend(self.too_wide()),
                None => {}
            }
            if has_effect {
                found.extend(self.near_miss());
                found.extend(self.legacy());
                found.extend(self.copied());
            }
        }
        if self.rule.access.value() == Some(&Access::Allow) && self.direction == Direction::Outbound {
            found.extend(self.near_sql());
        }
        found
    }

    /// 1443 where the database listens on 1433.
    fn near_sql(&self) -> Option<Finding> {
        let ports = self.ports();
        let slip = ports.is_within(&PortSet::one(1_400, 1_499)) && ports.contains(1_443) && !ports.contains(1_433);
        let message = "1443 where Azure SQL listens on 1433: a slip of the pen?".to_owned();
        slip.then(|| self.finding(Kind::SuspiciousPort, Severity::Warning, message))
    }

    fn other_side(&self) -> (&[AddressTerm], &[AddressTerm]) {
        let (source, destination) = (&self.rule.source.addresses, &self.rule.destination.addresses);
        match self.direction {
            Direction::Inbound => (destination, source),
            Direction::Outbound => (source, destination),
        }
    }

    /// A rule whose own side is not this subnet, or that is meant for the own network and names another.
    fn ineffective(&self) -> Option<Finding> {
        let world = &self.case.world;
        let (own, peer) = self.other_side();
        let extent = world.extent(own);
        let by_interfaces = own.iter().any(|term| matches!(term, AddressTerm::Interfaces(_)));
        let reachable = by_interfaces || extent.sure.union(&extent.perhaps).overlaps(&world.subnet);
        let side = if self.direction == Direction::Inbound { "destination" } else { "source" };
        if !reachable && !self.case.nets.0.is_empty() {
            let message = format!(
                "never matches: an {} rule for this subnet whose {side} is {}, which is not in the subnet",
                self.direction.to_string().to_lowercase(),
                mend::show_terms(own)
            );
            let fix = Some(mend::delete(self.group, self.rule));
            // Rules for the other family are kept ready by many.
            let is_of_family = |net: &IpNet| {
                own.iter().any(
                    |term| matches!(term, AddressTerm::Net(other) if other.addr().is_ipv4() == net.addr().is_ipv4()),
                )
            };
            let is_other_family = own.iter().all(|term| matches!(term, AddressTerm::Net(_)))
                && !self.case.nets.0.iter().any(is_of_family);
            let severity = if is_other_family { Severity::Info } else { Severity::Warning };
            return Some(Finding { fix, ..self.finding(Kind::IneffectiveRule, severity, message) });
        }
        let nets: Vec<IpNet> =
            peer.iter().filter_map(|term| if let AddressTerm::Net(net) = term { Some(*net) } else { None }).collect();
        let foreign = !nets.is_empty() && nets.len() == peer.len() && !AddressSet::of(&nets).overlaps(&world.vnet);
        if foreign && nets.iter().all(is_private) && self.is_meant_for_the_own_network() && !self.case.nets.1.is_empty()
        {
            let message = format!(
                "{} is neither this subnet nor in its network: copied from another one",
                mend::show_terms(peer)
            );
            return Some(self.finding(Kind::IneffectiveRule, Severity::Warning, message));
        }
        None
    }

    fn is_meant_for_the_own_network(&self) -> bool {
        let all_ports = self
            .ruling
            .sure(self.at)
            .is_some_and(|sure| sure.destination_ports.contains(u16::MAX) && sure.destination_ports.contains(1));
        let name = self.rule.name.to_ascii_lowercase();
        all_ports && ["internal", "intra", "subnet", "vnet", "ase"].iter().any(|word| name.contains(word))
    }

    /// Earlier rules that take all or the better part of what this one matches.
    fn shadow(&self) -> Option<Finding> {
        let access = self.rule.access.value()?;
        let sure = self.ruling.sure(self.at).filter(|sure| sure.has_packets())?;
        let reach = |terms| self.case.world.reach(terms);
        let all = &Traffic {
            source: reach(&self.rule.source.addresses),
            destination: reach(&self.rule.destination.addresses),
            ..self.ruling.may(self.at).clone()
        };
        let differs = |at: &&usize| self.ruling.rules[**at].access.value() != Some(access);
        let before = self.ruling.before(self.at, all);
        if let Some(twin) = before.iter().find(|&&earlier| self.is_said_by(earlier)) {
            return Some(self.shadowed(&self.ruling.rules[*twin], differs(&twin), sure));
        }
        let (takers, rest) = self.takers(&before, all)?;
        let by = takers.iter().find(differs).or(takers.last()).copied()?;
        if rest.is_empty() {
            return Some(self.shadowed(&self.ruling.rules[by], takers.iter().any(|at| differs(&at)), sure));
        }
        let (takers, rest) = self.takers(&before, sure)?;
        let against = takers.iter().filter(differs).copied().find(|&at| self.loses_the_internet(sure, &rest, at))?;
        let taker = &self.ruling.rules[against];
        let message = format!("{} takes everything public from it; only addresses in the network remain", taker.name);
        (*access == Access::Allow).then(|| Finding {
            by: Some(taker.name.clone()),
            ..self.finding(Kind::ShadowedPartly, Severity::Warning, message)
        })
    }

    /// The rules before this one that take something of some traffic, and what they leave; none where that is too much to say.
    fn takers(&self, before: &[usize], all: &Traffic) -> Option<(Vec<usize>, Vec<Traffic>)> {
        let (mut takers, mut rest) = (Vec::new(), vec![all.clone()]);
        for &earlier in before {
            let Some(taken) = self.ruling.sure(earlier) else { continue };
            let takes = |piece: &Traffic| piece.intersection(taken).is_some_and(|taken| taken.has_packets());
            if !rest.iter().any(takes) {
                continue;
            }
            takers.push(earlier);
            rest = rest.iter().flat_map(|piece| piece.minus(taken)).filter(Traffic::has_packets).collect();
            if rest.len() > MOST_BOXES {
                return None;
            }
            if rest.is_empty() {
                break;
            }
        }
        Some((takers, rest))
    }

    /// Whether the words of an earlier rule for addresses hold all of this one's, and its ports and protocols do.
    fn is_said_by(&self, earlier: usize) -> bool {
        let other = &self.ruling.rules[earlier];
        let (Some(theirs), Some(ours)) = (self.ruling.sure(earlier), self.ruling.sure(self.at)) else { return false };
        let holds = ours.destination_ports.is_within(&theirs.destination_ports)
            && ours.source_ports.is_within(&theirs.source_ports)
            && ours.protocols.minus(theirs.protocols).is_empty();
        let known = self.rule.expressions().is_empty() && other.expressions().is_empty();
        holds
            && known
            && self.all_held(&other.source.addresses, &self.rule.source.addresses, &theirs.source)
            && self.all_held(&other.destination.addresses, &self.rule.destination.addresses, &theirs.destination)
    }

    /// Whether each word of ours is one of theirs, or stands for nothing but what theirs surely stand for. What two equal words
    /// stand for perhaps is the same of both.
    fn all_held(&self, theirs: &[AddressTerm], ours: &[AddressTerm], sure: &AddressSet) -> bool {
        let is_within = |term: &AddressTerm| self.case.world.reach(std::slice::from_ref(term)).is_within(sure);
        theirs == ours || ours.iter().all(|term| theirs.iter().any(|one| holds(one, term)) || is_within(term))
    }

    fn shadowed(&self, taker: &Rule, differs: bool, own: &Traffic) -> Finding {
        let by = Some(taker.name.clone());
        let fix = Some(mend::delete(self.group, self.rule));
        if differs {
            let message = format!("{} comes first and takes all that it matches: it has no effect", taker.name);
            return Finding { by, ..self.finding(Kind::Shadowed, Severity::Warning, message) };
        }
        let same = self
            .ruling
            .rules
            .iter()
            .zip(0..)
            .any(|(other, at)| other.name == taker.name && self.ruling.sure(at) == Some(own));
        let kind = if same { Kind::IneffectiveRule } else { Kind::Shadowed };
        let what = if same { "says the same" } else { "allows or denies all of it already" };
        let message = format!("{} comes first and {what}: it can go", taker.name);
        Finding { by, fix, ..self.finding(kind, Severity::Info, message) }
    }

    /// Whether a rule alone takes all public peers, of those that this one is for.
    fn loses_the_internet(&self, own: &Traffic, rest: &[Traffic], by: usize) -> bool {
        let internet = &self.case.world.internet;
        let peer = |traffic: &Traffic| match self.direction {
            Direction::Inbound => traffic.source.clone(),
            Direction::Outbound => traffic.destination.clone(),
        };
        let public = peer(own).intersection(internet);
        let taken = self.ruling.sure(by).map(peer).unwrap_or_default();
        !public.is_empty() && public.is_within(&taken) && !rest.iter().any(|piece| peer(piece).overlaps(internet))
    }

    fn names_management(&self) -> bool {
        let management = &self.case.management.tag;
        self.rule.source.addresses.iter().any(
            |term| matches!(term, AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _) if management.includes(tag)),
        )
    }

    fn ports(&self) -> PortSet {
        self.ruling.sure(self.at).map(|sure| sure.destination_ports.clone()).unwrap_or_default()
    }

    /// A rule for 454 and 455 where the platform does not come that way.
    fn management(&self) -> Option<Finding> {
        let ports = self.ports();
        let only = !ports.is_empty() && ports.is_within(&PortSet::one(454, 455));
        if self.case.profile().management_ports || !(self.names_management() || only) {
            return None;
        }
        let message = format!(
            "454 and 455 are for App Service Environment v1 and v2; {} has no management traffic in the network{}",
            self.case.profile().title,
            if ports.contains(1) && ports.contains(u16::MAX) { ", and every port is open to that tag" } else { "" }
        );
        let fix = Some(mend::delete(self.group, self.rule));
        Some(Finding { fix, ..self.finding(Kind::NotNeeded, Severity::Info, message) })
    }

    fn is_open_to_all(&self) -> bool {
        self.rule.source.addresses.iter().any(|term| match term {
            AddressTerm::Any => true,
            AddressTerm::Net(net) => net.prefix_len() == 0,
            AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _) => tag.place() == Some(Place::Internet),
            AddressTerm::Interfaces(_) | AddressTerm::Expression(_) => false,
        })
    }

    fn too_wide(&self) -> Option<Finding> {
        if !self.is_open_to_all() {
            return None;
        }
        let ports = self.ports();
        let name = self.rule.name.to_ascii_lowercase();
        let word = ["gateway", "appgw", "agw", "frontdoor", "front-door", "front_door", "waf"]
            .iter()
            .find(|word| name.contains(*word));
        if let Some(word) = word {
            let message = format!("named for {word}, but open to any source");
            return Some(self.finding(Kind::TooWide, Severity::Info, message));
        }
        let management = PortSet::one(454, 455);
        if !ports.is_empty() && ports.is_within(&management) {
            let message =
                "454 and 455 are open to more than the platform: the source AppServiceManagement is enough".to_owned();
            return Some(self.finding(Kind::TooWide, Severity::Info, message));
        }
        let app_ports = port_set(&self.case.profile().app_ports);
        let wider = [self.case.question.app_ports.clone(), self.case.export.app_ports.clone()].concat();
        let known = app_ports.union(&wider.into_iter().map(|port| (port, port)).collect());
        let debugging = PortSet::one(4_016, 4_026);
        let extra = ports
            .minus(&known)
            .minus(&debugging)
            .minus(&PortSet::one(0, 0))
            .minus(&management)
            .minus(&PortSet::one(16_001, 16_001));
        let judged = !self.case.profile().app_ports.is_empty();
        (judged && !extra.is_empty()).then(|| {
            let message = format!("opens {} to any source; the service serves nothing there", show_ports(&extra));
            self.finding(Kind::TooWide, Severity::Info, message)
        })
    }

    /// The right source, and a port beside the right one.
    fn near_miss(&self) -> Option<Finding> {
        let wanted = PortSet::one(454, 455);
        let ports = self.ports();
        let near = !ports.is_empty() && ports.is_within(&PortSet::one(440, 470)) && !wanted.is_within(&ports);
        let word = self.rule.name.to_ascii_lowercase();
        let meant = self.names_management() || word.contains("manag") || word.contains("mgmt");
        (self.case.profile().management_ports && meant && near).then(|| {
            let message =
                format!("{} where 454-455 are the ports of the management: a slip of the pen?", show_ports(&ports));
            self.finding(Kind::SuspiciousPort, Severity::Warning, message)
        })
    }

    fn legacy(&self) -> Option<Finding> {
        let ports = self.ports();
        let named = ports.contains(4_016) && ports.is_within(&PortSet::one(4_016, 4_026));
        named.then(|| {
            let message =
                format!("{}: 4016 and 4018 are closed; debugging uses 4020, 4022 and 4024", show_ports(&ports));
            self.finding(Kind::LegacyPort, Severity::Info, message)
        })
    }

    /// A list of management addresses instead of the tag.
    fn copied(&self) -> Option<Finding> {
        let ports = self.ports();
        let management = !ports.is_empty() && ports.overlaps(&PortSet::one(454, 455)) && !ports.contains(u16::MAX);
        let nets: Vec<IpNet> = self
            .rule
            .source
            .addresses
            .iter()
            .filter_map(|term| if let AddressTerm::Net(net) = term { Some(*net) } else { None })
            .collect();
        if !(self.case.profile().management_ports && management && nets.len() >= 5) {
            return None;
        }
        let (listed, documented) = (AddressSet::of(&nets), self.case.management.set());
        let missing = self.case.management.current().minus(&listed).count();
        let unknown = nets.iter().filter(|net| !AddressSet::of([*net]).overlaps(&documented)).count();
        let message = format!(
            "{} addresses copied instead of the tag {}: {missing} documented ones are missing, {unknown} are not documented ({}); \
             the tag holds more and follows by itself",
            nets.len(),
            self.case.management.tag,
            self.case.management.source
        );
        let severity = if missing > 0 { Severity::Warning } else { Severity::Info };
        Some(Finding {
            source: Some(self.case.management.source.clone()),
            ..self.finding(Kind::CopiedAddresses, severity, message)
        })
    }
}

fn is_private(net: &IpNet) -> bool {
    private_networks().iter().any(|wide| wide.contains(net))
}
