//! What one exchange showed, whatever its protocol: the kernel's traces, the end, the time of each phase.

use std::{net::SocketAddr, time::Duration};

use crate::{
    evidence::{IcmpError, Stop, TcpInfo},
    journal::Page,
    verdict::{Phase, Verdict},
};

/// The time each phase took. A phase that was not reached has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases([u64; Phase::ALL.len()]);

/// In the place of a time: the phase was not reached. Times are kept in nanoseconds, half the memory of optional durations; each
/// endpoint that is watched has two of these lists.
const NOT_REACHED: u64 = u64::MAX;

impl Default for Phases {
    fn default() -> Self {
        Self([NOT_REACHED; Phase::ALL.len()])
    }
}

impl Phases {
    /// Adds to the time of one phase.
    pub fn record(&mut self, phase: Phase, elapsed: Duration) {
        let sum = self.of(phase).unwrap_or_default().saturating_add(elapsed);
        self.0[phase as usize] = u64::try_from(sum.as_nanos()).unwrap_or(NOT_REACHED - 1).min(NOT_REACHED - 1);
    }

    /// The phases that were reached, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.into_iter().filter_map(|phase| Some((phase, self.of(phase)?)))
    }

    /// The time of one phase.
    pub fn of(&self, phase: Phase) -> Option<Duration> {
        Some(self.0[phase as usize]).filter(|nanos| *nanos != NOT_REACHED).map(Duration::from_nanos)
    }

    /// The sum of all phases.
    pub fn total(&self) -> Duration {
        self.iter().map(|(_, elapsed)| elapsed).sum()
    }

    /// Adds another exchange's phases, for one that took several steps.
    pub fn add(&mut self, other: &Self) {
        for (phase, elapsed) in other.iter() {
            self.record(phase, elapsed);
        }
    }
}

/// What came back, before anyone says what it means.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where and how the exchange ended early; `None` when it ran to its end.
    pub stop: Option<Stop>,
    /// The ICMP error that the kernel matched to the flow.
    pub icmp: Option<IcmpError>,
    /// The error number of `errno(3)` that the kernel made of an ICMP message for the established TCP connection. It keeps
    /// neither the message nor its sender then, and the connection lives on.
    pub echo: Option<i32>,
    /// The kernel's account of the TCP connection at its end.
    pub tcp: Option<TcpInfo>,
    /// The round trip as the kernel measured it: SYN to SYN-ACK, or datagram to datagram.
    pub round_trip: Option<Duration>,
    /// Who sent the UDP reply that was taken; another address than the peer's shows only with
    /// [`Shape::any_source`](crate::egress::Shape::any_source).
    pub reply_source: Option<SocketAddr>,
    /// The hop limit (TTL) with which the UDP reply arrived.
    pub hop_limit: Option<u8>,
}

impl Seen {
    /// Whether the reply that was taken came from another address or port than the peer's: no application hears it.
    pub(crate) fn is_reply_from_elsewhere(&self, peer: SocketAddr) -> bool {
        self.reply_source.is_some_and(|source| (source.ip(), source.port()) != (peer.ip(), peer.port()))
    }
}

/// One exchange with one peer, with the reply of its own protocol: what every probe returns.
#[derive(Clone, Debug)]
pub struct Exchange<R> {
    /// The peer.
    pub address: SocketAddr,
    /// How long each phase took.
    pub phases: Phases,
    /// What it means.
    pub verdict: Verdict,
    /// What it rests on, whatever the protocol.
    pub seen: Seen,
    /// What the protocol itself brought.
    pub reply: R,
}

/// An exchange under way: what it has shown so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// How long each phase took.
    pub(crate) phases: Phases,
    /// What was seen.
    pub(crate) seen: Seen,
    /// Where the messages of the connection are noted, if anybody wants to see them.
    pub(crate) page: Option<Page>,
}

impl Trace {
    /// Ends the exchange with `peer`.
    pub(crate) fn conclude<R>(self, peer: SocketAddr, verdict: Verdict, reply: R) -> Exchange<R> {
        Exchange { address: peer, phases: self.phases, verdict, seen: self.seen, reply }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_to_the_nanosecond_and_take_half_the_memory_of_optional_ones() {
        let mut phases = Phases::default();
        assert_eq!((phases.of(Phase::Tls), phases.iter().count(), phases.total()), (None, 0, Duration::ZERO));
        phases.record(Phase::Tls, Duration::ZERO);
        assert_eq!(phases.of(Phase::Tls), Some(Duration::ZERO), "a phase that took no time was reached");
        phases.record(Phase::Dns, Duration::new(1, 1));
        phases.record(Phase::Dns, Duration::new(2, 3));
        let mut both = phases;
        both.add(&phases);
        assert_eq!((both.of(Phase::Dns), both.total()), (Some(Duration::new(6, 8)), Duration::new(6, 8)));
        both.record(Phase::Dns, Duration::MAX);
        assert!(both.of(Phase::Dns).is_some_and(|longest| longest > Duration::from_secs(1 << 32)));
        assert!(size_of::<Phases>() * 2 <= size_of::<[Option<Duration>; Phase::ALL.len()]>());
    }
}
