//! What a change of exports breaks and mends: every requirement and flow whose verdict differs, each with a packet that shows it.

use std::collections::BTreeSet;

use crate::lint::{
    change::{Change, Diff, Standing, Turn},
    compare::{Shift, shifts},
    evaluate::{Fate, Reach},
    finding::{Finding, Packet, Severity, Unjudged},
    judge::{
        Question, flow_diff, flows,
        gate::Gate,
        judged_export::{JudgedExport, of_finding, rank},
        mend, peers, tags,
    },
    read::Export,
    requirements::{Management, Peer},
    seen::SeenFlow,
    traffic::Direction,
};

/// Compares two exports; `seen` are the flows that the daemon has seen.
pub fn diff(question: &Question, before: &Export, after: &Export, seen: &[SeenFlow]) -> Diff {
    let management = Management::of_cloud(&question.cloud);
    let first = [tags(question, before, &management), tags(question, after, &management)].concat();
    let (was, is) = (JudgedExport::new(question, before, &first), JudgedExport::new(question, after, &first));
    let both = Both { was: &was, is: &is };
    let mut changes = both.opens();
    // Where it is open which group is meant, nothing that is said of one would be true.
    if !was.is_undecided() && !is.is_undecided() {
        changes.extend(both.ids().iter().filter_map(|id| both.requirement(id)));
        changes.extend(both.others());
        changes.extend(flow_diff::changes(&was, &is, seen));
    }
    changes.sort_by(|a, b| a.turn.cmp(&b.turn).then(b.severity.cmp(&a.severity)));
    Diff { changes, unchanged: both.unchanged(), flows: seen.len(), notes: both.notes() }
}

struct Both<'a> {
    was: &'a JudgedExport<'a>,
    is: &'a JudgedExport<'a>,
}

