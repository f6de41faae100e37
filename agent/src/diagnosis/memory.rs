//! What the visits of the last minutes showed in their order: which ports fail and succeed in turn, how many packets were
//! sent again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use ase_probes::{
    evidence::{Ending, TcpInfo},
    outcome::{Outcome, Protocol},
    verdict::Phase,
};

use super::{
    pace::Paces,
    window::{SPAN, SlidingWindow},
};
use crate::{model::remap::Remap, net::port::Port};

/// A success within this time after a failure is a recovery; later it is the end of an outage. It holds a confirmation
/// (after 1 s), the first visit at the failing interval (10 s), and a time-out between them.
const SOON: Duration = Duration::from_secs(15);
/// Failures in a row beyond which a success ends an outage: chance at even odds makes four in a row once in sixteen times.
const SHORT: u32 = 3;
/// Failures in a row that chance does not make even where it lets one of four visits pass: more in three of a hundred times.
const LONG: u32 = 12;
/// Recoveries that make a port's failures intermittent. One lost datagram is chance; a handshake that failed lost three SYNs
/// at least, and what one recovery leads to is only that it is measured. A single look measures at once, in the midst of loss
/// that it does not know yet, so that there one is chance, too.
const RECOVERIES: (u64, u64) = (2, 1);
/// Segments that a probe sends at least: SYN, ACK, request, ACK, FIN.
const SEGMENTS: u64 = 5;
/// The share of lost packets that is worth a word, as the lower end of the 95 % interval: at one packet in fifty TCP's
/// throughput falls by an order of magnitude (Mathis et al. 1997), and below it a healthy path cannot be told apart.
const LOSS: f64 = 0.02;
/// Packets sent again, on that many endpoints, below which nothing is said: fewer than five make no share, and one
/// endpoint speaks only for itself.
const RESENT: (u64, usize) = (5, 2);
/// Loss goes on: a burst that is shorter is a moment of a busy machine, here or there.
const LASTING: Duration = Duration::from_secs(5);
/// The same within a single look, which asks everybody in a second or two: the first time-out of retransmission is over
/// (RFC 6298 section 2).
pub const LASTING_IN_A_LOOK: Duration = Duration::from_secs(1);
/// The chance below which loss does not explain that nobody on a port answered: one in a million, since many ports are
/// watched for a long time.
const CHANCE: f64 = 1e-6;
/// The chance below which loss does not explain that only handshakes were repeated in a single look, which sees few connections.
const SPARED: f64 = 1e-3;
/// How long before the last SYN that was lost a handshake at the first try may have begun to be its control. The next SYN,
/// which passes, follows after a second (RFC 6298 section 2), so that a way that was gone came back within two.
const BESIDE: Duration = Duration::from_secs(1);
/// Handshakes that passed are remembered as controls for so long, however many there are: who asks for one began earlier, by
/// a handshake and an exchange. The kernel has sent a SYN six times by then (RFC 6298 section 2), and no time-out is longer
/// by default.
const CONTROL: Duration = Duration::from_secs(31);
/// Connections whose handshake had to be repeated that make a pattern, if an endpoint is among them twice: a full table
/// meets the same endpoints again, chance does not.
const HANDSHAKES: u64 = 3;
/// The same at one endpoint alone: one handshake that had to be repeated is what a lossy path does, too.
const OWN_HANDSHAKES: u64 = 2;
/// The kernel repeats an unanswered SYN after one second (RFC 6298 section 2); a hundredth of it is left to timers.
const SYN_AGAIN: Duration = Duration::from_millis(990);
/// Above a round trip of one second the kernel sends a SYN again before its answer can be there (RFC 6298 section 2); a
/// tenth of it is left to jitter.
const SPURIOUS: Duration = Duration::from_millis(900);
/// A path with a smaller MTU than Ethernet's costs one packet that is sent again.
const FULL_MTU: u32 = 1500;

