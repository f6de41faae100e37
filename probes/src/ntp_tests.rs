//! The NTP probe against scripted servers on loopback: good, bad and hostile.

use super::*;
use crate::{
    deadline::Deadline,
    egress::{Egress, Shape},
    fixture::udp,
    outcome::{Outcome, Protocol},
};
use proptest::prelude::*;
use tokio::net::UdpSocket;

const PATIENCE: Duration = Duration::from_millis(300);
/// Seconds from 1900 to 1970.
const ERA: u64 = 2_208_988_800;

fn timestamp(at: Duration) -> [u8; 8] {
    let seconds = (at.as_secs() + ERA) as u32;
    let fraction = (u64::from(at.subsec_nanos()) << 32) / 1_000_000_000;
    (u64::from(seconds) << 32 | fraction).to_be_bytes()
}

/// A good answer of a stratum 2 server whose clock is `ahead` of ours.
fn good(request: &[u8], ahead: Duration) -> Vec<u8> {
    let now = clock::wall() + ahead;
    let mut reply = vec![0; PACKET];
    reply[..4].copy_from_slice(&[4 << 3 | 4, 2, 6, 0xe9]);
    reply[4..8].copy_from_slice(&0x0100u32.to_be_bytes());
    reply[8..12].copy_from_slice(&0x0200u32.to_be_bytes());
    reply[12..16].copy_from_slice(&[10, 0, 0, 1]);
    reply[16..24].copy_from_slice(&timestamp(now - Duration::from_secs(10)));
    reply[24..32].copy_from_slice(&request[40..48]);
    reply[32..40].copy_from_slice(&timestamp(now));
    reply[40..48].copy_from_slice(&timestamp(now));
    reply
}

async fn ask(address: SocketAddr) -> Outcome {
    let egress = Egress::default();
    let deadline = Deadline::within(PATIENCE);
    let nonce = 0x0123_4567_89ab_cdef;
    let start = clock::now();
    let outcome =
        Question.run(&Attempt { address, deadline, egress: &egress, nonce, shape: Shape::default() }).await.into();
    assert!(start.elapsed() < PATIENCE * 3, "the deadline holds");
    outcome
}

async fn cause_of(change: impl Fn(&mut Vec<u8>) + Send + 'static) -> Cause {
    let address = udp(move |request| {
        let mut reply = good(request, Duration::ZERO);
        change(&mut reply);
        vec![reply]
    });
    ask(address.await).await.verdict.finding().map_or(Cause::None, |finding| finding.cause)
}

#[tokio::test]
async fn a_good_server_is_healthy_and_measured() {
    let outcome = ask(udp(|request| vec![good(request, Duration::ZERO)]).await).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    let Protocol::Ntp(reply) = &outcome.protocol else { panic!("an NTP reply is due") };
    let packet = reply.packet.as_ref().expect("accepted");
    assert!(packet.offset.abs() < 0.1 && packet.delay < PATIENCE, "{packet:?}");
    assert_eq!((packet.stratum, packet.reference().as_str()), (2, "10.0.0.1"));
    assert_eq!(packet.root_delay, Duration::from_nanos(3_906_250));
}

#[tokio::test]
async fn a_clock_that_is_off_is_measured_but_not_blamed() {
    let outcome = ask(udp(|request| vec![good(request, Duration::from_secs(90))]).await).await;
    let Verdict::Degraded(finding) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
    assert_eq!((finding.cause, finding.side), (Cause::NtpWrongTime, Side::Unknown));
    let Protocol::Ntp(reply) = &outcome.protocol else { panic!("an NTP reply is due") };
    assert!((reply.packet.as_ref().expect("accepted").offset - 90.0).abs() < 0.1);
}

#[tokio::test]
async fn the_request_tells_nobody_our_time() {
    let address = udp(|request| {
        assert_eq!(request[40..48], 0x0123_4567_89ab_cdefu64.to_be_bytes());
        assert!(request[1..40].iter().all(|byte| *byte == 0), "{request:?}");
        vec![good(request, Duration::ZERO)]
    });
    assert_eq!(ask(address.await).await.verdict, Verdict::Healthy);
}

#[tokio::test]
async fn each_flaw_of_a_reply_has_its_cause() {
    let kiss = |code: &'static [u8; 4]| {
        move |reply: &mut Vec<u8>| {
            reply[1] = 0;
            reply[12..16].copy_from_slice(code);
        }
    };
    assert_eq!(cause_of(kiss(b"RATE")).await, Cause::NtpDenied);
    assert_eq!(cause_of(kiss(b"DENY")).await, Cause::NtpDenied);
    assert_eq!(cause_of(kiss(b"INIT")).await, Cause::NtpUnsynced);
    assert_eq!(cause_of(kiss(b"\0\0\0\0")).await, Cause::NtpUnsynced);
    assert_eq!(cause_of(|reply| reply[0] |= 0xc0).await, Cause::NtpUnsynced);
    assert_eq!(cause_of(|reply| reply[1] = 16).await, Cause::NtpUnsynced);
    assert_eq!(cause_of(|reply| reply[4..12].fill(0xff)).await, Cause::NtpUnsynced);
    assert_eq!(cause_of(|reply| reply[16..24].copy_from_slice(&[0xc0; 8])).await, Cause::NtpUnsynced);
    assert_eq!(cause_of(|reply| reply[32..48].fill(0)).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(|reply| reply[32] ^= 0x01).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(|reply| reply[0] = 7 << 3 | 4).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(|reply| reply[0] = 3 << 3 | 4).await, Cause::None);
    assert_eq!(cause_of(|reply| reply.extend([0; 900])).await, Cause::None);
}

