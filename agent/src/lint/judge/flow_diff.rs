//! The flows that the daemon has seen, asked of both sides: which pass no more, which pass now, which take another way.

use std::collections::BTreeMap;

use crate::lint::{
    addresses::AddressSet,
    change::{Change, Standing, Turn},
    compare::{By, rerouted, shifts, through},
    evaluate::{Fate, Reach, Ruling},
    finding::{Packet, Severity},
    judge::{flows, judged_export::JudgedExport, peers},
    requirements::Peer,
    route::NextHop,
    routing::Routing,
    rule::AddressTerm,
    seen::SeenFlow,
    traffic::{Direction, PortSet, Traffic, real_ports},
    world::{is_platform, platform_tag},
};

/// What changes for the flows; those that change alike stand together.
pub(super) fn changes(was: &JudgedExport<'_>, is: &JudgedExport<'_>, seen: &[SeenFlow]) -> Vec<Change> {
    let system = |side: &JudgedExport<'_>| Routing::new(None, &side.case.nets.1, &side.case.world);
    let is_routed = was.routing.is_some() || is.routing.is_some();
    let routing = |side: &JudgedExport<'_>| side.routing.clone().unwrap_or_else(|| system(side));
    let look = Look { was, is, ways: is_routed.then(|| (routing(was), routing(is))) };
    let mut together: BTreeMap<(Turn, String, String, u16), Change> = BTreeMap::new();
    for flow in seen {
        let found = look.platform(flow).or_else(|| look.rules(flow)).or_else(|| look.routes(flow));
        let Some(change) = found else { continue };
        let key = (change.turn, change.before.message.clone(), change.after.message.clone(), flow.port);
        let known = together.entry(key).or_insert_with(|| Change { flows: Vec::new(), ..change.clone() });
        known.flows.extend(change.flows);
        known.severity = known.severity.max(change.severity);
    }
    together.into_values().collect()
}

struct Look<'a> {
    was: &'a JudgedExport<'a>,
    is: &'a JudgedExport<'a>,
    ways: Option<(Routing, Routing)>,
}

