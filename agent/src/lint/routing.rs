//! Which route packets take: routes of service endpoints above all, then the longest prefix, then user over BGP over system.

use std::{cmp::Reverse, collections::BTreeMap};

use ipnet::IpNet;

use crate::lint::{
    addresses::AddressSet,
    route::{NextHop, Origin, Route, Table},
    rule::AddressTerm,
    world::World,
};

/// How exact a tag counts whose prefixes are not known: tags are lists of prefixes this long and longer.
const LENGTH_OF_TAGS: u8 = 24;

/// The private prefixes that the fabric drops unless a network or gateway announces them ("Virtual network traffic
/// routing", system routes).
const DROPPED: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];

/// Packets with one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Their destinations.
    pub destinations: AddressSet,
    /// The routes that tie for them, by their place in [`Routing::routes`]; packets are spread over all.
    pub routes: Vec<usize>,
}

/// One prefix of one route.
#[derive(Clone, Debug)]
struct Candidate {
    destinations: AddressSet,
    rank: (bool, u8, Origin, bool),
    route: usize,
}

/// The routes in force at a subnet.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Those of the table, and the fabric's own.
    pub routes: Vec<Route>,
    candidates: Vec<Candidate>,
    /// Routes that nothing resolves, by their place, with what each may take from all others.
    doubts: Vec<(usize, AddressSet)>,
}

impl Routing {
    /// The routes of a table; a table that is no effective view has the fabric's routes added.
    pub fn new(table: Option<&Table>, vnet: &[IpNet], world: &World) -> Self {
        let mut routes: Vec<Route> =
            table.map(|table| table.routes.iter().filter(|route| route.active).cloned().collect()).unwrap_or_default();
        if !table.is_some_and(|table| table.effective) {
            routes.extend(system_routes(vnet));
        }
        let mut candidates: Vec<Candidate> =
            routes.iter().enumerate().flat_map(|(at, route)| candidates(route, at, world)).collect();
        candidates.sort_by_key(|candidate| Reverse(candidate.rank));
        let of_route =
            |route: &Route| route.destinations.iter().map(|term| world.doubted(term)).collect::<AddressSet>();
        let doubts = routes.iter().map(of_route).enumerate().filter(|(_, taken)| !taken.is_empty()).collect();
        Self { routes, candidates, doubts }
    }

    /// The routes that may take a way's packets instead, as nothing says what they are for.
    pub fn doubts(&self, way: &Way) -> impl Iterator<Item = &Route> {
        let takes = |taken: &AddressSet| way.destinations.is_within(taken);
        self.doubts.iter().filter(move |(_, taken)| takes(taken)).map(|(at, _)| &self.routes[*at])
    }

    /// The ways of destinations, in pieces that share none. Destinations without any route are left out.
    pub fn ways(&self, destinations: &AddressSet) -> Vec<Way> {
        let mut ways = Vec::new();
        let mut open = destinations.clone();
        for tied in self.candidates.chunk_by(|a, b| a.rank == b.rank) {
            let mut tier: Vec<Way> = Vec::new();
            for candidate in tied {
                spread(&mut tier, candidate.destinations.intersection(&open), candidate.route);
            }
            open = tier.iter().fold(open, |open, way| open.minus(&way.destinations));
            ways.extend(tier);
            if open.is_empty() {
                break;
            }
        }
        ways
    }

    /// Whether a route that nothing resolves may take some of these destinations.
    pub fn may_be_taken(&self, destinations: &AddressSet) -> bool {
        self.doubts.iter().any(|(_, taken)| taken.overlaps(destinations))
    }

    /// The next hops of a way.
    pub fn hops(&self, way: &Way) -> Vec<&NextHop> {
        way.routes.iter().map(|&at| &self.routes[at].next_hop).collect()
    }
}