/// The last failures of each endpoint, the recoveries from them, packets sent again, and round trips.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    failing: BTreeMap<usize, Streak>,
    recoveries: SlidingWindow<Port>,
    recovered: SlidingWindow<usize>,
    /// Visits that failed before a connection was made, by endpoint.
    unconnected: SlidingWindow<usize>,
    packets: SlidingWindow<Packet>,
    /// Connections on which packets were sent again, by endpoint.
    hit: SlidingWindow<usize>,
    /// The same for those on which others than the first packets were.
    midstream: SlidingWindow<usize>,
    /// Connections on which packets were sent again, by port.
    hit_ports: SlidingWindow<Port>,
    /// Handshakes that had to be repeated while others on the port passed, by endpoint.
    knocked: SlidingWindow<usize>,
    /// The same while others did on any port that is hit: who passes on a port where nobody knocks again may go another way.
    knocked_anywhere: SlidingWindow<usize>,
    /// When the first packets of the last handshakes that passed were sent, and on which port.
    controls: BTreeSet<(Instant, Port)>,
    /// Connections that were not answered, one after the other, whoever was asked on the port.
    silences: BTreeMap<Port, Silence>,
    has_past: bool,
    paces: Paces,
}

/// A port on which nobody answered since a moment.
#[derive(Clone, Copy, Debug)]
struct Silence {
    began: Instant,
    last: Instant,
    /// How many SYNs were sent in time for an answer.
    tries: u32,
}

/// Failures of one endpoint in a row.
#[derive(Clone, Copy, Debug)]
struct Streak {
    count: u32,
    began: Instant,
    last: Instant,
    /// Where the last one was.
    port: Port,
}

/// What is counted about the packets of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Packet {
    /// Sent for the first time.
    Sent,
    /// A connection on which more was sent than its handshake.
    Asked,
    /// Sent again because it was lost.
    Resent,
    /// Sent again on a connection whose handshake took less than a second, so that it was no SYN.
    ResentMidstream,
}

impl Memory {
    /// Nothing is remembered. A single look has less time to see that loss goes on.
    pub fn new(has_past: bool) -> Self {
        Self { has_past, ..Self::default() }
    }

    /// Takes in whether a visit that tested an endpoint passed, be it with a wrong answer, and at which port it failed: at
    /// its own, or at that of the server that was to resolve its name.
    pub fn record(&mut self, index: usize, port: Port, works: bool, now: Instant) {
        if !works {
            let earlier = self.failing.get(&index);
            let (count, began) = earlier.map_or((0, now), |earlier| (earlier.count, earlier.began));
            self.failing.insert(index, Streak { count: count.saturating_add(1), began, last: now, port });
            return;
        }
        if let Some(failing) = self.failing.remove(&index)
            && failing.count <= SHORT
            && now.duration_since(failing.last) <= SOON
        {
            self.recoveries.add(failing.port, 1, now);
            self.recovered.add(index, 1, now);
        }
    }

    /// Since when an endpoint has failed, where that is more often in a row than chance at even odds makes it.
    pub fn lasting(&self, index: usize) -> Option<Instant> {
        self.failing.get(&index).filter(|failing| failing.count > SHORT).map(|failing| failing.began)
    }

    /// Whether an endpoint has failed more often in a row than chance makes it, whatever the odds.
    pub fn is_beyond_chance(&self, index: usize) -> bool {
        self.failing.get(&index).is_some_and(|failing| failing.count > LONG)
    }

    /// Takes in that no connection was made.
    pub fn lose_connection(&mut self, index: usize, now: Instant) {
        self.unconnected.add(index, 1, now);
    }

    /// Whether a connection to an endpoint was not made lately.
    pub fn has_lost_a_connection(&self, index: usize) -> bool {
        self.unconnected.get(index) > 0
    }