impl Look<'_> {
    /// The destinations of a flow as rules and routes see them; the platform's own addresses are asked apart.
    fn destination(&self, flow: &SeenFlow) -> AddressSet {
        match flow.addresses.as_slice() {
            [] => peers::peer(&self.is.case, &Peer::Somewhere),
            some => some
                .iter()
                .filter(|address| !is_platform(**address))
                .fold(AddressSet::default(), |all, address| all.union(&AddressSet::address(*address))),
        }
    }

    /// A flow to the platform's own addresses passes every group but for rules by its tag.
    fn platform(&self, flow: &SeenFlow) -> Option<Change> {
        let port = PortSet::one(flow.port, flow.port);
        let tag = flow.addresses.iter().find_map(|address| platform_tag(*address, &port))?;
        let of = |side: &JudgedExport<'_>| {
            let destination = side.case.world.term(&AddressTerm::Tag(tag.clone())).sure;
            let traffic = self.box_of(flow, destination);
            let rulings = side.rulings(Direction::Outbound);
            let ruled = through(&rulings, traffic.clone(), Reach::These).unwrap_or_default();
            let denies = ruled.into_iter().filter(|one| one.fate == Fate::Denied).filter_map(|one| one.by);
            let rule = denies.map(|by| &rulings[by.group].rules[by.rule]).find(|rule| !rule.is_default);
            rule.map(|rule| (rule.name.clone(), flows::packet(&side.case.world, Direction::Outbound, &traffic[0])))
        };
        let standing = |denial: &Option<(String, Packet)>| match denial {
            Some((rule, _)) => Standing {
                verdict: "denied".to_owned(),
                rule: Some(rule.clone()),
                message: format!("denied by {rule}, which names {tag}"),
            },
            None => Standing {
                verdict: "allowed".to_owned(),
                rule: None,
                message: format!("no rule names {tag}, and no other can touch it"),
            },
        };
        let (was, is) = (of(self.was), of(self.is));
        let both = (standing(&was), standing(&is));
        match (was, is) {
            (None, Some((_, packet))) => Some(change(flow, Turn::Breaks, both, packet)),
            (Some((_, packet)), None) => Some(change(flow, Turn::Mends, both, packet)),
            _ => None,
        }
    }

    fn traffic(&self, flow: &SeenFlow) -> Vec<Traffic> {
        self.box_of(flow, self.destination(flow))
    }

    fn box_of(&self, flow: &SeenFlow, destination: AddressSet) -> Vec<Traffic> {
        let all = Traffic {
            protocols: flow.protocols,
            source: self.is.case.world.subnet.clone(),
            source_ports: real_ports(),
            destination,
            destination_ports: PortSet::one(flow.port, flow.port),
        };
        Some(all).filter(|traffic| !traffic.is_empty()).into_iter().collect()
    }

    fn rules(&self, flow: &SeenFlow) -> Option<Change> {
        let reach = if flow.addresses.is_empty() { Reach::Everywhere } else { Reach::These };
        let (was, is) = (self.was.rulings(Direction::Outbound), self.is.rulings(Direction::Outbound));
        let moved = shifts(&was, &is, self.traffic(flow), reach).ok()?;
        let to = |fate| moved.iter().find(|shift| shift.after.0 == fate);
        let from_denied = moved.iter().find(|shift| shift.before.0 == Fate::Denied);
        let (shift, turn) = match (to(Fate::Denied), to(Fate::Unknown), from_denied) {
            // Of a name alone a part says nothing: its addresses may be in the rest.
            (Some(shift), ..) if self.is_all(flow, &is, reach) => (shift, Turn::Breaks),
            (Some(shift), ..) | (None, Some(shift), _) => (shift, Turn::Opens),
            (None, None, Some(shift)) => (shift, Turn::Mends),
            (None, None, None) => return None,
        };
        let packet = flows::packet(&self.is.case.world, Direction::Outbound, &shift.traffic);
        let before = standing(shift.before, &was);
        let after = match turn {
            Turn::Opens if shift.after.0 == Fate::Denied => of_a_part(standing(shift.after, &is)),
            Turn::Breaks | Turn::Opens | Turn::Mends | Turn::Differs => standing(shift.after, &is),
        };
        Some(change(flow, turn, (before, after), packet))
    }

    /// Whether what is denied of a flow is enough to break it: an address of it, or all that its name may stand for.
    fn is_all(&self, flow: &SeenFlow, is: &[&Ruling], reach: Reach) -> bool {
        let denied_only =
            || through(is, self.traffic(flow), reach).is_ok_and(|all| all.iter().all(|one| one.fate == Fate::Denied));
        !flow.addresses.is_empty() || denied_only()
    }

    fn routes(&self, flow: &SeenFlow) -> Option<Change> {
        let (was, is) = self.ways.as_ref()?;
        let world = &self.is.case.world;
        let is_name = flow.addresses.is_empty();
        let wanted =
            if is_name { world.internet.intersection(&AddressSet::every_v4()) } else { self.destination(flow) };
        if was.may_be_taken(&wanted) || is.may_be_taken(&wanted) {
            return None;
        }
        let moved = rerouted(was, is, &wanted);
        let is_lost = |hops: &[(&str, &NextHop)]| hops.iter().any(|(_, hop)| **hop == NextHop::Nowhere);
        let turn_of = |before: &[(&str, &NextHop)], after: &[(&str, &NextHop)]| match (is_lost(before), is_lost(after))
        {
            (false, true) => Turn::Breaks,
            (true, false) => Turn::Mends,
            _ => Turn::Differs,
        };
        let main = moved.iter().max_by_key(|one| one.destinations.count())?;
        let worst = moved.iter().min_by_key(|one| turn_of(&one.before, &one.after));
        let shown = worst.filter(|_| !is_name).unwrap_or(main);
        let turn = turn_of(&shown.before, &shown.after);
        let packet = Packet {
            source_port: 49_152,
            destination_port: flow.port,
            ..flows::packet(
                world,
                Direction::Outbound,
                &Traffic {
                    protocols: flow.protocols,
                    source: world.subnet.clone(),
                    source_ports: real_ports(),
                    destination: shown.destinations.clone(),
                    destination_ports: PortSet::one(flow.port, flow.port),
                },
            )
        };
        Some(change(flow, turn, (by_way(&shown.before), by_way(&shown.after)), packet))
    }
}

fn change(flow: &SeenFlow, turn: Turn, (before, after): (Standing, Standing), packet: Packet) -> Change {
    let severity = if turn == Turn::Differs { Severity::Info } else { flow.severity };
    let flows = vec![flow.name.clone()];
    Change { about: "flow".to_owned(), flows, turn, severity, before, after, packet: Some(packet), finding: None }
}

fn standing((fate, by): (Fate, Option<By>), rulings: &[&Ruling]) -> Standing {
    let rule = by.map(|by| &rulings[by.group].rules[by.rule]);
    let named = rule.map_or_else(|| "no security group".to_owned(), |rule| rule.name.clone());
    let priority = rule.and_then(|rule| rule.priority.value()).map(|priority| format!(", priority {priority}"));
    let (verdict, word) = match fate {
        Fate::Allowed => ("allowed", "allowed by"),
        Fate::Denied => ("denied", "denied by"),
        Fate::Unknown => ("could_not_judge", "depends on"),
    };
    let message = format!("{word} {named}{}", priority.unwrap_or_default());
    Standing { verdict: verdict.to_owned(), rule: rule.map(|rule| rule.name.clone()), message }
}

/// What is denied of a name whose addresses are not known.
fn of_a_part(standing: Standing) -> Standing {
    let message = format!("{} for some of the addresses that it may have", standing.message);
    Standing { verdict: "could_not_judge".to_owned(), message, ..standing }
}

fn by_way(hops: &[(&str, &NextHop)]) -> Standing {
    let lost = hops.iter().any(|(_, hop)| **hop == NextHop::Nowhere);
    let each: Vec<String> = hops.iter().map(|(route, hop)| format!("{hop} by {route}")).collect();
    let message = format!("goes to {}", each.join(" and "));
    let verdict = if lost { "denied" } else { "allowed" };
    Standing { verdict: verdict.to_owned(), rule: hops.first().map(|(route, _)| (*route).to_owned()), message }
}