/// Adds a route to the ways of one rank: where others go already, packets are spread over both.
fn spread(tier: &mut Vec<Way>, mut destinations: AddressSet, route: usize) {
    for at in 0..tier.len() {
        let shared = tier[at].destinations.intersection(&destinations);
        if shared.is_empty() || tier[at].routes.contains(&route) {
            continue;
        }
        destinations = destinations.minus(&shared);
        let alone = tier[at].destinations.minus(&shared);
        let routes = tier[at].routes.iter().copied().chain([route]).collect();
        if alone.is_empty() {
            tier[at].routes = routes;
        } else {
            tier[at].destinations = alone;
            tier.push(Way { destinations: shared, routes });
        }
    }
    if !destinations.is_empty() {
        tier.push(Way { destinations, routes: vec![route] });
    }
}

fn system_routes(vnet: &[IpNet]) -> Vec<Route> {
    let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
    let system = |name: &str, nets: Vec<IpNet>, next_hop| Route {
        name: name.to_owned(),
        destinations: nets.into_iter().map(AddressTerm::Net).collect(),
        next_hop,
        origin: Origin::System,
        active: true,
        at: "system".to_owned(),
    };
    vec![
        system("the fabric's route within the network", vnet.to_vec(), NextHop::VnetLocal),
        system("the fabric's route to the Internet", vec![net("0.0.0.0/0")], NextHop::Internet),
        system("the fabric's route for private addresses", DROPPED.map(net).to_vec(), NextHop::Nowhere),
    ]
}

