//! Shadowed rules and changes of flows against a slow judge that asks packet by packet, one of every sort that rules can tell
//! apart.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::{prelude::*, test_runner::Config};

use super::{Question, diff::diff, judge};
use crate::lint::{
    change::Turn,
    evaluate_tests::{full_book, members, rules},
    finding::{Finding, Kind, Severity},
    read::Export,
    rule::{Access, AddressTerm, Group, PortTerm, Rule, Side},
    seen::SeenFlow,
    tags::{Place, Tag},
    traffic::{Direction, Protocols},
    world::PLATFORM,
};

/// One address of every sort that the terms below tell apart; the first two are in the subnet.
const ADDRESSES: [&str; 15] = [
    "10.0.1.4",
    "10.0.1.250",
    "10.0.2.9",
    "10.77.0.1",
    "168.63.129.16",
    "203.0.113.7",
    "203.0.113.200",
    "20.0.0.1",
    "20.0.0.5",
    "20.0.0.9",
    "8.8.8.8",
    "127.0.0.1",
    "2600::1",
    "fd00::1",
    "fe80::1",
];
const NETS: [&str; 7] =
    ["10.0.1.0/24", "10.0.0.0/16", "10.0.1.4/32", "0.0.0.0/0", "203.0.113.0/25", "10.0.0.0/8", "::/0"];
const TAGS: [&str; 6] = ["VirtualNetwork", "Internet", "AzureLoadBalancer", "Sql", "Sql.westeurope", "AzureCloud"];
const RANGES: [(u16, u16); 6] = [(0, 65_535), (80, 80), (80, 443), (454, 455), (1, 65_535), (16_001, 65_535)];
/// One port of every sort that the ranges above tell apart; protocols without ports are at 0.
const PORTS: [u16; 6] = [1, 80, 443, 454, 500, 16_001];

/// Packets of one direction: every sort of address on both sides, with ports for TCP and UDP, without for three more.
const SORTS: usize = ADDRESSES.len() * ADDRESSES.len() * SERVICES;
/// Protocols with ports at each of them, and three without.
const SERVICES: usize = 2 * PORTS.len() + 3;
/// Groups in a run: 160 000 packets of both directions.
const GROUPS: u32 = 24;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address of the list above")
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix of the list above")
}

fn terms() -> impl Strategy<Value = AddressTerm> {
    prop_oneof![
        2 => Just(AddressTerm::Any),
        3 => proptest::sample::select(&NETS[..]).prop_map(|text| AddressTerm::Net(net(text))),
        3 => proptest::sample::select(&TAGS[..]).prop_map(|name| AddressTerm::Tag(Tag::named(name))),
    ]
}

fn sides(any_port: bool) -> impl Strategy<Value = Side> {
    let ranges = if any_port { &RANGES[..1] } else { &RANGES[..] };
    let ports = proptest::sample::select(ranges).prop_map(|(first, last)| PortTerm::Range(first, last));
    (proptest::collection::vec(terms(), 1..3), proptest::collection::vec(ports, 1..3))
        .prop_map(|(addresses, ports)| Side { addresses, ports })
}

fn groups() -> impl Strategy<Value = Group> {
    proptest::collection::vec(rules(sides(true), sides(false)), 1..10).prop_map(|mut rules| {
        rules.sort_by_key(|rule| rule.priority.value().copied());
        rules.dedup_by_key(|rule| rule.priority.value().copied());
        Group { name: "group".to_owned(), rules, ..Group::default() }
    })
}

/// Whether something is so; open where a private address beyond the network decides, which is perhaps a peer's.
type Perhaps = Option<bool>;