#[tokio::test]
async fn a_clock_of_whole_seconds_may_seem_to_send_before_it_received() {
    let rounded = |precision: u8, back: u64| {
        move |reply: &mut Vec<u8>| {
            let now = (clock::wall().as_secs() + ERA) as u32;
            reply[3] = precision;
            reply[32..40].copy_from_slice(&((u64::from(now) + back) << 32).to_be_bytes());
            reply[40..48].copy_from_slice(&(u64::from(now) << 32).to_be_bytes());
        }
    };
    assert_eq!(cause_of(rounded(0, 1)).await, Cause::None);
    assert_eq!(cause_of(rounded(0, 2)).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(rounded(3, 2)).await, Cause::ProtocolViolation, "no clock that tells seconds is coarser");
    assert_eq!(cause_of(rounded(0xff, 1)).await, Cause::ProtocolViolation, "half a second is not one");
    let fine = |reply: &mut Vec<u8>| {
        let received = u64::from_be_bytes(reply[32..40].try_into().expect("eight bytes"));
        reply[32..40].copy_from_slice(&(received + (1 << 26)).to_be_bytes());
        reply[3] = 0xfa;
    };
    assert_eq!(cause_of(fine).await, Cause::None, "2^-6 s is what the packet itself declares");
}

#[tokio::test]
async fn a_server_far_from_its_source_is_degraded_before_it_is_lost() {
    let from_source = |delay: f64, dispersion: f64| {
        udp(move |request| {
            let mut reply = good(request, Duration::ZERO);
            reply[4..8].copy_from_slice(&((delay * 65536.0) as u32).to_be_bytes());
            reply[8..12].copy_from_slice(&((dispersion * 65536.0) as u32).to_be_bytes());
            vec![reply]
        })
    };
    for (delay, dispersion, verdict) in [
        (0.1, 0.9, None),
        (1.9, 0.01, None),
        (0.2, 1.0, Some(false)),
        (5.0, 0.0, Some(false)),
        (0.0, 15.9, Some(false)),
        (0.0, 16.0, Some(true)),
    ] {
        let outcome = ask(from_source(delay, dispersion).await).await;
        let is_lost = outcome.verdict.finding().map(|finding| {
            assert_eq!(finding.cause, Cause::NtpUnsynced);
            matches!(outcome.verdict, Verdict::Failed(_))
        });
        assert_eq!(is_lost, verdict, "{delay} {dispersion}: {:?}", outcome.evidence());
        let said = outcome.evidence().iter().any(|line| line.contains("MAXDIST"));
        assert_eq!(said, verdict.is_some(), "{:?}", outcome.evidence());
    }
}

#[tokio::test]
async fn only_an_echo_of_our_timestamp_counts() {
    assert_eq!(cause_of(|reply| reply[24] ^= 1).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(|reply| reply.truncate(47)).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(|reply| reply[0] = 4 << 3 | 6).await, Cause::ProtocolViolation);
    assert_eq!(cause_of(|reply| reply.resize(60_000, 7)).await, Cause::None);
    let spoofed_first = udp(|request| {
        let mut spoofed = good(request, Duration::from_secs(3600));
        spoofed[24] ^= 1;
        vec![spoofed, good(request, Duration::ZERO)]
    });
    let outcome = ask(spoofed_first.await).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
}

#[tokio::test]
async fn a_kiss_that_is_no_answer_is_not_obeyed_and_the_answer_is_heard_behind_a_flood() {
    let kiss = |request: &[u8]| {
        let mut kiss = good(request, Duration::ZERO);
        (kiss[1], kiss[24]) = (0, kiss[24] ^ 1);
        kiss[12..16].copy_from_slice(b"DENY");
        kiss
    };
    let flood = udp(move |request| vec![kiss(request); 64]);
    let outcome = ask(flood.await).await;
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::ProtocolViolation));
    let answered = udp(move |request| [vec![kiss(request); 64], vec![good(request, Duration::ZERO)]].concat());
    let outcome = ask(answered.await).await;
    assert_eq!(outcome.verdict, Verdict::Healthy, "{:?}", outcome.evidence());
    assert!(outcome.evidence().iter().any(|line| line.starts_with("64 datagrams")), "{:?}", outcome.evidence());
}

#[tokio::test]
async fn silence_is_dropped_and_a_closed_port_is_refused() {
    let outcome = ask(udp(|_| Vec::new()).await).await;
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::Dropped));
    let closed =
        UdpSocket::bind("127.0.0.1:0").await.and_then(|socket| socket.local_addr()).expect("loopback is there");
    let outcome = ask(closed).await;
    assert_eq!(outcome.verdict.finding().map(|finding| finding.cause), Some(Cause::Refused));
    assert!(outcome.phases.total() < PATIENCE);
}

proptest! {
    #[test]
    fn any_packet_is_decoded_and_judged(raw in any::<[u8; 32]>(), rest in any::<[u8; 16]>()) {
        let mut packet = [0; PACKET];
        packet[..32].copy_from_slice(&raw);
        packet[32..].copy_from_slice(&rest);
        let packet = decode(&packet);
        prop_assert!(packet.root_distance() < Duration::from_secs(200_000));
        let _any = judge_packet(&packet);
    }

    #[test]
    fn time_runs_forward_across_the_end_of_an_era(from in any::<u64>(), step in 0u64..1 << 62) {
        let got = forward(from, from.wrapping_add(step)).expect("a step forward");
        prop_assert_eq!(got.as_secs(), step >> 32);
        prop_assert!(step == 0 || forward(from, from.wrapping_sub(step)).is_none());
    }
}
