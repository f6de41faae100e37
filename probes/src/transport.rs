//! What the transport alone can tell about a failed exchange, a first hypothesis for the decision table in the agent's
//! `diagnosis/rules.rs`. As far as one exchange proves them, that is R01-R11, R24, R37-R43 and R64 of the procedure.

use std::{net::IpAddr, time::Duration};

use nix::errno::Errno;

use crate::{
    cause::{Cause, Side},
    evidence::{IcmpError, Operation, Stop, Trouble},
    seen::Seen,
    verdict::{Confidence, Finding, Phase},
};

/// Linux sends a SYN again after 1 s. One that was not sent again by then has not left the machine: it waits for the
/// link or the neighbour. (Where the neighbour is known and the link is lost, Linux 6.18 counts the lost packets too.)
const RETRANSMITTED_AFTER: Duration = Duration::from_millis(1500);

/// Names the cause of an exchange that ended early.
pub(crate) fn judge(stop: &Stop, seen: &Seen, destination: IpAddr) -> Finding {
    match &stop.trouble {
        Trouble::Os { operation, errno } => system_error(*operation, Errno::from_raw(*errno), stop, seen, destination),
        Trouble::TimedOut => match seen.icmp.filter(|icmp| !icmp.is_about_mtu()) {
            Some(icmp) => icmp_error(&icmp, stop, destination),
            None if seen.echo.is_some() => Finding::new(Cause::Rejected, stop.phase, Confidence::Likely),
            None => silence(stop, seen),
        },
        Trouble::Closed => cut(stop),
        Trouble::Drips => Finding::new(Cause::Slow, stop.phase, Confidence::Possible),
        Trouble::TooMuch(_) | Trouble::Malformed(_) => {
            Finding::new(Cause::ProtocolViolation, stop.phase, Confidence::Confirmed)
        }
        Trouble::Alert(_) => Finding::new(Cause::TlsRejected, stop.phase, Confidence::Confirmed),
        Trouble::Certificate => Finding::new(Cause::TlsCertInvalid, stop.phase, Confidence::Likely),
        Trouble::Beyond(_) => Finding::new(Cause::LocalLimit, Phase::Local, Confidence::Confirmed),
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
        // A reset is a reset, and a request for smaller packets no failure, whatever else came for the flow.
        Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED => cut(stop),
        _ => match seen.icmp.filter(|icmp| !icmp.is_about_mtu()) {
            Some(icmp) => icmp_error(&icmp, stop, destination),
            None => without_icmp(operation, errno, stop, seen),
        },
    }
}

fn without_icmp(operation: Operation, errno: Errno, stop: &Stop, seen: &Seen) -> Finding {
    // What a system call on the way out refuses by itself never left this machine, however long a busy machine takes to
    // say so; what comes later, or while a connection stands, is the echo of a message.
    let by_itself = match operation {
        Operation::Socket | Operation::Option | Operation::Bind | Operation::Connect => true,
        Operation::Send => seen.tcp.is_none(),
        Operation::Handshake | Operation::Receive => false,
    };
    match errno {
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EINVAL | Errno::EACCES | Errno::ENETDOWN | Errno::ENODEV
            if by_itself =>
        {
            Finding::new(Cause::LocalRoute, Phase::Local, Confidence::Confirmed)
        }
        // What Linux makes of ICMP 3/0, 3/1, 3/2, 3/5, 3/7 and 3/8, and of 11/0, where it does not show the message.
        Errno::ENETUNREACH
        | Errno::EHOSTUNREACH
        | Errno::ENOPROTOOPT
        | Errno::EOPNOTSUPP
        | Errno::EHOSTDOWN
        | Errno::ENONET => Finding::new(Cause::Unreachable, stop.phase, Confidence::Likely),
        // Of ICMPv6 1/1, 1/5 and 1/6 it makes this.
        Errno::EACCES => Finding::new(Cause::Rejected, stop.phase, Confidence::Likely),
        Errno::ECONNREFUSED => Finding::new(Cause::Refused, stop.phase, Confidence::Likely),
        Errno::ETIMEDOUT => silence(stop, seen),
        _ => Finding::new(Cause::Unknown, stop.phase, Confidence::Possible),
    }
}

