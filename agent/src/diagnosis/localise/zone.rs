//! Which zones are behind names that DNS servers do not resolve while they resolve others: an end that the names share and
//! below which nothing works.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Component, Crowd, Group, Singles, collect, take};
use crate::model::catalog::Host;

/// Labels that the end of a zone has at least: below a single one anybody's names lie.
const LABELS: usize = 2;
/// Names that must fail before a zone is named that lies above their own: two may fail each for itself.
const NAMES_ABOVE: usize = 3;

impl Crowd<'_> {
    /// Groups failures of names by zone; those that no zone explains are single names.
    pub(super) fn zones(&self, mut left: Vec<usize>, servers: Vec<IpAddr>) -> Vec<Group> {
        let mut groups = Vec::new();
        if let Some(zone) = self.zone(&left) {
            return vec![Group { component: Component::Zone(zone, servers), members: left }];
        }
        for (parent, part) in collect(left.iter().copied(), |number| parent(self.name(number)?)) {
            if self.is_zone(parent, &part) {
                let members = take(&mut left, |number| part.contains(number));
                groups.push(Group { component: Component::Zone(parent.to_owned(), servers.clone()), members });
            }
        }
        if !left.is_empty() {
            let singles = match self.names(&left).into_iter().collect::<Vec<_>>()[..] {
                [only] => Singles::Name(only.to_owned(), servers),
                _ => Singles::Names(servers),
            };
            groups.push(Group { component: Component::Endpoints(singles), members: left });
        }
        groups
    }

    /// The one zone that explains them all.
    fn zone(&self, members: &[usize]) -> Option<String> {
        let names: Option<BTreeSet<&str>> = members.iter().map(|number| self.name(*number)).collect();
        let names = names?;
        let zone = common_end(&names)?;
        let is_their_own = names.iter().all(|name| parent(name) == Some(&zone));
        ((is_their_own || names.len() >= NAMES_ABOVE) && self.is_zone(&zone, members)).then_some(zone)
    }

    /// Whether several names of a zone fail, and none below it works.
    fn is_zone(&self, zone: &str, members: &[usize]) -> bool {
        let works = || self.neighbourhood.works_below(zone, self.since(members), &self.indices(members));
        self.names(members).len() > 1 && !works()
    }

    fn names(&self, members: &[usize]) -> BTreeSet<&str> {
        members.iter().filter_map(|number| self.name(*number)).collect()
    }

    fn name(&self, number: usize) -> Option<&str> {
        match self.host(number) {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }
}

/// The name without its first label, if enough is left.
fn parent(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once('.')?;
    (rest.split('.').count() >= LABELS).then_some(rest)
}

/// The longest end that names share beside their first labels.
fn common_end(names: &BTreeSet<&str>) -> Option<String> {
    let mut names = names.iter().map(|name| parent(name));
    let mut end: &str = names.next()??;
    for name in names {
        let name = name?;
        while end != name && !name.ends_with(&format!(".{end}")) {
            end = parent(end)?;
        }
    }
    Some(end.to_owned())
}
