//! What it means that a part of a requirement is denied: a hole, a few unwanted peers, or a service that nobody needs there.
//!
//! Whose addresses are denied is told by the words of the rules, so that a tag file changes the example and not the verdict.

use crate::lint::{
    addresses::AddressSet,
    evaluate::{Fate, Piece, Reach, Ruling},
    finding::Severity,
    judge::{
        Case,
        peers::{peer, traffic},
    },
    requirements::{Management, Peer, Requirement},
    rule::{Access, AddressTerm, PortTerm, Rule},
    tags::Tag,
    traffic::{Direction, PortSet, Protocols},
    world::World,
};

/// Up to so many denied addresses are a list of unwanted peers, not a hole: a /16.
const FEW_ADDRESSES: u128 = 65_536;
/// Up to so many ports closed within the subnet are a hardening, not a cut: nothing of the environment is known to use them.
const FEW_PORTS: u32 = 64;

/// Ports up to here are for services, and no system gives them to clients (RFC 6335 section 6).
const LAST_SYSTEM_PORT: u16 = 1_023;

/// A requirement that is denied, wholly or partly.
pub(super) struct Lost<'a> {
    pub(super) requirement: &'a Requirement,
    pub(super) ruling: &'a Ruling,
    pub(super) denied: Vec<&'a Piece>,
    pub(super) allowed: Vec<&'a Piece>,
    /// Whether nothing of it passes, or may.
    pub(super) altogether: bool,
}

/// What a loss means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing of the requirement is left.
    All,
    /// A part that is needed is lost.
    Part(Severity),
    /// What is lost is not known to be needed.
    Harmless,
    /// Whether what is lost is needed nobody wrote down.
    Open(String),
}

/// The far ends that are denied: services that rules name, and addresses beside them.
struct Denied {
    services: Vec<Tag>,
    beside: AddressSet,
}

