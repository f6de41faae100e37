//! One visit to one endpoint: resolve its name, ask all its addresses side by side, and sum up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    clock,
    deadline::Deadline,
    egress::Egress,
    outcome::Outcome,
    resolve::{Resolution, Resolver},
    seen::Phases,
    tls::Trust,
    verdict::{Confidence, Finding, Phase, Verdict},
};
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    model::{
        catalog::{Addresses, Endpoint, ExpectAddress, Host},
        settings::Settings,
        visit::{Unasked, Untested, Visit},
    },
    net::{
        address::is_private,
        policy::{AddressPolicy, Reached},
    },
    visit::{
        exchange::{Asked, Exchange, fair},
        flow_budget::FlowBudget,
    },
};

/// Addresses of one name asked at most, all at once.
const MAX_ADDRESSES: usize = 8;
/// Time one DNS server gets to answer one question before the next is asked.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(2);

/// Makes visits, all under the same settings.
#[derive(Debug)]
pub struct Visitor {
    resolver: Resolver,
    pub(super) egress: Egress,
    pub(super) trust: Trust,
    pub(super) policy: AddressPolicy,
    flows: Mutex<FlowBudget>,
}

/// Why a visit is made now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occasion {
    /// The addresses that failed a moment ago, where the visit is to confirm that: they are asked beside what the name
    /// gives now.
    pub confirm: Vec<IpAddr>,
    /// The time in which the answer is wanted, where that may be shorter than the endpoint's time-out.
    pub within: Option<Duration>,
}

/// The addresses that a visit is about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    asked: Vec<IpAddr>,
    unasked: Vec<(IpAddr, Untested)>,
}

impl Visitor {
    /// Prepares visits under these settings.
    pub fn new(settings: &Settings) -> Self {
        let servers = settings.resolvers.custom.clone();
        Self {
            resolver: Resolver { servers, timeout: RESOLVER_PATIENCE, attempts: 1 },
            egress: settings.egress.clone(),
            trust: settings.trust.clone(),
            policy: settings.policy.clone(),
            flows: Mutex::new(FlowBudget::new(settings.pace.flows_per_destination)),
        }
    }

    /// Makes one visit within the endpoint's timeout, or the occasion's where that is shorter.
    pub async fn visit(&self, endpoint: &Endpoint, occasion: &Occasion, mut rng: StdRng) -> Visit {
        let (began, start) = (clock::wall(), clock::now());
        let confirm = &*occasion.confirm;
        let deadline =
            Deadline::within(occasion.within.unwrap_or(endpoint.target.timeout).min(endpoint.target.timeout));
        let resolution = match &endpoint.target.host {
            Host::Address(_) => None,
            Host::Name(name) => Some(self.look_up(name, deadline, rng.next_u64()).await),
        };
        let mut visit = Visit {
            began,
            took: Duration::ZERO,
            phases: Phases::default(),
            outcomes: Vec::new(),
            unasked: Vec::new(),
            failed: Vec::new(),
            confirmed_by: 0,
            remarks: moved(confirm, resolution.as_ref()).into_iter().collect(),
            result: Err(Untested::NotYet),
            resolution,
        };
        match self.choose(endpoint, visit.resolution.as_ref(), confirm) {
            Err(finding) => visit.result = Ok(finding.failed()),
            Ok(chosen) => {
                let asked = self.ask_all(endpoint, &chosen.asked, deadline, rng).await;
                take_in(&mut visit, asked);
                let on_port = |(address, why)| Unasked { address: SocketAddr::new(address, endpoint.target.port), why };
                visit.unasked.extend(chosen.unasked.into_iter().map(on_port));
                visit.result = match sum_up(&visit.outcomes) {
                    Some(verdict) => Ok(expected_kind(endpoint, &chosen.asked, verdict, &mut visit.remarks)),
                    None => Err(visit.unasked.first().map_or(Untested::NoTime, |unasked| unasked.why)),
                };
            }
        }
        visit.phases = phases(&visit);
        visit.took = start.elapsed();
        visit
    }

    /// Takes over what an earlier visitor has spent: new settings give no destination new flows.
    pub fn inherit(&mut self, earlier: &Self) {
        let spent = earlier.flows.lock().unwrap_or_else(PoisonError::into_inner);
        self.flows.get_mut().unwrap_or_else(PoisonError::into_inner).inherit(&spent);
    }

