//! A connected UDP socket that hears ICMP errors and takes receive times from the kernel.

use std::{io, io::IoSliceMut, net::SocketAddr, os::fd::AsRawFd, time::Duration};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::Type;
use tokio::{io::Interest, net::UdpSocket};

use crate::{
    clock,
    egress::{Egress, os},
    error_queue,
    evidence::{IcmpError, Operation, Trouble},
};

/// A datagram and what the kernel says about its arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes written to the caller's buffer.
    pub(crate) len: usize,
    /// The wall clock when the kernel received it, since the Unix epoch.
    pub(crate) at: Duration,
}

/// A UDP socket that speaks to one peer.
#[derive(Debug)]
pub(crate) struct Datagram {
    socket: UdpSocket,
}

impl Datagram {
    /// Opens a socket on a fresh port, connected to `peer`.
    pub(crate) fn open(egress: &Egress, peer: SocketAddr) -> Result<Self, Trouble> {
        let socket = egress.socket(peer, Type::DGRAM)?;
        error_queue::collect(&socket, peer, true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)
            .map_err(|errno| Trouble::Os { operation: Operation::Option, errno: errno as i32 })?;
        socket.connect(&peer.into()).map_err(os(Operation::Connect))?;
        UdpSocket::from_std(socket.into()).map(|socket| Self { socket }).map_err(os(Operation::Socket))
    }

    /// Sends one datagram.
    pub(crate) async fn send(&self, payload: &[u8]) -> Result<(), Trouble> {
        self.socket.send(payload).await.map(drop).map_err(os(Operation::Send))
    }

    /// Waits for the next datagram or error. The caller bounds the wait.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> Result<Received, Trouble> {
        let interest = Interest::READABLE | Interest::ERROR;
        self.socket.async_io(interest, || self.try_receive(buffer)).await.map_err(os(Operation::Receive))
    }

    /// Takes the ICMP error that ended the exchange, if there is one.
    pub(crate) fn icmp(&self) -> Option<IcmpError> {
        error_queue::take(&self.socket)
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut iov = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut iov, Some(&mut control), flags)?;
        let at = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
            _ => None,
        });
        Ok(Received { len: message.bytes, at: at.unwrap_or_else(clock::wall) })
    }
}
