//! From confirmed cases to incidents: which failures wait because the fault may be this machine's own, which share a
//! component, and what an incident says of itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ase_probes::{cause::Cause, verdict::Finding};

use super::{Case, Cases, Moment, in_vain};
use crate::{
    diagnosis::{
        conclude::{Section, decisive},
        incidents::Change,
        localise::{Failing, Group, localise},
        neighbours::Neighbours,
        rules::{ALL_RULE, EGRESS_DENIED, HOST_PORT, ONE_HOST, PORT_DENIED, PORT_RULE, SOME_HOSTS},
    },
    model::{
        catalog::{Endpoint, EndpointId, Host},
        contrast::{Ask, Contrast},
        diagnosis::{Incident, Judged, Scope},
        endpoint::Status,
        visit::{Untested, Visit},
    },
};

/// Evidence lines that an incident takes from one of its endpoints: what fits under a heading without hiding the next.
const EVIDENCE: usize = 4;
/// The longest time that others have the benefit of the doubt: the platform's own address is asked twice, 3 s each.
const BENEFIT: Duration = Duration::from_secs(8);

impl Cases {
    /// Turns the confirmed cases into incidents, and says which of them began and ended.
    pub fn settle(&mut self, around: &Neighbours<'_>, at: Moment) -> Vec<Change> {
        self.steady.elapse(at);
        self.note_confirmed(around);
        let failing = outranked(self.failing(at));
        failing.iter().for_each(|failure| self.neighbourhood.note_flaw(failure.index, failure.finding.cause));
        let (mut old, mut failing) = self.part_old_signs(failing);
        let mut groups = self.localised(&failing);
        if self.doubt(&failing, &groups) {
            let (doubted, rest) = self.part_old_signs(failing);
            doubted.into_iter().for_each(|(number, ids)| old.entry(number).or_default().extend(ids));
            failing = rest;
            groups = self.localised(&failing);
        }
        self.note_late();
        let mut scopes: BTreeMap<usize, Scope> =
            failing.iter().map(|failure| (failure.index, Scope::Endpoint)).collect();
        let (mut situations, mut turned) = (Vec::new(), BTreeSet::new());
        for group in groups {
            let members: Vec<&Failing> = group.members.iter().map(|number| &failing[*number]).collect();
            if !members.iter().any(|member| self.counts(member.index)) {
                continue;
            }
            scopes.extend(members.iter().map(|member| (member.index, group.component.scope())));
            situations.extend(self.situation(&members, &group, around, at));
            let older = members.iter().filter(|member| member.since < group.since);
            turned.extend(older.map(|member| self.neighbourhood.endpoint(member.index).id.clone()));
        }
        self.add_old_signs(old, &mut situations);
        scopes.into_iter().for_each(|(index, scope)| self.set_scope(index, scope));
        self.ledger.update(situations, &turned, (at.wall, self.steady.now()))
    }

    fn localised(&self, failing: &[Failing]) -> Vec<Group> {
        localise(failing, &self.neighbourhood, &|index| self.memory.grows(index))
    }

    /// Whether an endpoint's failure is enough for an incident.
    fn counts(&self, index: usize) -> bool {
        !self.relief.is_late(index) && self.cases.get(&index).is_some_and(|case| case.is_confirmed)
    }

    /// Notes which cases are confirmed. A visit that a stall hid, or that died, confirms nothing, and takes nothing back.
    fn note_confirmed(&mut self, around: &Neighbours<'_>) {
        for (index, case) in &mut self.cases {
            let status = around.views[*index].status;
            if !is_hidden(status) {
                case.is_confirmed = is_confirmed(status);
            }
        }
    }

    /// Every endpoint in trouble, but those that may be this machine's own fault. One that waits for its confirmation
    /// helps to find the component, and never makes an incident alone.
    fn failing(&self, at: Moment) -> Vec<Failing> {
        let shows = |case: &Case| !case.sign.symptom.is_quiet() || case.is_confirmed;
        let ago = |began| self.steady.before(at.now.saturating_duration_since(began));
        self.cases
            .iter()
            .filter(|(index, case)| case.is_trouble() && shows(case) && !self.may_be_local(**index, case, at))
            .map(|(index, case)| {
                // Who passes in between begins a case each time; what it shares with others began with the first of them.
                let shared_since = self.dips.shared_since(*index).map(ago);
                Failing {
                    index: *index,
                    finding: case.diagnosis.finding,
                    peer: case.sign.peer,
                    servers: if case.sign.is_resolving { case.servers.clone() } else { Vec::new() },
                    router: case.router,
                    is_resolving: case.sign.is_resolving,
                    since: shared_since.map_or(self.since(case), |since| since.min(self.since(case))),
                    noticed: case.noticed,
                    is_confirmed: case.is_confirmed,
                    comes_and_goes_with_others: shared_since.is_some(),
                }
            })
            .collect()
    }

