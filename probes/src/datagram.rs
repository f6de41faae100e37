//! A UDP socket for one peer that hears ICMP errors, and takes receive time and hop limit from the kernel.

use std::{
    io,
    io::IoSliceMut,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    sync::OnceLock,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
};
use socket2::Type;
use tokio::{io::Interest, net::UdpSocket};

use crate::{
    attempt::Attempt,
    clock, error_queue,
    evidence::{IcmpError, Operation, Trouble, os},
    journal::{Event, Layer, Page},
};

/// The largest payload of a datagram over IPv4 (RFC 768, RFC 791), in bytes.
const LARGEST: usize = 65_507;
/// After an ICMP error the answer is waited for this much longer at most. Anybody on the path can forge one, and it alone
/// proves nothing while an answer may still come; resolvers give a server as long.
pub(crate) const HEAR_OUT: Duration = Duration::from_secs(2);

/// A datagram and what the kernel says about its arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes written to the caller's buffer.
    pub(crate) len: usize,
    /// The wall clock when the kernel received it, since the Unix epoch.
    pub(crate) at: Duration,
    /// Who sent it.
    pub(crate) from: Option<SocketAddr>,
    /// The hop limit it arrived with.
    pub(crate) hop_limit: Option<u8>,
}

/// A UDP socket that speaks to one peer.
#[derive(Debug)]
pub(crate) struct Datagram {
    socket: UdpSocket,
    peer: SocketAddr,
    connected: bool,
    notice: OnceLock<IcmpError>,
    objection: OnceLock<IcmpError>,
    page: Option<Page>,
}

impl Datagram {
    /// Opens a socket on a fresh port, connected to the peer unless the attempt's shape wants to hear others too.
    pub(crate) fn open(attempt: &Attempt<'_>) -> Result<Self, Trouble> {
        let (peer, connected) = (attempt.address, !attempt.shape.any_source);
        let socket = attempt.egress.socket(peer, Type::DGRAM, attempt.shape)?;
        error_queue::collect(&socket, peer, true)?;
        annotate(&socket, peer).map_err(|errno| Trouble::Os { operation: Operation::Option, errno: errno as i32 })?;
        if connected {
            socket.connect(&peer.into()).map_err(os(Operation::Connect))?;
        }
        let socket = UdpSocket::from_std(socket.into()).map_err(os(Operation::Socket))?;
        let page = attempt.egress.page(peer);
        Ok(Self { socket, peer, connected, notice: OnceLock::new(), objection: OnceLock::new(), page })
    }

    /// Sends one datagram.
    pub(crate) async fn send(&self, payload: &[u8]) -> Result<(), Trouble> {
        if let Some(page) = &self.page {
            page.sent(Layer::Udp, payload);
        }
        let sent = if self.connected {
            self.socket.send(payload).await
        } else {
            self.socket.send_to(payload, self.peer).await
        };
        sent.map(drop).map_err(os(Operation::Send))
    }

    /// Waits for the next datagram or error. The caller bounds the wait.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> Result<Received, Trouble> {
        let interest = Interest::READABLE | Interest::ERROR;
        loop {
            match self.socket.async_io(interest, || self.try_receive(buffer)).await {
                // A router that asks for smaller packets ends no exchange of small ones; anybody can forge that message.
                Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                    if let Some(icmp) = self.take_icmp() {
                        self.notice.get_or_init(|| icmp);
                    }
                }
                result => {
                    if let (Some(page), Ok(received)) = (&self.page, &result) {
                        page.received(Layer::Udp, &buffer[..received.len]);
                    }
                    return result.map_err(os(Operation::Receive));
                }
            }
        }
    }

    /// Whether the error that was just reported is an ICMP message that somebody else may have sent: the answer is waited
    /// for a while longer. What this machine's own kernel says is no forgery, and to its own addresses no path leads.
    pub(crate) fn may_be_forged(&self) -> bool {
        let is_ours = self.hear_objection().is_none_or(|icmp| icmp.from_self);
        !(is_ours || self.peer.ip().is_loopback())
    }

    /// Takes the ICMP error that was just reported and remembers the first of them: the caller goes on waiting.
    fn hear_objection(&self) -> Option<IcmpError> {
        let icmp = self.take_icmp()?;
        Some(*self.objection.get_or_init(|| icmp))
    }

    /// The ICMP message that came for the exchange without ending it, if one did.
    pub(crate) fn notice(&self) -> Option<IcmpError> {
        self.objection.get().or(self.notice.get()).copied()
    }

    /// Takes the ICMP error that ended the exchange, if there is one.
    pub(crate) fn icmp(&self) -> Option<IcmpError> {
        self.objection.get().copied().or_else(|| self.take_icmp()).or_else(|| self.notice())
    }

    fn take_icmp(&self) -> Option<IcmpError> {
        let icmp = error_queue::take(&self.socket, self.peer)?;
        if let Some(page) = &self.page {
            page.note(Layer::Udp, Event::Icmp(icmp));
        }
        Some(icmp)
    }

    /// Bytes of a packet that the device sends in one piece, which the kernel says where it is to send more; `None` where it
    /// sends any. Only with [`Shape::is_whole`](crate::egress::Shape::is_whole).
    pub(crate) async fn device_mtu(&self) -> Option<u32> {
        match self.socket.send(&[0; LARGEST]).await {
            Ok(_) => None,
            Err(_) => error_queue::take_device_mtu(&self.socket),
        }
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut iov = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec, libc::c_int);
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut iov, Some(&mut control), flags)?;
        let (mut at, mut hop_limit) = (None, None);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => at = Some(Duration::from(time)),
                ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                    hop_limit = u8::try_from(hops).ok();
                }
                _ => {}
            }
        }
        let from = message.address.as_ref().and_then(address);
        Ok(Received { len: message.bytes, at: at.unwrap_or_else(clock::wall), from, hop_limit })
    }
}

/// Asks the kernel for the receive time and the hop limit of every datagram.
fn annotate(socket: &impl AsFd, peer: SocketAddr) -> nix::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    match peer {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvTtl, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true),
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::new(v4.ip().into(), v4.port()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port())))
}