    pub(super) fn may_open(&self, destination: SocketAddr) -> bool {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).take(destination, clock::now())
    }

    pub(super) async fn look_up(&self, name: &str, deadline: Deadline, nonce: u64) -> Resolution {
        self.resolver.resolve(name, &self.egress, deadline, nonce).await
    }

    /// The addresses to ask, or why there is none.
    fn choose(
        &self,
        endpoint: &Endpoint,
        resolution: Option<&Resolution>,
        confirm: &[IpAddr],
    ) -> Result<Chosen, Finding> {
        let (found, reached) = match (&endpoint.target.host, resolution) {
            (Host::Address(address), _) => (vec![*address], Reached::Literal),
            (Host::Name(_), None) => (Vec::new(), Reached::Name),
            (Host::Name(_), Some(resolution)) => match resolution.finding {
                Some(finding) => return Err(finding),
                None => (resolution.addresses.clone(), Reached::Name),
            },
        };
        if found.is_empty() {
            return Err(Finding::new(Cause::DnsNodata, Phase::Dns, Confidence::Confirmed));
        }
        let mut chosen = Chosen::default();
        chosen.add(&found, endpoint.target.addresses, |address| self.policy.allows(address, reached));
        chosen.add(confirm, Addresses::All, |address| self.policy.allows(address, reached));
        Ok(chosen)
    }

    /// Asks all addresses at once: each has all the time that is left.
    async fn ask_all(
        &self,
        endpoint: &Endpoint,
        addresses: &[IpAddr],
        deadline: Deadline,
        mut rng: StdRng,
    ) -> Vec<Asked> {
        let exchanges = addresses.iter().map(|address| {
            let rng = StdRng::from_rng(&mut rng);
            let exchange =
                Exchange { visitor: self, deadline, fair: fair(endpoint.target.timeout), rng, remarks: Vec::new() };
            exchange.ask(&endpoint.target.probe, SocketAddr::new(*address, endpoint.target.port))
        });
        join_all(exchanges).await
    }
}

impl Chosen {
    /// Adds addresses, each once; what may not be asked is noted with the reason.
    fn add(&mut self, addresses: &[IpAddr], which: Addresses, is_allowed: impl Fn(IpAddr) -> bool) {
        let mut room = match which {
            Addresses::All => MAX_ADDRESSES,
            Addresses::First => 1,
        };
        for address in addresses.iter().copied() {
            if self.asked.contains(&address) {
                continue;
            }
            if !is_allowed(address) {
                self.unasked.push((address, Untested::Forbidden(address)));
            } else if room > 0 {
                room -= 1;
                self.asked.push(address);
            } else if which == Addresses::All {
                self.unasked.push((address, Untested::BeyondLimit));
            } else {
                return;
            }
        }
    }
}

/// What is worth saying about a name that led elsewhere when its failure was confirmed.
fn moved(confirm: &[IpAddr], resolution: Option<&Resolution>) -> Option<String> {
    let now = resolution.filter(|resolution| resolution.finding.is_none())?;
    let gone: Vec<_> =
        confirm.iter().filter(|address| !now.addresses.contains(address)).map(IpAddr::to_string).collect();
    let first = now.addresses.first().filter(|_| !gone.is_empty())?;
    Some(format!("{} moved meanwhile: from {}, which failed and is asked again, to {first}", now.name, gone.join(", ")))
}

/// Takes in what the addresses brought, the deciding exchange first.
fn take_in(visit: &mut Visit, asked: Vec<Asked>) {
    for Asked { address, result, remarks } in asked {
        visit.remarks.extend(remarks);
        match result {
            Ok(outcome) => {
                if matches!(outcome.verdict, Verdict::Failed(_)) {
                    visit.failed.push(address.ip());
                }
                visit.outcomes.push(outcome);
            }
            Err(why) => visit.unasked.push(Unasked { address, why }),
        }
    }
    visit.remarks.dedup();
    visit.outcomes.sort_by_key(|outcome| rank(&outcome.verdict));
}

/// The time of each phase: the resolution's, and those of the deciding exchange.
fn phases(visit: &Visit) -> Phases {
    let mut phases = Phases::default();
    if let Some(resolution) = &visit.resolution {
        phases.record(Phase::Dns, resolution.elapsed);
    }
    if let Some(outcome) = visit.outcomes.first() {
        phases.add(&outcome.phases);
    }
    phases
}

/// Reachable over the wrong kind of address is a finding, even where the peer proves itself.
fn expected_kind(endpoint: &Endpoint, addresses: &[IpAddr], verdict: Verdict, remarks: &mut Vec<String>) -> Verdict {
    let wrong = |address: &&IpAddr| match endpoint.target.expect_address {
        ExpectAddress::Any => false,
        ExpectAddress::Private => !is_private(**address),
        ExpectAddress::Public => is_private(**address),
    };
    match (verdict, addresses.iter().find(wrong)) {
        (Verdict::Healthy, Some(address)) => {
            remarks.push(format!("{address} is not the kind of address that the configuration expects"));
            Verdict::Degraded(Finding::new(Cause::DnsDivergent, Phase::Dns, Confidence::Likely))
        }
        (verdict, _) => verdict,
    }
}

/// The deciding outcome comes first: failures before what is merely odd, what is odd before what is well.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Failed(_) => 0,
        Verdict::Degraded(_) => 1,
        Verdict::Healthy => 2,
        Verdict::Inconclusive(_) => 3,
    }
}

/// The verdict per name: lost only when no address works, degraded when some do not. `None` when nobody was asked.
fn sum_up(outcomes: &[Outcome]) -> Option<Verdict> {
    let works = |v: &Verdict| matches!(v, Verdict::Healthy | Verdict::Degraded(_));
    let any_works = outcomes.iter().any(|outcome| works(&outcome.verdict));
    match outcomes.first()?.verdict {
        Verdict::Failed(finding) if any_works => Some(Verdict::Degraded(finding)),
        verdict => Some(verdict),
    }
}

#[cfg(test)]
#[path = "visitor_tests.rs"]
mod tests;
