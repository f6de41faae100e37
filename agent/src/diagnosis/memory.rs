//! What the visits of the last minutes showed in their order: which ports fail and succeed in turn, how many packets were
//! sent again, which round trips grew.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use ase_probes::{evidence::TcpInfo, outcome::Outcome, verdict::Phase};

/// What happened longer ago than this is forgotten.
const SPAN: Duration = Duration::from_secs(180);
/// A success within this time after a failure is a recovery; later it is the end of an outage.
const SOON: Duration = Duration::from_secs(15);
/// Failures in a row beyond which a success ends an outage.
const SHORT: u32 = 3;
/// Recoveries that make a port's failures intermittent.
const RECOVERIES: usize = 2;
/// Recoveries and connections that are kept.
const KEPT: usize = 1024;
/// Segments that a probe sends at least: SYN, ACK, request, ACK, FIN.
const SEGMENTS: u64 = 5;
/// The share of lost packets that is worth a word, as the lower end of the 95 % interval.
const LOSS: f64 = 0.02;
/// Packets sent again, on that many endpoints, below which nothing is said.
const RESENT: (u64, usize) = (5, 2);
/// Loss goes on: a burst that is shorter is a moment of a busy machine, here or there.
const LASTING: Duration = Duration::from_secs(5);
/// Connections whose handshake had to be repeated, per endpoint and in all, that make a pattern.
const HANDSHAKES: (usize, usize) = (1, 3);
/// The kernel repeats an unanswered SYN after this (RFC 6298 section 2).
const SYN_AGAIN: Duration = Duration::from_millis(990);
/// Above this round trip the kernel sends a SYN again before its answer can be there (RFC 6298).
const SPURIOUS: Duration = Duration::from_millis(900);
/// A path with a smaller MTU costs one packet that is sent again.
const FULL_MTU: u32 = 1500;
/// Round trips in a row that must have grown.
const GROWN: usize = 3;
/// How much round trips must have grown, as a factor and by how long.
const ROUND_TRIP: (u32, Duration) = (4, Duration::from_millis(100));
/// How much the time of a whole exchange must have grown: servers may take their time.
const EXCHANGE: (u32, Duration) = (4, Duration::from_secs(1));

/// A port, and whether by datagram.
pub type Port = (u16, bool);

/// The last failures of each endpoint, the recoveries from them, packets sent again, and round trips.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    failing: BTreeMap<usize, (u32, Instant)>,
    recoveries: VecDeque<(Instant, usize, Port)>,
    connections: VecDeque<Connection>,
    round_trips: BTreeMap<usize, Usual>,
    exchanges: BTreeMap<usize, Usual>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    at: Instant,
    index: usize,
    resent: u64,
    /// Whether its handshake took a second or longer, which is when the kernel repeats a SYN.
    shook_hands_again: bool,
}

/// How long something usually takes, and how often in a row it took several times as long.
#[derive(Clone, Debug, Default)]
struct Usual {
    usual: Duration,
    learned: usize,
    grown: usize,
}

impl Usual {
    fn observe(&mut self, took: Duration, (factor, by): (u32, Duration)) {
        if self.learned >= GROWN && took >= self.usual * factor && took >= self.usual + by {
            self.grown += 1;
            return;
        }
        self.grown = 0;
        self.usual = if self.learned == 0 { took } else { self.usual * 7 / 8 + took / 8 };
        self.learned += 1;
    }
}

impl Memory {
    /// Takes in whether a visit that tested an endpoint worked.
    pub fn record(&mut self, index: usize, port: Port, works: bool, now: Instant) {
        self.forget(now);
        if !works {
            let (count, at) = self.failing.entry(index).or_insert((0, now));
            (*count, *at) = (count.saturating_add(1), now);
            return;
        }
        if let Some((count, at)) = self.failing.remove(&index)
            && count <= SHORT
            && now.duration_since(at) <= SOON
        {
            self.recoveries.push_back((now, index, port));
        }
    }

    /// Takes in how packets fared on an exchange.
    pub fn measure(&mut self, index: usize, outcome: &Outcome, now: Instant) {
        if let Some(round_trip) = outcome.seen.round_trip {
            self.round_trips.entry(index).or_default().observe(round_trip, ROUND_TRIP);
        }
        if outcome.seen.stop.is_some() {
            return;
        }
        let handshake = outcome.phases.of(Phase::Connect).unwrap_or_default();
        self.exchanges.entry(index).or_default().observe(outcome.phases.total().saturating_sub(handshake), EXCHANGE);
        if let Some(resent) = outcome.seen.tcp.and_then(|info| resent(&info)) {
            self.connections.push_back(Connection {
                at: now,
                index,
                resent,
                shook_hands_again: handshake >= SYN_AGAIN,
            });
        }
    }

