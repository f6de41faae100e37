//! One visit to one target: resolve its name, ask all its addresses side by side, and sum up.

use std::{
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    clock,
    deadline::Deadline,
    outcome::Outcome,
    resolve::{Resolution, Resolver},
    seen::Phases,
    verdict::{Confidence, Finding, Phase, Verdict},
};
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    model::{
        settings::Resolvers,
        target::{Addresses, ExpectAddress, Host, ResolvedBy, Target},
        visit::{Judgement, Unasked, Untested, Visit},
    },
    net::{address::is_private, policy::Reached},
    visit::{
        exchange::{Asked, Exchange, fair, is_silent},
        terms::Terms,
    },
};

/// The most time one DNS server gets to answer one question before the next is asked; within short time-outs it is less.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(2);

/// Makes visits to any target, for any caller: all ask the same DNS servers.
#[derive(Debug)]
pub struct Visitor {
    /// What apps ask.
    custom: Resolver,
    /// What the platform asks.
    azure: Resolver,
}

/// Why a visit is made now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occasion {
    /// The addresses that failed a moment ago, where the visit is to confirm that: they are asked beside what the name
    /// gives now.
    pub confirm: Vec<IpAddr>,
    /// The time in which the answer is wanted, where that may be shorter than the target's time-out.
    pub within: Option<Duration>,
    /// The addresses to which the name led a moment ago, where the visit was put off then: while they may get no new flow,
    /// nobody is asked for the name again.
    pub led_to: Vec<IpAddr>,
}

/// The addresses that a visit is about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    asked: Vec<IpAddr>,
    unasked: Vec<(IpAddr, Untested)>,
}

impl Visitor {
    /// Prepares visits whose names these servers resolve.
    pub fn new(resolvers: &Resolvers) -> Self {
        let asking = |servers| Resolver { servers, timeout: RESOLVER_PATIENCE, attempts: 1 };
        Self { custom: asking(resolvers.custom.clone()), azure: asking(vec![resolvers.azure]) }
    }

    /// Makes one visit within the target's time-out, or the occasion's where that is shorter.
    pub async fn visit(&self, target: &Target, terms: &Terms, occasion: &Occasion, rng: StdRng) -> Visit {
        let within = occasion.within.map_or(target.timeout, |within| within.min(target.timeout));
        let errand = Errand { visitor: self, target, terms, deadline: Deadline::within(within) };
        match errand.spent(occasion) {
            Some(spent) => errand.put_off(spent),
            None => errand.run(&occasion.confirm, rng).await,
        }
    }

    /// The servers that resolve the names of a target.
    pub(super) fn resolver(&self, by: ResolvedBy) -> &Resolver {
        match by {
            ResolvedBy::Custom => &self.custom,
            ResolvedBy::Azure => &self.azure,
        }
    }
}

/// One visit under way.
struct Errand<'a> {
    visitor: &'a Visitor,
    target: &'a Target,
    terms: &'a Terms,
    deadline: Deadline,
}

