//! What the servers are asked now and then to see whether they, or something on the path to them, invent answers: each
//! one a name that cannot exist (NXDOMAIN rewriting), and an address where no server can be any name (interception).

use std::{net::SocketAddr, time::Duration};

use ase_probes::clock;
use futures_util::future::join_all;
use rand::{Rng, rngs::StdRng};

use crate::resolvers::{compare::DnsOutcome, nonexistent::BELOW, survey::Surveyor};

/// What one server did with a name that cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTrial {
    /// The server.
    pub server: SocketAddr,
    /// How it answered: NXDOMAIN is right, an address is invented.
    pub outcome: DnsOutcome,
    /// Whether the invented address came from somebody on the path, who is merely faster than the server.
    pub is_raced: bool,
}

impl ServerTrial {
    /// Whether the server invents answers; `None` if it said neither yes nor no.
    pub fn invents(&self) -> Option<bool> {
        match self.outcome {
            DnsOutcome::Answer => Some(!self.is_raced),
            DnsOutcome::Nodata | DnsOutcome::Nxdomain => Some(false),
            DnsOutcome::Servfail
            | DnsOutcome::Refused
            | DnsOutcome::Formerr
            | DnsOutcome::Timeout
            | DnsOutcome::Malformed
            | DnsOutcome::Unasked(_) => None,
        }
    }
}

/// One trial of all servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// When it was made, since the Unix epoch.
    pub at: Duration,
    /// Whether something answers DNS where no server can be; `None` where it was not asked.
    pub intercepted: Option<bool>,
    /// Every server, in order.
    pub servers: Vec<ServerTrial>,
}

impl Trial {
    /// Whether somebody on the path to this server answers in its place.
    pub fn is_raced(&self, server: SocketAddr) -> bool {
        self.servers.iter().any(|trial| trial.server == server && trial.is_raced)
    }

    /// Whether this server invents answers; `None` if that is not known.
    pub fn invents(&self, server: SocketAddr) -> Option<bool> {
        self.servers.iter().find(|trial| trial.server == server)?.invents()
    }
}

impl Surveyor {
    /// Tries every server once.
    pub async fn trial(&self, mut rng: StdRng) -> Trial {
        let at = clock::wall();
        let mut targets = self.custom.clone();
        if !targets.contains(&self.azure) {
            targets.push(self.azure);
        }
        let name = format!("ase-agent-{:016x}.{BELOW}", rng.next_u64());
        let canary = self.canary_answers(rng.next_u64());
        let servers = targets.into_iter().map(|server| {
            let (name, nonces) = (&name, (rng.next_u64(), rng.next_u64()));
            async move {
                let answer = self.ask(server, name, nonces.0).await;
                let is_raced =
                    answer.outcome == DnsOutcome::Answer && self.is_from_path(server, name, &answer, nonces.1).await;
                ServerTrial { server, outcome: answer.outcome, is_raced: is_raced || answer.conflicting }
            }
        });
        let (intercepted, servers) = tokio::join!(canary, join_all(servers));
        Trial { at, intercepted, servers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_a_name_that_cannot_exist_is_invented_and_silence_says_nothing() {
        let server = SocketAddr::from(([10, 0, 0, 4], 53));
        for (outcome, invents) in [
            (DnsOutcome::Answer, Some(true)),
            (DnsOutcome::Nxdomain, Some(false)),
            (DnsOutcome::Nodata, Some(false)),
            (DnsOutcome::Timeout, None),
            (DnsOutcome::Refused, None),
        ] {
            let tried = |is_raced| ServerTrial { server, outcome, is_raced };
            let raced = Trial { at: Duration::ZERO, intercepted: None, servers: vec![tried(true)] };
            assert_ne!(raced.invents(server), Some(true), "{outcome:?}: somebody else does");
            let trial = Trial { servers: vec![tried(false)], ..raced };
            assert_eq!(trial.invents(server), invents, "{outcome:?}");
            assert!(!trial.is_raced(server));
            assert_eq!(trial.invents(SocketAddr::from(([10, 0, 0, 5], 53))), None);
        }
    }
}
