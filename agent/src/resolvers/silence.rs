//! Counts how many names in a row a side left unanswered; `names.rs` decides what is not asked for that. And remembers for a
//! moment which custom server was silent, so that not every name waits for it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::resolvers::compare::{DnsOutcome, Server};

/// A server that was silent is asked last for this long: ten times as long as one name waits for it, so that a server's
/// silence costs a tenth of the time of all names at most.
const HUSH: Duration = Duration::from_secs(20);

/// How many surveys in a row each side left without any answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    custom: usize,
    azure: usize,
}

impl Silence {
    /// Takes in how both sides answered for one name.
    pub(super) fn hear(&mut self, custom: DnsOutcome, azure: DnsOutcome) {
        let count = |before: usize, outcome| if outcome == DnsOutcome::Timeout { before.saturating_add(1) } else { 0 };
        (self.custom, self.azure) = (count(self.custom, custom), count(self.azure, azure));
    }

    /// The side that left so many names in a row unanswered, the custom DNS first.
    pub(super) fn side(self, names: usize) -> Option<Server> {
        if self.custom >= names {
            Some(Server::Custom)
        } else if self.azure >= names {
            Some(Server::Azure)
        } else {
            None
        }
    }
}

/// The servers that were silent a moment ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hush {
    until: BTreeMap<SocketAddr, Instant>,
}

impl Hush {
    /// Takes in how a server answered.
    pub(super) fn hear(&mut self, server: SocketAddr, outcome: DnsOutcome, now: Instant) {
        if outcome == DnsOutcome::Timeout {
            self.until.insert(server, now + HUSH);
        } else {
            self.until.remove(&server);
        }
    }

    /// The servers in the order in which they are asked.
    pub(super) fn speakers_first(&self, servers: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        let mut ordered = servers.to_vec();
        ordered.sort_by_key(|server| self.until.get(server).is_some_and(|until| now < *until));
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_last_for_a_moment_after_its_silence_and_in_its_place_when_it_speaks() {
        let start = ase_probes::clock::now();
        let servers = [4, 5, 6].map(|last| SocketAddr::from(([10, 0, 0, last], 53)));
        let [first, second, third] = servers;
        let mut hush = Hush::default();
        hush.hear(first, DnsOutcome::Servfail, start);
        assert_eq!(hush.speakers_first(&servers, start), servers, "whoever fails aloud takes no time");
        hush.hear(first, DnsOutcome::Timeout, start);
        assert_eq!(hush.speakers_first(&servers, start + HUSH / 2), [second, third, first]);
        assert_eq!(hush.speakers_first(&servers, start + HUSH), servers, "it is tried again");
        servers.iter().for_each(|server| hush.hear(*server, DnsOutcome::Timeout, start));
        assert_eq!(hush.speakers_first(&servers, start), servers, "nobody is better");
        hush.hear(second, DnsOutcome::Answer, start);
        assert_eq!(hush.speakers_first(&servers, start), [second, first, third]);
    }

    #[test]
    fn a_side_is_silent_after_names_in_a_row_and_speaks_after_one_answer() {
        let mut silence = Silence::default();
        for (custom, azure, side) in [
            (DnsOutcome::Timeout, DnsOutcome::Answer, None),
            (DnsOutcome::Timeout, DnsOutcome::Answer, None),
            (DnsOutcome::Servfail, DnsOutcome::Timeout, None),
            (DnsOutcome::Timeout, DnsOutcome::Timeout, None),
            (DnsOutcome::Timeout, DnsOutcome::Timeout, Some(Server::Azure)),
            (DnsOutcome::Timeout, DnsOutcome::Timeout, Some(Server::Custom)),
            (DnsOutcome::Nxdomain, DnsOutcome::Answer, None),
        ] {
            silence.hear(custom, azure);
            assert_eq!(silence.side(3), side, "{custom:?}, {azure:?}");
        }
    }
}
