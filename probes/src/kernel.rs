//! The few system calls that have no safe wrapper. This is the only module where `unsafe` is allowed.
#![allow(unsafe_code, reason = "system calls without a safe wrapper live here, and nowhere else")]

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use crate::evidence::TcpInfo;

/// Size of `struct tcp_info` up to `tcpi_dsack_dups` (`include/uapi/linux/tcp.h`, Linux 4.19), in bytes.
const TCP_INFO_LEN: usize = 220;

/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT` in `include/net/tcp_states.h`: the handshake is done; in the second the peer has
/// already ended its half.
const ESTABLISHED: [u8; 2] = [1, 8];

/// Reads `TCP_INFO`; `None` where the kernel does not give it.
pub(crate) fn tcp_info(socket: &impl AsFd) -> Option<TcpInfo> {
    let mut raw = [0u8; TCP_INFO_LEN];
    let mut len = TCP_INFO_LEN as libc::socklen_t;
    // SAFETY: the descriptor is borrowed and so open for the call; `raw` is writable for `len` bytes and
    // outlives the call; the kernel writes at most `len` bytes and any bytes are a valid `[u8]`.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            raw.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    (status == 0).then(|| decode(&raw))
}

/// Drops packets that arrive with a smaller hop limit than this (`IP_MINTTL` in `ip(7)`, `IPV6_MINHOPCOUNT`).
///
/// # Errors
/// Whatever `setsockopt(2)` says.
pub(crate) fn set_min_hop_limit(socket: &impl AsFd, peer: SocketAddr, hops: u8) -> io::Result<()> {
    let (level, name) = match peer {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set(socket, level, name, libc::c_int::from(hops))
}

/// Forbids to cut packets up, here and on the way, and ignores what was learned of the path (`IP_MTU_DISCOVER` in `ip(7)`,
/// `IPV6_MTU_DISCOVER` in `ipv6(7)`).
///
/// # Errors
/// Whatever `setsockopt(2)` says.
pub(crate) fn keep_whole(socket: &impl AsFd, peer: SocketAddr) -> io::Result<()> {
    match peer {
        SocketAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        SocketAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
    }
}

/// Sets a socket option that is a number.
fn set(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed and so open for the call; `value` is readable for `len` bytes during the call.
    let status = unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads how the clock is kept (`adjtimex(2)`): whether somebody synchronises it, and the most by which it may be wrong. Without a
/// bit in `modes` nothing is changed.
///
/// # Errors
/// Whatever `adjtimex(2)` says.
pub(crate) fn clock_keeping() -> io::Result<(bool, Duration)> {
    // SAFETY: the structure consists of numbers alone, for each of which zero is a value.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is readable and writable, and outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut clock) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    let is_synchronised = state != libc::TIME_ERROR && clock.status & libc::STA_UNSYNC == 0;
    Ok((is_synchronised, Duration::from_micros(u64::try_from(clock.maxerror).unwrap_or(0))))
}

/// Decodes `struct tcp_info`; offsets from `include/uapi/linux/tcp.h`. Fields an old kernel lacks stay zero.
fn decode(raw: &[u8; TCP_INFO_LEN]) -> TcpInfo {
    let u32_at = |at: usize| u32::from_ne_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let u64_at = |at: usize| {
        let (low, high) = (u64::from(u32_at(at)), u64::from(u32_at(at + 4)));
        if cfg!(target_endian = "little") { low | high << 32 } else { high | low << 32 }
    };
    TcpInfo {
        is_established: ESTABLISHED.contains(&raw[0]),
        segment_size: u32_at(16),
        received_segment: u32_at(20),
        unacked: u32_at(24),
        last_ack: Duration::from_millis(u64::from(u32_at(56))),
        path_mtu: u32_at(60),
        round_trip: Duration::from_micros(u64::from(u32_at(68))),
        retransmits: u32_at(100),
        bytes_acked: u64_at(120),
        bytes_received: u64_at(128),
        spurious: u32_at(216),
    }
}