    /// Takes in how packets fared on an exchange.
    pub fn measure(&mut self, index: usize, outcome: &Outcome, now: Instant) {
        let handshake = outcome.phases.of(Phase::Connect).unwrap_or_default();
        let exchange = outcome.phases.total().saturating_sub(handshake);
        let is_whole = outcome.seen.stop.is_none();
        let took = (outcome.seen.round_trip, is_whole.then_some(exchange));
        if took != (None, None) {
            self.paces.observe(index, outcome.address.ip(), took, now);
        }
        self.hear(outcome, now);
        if !is_whole {
            return;
        }
        let Some(resent) = outcome.seen.tcp.and_then(|info| resent(&info)) else { return };
        self.packets.add(Packet::Sent, SEGMENTS, now);
        self.packets.add(Packet::Asked, u64::from(!matches!(outcome.protocol, Protocol::Tcp(_))), now);
        let port = Port::tcp(outcome.address.port());
        let began = now.checked_sub(outcome.phases.total()).unwrap_or(now);
        if resent > 0 {
            self.hit.add(index, 1, now);
            self.hit_ports.add(port, 1, now);
            let knocked_again = handshake >= SYN_AGAIN;
            if knocked_again {
                // The last SYN passed; the kernel sends one a second at first, so that the one before it is a second older.
                let lost = began..=began + handshake.saturating_sub(SYN_AGAIN);
                self.knocked.add(index, self.others_passed(&lost, |other| other == port), now);
                let is_hit = |other| self.hit_ports.get(other) > 0;
                self.knocked_anywhere.add(index, self.others_passed(&lost, is_hit), now);
                // Where places become free one by one, hardly anybody passes at the first try: who does in the end is let in
                // while others are not.
                let round_trip = outcome.seen.tcp.map_or(Duration::ZERO, |info| info.round_trip);
                self.controls.insert((began + handshake.saturating_sub(round_trip), port));
            }
            self.packets.add(Packet::Resent, resent, now);
            self.packets.add(Packet::ResentMidstream, if knocked_again { 0 } else { resent }, now);
            self.midstream.add(index, u64::from(!knocked_again), now);
        } else {
            self.controls.insert((began, port));
        }
        while self.controls.first().is_some_and(|(at, _)| now.saturating_duration_since(*at) > CONTROL) {
            self.controls.pop_first();
        }
    }

    /// Takes in whether a port answers at all: anything but silence is an answer, also where it comes by datagram.
    fn hear(&mut self, outcome: &Outcome, now: Instant) {
        let port = Port::tcp(outcome.address.port());
        let stop = outcome.seen.stop.as_ref().filter(|stop| stop.phase == Phase::Connect);
        let Some(stop) = stop.filter(|stop| stop.trouble.ending() == Ending::Silence && outcome.seen.icmp.is_none())
        else {
            self.silences.remove(&port);
            return;
        };
        let began = now.checked_sub(stop.elapsed).unwrap_or(now);
        let silence = self.silences.entry(port).or_insert(Silence { began, last: now, tries: 0 });
        silence.last = now;
        silence.tries = silence.tries.saturating_add(tries_within(stop.elapsed));
    }

    /// One if another handshake's SYN on such a port passed between two SYNs that a handshake lost, or shortly before the
    /// last of them. Where a way comes back, everybody's last SYN is lost and the next ones pass: what passes after the last
    /// lost SYN is no control, and neither is what passed before a way was gone for long.
    fn others_passed(&self, lost: &RangeInclusive<Instant>, on: impl Fn(Port) -> bool) -> u64 {
        let shortly_before = lost.end().checked_sub(BESIDE).unwrap_or(*lost.start());
        let first = (*lost.start()).min(shortly_before);
        let beside = self.controls.range((first, Port::tcp(0))..).take_while(|(at, _)| at <= lost.end());
        u64::from(beside.into_iter().any(|(_, port)| on(*port)))
    }

    /// Forgets what is too long ago.
    pub fn elapse(&mut self, now: Instant) {
        self.recoveries.elapse(now);
        self.recovered.elapse(now);
        self.unconnected.elapse(now);
        self.packets.elapse(now);
        self.hit.elapse(now);
        self.midstream.elapse(now);
        self.hit_ports.elapse(now);
        self.knocked.elapse(now);
        self.knocked_anywhere.elapse(now);
        self.silences.retain(|_, silence| now.saturating_duration_since(silence.last) <= SPAN);
    }

    /// Whether visits on a port fail and succeed in turn.
    pub fn is_intermittent(&self, port: Port) -> bool {
        let enough = if port.by_datagram || !self.has_past { RECOVERIES.0 } else { RECOVERIES.1 };
        self.recoveries.get(port) >= enough || self.is_intermittent_everywhere()
    }

    /// Whether visits fail and succeed in turn on several ports.
    pub fn is_intermittent_everywhere(&self) -> bool {
        self.recoveries.kinds() > 1 && self.recoveries.sum() > RECOVERIES.0
    }

    /// Whether an endpoint recovered from a short failure lately.
    pub fn has_recovered(&self, index: usize) -> bool {
        self.recovered.get(index) > 0
    }

