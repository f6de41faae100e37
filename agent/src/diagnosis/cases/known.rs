//! What is known beside a case's own sign: the contrasts that its symptom's rules ask for, and no others.

use std::{net::SocketAddr, time::Instant};

use ase_probes::{
    cause::Cause,
    probe::Probe,
    verdict::{Finding, Phase},
};

use super::{Case, Cases, Moment, asks::key_of, lessons::Learned};
use crate::{
    diagnosis::{
        ask::Key,
        conclude::Section,
        neighbours::Neighbours,
        rules::Rule,
        symptom::{Symptom, is_of_the_peer},
        turns::Turns,
    },
    model::{
        contrast::{Ask, Contrast, ContrastSet, Contrasts},
        diagnosis::Origin,
    },
    net::port::Port,
};

/// What one endpoint's exchange proves for all: the fault lies before the first router.
fn seen_elsewhere(contrast: Contrast) -> Option<Cause> {
    match contrast {
        Contrast::NextHopDownElsewhere => Some(Cause::NextHopDown),
        Contrast::FirewallElsewhere => Some(Cause::LocalFirewall),
        Contrast::SetupElsewhere => Some(Cause::LocalSetup),
        _ => None,
    }
}

/// The answer of a measurement that a contrast rests on, where it is remembered from one.
fn told_by(contrast: Contrast) -> Contrast {
    if contrast == Contrast::SomeFlowsDie { Contrast::PortDecides } else { contrast }
}

/// Who wants to know: an endpoint with its symptom, whom it asked, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// The endpoint's index.
    pub index: usize,
    /// What its exchange looked like.
    pub symptom: Symptom,
    /// Who was asked.
    pub peer: Option<SocketAddr>,
    /// When its case was opened.
    pub opened: Instant,
}

impl Asker {
    /// Whether a measurement speaks for it: what was learned before the trouble began does not.
    pub(super) fn may_use(&self, learned: &Learned) -> bool {
        self.symptom.is_quiet() || learned.is_of(self.opened)
    }
}

impl Case {
    /// The same, as one who asks.
    pub(super) fn asker(&self, index: usize) -> Asker {
        Asker { index, symptom: self.sign.symptom, peer: self.sign.peer, opened: self.opened }
    }

    /// The cause that it proves by itself, not because others do and not for want of a better one.
    pub(super) fn observed(&self) -> Option<Cause> {
        (self.diagnosis.origin == Origin::Observed).then_some(self.diagnosis.finding.cause)
    }
}

impl Cases {
    /// Everything that is known about a case and that its symptom's rules ask for.
    pub(super) fn known(&self, index: usize, case: &Case, around: &Neighbours<'_>, at: Moment) -> Contrasts {
        let section = Section::of(case.sign.symptom);
        let since = self.since(case);
        let mut known = Contrasts::default();
        for ask in &section.asks {
            let asked = section.asked.iter().filter(|contrast| contrast.ask() == *ask);
            match ask {
                Ask::Neighbours => asked.for_each(|contrast| {
                    let answer = match (contrast, seen_elsewhere(contrast)) {
                        (Contrast::DatesHold, _) => {
                            case.dates.and_then(|dates| self.neighbourhood.dates_hold(dates, since, self.steady.now()))
                        }
                        (_, Some(cause)) => Some(self.is_seen_elsewhere(case, cause)),
                        (_, None) => {
                            self.neighbourhood.answer(contrast, (index, &case.target), since, self.steady.now())
                        }
                    };
                    known.learn_if(contrast, answer);
                }),
                Ask::Memory => {
                    asked.for_each(|contrast| known.learn_if(contrast, self.remembered(contrast, index, case, at)));
                }
                Ask::Comparison => {
                    let answers = around.comparison(&self.neighbourhood.endpoint(index).target.host, &case.led_to);
                    asked.for_each(|contrast| known.learn_if(contrast, answers.get(contrast)));
                }
                measured => {
                    let learned = self.measured(*measured, &case.asker(index), at.now);
                    let answers = learned.map(|learned| learned.measured.answers).unwrap_or_default();
                    asked.for_each(|contrast| {
                        let answer = match contrast {
                            Contrast::NewFlowsPass => {
                                let is_one_port = !self.memory.is_intermittent_everywhere();
                                let shown = self.lessons.after_pass(index, at.now, is_one_port);
                                shown.or_else(|| self.passes_between(index, at.now).then_some(true))
                            }
                            _ => answers.get(contrast),
                        };
                        known.learn_if(contrast, answer);
                    });
                }
            }
        }
        self.know_of_shared_path((case, &section.asked), &mut known, at.now);
        if known.get(Contrast::PortDecides).is_none() && self.passes_between(index, at.now) {
            known.learn(Contrast::PortDecides, false);
        }
        known
    }

