//! What becomes of traffic at a security group: rules in the order of priority, the first that matches decides.
//!
//! A rule that matches perhaps leaves the traffic undecided and is noted; if all rules that may decide agree, the fate is
//! known after all, else it is not.

use crate::lint::{
    rule::{Access, Group, PortTerm, Rule, Side},
    runs::{Candidate, Run, Step, runs},
    traffic::{Direction, PortSet, Protocols, Traffic, every_port},
    world::{Extent, World},
};

/// More pieces than this, and the traffic is given up as too much: rules that people write leave a few dozen.
const MOST_PIECES: usize = 20_000;

/// Which addresses a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All addresses of a place. What is true of a tag is asked of the tag's name, and the other addresses are those that
    /// belong to no tag that is only known by name.
    Everywhere,
    /// The addresses given: each may belong to a tag that is only known by name.
    These,
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// They pass.
    Allowed,
    /// They are dropped.
    Denied,
    /// That depends on what the export does not hold.
    Unknown,
}

/// Packets with one fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The packets.
    pub traffic: Traffic,
    /// What becomes of them.
    pub fate: Fate,
    /// The rule that surely matches them, by its place in [`Ruling::rules`].
    pub by: usize,
    /// Rules before it that match them perhaps.
    pub doubts: Vec<usize>,
}

/// The packets are cut into too many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rules cut this traffic into more than {MOST_PIECES} pieces")]
pub struct TooManyPieces;

/// A rule with its words resolved.
#[derive(Clone, Debug)]
struct Resolved {
    sure: Option<Traffic>,
    /// What it may match, given [`Reach::Everywhere`].
    may: Traffic,
    /// What it may match, given [`Reach::These`].
    may_by_tag: Traffic,
    /// Whether it matches nothing perhaps, given either.
    certain: bool,
    certain_by_tag: bool,
}

impl Resolved {
    fn may(&self, reach: Reach) -> &Traffic {
        match reach {
            Reach::These => &self.may_by_tag,
            Reach::Everywhere => &self.may,
        }
    }

    fn is_certain(&self, reach: Reach) -> bool {
        match reach {
            Reach::These => self.certain_by_tag,
            Reach::Everywhere => self.certain,
        }
    }

    fn candidate(&self) -> Candidate<'_> {
        let certain = self.sure.as_ref().filter(|_| self.certain && self.certain_by_tag);
        Candidate { certain, may: &self.may_by_tag }
    }
}

/// The rules of one direction of a group, ready to be asked.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The rules in the order in which they are looked at, default rules included.
    pub rules: Vec<Rule>,
    resolved: Vec<Resolved>,
    steps: Vec<Step>,
}

/// Traffic that no rule has decided yet, with the rules that match it perhaps.
type Open = (Traffic, Vec<usize>);

impl Ruling {
    /// Resolves the words of a group's rules.
    pub fn new(group: &Group, direction: Direction, world: &World) -> Self {
        let rules = group.in_order(direction);
        let resolved: Vec<Resolved> = rules.iter().map(|rule| resolve(rule, world)).collect();
        let candidates: Vec<Candidate<'_>> = resolved.iter().map(Resolved::candidate).collect();
        let steps = runs(direction, &candidates);
        Self { rules, resolved, steps }
    }

    /// What becomes of traffic, in pieces that share no packet and together are all of it.
    ///
    /// # Errors
    /// [`TooManyPieces`] when the rules are beyond what can be judged.
    pub fn decide(&self, traffic: Vec<Traffic>, reach: Reach) -> Result<Vec<Piece>, TooManyPieces> {
        let mut decided = Vec::new();
        let mut open: Vec<Open> = traffic.into_iter().map(|traffic| (traffic, Vec::new())).collect();
        for step in &self.steps {
            let touched = match step {
                Step::Run(run) => &run.all,
                Step::One(at) => self.resolved[*at].may(reach),
            };
            if !open.iter().any(|(traffic, _)| traffic.overlaps(touched)) {
                continue;
            }
            let (hit, missed): (Vec<Open>, Vec<Open>) =
                open.into_iter().partition(|(traffic, _)| traffic.overlaps(touched));
            open = missed;
            for left in hit {
                match step {
                    Step::Run(run) => self.by_run(run, left, &mut decided, &mut open),
                    Step::One(at) => self.by_one(*at, left, reach, &mut decided, &mut open),
                }
            }
            if open.len() + decided.len() > MOST_PIECES {
                return Err(TooManyPieces);
            }
        }
        let last = self.rules.len().saturating_sub(1);
        decided.extend(open.into_iter().map(|(traffic, doubts)| self.piece(traffic, last, doubts)));
        Ok(decided)
    }

