//! The socket error queue: which ICMP message ended a flow, and which device sent it (`ip(7)`, `IP_RECVERR`).

use std::{
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, getsockname, recvmsg, setsockopt, sockopt};

use crate::evidence::{IcmpError, Operation, Trouble};

/// Origin of a queue entry in `linux/errqueue.h`.
const ORIGIN_ICMP: u8 = 2;
/// Origin of a queue entry in `linux/errqueue.h`.
const ORIGIN_ICMP6: u8 = 3;
/// Entries read at most, so that a flood of forged messages costs bounded time.
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
pub(crate) fn take(socket: &impl AsFd) -> Option<IcmpError> {
    let own = own_address(socket);
    let mut found: Option<IcmpError> = None;
    for _ in 0..MAX_ENTRIES {
        let Some(entry) = next(socket) else { break };
        let Some(mut error) = entry else { continue };
        error.from_self = is_host_unreachable(&error) && error.offender.is_some() && error.offender == own;
        if found.is_none_or(|earlier| is_mtu_notice(&earlier)) {
            found = Some(error);
        }
    }
    found
}

/// The only message that a host sends to itself about a neighbour that does not answer.
fn is_host_unreachable(error: &IcmpError) -> bool {
    if error.v6 { error.kind == 1 && error.code == 3 } else { error.kind == 3 && error.code == 1 }
}

fn is_mtu_notice(error: &IcmpError) -> bool {
    if error.v6 { error.kind == 2 } else { error.kind == 3 && error.code == 4 }
}

/// Reads one entry: `None` when the queue is empty, `Some(None)` for an entry that is not ICMP.
fn next(socket: &impl AsFd) -> Option<Option<IcmpError>> {
    let mut payload = [0u8; 64];
    let mut iov = [IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, nix::sys::time::TimeSpec);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut iov, Some(&mut control), flags).ok()?;
    Some(message.cmsgs().ok()?.find_map(|control| {
        match control {
            ControlMessageOwned::Ipv4RecvErr(error, from) => icmp(
                &error,
                from.filter(|from| from.sin_addr.s_addr != 0)
                    .map(|from| IpAddr::V4(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)))),
            ),
            ControlMessageOwned::Ipv6RecvErr(error, from) => icmp(
                &error,
                from.map(|from| Ipv6Addr::from(from.sin6_addr.s6_addr))
                    .filter(|address| !address.is_unspecified())
                    .map(IpAddr::V6),
            ),
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

fn own_address(socket: &impl AsFd) -> Option<IpAddr> {
    let name: SockaddrStorage = getsockname(socket.as_fd().as_raw_fd()).ok()?;
    if let Some(v4) = name.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    name.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
}