/// The prefixes of a route by their length, with what decides between them. At equal prefixes one that is written out
/// beats a tag's.
fn candidates(route: &Route, at: usize, world: &World) -> Vec<Candidate> {
    let above_all = route.next_hop == NextHop::ServiceEndpoint;
    let mut by_rank: BTreeMap<(u8, bool), Vec<AddressSet>> = BTreeMap::new();
    for term in &route.destinations {
        match term {
            AddressTerm::Net(net) => by_rank.entry((net.prefix_len(), true)).or_default().push(world.term(term).sure),
            AddressTerm::Any => by_rank.entry((0, true)).or_default().push(AddressSet::everything()),
            AddressTerm::Tag(_) | AddressTerm::Expanded(..) => {
                let extent = world.term(term).sure;
                let mut by_length: BTreeMap<u8, Vec<IpNet>> = BTreeMap::new();
                extent.prefixes().into_iter().for_each(|net| by_length.entry(net.prefix_len()).or_default().push(net));
                for (length, nets) in by_length {
                    by_rank.entry((length, false)).or_default().push(AddressSet::of(&nets));
                }
                let names = extent.intersection(&AddressSet::every_name());
                by_rank.entry((LENGTH_OF_TAGS, false)).or_default().push(names);
            }
            AddressTerm::Expression(_) | AddressTerm::Interfaces(_) => {}
        }
    }
    let union = |sets: Vec<AddressSet>| sets.into_iter().collect::<AddressSet>();
    let candidate = |((length, written), sets)| Candidate {
        destinations: union(sets),
        rank: (above_all, length, route.origin, written),
        route: at,
    };
    by_rank.into_iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::lint::{rule::Known, tags::Tag, world::Book};

    fn net(text: &str) -> IpNet {
        text.parse().expect("a prefix")
    }

    fn route(name: &str, destination: AddressTerm, next_hop: NextHop, origin: Origin) -> Route {
        Route {
            name: name.to_owned(),
            destinations: vec![destination],
            next_hop,
            origin,
            active: true,
            at: String::new(),
        }
    }

    fn table(routes: Vec<Route>) -> Table {
        let takes_bgp = Known::Value(true);
        let name = "table".to_owned();
        Table { name, id: None, location: None, takes_bgp, routes, subnets: Vec::new(), effective: false }
    }

    fn way_of(routes: Vec<Route>, destination: &str) -> Vec<String> {
        let management = Tag::named("AppServiceManagement");
        let documented = AddressSet::of(&[net("198.51.100.0/26")]);
        let book = Book { complete: [(management.clone(), documented)].into(), ..Book::default() };
        let world = World::new(&[net("10.0.1.0/24")], &[net("10.0.0.0/16")], book, [management]);
        let routing = Routing::new(Some(&table(routes)), &[net("10.0.0.0/16")], &world);
        let address: IpAddr = destination.parse().expect("an address");
        let ways = routing.ways(&AddressSet::address(address));
        assert!(ways.len() <= 1, "one address goes one way: {ways:?}");
        ways.iter().flat_map(|way| way.routes.iter().map(|&at| routing.routes[at].name.clone())).collect()
    }

    fn appliance() -> NextHop {
        NextHop::Appliance(vec!["10.9.0.4".parse().expect("an address")])
    }

    #[test]
    fn the_longest_prefix_wins_whoever_wrote_it() {
        let default = route("default", AddressTerm::Net(net("0.0.0.0/0")), appliance(), Origin::User);
        let bgp = route("bgp", AddressTerm::Net(net("203.0.113.0/24")), NextHop::Gateway, Origin::Bgp);
        assert_eq!(way_of(vec![default.clone(), bgp.clone()], "203.0.113.7"), ["bgp"]);
        assert_eq!(way_of(vec![default, bgp], "203.0.114.7"), ["default"]);
    }

    #[test]
    fn at_equal_prefixes_user_beats_bgp_beats_system_and_endpoints_beat_all() {
        let prefix = || AddressTerm::Net(net("0.0.0.0/0"));
        let user = route("user", prefix(), appliance(), Origin::User);
        let bgp = route("bgp", prefix(), NextHop::Gateway, Origin::Bgp);
        assert_eq!(way_of(vec![bgp.clone(), user.clone()], "203.0.113.7"), ["user"]);
        assert_eq!(way_of(vec![bgp], "203.0.113.7"), ["bgp"]);
        let endpoint =
            route("endpoint", AddressTerm::Net(net("203.0.0.0/16")), NextHop::ServiceEndpoint, Origin::System);
        let exact = route("exact", AddressTerm::Net(net("203.0.113.7/32")), appliance(), Origin::User);
        assert_eq!(way_of(vec![user, exact, endpoint], "203.0.113.7"), ["endpoint"]);
    }

    #[test]
    fn routes_that_tie_share_the_packets() {
        let prefix = || AddressTerm::Net(net("0.0.0.0/0"));
        let [a, b] = ["a", "b"].map(|name| route(name, prefix(), NextHop::Gateway, Origin::Bgp));
        assert_eq!(way_of(vec![a, b], "203.0.113.7"), ["a", "b"]);
    }

    #[test]
    fn a_tag_is_its_prefixes_and_a_prefix_written_out_beats_the_same_of_a_tag() {
        let default = route("default", AddressTerm::Net(net("0.0.0.0/0")), appliance(), Origin::User);
        let tag = AddressTerm::Tag(Tag::named("AppServiceManagement"));
        let tag = route("tag", tag, NextHop::Internet, Origin::User);
        assert_eq!(way_of(vec![default.clone(), tag.clone()], "198.51.100.9"), ["tag"]);
        let same = route("same", AddressTerm::Net(net("198.51.100.0/26")), appliance(), Origin::User);
        assert_eq!(way_of(vec![default, tag, same], "198.51.100.9"), ["same"]);
    }

    #[test]
    fn a_lost_route_of_an_effective_view_carries_nothing() {
        let mut lost = route("lost", AddressTerm::Net(net("203.0.113.0/24")), NextHop::Nowhere, Origin::Bgp);
        lost.active = false;
        assert_eq!(way_of(vec![lost], "203.0.113.7"), ["the fabric's route to the Internet"]);
    }

    #[test]
    fn the_own_network_stays_inside_until_a_route_as_exact_says_otherwise() {
        let wide = route("wide", AddressTerm::Net(net("10.0.0.0/8")), appliance(), Origin::User);
        assert_eq!(way_of(vec![wide], "10.0.1.9"), ["the fabric's route within the network"]);
        let same = route("same", AddressTerm::Net(net("10.0.0.0/16")), appliance(), Origin::User);
        assert_eq!(way_of(vec![same], "10.0.1.9"), ["same"]);
    }
}
