//! What neighbouring endpoints show anyway: which contrasts their latest visits answer, at no cost.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use ase_probes::{
    cause::Cause,
    outcome::Outcome,
    probe::Probe,
    tls::Invalid,
    verdict::{Finding, Verdict},
};

use crate::{
    diagnosis::ask::Beside,
    model::{
        catalog::{Endpoint, Host},
        contrast::{Contrast, Contrasts},
        endpoint::EndpointView,
        visit::Visit,
    },
    net::address::is_private,
    resolvers::{
        compare::{Outcome as Answered, Worry},
        names::NameView,
    },
};

/// Clocks that must agree before this machine's own is doubted.
const CLOCKS: usize = 3;
/// How far clocks that agree may lie apart, in seconds: HTTP dates have whole seconds.
const AGREEMENT: f64 = 2.0;
/// How far this machine's clock may lie from what others agree on, in seconds.
const CLOCK_TOLERANCE: f64 = 2.0;
/// Clocks that were asked longer ago than this say nothing.
const CLOCK_AGE: Duration = Duration::from_secs(180);
/// Hosts without a verifying certificate that make a bundle of authorities suspect.
const UNVERIFIED: usize = 3;
/// Failures beside a failure before nothing is said to work.
const FAILURES: usize = 3;

/// What one endpoint's latest visit showed about its neighbourhood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// It worked.
    Works,
    /// It was tested and failed.
    Fails(Finding),
    /// It was not tested since.
    Nothing,
}

/// How packets to an endpoint travel: the port, and whether by datagram.
pub fn port_of(endpoint: &Endpoint) -> (u16, bool) {
    let by_datagram = match &endpoint.probe {
        Probe::Ntp(_) => true,
        Probe::Dns(question) => question.transport == ase_probes::dns::Transport::Udp,
        Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => false,
    };
    (endpoint.port, by_datagram)
}

/// Whom a lost exchange was with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, and whether by datagram.
    pub port: (u16, bool),
}

/// A clock, as one visit read it.
#[derive(Clone, Copy, Debug)]
struct Clock {
    index: usize,
    /// When the visit began, since the Unix epoch.
    began: Duration,
    /// Its time minus ours, in seconds.
    offset: f64,
}

/// All endpoints and names at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a> {
    /// Every endpoint, in the catalogue's order.
    pub views: &'a [Arc<EndpointView>],
    /// Every name that is compared.
    pub names: &'a [Arc<NameView>],
    /// The platform's own address, which no route and by default no NSG touches.
    pub platform: IpAddr,
    /// The wall clock, since the Unix epoch.
    pub now: Duration,
}

