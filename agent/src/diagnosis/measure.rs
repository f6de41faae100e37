//! Follow-up measurements: small questions that tell causes apart, asked only after a failure or on a slow cadence.
//! Each knows its cost in flows and answers contrasts; what they mean is not its business.

use std::{net::SocketAddr, time::Duration};

use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    dns::{self, Question, Transport},
    egress::{Egress, Shape},
    evidence::{Ending, Trouble},
    held_flow::{FlowState, HeldFlow},
    local_facts::LocalFacts,
    old_tls,
    outcome::Outcome,
    port_sample,
    probe::Probe,
    source_ports::{self, Asked, Pattern},
    tls::Trust,
    verdict::Phase,
};
use rand::{Rng, rngs::StdRng};

use crate::{
    diagnosis::{
        ask::{Errand, Measured},
        posed::{CONNECT, Posed, liveness, posed},
    },
    model::{
        contrast::{Ask, Contrast, Contrasts},
        settings::Settings,
    },
};

/// Time of one measurement that expects silence.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time of the contrast of source ports: two rounds of silent flows.
const SOURCE_PORTS: Duration = Duration::from_secs(9);
/// Time that a box which answers for others gets: it stands close by.
const CANARY_PATIENCE: Duration = Duration::from_millis(1200);
/// Bytes of two pages that are compared.
const PAGE_START: usize = 256;

/// Makes follow-up measurements, all under the same settings.
#[derive(Debug)]
pub struct Measurer {
    egress: Egress,
    trust: Trust,
    azure: SocketAddr,
}

impl Measurer {
    /// Prepares measurements under these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { egress: settings.egress.clone(), trust: settings.trust.clone(), azure: settings.resolvers.azure }
    }

    /// Makes one measurement. It never fails: what was not learned is not in the answer.
    pub async fn measure(&self, errand: &Errand, rng: StdRng) -> Measured {
        let mut asking = Asking { measurer: self, errand, rng };
        let answers = match errand.key.ask {
            Ask::SourcePorts => return asking.source_ports().await,
            Ask::RedirectPorts => return asking.redirect_ports().await,
            Ask::ThisMachine => return asking.this_machine(),
            Ask::TcpCanary => asking.tcp_canary().await,
            Ask::UdpCanary => asking.udp_canary(Contrast::UdpCanaryAnswers).await,
            Ask::DnsCanary => asking.udp_canary(Contrast::DnsCanaryAnswers).await,
            Ask::Control => asking.control().await,
            Ask::SmallSegments => asking.small_segments().await,
            Ask::SmallDatagram => asking.small_datagram().await,
            Ask::OtherName => asking.other_name().await,
            Ask::OldTls => return asking.old_tls().await,
            Ask::DnsOverTcp => asking.dns_over_tcp().await,
            Ask::AnySource => return asking.any_source().await,
            Ask::BogusHost => asking.bogus_host().await,
            Ask::FewHops => asking.few_hops().await,
            Ask::Neighbours | Ask::HeldFlow | Ask::Comparison | Ask::Memory => Contrasts::default(),
        };
        answers.into()
    }

    /// Opens a flow that is held from now on.
    pub async fn hold(&self, address: SocketAddr) -> Option<HeldFlow> {
        let (egress, deadline) = (&self.egress, Deadline::within(PATIENCE));
        HeldFlow::open(&Attempt { address, deadline, egress, nonce: 0, shape: Shape::default() }).await.ok()
    }
}

/// What a held flow tells when it is looked at.
pub async fn look_at(flow: &mut HeldFlow) -> (Measured, FlowState) {
    let checked = flow.check().await;
    let answers = match checked.state {
        FlowState::Alive => [(Contrast::HeldFlowLives, true), (Contrast::HeldFlowReset, false)].into_iter().collect(),
        FlowState::Stalled => {
            [(Contrast::HeldFlowLives, false), (Contrast::HeldFlowReset, false)].into_iter().collect()
        }
        FlowState::Reset => [(Contrast::HeldFlowReset, true)].into_iter().collect(),
        FlowState::Closed => Contrasts::default(),
    };
    (Measured { answers, lines: vec![checked.to_string()] }, checked.state)
}

