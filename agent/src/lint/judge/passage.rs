//! What exported rules and routes do with one flow out of the subnet, as somebody measured it: the rule and the route that
//! decide, by name.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::lint::{
    addresses::AddressSet,
    evaluate::{Fate, Piece, Reach, Ruling},
    finding::Report,
    judge::{Case, Question},
    read::Export,
    route::{NextHop, Origin, Route, Table},
    routing::Routing,
    rule::{Access, AddressTerm, Rule},
    tags::{Place, Tag},
    traffic::{Direction, PortSet, Protocols, Traffic, real_ports},
    world::{World, is_platform, platform_tag},
};

/// A flow out of the subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where it leaves from; without one, anywhere in the subnet.
    pub source: Option<IpAddr>,
    /// Where it goes.
    pub destination: IpAddr,
    /// Its protocol.
    pub protocol: Protocols,
    /// The port it goes to, or several of which one will be asked.
    pub ports: PortSet,
}

/// A rule as people find it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleName {
    /// Its name.
    pub name: String,
    /// Its priority, where that is no expression.
    pub priority: Option<u32>,
    /// The group that it is in.
    pub group: String,
    /// The destinations that it is about, as it writes them; `any` for all.
    pub destination: String,
    /// Whether it is one of Azure's default rules.
    pub is_default: bool,
}

/// What the rules do with a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByRules {
    /// No group is exported.
    NotExported,
    /// No rule but those by the platform's own tags concerns the platform's own addresses, and none of them does.
    Exempt,
    /// They let it pass; the rule of the last group.
    Allowed(RuleName),
    /// They drop it.
    Denied(RuleName),
    /// They drop a part of the ports it may go to.
    PartlyDenied(RuleName),
    /// That hangs on something that the exports do not hold.
    Open(Doubt),
}

/// Why it is not known what rules do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The rule that matches perhaps; none where it is not even known which group counts.
    pub rule: Option<RuleName>,
    /// What it hangs on.
    pub why: String,
    /// What decides if it does not match.
    pub otherwise: Option<(Access, RuleName)>,
}

/// A route as people find it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteName {
    /// Its name; the fabric's own are described.
    pub name: String,
    /// The destinations that it is for, as it writes them.
    pub prefix: String,
    /// The table that it is in.
    pub table: String,
    /// Whether the fabric made it.
    pub is_system: bool,
}

/// Where the routes send a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByRoutes {
    /// No route is exported.
    NotExported,
    /// Routes do not touch the platform's own addresses.
    Exempt,
    /// By this route to this next hop; by each of them where several tie.
    Way {
        /// The routes that decide.
        routes: Vec<(RouteName, NextHop)>,
        /// The route that decides instead if the address belongs to a tag whose prefixes are not known.
        unless: Option<RouteName>,
    },
    /// Which way it goes is not in the exports, and why.
    Open(String),
}

/// The rules and routes of a subnet, ready to be asked about flows.
#[derive(Clone, Debug)]
pub struct Fabric {
    world: World,
    gates: Vec<(String, Ruling)>,
    table: Option<(Table, Routing)>,
    /// For each route the addresses that it takes if they belong to its tag, whose prefixes are not known.
    by_tag: Vec<AddressSet>,
    open: Vec<String>,
    has_groups: bool,
    knows_subnet: bool,
}

impl Fabric {
    /// What an export says of the subnet. `stands` is where flows leave from: it is taken for the subnet where no prefix of
    /// that is known, and for a part of the network, as its group and table are said to be in force there.
    pub fn new(question: &Question, export: &Export, stands: Option<IpAddr>) -> Self {
        let mut question = question.clone();
        if question.vnet.is_empty() {
            question.vnet = export.network.iter().copied().chain(listed_networks(export)).collect();
        }
        let own = stands.map(IpNet::from);
        question.vnet.extend(own);
        let knows_subnet = !question.subnet.is_empty() || export.subnets.iter().any(|one| !one.prefixes.is_empty());
        if !knows_subnet {
            question.subnet.extend(own);
        }
        let mut case = Case::new(&question, export, &[]);
        // Flows are measured from a machine, which may be in any group of interfaces.
        case.world.interfaces = case.world.vnet.clone();
        let mut unjudged = Report::default();
        let groups = case.groups(&mut unjudged);
        let gate = |group: &&crate::lint::rule::Group| {
            (group.name.clone(), Ruling::new(group, Direction::Outbound, &case.world))
        };
        let gates = groups.iter().map(gate).collect();
        let table = case.table(&mut unjudged).map(|table| {
            let routing = Routing::new(Some(table), &question.vnet, &case.world);
            (table.clone(), routing)
        });
        let perhaps = |route: &Route| {
            let doubted = route.destinations.iter().map(|term| case.world.doubted(term)).collect::<AddressSet>();
            case.world.extent(&route.destinations).by_tag.union(&doubted)
        };
        let by_tag = table.iter().flat_map(|(_, routing)| routing.routes.iter().map(perhaps)).collect();
        let open = unjudged.could_not_judge.into_iter().map(|one| one.why).collect();
        Self { gates, table, by_tag, open, has_groups: !export.groups.is_empty(), knows_subnet, world: case.world }
    }

