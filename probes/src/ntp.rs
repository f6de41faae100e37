//! The NTP probe: one SNTP exchange, accepted only under the tests of RFC 5905 and RFC 4330.
//!
//! The request carries 64 unpredictable bits in place of our clock (RFC 9109 practice): only who saw it can echo it,
//! and it tells nobody our time. `sntpc` does the exchange and the arithmetic; its wire puts the bits in and out.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sntpc::{NtpContext, NtpTimestampGenerator, NtpUdpSocket};

use crate::{
    attempt::Attempt,
    cause::{Cause, Side},
    clock,
    datagram::{Datagram, HEAR_OUT, Received},
    deadline::Deadline,
    evidence::{Stop, Trouble},
    seen::{Exchange, Seen, Trace},
    transport,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// Length of a packet without extensions (RFC 5905 section 7.3), in bytes.
const PACKET: usize = 48;
/// RFC 5905 MAXDISP: a root distance of this size or more is no time at all.
const MAX_ROOT_DISTANCE: Duration = Duration::from_secs(16);
/// RFC 5905 MAXDIST: a server further than this from its source is no source for its own clients. chrony draws its line at
/// 3 s, Windows at none, so that such a server is useless to many and not to all.
const ACCEPTED_ROOT_DISTANCE: Duration = Duration::from_secs(1);
/// The coarsest clock that still tells seconds, as a power of two (RFC 5905 section 7.3).
const COARSEST: i8 = 0;
/// A reference older than this is not maintained any more: 2^17 s, the longest poll interval of RFC 5905.
const MAX_REFERENCE_AGE: Duration = Duration::from_secs(1 << 17);
/// A server that takes longer than this to answer (chrony MAX_SERVER_INTERVAL) makes its offset worthless.
const MAX_SERVER_TIME: Duration = Duration::from_secs(4);
/// A clock that reads steps of this size or more cannot be compared to the millisecond: a line of evidence says so.
const COARSE: Duration = Duration::from_millis(10);
/// An offset above this is worth a look: 1 s is the resolution of every other clock we could ask.
const NOTABLE_OFFSET: f64 = 1.0;

/// What to ask: the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question;

/// Everything an NTP exchange showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The reply that echoed our origin timestamp; `None` if none came.
    pub packet: Option<Packet>,
    /// Datagrams that were not the answer: wrong origin, wrong mode, too short.
    pub strays: u32,
}

/// The fields of a reply (RFC 5905 section 7.3) and what follows from the four timestamps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packet {
    /// Leap indicator, 0 to 3; 3 means unsynchronised.
    pub leap: u8,
    /// Version number, 1 to 7; 3 and 4 are in use.
    pub version: u8,
    /// Stratum, 0 to 255; 0 is a kiss-o'-death.
    pub stratum: u8,
    /// Reference id: an address, a source name, or the kiss code.
    pub reference_id: [u8; 4],
    /// Round trip to the primary source.
    pub root_delay: Duration,
    /// Dispersion to the primary source.
    pub root_dispersion: Duration,
    /// Time since the server's clock was last set, by its own clock; zero where it does not say.
    pub reference_age: Duration,
    /// How finely the server's clock reads, by its own word; at most a second.
    pub precision: Duration,
    /// The server's own time between receiving and sending; `None` where it runs backwards by more than its clock reads.
    pub server_time: Option<Duration>,
    /// Server clock minus ours, in seconds; 0 for a reply that is not accepted.
    pub offset: f64,
    /// Round trip to the server, without the server's own time; zero for a reply that is not accepted.
    pub delay: Duration,
    /// Whether receive and transmit timestamps are set.
    pub has_timestamps: bool,
}

impl Packet {
    /// Half the root delay plus the root dispersion plus half our own delay (RFC 5905 section 11.2).
    pub fn root_distance(&self) -> Duration {
        (self.root_delay + self.delay) / 2 + self.root_dispersion
    }

    /// Whether its clients take it for a source of time: it is set, and not too far from where its time comes from.
    pub fn is_synchronised(&self) -> bool {
        self.leap != 3 && (1..16).contains(&self.stratum) && self.has_timestamps && !self.is_distant()
    }

    /// Whether the server is further from its source than its clients accept. Our own way to it does not count.
    fn is_distant(&self) -> bool {
        self.source_distance() > ACCEPTED_ROOT_DISTANCE
    }