    /// Whether packets are lost at a rate worth a word, on several endpoints' connections.
    pub fn is_lossy(&self) -> bool {
        let resent = self.packets.get(Packet::Resent);
        let sent = self.packets.get(Packet::Sent) + resent;
        // First packets are lost wherever a way comes and goes; one connection that was under way may have met its end.
        let in_midstream = self.midstream.kinds() >= if self.has_past { RESENT.1 } else { 1 };
        let lasts = self.hit.length() >= if self.has_past { LASTING } else { LASTING_IN_A_LOOK };
        lasts && in_midstream && resent >= RESENT.0 && self.hit.kinds() >= RESENT.1 && lower_bound(resent, sent) >= LOSS
    }

    /// Whether packets were lost on several endpoints' connections, and too few, or for too short, to say more.
    pub fn may_be_lossy(&self) -> bool {
        self.hit.kinds() >= RESENT.1 && !self.is_lossy()
    }

    /// Whether nobody on a port answered for longer than the measured loss makes it: both ways lose as much as the upper end of
    /// what was measured of both together, so that it is rather too seldom said.
    pub fn is_beyond_loss(&self, port: Port) -> bool {
        let Some(silence) = self.silences.get(&port) else { return false };
        let resent = self.packets.get(Packet::Resent);
        let passes = 1.0 - upper_bound(resent, self.packets.get(Packet::Sent) + resent);
        let lasts = if self.has_past { SOON } else { LASTING_IN_A_LOOK };
        let is_lasting = silence.last.saturating_duration_since(silence.began) >= lasts;
        is_lasting && (1.0 - passes * passes).powf(f64::from(silence.tries)) < CHANCE
    }

    /// Whether new flows have to knock again and again, at the same endpoints, while established ones lose nothing and,
    /// beside most of them, others pass. What hits one port or one host may be a rule or a path that comes and goes: there the others must be on the same port, and at one host alone this does not tell.
    pub fn only_handshakes_repeat(&self) -> bool {
        let any_twice = self.hit.sum() > self.hit.kinds() as u64;
        let beside = if self.hit_ports.kinds() > 1 { &self.knocked_anywhere } else { &self.knocked };
        let is_enough = self.hit.sum() >= HANDSHAKES && any_twice && self.hit.kinds() > 1;
        let is_no_chance = self.has_past || self.spared() < SPARED;
        is_enough && beside.sum() * 2 > self.hit.sum() && self.none_in_midstream() && is_no_chance
    }

    /// The chance that no established flow loses a packet where their packets are lost as often as SYNs are: whoever asks
    /// something sends one after the handshake at least.
    fn spared(&self) -> f64 {
        let (connections, resent) = (self.packets.get(Packet::Sent) / SEGMENTS, self.packets.get(Packet::Resent));
        let passes = connections as f64 / (connections + resent).max(1) as f64;
        passes.powf(self.packets.get(Packet::Asked) as f64)
    }

    /// The same on several ports, so that it is no rule for one of them.
    pub fn handshakes_repeat_on_ports(&self) -> bool {
        self.hit_ports.kinds() > 1 && self.only_handshakes_repeat()
    }

    /// The same at one endpoint, while others on its port pass.
    pub fn own_handshakes_repeat(&self, index: usize) -> bool {
        let hits = self.hit.get(index);
        hits >= OWN_HANDSHAKES && self.knocked.get(index) * 2 > hits && self.none_in_midstream()
    }

    /// Whether no established flow lost a packet lately.
    pub fn none_in_midstream(&self) -> bool {
        self.packets.get(Packet::ResentMidstream) == 0
    }

    /// The endpoints whose connections lost packets lately.
    pub fn losing(&self) -> impl Iterator<Item = usize> {
        self.hit.each()
    }

    /// Whether packets of an endpoint's connections were sent again lately.
    pub fn has_lost(&self, index: usize) -> bool {
        self.hit.get(index) > 0
    }

    /// Whether an endpoint's last round trips or exchanges took several times as long as they did.
    pub fn is_slow(&self, index: usize) -> bool {
        self.paces.is_slow(index)
    }

    /// Whether the last one did, be it the first.
    pub fn grows(&self, index: usize) -> bool {
        self.paces.grows(index)
    }

