//! Asks the custom DNS and Azure DNS the same name and gathers what a comparison of their answers needs: nothing more
//! than the two answers while they agree, contrast measurements where they do not.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::{
    attempt::Attempt,
    cause::Cause,
    clock,
    deadline::Deadline,
    dns::{self, Question, Rcode, RecordType, Transport},
    egress::{Egress, Shape},
    evidence::Trouble,
    http,
    probe::Probe,
    seen::Seen,
    tls::{Trust, Verify},
    verdict::Verdict,
};
use futures_util::future::join_all;
use ipnet::IpNet;
use rand::{Rng, rngs::StdRng};
use tokio::sync::Mutex;

use crate::{
    model::{
        catalog::{Catalog, Host, ResolvedBy},
        settings::{Declared, Settings},
    },
    net::{
        address,
        policy::{AddressPolicy, Reached},
    },
    resolvers::compare::{
        self, Annotation, Answer, Circumstances, Comparison, DnsOutcome, History, Inventor, TlsConfirmation, Worry,
    },
    resolvers::{nonexistent, silence::Hush, varying::MANAGED},
};

type Exchange = ase_probes::seen::Exchange<dns::Reply>;

/// Both sides are asked within this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time that a second, injected answer gets to arrive.
const LINGER: Duration = Duration::from_millis(150);
/// Time of one handshake that confirms an address.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Addresses of each side that are confirmed at most.
pub const CONFIRMED: usize = 2;
/// Time that the canary waits: who intercepts is near.
const CANARY_PATIENCE: Duration = Duration::from_secs(1);
/// Time for which the canary's answer counts.
pub const CANARY_FRESH: Duration = Duration::from_secs(60);
/// Where no DNS server can be: an answer means interception.
pub const CANARY: SocketAddr = SocketAddr::new(address::CANARY, 53);

/// One name asked at both sides.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The name.
    pub name: String,
    /// The custom server whose answer was taken.
    pub server: SocketAddr,
    /// Azure DNS.
    pub azure_server: SocketAddr,
    /// The custom DNS's answer.
    pub custom: Answer,
    /// Azure DNS's answer.
    pub azure: Answer,
    /// What is known beside the answers.
    pub known: Circumstances,
    /// What the two mean together.
    pub comparison: Comparison,
    /// What is worth knowing about the custom DNS's answer and changes nothing.
    pub annotations: Vec<Annotation>,
}

impl Survey {
    /// Whether the two sides lead to different places as far as anything tells: it should worry somebody, or they have parted.
    pub fn differs(&self) -> bool {
        self.comparison.worry > Worry::Fine || self.known.parted
    }

    /// Both answers side by side, in plain words.
    pub fn said(&self) -> String {
        let Self { name, custom, azure, .. } = self;
        let (server, azure_server) = (self.server.ip(), self.azure_server.ip());
        format!("answers for {name}: {} by {server}, {} by Azure DNS ({azure_server})", custom.said(), azure.said())
    }
}

/// Why a name was not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("not compared: {}", .0.definition().summary)]
pub struct NotAsked(
    /// The fault of this machine.
    pub Cause,
);

/// Makes surveys, all under the same settings.
#[derive(Clone, Debug)]
pub struct Surveyor {
    /// The custom servers, in order; at least one.
    pub custom: Vec<SocketAddr>,
    /// Azure DNS.
    pub azure: SocketAddr,
    /// Source address and interface.
    pub egress: Arc<Egress>,
    /// The authorities for confirming handshakes.
    pub trust: Trust,
    /// Which addresses may be reached.
    pub policy: AddressPolicy,
    /// What the operator declared.
    pub declared: Declared,
    /// The names that the platform asks Azure DNS for, and nobody else.
    pub of_the_platform: BTreeSet<String>,
    /// Whether apps that the custom DNS leaves without an answer get one of Azure DNS.
    pub falls_back: bool,
    /// What the canary said last, and when; surveys share it.
    pub canary: Arc<Mutex<Option<(Instant, bool)>>>,
    /// Which custom servers were silent a moment ago; surveys share it.
    pub hush: Arc<Mutex<Hush>>,
}

