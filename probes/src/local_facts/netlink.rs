//! Questions to the kernel about routes, neighbours and links (rtnetlink(7)): one socket, no privilege, no packet. It
//! frames questions and answers; what an answer means is said in `route.rs`.

use std::io::{self, Read};

use netlink_packet_core::{
    Emitable, ErrorBuffer, NLM_F_DUMP, NLM_F_MULTIPART, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader,
};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Fact, Unread};

/// Bytes of one datagram: the kernel fills at most 32 KiB while it lists (`netlink_dump`), and one link is smaller.
const DATAGRAM: usize = 32 * 1024;
/// Datagrams of one answer: a machine with thousands of devices needs no more.
const MAX_DATAGRAMS: usize = 256;
/// Messages start at multiples of four bytes (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;
/// What the kernel says where it has nothing to tell: no route, or one that forbids (ip-route(8): EINVAL for blackhole,
/// EACCES for prohibit, EHOSTUNREACH for unreachable), no entry for a neighbour, no such device.
const NOTHING: [i32; 6] =
    [libc::ENETUNREACH, libc::EINVAL, libc::EACCES, libc::EHOSTUNREACH, libc::ENOENT, libc::ENODEV];

/// Which question (`linux/rtnetlink.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum About {
    /// `RTM_GETLINK`
    Link = 18,
    /// `RTM_GETROUTE`
    Route = 26,
    /// `RTM_GETNEIGH`
    Neighbour = 30,
}

/// How many objects are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The one that the question describes.
    One,
    /// All of them.
    All,
}

/// The kernel, by a socket in this thread's network namespace.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: Socket,
    sequence: u32,
}

impl Kernel {
    pub(super) fn open() -> io::Result<Self> {
        let (family, protocol) = (Domain::from(libc::AF_NETLINK), Protocol::from(libc::NETLINK_ROUTE));
        let socket = Socket::new(family, Type::RAW, Some(protocol))?;
        // The kernel answers before `send` returns: where nothing can be read then, nothing will come.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks, and returns the answer's messages without their netlink headers.
    pub(super) fn ask(&mut self, about: About, scope: Scope, question: &impl Emitable) -> Fact<Vec<Vec<u8>>> {
        self.sequence += 1;
        self.socket.send(&framed(about, scope, question, self.sequence))?;
        let mut messages = Vec::new();
        let mut datagram = vec![0; DATAGRAM];
        for _ in 0..MAX_DATAGRAMS {
            let length = (&self.socket).read(&mut datagram)?;
            if take_in(&datagram[..length], self.sequence, &mut messages)? == More::No {
                return Ok(messages);
            }
        }
        Err(Unread::Unintelligible)
    }
}

/// The question with its header.
fn framed(about: About, scope: Scope, question: &impl Emitable, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let mut bytes = vec![0; header.buffer_len() + question.buffer_len()];
    header.length = u32::try_from(bytes.len()).expect("a question has a few dozen bytes");
    header.message_type = about as u16;
    header.flags = NLM_F_REQUEST | if scope == Scope::All { NLM_F_DUMP } else { 0 };
    header.sequence_number = sequence;
    let (start, rest) = bytes.split_at_mut(header.buffer_len());
    header.emit(start);
    question.emit(rest);
    bytes
}

/// Whether another datagram belongs to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// Takes the messages of one datagram that answer the question of this number.
fn take_in(mut datagram: &[u8], sequence: u32, messages: &mut Vec<Vec<u8>>) -> Fact<More> {
    while !datagram.is_empty() {
        let packet = NetlinkBuffer::new_checked(datagram).map_err(|_| Unread::Unintelligible)?;
        let is_answer = packet.sequence_number() == sequence;
        match packet.message_type() {
            _ if !is_answer => {}
            NLMSG_DONE => return Ok(More::No),
            NLMSG_ERROR => return error(packet.payload()).map_or(Ok(More::No), Err),
            _ => {
                messages.push(packet.payload().to_vec());
                if packet.flags() & NLM_F_MULTIPART == 0 {
                    return Ok(More::No);
                }
            }
        }
        let length = (packet.length() as usize).next_multiple_of(ALIGNMENT);
        datagram = datagram.get(length..).unwrap_or_default();
    }
    Ok(More::Yes)
}

/// What an error message says; `None` for a mere acknowledgement.
fn error(payload: &[u8]) -> Option<Unread> {
    let Ok(error) = ErrorBuffer::new_checked(payload) else { return Some(Unread::Unintelligible) };
    let errno = error.code()?.get().saturating_abs();
    Some(if NOTHING.contains(&errno) { Unread::Absent } else { Unread::Refused(errno) })
}

#[cfg(test)]
mod tests;