impl Lost<'_> {
    /// What it means that this is denied.
    pub(super) fn meaning(&self, case: &Case<'_>) -> Meaning {
        let worst = self.requirement.severity();
        if self.is_from_no_client() {
            return Meaning::Harmless;
        }
        if self.altogether {
            return if self.is_perhaps_listed(case) { Meaning::Part(worst) } else { Meaning::All };
        }
        match &self.requirement.peer {
            Peer::Somewhere => Meaning::Open(
                "a part of what the name may stand for is denied; an address in the configuration settles it"
                    .to_owned(),
            ),
            Peer::Internet | Peer::Any | Peer::Clients => self.of_everybody(case),
            Peer::Tag(tag) if self.requirement.direction() == Direction::Outbound => self.of_service(case, tag),
            Peer::Subnet => self.of_subnet(),
            Peer::Tag(_) | Peer::Vnet | Peer::Nets(_) => Meaning::Part(worst),
        }
    }

    /// Whether what is denied comes by TCP from ports alone that no client takes. Clocks and name servers ask from theirs by UDP.
    fn is_from_no_client(&self) -> bool {
        let low = PortSet::one(1, LAST_SYSTEM_PORT);
        self.protocols() == Protocols::TCP && self.denied.iter().all(|piece| piece.traffic.source_ports.is_within(&low))
    }

    /// Of all addresses a few are denied, or services: then it counts which ones.
    fn of_everybody(&self, case: &Case<'_>) -> Meaning {
        let denied = self.by_rules(&case.world);
        if !denied.beside.is_empty() && !self.are_few(case, &denied.beside) {
            return Meaning::Part(self.requirement.severity());
        }
        let needed = self.requirement.services();
        let is_needed = |tag: &&Tag| needed.iter().any(|needed| concerns(case, tag, needed));
        let (strange, known): (Vec<&Tag>, Vec<&Tag>) =
            denied.services.iter().partition(|tag| case.world.unknown(tag).is_some());
        if known.iter().any(is_needed) {
            return Meaning::Part(self.requirement.severity());
        }
        // A tag that nobody knows may be any, one of a known service any part of that.
        let may_be_needed = |tag: &&&Tag| !needed.is_empty() && (!tag.is_known() || is_needed(&&tag.whole()));
        if let Some(why) = strange.iter().find(may_be_needed).and_then(|tag| case.unknown_tag(tag)) {
            return Meaning::Open(why);
        }
        match denied.services.iter().find(|tag| tag.is_all_of_azure()) {
            Some(tag) => Meaning::Open(format!(
                "{tag} is denied, and which addresses {} goes to no document says",
                self.requirement.id
            )),
            None => Meaning::Harmless,
        }
    }

    /// Of one service a part is denied: other regions, or what somebody left out of a list.
    fn of_service(&self, case: &Case<'_>, service: &Tag) -> Meaning {
        let worst = self.requirement.severity();
        let allowed: AddressSet = self.allowed.iter().map(|piece| self.far_end(piece)).collect();
        if self.peers().overlaps(&allowed) {
            // The same peers pass from another part of the subnet, or by another port.
            return Meaning::Part(worst);
        }
        let regions = |pieces: &[&Piece]| -> Option<Vec<String>> {
            let named = pieces.iter().map(|piece| regions_of(self.terms(piece), service));
            named.collect::<Option<Vec<_>>>().map(|each| each.concat()).filter(|all| !all.is_empty())
        };
        let (passing, dropped) = (regions(&self.allowed), regions(&self.denied));
        let here = case.region();
        let is_own = |regions: &[String]| here.as_ref().map(|here| regions.contains(here));
        match (passing.as_deref().map(is_own), dropped.as_deref().map(is_own)) {
            // Databases and storage of an environment are in its region.
            (Some(Some(true)), _) | (None, Some(Some(false))) => Meaning::Harmless,
            (Some(None), _) | (None, Some(None)) => Meaning::Part(worst.min(Severity::Warning)),
            (Some(Some(false)), _) | (None, Some(Some(true)) | None) => Meaning::Part(worst),
        }
    }

    /// Of the subnet's own traffic a few ports are closed, or protocols without ports.
    fn of_subnet(&self) -> Meaning {
        let worst = self.requirement.severity();
        let only_icmp = self.protocols() == Protocols::ICMP;
        match () {
            () if only_icmp && self.allowed.iter().any(|piece| self.opens_every_port(piece)) => Meaning::Harmless,
            () if only_icmp || self.ports() <= FEW_PORTS => Meaning::Part(worst.min(Severity::Warning)),
            () => Meaning::Part(worst),
        }
    }

    /// Whether a rule for all protocols says 1-65535: what becomes of ICMP then no document says.
    fn opens_every_port(&self, piece: &Piece) -> bool {
        let rule = &self.ruling.rules[piece.by];
        rule.protocols.value() == Some(&Protocols::ALL)
            && rule.destination.ports.contains(&PortTerm::Range(1, u16::MAX))
    }

    fn far_end(&self, piece: &Piece) -> AddressSet {
        match self.requirement.direction() {
            Direction::Inbound => piece.traffic.source.clone(),
            Direction::Outbound => piece.traffic.destination.clone(),
        }
    }

    /// The far ends that are denied.
    pub(super) fn peers(&self) -> AddressSet {
        self.denied.iter().map(|piece| self.far_end(piece)).collect()
    }

    /// The words for the far end of the rule that decides a piece.
    fn terms(&self, piece: &Piece) -> &[AddressTerm] {
        far_terms(&self.ruling.rules[piece.by], self.requirement.direction())
    }

    /// The services that are denied by their names, where nothing else is.
    pub(super) fn services(&self, world: &World) -> Option<Vec<String>> {
        let mut denied = self.by_rules(world);
        denied.services.dedup();
        let is_all = denied.beside.is_empty() && !denied.services.is_empty();
        is_all.then(|| denied.services.iter().map(ToString::to_string).collect())
    }

    fn by_rules(&self, world: &World) -> Denied {
        let mut denied = Denied { services: Vec::new(), beside: AddressSet::default() };
        for piece in &self.denied {
            if let [AddressTerm::Tag(tag)] = self.terms(piece)
                && tag.place().is_none()
            {
                denied.services.push(tag.clone());
                continue;
            }
            let mut rest = self.far_end(piece);
            for term in self.terms(piece) {
                let (AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _)) = term else { continue };
                let extent = if tag.place().is_none() { world.term(term).sure } else { AddressSet::default() };
                if rest.overlaps(&extent) {
                    rest = rest.minus(&extent);
                    denied.services.push(tag.clone());
                }
            }
            denied.beside = denied.beside.union(&rest);
        }
        denied
    }

    /// Whether so few of many addresses are denied that they are a list of unwanted ones.
    fn are_few(&self, case: &Case<'_>, denied: &AddressSet) -> bool {
        let all_of_the_network = self.requirement.peer == Peer::Any && case.world.vnet.is_within(denied);
        let wanted = peer(case, &self.requirement.peer).count();
        let is_few = denied.count() <= FEW_ADDRESSES && denied.count().saturating_mul(4) <= wanted;
        denied.names().is_empty() && is_few && !all_of_the_network
    }

    /// Whether an allow names public addresses that may belong to the tag that is required.
    fn is_perhaps_listed(&self, case: &Case<'_>) -> bool {
        if !matches!(self.requirement.peer, Peer::Tag(_)) || self.peers().names().is_empty() {
            return false;
        }
        let pieces = self.ruling.decide(traffic(case, self.requirement), Reach::These).unwrap_or_default();
        let open = pieces.iter().filter(|piece| piece.fate == Fate::Unknown);
        let lists = |rule: &Rule| {
            let terms = far_terms(rule, self.requirement.direction());
            rule.access.value() == Some(&Access::Allow) && terms.iter().any(|term| matches!(term, AddressTerm::Net(_)))
        };
        open.flat_map(|piece| &piece.doubts).any(|&at| lists(&self.ruling.rules[at]))
    }

    /// Whether all documented addresses of a tag pass and only others of it do not. Copied lists are a finding of their own.
    pub(super) fn is_beyond_documents(&self, case: &Case<'_>) -> bool {
        match &self.requirement.peer {
            Peer::Tag(tag) => case
                .world
                .documented(tag)
                .is_some_and(|documented| !self.peers().overlaps(&documented.minus(&Management::retired()))),
            Peer::Subnet
            | Peer::Vnet
            | Peer::Internet
            | Peer::Any
            | Peer::Clients
            | Peer::Somewhere
            | Peer::Nets(_) => false,
        }
    }

    /// How many of the receiver's ports are denied.
    fn ports(&self) -> u32 {
        let ports =
            self.denied.iter().fold(PortSet::default(), |all, piece| all.union(&piece.traffic.destination_ports));
        ports.parts().iter().map(|(first, last)| u32::from(last - first) + 1).sum()
    }

    /// The protocols that are denied.
    pub(super) fn protocols(&self) -> Protocols {
        self.denied.iter().fold(Protocols::NONE, |all, piece| all.union(piece.traffic.protocols))
    }

    /// The piece that takes most.
    pub(super) fn main(&self) -> &Piece {
        let size = |piece: &&&Piece| {
            let traffic = &piece.traffic;
            let both = traffic.source.count().saturating_mul(traffic.destination.count());
            (both, traffic.destination_ports.first().is_some_and(|port| port != 0))
        };
        self.denied.iter().max_by_key(size).expect("something is denied")
    }
}

fn far_terms(rule: &Rule, direction: Direction) -> &[AddressTerm] {
    match direction {
        Direction::Inbound => &rule.source.addresses,
        Direction::Outbound => &rule.destination.addresses,
    }
}

/// Whether a denied tag takes away what is needed of a service: all of it, or the part of its own region.
fn concerns(case: &Case<'_>, denied: &Tag, needed: &Tag) -> bool {
    let whole = denied.includes(needed);
    let part = needed.includes(denied) || (denied.is_all_of_azure() && denied.region().is_some());
    let here = || case.region().is_none_or(|here| denied.region() == Some(here.as_str()));
    whole || (part && here())
}

/// The regions that a rule's words name of a service; none where it names anything else.
fn regions_of(terms: &[AddressTerm], service: &Tag) -> Option<Vec<String>> {
    let region = |term: &AddressTerm| match term {
        AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _)
            if tag.service() == service.service() || tag.is_all_of_azure() =>
        {
            tag.region().map(str::to_owned)
        }
        _ => None,
    };
    terms.iter().map(region).collect()
}