/// One measurement under way.
struct Asking<'a> {
    measurer: &'a Measurer,
    errand: &'a Errand,
    rng: StdRng,
}

impl Asking<'_> {
    async fn run(&mut self, probe: &Probe, address: SocketAddr, shape: Shape, patience: Duration) -> Outcome {
        let trust = &self.measurer.trust;
        probe.run(&self.attempt(address, shape, patience), trust).await
    }

    fn attempt(&mut self, address: SocketAddr, shape: Shape, patience: Duration) -> Attempt<'_> {
        let nonce = self.rng.next_u64();
        self.attempt_with(address, shape, patience, nonce)
    }

    fn attempt_with(&self, address: SocketAddr, shape: Shape, patience: Duration, nonce: u64) -> Attempt<'_> {
        Attempt { address, deadline: Deadline::within(patience), egress: &self.measurer.egress, nonce, shape }
    }

    /// Asks what this measurement asks; `None` where the failed question has nothing that it could change.
    async fn pose(&mut self) -> Option<Outcome> {
        self.pose_within(PATIENCE).await
    }

    async fn pose_within(&mut self, patience: Duration) -> Option<Outcome> {
        let Posed { probe, shape } = posed(self.errand)?;
        let peer = self.errand.key.peer;
        Some(match &probe {
            Probe::Dns(question) => self.dns(question, peer, shape, patience).await,
            Probe::Ntp(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => {
                self.run(&probe, peer, shape, patience).await
            }
        })
    }

    async fn plain(&mut self, probe: &Probe, address: SocketAddr) -> Outcome {
        self.run(probe, address, Shape::default(), PATIENCE).await
    }

    /// One DNS question in one form: a measurement changes one thing, and a resolver's second try would be another.
    async fn dns(&mut self, question: &Question, peer: SocketAddr, shape: Shape, patience: Duration) -> Outcome {
        question.run(&self.attempt(peer, shape, patience)).await.into()
    }

    async fn tcp_canary(&mut self) -> Contrasts {
        let Some(outcome) = self.pose_within(CANARY_PATIENCE).await else { return Contrasts::default() };
        [(Contrast::CanaryAccepts, is_accepted(&outcome)), (Contrast::CanaryRefuses, is_refused(&outcome))]
            .into_iter()
            .collect()
    }

    async fn udp_canary(&mut self, contrast: Contrast) -> Contrasts {
        let Some(outcome) = self.pose_within(CANARY_PATIENCE).await else { return Contrasts::default() };
        let answered = outcome.dns_answer().is_some() || outcome.ntp_packet().is_some();
        [(contrast, answered)].into_iter().collect()
    }

    /// Any sign of life counts, a refusal too.
    async fn control(&mut self) -> Contrasts {
        let azure = self.measurer.azure;
        let by_dns = self.dns(&liveness(), azure, Shape::default(), PATIENCE).await;
        let lives = |outcome: &Outcome| outcome.seen.stop.is_none() || is_refused(outcome);
        let answers = lives(&by_dns) || {
            let web = SocketAddr::new(azure.ip(), 80);
            lives(&self.plain(&CONNECT, web).await)
        };
        [(Contrast::ControlAnswers, answers)].into_iter().collect()
    }

    /// The question in small segments, and as it was beside it, at the same time: what fails in both sizes, and what passes
    /// in both, does not vanish for its size.
    async fn small_segments(&mut self) -> Contrasts {
        let Some(small) = posed(self.errand) else { return Contrasts::default() };
        let (peer, patience) = (self.errand.key.peer, self.errand.endpoint.target.timeout.min(PATIENCE));
        let nonces = (self.rng.next_u64(), self.rng.next_u64());
        let small_attempt = self.attempt_with(peer, small.shape, patience, nonces.0);
        let control = self.attempt_with(peer, Shape::default(), patience, nonces.1);
        let trust = &self.measurer.trust;
        let (small, control) = tokio::join!(small.probe.run(&small_attempt, trust), small.probe.run(&control, trust));
        match (came_whole(&small), is_silent(&control)) {
            (false, _) => [(Contrast::SmallSegmentsPass, false)].into_iter().collect(),
            (true, true) => [(Contrast::SmallSegmentsPass, true)].into_iter().collect(),
            (true, false) => Contrasts::default(),
        }
    }

    /// The question without EDNS, and as it was beside it: a server that answers both answers some questions and not
    /// others, whatever their form.
    async fn small_datagram(&mut self) -> Contrasts {
        let Some(Posed { probe: Probe::Dns(plain), .. }) = posed(self.errand) else { return Contrasts::default() };
        let own = plain.clone().offering(dns::Question::liveness(plain.name.clone(), Transport::Udp).edns);
        let (peer, nonces) = (self.errand.key.peer, (self.rng.next_u64(), self.rng.next_u64()));
        let plain_attempt = self.attempt_with(peer, Shape::default(), PATIENCE, nonces.0);
        let control = self.attempt_with(peer, Shape::default(), PATIENCE, nonces.1);
        let (outcome, control) = tokio::join!(plain.run(&plain_attempt), own.run(&control));
        let (outcome, control): (Outcome, Outcome) = (outcome.into(), control.into());
        if control.dns_answer().is_some() {
            return Contrasts::default();
        }
        let cut = outcome.dns_answer().map(|answer| answer.truncated);
        [(Contrast::SmallDatagramPasses, cut == Some(true)), (Contrast::PlainDnsPasses, cut == Some(false))]
            .into_iter()
            .collect()
    }

    async fn other_name(&mut self) -> Contrasts {
        let Some(outcome) = self.pose().await else { return Contrasts::default() };
        let is_alert =
            |outcome: &Outcome| matches!(outcome.seen.stop.as_ref().map(|stop| &stop.trouble), Some(Trouble::Alert(_)));
        let passes = is_alert(&outcome) || outcome.handshake().is_some_and(|tls| tls.version.is_some());
        // A peer that refuses by an alert may do so whatever the name: then both names end alike and tell nothing.
        if is_alert(&outcome) {
            let own = self.errand.endpoint.target.probe.clone();
            if is_alert(&self.plain(&own, self.errand.key.peer).await) {
                return Contrasts::default();
            }
        }
        // A firewall with a list of allowed names denies a name that nobody has as well: that tells nothing.
        let tells = passes || self.errand.beside.is_some();
        tells.then_some((Contrast::OtherNamePasses, passes)).into_iter().collect()
    }

    async fn old_tls(&mut self) -> Measured {
        let Some(Posed { probe, shape }) = posed(self.errand) else { return Measured::default() };
        let attempt = self.attempt(self.errand.key.peer, shape, PATIENCE);
        let Some(chosen) = old_tls::ask(&attempt, &probe).await else {
            return Contrasts::from_iter([(Contrast::OldTlsAnswers, false)]).into();
        };
        let answers = [(Contrast::OldTlsAnswers, true)].into_iter().collect();
        Measured { answers, lines: vec![chosen.to_string()] }
    }

    async fn dns_over_tcp(&mut self) -> Contrasts {
        let Some(outcome) = self.pose().await else { return Contrasts::default() };
        let answers = outcome.dns_answer().is_some();
        let accepts = answers || outcome.seen.stop.as_ref().is_none_or(|stop| stop.phase == Phase::Dns);
        [(Contrast::DnsOverTcpAnswers, answers), (Contrast::DnsOverTcpAccepts, accepts)].into_iter().collect()
    }

    async fn any_source(&mut self) -> Measured {
        let Some(outcome) = self.pose().await else { return Measured::default() };
        let peer = self.errand.key.peer;
        let elsewhere = outcome.seen.reply_source.filter(|source| source.ip() != peer.ip());
        let answers = [(Contrast::OthersAnswer, elsewhere.is_some())].into_iter().collect();
        let lines = elsewhere.map(|source| format!("asked was {peer}, the answer came from {source}"));
        Measured { answers, lines: lines.into_iter().collect() }
    }

    /// A portal gives its page for every host and every path; an honest server with one site does not.
    async fn bogus_host(&mut self) -> Contrasts {
        let Some(outcome) = self.pose().await else { return Contrasts::default() };
        let Some(answer) = outcome.http_answer() else { return Contrasts::default() };
        // A plain "not here" or "not now" is the same for every name on many an honest server.
        if matches!(answer.status, 404 | 410 | 429 | 500..) && self.errand.page.is_some() {
            return Contrasts::default();
        }
        let start = |body: &[u8]| body.iter().copied().take(PAGE_START).collect::<Vec<u8>>();
        let same = self
            .errand
            .page
            .as_ref()
            .is_some_and(|(status, body)| *status == answer.status && start(body) == start(&answer.body_start));
        [(Contrast::BogusHostSamePage, same)].into_iter().collect()
    }

    /// Tells something only where a host that works is not reached within as few hops.
    async fn few_hops(&mut self) -> Contrasts {
        let (Some(beside), Some(Posed { probe, shape })) = (&self.errand.beside, posed(self.errand)) else {
            return Contrasts::default();
        };
        let near = self.run(&probe, beside.address, shape, CANARY_PATIENCE).await;
        if is_accepted(&near) {
            return Contrasts::default();
        }
        let outcome = self.run(&probe, self.errand.key.peer, shape, CANARY_PATIENCE).await;
        [(Contrast::AnsweredNearby, is_refused(&outcome) && outcome.seen.icmp.is_none())].into_iter().collect()
    }

    async fn source_ports(&mut self) -> Measured {
        let Some(Posed { probe, .. }) = posed(self.errand) else { return Measured::default() };
        let (peer, measurer) = (self.errand.key.peer, self.measurer);
        let ports = LocalFacts::about(peer, &measurer.egress).port_range.unwrap_or(source_ports::DEFAULT_PORTS);
        let attempt = self.attempt(peer, Shape::default(), SOURCE_PORTS);
        let asked = Asked { probe: &probe, trust: &measurer.trust };
        let outcomes = source_ports::contrast(asked, &attempt, ports).await;
        let answers = |decides, mixed, pass| {
            let mixed = [(Contrast::PortDecides, decides), (Contrast::NewFlowsMixed, mixed)];
            mixed.into_iter().chain([(Contrast::NewFlowsPass, pass)]).collect::<Contrasts>()
        };
        let answers = match outcomes.pattern() {
            Pattern::PerPort => answers(true, true, false),
            Pattern::Entries | Pattern::Random => answers(false, true, false),
            Pattern::AllWork => answers(false, false, true),
            Pattern::AllFail => answers(false, false, false),
            Pattern::Unknown => Contrasts::default(),
        };
        Measured { answers, lines: vec![outcomes.to_string()] }
    }

    /// Silent ports tell something only where the gateway itself still answers.
    async fn redirect_ports(&mut self) -> Measured {
        let gateway = self.errand.key.peer;
        let attempt = self.attempt(gateway, Shape::default(), PATIENCE);
        let sample = port_sample::sql_redirect(&attempt).await;
        if sample.is_silent() && !is_accepted(&self.plain(&CONNECT, gateway).await) {
            return Measured::default();
        }
        let answers = [(Contrast::RedirectPortsSilent, sample.is_silent())].into_iter().collect();
        Measured { answers, lines: vec![sample.to_string()] }
    }

    fn this_machine(&self) -> Measured {
        let facts = LocalFacts::about(self.errand.key.peer, &self.measurer.egress);
        let link = facts.link.ok().map(|link| (Contrast::LinkUp, link));
        let tracking = facts.tracked_flows.ok().map(|flows| (Contrast::TrackingFull, flows.is_nearly_full()));
        Measured { answers: link.into_iter().chain(tracking).collect(), lines: facts.describe() }
    }
}

/// Whether the peer's answer came to its end. A certificate that does not verify came whole.
fn came_whole(outcome: &Outcome) -> bool {
    outcome.seen.stop.as_ref().is_none_or(|stop| stop.trouble == Trouble::Certificate)
}

/// Whether the peer, or the path to it, fell silent.
fn is_silent(outcome: &Outcome) -> bool {
    outcome.seen.stop.as_ref().is_some_and(|stop| stop.trouble.ending() == Ending::Silence)
}

fn is_accepted(outcome: &Outcome) -> bool {
    outcome.seen.stop.is_none()
}

fn is_refused(outcome: &Outcome) -> bool {
    outcome.seen.stop.as_ref().is_some_and(|stop| stop.trouble.ending() == Ending::Refused)
}