impl Neighbours<'_> {
    /// What an endpoint's latest visit showed, if it began at `since` or later.
    pub fn showing(&self, index: usize, since: Duration) -> Showing {
        let Some(visit) = self.views[index].last.as_deref().filter(|visit| visit.began >= since) else {
            return Showing::Nothing;
        };
        match visit.result {
            Ok(Verdict::Healthy | Verdict::Degraded(_)) => Showing::Works,
            Ok(Verdict::Failed(finding)) if !visit.outcomes.is_empty() => Showing::Fails(finding),
            // Silence that was judged to be this machine's fault stays silence: else the judgement would take its own
            // ground away, and be made again at the next visit.
            Ok(Verdict::Inconclusive(finding)) if has_failed(visit) => Showing::Fails(finding),
            Ok(Verdict::Failed(_) | Verdict::Inconclusive(_)) | Err(_) => Showing::Nothing,
        }
    }

    /// Whether an endpoint lies outside this network, as far as its latest address tells.
    pub fn is_outside(&self, index: usize) -> bool {
        address_of(&self.views[index]).is_none_or(|address| !is_private(address) && address != self.platform)
    }

    /// Everything that the neighbours tell about an endpoint that has failed since `since`.
    pub fn contrasts(&self, index: usize, target: &Target, since: Duration) -> Contrasts {
        let endpoint = &self.views[index].endpoint;
        let same_host = |other: &usize| self.views[*other].endpoint.host == target.host;
        let same_port = |other: &usize| port_of(&self.views[*other].endpoint) == target.port;
        let mut known = Contrasts::default();
        known.learn_if(Contrast::SamePortWorks, self.works(since, |other| same_port(other) && !same_host(other)));
        known.learn_if(Contrast::SameHostWorks, self.works(since, |other| same_host(other) && !same_port(other)));
        known.learn_if(
            Contrast::OtherPortsWork,
            self.works(since, |other| !same_port(other) && !same_host(other) && self.is_outside(*other)),
        );
        known.learn_if(Contrast::AnythingWorks, self.anything_works(index, since));
        known.learn_if(Contrast::PlainHttpBlocked, self.plain_http_blocked(since));
        known.learn_if(Contrast::ClockWrong, self.clock_wrong(since));
        self.issuers(index, since, &mut known);
        self.comparison(&endpoint.host, &mut known);
        known
    }

    /// The endpoints whose visits would answer the contrasts of an endpoint, at most six.
    pub fn worth_a_visit(&self, index: usize, target: &Target, since: Duration) -> Vec<usize> {
        let Target { host, port } = target;
        let waiting = |other: &usize| *other != index && self.showing(*other, since) == Showing::Nothing;
        let pick = |wanted: &dyn Fn(&Endpoint) -> bool, most: usize| -> Vec<usize> {
            let chosen = (0..self.views.len()).filter(|other| wanted(&self.views[*other].endpoint));
            chosen.filter(waiting).take(most).collect()
        };
        let mut chosen = pick(&|other| port_of(other) == *port && other.host != *host, 2);
        chosen.extend(pick(&|other| port_of(other) != *port && other.host == *host, 1));
        let mut ports = vec![*port];
        for other in 0..self.views.len() {
            let beside = port_of(&self.views[other].endpoint);
            if ports.len() < 4 && !ports.contains(&beside) && waiting(&other) && self.is_outside(other) {
                ports.push(beside);
                chosen.push(other);
            }
        }
        chosen.dedup();
        chosen
    }

    /// Another host with a name that works on the endpoint's port since then.
    pub fn works_beside(&self, index: usize, since: Duration) -> Option<Beside> {
        let endpoint = &self.views[index].endpoint;
        let works = |other: &usize| self.showing(*other, since) == Showing::Works;
        (0..self.views.len()).filter(works).map(|other| &self.views[other]).find_map(|view| match &view.endpoint.host {
            Host::Name(name) if port_of(&view.endpoint) == port_of(endpoint) && view.endpoint.host != endpoint.host => {
                let address = view.last.as_deref()?.outcomes.first()?.address;
                Some(Beside { name: name.clone(), address })
            }
            Host::Name(_) | Host::Address(_) => None,
        })
    }

    /// The cause behind a comparison in force that should worry somebody although the endpoint works.
    pub fn comparison_cause(&self, host: &Host) -> Option<Cause> {
        let Host::Name(name) = host else { return None };
        let view = self.names.iter().find(|view| *view.name == **name)?;
        view.published.as_ref().and_then(|comparison| comparison.cause())
    }

    /// Whether any of the chosen endpoints works; `None` while too few of them were tested to say no.
    fn works(&self, since: Duration, chosen: impl Fn(&usize) -> bool) -> Option<bool> {
        let (mut count, mut failed) = (0, 0);
        for other in (0..self.views.len()).filter(chosen) {
            count += 1;
            match self.showing(other, since) {
                Showing::Works => return Some(true),
                Showing::Fails(_) => failed += 1,
                Showing::Nothing => {}
            }
        }
        (failed > 0 && failed >= count.min(2)).then_some(false)
    }

    /// Whether any other endpoint works; a name that does not resolve counts as a failure here.
    fn anything_works(&self, index: usize, since: Duration) -> Option<bool> {
        let mut failed = 0;
        let others = (0..self.views.len()).filter(|other| *other != index).map(|other| &self.views[other]);
        for view in others {
            let Some(visit) = view.last.as_deref().filter(|visit| visit.began >= since) else { continue };
            match visit.result {
                Ok(Verdict::Healthy | Verdict::Degraded(_)) => return Some(true),
                Ok(Verdict::Failed(_)) => failed += 1,
                Ok(Verdict::Inconclusive(finding)) if finding.cause.is_local() => failed += 1,
                Ok(Verdict::Inconclusive(_)) | Err(_) => {}
            }
        }
        (failed >= FAILURES).then_some(false)
    }

    fn plain_http_blocked(&self, since: Duration) -> Option<bool> {
        let mut seen = None;
        for index in (0..self.views.len()).filter(|index| self.views[*index].endpoint.port == 80) {
            match self.showing(index, since) {
                Showing::Fails(finding) if finding.cause == Cause::HttpBlocked => return Some(true),
                Showing::Fails(_) | Showing::Works => seen = Some(false),
                Showing::Nothing => {}
            }
        }
        seen
    }

    /// D15: what independent clocks say about ours since then. Most of those that are known must have spoken and agree: a
    /// clock that was read earlier says nothing about a moment since which ours may have changed.
    fn clock_wrong(&self, since: Duration) -> Option<bool> {
        let clocks = self.clocks();
        let mut offsets: Vec<f64> =
            clocks.values().filter(|clock| clock.began >= since).map(|clock| clock.offset).collect();
        offsets.sort_by(f64::total_cmp);
        let median = *offsets.get(offsets.len() / 2)?;
        let agreeing = offsets.iter().filter(|offset| (**offset - median).abs() <= AGREEMENT).count();
        (agreeing >= CLOCKS && agreeing * 2 > clocks.len()).then_some(median.abs() > CLOCK_TOLERANCE)
    }

    /// The endpoints with a clock that has not been read since then.
    pub fn clocks_to_read(&self, since: Duration) -> impl Iterator<Item = usize> {
        self.clocks().into_values().filter(move |clock| clock.began < since).map(|clock| clock.index)
    }

    /// The clock of every host that told the time lately, as it was read last.
    fn clocks(&self) -> BTreeMap<&Host, Clock> {
        let mut clocks: BTreeMap<&Host, Clock> = BTreeMap::new();
        for (index, view) in self.views.iter().enumerate() {
            let Some(visit) = view.last.as_deref().filter(|visit| visit.began + CLOCK_AGE >= self.now) else {
                continue;
            };
            let Some(offset) = visit.outcomes.iter().find_map(clock_offset) else { continue };
            let read = Clock { index, began: visit.began, offset };
            let clock = clocks.entry(&view.endpoint.host).or_insert(read);
            if clock.began < read.began {
                *clock = read;
            }
        }
        clocks
    }

    /// D16: whether unrelated hosts show certificates of one unknown issuer, or none verifies at all.
    fn issuers(&self, index: usize, since: Duration, known: &mut Contrasts) {
        let mut unknown: BTreeMap<String, &str> = BTreeMap::new();
        let mut verified = 0;
        for view in self.views {
            let Some(visit) = view.last.as_deref().filter(|visit| visit.began >= since) else { continue };
            let Some(handshake) = visit.outcomes.iter().find_map(Outcome::handshake) else { continue };
            match (&handshake.invalid, handshake.chain.first()) {
                (Some(Invalid::UnknownIssuer), Some(leaf)) => {
                    unknown.insert(domain(&view.endpoint.host), &leaf.issuer);
                }
                (None, Some(_)) => verified += 1,
                (_, _) => {}
            }
        }
        let own = unknown.get(&domain(&self.views[index].endpoint.host)).copied();
        let sharing = unknown.values().filter(|issuer| own == Some(**issuer)).count();
        let mut issuers: Vec<&str> = unknown.values().copied().collect();
        issuers.sort_unstable();
        issuers.dedup();
        if verified > 0 || unknown.len() >= UNVERIFIED {
            known.learn(Contrast::IssuersPlural, verified == 0 && issuers.len() > 1 && sharing < unknown.len());
        }
        if sharing > 1 || verified > 0 {
            known.learn(Contrast::IssuerShared, sharing > 1);
        }
    }

    fn comparison(&self, host: &Host, known: &mut Contrasts) {
        let Host::Name(name) = host else { return };
        let Some(survey) = self.names.iter().find(|view| *view.name == **name).and_then(|view| view.last.as_ref())
        else {
            return;
        };
        let azure = &survey.azure;
        if azure.outcome.is_failure() {
            return;
        }
        known.learn(Contrast::AzureResolves, azure.outcome == Answered::Answer && !azure.addresses.is_empty());
        known.learn(
            Contrast::AzureAnswersPrivate,
            !azure.addresses.is_empty() && azure.addresses.iter().all(|address| is_private(*address)),
        );
        known.learn(Contrast::AnswersInvented, survey.comparison.cause() == Some(Cause::DnsIntercepted));
        known.learn(
            Contrast::ResolversDisagree,
            survey.comparison.worry > Worry::Fine && !survey.custom.addresses.is_empty() && !azure.addresses.is_empty(),
        );
    }
}