    fn source_distance(&self) -> Duration {
        self.root_delay / 2 + self.root_dispersion
    }

    /// The kiss code or source name, as far as it is printable.
    pub fn reference(&self) -> String {
        if self.stratum <= 1 {
            String::from_utf8_lossy(&self.reference_id).trim_end_matches('\0').escape_debug().to_string()
        } else {
            IpAddr::from(self.reference_id).to_string()
        }
    }
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        if let Some(packet) = &self.packet {
            let side = match packet.offset {
                offset if offset >= NOTABLE_OFFSET => " (this machine is behind)",
                offset if offset <= -NOTABLE_OFFSET => " (this machine is ahead)",
                _ => "",
            };
            lines.push(format!(
                "NTP reply echoes our timestamp: stratum {}, reference {}, leap {}, offset {:+.6} s{side}, root distance {:.6} s",
                packet.stratum,
                packet.reference(),
                packet.leap,
                packet.offset,
                packet.root_distance().as_secs_f64()
            ));
            if packet.is_distant() {
                lines.push(format!(
                    "it is {:.1} s from its source: RFC 5905 (MAXDIST) takes no more than 1 s, chrony 3 s",
                    packet.source_distance().as_secs_f64()
                ));
            }
            if packet.precision >= COARSE {
                lines.push(format!(
                    "its clock reads steps of {:.2} s, so that the offset is no better",
                    packet.precision.as_secs_f64()
                ));
            }
        }
        if self.strays > 0 {
            lines.push(format!("{} datagrams did not echo our timestamp", self.strays));
        }
    }
}

impl Question {
    /// Makes one attempt.
    pub async fn run(&self, attempt: &Attempt<'_>) -> Exchange<Reply> {
        let (mut trace, mut reply) = (Trace::default(), Reply::default());
        let start = clock::now();
        let result = exchange(attempt, &mut trace.seen, &mut reply).await;
        let elapsed = start.elapsed();
        trace.phases.record(Phase::Ntp, elapsed);
        trace.seen.stop = result.err().map(|trouble| Stop { phase: Phase::Ntp, trouble, elapsed });
        let verdict = judge(attempt.address, &trace.seen, &reply);
        trace.conclude(attempt.address, verdict, reply)
    }
}

async fn exchange(attempt: &Attempt<'_>, seen: &mut Seen, reply: &mut Reply) -> Result<(), Trouble> {
    let socket = Datagram::open(attempt)?;
    let wire =
        Wire { socket, peer: attempt.address, nonce: (attempt.nonce | 1).to_be_bytes(), state: Mutex::default() };
    let context = NtpContext { timestamp_gen: WireClock { wire: &wire, at: Duration::ZERO } };
    let result = attempt.deadline.limit(sntpc::get_time(attempt.address, &wire, context)).await;
    let state = wire.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    reply.strays = state.strays;
    if let Some(raw) = &state.raw {
        let mut packet = decode(raw);
        if let Ok(Ok(time)) = &result {
            packet.offset = time.offset() as f64 / 1e6;
            packet.delay = Duration::from_micros(time.roundtrip());
        }
        seen.round_trip = state.received.zip(state.sent).map(|(received, sent)| received.at.saturating_sub(sent));
        seen.icmp = wire.socket.notice();
        seen.reply_source = state.received.and_then(|received| received.from);
        seen.hop_limit = state.received.and_then(|received| received.hop_limit);
        reply.packet = Some(packet);
        return Ok(());
    }
    seen.icmp = wire.socket.icmp();
    Err(match (result, state.trouble) {
        (_, Some(trouble)) => trouble,
        (Err(_), None) => Trouble::TimedOut,
        (Ok(_), None) => Trouble::Malformed("the exchange ended without a packet"),
    })
}

/// Our socket as `sntpc` sees it: its timestamp is replaced by the nonce on the way out and put back on the way in.
struct Wire {
    socket: Datagram,
    peer: SocketAddr,
    nonce: [u8; 8],
    state: Mutex<WireState>,
}