    fn set_scope(&mut self, index: usize, scope: Scope) {
        if let Some(case) = self.cases.get_mut(&index).filter(|case| case.diagnosis.scope != scope) {
            Arc::make_mut(&mut case.diagnosis).scope = scope;
            self.changed.insert(index);
        }
    }

    /// Whether a question is under way whose answer may show that the fault is this machine's own. Until it comes nobody
    /// is blamed.
    fn may_be_local(&self, index: usize, case: &Case, at: Moment) -> bool {
        let asker = case.asker(index);
        // What neighbours will show is open until they do; a measurement that was made and taught nothing is over.
        let is_asked = |open: Contrast| match self.key(open.ask(), &asker) {
            Some(key) => !self.lessons.get(&key, at.now).is_some_and(|learned| asker.may_use(learned)),
            None => open.ask() == Ask::Neighbours,
        };
        !self.is_over
            && at.now.duration_since(case.opened) < BENEFIT
            && !case.diagnosis.finding.cause.is_local()
            && case.diagnosis.alternatives.iter().any(|other| other.cause.is_local() && is_asked(other.open))
    }

    fn situation(&self, members: &[&Failing], group: &Group, around: &Neighbours<'_>, at: Moment) -> Option<Incident> {
        // The surest member speaks for all; among equals one that was tested itself, then the first in the catalogue.
        let voice = members
            .iter()
            .min_by_key(|member| (std::cmp::Reverse(member.finding.confidence), member.is_resolving, member.index))?;
        let case = self.cases.get(&voice.index)?;
        let id = |index: usize| self.neighbourhood.endpoint(index).id.clone();
        let visit = around.views[voice.index].last.as_deref();
        // What the verdict rests on comes first; then what the visit met, and what a measurement saw, with addresses and
        // numbers; what else was asked comes last.
        let contrasts = &case.diagnosis.contrasts;
        let (decisive, beside) = contrasts.split_at(decisive(case.diagnosis.rule).min(contrasts.len()));
        let mut evidence = self.in_vain(members, voice.finding.cause, around);
        evidence.extend(decisive.iter().cloned());
        evidence.extend(visit.map(Visit::evidence).unwrap_or_default().into_iter().take(EVIDENCE));
        if voice.finding.cause == Cause::DnsDivergent {
            // What the two servers say is the fault; what the visit met is its consequence.
            let answers = around.answers(&self.neighbourhood.endpoint(voice.index).target.host);
            evidence.splice(0..0, answers);
        }
        evidence.extend(self.measured_lines(voice.index, case, at));
        evidence.extend(beside.iter().cloned());
        if let Some(turns) = self.dips.of(voice.index) {
            let met = self.dips.line(voice.index).filter(|_| case.sign.symptom.is_quiet());
            evidence.splice(0..0, [turns.to_string()].into_iter().chain(met));
        }
        let ids = |wanted: &dyn Fn(&Failing) -> bool| -> Vec<EndpointId> {
            let mut chosen: Vec<usize> = members.iter().filter(|m| wanted(m)).map(|member| member.index).collect();
            chosen.sort_unstable();
            chosen.into_iter().map(id).collect()
        };
        // Who could not be asked, as its name was not resolved, is not silent.
        let silent = members.iter().filter(|member| !member.is_resolving);
        let hosts: BTreeSet<&Host> =
            silent.map(|member| &self.neighbourhood.endpoint(member.index).target.host).collect();
        let scope = group.component.scope();
        // What a port or a host suggests beside the few that work says nothing of what everything else has in common.
        let hint = match case.diagnosis.hint {
            Some(PORT_RULE) if scope == Scope::Egress => Some(ALL_RULE),
            Some(PORT_DENIED | HOST_PORT | ONE_HOST) if scope == Scope::Egress => Some(EGRESS_DENIED),
            Some(ONE_HOST) if hosts.len() > 1 => Some(SOME_HOSTS),
            hint => hint,
        };
        let component = match members {
            [only] if scope == Scope::Endpoint => id(only.index).to_string(),
            _ => group.component.to_string(),
        };
        let broke = members.iter().filter(|member| member.since >= group.since);
        Some(Incident {
            id: 0,
            published: Duration::ZERO,
            component,
            finding: voice.finding,
            scope,
            hint,
            endpoints: ids(&|_| true),
            hides: ids(&|member| member.is_resolving && members.len() > 1),
            evidence,
            alternatives: case.diagnosis.alternatives.clone(),
            judged: Judged::all(members.iter().filter_map(|m| Some(&*self.cases.get(&m.index)?.diagnosis))),
            since: broke.filter_map(|m| Some(self.cases.get(&m.index)?.since)).min().unwrap_or_default(),
        })
    }

