//! What the transport alone can tell about a failed exchange: rules R01-R11, R24, R37-R43 and R64 of the
//! decision procedure, as far as one exchange proves them. Contrast measurements refine it elsewhere.

use std::{net::IpAddr, time::Duration};

use nix::errno::Errno;

use crate::{
    cause::{Cause, Side},
    evidence::{IcmpError, Operation, Stop, Trouble},
    outcome::Seen,
    verdict::{Confidence, Finding, Phase},
};

/// A failure faster than this, with no ICMP message behind it, never left the machine.
const LOCAL_WITHIN: Duration = Duration::from_millis(5);

/// Names the cause of an exchange that ended early.
pub(crate) fn judge(stop: &Stop, seen: &Seen, destination: IpAddr) -> Finding {
    match &stop.trouble {
        Trouble::Os { operation, errno } => system_error(*operation, Errno::from_raw(*errno), stop, seen, destination),
        Trouble::TimedOut => seen.icmp.map_or_else(|| silence(stop), |icmp| icmp_error(&icmp, stop, destination)),
        Trouble::Closed => cut(stop),
        Trouble::TooMuch(_) | Trouble::Malformed(_) => {
            Finding::new(Cause::ProtocolViolation, stop.phase, Confidence::Confirmed)
        }
        Trouble::Alert(_) => Finding::new(Cause::TlsRejected, stop.phase, Confidence::Confirmed),
        Trouble::Certificate => Finding::new(Cause::TlsCertInvalid, stop.phase, Confidence::Likely),
        Trouble::Unasked(_) => Finding::new(Cause::LocalSetup, Phase::Local, Confidence::Confirmed),
    }
}

fn system_error(operation: Operation, errno: Errno, stop: &Stop, seen: &Seen, destination: IpAddr) -> Finding {
    let local = |cause| Finding::new(cause, Phase::Local, Confidence::Confirmed);
    let before_any_packet = matches!(operation, Operation::Socket | Operation::Option | Operation::Bind);
    match errno {
        Errno::EMFILE | Errno::ENFILE => local(Cause::LocalFdLimit),
        Errno::EADDRNOTAVAIL | Errno::EADDRINUSE if operation == Operation::Connect => local(Cause::LocalPorts),
        Errno::EADDRINUSE => local(Cause::LocalPorts),
        Errno::EAGAIN => local(Cause::LocalPorts),
        Errno::EPERM if operation == Operation::Send || operation == Operation::Connect => local(Cause::LocalFirewall),
        _ if before_any_packet => local(Cause::LocalSetup),
        Errno::ENOBUFS | Errno::ENOMEM => local(Cause::LocalSetup),
        _ => match seen.icmp {
            Some(icmp) => icmp_error(&icmp, stop, destination),
            None => without_icmp(errno, stop),
        },
    }
}

fn without_icmp(errno: Errno, stop: &Stop) -> Finding {
    match errno {
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EINVAL | Errno::EACCES if stop.elapsed < LOCAL_WITHIN => {
            Finding::new(Cause::LocalRoute, Phase::Local, Confidence::Confirmed)
        }
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EHOSTDOWN | Errno::ENONET => {
            Finding::new(Cause::Unreachable, stop.phase, Confidence::Likely)
        }
        Errno::ECONNREFUSED => Finding::new(Cause::Refused, stop.phase, Confidence::Likely),
        Errno::ETIMEDOUT => silence(stop),
        Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED => cut(stop),
        _ => Finding::new(Cause::Unknown, stop.phase, Confidence::Possible),
    }
}

/// R06-R11: the message names the device; type and code say what it did.
fn icmp_error(icmp: &IcmpError, stop: &Stop, destination: IpAddr) -> Finding {
    let confirmed = |cause| Finding::new(cause, stop.phase, Confidence::Confirmed);
    if icmp.from_self {
        return confirmed(Cause::NextHopDown);
    }
    let from_destination = icmp.offender == Some(destination);
    let (prohibited, port, too_big) = if icmp.v6 {
        (icmp.kind == 1 && matches!(icmp.code, 1 | 5 | 6), icmp.kind == 1 && icmp.code == 4, icmp.kind == 2)
    } else {
        (
            icmp.kind == 3 && matches!(icmp.code, 9 | 10 | 13),
            icmp.kind == 3 && icmp.code == 3,
            icmp.kind == 3 && icmp.code == 4,
        )
    };
    if prohibited || (port && !from_destination) {
        confirmed(Cause::Rejected)
    } else if port {
        confirmed(Cause::Refused)
    } else if too_big {
        silence(stop)
    } else {
        confirmed(Cause::Unreachable)
    }
}

/// R37, R42, R43: the connection ended after it was established.
fn cut(stop: &Stop) -> Finding {
    match stop.phase {
        Phase::Tls => Finding::new(Cause::TlsBlocked, stop.phase, Confidence::Likely),
        Phase::Tds => Finding::new(Cause::ProxiedBlind, stop.phase, Confidence::Possible),
        Phase::Local | Phase::Dns | Phase::Connect | Phase::Request | Phase::Response | Phase::Ntp | Phase::None => {
            Finding::new(Cause::Reset, stop.phase, Confidence::Likely).on(Side::Unknown)
        }
    }
}