    /// Whether visits on a port fail and succeed in turn.
    pub fn is_intermittent(&self, port: Port, now: Instant) -> bool {
        let here = self.recoveries.iter().filter(|(at, _, on)| *on == port && is_recent(*at, now)).count();
        here >= RECOVERIES || self.is_intermittent_everywhere(now)
    }

    /// Whether visits fail and succeed in turn on several ports.
    pub fn is_intermittent_everywhere(&self, now: Instant) -> bool {
        let recent = || self.recoveries.iter().filter(|(at, ..)| is_recent(*at, now));
        let ports: BTreeSet<Port> = recent().map(|(_, _, port)| *port).collect();
        ports.len() > 1 && recent().count() > RECOVERIES
    }

    /// Whether an endpoint recovered from a short failure lately.
    pub fn has_recovered(&self, index: usize, now: Instant) -> bool {
        self.recoveries.iter().any(|(at, who, _)| *who == index && is_recent(*at, now))
    }

    /// Whether packets are lost at a rate worth a word, on several endpoints' connections.
    pub fn is_lossy(&self, now: Instant) -> bool {
        let recent = || self.connections.iter().filter(|connection| is_recent(connection.at, now));
        let resent: u64 = recent().map(|connection| connection.resent).sum();
        let sent = recent().count() as u64 * SEGMENTS + resent;
        let hit: BTreeSet<usize> = recent().filter(|connection| connection.resent > 0).map(|c| c.index).collect();
        let hits = || recent().filter(|connection| connection.resent > 0).map(|connection| connection.at);
        let lasts = hits().min().zip(hits().max()).is_some_and(|(first, last)| last.duration_since(first) >= LASTING);
        let in_midstream = recent().any(|connection| connection.resent > 0 && !connection.shook_hands_again);
        lasts && in_midstream && resent >= RESENT.0 && hit.len() >= RESENT.1 && lower_bound(resent, sent) >= LOSS
    }

    /// Whether new flows have to knock again and again, at the same endpoints, while established ones lose nothing.
    pub fn only_handshakes_repeat(&self, now: Instant) -> bool {
        let hit = self.connections.iter().filter(|c| is_recent(c.at, now) && c.resent > 0);
        let mut by_endpoint: BTreeMap<usize, usize> = BTreeMap::new();
        for connection in hit {
            if !connection.shook_hands_again {
                return false;
            }
            *by_endpoint.entry(connection.index).or_default() += 1;
        }
        let (each, all) = HANDSHAKES;
        by_endpoint.values().sum::<usize>() >= all && by_endpoint.values().any(|count| *count > each)
    }

    /// Whether packets of an endpoint's connections were sent again lately.
    pub fn has_lost(&self, index: usize, now: Instant) -> bool {
        let hit = |connection: &&Connection| connection.index == index && connection.resent > 0;
        self.connections.iter().filter(hit).any(|connection| is_recent(connection.at, now))
    }

    /// Whether an endpoint's last round trips or exchanges took several times as long as they did.
    pub fn is_slow(&self, index: usize) -> bool {
        [&self.round_trips, &self.exchanges]
            .iter()
            .any(|kept| kept.get(&index).is_some_and(|usual| usual.grown >= GROWN))
    }

    /// Forgets everything, as indices change at a reload.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn forget(&mut self, now: Instant) {
        while self.recoveries.len() > KEPT || self.recoveries.front().is_some_and(|(at, ..)| !is_recent(*at, now)) {
            self.recoveries.pop_front();
        }
        while self.connections.len() > KEPT || self.connections.front().is_some_and(|c| !is_recent(c.at, now)) {
            self.connections.pop_front();
        }
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.duration_since(at) <= SPAN
}

/// The packets that were sent again because they were lost; `None` where something else may be behind it.
fn resent(info: &TcpInfo) -> Option<u64> {
    let lost = info.retransmits.saturating_sub(info.spurious);
    let explained = info.round_trip > SPURIOUS || (0..FULL_MTU).contains(&info.path_mtu);
    (lost == 0 || !explained).then_some(u64::from(lost))
}

