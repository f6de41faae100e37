//! One address asked to the end: within the flow budget, along redirects, and fairly, so that silence counts against a
//! peer only where it had time to answer.

use std::{net::SocketAddr, time::Duration};

use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    egress::Shape,
    evidence::Ending,
    http, local_facts,
    outcome::{Outcome, Protocol},
    probe::Probe,
    resolve::{Resolution, Resolver},
    verdict::Verdict,
};
use rand::{Rng, rngs::StdRng};

use crate::{
    model::visit::Untested,
    net::{domain, policy::Reached},
    visit::{rests::SharedRests, terms::Terms},
};

/// Redirects followed at most.
const MAX_HOPS: usize = 3;
/// A peer that stays silent for less than this was not given a chance: TCP sends an unanswered SYN again after 1 s
/// (RFC 6298 section 2), so that less than that is one packet's luck.
pub const FAIR: Duration = Duration::from_secs(1);

/// The time that a peer must have had before its silence counts, under a deadline that was once so long. Short time-outs
/// are the operator's choice: a quarter of them is fair then.
pub(super) fn fair(timeout: Duration) -> Duration {
    FAIR.min(timeout / 4)
}

/// What asking one address brought.
#[derive(Debug)]
pub(super) struct Asked {
    /// The endpoint's address; the outcome may be that of a redirect's target.
    pub(super) address: SocketAddr,
    /// What was learned, or why nothing was.
    pub(super) result: Result<Outcome, Untested>,
    /// What was noticed on the way.
    pub(super) remarks: Vec<String>,
    /// Whether a redirect led to a name whose DNS servers did not answer.
    pub(super) led_into_silence: bool,
}

/// One address under way.
pub(super) struct Exchange<'a> {
    /// The servers that resolve the names behind redirects, as they did the endpoint's own.
    pub(super) resolver: &'a Resolver,
    pub(super) terms: &'a Terms,
    pub(super) deadline: Deadline,
    pub(super) fair: Duration,
    /// Whether the address failed a moment ago, and is asked again to confirm that.
    pub(super) confirms: bool,
    /// Who knows when the address may be asked, where it is a public time server.
    pub(super) rests: Option<&'a SharedRests>,
    pub(super) rng: StdRng,
    pub(super) remarks: Vec<String>,
    pub(super) led_into_silence: bool,
}

