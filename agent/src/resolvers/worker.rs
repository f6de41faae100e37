//! How an App Service worker resolves a name: all servers are asked at once, the first configured one is preferred,
//! then the try is repeated (`dnsConfiguration`, overview-name-resolution.md).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ase_probes::{
    attempt::Attempt,
    deadline::Deadline,
    dns::{Answer, Question, RecordType, Transport},
    egress::{Egress, Shape},
    outcome::Outcome,
};
use rand::{Rng, rngs::StdRng};
use tokio::task::JoinHandle;

/// The platform that an app runs on decides the documented defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// One try of 3 s.
    Windows,
    /// Five tries of 1 s.
    Linux,
}

impl Platform {
    /// `dnsRetryAttemptCount`: tries when the app sets none.
    pub fn attempts(self) -> u32 {
        match self {
            Self::Windows => 1,
            Self::Linux => 5,
        }
    }

    /// `dnsRetryAttemptTimeout`: time of one try when the app sets none.
    pub fn timeout(self) -> Duration {
        match self {
            Self::Windows => Duration::from_secs(3),
            Self::Linux => Duration::from_secs(1),
        }
    }
}

/// A worker's DNS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerDns {
    /// The servers in order of preference; at most five count.
    pub servers: Vec<SocketAddr>,
    /// `WEBSITE_DNS_ATTEMPTS`: tries, 1 to 5.
    pub attempts: u32,
    /// `WEBSITE_DNS_TIMEOUT`: time of one try, 1 s to 30 s.
    pub timeout: Duration,
    /// Azure DNS, asked last: ASE v2 falls back to it, v3 does not.
    pub fallback: Option<SocketAddr>,
}

/// Servers that count, in the order of preference.
const MAX_SERVERS: usize = 5;

/// What an app would get.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The server whose answer the app takes, or the preferred one if none answered.
    pub server: SocketAddr,
    /// Its IPv4 answer; `None` if no server gave one in all tries.
    pub answer: Option<Answer>,
    /// Tries made.
    pub tries: u32,
    /// Whether the answer came from the fall-back to Azure DNS.
    pub fell_back: bool,
    /// Every exchange of the last try, for evidence.
    pub outcomes: Vec<Outcome>,
}

impl WorkerDns {
    /// Resolves `name` as the worker would. `None` when no server is configured at all.
    pub async fn resolve(&self, name: &str, egress: &Arc<Egress>, mut rng: StdRng) -> Option<Resolved> {
        let servers: Vec<SocketAddr> = self.servers.iter().copied().take(MAX_SERVERS).collect();
        let preferred = servers.first().copied().or(self.fallback)?;
        let mut last = Vec::new();
        for attempt in 1..=self.attempts.max(1) {
            last = self.ask_all(&servers, name, egress, &mut rng).await;
            if let Some((server, answer)) = first_usable(&last) {
                return Some(Resolved {
                    server,
                    answer: Some(answer),
                    tries: attempt,
                    fell_back: false,
                    outcomes: last,
                });
            }
        }
        let tries = self.attempts.max(1);
        if let Some(fallback) = self.fallback.filter(|fallback| !servers.contains(fallback)) {
            let outcomes = self.ask_all(&[fallback], name, egress, &mut rng).await;
            let found = first_usable(&outcomes);
            last.extend(outcomes);
            if let Some((server, answer)) = found {
                return Some(Resolved { server, answer: Some(answer), tries, fell_back: true, outcomes: last });
            }
        }
        let answer = last.iter().find_map(|outcome| outcome.dns_answer().cloned());
        Some(Resolved { server: preferred, answer, tries, fell_back: false, outcomes: last })
    }

    /// Asks all servers at once and stops waiting when a preferred one has given a usable answer.
    async fn ask_all(
        &self,
        servers: &[SocketAddr],
        name: &str,
        egress: &Arc<Egress>,
        rng: &mut StdRng,
    ) -> Vec<Outcome> {
        let questions: Vec<JoinHandle<Outcome>> = servers
            .iter()
            .map(|server| ask(*server, name.to_owned(), self.timeout, Arc::clone(egress), rng.next_u64()))
            .collect();
        let mut outcomes = Vec::with_capacity(questions.len());
        let mut found = false;
        for question in questions {
            if found {
                question.abort();
            } else if let Ok(outcome) = question.await {
                found = outcome.dns_answer().is_some_and(is_usable);
                outcomes.push(outcome);
            }
        }
        outcomes
    }
}

fn ask(address: SocketAddr, name: String, timeout: Duration, egress: Arc<Egress>, nonce: u64) -> JoinHandle<Outcome> {
    tokio::spawn(async move {
        let deadline = Deadline::within(timeout);
        let attempt = Attempt { address, deadline, egress: &egress, nonce, shape: Shape::default() };
        Question::address(name, RecordType::A, Transport::Udp).ask(&attempt).await.into()
    })
}

/// Whether a worker takes this answer: yes or no are answers, a refusal and a referral to other servers are not.
fn is_usable(answer: &Answer) -> bool {
    answer.rcode.is_yes_or_no() && !answer.is_referral()
}

fn first_usable(outcomes: &[Outcome]) -> Option<(SocketAddr, Answer)> {
    outcomes.iter().find_map(|outcome| {
        outcome.dns_answer().filter(|answer| is_usable(answer)).map(|answer| (outcome.address, answer.clone()))
    })
}