    /// Whether all new flows pass while what comes and goes is there: at the endpoint itself, or, where it hits many,
    /// wherever that was measured.
    fn passes_between(&self, index: usize, now: Instant) -> bool {
        let passes_everywhere = || !self.lessons.ports_decide(now) && self.lessons.several_passed(now);
        let is_answered = |turns: Turns| self.lessons.has_passed(index, now) || turns.is_shared && passes_everywhere();
        self.dips.of(index).is_some_and(is_answered)
    }

    /// What was measured at some endpoints of a path that is broken for all: where flows fail and succeed in turn on several
    /// ports, it speaks for the others. A single look has no turns to see: there two hosts at which the port decides speak
    /// for those where it was not measured; for a datagram, whose server is not asked sixteen times, one is enough.
    fn know_of_shared_path(&self, (case, asked): (&Case, &ContrastSet), known: &mut Contrasts, now: Instant) {
        if !asked.contains(Contrast::PortDecides) {
            return;
        }
        if !self.memory.is_intermittent_everywhere() {
            let one_is_enough = case.target.port.by_datagram && self.lessons.ports_decide(now);
            let speaks = !self.has_past && (one_is_enough || self.lessons.ports_decide_at_several(now));
            if speaks && known.get(Contrast::PortDecides).is_none() {
                known.learn(Contrast::PortDecides, true);
            }
            return;
        }
        if self.lessons.ports_decide(now) {
            known.learn(Contrast::PortDecides, true);
        } else if self.is_shut_everywhere(now) && asked.contains(Contrast::NewFlowsPass) {
            known.learn(Contrast::PortDecides, false);
            known.learn(Contrast::NewFlowsPass, false);
        }
    }

    /// Whether new flows are let in now and then only, on several ports, while others right beside them are not.
    fn is_shut_everywhere(&self, now: Instant) -> bool {
        let is_shared = self.memory.is_intermittent_everywhere() && !self.lessons.ports_decide(now);
        is_shared && self.lessons.is_shut(now) && self.memory.none_in_midstream()
    }

    fn remembered(&self, contrast: Contrast, index: usize, case: &Case, at: Moment) -> Option<bool> {
        Some(match contrast {
            Contrast::Intermittent => self.memory.is_intermittent(case.target.port),
            Contrast::ComesAndGoes => self.dips.of(index).is_some(),
            Contrast::RightAddress => case.sign.peer.is_some_and(|peer| self.neighbourhood.is_right(index, peer.ip())),
            Contrast::PeerAnswered => is_of_the_peer(case.sign.finding.cause),
            Contrast::AlwaysConnects => self.always_connects(index, case),
            Contrast::SomeFlowsDie => self.some_flows_die(&case.asker(index), case.target.port, at.now),
            Contrast::OnlyHandshakesRepeat => self.memory.only_handshakes_repeat() || self.is_shut_everywhere(at.now),
            Contrast::HandshakesRepeatOnPorts => {
                self.memory.handshakes_repeat_on_ports() || self.is_shut_everywhere(at.now)
            }
            Contrast::OwnHandshakesRepeat => self.memory.own_handshakes_repeat(index),
            Contrast::LossyPath => self.memory.is_lossy(),
            Contrast::BeyondLoss => self.memory.is_beyond_loss(case.target.port),
            Contrast::RoundTripGrew => self.memory.is_slow(index),
            Contrast::AsksThePlatform => case.sign.peer.is_some_and(|peer| peer.ip() == self.neighbourhood.platform()),
            Contrast::AsksTheTime => matches!(self.neighbourhood.endpoint(index).target.probe, Probe::Ntp(_)),
            Contrast::ForeignRedirect => case.foreign_redirect,
            Contrast::PageNamesFilter => case.names_filter,
            Contrast::ByDatagram => case.target.port.by_datagram,
            Contrast::FullSegmentsArrived => case.full_segments,
            Contrast::AnswerBegan => case.answer_began,
            Contrast::CanaryAcceptedBefore => {
                let canary = self.measured(Ask::TcpCanary, &case.asker(index), at.now)?;
                let accepts = |answers: &Contrasts| answers.get(Contrast::CanaryAccepts);
                accepts(&canary.before)? && !accepts(&canary.measured.answers)?
            }
            _ => return None,
        })
    }

