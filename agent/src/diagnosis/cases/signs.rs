//! What a visit shows by itself: the sign of trouble in it, and whom it was with.

use ase_probes::{cause::Cause, probe::Probe, verdict::Verdict};

use super::{Case, Cases, Moment};
use crate::{
    diagnosis::{
        neighbourhood::Peer,
        neighbours::Neighbours,
        symptom::{self, Sign, Symptom},
    },
    model::{catalog::Host, visit::Visit},
    net::port::Port,
};

impl Cases {
    /// Whom an exchange was with: a DNS server, where the endpoint's name did not resolve.
    pub(super) fn target(&self, index: usize, sign: Option<&Sign>) -> Peer {
        match sign.filter(|sign| sign.is_resolving).and_then(|sign| sign.peer) {
            Some(server) => Peer { host: Host::Address(server.ip()), port: Port::udp(server.port()) },
            None => {
                let host = self.neighbourhood.endpoint(index).target.host.clone();
                Peer { host, port: self.neighbourhood.port(index) }
            }
        }
    }

    /// The sign that a visit shows; one that worked may still prove too little.
    pub(super) fn sign(&self, index: usize, visit: &Visit, verdict: Verdict, around: &Neighbours<'_>) -> Option<Sign> {
        if let Some(finding) = verdict.finding() {
            // Whatever happens at an address that somebody invented, the invention comes first.
            let invented = self.compared(index, around).filter(|sign| sign.finding.cause == Cause::DnsIntercepted);
            return Some(invented.unwrap_or_else(|| symptom::read(visit, finding)));
        }
        let outcome = visit.outcomes.first()?;
        let quiet = |symptom| Sign::quiet(symptom, Some(outcome.address));
        if let Some(sign) = self.compared(index, around) {
            return Some(sign);
        }
        let port = self.neighbourhood.port(index);
        if self.dips.of(index).is_some() {
            let finding = self.dips.finding(index);
            let passed = quiet(Symptom::Passed);
            return Some(Sign { finding: finding.unwrap_or(passed.finding), ..passed });
        }
        let intermittent = self.memory.has_recovered(index) && self.memory.is_intermittent(port);
        let repeats = || {
            let own = self.memory.own_handshakes_repeat(index);
            own || self.memory.is_lossy() || self.memory.only_handshakes_repeat()
        };
        if intermittent || self.memory.has_lost(index) && repeats() || self.memory.is_slow(index) {
            return Some(quiet(Symptom::Passed));
        }
        if outcome.is_bare_accept() {
            return Some(quiet(Symptom::BareAccept));
        }
        match &self.neighbourhood.endpoint(index).target.probe {
            Probe::Tds(_) => self.samples_redirects.then(|| quiet(Symptom::Gateway)),
            Probe::Dns(_) | Probe::Ntp(_) if port.by_datagram => Some(quiet(Symptom::Answered)),
            Probe::Dns(_) | Probe::Ntp(_) | Probe::Http(_) | Probe::Tcp(_) => None,
        }
    }
}

impl Cases {
    /// Opens the cases of endpoints that lost packets before it was known that the path loses them: in a single look they
    /// are not visited again.
    pub(super) fn review_loss(&mut self, around: &Neighbours<'_>, at: Moment) {
        if self.has_past || !self.memory.is_lossy() {
            return;
        }
        let hit: Vec<usize> = self.memory.losing().filter(|index| !self.cases.contains_key(index)).collect();
        for index in hit {
            let Some(visit) = around.views[index].last.as_deref().filter(|visit| visit.result == Ok(Verdict::Healthy))
            else {
                continue;
            };
            let sign = Sign::quiet(Symptom::Passed, self.neighbourhood.peer(index));
            let target = self.target(index, None);
            let since = (visit.began, self.neighbourhood.visited(index).unwrap_or(self.steady.now()));
            self.insert(index, Case::new(sign, since, at.now, target).of(visit));
            self.think(index, around, at);
        }
    }
}