    /// Whether an address is in the subnet, where its prefixes are known.
    pub fn is_in_subnet(&self, address: IpAddr) -> Option<bool> {
        self.knows_subnet.then(|| self.world.subnet.contains(address))
    }

    /// What the rules do with a flow: every group must let it pass.
    pub fn by_rules(&self, flow: &Flow) -> ByRules {
        if !self.has_groups {
            return ByRules::NotExported;
        }
        if is_platform(flow.destination) {
            return self.at_platform(flow);
        }
        let Some(traffic) = self.traffic(flow, AddressSet::address(flow.destination)) else { return ByRules::Exempt };
        let mut said = self.gates.iter().map(|(group, ruling)| by_group(group, ruling, traffic.clone()));
        let first = said.next().unwrap_or_else(|| {
            let why =
                self.open.first().cloned().unwrap_or_else(|| "no group of the exports is the subnet's".to_owned());
            ByRules::Open(Doubt { rule: None, why, otherwise: None })
        });
        said.fold(first, |worst, next| if rank(&next) >= rank(&worst) { next } else { worst })
    }

    /// Where the routes send a flow.
    pub fn by_routes(&self, flow: &Flow) -> ByRoutes {
        if is_platform(flow.destination) {
            return ByRoutes::Exempt;
        }
        let Some((table, routing)) = &self.table else {
            return self
                .open
                .iter()
                .find(|why| why.contains("route table"))
                .map_or(ByRoutes::NotExported, |why| ByRoutes::Open(why.clone()));
        };
        let destination = AddressSet::address(flow.destination);
        let ways = routing.ways(&destination);
        let Some(way) = ways.first() else {
            return ByRoutes::Open(format!("no route of {} is for {}", table.name, flow.destination));
        };
        let decides: Vec<&Route> = way.routes.iter().map(|&at| &routing.routes[at]).collect();
        let is_guess =
            |route: &&Route| route.origin == Origin::System && !table.effective && route.next_hop == NextHop::Nowhere;
        if decides.iter().any(is_guess) {
            return ByRoutes::Open(format!(
                "whether {} belongs to the network, a peer or a gateway is in no route table (the effective routes say it)",
                flow.destination
            ));
        }
        let differs = |route: &&Route| decides.iter().all(|decides| decides.next_hop != route.next_hop);
        let takes = |(route, by_tag): &(&Route, &AddressSet)| differs(route) && by_tag.overlaps(&destination);
        let unless = routing.routes.iter().zip(&self.by_tag).find(takes);
        let unless = unless.map(|(route, _)| name_of_route(table, route));
        let name = |route: &&Route| (name_of_route(table, route), route.next_hop.clone());
        ByRoutes::Way { routes: decides.iter().map(name).collect(), unless }
    }

    /// The platform's own addresses: only rules by its own tags touch them.
    fn at_platform(&self, flow: &Flow) -> ByRules {
        let Some(tag) = platform_tag(flow.destination, &flow.ports) else { return ByRules::Exempt };
        let named = self.world.term(&AddressTerm::Tag(tag.clone())).sure;
        let Some(traffic) = self.traffic(flow, named) else { return ByRules::Exempt };
        for (group, ruling) in &self.gates {
            let pieces = ruling.decide(vec![traffic.clone()], Reach::These).unwrap_or_default();
            let names_it =
                |piece: &&Piece| ruling.rules[piece.by].destination.addresses.contains(&AddressTerm::Tag(tag.clone()));
            if let Some(piece) = pieces.iter().filter(names_it).find(|piece| piece.fate == Fate::Denied) {
                return ByRules::Denied(name_of_rule(group, &ruling.rules[piece.by]));
            }
        }
        ByRules::Exempt
    }

    fn traffic(&self, flow: &Flow, destination: AddressSet) -> Option<Traffic> {
        let source = flow.source.filter(|source| source.is_ipv4() == flow.destination.is_ipv4());
        let traffic = Traffic {
            protocols: flow.protocol,
            source: source.map_or_else(|| self.world.subnet.clone(), AddressSet::address),
            source_ports: real_ports(),
            destination,
            destination_ports: flow.ports.clone(),
        };
        (!traffic.is_empty()).then_some(traffic)
    }
}

