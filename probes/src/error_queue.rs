//! The socket error queue: which ICMP message ended a flow, and which device sent it (`ip(7)`, `IP_RECVERR`).

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, getsockname, recvmsg, setsockopt, sockopt},
};
use socket2::{Domain, Socket, Type};

use crate::evidence::{IcmpError, Operation, Trouble};

/// `SO_EE_ORIGIN_LOCAL` in `linux/errqueue.h`.
const ORIGIN_LOCAL: u8 = 1;
/// `SO_EE_ORIGIN_ICMP` in `linux/errqueue.h`.
const ORIGIN_ICMP: u8 = 2;
/// `SO_EE_ORIGIN_ICMP6` in `linux/errqueue.h`.
const ORIGIN_ICMP6: u8 = 3;
/// Entries read at most. A flow that fails brings one per packet sent, and we send fewer than 8; the rest leaves room for
/// forged messages, whose flood must cost bounded time.
const MAX_ENTRIES: usize = 16;

/// Makes the kernel queue ICMP errors for this socket, or stops it.
pub(crate) fn collect(socket: &impl AsFd, peer: SocketAddr, on: bool) -> Result<(), Trouble> {
    let result = match peer {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &on),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &on),
    };
    result.map_err(|errno| Trouble::Os { operation: Operation::Option, errno: errno as i32 })
}

/// Takes the queued ICMP errors and returns the most telling one: the first that is not about the MTU.
pub(crate) fn take(socket: &impl AsFd, peer: SocketAddr) -> Option<IcmpError> {
    let mut found: Option<IcmpError> = None;
    for _ in 0..MAX_ENTRIES {
        let Some(entry) = next(socket) else { break };
        let Some(mut error) = entry else { continue };
        // A peer on this host speaks for itself; anybody else with our own address is this host's kernel.
        error.from_self =
            error.offender.is_some_and(|offender| offender != peer.ip() && own_address(socket, peer) == Some(offender));
        if found.is_none_or(|earlier| earlier.is_about_mtu()) {
            found = Some(error);
        }
    }
    found
}

/// Whether an error of a socket is only the echo of an ICMP message: it shows once, and an established connection lives
/// on (`tcp(7)`), for which Linux 6.18 queues no message. These are the errors that Linux makes of the codes of ICMP.
pub(crate) fn is_echo(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::ENETUNREACH
                | Errno::EHOSTUNREACH
                | Errno::ENOPROTOOPT
                | Errno::ECONNREFUSED
                | Errno::EMSGSIZE
                | Errno::EOPNOTSUPP
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EACCES
                | Errno::EPROTO
        )
    )
}

/// The device's MTU in bytes, where a packet was refused because it is larger.
pub(crate) fn take_device_mtu(socket: &impl AsFd) -> Option<u32> {
    let (error, _) = next_entry(socket)??;
    (error.ee_origin == ORIGIN_LOCAL && error.ee_errno == Errno::EMSGSIZE as u32).then_some(error.ee_info)
}

/// Reads one entry: `None` when the queue is empty, `Some(None)` for an entry that is not ICMP.
fn next(socket: &impl AsFd) -> Option<Option<IcmpError>> {
    Some(next_entry(socket)?.and_then(|(error, offender)| icmp(&error, offender)))
}

/// Reads one entry as it is, with the address of whoever caused it.
fn next_entry(socket: &impl AsFd) -> Option<Option<(libc::sock_extended_err, Option<IpAddr>)>> {
    let mut payload = [0u8; 64];
    let mut iov = [IoSliceMut::new(&mut payload)];
    // Time and hop limit come too, where the socket asks for them, and before the error: without room it would be cut.
    let mut control =
        nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, nix::sys::time::TimeSpec, libc::c_int);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut iov, Some(&mut control), flags).ok()?;
    Some(message.cmsgs().ok()?.find_map(|control| {
        match control {
            ControlMessageOwned::Ipv4RecvErr(error, from) => Some((
                error,
                from.filter(|from| from.sin_addr.s_addr != 0)
                    .map(|from| IpAddr::V4(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)))),
            )),
            ControlMessageOwned::Ipv6RecvErr(error, from) => Some((
                error,
                from.map(|from| Ipv6Addr::from(from.sin6_addr.s6_addr))
                    .filter(|address| !address.is_unspecified())
                    .map(IpAddr::V6),
            )),
            _ => None,
        }
    }))
}

fn icmp(error: &libc::sock_extended_err, offender: Option<IpAddr>) -> Option<IcmpError> {
    (error.ee_origin == ORIGIN_ICMP || error.ee_origin == ORIGIN_ICMP6).then_some(IcmpError {
        v6: error.ee_origin == ORIGIN_ICMP6,
        kind: error.ee_type,
        code: error.ee_code,
        mtu: error.ee_info,
        offender,
        from_self: false,
    })
}

/// The address this socket sends from; for one that is not connected, the address that the routing table chooses.
fn own_address(socket: &impl AsFd, peer: SocketAddr) -> Option<IpAddr> {
    let name: SockaddrStorage = getsockname(socket.as_fd().as_raw_fd()).ok()?;
    let v4 = name.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    let own = v4.or_else(|| name.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
    if !own.is_unspecified() {
        return Some(own);
    }
    let lookup = Socket::new(Domain::for_address(peer), Type::DGRAM, None).ok()?;
    lookup.connect(&peer.into()).ok()?;
    lookup.local_addr().ok()?.as_socket().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_connection_is_no_echo() {
        let echo = |errno| is_echo(&io::Error::from_raw_os_error(errno as i32));
        for errno in [Errno::EHOSTUNREACH, Errno::ECONNREFUSED, Errno::EMSGSIZE, Errno::EACCES] {
            assert!(echo(errno), "{errno}");
        }
        for errno in [Errno::ECONNRESET, Errno::EPIPE, Errno::ETIMEDOUT, Errno::ENOTCONN, Errno::EAGAIN] {
            assert!(!echo(errno), "{errno}");
        }
        assert!(!is_echo(&io::Error::other("something else")));
    }
}