    /// Which names were asked in vain, and how.
    fn in_vain(&self, members: &[&Failing], cause: Cause, around: &Neighbours<'_>) -> Vec<String> {
        let those = |is_resolving: bool| -> Vec<&Endpoint> {
            let those = members.iter().filter(|member| member.is_resolving == is_resolving);
            those.map(|member| &**self.neighbourhood.endpoint(member.index)).collect()
        };
        in_vain::lines(cause, &those(false), &those(true), around)
    }

    /// What the measurements about one endpoint showed, in plain words.
    fn measured_lines(&self, index: usize, case: &Case, at: Moment) -> Vec<String> {
        let asker = case.asker(index);
        let asks = Section::of(case.sign.symptom).asks.iter().filter(|ask| **ask != Ask::ThisMachine);
        let learned = asks.filter_map(|ask| self.lessons.get(&self.key(*ask, &asker)?, at.now));
        let fresh = learned.filter(|learned| learned.is_of(case.opened));
        fresh.flat_map(|learned| learned.measured.lines.iter().cloned()).collect()
    }
}

/// Whether a status is more than one bad sample.
fn is_confirmed(status: Status) -> bool {
    match status {
        Status::Degraded(_) | Status::Failed(_) => true,
        Status::Unknown(untested) => untested.finding().is_some() || matches!(untested, Untested::Forbidden(_)),
        Status::Healthy => false,
    }
}

/// Whether a stall of this machine, or the death of the last visit, hid what that would have shown.
pub(super) fn is_hidden(status: Status) -> bool {
    match status {
        Status::Unknown(Untested::Inconclusive(finding)) => finding.cause == Cause::LocalStall,
        Status::Unknown(untested) => untested == Untested::Died,
        Status::Healthy | Status::Degraded(_) | Status::Failed(_) => false,
    }
}

/// A refusal from a host's port outranks silence of the same port: whoever was under way when a service died met silence,
/// and everybody afterwards the refusal.
fn outranked(mut failing: Vec<Failing>) -> Vec<Failing> {
    let is = |failing: &Failing, causes: &[Cause]| causes.contains(&failing.finding.cause);
    let refused: BTreeMap<SocketAddr, Finding> = failing
        .iter()
        .filter(|failure| is(failure, &[Cause::Refused]))
        .filter_map(|failure| Some((failure.peer?, failure.finding)))
        .collect();
    let silent = failing.iter_mut().filter(|failure| is(failure, &[Cause::Dropped, Cause::DnsNoReply]));
    for failure in silent {
        if let Some(finding) = failure.peer.and_then(|peer| refused.get(&peer)) {
            failure.finding = Finding { phase: failure.finding.phase, ..*finding };
        }
    }
    failing
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::verdict::{Confidence, Phase};

    fn failing(index: usize, cause: Cause, phase: Phase, peer: &str) -> Failing {
        Failing {
            index,
            finding: Finding::new(cause, phase, Confidence::Possible),
            peer: peer.parse().ok(),
            servers: Vec::new(),
            router: None,
            is_resolving: false,
            since: Duration::ZERO,
            noticed: Duration::ZERO,
            is_confirmed: false,
            comes_and_goes_with_others: false,
        }
    }

    #[test]
    fn a_refusal_of_a_port_outranks_silence_of_the_same_port_and_of_no_other() {
        let all = vec![
            failing(0, Cause::Refused, Phase::Connect, "10.0.0.53:53"),
            failing(1, Cause::DnsNoReply, Phase::Dns, "10.0.0.53:53"),
            failing(2, Cause::Dropped, Phase::Dns, "10.0.0.53:53"),
            failing(3, Cause::DnsNoReply, Phase::Dns, "10.0.0.54:53"),
            failing(4, Cause::Dropped, Phase::Connect, "10.0.0.53:443"),
            failing(5, Cause::DnsServfail, Phase::Dns, "10.0.0.53:53"),
        ];
        let told: Vec<(Cause, Phase)> =
            outranked(all).iter().map(|failure| (failure.finding.cause, failure.finding.phase)).collect();
        let refused = [(Cause::Refused, Phase::Connect), (Cause::Refused, Phase::Dns), (Cause::Refused, Phase::Dns)];
        assert_eq!(told[..3], refused, "one dead process is one incident, each in its own phase");
        let kept = [Cause::DnsNoReply, Cause::Dropped, Cause::DnsServfail];
        assert_eq!(told[3..].iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), kept, "what was answered stands");
    }
}