/// Whether the deciding exchange itself failed, whatever was made of it.
fn has_failed(visit: &Visit) -> bool {
    visit.outcomes.first().is_some_and(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
}

/// The address that an endpoint's latest visit asked, or its own.
pub fn address_of(view: &EndpointView) -> Option<IpAddr> {
    match view.endpoint.host {
        Host::Address(address) => Some(address),
        Host::Name(_) => view.last.as_deref().and_then(visited),
    }
}

fn visited(visit: &Visit) -> Option<IpAddr> {
    let asked = visit.outcomes.first().map(|outcome| outcome.address.ip());
    asked.or_else(|| visit.resolution.as_ref()?.addresses.first().copied())
}

/// A peer's clock minus ours, in seconds, where the exchange told.
fn clock_offset(outcome: &Outcome) -> Option<f64> {
    let packet = outcome.ntp_packet().filter(|packet| packet.stratum > 0 && packet.leap != 3 && packet.has_timestamps);
    packet.map(|packet| packet.offset).or_else(|| outcome.http_answer()?.clock_offset)
}

/// The last two labels of a name, which unrelated hosts do not share; an address stands for itself.
pub fn domain(host: &Host) -> String {
    match host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => {
            let labels: Vec<&str> = name.rsplit('.').take(2).collect();
            labels.into_iter().rev().collect::<Vec<_>>().join(".")
        }
    }
}