/// The names of a catalogue that Azure DNS alone resolves.
fn of_the_platform(catalog: &Catalog) -> BTreeSet<String> {
    let targets = catalog.endpoints.iter().map(|endpoint| &endpoint.target);
    let names =
        targets.filter(|target| target.resolved_by == ResolvedBy::Azure).filter_map(|target| match &target.host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        });
    names.collect()
}

impl Surveyor {
    /// Prepares surveys under these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            custom: settings.resolvers.custom.clone(),
            azure: settings.resolvers.azure,
            egress: Arc::new(settings.egress.clone()),
            trust: settings.trust.clone(),
            policy: settings.policy.clone(),
            declared: settings.declared.clone(),
            of_the_platform: of_the_platform(&settings.catalog),
            falls_back: settings.catalog.falls_back,
            canary: Arc::default(),
            hush: Arc::default(),
        }
    }

    /// Asks both sides and says what the answers mean. Contrast measurements are made only where they can decide.
    ///
    /// # Errors
    /// A fault of this machine for which one side was not asked: then there is nothing to compare.
    pub async fn survey(&self, name: &str, mut rng: StdRng) -> Result<Survey, NotAsked> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let (nonce, other) = (rng.next_u64(), rng.next_u64());
        let ((server, custom), azure) = tokio::join!(self.ask_custom(&name, nonce), self.ask(self.azure, &name, other));
        if let Some(cause) = custom.outcome.fault().or(azure.outcome.fault()) {
            return Err(NotAsked(cause));
        }
        let custom = self.with_zone(&name, server, custom, rng.next_u64()).await;
        let mut known = self.circumstances(&name);
        known.same_origin = same_origin(&self.declared.origins, &custom, &azure);
        let first = compare::classify(&name, &custom, &azure, &known);
        if first.class.may_be_invented() {
            known.invents = self.inventor(&name, server, &custom, &azure, &mut rng).await;
        }
        if first.class.may_be_confirmed() {
            known.intercepted = self.canary_answers(rng.next_u64()).await == Some(true);
            known.tls = self.confirm(&name, &custom, &azure, &mut rng).await;
        }
        let comparison = compare::classify(&name, &custom, &azure, &known);
        let annotations = compare::annotate(&custom, &History::default());
        let azure_server = self.azure;
        Ok(Survey { name, server, azure_server, custom, azure, known, comparison, annotations })
    }

    /// Asks a server that answers as an authority which zone it hosts.
    async fn with_zone(&self, name: &str, server: SocketAddr, answer: Answer, nonce: u64) -> Answer {
        if !answer.authoritative || answer.soa_zone.is_some() {
            return answer;
        }
        let start = self.exchange(server, name, RecordType::Soa, Deadline::within(PATIENCE), nonce).await;
        Answer { soa_zone: start.reply.answer.and_then(|found| found.soa_zone), ..answer }
    }

    fn circumstances(&self, name: &str) -> Circumstances {
        let below = |suffix: &String| name == suffix || name.ends_with(&format!(".{suffix}"));
        Circumstances {
            expected_private: self.declared.private.iter().any(below),
            of_the_platform: self.of_the_platform.contains(name),
            no_fallback: !self.falls_back,
            managed: MANAGED.iter().map(|suffix| (*suffix).to_owned()).chain(self.declared.managed.clone()).collect(),
            sinkholes: self.declared.sinkholes.clone(),
            ..Circumstances::default()
        }
    }

    /// The first custom server that says yes or no, but those that were silent a moment ago are asked last; the first
    /// server's failure if none does.
    async fn ask_custom(&self, name: &str, nonce: u64) -> (SocketAddr, Answer) {
        let mut failures = BTreeMap::new();
        let in_turn = self.hush.lock().await.speakers_first(&self.custom, clock::now());
        for server in in_turn {
            let answer = self.ask(server, name, nonce).await;
            self.hush.lock().await.hear(server, answer.outcome, clock::now());
            if !answer.outcome.is_failure() {
                return (server, answer);
            }
            failures.insert(server, answer);
        }
        let of_first = self.custom.first().and_then(|first| failures.remove_entry(first));
        of_first.unwrap_or_else(|| (self.azure, Answer::without_addresses(DnsOutcome::Timeout)))
    }

    /// Asks one server for both families.
    pub(crate) async fn ask(&self, server: SocketAddr, name: &str, nonce: u64) -> Answer {
        let deadline = Deadline::within(PATIENCE);
        let (v4, v6) = tokio::join!(
            self.exchange(server, name, RecordType::A, deadline, nonce),
            self.exchange(server, name, RecordType::Aaaa, deadline, nonce.rotate_left(17)),
        );
        merge(heard(&v4), heard(&v6))
    }

    async fn exchange(
        &self,
        server: SocketAddr,
        name: &str,
        record: RecordType,
        deadline: Deadline,
        nonce: u64,
    ) -> Exchange {
        let question = Question::address(name.to_owned(), record, Transport::Udp).lingering(LINGER);
        question.ask(&self.attempt(server, deadline, nonce)).await
    }

    fn attempt(&self, address: SocketAddr, deadline: Deadline, nonce: u64) -> Attempt<'_> {
        Attempt { address, deadline, egress: &self.egress, nonce, shape: Shape::default() }
    }

    /// Who answers names that cannot exist with the addresses of the side that answers alone (D17): one beside the name,
    /// and one outside its zone. A zone with a wildcard answers only the first, and invents nothing.
    async fn inventor(
        &self,
        name: &str,
        server: SocketAddr,
        custom: &Answer,
        azure: &Answer,
        rng: &mut StdRng,
    ) -> Option<Inventor> {
        let (side, at, real) = match (custom.outcome, azure.outcome) {
            (DnsOutcome::Answer, _) => (Inventor::Custom, server, custom),
            (_, DnsOutcome::Answer) => (Inventor::Azure, self.azure, azure),
            _ => return None,
        };
        let parent = name.split_once('.').map_or(name, |(_, parent)| parent);
        for zone in [parent, nonexistent::outside(name)] {
            let sibling = format!("ase-agent-{:016x}.{zone}", rng.next_u64());
            let invented = self.ask(at, &sibling, rng.next_u64()).await;
            if invented.outcome != DnsOutcome::Answer || invented.addresses.is_disjoint(&real.addresses) {
                return None;
            }
            if self.is_from_path(at, &sibling, &invented, rng.next_u64()).await {
                return Some(Inventor::Path);
            }
        }
        Some(side)
    }

    /// Whether the address of a name that cannot exist comes from somebody on the path, who is merely faster than the
    /// server: the server's own answer comes as well, or over TCP it denies the name.
    pub(crate) async fn is_from_path(&self, server: SocketAddr, name: &str, invented: &Answer, nonce: u64) -> bool {
        let deadline = Deadline::within(PATIENCE);
        let question = Question::address(name.to_owned(), RecordType::A, Transport::Tcp);
        invented.conflicting || {
            let exchange = question.ask(&self.attempt(server, deadline, nonce)).await;
            exchange.reply.answer.is_some_and(|answer| answer.rcode == Rcode::NxDomain)
        }
    }

    /// Whether an address where no server can be answers a DNS question (D4). Not asked where the policy denies it, nor
    /// again while its last answer is fresh, nor where all servers are this machine's own: then there is no path.
    pub(crate) async fn canary_answers(&self, nonce: u64) -> Option<bool> {
        let local = self.custom.iter().chain([&self.azure]).all(|server| server.ip().is_loopback());
        if local || !self.policy.allows(CANARY.ip(), Reached::Literal) {
            return None;
        }
        let mut last = self.canary.lock().await;
        Some(match *last {
            Some((asked, answered)) if asked.elapsed() < CANARY_FRESH => answered,
            Some(_) | None => {
                let deadline = Deadline::within(CANARY_PATIENCE);
                let question = Question::liveness("www.microsoft.com".to_owned(), Transport::Udp);
                let outcome = question.run(&self.attempt(CANARY, deadline, nonce)).await;
                heard(&outcome).outcome.fault().is_none().then_some(())?;
                let answered = outcome.reply.answer.is_some();
                *last = Some((clock::now(), answered));
                answered
            }
        })
    }

    /// Whether a certificate for the name verifies at each side's addresses (rule 19). `None` where one side has no
    /// address that may be reached.
    async fn confirm(&self, name: &str, custom: &Answer, azure: &Answer, rng: &mut StdRng) -> Option<TlsConfirmation> {
        let (nonce, other) = (rng.next_u64(), rng.next_u64());
        let (custom, azure) =
            tokio::join!(self.proves(name, &custom.addresses, nonce), self.proves(name, &azure.addresses, other));
        Some(TlsConfirmation { custom: custom?, azure: azure? })
    }

    async fn proves(&self, name: &str, addresses: &BTreeSet<IpAddr>, nonce: u64) -> Option<bool> {
        let allowed: Vec<_> =
            addresses.iter().filter(|ip| self.policy.allows(**ip, Reached::Name)).take(CONFIRMED).collect();
        let probe = Probe::Http(http::Question {
            scheme: http::Scheme::Https(Verify::Full),
            host: name.to_owned(),
            port: 443,
            path: "/".to_owned(),
            proof: http::Proof::AnyResponse,
            session: http::Session::default(),
        });
        let (egress, trust) = (&*self.egress, &self.trust);
        let deadline = Deadline::within(HANDSHAKE);
        let proofs = allowed.iter().map(|address| async {
            let address = SocketAddr::new(**address, 443);
            let attempt = Attempt { address, deadline, egress, nonce, shape: Shape::default() };
            match probe.run(&attempt, trust).await.verdict {
                Verdict::Healthy | Verdict::Degraded(_) => Some(true),
                Verdict::Failed(_) => Some(false),
                Verdict::Inconclusive(_) => None,
            }
        });
        // One proof is enough; without one, an address that this machine could not ask may have given it.
        let proofs = join_all(proofs).await;
        let is_open = proofs.is_empty() || (proofs.contains(&None) && !proofs.contains(&Some(true)));
        (!is_open).then(|| proofs.contains(&Some(true)))
    }
}