    /// Each rule of a run takes its share.
    fn by_run(&self, run: &Run, (traffic, doubts): Open, decided: &mut Vec<Piece>, open: &mut Vec<Open>) {
        for (at, share) in &run.shares {
            decided.extend(traffic.intersection(share).map(|hit| self.piece(hit, *at, doubts.clone())));
        }
        open.extend(traffic.minus(&run.all).into_iter().map(|left| (left, doubts.clone())));
    }

    /// A rule that matches perhaps: what it surely takes is decided, what it may take stays open with a doubt.
    fn by_one(&self, at: usize, (traffic, doubts): Open, reach: Reach, decided: &mut Vec<Piece>, open: &mut Vec<Open>) {
        let rule = &self.resolved[at];
        let rest = match &rule.sure {
            Some(sure) => {
                decided.extend(traffic.intersection(sure).map(|hit| self.piece(hit, at, doubts.clone())));
                traffic.minus(sure)
            }
            None => vec![traffic],
        };
        let may = rule.may(reach);
        for left in rest {
            if !rule.is_certain(reach) {
                let doubted = doubts.iter().copied().chain([at]).collect();
                open.extend(left.intersection(may).map(|perhaps| (perhaps, doubted)));
                open.extend(left.minus(may).into_iter().map(|left| (left, doubts.clone())));
                continue;
            }
            open.push((left, doubts.clone()));
        }
    }

    fn piece(&self, traffic: Traffic, by: usize, doubts: Vec<usize>) -> Piece {
        let access = |at: &usize| self.rules[*at].access.value().copied();
        let decides = access(&by);
        let agree = doubts.iter().all(|doubt| access(doubt) == decides);
        let fate = match decides.filter(|_| agree) {
            Some(Access::Allow) => Fate::Allowed,
            Some(Access::Deny) => Fate::Denied,
            None => Fate::Unknown,
        };
        Piece { traffic, fate, by, doubts }
    }

    /// What a rule surely matches; nothing where an expression stands in it.
    pub fn sure(&self, at: usize) -> Option<&Traffic> {
        self.resolved[at].sure.as_ref()
    }

    /// The rules before one that may take something of some traffic, in order.
    pub fn before(&self, at: usize, traffic: &Traffic) -> Vec<usize> {
        let mut earlier: Vec<usize> = Vec::new();
        for step in &self.steps {
            match step {
                Step::One(one) => earlier.extend(Some(*one).filter(|one| *one < at)),
                Step::Run(run) if run.spares(at, self.sure(at)) || !run.all.overlaps(traffic) => {}
                Step::Run(run) => earlier.extend(run.shares.iter().map(|(one, _)| *one).filter(|one| *one < at)),
            }
        }
        earlier.sort_unstable();
        earlier
    }

    /// What a rule may match.
    pub fn may(&self, at: usize) -> &Traffic {
        &self.resolved[at].may_by_tag
    }
}

fn resolve(rule: &Rule, world: &World) -> Resolved {
    let (source, destination) = (world.extent(&rule.source.addresses), world.extent(&rule.destination.addresses));
    let (source_ports, destination_ports) = (ports(&rule.source), ports(&rule.destination));
    let protocols = rule.protocols.value().copied();
    let may = |addresses: fn(&Extent) -> _| Traffic {
        protocols: protocols.unwrap_or(Protocols::ALL),
        source: addresses(&source),
        source_ports: source_ports.1.clone(),
        destination: addresses(&destination),
        destination_ports: destination_ports.1.clone(),
    };
    let sure = Traffic {
        protocols: protocols.unwrap_or(Protocols::NONE),
        source: source.sure.clone(),
        source_ports: source_ports.0.clone(),
        destination: destination.sure.clone(),
        destination_ports: destination_ports.0.clone(),
    };
    let has_place = rule.priority.value().is_some() && rule.direction.value().is_some();
    let sure = Some(sure).filter(|sure| has_place && !sure.is_empty());
    let of_names = may(|extent| extent.sure.union(&extent.perhaps));
    let of_addresses = may(|extent| extent.sure.union(&extent.perhaps).union(&extent.by_tag));
    Resolved {
        certain: sure.as_ref() == Some(&of_names),
        certain_by_tag: sure.as_ref() == Some(&of_addresses),
        sure,
        may: of_names,
        may_by_tag: of_addresses,
    }
}

/// The ports of a side that match surely, and those that match perhaps.
fn ports(side: &Side) -> (PortSet, PortSet) {
    let known = side.ports.iter().filter_map(|term| match term {
        PortTerm::Range(first, last) => Some((*first, *last)),
        PortTerm::Expression(_) => None,
    });
    let sure: PortSet = known.collect();
    let open = side.ports.iter().any(|term| matches!(term, PortTerm::Expression(_)));
    let may = if open { every_port() } else { sure.clone() };
    (sure, may)
}