/// R06-R11: the message names the device; type and code say what it did.
fn icmp_error(icmp: &IcmpError, stop: &Stop, destination: IpAddr) -> Finding {
    let confirmed = |cause| Finding::new(cause, stop.phase, Confidence::Confirmed);
    if icmp.from_self && icmp.is_host_unreachable() {
        return confirmed(Cause::NextHopDown);
    }
    if icmp.from_self {
        return Finding::new(Cause::LocalFirewall, Phase::Local, Confidence::Confirmed);
    }
    let from_destination = icmp.offender == Some(destination);
    let (prohibited, port) = if icmp.v6 {
        (icmp.kind == 1 && matches!(icmp.code, 1 | 5 | 6), icmp.kind == 1 && icmp.code == 4)
    } else {
        (icmp.kind == 3 && matches!(icmp.code, 9 | 10 | 13), icmp.kind == 3 && icmp.code == 3)
    };
    if prohibited || (port && !from_destination) {
        confirmed(Cause::Rejected)
    } else if port {
        confirmed(Cause::Refused)
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
fn silence(stop: &Stop, seen: &Seen) -> Finding {
    let unsent = stop.phase == Phase::Connect && stop.elapsed >= RETRANSMITTED_AFTER;
    if unsent && seen.tcp.is_some_and(|info| info.retransmits == 0) {
        return Finding::new(Cause::NextHopDown, stop.phase, Confidence::Likely);
    }
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
    use crate::evidence::TcpInfo;
    use proptest::prelude::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 18, 0, 9));
    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn stop(phase: Phase, trouble: Trouble, millis: u64) -> Stop {
        Stop { phase, trouble, elapsed: Duration::from_millis(millis) }
    }

    fn os(errno: Errno) -> Trouble {
        Trouble::Os { operation: Operation::Connect, errno: errno as i32 }
    }

    fn later(errno: Errno) -> Trouble {
        Trouble::Os { operation: Operation::Handshake, errno: errno as i32 }
    }

    fn received(errno: Errno) -> Trouble {
        Trouble::Os { operation: Operation::Receive, errno: errno as i32 }
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
            (stop(Phase::Connect, later(Errno::EHOSTUNREACH), 40), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Connect, later(Errno::ENOPROTOOPT), 1), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Connect, later(Errno::EOPNOTSUPP), 1), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Connect, later(Errno::EHOSTDOWN), 1), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Connect, later(Errno::ENONET), 1), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Connect, later(Errno::EACCES), 40), None, Cause::Rejected, Confidence::Likely),
            (stop(Phase::Connect, os(Errno::EACCES), 0), None, Cause::LocalRoute, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::EHOSTUNREACH), 40), None, Cause::LocalRoute, Confidence::Confirmed),
            (stop(Phase::Dns, os(Errno::EINVAL), 900), None, Cause::LocalRoute, Confidence::Confirmed),
            (stop(Phase::Connect, later(Errno::ENETUNREACH), 0), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Ntp, received(Errno::ENETUNREACH), 0), None, Cause::Unreachable, Confidence::Likely),
            (stop(Phase::Connect, os(Errno::ENETDOWN), 0), None, Cause::LocalRoute, Confidence::Confirmed),
            (stop(Phase::Ntp, os(Errno::ENOBUFS), 0), None, Cause::LocalSetup, Confidence::Confirmed),
            (stop(Phase::Connect, os(Errno::EPERM), 0), None, Cause::LocalFirewall, Confidence::Confirmed),
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
    fn every_code_of_icmp_has_its_cause() {
        let causes = |code| match code {
            9 | 10 | 13 => (Cause::Rejected, Confidence::Confirmed),
            3 => (Cause::Rejected, Confidence::Confirmed),
            4 => (Cause::Dropped, Confidence::Possible),
            _ => (Cause::Unreachable, Confidence::Confirmed),
        };
        for code in 0..16 {
            let seen = Seen { icmp: icmp(3, code, ROUTER), ..Seen::default() };
            for trouble in [os(Errno::EPROTO), Trouble::TimedOut] {
                let finding = judge(&stop(Phase::Ntp, trouble.clone(), 9), &seen, PEER);
                let expected = if code == 4 && trouble != Trouble::TimedOut {
                    (Cause::Unknown, Confidence::Possible)
                } else {
                    causes(code)
                };
                assert_eq!((finding.cause, finding.confidence), expected, "3/{code} {trouble}");
            }
        }
    }

    #[test]
    fn this_host_tells_itself_about_the_next_hop_or_its_own_firewall() {
        for (code, cause) in [(1, Cause::NextHopDown), (13, Cause::LocalFirewall), (3, Cause::LocalFirewall)] {
            let mut error = icmp(3, code, ROUTER).expect("built above");
            error.from_self = true;
            let seen = Seen { icmp: Some(error), ..Seen::default() };
            let finding = judge(&stop(Phase::Connect, os(Errno::EHOSTUNREACH), 3070), &seen, PEER);
            assert_eq!(finding.cause, cause);
        }
    }

    #[test]
    fn a_syn_that_never_left_and_an_echo_of_icmp_are_told_from_silence() {
        let silent = |phase, seen: Seen| judge(&stop(phase, Trouble::TimedOut, 4000), &seen, PEER).cause;
        let tcp = |retransmits| Some(TcpInfo { retransmits, unacked: 1, ..TcpInfo::default() });
        assert_eq!(silent(Phase::Connect, Seen { tcp: tcp(0), ..Seen::default() }), Cause::NextHopDown);
        assert_eq!(silent(Phase::Connect, Seen { tcp: tcp(3), ..Seen::default() }), Cause::Dropped);
        assert_eq!(silent(Phase::Request, Seen { tcp: tcp(0), ..Seen::default() }), Cause::Dropped);
        let echo = Some(Errno::EHOSTUNREACH as i32);
        assert_eq!(silent(Phase::Request, Seen { tcp: tcp(3), echo, ..Seen::default() }), Cause::Rejected);
        let mtu = Seen { icmp: icmp(3, 4, ROUTER), echo, ..Seen::default() };
        let reset = judge(&stop(Phase::Request, os(Errno::ECONNRESET), 9), &mtu, PEER);
        assert_eq!(reset.cause, Cause::Reset);
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