/// The origin that holds every address of both sides (rule 18).
fn same_origin(origins: &BTreeMap<String, Vec<IpNet>>, custom: &Answer, azure: &Answer) -> Option<String> {
    let holds = |prefixes: &[IpNet], answer: &Answer| {
        !answer.addresses.is_empty()
            && answer.addresses.iter().all(|address| prefixes.iter().any(|prefix| prefix.contains(address)))
    };
    let found = origins.iter().find(|(_, prefixes)| holds(prefixes, custom) && holds(prefixes, azure));
    found.map(|(name, _)| name.clone())
}

/// Brings one exchange into normal form; where this machine could not ask, that is all it says.
fn heard(exchange: &Exchange) -> Answer {
    let cause = exchange.verdict.finding().map(|finding| finding.cause);
    match cause.filter(|cause| exchange.reply.answer.is_none() && cause.is_local()) {
        Some(cause) => Answer::without_addresses(DnsOutcome::Unasked(cause)),
        None => normal(&exchange.seen, &exchange.reply),
    }
}

/// Brings one exchange into normal form.
pub(crate) fn normal(seen: &Seen, reply: &dns::Reply) -> Answer {
    match &reply.answer {
        Some(answer) => {
            let found = from_wire(answer);
            let (why, remarks) = match found.outcome {
                DnsOutcome::Answer => (None, reply.remarks()),
                _ => (Some(reply.remarks().join("; ")).filter(|why| !why.is_empty()), Vec::new()),
            };
            Answer { conflicting: reply.conflicting, response: seen.round_trip, why, remarks, ..found }
        }
        None => {
            let why = reply.unreadable.map(|unreadable| unreadable.what.to_owned());
            let spoilt = reply.length_over_tcp.map(|_| "over TCP the answer is whole".to_owned());
            let why = why.into_iter().chain(spoilt).collect::<Vec<_>>().join("; ");
            let found = Answer::without_addresses(failure_of(seen, reply));
            Answer { why: Some(why).filter(|why| !why.is_empty()), ..found }
        }
    }
}

