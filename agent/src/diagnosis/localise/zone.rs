//! Which zones are behind names that DNS servers do not resolve while they resolve others: an end that the names share and
//! below which nothing works.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Component, Crowd, Group, Here, Left, Singles, collect};
use crate::model::catalog::Host;

/// Labels that the end of a zone has at least: below a single one anybody's names lie.
const LABELS: usize = 2;
/// Names that must fail before a zone is named that lies above their own: two may fail each for itself.
const NAMES_ABOVE: usize = 3;

impl Crowd<'_> {
    /// Groups failures of names by zone; those that no zone explains are single names.
    pub(super) fn zones(&self, mut left: Left<'_>, servers: Vec<IpAddr>) -> Vec<Group> {
        let mut groups = Vec::new();
        let lost = |zone: String, here: &Here| Group {
            component: Component::Zone(zone, servers.clone()),
            members: here.members.clone(),
            since: here.since,
        };
        if let Some((zone, here)) = self.broken(&left.numbers, |here| self.zone(here, &left)) {
            groups.push(lost(zone, &here));
            left.explain(&[here]);
        }
        for (parent, part) in collect(left.numbers.clone(), |number| parent(self.name(number)?)) {
            let is_zone = |here: &Here| self.is_zone(parent, here, &left).then_some(());
            if let Some(((), here)) = self.broken(&part, is_zone) {
                groups.push(lost(parent.to_owned(), &here));
                left.explain(&[here]);
            }
        }
        for members in self.part_pending(left.numbers).into_iter().filter(|members| !members.is_empty()) {
            let singles = match self.names(&members).into_iter().collect::<Vec<_>>()[..] {
                [only] => Singles::Name(only.to_owned(), servers.clone()),
                _ => Singles::Names(servers.clone()),
            };
            groups.push(self.group(Component::Endpoints(singles), members));
        }
        groups
    }

    /// The one zone that explains them all.
    fn zone(&self, here: &Here, left: &Left<'_>) -> Option<String> {
        let names: Option<BTreeSet<&str>> = here.members.iter().map(|number| self.name(*number)).collect();
        let names = names?;
        let zone = common_end(&names)?;
        let is_their_own = names.iter().all(|name| parent(name) == Some(&zone));
        ((is_their_own || names.len() >= NAMES_ABOVE) && self.is_zone(&zone, here, left)).then_some(zone)
    }

    /// Whether several names of a zone fail, and none below it works, or has worked since: not even of those that fail now as
    /// something else broke.
    fn is_zone(&self, zone: &str, here: &Here, left: &Left<'_>) -> bool {
        let works = || self.neighbourhood.works_below(zone, here.since, &self.indices(&here.members));
        let is_below = |index: usize| match &self.neighbourhood.endpoint(index).target.host {
            Host::Name(name) => name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.')),
            Host::Address(_) => false,
        };
        let has_worked = || {
            let younger = left.younger.iter().copied().filter(|number| is_below(self.failing[*number].index));
            let others = left.others.iter().copied().filter(|index| is_below(*index));
            self.any_worked(&younger.collect::<Vec<_>>(), here.since)
                || self.any_has_worked(&others.collect::<Vec<_>>(), here.since)
        };
        self.names(&here.witnesses).len() > 1 && !works() && !has_worked()
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
