//! Rules of a group that differ only in the far ends they name, taken together: a thousand rules for a tag each are one cut.
//!
//! Rules between them that match other protocols or ports leave them in peace, so that their order does not matter.

use crate::lint::{
    addresses::AddressSet,
    traffic::{Direction, Traffic},
};

/// Rules that are looked at together, each with its share.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// What they match together.
    pub(super) all: Traffic,
    /// The rules by their place, in order, each with what it matches and none before it in the run does.
    pub(super) shares: Vec<(usize, Traffic)>,
}

impl Run {
    /// Whether a rule of the run gets all that it matches: nobody before it in the run takes anything.
    pub(super) fn spares(&self, at: usize, matched: Option<&Traffic>) -> bool {
        let share = self.shares.binary_search_by_key(&at, |(rule, _)| *rule).ok().map(|found| &self.shares[found].1);
        share.is_some() && share == matched
    }
}

/// One rule as far as it decides whom it can be taken together with.
pub(super) struct Candidate<'a> {
    /// What it surely matches, if it matches nothing else perhaps.
    pub(super) certain: Option<&'a Traffic>,
    /// What it may match at most.
    pub(super) may: &'a Traffic,
}

/// The runs of a direction, in the order in which they are looked at. A rule that is not certain is a run by itself, without
/// a share.
pub(super) fn runs(direction: Direction, candidates: &[Candidate<'_>]) -> Vec<Step> {
    let mut steps: Vec<Gathered> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let joins = |step: &&mut Gathered| step.joined_by(direction, candidate, candidates);
        match steps.iter_mut().rev().find(joins) {
            Some(step) => step.rules.push(at),
            None => steps.push(Gathered { rules: vec![at], is_open: candidate.certain.is_some() }),
        }
        let joined = |step: &Gathered| step.rules.last() == Some(&at);
        for step in steps.iter_mut().filter(|step| step.is_open && !joined(step)) {
            step.is_open = !share_ports(candidates[step.rules[0]].may, candidate.may);
        }
    }
    steps.iter().map(|step| step.settled(direction, candidates)).collect()
}

/// What is looked at next: a run, or one rule that matches some packets only perhaps.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Rules that are certain.
    Run(Run),
    /// A rule that is not.
    One(usize),
}

/// A run in the making.
struct Gathered {
    rules: Vec<usize>,
    /// Whether no rule behind it touches the same ports in another way.
    is_open: bool,
}

impl Gathered {
    fn joined_by(&self, direction: Direction, candidate: &Candidate<'_>, candidates: &[Candidate<'_>]) -> bool {
        let (Some(first), Some(other)) = (candidates[self.rules[0]].certain, candidate.certain) else { return false };
        let own = |traffic: &Traffic| match direction {
            Direction::Inbound => traffic.destination.clone(),
            Direction::Outbound => traffic.source.clone(),
        };
        self.is_open
            && first.protocols == other.protocols
            && first.destination_ports == other.destination_ports
            && first.source_ports == other.source_ports
            && own(first) == own(other)
    }

    fn settled(&self, direction: Direction, candidates: &[Candidate<'_>]) -> Step {
        let certain = |at: &usize| candidates[*at].certain;
        let Some(first) = certain(&self.rules[0]) else { return Step::One(self.rules[0]) };
        let far = |traffic: &Traffic| match direction {
            Direction::Inbound => traffic.source.clone(),
            Direction::Outbound => traffic.destination.clone(),
        };
        let with = |far: AddressSet| match direction {
            Direction::Inbound => Traffic { source: far, ..first.clone() },
            Direction::Outbound => Traffic { destination: far, ..first.clone() },
        };
        let ends: Vec<AddressSet> = self.rules.iter().filter_map(certain).map(far).collect();
        let (shares, all) = first_come(&ends);
        let shares = self.rules.iter().copied().zip(shares.into_iter().map(with)).collect();
        Step::Run(Run { all: with(all), shares })
    }
}

/// Whether packets of both can have one protocol and one port.
fn share_ports(one: &Traffic, other: &Traffic) -> bool {
    !one.protocols.intersection(other.protocols).is_empty()
        && one.destination_ports.overlaps(&other.destination_ports)
        && one.source_ports.overlaps(&other.source_ports)
}

/// What each set has that none before it has, and all of them together. By halves, so that a thousand sets are joined ten
/// times and not a thousand times.
fn first_come(sets: &[AddressSet]) -> (Vec<AddressSet>, AddressSet) {
    if let [] | [_] = sets {
        return (sets.to_vec(), sets.first().cloned().unwrap_or_default());
    }
    let (left, right) = sets.split_at(sets.len() / 2);
    let ((mut shares, taken), (later, others)) = (first_come(left), first_come(right));
    shares.extend(later.iter().map(|share| if share.overlaps(&taken) { share.minus(&taken) } else { share.clone() }));
    (shares, taken.union(&others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::traffic::{PortSet, Protocols, every_port};

    fn set(nets: &[&str]) -> AddressSet {
        AddressSet::of(&nets.iter().map(|net| net.parse().expect("a prefix")).collect::<Vec<_>>())
    }

    fn to(net: &str, port: u16) -> Traffic {
        Traffic {
            protocols: Protocols::TCP,
            source: AddressSet::everything(),
            source_ports: every_port(),
            destination: set(&[net]),
            destination_ports: PortSet::one(port, port),
        }
    }

    fn places(rules: &[Traffic]) -> Vec<Vec<usize>> {
        let candidates: Vec<_> = rules.iter().map(|rule| Candidate { certain: Some(rule), may: rule }).collect();
        let of = |step: Step| match step {
            Step::Run(run) => run.shares.iter().map(|(at, _)| *at).collect(),
            Step::One(at) => vec![at],
        };
        runs(Direction::Outbound, &candidates).into_iter().map(of).collect()
    }

    #[test]
    fn rules_for_other_ports_between_them_do_not_part_a_run() {
        let rules = [to("10.0.0.0/24", 443), to("10.0.0.0/8", 80), to("10.0.1.0/24", 443), to("10.0.2.0/24", 80)];
        assert_eq!(places(&rules), [vec![0, 2], vec![1, 3]]);
    }

    #[test]
    fn a_rule_that_touches_the_same_ports_in_another_way_ends_a_run() {
        let wide = Traffic { destination_ports: every_port(), ..to("0.0.0.0/0", 443) };
        let rules = [to("10.0.0.0/24", 443), wide, to("10.0.1.0/24", 443)];
        assert_eq!(places(&rules), [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn who_comes_first_keeps_what_several_name() {
        let (shares, all) = first_come(&[set(&["10.0.0.0/25"]), set(&["10.0.0.0/24"]), set(&["10.0.0.0/23"])]);
        assert_eq!(shares, [set(&["10.0.0.0/25"]), set(&["10.0.0.128/25"]), set(&["10.0.1.0/24"])]);
        assert_eq!(all, set(&["10.0.0.0/23"]));
    }
}