    /// Follows endpoints to their numbers after a reload; those that did not stay are forgotten.
    pub fn remap(&mut self, remap: &Remap) {
        let before = std::mem::take(self);
        *self = Self {
            failing: remap.apply(before.failing),
            recoveries: before.recoveries,
            recovered: before.recovered.renamed(|index| remap.get(index)),
            unconnected: before.unconnected.renamed(|index| remap.get(index)),
            packets: before.packets,
            hit: before.hit.renamed(|index| remap.get(index)),
            midstream: before.midstream.renamed(|index| remap.get(index)),
            hit_ports: before.hit_ports,
            knocked: before.knocked.renamed(|index| remap.get(index)),
            knocked_anywhere: before.knocked_anywhere.renamed(|index| remap.get(index)),
            controls: before.controls,
            silences: before.silences,
            has_past: before.has_past,
            paces: before.paces.remapped(remap),
        };
    }
}

/// The packets that were sent again because they were lost; `None` where something else may be behind it.
fn resent(info: &TcpInfo) -> Option<u64> {
    let lost = info.retransmits.saturating_sub(info.spurious);
    let explained = info.round_trip > SPURIOUS || (0..FULL_MTU).contains(&info.path_mtu);
    (lost == 0 || !explained).then_some(u64::from(lost))
}

/// How many SYNs are sent at least a second before this time is over: after one second, after two more, and so on
/// (RFC 6298 section 2).
fn tries_within(time: Duration) -> u32 {
    time.as_secs().max(1).ilog2() + 1
}

/// The upper end of the 95 % interval of a share.
fn upper_bound(hits: u64, of: u64) -> f64 {
    1.0 - lower_bound(of - hits, of)
}