/// The prefixes of the network, as the effective views of an interface list them.
fn listed_networks(export: &Export) -> Vec<IpNet> {
    let is_network = |tag: &Tag| tag.place() == Some(Place::VirtualNetwork);
    let of_rules = export.groups.iter().filter(|group| group.effective).flat_map(|group| &group.rules);
    let terms = of_rules.flat_map(|rule| rule.source.addresses.iter().chain(&rule.destination.addresses));
    let expanded = terms.filter_map(|term| match term {
        AddressTerm::Expanded(tag, listed) if is_network(tag) => Some(listed.prefixes()),
        _ => None,
    });
    let of_routes = export.tables.iter().filter(|table| table.effective).flat_map(|table| &table.routes);
    let local = of_routes.filter(|route| matches!(route.next_hop, NextHop::VnetLocal | NextHop::Peering));
    let local = local.flat_map(|route| &route.destinations).filter_map(|term| match term {
        AddressTerm::Net(net) => Some(*net),
        _ => None,
    });
    let mut nets: Vec<IpNet> = expanded.flatten().chain(local).filter(|net| net.prefix_len() > 0).collect();
    nets.sort();
    nets.dedup();
    nets
}

/// How bad what rules do is: what drops counts before what is open, that before what passes.
fn rank(said: &ByRules) -> u8 {
    match said {
        ByRules::NotExported | ByRules::Exempt => 0,
        ByRules::Allowed(_) => 1,
        ByRules::Open(_) => 2,
        ByRules::PartlyDenied(_) => 3,
        ByRules::Denied(_) => 4,
    }
}

fn by_group(group: &str, ruling: &Ruling, traffic: Traffic) -> ByRules {
    let pieces = match ruling.decide(vec![traffic], Reach::These) {
        Ok(pieces) => pieces,
        Err(error) => return ByRules::Open(Doubt { rule: None, why: error.to_string(), otherwise: None }),
    };
    let name = |at: usize| name_of_rule(group, &ruling.rules[at]);
    let of = |fate: Fate| pieces.iter().find(|piece| piece.fate == fate);
    match (of(Fate::Denied), of(Fate::Unknown), of(Fate::Allowed)) {
        (Some(denied), None, None) => ByRules::Denied(name(denied.by)),
        (Some(denied), ..) => ByRules::PartlyDenied(name(denied.by)),
        (None, Some(open), _) => ByRules::Open(doubt(group, ruling, open)),
        (None, None, Some(allowed)) => ByRules::Allowed(name(allowed.by)),
        (None, None, None) => ByRules::Exempt,
    }
}

fn doubt(group: &str, ruling: &Ruling, open: &Piece) -> Doubt {
    let decides = &ruling.rules[open.by];
    let access = decides.access.value().copied();
    // The rule that would change what becomes of the flow is the one to look at.
    let other = |at: &&usize| ruling.rules[**at].access.value().copied() != access;
    let rule = open.doubts.iter().find(other).map_or(decides, |&at| &ruling.rules[at]);
    let expressions = rule.expressions();
    let why = if expressions.is_empty() {
        let terms = [rule.source.addresses.as_slice(), rule.destination.addresses.as_slice()].concat();
        let named: Vec<AddressTerm> = terms.into_iter().filter(|term| !is_plain(term)).collect();
        format!("{} is about {}, whose addresses no export holds", rule.name, words_of(&named))
    } else {
        format!("{} depends on {}, which only a deployment knows", rule.name, expressions.join(", "))
    };
    let otherwise = access.filter(|_| rule.name != decides.name).map(|access| (access, name_of_rule(group, decides)));
    Doubt { rule: Some(name_of_rule(group, rule)), why, otherwise }
}

fn is_plain(term: &AddressTerm) -> bool {
    matches!(term, AddressTerm::Any | AddressTerm::Net(_) | AddressTerm::Expanded(..))
}

fn name_of_rule(group: &str, rule: &Rule) -> RuleName {
    RuleName {
        name: rule.name.clone(),
        priority: rule.priority.value().copied(),
        group: group.to_owned(),
        destination: words_of(&rule.destination.addresses),
        is_default: rule.is_default,
    }
}

fn name_of_route(table: &Table, route: &Route) -> RouteName {
    RouteName {
        name: route.name.clone(),
        prefix: words_of(&route.destinations),
        table: table.name.clone(),
        is_system: route.origin == Origin::System,
    }
}

/// Addresses as rules and routes write them, the first three.
fn words_of(terms: &[AddressTerm]) -> String {
    let word = |term: &AddressTerm| match term {
        AddressTerm::Any => "any".to_owned(),
        AddressTerm::Net(net) => net.to_string(),
        AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _) => tag.to_string(),
        AddressTerm::Interfaces(name) => format!("the application security group {name}"),
        AddressTerm::Expression(text) => text.clone(),
    };
    let words: Vec<String> = terms.iter().take(3).map(word).collect();
    match terms.len() - words.len() {
        0 => words.join(", "),
        more => format!("{} and {more} more", words.join(", ")),
    }
}

#[cfg(test)]
#[path = "passage_tests.rs"]
mod tests;