    /// Whether every connection to an endpoint was made lately, as far as failures are remembered that were soon over.
    fn always_connects(&self, index: usize, case: &Case) -> bool {
        let is_late = |finding: Finding| finding.phase > Phase::Connect;
        let has_passed = case.sign.symptom == Symptom::Passed;
        has_passed && !self.memory.has_lost_a_connection(index) && self.dips.finding(index).is_none_or(is_late)
    }

    /// Whether source ports show that the path loses some flows for good: the endpoint's own, those of several hosts, or
    /// those of hosts on its port in the last minutes. On a path that loses packets as well one host's ports may look so by chance;
    /// those of several do not.
    pub(super) fn some_flows_die(&self, asker: &Asker, port: Port, now: Instant) -> bool {
        let measured = self.measured(Ask::SourcePorts, asker, now);
        let answers = measured.map(|learned| learned.measured.answers).unwrap_or_default();
        let own = answers.get(Contrast::PortDecides);
        if self.memory.is_lossy() {
            return own != Some(false) && self.lessons.ports_still_decide_at_several(now);
        }
        // A silent host that is watched for longer shows turns of its own; sampled ports never do.
        let has_turns = self.has_past && asker.symptom != Symptom::Gateway;
        if !has_turns || own == Some(true) {
            return own.unwrap_or_else(|| self.lessons.ports_decide_at_several(now));
        }
        self.remembered_on_port(asker, answers, port, now)
    }

    /// The same for an endpoint whose own ports do not show it. On a port that is known to lose flows silence has met those,
    /// also where new ones pass when they are tried: the repair came first. It is more than that where all of them fail and
    /// chance would have let a visit pass by now.
    fn remembered_on_port(&self, asker: &Asker, answers: Contrasts, port: Port, now: Instant) -> bool {
        let is_there = |key: &Key| self.port_of(key) == Some(port);
        let hosts = self.lessons.hosts_that_lost_flows(is_there, self.memory.is_intermittent(port), now);
        let is_sure = hosts.len() > 1 || asker.peer.is_some_and(|peer| hosts.contains(&peer.ip()));
        if asker.symptom == Symptom::Passed {
            return is_sure;
        }
        match (answers.get(Contrast::NewFlowsPass), answers.get(Contrast::NewFlowsMixed)) {
            (Some(false), Some(false)) => !hosts.is_empty() && self.memory.lasting(asker.index).is_none(),
            (Some(false), Some(true)) => is_sure,
            // Nothing was measured, or all passed: those cannot be told from a way that is gone but by how long it lasts.
            _ => !hosts.is_empty() && !self.memory.is_beyond_chance(asker.index),
        }
    }

    /// The port on which source ports were measured.
    fn port_of(&self, key: &Key) -> Option<Port> {
        match &key.about {
            Some(about) => self.numbers.get(about).map(|index| self.neighbourhood.port(*index)),
            None => Some(Port::udp(key.peer.port())),
        }
    }

    /// What a rule rests on at an endpoint: what was measured at others only is what they show.
    pub(super) fn rests_on(&self, rule: &Rule, asker: &Asker, now: Instant) -> Origin {
        let is_of_others = |(contrast, wanted): (Contrast, bool)| {
            let is_remembered = contrast == Contrast::SomeFlowsDie;
            let ask = if is_remembered { Ask::SourcePorts } else { contrast.ask() };
            let own = self.key(ask, asker).and_then(|key| self.lessons.get(&key, now));
            let told = own.and_then(|own| own.measured.answers.get(told_by(contrast)));
            ask.is_of_the_peer() && (told.is_none() || is_remembered && told != Some(wanted))
        };
        match rule.origin {
            Origin::Observed if rule.needs.iter().any(|need| is_of_others(*need)) => Origin::Inferred,
            origin => origin,
        }
    }

