//! One visit to one endpoint: resolve its name, ask each address, follow redirects, and sum up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ase_probes::{
    attempt::Attempt,
    cause::Cause,
    clock,
    deadline::Deadline,
    egress::{Egress, Shape},
    http,
    outcome::{Outcome, Protocol},
    probe::Probe,
    resolve::{Resolution, Resolver},
    seen::Phases,
    tls::Trust,
    verdict::{Confidence, Finding, Phase, Verdict},
};
use rand::{Rng, rngs::StdRng};

use crate::{
    model::{
        catalog::{Addresses, Endpoint, ExpectAddress, Host},
        settings::Settings,
        visit::{Untested, Visit},
    },
    net::{
        address::is_private,
        policy::{AddressPolicy, Reached},
    },
    visit::flow_budget::FlowBudget,
};

/// Redirects followed at most.
const MAX_HOPS: usize = 3;
/// Addresses of one name tried at most.
const MAX_ADDRESSES: usize = 8;
/// Time one DNS server gets to answer one question before the next is asked.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(2);

/// Makes visits, all under the same settings.
#[derive(Debug)]
pub struct Visitor {
    resolver: Resolver,
    egress: Egress,
    trust: Trust,
    policy: AddressPolicy,
    flows: Mutex<FlowBudget>,
}

/// A visit under way: what is spent and noticed so far.
struct Errand<'a> {
    visitor: &'a Visitor,
    deadline: Deadline,
    rng: StdRng,
    remarks: Vec<String>,
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

    /// Makes one visit within the endpoint's timeout.
    pub async fn visit(&self, endpoint: &Endpoint, rng: StdRng) -> Visit {
        let (began, start) = (clock::wall(), clock::now());
        let deadline = Deadline::within(endpoint.timeout);
        let mut errand = Errand { visitor: self, deadline, rng, remarks: Vec::new() };
        let resolution = errand.resolve(&endpoint.host).await;
        let (outcomes, result) = match errand.addresses(endpoint, resolution.as_ref()) {
            Err(result) => (Vec::new(), result),
            Ok(addresses) => errand.ask_all(endpoint, &addresses).await,
        };
        let mut phases = Phases::default();
        if let Some(resolution) = &resolution {
            phases.record(Phase::Dns, resolution.elapsed);
        }
        if let Some(outcome) = outcomes.first() {
            phases.add(&outcome.phases);
        }
        Visit { began, took: start.elapsed(), phases, resolution, outcomes, remarks: errand.remarks, result }
    }

    fn may_open(&self, destination: SocketAddr) -> bool {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).take(destination, clock::now())
    }
}

