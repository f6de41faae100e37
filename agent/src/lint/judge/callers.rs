//! Whether answers to callers from the Internet leave by the way their questions came in: an appliance on the way back
//! sees half of each connection and drops it.

use crate::lint::{
    addresses::AddressSet,
    evaluate::{Fate, Reach},
    finding::{Report, Severity},
    judge::{Case, Deployment, gate::Gate, ways::Look},
    route::{NextHop, Table},
    routing::{Routing, Way},
    traffic::{Direction, PortSet, Protocols, Traffic, real_ports},
};

/// Callers that are lost are worth a word from here on: a /24.
const SOME: u128 = 256;

/// Checks the table of an environment that is reached at a public address. `gate` says who may call.
pub(super) fn check(case: &Case<'_>, table: &Table, gate: Option<&Gate<'_>>, report: &mut Report) {
    if case.deployment != Some(Deployment::External) || !case.profile().routes.management {
        return;
    }
    let routing = Routing::new(Some(table), &case.nets.1, &case.world);
    let callers = callers(case, gate).minus(&case.management.set());
    let look = Look { case, table, routing: &routing };
    let is_lost = |way: &Way| is_detour(&routing, way) && !look.is_open(way);
    let lost: Vec<Way> = routing.ways(&callers).into_iter().filter(is_lost).collect();
    let count: u128 = lost.iter().map(|way| way.destinations.count()).sum();
    let Some(way) =
        lost.iter().max_by_key(|way| way.destinations.count()).filter(|_| count >= SOME.min(callers.count()))
    else {
        return;
    };
    let message = format!(
        "answers to callers from the Internet go to {} by {}, though their questions come in at the environment's own address: the \
         connections never stand; route the callers' prefixes to Internet, or let them in through the appliance and internally",
        look.hop(way),
        routing.routes[way.routes[0]].name
    );
    let finding = look.finding("callers", Severity::Warning, message);
    report.findings.push(look.of_packet(way, (443, 49_152), finding));
}

/// Everybody in the Internet who may call the apps by HTTP or HTTPS.
fn callers(case: &Case<'_>, gate: Option<&Gate<'_>>) -> AddressSet {
    let everybody = case.world.internet.intersection(&AddressSet::every_v4());
    let Some(gate) = gate else { return everybody };
    let web = |port| Traffic {
        protocols: Protocols::TCP,
        source: everybody.clone(),
        source_ports: real_ports(),
        destination: case.world.subnet.clone(),
        destination_ports: PortSet::one(port, port),
    };
    let Ok(pieces) = gate.ruling(Direction::Inbound).decide(vec![web(80), web(443)], Reach::These) else {
        return everybody;
    };
    let let_in = pieces.into_iter().filter(|piece| piece.fate == Fate::Allowed);
    let_in.map(|piece| piece.traffic.source).collect()
}

/// Whether packets leave neither straight nor never: what is dropped is another finding's business.
fn is_detour(routing: &Routing, way: &Way) -> bool {
    routing.hops(way).iter().any(|hop| matches!(hop, NextHop::Appliance(_) | NextHop::Gateway))
}