#[derive(Default)]
struct WireState {
    origin: [u8; 8],
    sent: Option<Duration>,
    received: Option<Received>,
    raw: Option<[u8; PACKET]>,
    strays: u32,
    trouble: Option<Trouble>,
    /// Until when the answer is waited for after an ICMP message.
    hears_out: Option<Deadline>,
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self, trouble: Trouble) -> sntpc::Error {
        // The first trouble is what ended the exchange; a forged one is followed by an answer.
        self.state().trouble.get_or_insert(trouble);
        sntpc::Error::Network
    }

    /// Waits for a datagram; none comes of an ICMP message that somebody may have forged, and the wait goes on for a while.
    async fn hear(&self, buffer: &mut [u8]) -> sntpc::Result<Option<Received>> {
        let end = self.state().hears_out;
        let heard = match end {
            Some(end) => end.bound(self.socket.receive(buffer)).await,
            None => self.socket.receive(buffer).await,
        };
        match heard {
            Ok(received) => Ok(Some(received)),
            Err(trouble) if end.is_none() && self.socket.may_be_forged() => {
                let mut state = self.state();
                (state.trouble, state.hears_out) = (Some(trouble), Some(Deadline::within(HEAR_OUT)));
                Ok(None)
            }
            Err(trouble) => Err(self.give_up(trouble)),
        }
    }

    /// Whether a datagram echoes our nonce, from a server (mode 4).
    fn is_ours(&self, bytes: &[u8]) -> bool {
        bytes.len() >= PACKET && bytes[24..32] == self.nonce && bytes[0] & 7 == 4
    }
}

impl NtpUdpSocket for Wire {
    async fn send_to(&self, packet: &[u8], _: SocketAddr) -> sntpc::Result<usize> {
        let mut blinded = packet.to_vec();
        blinded[40..48].copy_from_slice(&self.nonce);
        self.state().origin.copy_from_slice(&packet[40..48]);
        self.state().sent = Some(clock::wall());
        self.socket.send(&blinded).await.map_err(|trouble| self.give_up(trouble))?;
        Ok(packet.len())
    }

    async fn recv_from(&self, packet: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        let mut buffer = [0; 1024];
        loop {
            let Some(received) = self.hear(&mut buffer).await? else { continue };
            if self.is_ours(&buffer[..received.len]) {
                let mut state = self.state();
                let mut raw = [0; PACKET];
                raw.copy_from_slice(&buffer[..PACKET]);
                state.raw = Some(raw);
                state.received = Some(received);
                packet[..PACKET].copy_from_slice(&raw);
                packet[24..32].copy_from_slice(&state.origin);
                return Ok((PACKET, self.peer));
            }
            // Nobody guesses our 64 bits: what does not echo them is counted, and the wait goes on.
            let mut state = self.state();
            state.strays = state.strays.saturating_add(1);
        }
    }
}

/// The clock that `sntpc` reads: ours when it sends, the kernel's receive time when it has received.
#[derive(Clone, Copy)]
struct WireClock<'a> {
    wire: &'a Wire,
    at: Duration,
}

impl NtpTimestampGenerator for WireClock<'_> {
    fn init(&mut self) {
        self.at = self.wire.state().received.map_or_else(clock::wall, |received| received.at);
    }

    fn timestamp_sec(&self) -> u64 {
        self.at.as_secs()
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        self.at.subsec_micros()
    }
}

/// What must hold for any packet: nothing overflows, and there is a verdict and a line of evidence.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Some(raw) = bytes.first_chunk::<PACKET>() else { return };
    let packet = decode(raw);
    assert!(packet.leap < 4 && packet.version < 8, "fields of two and three bits");
    assert!(packet.root_distance() >= packet.root_dispersion, "the distance holds the dispersion");
    _ = judge_packet(&packet);
    let mut lines = Vec::new();
    Reply { packet: Some(packet), ..Reply::default() }.describe(&mut lines);
    assert!((1..=3).contains(&lines.len()), "a line, and one for each oddity");
}

