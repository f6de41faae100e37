//! What changes between two sets of rules or of routes: the same packets asked of both, cut until each piece has one fate on
//! either side.

use crate::lint::{
    addresses::AddressSet,
    evaluate::{Fate, Reach, Ruling, TooManyPieces},
    route::NextHop,
    routing::Routing,
    traffic::Traffic,
};

/// More pieces than this, and what changes is too much to say.
const MOST_SHIFTS: usize = 20_000;

/// What decides: the place of the group in the list, and of the rule in [`Ruling::rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    /// The group.
    pub group: usize,
    /// The rule.
    pub rule: usize,
}

/// Packets with one fate at all groups together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// The packets.
    pub traffic: Traffic,
    /// What becomes of them.
    pub fate: Fate,
    /// What decides; none where there is no group.
    pub by: Option<By>,
}

/// Packets whose fate differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The packets.
    pub traffic: Traffic,
    /// Their fate and its rule before.
    pub before: (Fate, Option<By>),
    /// Their fate and its rule after.
    pub after: (Fate, Option<By>),
}

/// What becomes of traffic at several groups, each of which has to let it through; without any it passes.
///
/// # Errors
/// [`TooManyPieces`] when the rules are beyond what can be judged.
pub fn through(rulings: &[&Ruling], traffic: Vec<Traffic>, reach: Reach) -> Result<Vec<Ruled>, TooManyPieces> {
    let mut decided: Vec<Ruled> =
        traffic.into_iter().map(|traffic| Ruled { traffic, fate: Fate::Allowed, by: None }).collect();
    for (group, ruling) in rulings.iter().enumerate() {
        let mut next = Vec::new();
        for so_far in decided {
            if so_far.fate == Fate::Denied {
                next.push(so_far);
                continue;
            }
            for piece in ruling.decide(vec![so_far.traffic.clone()], reach)? {
                let rule = piece.doubts.first().filter(|_| piece.fate == Fate::Unknown).copied().unwrap_or(piece.by);
                let here = (piece.fate, Some(By { group, rule }));
                let stays_open = so_far.fate == Fate::Unknown && piece.fate == Fate::Allowed;
                let (fate, by) = if stays_open { (so_far.fate, so_far.by) } else { here };
                next.push(Ruled { traffic: piece.traffic, fate, by });
            }
        }
        decided = next;
    }
    Ok(decided)
}

/// The packets of some traffic whose fate differs, in pieces that share none.
///
/// # Errors
/// [`TooManyPieces`] when the rules are beyond what can be judged.
pub fn shifts(
    before: &[&Ruling],
    after: &[&Ruling],
    traffic: Vec<Traffic>,
    reach: Reach,
) -> Result<Vec<Shift>, TooManyPieces> {
    let mut found = Vec::new();
    for was in through(before, traffic, reach)? {
        for is in through(after, vec![was.traffic], reach)?.into_iter().filter(|is| is.fate != was.fate) {
            found.push(Shift { traffic: is.traffic, before: (was.fate, was.by), after: (is.fate, is.by) });
        }
        if found.len() > MOST_SHIFTS {
            return Err(TooManyPieces);
        }
    }
    Ok(found)
}

/// Destinations that take one way before and one after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerouted<'a> {
    /// The destinations.
    pub destinations: AddressSet,
    /// The names of the routes and their next hops before.
    pub before: Vec<(&'a str, &'a NextHop)>,
    /// Those after.
    pub after: Vec<(&'a str, &'a NextHop)>,
}

/// The destinations whose next hop differs, in pieces that share none.
pub fn rerouted<'a>(before: &'a Routing, after: &'a Routing, destinations: &AddressSet) -> Vec<Rerouted<'a>> {
    fn hops<'a>(routing: &'a Routing, routes: &[usize]) -> Vec<(&'a str, &'a NextHop)> {
        routes.iter().map(|&at| (routing.routes[at].name.as_str(), &routing.routes[at].next_hop)).collect()
    }
    let mut found = Vec::new();
    for was in before.ways(destinations) {
        for is in after.ways(&was.destinations) {
            let (was, now) = (hops(before, &was.routes), hops(after, &is.routes));
            if was.iter().map(|(_, hop)| hop).ne(now.iter().map(|(_, hop)| hop)) {
                found.push(Rerouted { destinations: is.destinations, before: was, after: now });
            }
        }
    }
    found
}