/// The lower end of the 95 % interval of a share (Wilson 1927).
fn lower_bound(hits: u64, of: u64) -> f64 {
    if of == 0 {
        return 0.0;
    }
    const Z: f64 = 1.96;
    let (n, share) = (of as f64, hits as f64 / of as f64);
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    (centre - spread) / (1.0 + Z * Z / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{
        outcome::Protocol,
        seen::{Phases, Seen},
        verdict::Verdict,
    };

    const HTTPS: Port = (443, false);

    fn start() -> Instant {
        ase_probes::clock::now()
    }

    fn outcome(retransmits: u32, round_trip: u64) -> Outcome {
        let round_trip = Duration::from_millis(round_trip);
        let tcp = TcpInfo { retransmits, round_trip, path_mtu: FULL_MTU, ..TcpInfo::default() };
        let seen = Seen { tcp: Some(tcp), round_trip: Some(round_trip), ..Seen::default() };
        Outcome {
            address: ([198, 18, 0, 1], 443).into(),
            phases: Phases::default(),
            verdict: Verdict::Healthy,
            seen,
            protocol: Protocol::Nothing,
        }
    }

    #[test]
    fn a_port_is_intermittent_after_two_quick_recoveries_and_not_after_an_outage() {
        let start = start();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::default();
        memory.record(0, HTTPS, false, at(0));
        memory.record(0, HTTPS, true, at(2));
        assert!(!memory.is_intermittent(HTTPS, at(2)), "one lost packet is no pattern");
        memory.record(1, HTTPS, false, at(5));
        memory.record(1, HTTPS, true, at(7));
        assert!(memory.is_intermittent(HTTPS, at(7)) && !memory.is_intermittent((80, false), at(7)));
        assert!(!memory.is_intermittent(HTTPS, at(200)), "forgotten after three minutes");

        let mut outage = Memory::default();
        for second in 0..10 {
            (0..5).for_each(|index| outage.record(index, HTTPS, false, at(second * 10)));
        }
        (0..5).for_each(|index| outage.record(index, HTTPS, true, at(100)));
        assert!(!outage.is_intermittent(HTTPS, at(100)));
    }

    #[test]
    fn loss_needs_several_packets_on_several_endpoints_over_some_time() {
        let now = start();
        let later = now + LASTING;
        let mut memory = Memory::default();
        (0..40).for_each(|turn| memory.measure(turn % 8, &outcome(u32::from(turn < 4), 5), now));
        assert!(!memory.is_lossy(later), "four packets are no pattern");
        (0..6).for_each(|turn| memory.measure(turn, &outcome(1, 5), now));
        assert!(!memory.is_lossy(now), "a burst is a busy moment");
        memory.measure(5, &outcome(1, 5), later);
        assert!(!memory.only_handshakes_repeat(later), "data was sent again too");
        assert!(memory.is_lossy(later) && memory.has_lost(5, later) && !memory.has_lost(7, later));
        let many = |index: fn(usize) -> usize, outcome: &Outcome| {
            let mut memory = Memory::default();
            (0..20).for_each(|turn| memory.measure(index(turn), outcome, now + LASTING * (turn % 2) as u32));
            memory.is_lossy(later)
        };
        assert!(many(|turn| turn, &outcome(2, 5)));
        assert!(!many(|_| 0, &outcome(2, 5)), "one endpoint speaks for itself");
        assert!(!many(|turn| turn, &outcome(1, 1200)), "above a second the kernel repeats what was not lost");
        let mut late = outcome(2, 5);
        late.seen.tcp = late.seen.tcp.map(|info| TcpInfo { spurious: 2, ..info });
        assert!(!many(|turn| turn, &late), "what came twice was not lost");
    }

    #[test]
    fn handshakes_that_must_be_repeated_at_the_same_endpoints_are_a_full_table() {
        let now = start();
        let mut again = outcome(1, 5);
        again.phases.record(Phase::Connect, Duration::from_millis(1010));
        let mut memory = Memory::default();
        (0..5).for_each(|index| memory.measure(index, &again, now));
        assert!(!memory.only_handshakes_repeat(now), "one lost SYN each is chance");
        (0..2).for_each(|_| memory.measure(0, &again, now));
        assert!(memory.only_handshakes_repeat(now) && !memory.is_lossy(now));
        memory.measure(3, &outcome(1, 5), now);
        assert!(!memory.only_handshakes_repeat(now), "an established flow lost something");
    }

    #[test]
    fn a_path_that_got_slow_is_noticed_after_three_visits_and_jitter_is_not() {
        let now = start();
        let mut memory = Memory::default();
        (0..5).for_each(|_| memory.measure(0, &outcome(0, 5), now));
        memory.measure(0, &outcome(0, 300), now);
        memory.measure(0, &outcome(0, 6), now);
        assert!(!memory.is_slow(0));
        (0..3).for_each(|_| memory.measure(0, &outcome(0, 300), now));
        assert!(memory.is_slow(0));
        memory.measure(0, &outcome(0, 7), now);
        assert!(!memory.is_slow(0));
    }

    #[test]
    fn the_lower_bound_is_wilsons() {
        assert!((lower_bound(5, 100) - 0.0215).abs() < 0.0005);
        assert_eq!(lower_bound(0, 0), 0.0);
    }
}