    /// Whether another endpoint shows a fault of this machine or its link by itself.
    fn is_seen_elsewhere(&self, case: &Case, cause: Cause) -> bool {
        let own = usize::from(case.observed() == Some(cause));
        self.observed.get(&cause).copied().unwrap_or_default() > own
    }

    /// What a measurement taught that answers an ask: one made for the same endpoint, or for one like it.
    pub(super) fn measured(&self, ask: Ask, asker: &Asker, now: Instant) -> Option<&Learned> {
        let own = self.key(ask, asker).and_then(|key| self.lessons.get(&key, now));
        let speaks =
            |learned: &&Learned| self.speaks_for(learned, asker) || self.is_of_the_same_trouble(learned, asker, now);
        own.filter(speaks).or_else(|| self.like_others(ask, asker, now))
    }

    /// What was measured about an endpoint itself, as far as its case may use it.
    pub(super) fn usable(&self, key: &Key, (index, case): (usize, &Case), now: Instant) -> Option<&Learned> {
        let asker = case.asker(index);
        // Whether new flows pass right after one did is not known from before it did.
        let is_about_a_pass = key.ask == Ask::SourcePorts && case.open.contains(&Contrast::NewFlowsPass);
        let is_stale = |learned: &Learned| is_about_a_pass && !learned.is_since(case.opened);
        let speaks = |learned: &Learned| asker.may_use(learned) || self.is_of_the_same_trouble(learned, &asker, now);
        self.lessons.get(key, now).filter(|learned| speaks(learned) && !is_stale(learned))
    }

    /// Whether a measurement of a name server was made while its answers came and went as they do now: every name that is
    /// asked there meets the same trouble anew.
    fn is_of_the_same_trouble(&self, learned: &Learned, asker: &Asker, now: Instant) -> bool {
        let server = asker.peer.map(|peer| Port::udp(peer.port()));
        asker.symptom == Symptom::SilentDns
            && server.is_some_and(|server| self.memory.is_intermittent(server))
            && learned.is_recent(now)
    }

    /// Whether a measurement speaks for an endpoint: it was made since its trouble began, or for an older case that looks
    /// the same on the same port and is still open. An endpoint that is due later than the others joins their trouble.
    fn speaks_for(&self, learned: &Learned, asker: &Asker) -> bool {
        asker.may_use(learned) || self.oldest_like(asker).is_some_and(|opened| learned.is_of(opened))
    }

    /// When the oldest case with the same symptom on the same port was opened.
    fn oldest_like(&self, asker: &Asker) -> Option<Instant> {
        let alike = self.openings.get(&(asker.symptom, self.neighbourhood.port(asker.index)))?;
        alike.first().map(|(opened, _)| *opened)
    }

    /// The measurement that answers an ask for an endpoint.
    pub(super) fn key(&self, ask: Ask, asker: &Asker) -> Option<Key> {
        key_of(ask, self.neighbourhood.endpoint(asker.index), asker.peer, self.neighbourhood.platform())
    }

    /// What was measured for endpoints with the same symptom on the same port, where they all say the same.
    fn like_others(&self, ask: Ask, asker: &Asker, now: Instant) -> Option<&Learned> {
        let mut found: Option<&Learned> = None;
        let alike = self.lessons.about(ask).filter(|(key, _)| self.is_alike(key, asker)).map(|(key, _)| key);
        for learned in
            alike.filter_map(|key| self.lessons.get(key, now)).filter(|learned| self.speaks_for(learned, asker))
        {
            if found.is_some_and(|found| found.measured.answers != learned.measured.answers) {
                return None;
            }
            found = Some(learned);
        }
        found
    }

    /// Whether what was measured is about another endpoint with the same symptom on the same port.
    fn is_alike(&self, key: &Key, asker: &Asker) -> bool {
        let port = self.neighbourhood.port(asker.index);
        let Some(about) = &key.about else { return self.peers.contains_key(&(asker.symptom, port, key.peer)) };
        let Some(other) = self.numbers.get(about).copied().filter(|other| *other != asker.index) else { return false };
        let sign = self.cases.get(&other).map(|case| (case.sign.symptom, case.sign.peer));
        let usual = self.usual.symptom(other).map(|usual| (usual, self.neighbourhood.peer(other)));
        self.neighbourhood.port(other) == port && sign.or(usual) == Some((asker.symptom, Some(key.peer)))
    }
}