fn both(a: Perhaps, b: Perhaps) -> Perhaps {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn is_private(address: IpAddr) -> bool {
    ["10.0.0.0/8", "fc00::/7"].iter().any(|text| net(text).contains(&address))
}

fn is_in_vnet(address: IpAddr) -> bool {
    net("10.0.0.0/16").contains(&address)
}

fn is_public(address: IpAddr) -> bool {
    let nowhere = ["127.0.0.0/8", "fe80::/10"].iter().any(|text| net(text).contains(&address));
    !is_private(address) && !nowhere && address != PLATFORM
}

fn means(term: &AddressTerm, address: IpAddr) -> Perhaps {
    let AddressTerm::Tag(tag) = term else {
        return Some(match term {
            AddressTerm::Net(net) => net.contains(&address),
            _ => true,
        });
    };
    let beyond = is_private(address) && !is_in_vnet(address);
    match tag.place() {
        Some(Place::VirtualNetwork) => (!beyond).then(|| is_in_vnet(address)),
        Some(Place::Internet) => (!beyond).then(|| is_public(address)),
        Some(_) => Some(address == PLATFORM),
        None => {
            let listed = members().into_iter().find(|(other, _)| other == tag);
            Some(listed.is_some_and(|(_, nets)| nets.iter().any(|net| net.contains(&address))))
        }
    }
}

fn side_means(side: &Side, address: IpAddr) -> Perhaps {
    let each: Vec<Perhaps> = side.addresses.iter().map(|term| means(term, address)).collect();
    match () {
        () if each.contains(&Some(true)) => Some(true),
        () if each.contains(&None) => None,
        () => Some(false),
    }
}

/// What one rule matches, by the sorts of addresses and of protocols with ports.
struct Matches {
    source: Vec<Perhaps>,
    destination: Vec<Perhaps>,
    ports: Vec<bool>,
}

/// Protocol and port of every sort.
fn services() -> Vec<(Protocols, u16)> {
    let ported = [Protocols::TCP, Protocols::UDP].into_iter().flat_map(|one| PORTS.map(|port| (one, port)));
    ported.chain([Protocols::ICMP, Protocols::ESP, Protocols::AH].map(|one| (one, 0))).collect()
}

impl Matches {
    fn of(rule: &Rule) -> Self {
        let side = |side: &Side| ADDRESSES.iter().map(|text| side_means(side, address(text))).collect();
        let protocols = *rule.protocols.value().expect("known");
        let has = |port: u16| {
            rule.destination.ports.iter().any(|term| matches!(term, PortTerm::Range(a, b) if (*a..=*b).contains(&port)))
        };
        let ports =
            services().iter().map(|(one, port)| !protocols.intersection(*one).is_empty() && has(*port)).collect();
        Self { source: side(&rule.source), destination: side(&rule.destination), ports }
    }

    fn packet(&self, at: usize) -> Perhaps {
        if !self.ports[at % SERVICES] {
            return Some(false);
        }
        let ends = at / SERVICES;
        both(self.source[ends / ADDRESSES.len()], self.destination[ends % ADDRESSES.len()])
    }
}

/// The packet of some places in the lists of addresses and of services.
fn packet(source: usize, destination: usize, service: usize) -> usize {
    (source * ADDRESSES.len() + destination) * SERVICES + service
}

/// The addresses of every packet: source, destination.
fn ends() -> Vec<(IpAddr, IpAddr)> {
    let all = ADDRESSES.map(address);
    all.iter().flat_map(|from| all.iter().flat_map(move |to| [(*from, *to); SERVICES])).collect()
}

/// What is true of one rule among the earlier ones.
struct Truth {
    /// Packets that it surely matches, and those that it matches perhaps.
    surely: Vec<usize>,
    perhaps: Vec<usize>,
    /// The first earlier rule that surely takes each packet.
    taker: Vec<Option<usize>>,
}

impl Truth {
    fn of(rules: &[Matches], at: usize) -> Self {
        let all = |wanted: Perhaps| (0..SORTS).filter(|&packet| rules[at].packet(packet) == wanted).collect();
        let taker = |packet| (0..at).find(|&earlier| rules[earlier].packet(packet) == Some(true));
        Self { surely: all(Some(true)), perhaps: all(None), taker: (0..SORTS).map(taker).collect() }
    }

    fn takers(&self) -> impl Iterator<Item = Option<usize>> {
        self.surely.iter().chain(&self.perhaps).map(|&packet| self.taker[packet])
    }
}

fn question() -> Question {
    let (subnet, vnet) = (vec![net("10.0.1.0/24")], vec![net("10.0.0.0/16")]);
    Question { subnet, vnet, ..super::tests::question("custom") }
}

fn export(group: &Group) -> Export {
    Export { groups: vec![group.clone()], book: Some(full_book()), ..Export::default() }
}

/// What must be said of one rule, and what is.
fn check(group: &Group, direction: Direction, findings: &[Finding]) -> Result<(), TestCaseError> {
    let rules = group.in_order(direction);
    let matches: Vec<Matches> = rules.iter().map(Matches::of).collect();
    let ends = ends();
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.is_default) {
        let truth = Truth::of(&matches, at);
        let peer = |packet: &usize| if direction == Direction::Inbound { ends[*packet].0 } else { ends[*packet].1 };
        let about = |kinds: &[Kind]| {
            findings.iter().find(|one| one.rule.as_ref() == Some(&rule.name) && kinds.contains(&one.kind))
        };
        let said = about(&[Kind::Shadowed, Kind::IneffectiveRule]).filter(|finding| finding.by.is_some());
        let own_side = if direction == Direction::Inbound { &matches[at].destination } else { &matches[at].source };
        let concerns_nobody = own_side[..2].iter().all(|own| *own == Some(false));
        if concerns_nobody {
            prop_assert!(about(&[Kind::IneffectiveRule]).is_some(), "{} never matches: {:?}", rule.name, rule);
            continue;
        }
        if truth.surely.is_empty() && truth.perhaps.is_empty() {
            continue;
        }
        let access = |at: usize| rules[at].access.value().copied();
        let covered = truth.takers().all(|taker| taker.is_some());
        let twin = (0..at).any(|other| is_twin(&rules[other], rule));
        prop_assert_eq!(said.is_some(), (covered && !truth.surely.is_empty()) || twin, "{:?} {:?}", rule, said);
        let differs = truth.takers().flatten().any(|taker| access(taker) != access(at));
        if let Some(finding) = said.filter(|_| !twin) {
            prop_assert_eq!(finding.severity == Severity::Warning, differs, "{:?}", finding);
        }
        let public: Vec<&usize> = truth.surely.iter().filter(|packet| is_public(peer(packet))).collect();
        let is_lost = !public.is_empty() && public.iter().all(|packet| truth.taker[**packet].is_some());
        if let Some(finding) = about(&[Kind::ShadowedPartly]) {
            prop_assert!(is_lost && access(at) == Some(Access::Allow) && !covered, "{:?} {:?}", finding, rule);
        }
        let by_one = |taker: usize| {
            let takes = |packet: &&usize| truth.taker[**packet] == Some(taker);
            access(taker) == Some(Access::Deny) && public.iter().all(takes)
        };
        if is_lost && !covered && !twin && access(at) == Some(Access::Allow) && (0..at).any(by_one) {
            prop_assert!(about(&[Kind::ShadowedPartly]).is_some(), "{:?} loses everything public", rule);
        }
    }
    Ok(())
}