fn failure_of(seen: &Seen, reply: &dns::Reply) -> DnsOutcome {
    match seen.stop.as_ref().map(|stop| &stop.trouble) {
        Some(Trouble::Malformed(_) | Trouble::TooMuch(_)) => DnsOutcome::Malformed,
        _ if reply.strays > 0 => DnsOutcome::Malformed,
        _ => DnsOutcome::Timeout,
    }
}

fn from_wire(answer: &dns::Answer) -> Answer {
    let outcome = match answer.rcode {
        Rcode::NoError if answer.is_referral() => DnsOutcome::Refused,
        // What was cut to nothing even over TCP says neither yes nor no.
        Rcode::NoError if answer.addresses.is_empty() && answer.truncated => DnsOutcome::Malformed,
        Rcode::NoError if answer.addresses.is_empty() => DnsOutcome::Nodata,
        Rcode::NoError => DnsOutcome::Answer,
        Rcode::NxDomain => DnsOutcome::Nxdomain,
        Rcode::Refused => DnsOutcome::Refused,
        Rcode::ServFail => DnsOutcome::Servfail,
        Rcode::FormErr | Rcode::NotImp | Rcode::BadVers | Rcode::Other(_) => DnsOutcome::Formerr,
    };
    let addresses: BTreeSet<IpAddr> = answer.addresses.iter().copied().collect();
    Answer {
        chain: answer.chain.clone(),
        recent: addresses.clone(),
        addresses,
        soa_zone: answer.soa_zone.clone(),
        authoritative: answer.authoritative,
        ttl: answer.min_ttl,
        ..Answer::without_addresses(outcome)
    }
}