/// The lower end of the 95 % interval of a share (Wilson 1927).
pub(super) fn lower_bound(hits: u64, of: u64) -> f64 {
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
        evidence::{Stop, Trouble},
        seen::{Phases, Seen},
        verdict::Verdict,
    };

    const HTTPS: Port = Port::tcp(443);

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
        let mut memory = Memory::new(true);
        memory.record(0, HTTPS, false, at(0));
        memory.record(0, HTTPS, true, at(2));
        assert!(memory.is_intermittent(HTTPS), "a handshake that failed is worth a measurement");
        assert!(!memory.is_intermittent(Port::tcp(80)));
        memory.elapse(at(200));
        assert!(!memory.is_intermittent(HTTPS), "forgotten after three minutes");
        let (time, start) = (Port::udp(123), at(300));
        (0..2).for_each(|turn| memory.record(0, time, turn == 1, start + turn * Duration::from_secs(1)));
        assert!(!memory.is_intermittent(time), "one lost packet is no pattern");
        (0..2).for_each(|turn| memory.record(1, time, turn == 1, start + turn * Duration::from_secs(1)));
        assert!(memory.is_intermittent(time));

        let mut outage = Memory::new(true);
        for second in 0..10 {
            (0..5).for_each(|index| outage.record(index, HTTPS, false, at(second * 10)));
        }
        (0..5).for_each(|index| outage.record(index, HTTPS, true, at(100)));
        assert!(!outage.is_intermittent(HTTPS));
    }

    #[test]
    fn loss_needs_several_packets_on_several_endpoints_over_some_time() {
        let now = start();
        let later = now + LASTING;
        let mut memory = Memory::new(true);
        (0..40).for_each(|turn| memory.measure(turn % 8, &outcome(u32::from(turn < 4), 5), now));
        assert!(!memory.is_lossy(), "four packets are no pattern");
        (0..6).for_each(|turn| memory.measure(turn, &outcome(1, 5), now));
        assert!(!memory.is_lossy(), "a burst is a busy moment");
        memory.measure(5, &outcome(1, 5), later);
        assert!(!memory.only_handshakes_repeat(), "data was sent again too");
        assert!(memory.is_lossy() && memory.has_lost(5) && !memory.has_lost(7));
        let many = |index: fn(usize) -> usize, outcome: &Outcome| {
            let mut memory = Memory::new(true);
            (0..20).for_each(|turn| memory.measure(index(turn), outcome, now + LASTING * (turn % 2) as u32));
            memory.is_lossy()
        };
        assert!(many(|turn| turn, &outcome(2, 5)));
        assert!(!many(|_| 0, &outcome(2, 5)), "one endpoint speaks for itself");
        assert!(!many(|turn| turn, &outcome(1, 1200)), "above a second the kernel repeats what was not lost");
        let mut late = outcome(2, 5);
        late.seen.tcp = late.seen.tcp.map(|info| TcpInfo { spurious: 2, ..info });
        assert!(!many(|turn| turn, &late), "what came twice was not lost");
    }

    #[test]
    fn silence_on_a_port_is_beyond_loss_once_it_lasts_and_loss_would_have_let_a_packet_pass() {
        let silent = |port: u16| {
            let elapsed = Duration::from_secs(7);
            let stop = Stop { phase: Phase::Connect, trouble: Trouble::TimedOut, elapsed };
            let seen = Seen { stop: Some(stop), ..Seen::default() };
            Outcome { address: ([198, 18, 0, 1], port).into(), seen, ..outcome(0, 5) }
        };
        let now = start();
        let at = |visit: u32| now + Duration::from_secs(10) * visit;
        // How many visits it takes where so many of those that pass send this often again.
        let takes = |resent: u32| {
            let mut memory = Memory::new(true);
            (0..40).for_each(|turn| memory.measure(turn, &outcome(resent * (turn % 2) as u32, 5), now));
            (1..60).find(|visit| {
                memory.measure(50, &silent(1433), at(*visit));
                assert!(!memory.is_beyond_loss(HTTPS));
                memory.is_beyond_loss(Port::tcp(1433))
            })
        };
        let needed = [1, 2, 5].map(|resent| takes(resent).expect("loss does not last for ever"));
        assert!(needed.is_sorted() && needed[0] >= 3 && needed[0] < needed[2], "the more is lost: {needed:?}");

        let mut memory = Memory::new(true);
        (0..40).for_each(|turn| memory.measure(turn, &outcome((turn % 2) as u32, 5), now));
        (0..20).for_each(|index| memory.measure(index, &silent(1433), now));
        assert!(!memory.is_beyond_loss(Port::tcp(1433)), "a moment without a way hits all at once");
        memory.measure(0, &silent(1433), at(1));
        assert!(memory.is_beyond_loss(Port::tcp(1433)));
        let mut answer = outcome(0, 5);
        answer.address.set_port(1433);
        memory.measure(1, &answer, at(1));
        memory.measure(0, &silent(1433), at(2));
        assert!(!memory.is_beyond_loss(Port::tcp(1433)), "somebody answered");
        assert_eq!([0, 1, 2, 3, 4, 7, 8].map(|time| tries_within(Duration::from_secs(time))), [1, 1, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn handshakes_that_must_be_repeated_at_the_same_endpoints_are_a_full_table() {
        let now = start();
        let mut again = outcome(1, 5);
        again.phases.record(Phase::Connect, Duration::from_millis(1010));
        let mut alone = Memory::new(true);
        (0..5).for_each(|_| alone.measure(0, &again, now));
        assert!(!alone.only_handshakes_repeat(), "nobody passed meanwhile: the path may have been gone");
        let mut memory = Memory::new(true);
        memory.measure(9, &outcome(0, 5), now - Duration::from_millis(1100));
        (0..5).for_each(|index| memory.measure(index, &again, now));
        assert!(!memory.only_handshakes_repeat(), "one lost SYN each is chance");
        (0..2).for_each(|_| memory.measure(0, &again, now));
        assert!(memory.only_handshakes_repeat() && !memory.is_lossy());
        memory.measure(3, &outcome(1, 5), now);
        assert!(!memory.only_handshakes_repeat(), "an established flow lost something");
    }

    /// A connection to a port whose SYN was lost once, or not at all.
    fn knocks(port: u16, again: bool) -> Outcome {
        let mut outcome = outcome(u32::from(again), 5);
        outcome.address.set_port(port);
        outcome.phases.record(Phase::Connect, Duration::from_millis(if again { 1010 } else { 10 }));
        outcome
    }

    #[test]
    fn in_a_single_look_few_connections_that_lost_nothing_but_syns_may_be_chance() {
        let now = start();
        let told = |has_past: bool, again: usize| {
            let mut memory = Memory::new(has_past);
            (0..20).for_each(|turn| memory.measure(turn % 10, &knocks(443, false), now - SYN_AGAIN));
            (0..again).for_each(|turn| memory.measure(turn % 3, &knocks(443, true), now));
            memory.only_handshakes_repeat()
        };
        assert!(told(true, 4), "a daemon sees them again and again");
        assert!(!told(false, 4), "one packet in seven is lost: of 24 others none may be by chance");
        assert!(told(false, 16), "a third of all");
        let mut bare = Memory::new(false);
        let outcome = |again| Outcome {
            protocol: Protocol::Tcp(ase_probes::tcp::Reply { greeting: Vec::new() }),
            ..knocks(443, again)
        };
        (0..20).for_each(|turn| bare.measure(turn % 10, &outcome(false), now - SYN_AGAIN));
        (0..16).for_each(|turn| bare.measure(turn % 3, &outcome(true), now));
        assert!(!bare.only_handshakes_repeat(), "where nothing is asked, nothing else can be lost");
    }

    #[test]
    fn first_packets_that_a_way_loses_as_it_comes_and_goes_and_one_connection_that_met_its_end_are_no_loss() {
        let now = start();
        let lossy = |in_midstream: usize| {
            let mut memory = Memory::new(true);
            (0..30)
                .for_each(|turn| memory.measure(turn % 10, &knocks(443, turn % 3 == 0), now + LASTING * turn as u32));
            (0..in_midstream).for_each(|index| memory.measure(index, &outcome(1, 5), now + LASTING * 30));
            memory.is_lossy()
        };
        assert_eq!([0, 1, 2].map(lossy), [false, false, true]);
    }

    #[test]
    fn where_a_way_comes_back_who_begins_after_the_last_lost_syn_is_no_control() {
        let now = start();
        let mut memory = Memory::new(true);
        // Gone for 20 s, back 0.9 s ago: what passed before and what passes since.
        memory.measure(9, &outcome(0, 5), now - Duration::from_secs(21));
        memory.measure(9, &outcome(0, 5), now - Duration::from_millis(900));
        (0..6).for_each(|turn| memory.measure(turn % 3, &knocks(443, true), now));
        assert!(!memory.only_handshakes_repeat() && !memory.own_handshakes_repeat(0));
    }

    #[test]
    fn a_control_is_found_at_any_rate_of_visits_and_whatever_an_exchange_takes_after_its_handshake() {
        let start = start();
        let mut slow = knocks(443, true);
        slow.phases.record(Phase::Response, Duration::from_secs(5));
        let told = |visits: u32| {
            let mut memory = Memory::new(true);
            for second in 0..20u32 {
                let at =
                    |visit: u32| start + Duration::from_secs(second.into()) + Duration::from_secs(1) * visit / visits;
                (0..visits).for_each(|visit| memory.measure(9 + visit as usize, &knocks(443, false), at(visit)));
                if second > 6 && second % 3 == 0 {
                    (0..2).for_each(|index| memory.measure(index, &slow, at(visits)));
                }
            }
            assert!(memory.controls.len() <= visits as usize * 32, "{}", memory.controls.len());
            memory.only_handshakes_repeat()
        };
        assert_eq!([1, 30, 333, 1000].map(told), [true; 4]);
    }

    #[test]
    fn where_places_become_free_one_by_one_nobody_passes_at_the_first_try_and_each_is_the_next_ones_control() {
        let now = start();
        // Whose last SYN was lost after another one's had passed, and those whose SYNs all pass when a way comes back.
        let told = |pause: u64| {
            let mut memory = Memory::new(true);
            for turn in 0..6 {
                let mut twice = outcome(2, 5);
                twice.phases.record(Phase::Connect, Duration::from_millis(2010));
                memory.measure(turn as usize % 3, &twice, now + Duration::from_millis(pause) * turn);
            }
            memory.only_handshakes_repeat()
        };
        assert_eq!([1200, 1800, 150, 0].map(told), [true, true, false, false]);
    }

    #[test]
    fn who_passes_between_two_lost_syns_of_one_handshake_is_its_control() {
        let now = start();
        let mut memory = Memory::new(true);
        let mut twice = outcome(2, 5);
        twice.phases.record(Phase::Connect, Duration::from_millis(7010));
        memory.measure(9, &outcome(0, 5), now - Duration::from_secs(5));
        (0..6).for_each(|turn| memory.measure(turn % 3, &twice, now));
        assert!(memory.only_handshakes_repeat());
    }

    #[test]
    fn a_rule_for_a_port_that_comes_and_goes_is_no_full_table() {
        let now = start();
        let mut memory = Memory::new(true);
        memory.measure(9, &knocks(80, false), now - Duration::from_millis(1100));
        (0..6).for_each(|turn| memory.measure(turn % 3, &knocks(443, true), now));
        assert!(!memory.only_handshakes_repeat(), "nobody passed on that port meanwhile");
        memory.measure(8, &knocks(1433, true), now);
        assert!(!memory.only_handshakes_repeat(), "nor on the other: who passes on a third may go another way");
        let mut both = Memory::new(true);
        both.measure(9, &knocks(1433, false), now - Duration::from_millis(1100));
        both.measure(8, &knocks(1433, true), now);
        (0..6).for_each(|turn| both.measure(turn % 3, &knocks(443, true), now));
        assert!(both.only_handshakes_repeat(), "two ports, and on one of them others pass: no rule for a port");
    }

    #[test]
    fn at_one_host_alone_repeated_handshakes_are_its_own_and_no_full_table_for_all() {
        let now = start();
        let mut memory = Memory::new(true);
        memory.measure(9, &knocks(443, false), now - Duration::from_millis(1100));
        (0..4).for_each(|_| memory.measure(0, &knocks(443, true), now));
        assert!(
            !memory.only_handshakes_repeat() && memory.own_handshakes_repeat(0) && !memory.own_handshakes_repeat(9)
        );
        let mut look = Memory::new(false);
        look.measure(9, &knocks(443, false), now - Duration::from_millis(1100));
        look.measure(0, &knocks(443, true), now);
        assert!(!look.own_handshakes_repeat(0), "one lost SYN is what a lossy path does, too");
        look.measure(0, &knocks(443, true), now);
        assert!(look.own_handshakes_repeat(0));
        look.measure(1, &outcome(1, 5), now);
        assert!(!look.own_handshakes_repeat(0), "an established flow lost something");
    }

    #[test]
    fn a_path_that_got_slow_is_noticed_after_three_visits_and_jitter_is_not() {
        let now = start();
        let mut memory = Memory::new(true);
        (0..5).for_each(|_| memory.measure(0, &outcome(0, 5), now));
        memory.measure(0, &outcome(0, 300), now);
        memory.measure(0, &outcome(0, 6), now);
        assert!(!memory.is_slow(0));
        (0..3).for_each(|_| memory.measure(0, &outcome(0, 300), now));
        assert!(memory.is_slow(0));
        memory.measure(0, &outcome(0, 7), now);
        assert!(!memory.is_slow(0));
    }

    /// A memory of these connections, one in so many milliseconds; each endpoint's are spread over `parts` endpoints.
    fn remembered(lost: &[u32], parts: usize, pause: Duration) -> Memory {
        let (mut memory, start) = (Memory::new(true), start());
        for (turn, retransmits) in (0u32..).zip(lost) {
            let (endpoint, part) = (turn as usize % 7, turn as usize / 7 % parts);
            memory.measure(endpoint * parts + part, &outcome(*retransmits, 5), start + pause * turn);
        }
        memory
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn the_same_share_of_loss_means_the_same_at_any_rate_and_on_any_number_of_endpoints(
            lost in proptest::collection::vec(proptest::sample::select(vec![0u32, 0, 0, 0, 0, 0, 0, 1, 2]), 200..400),
            parts in 1usize..12,
        ) {
            let slow = remembered(&lost, 1, Duration::from_millis(100));
            proptest::prop_assert_eq!(
                slow.is_lossy(), remembered(&lost, parts, Duration::from_millis(100)).is_lossy(), "on more endpoints"
            );
            // Ten times the rate: a ring of so many connections would hold a tenth of the time.
            let often: Vec<u32> = lost.iter().cycle().take(lost.len() * 10).copied().collect();
            let quick = remembered(&often, parts, Duration::from_millis(10));
            proptest::prop_assert!(quick.is_lossy() || !slow.is_lossy(), "at ten times the rate");
        }

        #[test]
        fn a_rate_below_the_threshold_is_no_loss_however_many_connections_there_are(often in 1usize..20) {
            let lost: Vec<u32> = (0..1000 * often).map(|turn| u32::from(turn % 50 == 0)).collect();
            let pause = Duration::from_secs(100) / (1000 * often as u32);
            proptest::prop_assert!(!remembered(&lost, 3, pause).is_lossy(), "one in 250 packets is lost");
        }
    }

    #[test]
    fn the_lower_bound_is_wilsons() {
        assert!((lower_bound(5, 100) - 0.0215).abs() < 0.0005);
        assert_eq!(lower_bound(0, 0), 0.0);
    }
}