impl Errand<'_> {
    async fn run(&self, confirm: &[IpAddr], mut rng: StdRng) -> Visit {
        let (began, start) = (clock::wall(), clock::now());
        let had = self.deadline.remaining();
        let resolution = match &self.target.host {
            Host::Address(_) => None,
            Host::Name(name) => {
                let resolver = self.visitor.resolver(self.target.resolved_by);
                Some(resolver.resolve(name, &self.terms.egress, self.deadline, rng.next_u64()).await)
            }
        };
        let remarks = moved(confirm, resolution.as_ref()).into_iter().chain(self.platforms(resolution.as_ref()));
        let mut visit = Visit { remarks: remarks.collect(), resolution, ..Visit::nothing_yet(began) };
        match self.choose(visit.resolution.as_ref(), confirm, &mut visit.remarks) {
            Err(_) if had < fair(self.target.timeout) && visit.resolution.as_ref().is_some_and(is_silent) => {
                visit.result = Err(Untested::NoTime);
            }
            Err(finding) => visit.result = Ok(finding.failed()),
            Ok(chosen) => {
                let asked = self.ask_all(&chosen.asked, confirm, rng).await;
                take_in(&mut visit, asked);
                let on_port = |(address, why)| Unasked { address: SocketAddr::new(address, self.target.port), why };
                visit.unasked.extend(chosen.unasked.into_iter().map(on_port));
                visit.result = sum_up(&visit.outcomes, &visit.unasked)
                    .map(|verdict| expected_kind(self.target, &chosen.asked, verdict, &mut visit.remarks));
            }
        }
        visit.phases = phases(&visit);
        visit.took = start.elapsed();
        visit
    }

    /// The addresses to which the name led a moment ago, if none of them may get a new flow yet.
    fn spent(&self, occasion: &Occasion) -> Option<Vec<SocketAddr>> {
        let flows = &self.terms.flows;
        let peers: Vec<_> = occasion.led_to.iter().map(|address| SocketAddr::new(*address, self.target.port)).collect();
        let has_flow = |peer: &SocketAddr| match occasion.confirm.contains(&peer.ip()) {
            true => flows.has_to_confirm(*peer),
            false => flows.has(*peer),
        };
        (!peers.is_empty() && !peers.iter().any(has_flow)).then_some(peers)
    }

    /// A visit that asks nobody, since the budget of these addresses is spent.
    fn put_off(&self, spent: Vec<SocketAddr>) -> Visit {
        let why = Untested::BudgetSpent;
        let unasked = spent.into_iter().map(|address| Unasked { address, why }).collect();
        Visit { unasked, result: Err(why), ..Visit::nothing_yet(clock::wall()) }
    }

    /// What is to be known of a name that Azure DNS denies, and nobody else was asked for.
    fn platforms(&self, resolution: Option<&Resolution>) -> Option<String> {
        let finding = resolution?.finding?;
        let denied = matches!(finding.cause, Cause::DnsNxdomain | Cause::DnsNodata);
        (denied && self.target.resolved_by == ResolvedBy::Azure).then(|| {
            "the platform resolves this name by Azure DNS alone: a private name that only the custom DNS knows is none for it; \
             link its private zone to the virtual network"
                .to_owned()
        })
    }

    /// The addresses to ask, or why there is none.
    fn choose(
        &self,
        resolution: Option<&Resolution>,
        confirm: &[IpAddr],
        remarks: &mut Vec<String>,
    ) -> Result<Chosen, Finding> {
        let (found, reached) = match (&self.target.host, resolution) {
            (Host::Address(address), _) => (vec![*address], Reached::Literal),
            (Host::Name(_), None) => (Vec::new(), Reached::Name),
            (Host::Name(_), Some(resolution)) => match resolution.finding {
                Some(finding) => return Err(finding),
                None => (self.terms.order(&resolution.addresses, remarks), Reached::Name),
            },
        };
        if found.is_empty() {
            return Err(Finding::new(Cause::DnsNodata, Phase::Dns, Confidence::Confirmed));
        }
        // A confirmation asks those first that the visit before had no room for; those that failed are asked besides.
        let (again, first): (Vec<IpAddr>, Vec<IpAddr>) = found.iter().partition(|address| confirm.contains(address));
        let found = if self.target.addresses == Addresses::All { [first, again].concat() } else { found };
        let mut chosen = Chosen::default();
        chosen.add(&found, self.target.addresses, |address| self.terms.allows(address, reached));
        chosen.add(confirm, Addresses::All, |address| self.terms.allows(address, reached));
        chosen.unasked.retain(|(address, _)| !chosen.asked.contains(address));
        Ok(chosen)
    }

    /// Asks all addresses at once: each has all the time that is left. Some of them are to `confirm` that they failed.
    async fn ask_all(&self, addresses: &[IpAddr], confirm: &[IpAddr], mut rng: StdRng) -> Vec<Asked> {
        let rests = self.target.is_public_time_server().then_some(&*self.terms.rests);
        let exchanges = addresses.iter().map(|address| {
            let exchange = Exchange {
                resolver: self.visitor.resolver(self.target.resolved_by),
                terms: self.terms,
                deadline: self.deadline,
                fair: fair(self.target.timeout),
                confirms: confirm.contains(address),
                rests,
                rng: StdRng::from_rng(&mut rng),
                remarks: Vec::new(),
                led_into_silence: false,
            };
            exchange.ask(&self.target.probe, SocketAddr::new(*address, self.target.port))
        });
        join_all(exchanges).await
    }
}

impl Chosen {
    /// Adds addresses, each once; what may not be asked is noted with the reason.
    fn add(&mut self, addresses: &[IpAddr], which: Addresses, is_allowed: impl Fn(IpAddr) -> bool) {
        let mut room = which.most();
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
    for Asked { address, result, remarks, led_into_silence } in asked {
        visit.remarks.extend(remarks);
        visit.led_into_silence |= led_into_silence;
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
    // Among failures, what proves something comes before silence, whichever address it was.
    let proof = |outcome: &Outcome| outcome.verdict.finding().map(|finding| Reverse(finding.confidence));
    visit.outcomes.sort_by_key(|outcome| (rank(&outcome.verdict), proof(outcome)));
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
fn expected_kind(target: &Target, addresses: &[IpAddr], verdict: Verdict, remarks: &mut Vec<String>) -> Verdict {
    let wrong = |address: &&IpAddr| match target.expect_address {
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

/// The verdict per name: lost only when no address works, degraded when some do not. An address that was not asked counts
/// for neither, and is named in the evidence; where nothing works beside one that was given no chance, the name is untested.
fn sum_up(outcomes: &[Outcome], unasked: &[Unasked]) -> Judgement {
    let works = |v: &Verdict| matches!(v, Verdict::Healthy | Verdict::Degraded(_));
    let any_works = outcomes.iter().any(|outcome| works(&outcome.verdict));
    let no_chance = unasked.iter().map(|unasked| unasked.why).find(|why| was_given_no_chance(*why));
    match (outcomes.first().map(|outcome| outcome.verdict), no_chance) {
        (Some(Verdict::Failed(finding)), _) if any_works => Ok(Verdict::Degraded(finding)),
        (Some(Verdict::Failed(_)), Some(why)) => Err(why),
        (Some(verdict), _) => Ok(verdict),
        (None, _) => Err(unasked.first().map_or(Untested::NoTime, |unasked| unasked.why)),
    }
}

/// Whether an address is untested for want of time or budget, or since it rests, so that it may well work. One that the policy
/// forbids is never asked, and of one beyond the limit the addresses that were asked speak: a confirmation asks it, too.
fn was_given_no_chance(why: Untested) -> bool {
    matches!(why, Untested::NoTime | Untested::BudgetSpent | Untested::Resting)
}

#[cfg(test)]
#[path = "visitor_tests.rs"]
mod tests;