impl Exchange<'_> {
    /// Asks one address; follows redirects where the proof lies behind them.
    pub(super) async fn ask(mut self, probe: &Probe, address: SocketAddr) -> Asked {
        let result = match probe {
            Probe::Http(question) => self.browse(question.clone(), address).await,
            Probe::Dns(_) | Probe::Ntp(_) | Probe::Tds(_) | Probe::Tcp(_) => self.attempt(probe, address).await,
        };
        Asked { address, result, remarks: self.remarks, led_into_silence: self.led_into_silence }
    }

    async fn browse(&mut self, first: http::Question, address: SocketAddr) -> Result<Outcome, Untested> {
        let mut trail = vec![first];
        let mut outcome = self.request(&mut trail[0], address).await?;
        while let Some(mut next) = self.next(&trail, &outcome) {
            let Some(hop) = self.hop_address(&trail[0], &next, address).await? else { break };
            let phases = outcome.phases;
            outcome = self.request(&mut next, hop).await?;
            outcome.phases.add(&phases);
            trail.push(next);
        }
        Ok(outcome)
    }

    /// The question that a redirect leads to, if there is one that may be asked.
    fn next(&mut self, trail: &[http::Question], outcome: &Outcome) -> Option<http::Question> {
        let question = trail.last()?;
        let (next, remark) = match redirect(question, outcome)? {
            Err(rule) => (None, format!("the redirect from {} is not followed: {rule}", question.host)),
            Ok(next) if next == *question => (None, format!("{} redirects to itself", question.address())),
            Ok(next) if trail.contains(&next) => {
                (None, format!("redirects lead in a circle, back to {}", next.address()))
            }
            Ok(_) if trail.len() > MAX_HOPS => (None, format!("more than {MAX_HOPS} redirects")),
            Ok(next) if !self.terms.policy.allows_port(question.port, next.port) => {
                let port = next.port;
                (
                    None,
                    format!(
                        "the redirect from {} to {}:{port} is not followed: port {port} is none of the web (80, 443); list it \
                     under addresses.redirect_ports if it is meant",
                        question.host, next.host
                    ),
                )
            }
            Ok(next) if next.host.eq_ignore_ascii_case(&question.host) => {
                let remark = format!("{} redirects to {}", question.address(), next.address());
                (Some(next), remark)
            }
            Ok(next) => {
                let mut remark = format!("{} redirects to {}, a dependency of its own", question.host, next.host);
                // No fault: whoever moves leaves one, and portals do so as well.
                if let Some(domain) = domain::left(&question.host, &next.host) {
                    remark.push_str(&format!(", in another registrable domain ({domain})"));
                }
                (Some(next), remark)
            }
        };
        self.remarks.push(remark);
        next
    }

    /// Asks over HTTP, and once more over HTTP/1.1 where the peer wants that (RFC 9113 section 7).
    async fn request(&mut self, question: &mut http::Question, address: SocketAddr) -> Result<Outcome, Untested> {
        let outcome = self.attempt(&Probe::Http(question.clone()), address).await?;
        if !matches!(&outcome.protocol, Protocol::Http(reply) if reply.wants_http1) {
            return Ok(outcome);
        }
        self.remarks
            .push(format!("{} wants HTTP/1.1 (RFC 9113 section 7) and was asked again over that", question.host));
        question.session.http1_only = true;
        let mut answered = self.attempt(&Probe::Http(question.clone()), address).await?;
        answered.phases.add(&outcome.phases);
        Ok(answered)
    }

    /// Where to ask next. Whoever is led back to the host or the address that was asked stays there: what was right for the
    /// operator's own name is right for it still, and each address is judged by itself.
    async fn hop_address(
        &mut self,
        first: &http::Question,
        next: &http::Question,
        asked: SocketAddr,
    ) -> Result<Option<SocketAddr>, Untested> {
        let there = |address| Ok(Some(SocketAddr::new(address, next.port)));
        if next.host.eq_ignore_ascii_case(&first.host) {
            return there(asked.ip());
        }
        let had = self.deadline.remaining();
        let nonce = self.rng.next_u64();
        let resolution = self.resolver.resolve(&next.host, &self.terms.egress, self.deadline, nonce).await;
        let addresses = self.terms.order(&resolution.addresses, &mut self.remarks);
        if addresses.contains(&asked.ip()) {
            return there(asked.ip());
        }
        let Some(address) = addresses.first().copied() else {
            if had < self.fair && is_silent(&resolution) {
                return Err(Untested::NoTime);
            }
            self.led_into_silence = resolution.telling().is_some_and(is_silence);
            resolution.describe(&mut self.remarks);
            return Ok(None);
        };
        // This machine's own addresses are public to nobody else's word.
        let is_own = !self.terms.policy.lists(address) && local_facts::is_own(address, &self.terms.egress);
        let is_allowed = self.terms.allows(address, Reached::Redirect) && !is_own;
        if is_allowed { there(address) } else { Err(Untested::Forbidden(address)) }
    }

    /// Makes one exchange, where there is time and budget for it.
    async fn attempt(&mut self, probe: &Probe, address: SocketAddr) -> Result<Outcome, Untested> {
        let had = self.deadline.remaining();
        if had.is_zero() {
            return Err(Untested::NoTime);
        }
        let flows = &self.terms.flows;
        let has_flow = if self.confirms { flows.take_to_confirm(address) } else { flows.take(address) };
        if !has_flow {
            return Err(Untested::BudgetSpent);
        }
        let turn = match self.rests {
            Some(rests) => Some((rests, rests.take(address.ip(), self.confirms).ok_or(Untested::Resting)?)),
            None => None,
        };
        let Terms { egress, trust, .. } = self.terms;
        let (deadline, nonce) = (self.deadline, self.rng.next_u64());
        let outcome = probe.run(&Attempt { address, deadline, egress, nonce, shape: Shape::default() }, trust).await;
        if let Some((rests, turn)) = turn {
            rests.heard(address.ip(), turn, &outcome.verdict);
        }
        if had < self.fair && is_silence(&outcome) { Err(Untested::NoTime) } else { Ok(outcome) }
    }
}

/// Whether an exchange failed because nobody spoke.
fn is_silence(outcome: &Outcome) -> bool {
    let stop = outcome.seen.stop.as_ref();
    matches!(outcome.verdict, Verdict::Failed(_)) && stop.is_some_and(|s| s.trouble.ending() == Ending::Silence)
}

/// Whether a name has no address because the last server that was asked did not answer.
pub(super) fn is_silent(resolution: &Resolution) -> bool {
    resolution.failures.last().is_some_and(is_silence)
}

fn redirect(question: &http::Question, outcome: &Outcome) -> Option<Result<http::Question, &'static str>> {
    match (&question.proof, &outcome.protocol) {
        (http::Proof::AnyResponse, _) => None,
        (_, Protocol::Http(reply)) => http::redirect_target(question, reply.answer.as_ref()?),
        (_, Protocol::Nothing | Protocol::Dns(_) | Protocol::Ntp(_) | Protocol::Tds(_) | Protocol::Tcp(_)) => None,
    }
}
