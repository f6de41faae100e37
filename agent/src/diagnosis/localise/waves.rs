//! Which of several failures broke together, and which of them had failed long before: what ails a few for days says
//! nothing of when something wide broke.

use std::{collections::BTreeSet, time::Duration};

use ase_probes::cause::Cause;

use super::{Crowd, take};

/// A failure and a success that lie so far apart are not of the same moment: a visit, its confirmation and a margin.
pub(crate) const APART: Duration = Duration::from_secs(10);

/// Failures that may have a broken component in common.
#[derive(Clone, Debug)]
pub(super) struct Here {
    /// All of them.
    pub(super) members: Vec<usize>,
    /// Those that speak for it: they worked until it broke.
    pub(super) witnesses: Vec<usize>,
    /// When the first of these began.
    pub(super) since: Duration,
}

/// Failures that no component explains yet.
#[derive(Clone, Debug)]
pub(super) struct Left<'a> {
    pub(super) numbers: Vec<usize>,
    /// Those that a component has taken which broke after others: until then they worked, whatever they show now.
    pub(super) younger: Vec<usize>,
    /// Other endpoints that fail, and worked long after the first of these had failed.
    pub(super) others: &'a [usize],
}

impl Left<'_> {
    /// Takes out what components explain.
    pub(super) fn explain(&mut self, found: &[Here]) {
        let members: BTreeSet<usize> = found.iter().flat_map(|here| here.members.iter().copied()).collect();
        take(&mut self.numbers, |number| members.contains(number));
        self.younger.extend(found.iter().flat_map(|here| &here.witnesses));
    }
}

impl Crowd<'_> {
    /// What is broken for these failures, as `component` says of some of them: first of those that broke together last,
    /// without what had failed before, then of all.
    pub(super) fn broken<C>(&self, members: &[usize], component: impl Fn(&Here) -> Option<C>) -> Option<(C, Here)> {
        self.broken_after(members, self.few(members), component)
    }

    /// The same where so many of the first may have failed before.
    pub(super) fn broken_after<C>(
        &self,
        members: &[usize],
        few: usize,
        component: impl Fn(&Here) -> Option<C>,
    ) -> Option<(C, Here)> {
        let all = || Here { members: members.to_vec(), witnesses: members.to_vec(), since: self.since(members) };
        let last = self.last_wave(members, few).and_then(|here| Some((component(&here)?, here)));
        last.or_else(|| {
            let here = all();
            Some((component(&here)?, here))
        })
    }

    /// The failures that broke together last, where a few of these had failed before while others still worked. Who showed
    /// something else then, and now the same, goes with them, and speaks for nothing.
    pub(super) fn last_wave(&self, members: &[usize], few: usize) -> Option<Here> {
        let mut worked: Vec<Duration> = members.iter().filter_map(|number| self.worked(*number)).collect();
        if *worked.iter().max()? <= self.since(members) + APART {
            return None;
        }
        worked.sort_unstable();
        let since = |number: usize| self.failing[number].since;
        let ordered = self.ordered(members);
        let worked_between = |before: Duration, next: Duration| {
            let last = worked[..worked.partition_point(|at| *at <= next)].last();
            last.is_some_and(|last| *last > before + APART)
        };
        let is_edge = |at: &usize| worked_between(since(ordered[*at - 1]), since(ordered[*at]));
        let begins = (1..=few).rev().find(is_edge)?;
        // What spreads bit by bit is one thing: most of a wave break at once.
        let ends = (begins + 1..ordered.len()).find(is_edge).unwrap_or(ordered.len());
        if 2 * (ends - begins) <= ordered.len() - begins {
            return None;
        }
        let (earlier, witnesses) = ordered.split_at(begins);
        let since = since(*witnesses.first()?);
        let turned = earlier.iter().filter(|number| self.failing[**number].noticed >= since);
        let mut members: Vec<usize> = witnesses.iter().chain(turned).copied().collect();
        members.sort_unstable();
        Some(Here { members, witnesses: witnesses.to_vec(), since })
    }

    fn ordered(&self, members: &[usize]) -> Vec<usize> {
        let mut ordered = members.to_vec();
        ordered.sort_by_key(|number| self.failing[*number].since);
        ordered
    }

    /// How many of the first of these are few beside all: on less than half of the hosts, or of the ports.
    pub(super) fn few(&self, members: &[usize]) -> usize {
        let ordered = self.ordered(members);
        let hosts: BTreeSet<_> = ordered.iter().map(|number| self.host(*number)).collect();
        let ports: BTreeSet<_> = ordered.iter().map(|number| self.port(*number)).collect();
        let (mut first_hosts, mut first_ports) = (BTreeSet::new(), BTreeSet::new());
        let are_few = |number: &&usize| {
            first_hosts.insert(self.host(**number));
            first_ports.insert(self.port(**number));
            2 * first_hosts.len() < hosts.len() || 2 * first_ports.len() < ports.len()
        };
        ordered.iter().take_while(are_few).count()
    }

    /// When a failing endpoint was last seen to work, before it failed.
    pub(super) fn worked(&self, number: usize) -> Option<Duration> {
        let failure = &self.failing[number];
        self.neighbourhood.worked(failure.index).filter(|worked| *worked < failure.since)
    }

    /// Whether any of these worked since then, before it failed.
    pub(super) fn any_worked(&self, numbers: &[usize], since: Duration) -> bool {
        numbers.iter().any(|number| self.worked(*number).is_some_and(|worked| worked > since))
    }

    /// Other endpoints that fail, for another cause or for one that is not told yet, and worked long after the first of
    /// these had failed: nothing that they share was broken then, whatever they show now. Who worked with the same cause
    /// shows nothing better.
    pub(super) fn others(&self, cause: Cause, members: &[usize]) -> Vec<usize> {
        let (since, own) = (self.since(members), self.indices(members));
        let is_other = |index: &usize| !own.contains(index) && self.neighbourhood.flaw(*index) != Some(cause);
        let failing = self.neighbourhood.failing(since).filter(is_other);
        failing.filter(|index| self.has_worked(*index, since)).collect()
    }

    /// Whether an endpoint worked long after that moment, whatever it shows now.
    fn has_worked(&self, index: usize, since: Duration) -> bool {
        self.neighbourhood.worked(index).is_some_and(|worked| worked > since + APART)
    }

    /// Whether any of these endpoints did.
    pub(super) fn any_has_worked(&self, indices: &[usize], since: Duration) -> bool {
        indices.iter().any(|index| self.has_worked(*index, since))
    }

    /// Parts those that wait for their confirmation and began long after the others from these: they may belong to something
    /// else that is about to show.
    pub(super) fn part_pending(&self, members: Vec<usize>) -> [Vec<usize>; 2] {
        let of = |number: &usize| &self.failing[*number];
        let newest = members.iter().map(of).filter(|failure| failure.is_confirmed).map(|failure| failure.since).max();
        let (told, pending) = members.into_iter().partition(|number| {
            of(number).is_confirmed || newest.is_none_or(|newest| of(number).since <= newest + APART)
        });
        [told, pending]
    }
}