impl Errand<'_> {
    async fn resolve(&mut self, host: &Host) -> Option<Resolution> {
        match host {
            Host::Address(_) => None,
            Host::Name(name) => Some(self.look_up(name).await),
        }
    }

    async fn look_up(&mut self, name: &str) -> Resolution {
        let nonce = self.rng.next_u64();
        self.visitor.resolver.resolve(name, &self.visitor.egress, self.deadline, nonce).await
    }

    /// The addresses to ask, or the end of the visit.
    fn addresses(
        &self,
        endpoint: &Endpoint,
        resolution: Option<&Resolution>,
    ) -> Result<Vec<IpAddr>, Result<Verdict, Untested>> {
        let (found, reached) = match (&endpoint.host, resolution) {
            (Host::Address(address), _) => (vec![*address], Reached::Literal),
            (Host::Name(_), None) => (Vec::new(), Reached::Name),
            (Host::Name(_), Some(resolution)) => {
                if let Some(finding) = resolution.finding {
                    return Err(Ok(finding.failed()));
                }
                (resolution.addresses.clone(), Reached::Name)
            }
        };
        let limit = match endpoint.addresses {
            Addresses::All => MAX_ADDRESSES,
            Addresses::First => 1,
        };
        let policy = &self.visitor.policy;
        let allowed: Vec<_> = found.iter().copied().filter(|ip| policy.allows(*ip, reached)).take(limit).collect();
        match (allowed.is_empty(), found.first()) {
            (true, Some(first)) => Err(Err(Untested::Forbidden(*first))),
            (true, None) => Err(Ok(Finding::new(Cause::DnsNodata, Phase::Dns, Confidence::Confirmed).failed())),
            (false, _) => Ok(allowed),
        }
    }

    async fn ask_all(
        &mut self,
        endpoint: &Endpoint,
        addresses: &[IpAddr],
    ) -> (Vec<Outcome>, Result<Verdict, Untested>) {
        let mut outcomes = Vec::with_capacity(addresses.len());
        for address in addresses {
            let destination = SocketAddr::new(*address, endpoint.port);
            if !self.visitor.may_open(destination) {
                return (outcomes, Err(Untested::BudgetSpent));
            }
            match self.ask(&endpoint.probe, destination).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(untested) => return (outcomes, Err(untested)),
            }
        }
        outcomes.sort_by_key(|outcome| rank(&outcome.verdict));
        let verdict = self.expected_kind(endpoint, addresses, sum_up(&outcomes));
        (outcomes, Ok(verdict))
    }

    /// Asks one address; follows redirects where the proof lies behind them.
    async fn ask(&mut self, probe: &Probe, destination: SocketAddr) -> Result<Outcome, Untested> {
        let mut outcome = self.attempt(probe, destination).await;
        let Probe::Http(first) = probe else { return Ok(outcome) };
        let mut question = first.clone();
        for _ in 0..MAX_HOPS {
            let Some(next) = redirect(&question, &outcome) else { return Ok(outcome) };
            let next = match next {
                Ok(next) => next,
                Err(rule) => {
                    self.remarks.push(format!("the redirect from {} is not followed: {rule}", question.host));
                    return Ok(outcome);
                }
            };
            self.remarks.push(format!("{} redirects to {}, a dependency of its own", question.host, next.host));
            let Some(hop) = self.hop_address(&next).await? else { return Ok(outcome) };
            let phases = outcome.phases;
            outcome = self.attempt(&Probe::Http(next.clone()), hop).await;
            outcome.phases.add(&phases);
            question = next;
        }
        self.remarks.push(format!("more than {MAX_HOPS} redirects"));
        Ok(outcome)
    }

    async fn hop_address(&mut self, question: &http::Question) -> Result<Option<SocketAddr>, Untested> {
        let resolution = self.look_up(&question.host).await;
        let Some(address) = resolution.addresses.first().copied() else {
            resolution.describe(&mut self.remarks);
            return Ok(None);
        };
        if !self.visitor.policy.allows(address, Reached::Redirect) {
            return Err(Untested::Forbidden(address));
        }
        let destination = SocketAddr::new(address, question.port);
        if self.visitor.may_open(destination) { Ok(Some(destination)) } else { Err(Untested::BudgetSpent) }
    }

    async fn attempt(&mut self, probe: &Probe, address: SocketAddr) -> Outcome {
        let Visitor { egress, trust, .. } = self.visitor;
        let (deadline, nonce) = (self.deadline, self.rng.next_u64());
        probe.run(&Attempt { address, deadline, egress, nonce, shape: Shape::default() }, trust).await
    }

    /// Reachable over the wrong kind of address is a finding, even where the peer proves itself.
    fn expected_kind(&mut self, endpoint: &Endpoint, addresses: &[IpAddr], verdict: Verdict) -> Verdict {
        let wrong = |address: &&IpAddr| match endpoint.expect_address {
            ExpectAddress::Any => false,
            ExpectAddress::Private => !is_private(**address),
            ExpectAddress::Public => is_private(**address),
        };
        match (verdict, addresses.iter().find(wrong)) {
            (Verdict::Healthy, Some(address)) => {
                self.remarks.push(format!("{address} is not the kind of address that the configuration expects"));
                Verdict::Degraded(Finding::new(Cause::DnsDivergent, Phase::Dns, Confidence::Likely))
            }
            (verdict, _) => verdict,
        }
    }
}

fn redirect(question: &http::Question, outcome: &Outcome) -> Option<Result<http::Question, &'static str>> {
    match (&question.proof, &outcome.protocol) {
        (http::Proof::AnyResponse, _) => None,
        (_, Protocol::Http(reply)) => http::redirect_target(question, reply.answer.as_ref()?),
        (_, Protocol::Nothing | Protocol::Dns(_) | Protocol::Ntp(_) | Protocol::Tds(_) | Protocol::Tcp(_)) => None,
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

/// The verdict per name: lost only when no address works, degraded when some do not.
fn sum_up(outcomes: &[Outcome]) -> Verdict {
    let works = |v: &Verdict| matches!(v, Verdict::Healthy | Verdict::Degraded(_));
    let any_works = outcomes.iter().any(|outcome| works(&outcome.verdict));
    match outcomes.first().map(|outcome| outcome.verdict) {
        Some(Verdict::Failed(finding)) if any_works => Verdict::Degraded(finding),
        Some(verdict) => verdict,
        None => Verdict::Inconclusive(Finding::new(Cause::LocalSetup, Phase::Local, Confidence::Possible)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::seen::Seen;

    fn outcome(verdict: Verdict) -> Outcome {
        let address = ([198, 18, 0, 1], 443).into();
        Outcome { address, phases: Phases::default(), verdict, seen: Seen::default(), protocol: Protocol::Nothing }
    }

    #[test]
    fn one_bad_address_behind_a_good_name_degrades_it() {
        let refused = Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely);
        let local = Finding::new(Cause::LocalRoute, Phase::Local, Confidence::Confirmed);
        let (good, bad, own) =
            (outcome(Verdict::Healthy), outcome(Verdict::Failed(refused)), outcome(Verdict::Inconclusive(local)));
        let sorted = |mut outcomes: Vec<Outcome>| {
            outcomes.sort_by_key(|outcome| rank(&outcome.verdict));
            sum_up(&outcomes)
        };
        assert_eq!(sorted(vec![good.clone(), bad.clone()]), Verdict::Degraded(refused));
        assert_eq!(sorted(vec![bad.clone(), bad]), Verdict::Failed(refused));
        assert_eq!(sorted(vec![own.clone(), good.clone()]), Verdict::Healthy);
        assert_eq!(sorted(vec![own.clone(), own]), Verdict::Inconclusive(local));
        assert_eq!(sorted(vec![good]), Verdict::Healthy);
    }
}