/// Both families together. Where neither has an address, IPv4 decides, unless it merely has none and IPv6 was not
/// answered: that is no denial.
fn merge(v4: Answer, v6: Answer) -> Answer {
    let conflicting = v4.conflicting || v6.conflicting;
    let merged = match (v4.outcome, v6.outcome) {
        (DnsOutcome::Answer, DnsOutcome::Answer) => {
            let mut both = v4;
            both.addresses.extend(&v6.addresses);
            both.recent.extend(&v6.addresses);
            both.ttl = both.ttl.into_iter().chain(v6.ttl).min();
            both
        }
        (DnsOutcome::Answer, _) => v4,
        (_, DnsOutcome::Answer) => v6,
        (DnsOutcome::Nodata, failed) if failed.is_failure() => v6,
        (_, _) => v4,
    };
    Answer { conflicting, ..merged }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_must_hold_every_address_of_both_sides() {
        let origins = BTreeMap::from([
            ("near".to_owned(), vec!["20.0.0.0/16".parse().expect("a prefix")]),
            ("wide".to_owned(), ["20.0.0.0/16", "20.9.0.0/16"].iter().map(|p| p.parse().expect("a prefix")).collect()),
        ]);
        let found = |custom: &[&str], azure: &[&str]| {
            same_origin(&origins, &Answer::with(&[], custom), &Answer::with(&[], azure))
        };
        assert_eq!(found(&["20.0.0.1"], &["20.0.9.1"]), Some("near".to_owned()));
        assert_eq!(found(&["20.0.0.1"], &["20.9.0.1"]), Some("wide".to_owned()));
        assert_eq!(found(&["20.0.0.1", "20.1.0.1"], &["20.0.0.2"]), None);
        assert_eq!(found(&[], &["20.0.0.2"]), None);
    }

    #[test]
    fn a_family_without_addresses_takes_nothing_from_the_other() {
        let v4 = Answer::with(&["a.net"], &["20.0.0.1"]);
        let v6 = Answer::with(&["a.net"], &["2a01::1"]);
        let none = Answer::without_addresses;
        assert_eq!(merge(v4.clone(), none(DnsOutcome::Nodata)), v4);
        assert_eq!(merge(none(DnsOutcome::Nodata), v6.clone()), v6);
        assert_eq!(merge(none(DnsOutcome::Nxdomain), none(DnsOutcome::Timeout)), none(DnsOutcome::Nxdomain));
        assert_eq!(
            merge(none(DnsOutcome::Nodata), none(DnsOutcome::Servfail)),
            none(DnsOutcome::Servfail),
            "no denial"
        );
        let raced = Answer { conflicting: true, ..none(DnsOutcome::Nodata) };
        assert!(merge(v4.clone(), raced).conflicting, "whichever family was raced");
        assert_eq!(merge(v4, v6).addresses.len(), 2);
    }
}