/// Whether a rule holds each word of a later one for addresses, and its ports and protocols. What a word stands for perhaps is
/// held by the same word alone.
fn is_twin(earlier: &Rule, later: &Rule) -> bool {
    let is_covered = |theirs: &Side, term: &AddressTerm| {
        let each = ADDRESSES.map(address);
        each.iter().all(|one| means(term, *one) == Some(false) || side_means(theirs, *one) == Some(true))
    };
    let holds = |theirs: &Side, ours: &Side| {
        ours.addresses.iter().all(|term| theirs.addresses.contains(term) || is_covered(theirs, term))
    };
    let same = holds(&earlier.source, &later.source) && holds(&earlier.destination, &later.destination);
    let (theirs, ours) = (Matches::of(earlier).ports, Matches::of(later).ports);
    same && ours.iter().zip(&theirs).all(|(ours, theirs)| *theirs || !ours)
}

/// What becomes of a packet out of the subnet: none where that is open.
fn fate(rules: &[Rule], matches: &[Matches], packet: usize) -> Option<Access> {
    for (rule, one) in rules.iter().zip(matches) {
        match one.packet(packet) {
            Some(false) => {}
            Some(true) => return rule.access.value().copied(),
            None => return None,
        }
    }
    None
}

proptest! {
    #![proptest_config(Config { max_shrink_iters: 200, ..Config::with_cases(GROUPS) })]

    #[test]
    fn a_rule_is_shadowed_exactly_when_no_packet_is_left_to_it(group in groups()) {
        let report = judge(&question(), &export(&group));
        for direction in [Direction::Inbound, Direction::Outbound] {
            check(&group, direction, &report.findings)?;
        }
    }

    #[test]
    fn a_flow_breaks_exactly_when_a_packet_of_it_is_newly_dropped(before in groups(), after in groups()) {
        let services = services();
        let ported = |(protocols, port): &&(Protocols, u16)| *port != 0 && *protocols == Protocols::TCP;
        let to = ADDRESSES.iter().filter(|text| address(text).is_ipv4() && address(text) != PLATFORM);
        let flows: Vec<SeenFlow> = to
            .flat_map(|to| services.iter().filter(ported).map(move |(protocols, port)| SeenFlow {
                name: format!("{to}:{port}"), protocols: *protocols, port: *port, addresses: vec![address(to)],
                failed: Vec::new(), severity: Severity::Warning, worked: true,
            }))
            .collect();
        let said = diff(&question(), &export(&before), &export(&after), &flows);
        let sides = [&before, &after].map(|group| {
            let rules = group.in_order(Direction::Outbound);
            let matches: Vec<Matches> = rules.iter().map(Matches::of).collect();
            (rules, matches)
        });
        for flow in &flows {
            let to = ADDRESSES.iter().position(|text| address(text) == flow.addresses[0]).expect("an address of the list");
            let service = services.iter().position(|one| *one == (flow.protocols, flow.port)).expect("a service of the list");
            let of = |from| sides.each_ref().map(|(rules, matches)| fate(rules, matches, packet(from, to, service)));
            let fates: Vec<_> = (0..2).map(of).collect();
            if fates.iter().flatten().any(Option::is_none) {
                continue;
            }
            let turns = |from: Access, to: Access| fates.contains(&[Some(from), Some(to)]);
            let expected = match (turns(Access::Allow, Access::Deny), turns(Access::Deny, Access::Allow)) {
                (true, _) => Some(Turn::Breaks),
                (false, true) => Some(Turn::Mends),
                (false, false) => None,
            };
            let change = said.changes.iter().find(|change| change.flows.contains(&flow.name));
            prop_assert_eq!(change.map(|change| change.turn), expected, "{} {:?}", flow.name, fates);
        }
    }
}