impl Both<'_> {
    /// Every requirement that either side knows.
    fn ids(&self) -> BTreeSet<String> {
        let of = |side: &JudgedExport<'_>| {
            let own = side.case.requirements().into_iter().map(|requirement| requirement.id);
            let found = side.report.findings.iter().filter_map(|finding| finding.requirement.clone());
            let open = side.report.could_not_judge.iter().filter_map(|open| open.requirement.clone());
            own.chain(found).chain(open).collect::<BTreeSet<_>>()
        };
        of(self.was).union(&of(self.is)).cloned().collect()
    }

    fn requirement(&self, id: &str) -> Option<Change> {
        let (was, is) = (self.was.worst(id), self.is.worst(id));
        let moved = self.moved(id);
        let turn = self.turn(id, &moved)?;
        let finding = if turn == Turn::Mends { was } else { is };
        let at_stake = || self.is.requirement(id).map_or(Severity::Info, |requirement| requirement.severity());
        let severity = match (turn, finding) {
            (Turn::Breaks | Turn::Mends, Some(finding)) => finding.severity,
            (Turn::Opens, _) => at_stake(),
            (Turn::Breaks | Turn::Mends | Turn::Differs, _) => Severity::Info,
        };
        let shown = moved.as_ref().and_then(|(direction, moved)| self.shown(turn, *direction, moved));
        let packet = shown.or_else(|| finding.and_then(|finding| finding.packet.clone()));
        let finding = finding.map(|finding| self.with_packet(finding, packet.as_ref()));
        Some(Change {
            about: id.to_owned(),
            flows: Vec::new(),
            turn,
            severity,
            before: self.was.standing(id),
            after: self.is.standing(id),
            packet,
            finding,
        })
    }

    /// Which way a requirement turns; none where it stays as it is.
    fn turn(&self, id: &str, moved: &Option<(Direction, Vec<Shift>)>) -> Option<Turn> {
        let above =
            |side: &JudgedExport<'_>| side.worst(id).map(rank).filter(|(severity, _)| *severity > Severity::Info);
        let (was, is) = (above(self.was), above(self.is));
        let (was_open, is_open) = (self.was.is_open(id), self.is.is_open(id));
        let (lost, won) = self.sets(id, moved);
        if is > was {
            return Some(Turn::Breaks);
        }
        if is_open && !was_open {
            return Some(Turn::Opens);
        }
        if is < was || (was_open && !is_open) {
            return Some(Turn::Mends);
        }
        let kind = |side: &JudgedExport<'_>| side.worst(id).map(|finding| finding.kind);
        match (lost, won) {
            // A hold that stays one is no change, whatever single packets do.
            _ if kind(self.was).is_none() && kind(self.is).is_none() => None,
            (true, _) => Some(Turn::Breaks),
            (false, true) => Some(Turn::Mends),
            (false, false) => (kind(self.was) != kind(self.is)).then_some(Turn::Differs),
        }
    }

    /// Whether something of a requirement is newly lost, and whether something is newly there.
    fn sets(&self, id: &str, moved: &Option<(Direction, Vec<Shift>)>) -> (bool, bool) {
        if let Some((_, moved)) = moved {
            let lost = moved.iter().any(|shift| shift.after.0 == Fate::Denied);
            return (lost, moved.iter().any(|shift| shift.before.0 == Fate::Denied));
        }
        let of = |side: &JudgedExport<'_>| side.astray.get(id).cloned().unwrap_or_default();
        let (was, is) = (of(self.was), of(self.is));
        (!is.is_within(&was), !was.is_within(&is))
    }

    /// The packets of a requirement of rules whose fate differs.
    fn moved(&self, id: &str) -> Option<(Direction, Vec<Shift>)> {
        let (side, requirement) = match (self.is.requirement(id), self.was.requirement(id)) {
            (Some(requirement), _) => (self.is, requirement),
            (None, Some(requirement)) => (self.was, requirement),
            (None, None) => return None,
        };
        let direction = requirement.direction();
        let reach = if matches!(requirement.peer, Peer::Nets(_)) { Reach::These } else { Reach::Everywhere };
        let traffic = peers::traffic(&side.case, &requirement);
        let moved = shifts(&self.was.rulings(direction), &self.is.rulings(direction), traffic, reach);
        Some((direction, moved.unwrap_or_default()))
    }

    /// A packet that passed and is dropped, or the other way round.
    fn shown(&self, turn: Turn, direction: Direction, moved: &[Shift]) -> Option<Packet> {
        let fits = |shift: &&Shift| match turn {
            Turn::Breaks => shift.after.0 == Fate::Denied,
            Turn::Mends => shift.before.0 == Fate::Denied,
            Turn::Opens => shift.after.0 == Fate::Unknown,
            Turn::Differs => false,
        };
        let shift = moved.iter().find(fits)?;
        Some(flows::packet(&self.is.case.world, direction, &shift.traffic))
    }

    /// A finding that is shown by another packet than its own.
    fn with_packet(&self, finding: &Finding, packet: Option<&Packet>) -> Finding {
        let is_of_rules =
            finding.confirm.as_ref().is_some_and(|confirm| confirm.contains("network watcher test-ip-flow"));
        let Some(packet) = packet.filter(|_| is_of_rules) else { return finding.clone() };
        let of_finding = |gate: &&Gate<'_>| Some(&gate.group.name) == finding.resource.as_ref();
        let gate = self.is.gates.iter().chain(&self.was.gates).find(of_finding);
        let confirm = mend::test_flow(packet, gate.and_then(|gate| gate.group.id.as_deref()));
        Finding { packet: Some(packet.clone()), confirm: Some(confirm), ..finding.clone() }
    }

    /// Findings about no requirement that only one side has.
    fn others(&self) -> Vec<Change> {
        let none = || Standing { verdict: "none".to_owned(), ..Standing::default() };
        let of = |finding: &Finding, turn: Turn| {
            let (before, after) = match turn {
                Turn::Mends => (of_finding(finding), none()),
                Turn::Breaks | Turn::Opens | Turn::Differs => (none(), of_finding(finding)),
            };
            let rule = finding.rule.as_ref().map(|rule| format!("@{rule}")).unwrap_or_default();
            Change {
                about: format!("{}{rule}", finding.kind),
                flows: Vec::new(),
                turn,
                severity: finding.severity,
                before,
                after,
                packet: finding.packet.clone(),
                finding: Some(finding.clone()),
            }
        };
        let only = |here: &JudgedExport<'_>, there: &JudgedExport<'_>, turn| {
            let alone = |finding: &&Finding| {
                finding.requirement.is_none() && !there.report.findings.iter().any(|other| is_same(finding, other))
            };
            here.report.findings.iter().filter(alone).map(|finding| of(finding, turn)).collect::<Vec<_>>()
        };
        [only(self.is, self.was, Turn::Breaks), only(self.was, self.is, Turn::Mends)].concat()
    }

    /// What could not be judged about no requirement in particular: on the side after, or which group or table counts.
    fn opens(&self) -> Vec<Change> {
        let of = |side: &JudgedExport<'_>| -> Vec<Unjudged> {
            side.report.could_not_judge.iter().filter(|open| open.requirement.is_none()).cloned().collect()
        };
        let (was, is) = (of(self.was), of(self.is));
        let undecided = self.was.is_undecided() || self.is.is_undecided();
        let counts = |open: &Unjudged| undecided || !was.iter().any(|other| other.why == open.why);
        let before = was.iter().filter(|_| undecided && !self.is.is_undecided());
        before.chain(is.iter().filter(|open| counts(open))).map(opened).collect()
    }

    fn unchanged(&self) -> usize {
        let above = self.is.report.findings.iter().filter(|finding| finding.severity > Severity::Info);
        above.filter(|finding| self.was.report.findings.iter().any(|other| is_same(finding, other))).count()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.is.report.notes.clone();
        notes.extend(
            self.was
                .report
                .notes
                .iter()
                .filter(|note| !self.is.report.notes.contains(note))
                .map(|note| format!("before: {note}")),
        );
        for (side, word) in [(self.was, "before"), (self.is, "after")] {
            if side.gates.is_empty() && !(self.was.gates.is_empty() && self.is.gates.is_empty()) {
                notes.push(format!(
                    "{word}: no security group that can be judged: taken for one that lets everything through"
                ));
            }
            if side.routing.is_none() && (self.was.routing.is_some() || self.is.routing.is_some()) {
                notes.push(format!("{word}: no route table that can be judged: taken for the fabric's own routes"));
            }
        }
        notes
    }
}

fn opened(open: &Unjudged) -> Change {
    let rule = open.rule.as_ref().map(|rule| format!("@{rule}")).unwrap_or_default();
    let after = Standing { verdict: "could_not_judge".to_owned(), rule: open.rule.clone(), message: open.why.clone() };
    Change {
        about: format!("input{rule}"),
        flows: Vec::new(),
        turn: Turn::Opens,
        severity: Severity::Info,
        before: Standing { verdict: "none".to_owned(), ..Standing::default() },
        after,
        packet: None,
        finding: None,
    }
}

/// Whether two findings say the same: a rule may have another name, or other words by the same name.
fn is_same(a: &Finding, b: &Finding) -> bool {
    a.id() == b.id() && a.severity == b.severity && (a.rule == b.rule || a.message == b.message)
}