fn decode(raw: &[u8; PACKET]) -> Packet {
    let u32_at = |at: usize| u32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
    let (reference, receive, transmit) = (u64_at(16), u64_at(32), u64_at(40));
    let precision = Duration::from_secs_f64(f64::from(raw[3].cast_signed().min(COARSEST)).exp2());
    Packet {
        leap: raw[0] >> 6,
        version: raw[0] >> 3 & 7,
        stratum: raw[1],
        reference_id: [raw[12], raw[13], raw[14], raw[15]],
        root_delay: short(u32_at(4)),
        root_dispersion: short(u32_at(8)),
        reference_age: if reference == 0 { Duration::ZERO } else { forward(reference, transmit).unwrap_or_default() },
        precision,
        server_time: server_time(receive, transmit, precision),
        offset: 0.0,
        delay: Duration::ZERO,
        has_timestamps: receive != 0 && transmit != 0,
    }
}

/// The time between receiving and sending. Two readings of a coarse clock that lie no further apart than its step are
/// equal, whichever was rounded up.
fn server_time(receive: u64, transmit: u64, precision: Duration) -> Option<Duration> {
    forward(receive, transmit)
        .or_else(|| forward(transmit, receive).filter(|back| *back <= precision).map(|_| Duration::ZERO))
}

/// Decodes the 16.16 fixed-point format of root delay and dispersion.
fn short(raw: u32) -> Duration {
    Duration::from_nanos((u64::from(raw) * 1_000_000_000) >> 16)
}

/// The time between two 32.32 timestamps, across an era's end (RFC 5905 section 6); `None` where it runs backwards.
fn forward(from: u64, to: u64) -> Option<Duration> {
    let difference = to.wrapping_sub(from);
    let nanos = ((difference & 0xffff_ffff) * 1_000_000_000) >> 32;
    (difference < 1 << 63).then(|| Duration::new(difference >> 32, u32::try_from(nanos).unwrap_or(0)))
}

/// Says what the exchange means. The tests come in the order of acceptance; the origin was tested on arrival.
fn judge(server: SocketAddr, seen: &Seen, reply: &Reply) -> Verdict {
    let found = |cause, confidence| Finding::new(cause, Phase::Ntp, confidence);
    if seen.is_reply_from_elsewhere(server) {
        return found(Cause::AsymmetricReply, Confidence::Confirmed).failed();
    }
    match (&seen.stop, &reply.packet) {
        (None, Some(packet)) => judge_packet(packet),
        (Some(stop), _) if stop.trouble == Trouble::TimedOut && reply.strays > 0 => {
            found(Cause::ProtocolViolation, Confidence::Likely).failed()
        }
        (Some(stop), _) => transport::judge(stop, seen, server.ip()).failed(),
        (None, None) => found(Cause::Unknown, Confidence::Possible).failed(),
    }
}

fn judge_packet(packet: &Packet) -> Verdict {
    let failed = |cause| Finding::new(cause, Phase::Ntp, Confidence::Confirmed).failed();
    let unsynced = packet.leap == 3 || packet.stratum >= 16 || (packet.stratum == 0 && packet.reference_id == [0; 4]);
    if packet.stratum == 0 && packet.reference_id != [0; 4] {
        return failed(kiss(packet.reference_id));
    }
    if unsynced {
        return failed(Cause::NtpUnsynced);
    }
    if !(3..=4).contains(&packet.version) || !packet.has_timestamps || packet.server_time.is_none() {
        return failed(Cause::ProtocolViolation);
    }
    let is_lost = packet.source_distance() >= MAX_ROOT_DISTANCE;
    if is_lost || packet.reference_age > MAX_REFERENCE_AGE || packet.server_time > Some(MAX_SERVER_TIME) {
        return failed(Cause::NtpUnsynced);
    }
    if packet.is_distant() {
        return Verdict::Degraded(Finding::new(Cause::NtpUnsynced, Phase::Ntp, Confidence::Confirmed));
    }
    if packet.offset.abs() > NOTABLE_OFFSET + packet.precision.as_secs_f64() {
        let finding = Finding::new(Cause::NtpWrongTime, Phase::Ntp, Confidence::Possible).on(Side::Unknown);
        return Verdict::Degraded(finding);
    }
    Verdict::Healthy
}

/// RFC 5905 section 7.4: DENY, RSTR and RATE are refusals; INIT, STEP and the rest mean that there is no time yet.
fn kiss(code: [u8; 4]) -> Cause {
    match &code {
        b"DENY" | b"RSTR" | b"RATE" => Cause::NtpDenied,
        _ => Cause::NtpUnsynced,
    }
}

#[cfg(test)]
#[path = "ntp_tests.rs"]
mod tests;