/// R38, R42, R64: nobody spoke. Without contrast this is a hypothesis, never confirmed.
fn silence(stop: &Stop) -> Finding {
    let cause = match stop.phase {
        Phase::Tls => Cause::TlsBlocked,
        Phase::Tds => Cause::ProxiedBlind,
        Phase::Local | Phase::Dns | Phase::Connect | Phase::Request | Phase::Response | Phase::Ntp | Phase::None => {
            Cause::Dropped
        }
    };
    Finding::new(cause, stop.phase, Confidence::Possible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 18, 0, 9));
    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn stop(phase: Phase, trouble: Trouble, millis: u64) -> Stop {
        Stop { phase, trouble, elapsed: Duration::from_millis(millis) }
    }

    fn os(errno: Errno) -> Trouble {
        Trouble::Os { operation: Operation::Connect, errno: errno as i32 }
    }

    fn icmp(kind: u8, code: u8, offender: IpAddr) -> Option<IcmpError> {
        Some(IcmpError { v6: false, kind, code, mtu: 0, offender: Some(offender), from_self: false })
    }

    #[test]
    fn each_transport_signature_has_its_cause() {
        let rows: &[(Stop, Option<IcmpError>, Cause, Confidence)] = &[
            (stop(Phase::Connect, os(Errno::EMFILE), 0), None, Cause::LocalFdLimit, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::EADDRNOTAVAIL), 0), None, Cause::LocalPorts, Confidence::Confirmed),
            (stop(Phase::Ntp, os(Errno::EAGAIN), 0), None, Cause::LocalPorts, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::ENETUNREACH), 0), None, Cause::LocalRoute, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::EINVAL), 0), None, Cause::LocalRoute, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::EHOSTUNREACH), 40), None, Cause::Unreachable, Confidence::Likely),
            (
                stop(Phase::Connect, os(Errno::EHOSTUNREACH), 1),
                icmp(3, 13, ROUTER),
                Cause::Rejected,
                Confidence::Confirmed,
            ),
            (
                stop(Phase::Connect, os(Errno::EHOSTUNREACH), 1),
                icmp(3, 1, ROUTER),
                Cause::Unreachable,
                Confidence::Confirmed,
            ),
            (
                stop(Phase::Connect, os(Errno::EHOSTUNREACH), 1),
                icmp(11, 0, ROUTER),
                Cause::Unreachable,
                Confidence::Confirmed,
            ),
            (
                stop(Phase::Connect, os(Errno::ECONNREFUSED), 1),
                icmp(3, 3, ROUTER),
                Cause::Rejected,
                Confidence::Confirmed,
            ),
            (stop(Phase::Dns, os(Errno::ECONNREFUSED), 1), icmp(3, 3, PEER), Cause::Refused, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::ECONNREFUSED), 1), None, Cause::Refused, Confidence::Likely),
            (stop(Phase::Connect, Trouble::TimedOut, 5000), None, Cause::Dropped, Confidence::Possible),
            (stop(Phase::Tls, Trouble::TimedOut, 5000), None, Cause::TlsBlocked, Confidence::Possible),
            (stop(Phase::Tls, os(Errno::ECONNRESET), 9), None, Cause::TlsBlocked, Confidence::Likely),
            (stop(Phase::Tls, Trouble::Closed, 9), None, Cause::TlsBlocked, Confidence::Likely),
            (stop(Phase::Tds, Trouble::Closed, 9), None, Cause::ProxiedBlind, Confidence::Possible),
            (stop(Phase::Request, os(Errno::ECONNRESET), 9), None, Cause::Reset, Confidence::Likely),
            (stop(Phase::Tls, Trouble::Alert(40), 9), None, Cause::TlsRejected, Confidence::Confirmed),
            (stop(Phase::Tds, Trouble::Malformed("x"), 9), None, Cause::ProtocolViolation, Confidence::Confirmed),
        ];
        for (stop, icmp, cause, confidence) in rows {
            let seen = Seen { icmp: *icmp, ..Seen::default() };
            let finding = judge(stop, &seen, PEER);
            assert_eq!((finding.cause, finding.confidence), (*cause, *confidence), "{stop}");
        }
    }

    #[test]
    fn an_unanswered_neighbour_is_the_next_hop() {
        let mut error = icmp(3, 1, ROUTER).expect("built above");
        error.from_self = true;
        let seen = Seen { icmp: Some(error), ..Seen::default() };
        let finding = judge(&stop(Phase::Connect, os(Errno::EHOSTUNREACH), 3070), &seen, PEER);
        assert_eq!(finding.cause, Cause::NextHopDown);
    }

    proptest! {
        #[test]
        fn every_errno_has_a_cause_and_silence_is_never_confirmed(
            errno in 0i32..200, kind in 0u8..20, code in 0u8..20, with_icmp: bool, millis in 0u64..9000,
        ) {
            let seen = Seen { icmp: icmp(kind, code, ROUTER).filter(|_| with_icmp), ..Seen::default() };
            let trouble = Trouble::Os { operation: Operation::Connect, errno };
            let finding = judge(&stop(Phase::Connect, trouble, millis), &seen, PEER);
            prop_assert_ne!(finding.cause, Cause::None);
            prop_assert!(finding.cause != Cause::Dropped || finding.confidence == Confidence::Possible);
        }
    }
}
