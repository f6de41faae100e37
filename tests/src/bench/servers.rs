//! Light servers of a bench: each kind answers on every address of the benchmarking space and does no more than a probe
//! needs, so that they leave the machine to what is measured.

use std::{
    collections::BTreeMap,
    io::{IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result};
use nix::{
    libc::in_pktinfo,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
        sockopt::Ipv4PacketInfo,
    },
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{
    arrivals::Arrivals,
    endpoints::{Kind, ZONE},
};
use crate::authority::{Authority, Flaw, server_config};

/// The longest request head that is read, in bytes.
const MAX_HEAD: usize = 4096;
/// Answers every request.
const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbench\n";
/// The longest question, in bytes: one that needs more is not asked here.
const DATAGRAM: usize = 1232;

/// Starts one server of each kind. They listen until the process ends.
///
/// # Errors
/// When a port cannot be bound.
pub(super) async fn start(authority: &Arc<Authority>, arrivals: &Arrivals) -> Result<()> {
    listen(Kind::Tcp, arrivals, wait_for_the_end).await?;
    listen(Kind::Http, arrivals, |mut stream| async move { drop(answer(&mut stream).await) }).await?;
    let certificates = Certificates { authority: Arc::clone(authority), known: Arc::default() };
    listen(Kind::Https, arrivals, move |stream| {
        let certificates = certificates.clone();
        async move { drop(certificates.serve(stream).await) }
    })
    .await?;
    start_dns(arrivals.clone())
}

async fn listen<F>(kind: Kind, arrivals: &Arrivals, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, kind.port()));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let arrivals = arrivals.clone();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            if let Ok(server) = stream.local_addr() {
                arrivals.note(server);
            }
            tokio::spawn(serve(stream));
        }
    });
    Ok(())
}

/// A service that says nothing until it is asked, as most do.
async fn wait_for_the_end(mut stream: TcpStream) {
    let mut ignored = [0; 256];
    while matches!(stream.read(&mut ignored).await, Ok(length) if length > 0) {}
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(MAX_HEAD);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(PAGE).await?;
    stream.shutdown().await?;
    // What the client still says must not be answered by a reset.
    let mut ignored = [0; 256];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// A certificate for each address, made when it is first asked for.
#[derive(Clone)]
struct Certificates {
    authority: Arc<Authority>,
    known: Arc<Mutex<BTreeMap<IpAddr, Arc<ServerConfig>>>>,
}

impl Certificates {
    async fn serve(&self, stream: TcpStream) -> Result<()> {
        let config = self.of(stream.local_addr()?.ip())?;
        Ok(answer(&mut TlsAcceptor::from(config).accept(stream).await?).await?)
    }

    fn of(&self, address: IpAddr) -> Result<Arc<ServerConfig>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(&address) {
            return Ok(Arc::clone(config));
        }
        let name = address.to_string();
        let config = server_config(&self.authority, &name, &Flaw::None, &["http/1.1"], rustls::ALL_VERSIONS)?;
        known.insert(address, Arc::clone(&config));
        Ok(config)
    }
}

/// One socket for all addresses: the kernel says which one was asked, and is told which one answers.
fn start_dns(arrivals: Arrivals) -> Result<()> {
    let port = Kind::Dns.port();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).context("cannot listen on UDP 53")?;
    setsockopt(&socket, Ipv4PacketInfo, &true).context("the kernel tells which address was asked")?;
    thread::spawn(move || {
        let mut buffer = [0; DATAGRAM];
        loop {
            let Ok((length, client, server)) = receive(&socket, &mut buffer) else { continue };
            arrivals.note(SocketAddr::from((server, port)));
            if let Some(reply) = reply(&buffer[..length]) {
                drop(send(&socket, &reply, client, server));
            }
        }
    });
    Ok(())
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<(usize, SockaddrIn, Ipv4Addr)> {
    let mut control = nix::cmsg_space!(in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let client = message.address.context("a datagram has a sender")?;
    let asked = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))),
        _ => None,
    });
    Ok((message.bytes, client, asked.context("the kernel tells which address was asked")?))
}

fn send(socket: &UdpSocket, reply: &[u8], client: SockaddrIn, server: Ipv4Addr) -> Result<()> {
    let from = SockaddrIn::from(SocketAddrV4::new(server, 0)).as_ref().sin_addr;
    let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: from };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(reply)], &control, MsgFlags::empty(), Some(&client))?;
    Ok(())
}

/// The answer to a question, byte by byte (RFC 1035 section 4): an address to an A question in the zone, no data to
/// another type, NXDOMAIN outside. `None` to what is no question.
fn reply(question: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = name(question)?;
    let kind = question.get(end..end + 2)?;
    let is_ours = name == ZONE || name.ends_with(&format!(".{ZONE}"));
    let has_answer = is_ours && kind == [0, 1];
    let has_options = question.get(10..12)? == [0, 1];
    let mut reply = question.get(..end + 4)?.to_vec();
    // A response, recursion desired and available; the code is NOERROR or NXDOMAIN.
    reply[2] = 0x80 | (question[2] & 0x01);
    reply[3] = if is_ours { 0x80 } else { 0x83 };
    reply[6..12].copy_from_slice(&[0, u8::from(has_answer), 0, 0, 0, u8::from(has_options)]);
    if has_answer {
        // The name of the question, type A, class IN, 60 s, 198.18.0.1.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 1]);
    }
    if has_options {
        // An empty OPT record with 1232 bytes of room (RFC 6891 section 6.1.2).
        reply.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    Some(reply)
}

/// The name that is asked for, in lower case, and where it ends.
fn name(question: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
        rr::{Name, RecordType},
    };

    fn asked(name: &str, kind: RecordType, has_options: bool) -> Message {
        let mut question = Message::new(4711, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        if has_options {
            question.set_edns(Edns::new());
        }
        let reply = reply(&question.to_vec().expect("it can be written")).expect("a reply");
        Message::from_vec(&reply).expect("the reply can be read")
    }

    #[test]
    fn names_of_the_zone_have_one_address_and_others_do_not_exist() {
        let reply = asked("Seven.Bench.Example.", RecordType::A, true);
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (4711, ResponseCode::NoError));
        assert_eq!((reply.answers.len(), reply.queries.len(), reply.edns.is_some()), (1, 1, true));
        let reply = asked("seven.bench.example.", RecordType::AAAA, false);
        assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NoError, 0));
        assert!(reply.edns.is_none());
        let reply = asked("notbench.example.", RecordType::A, false);
        assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NXDomain, 0));
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        let question: &[u8] = &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, b'a'];
        for length in 0..question.len() {
            assert_eq!(reply(&question[..length]), None);
        }
    }

    #[tokio::test]
    async fn a_request_in_two_parts_gets_one_page() {
        let (mut client, mut server) = tokio::io::duplex(512);
        let served = tokio::spawn(async move { answer(&mut server).await });
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r").await.expect("the server reads");
        client.write_all(b"\n\r\n").await.expect("the server reads");
        client.shutdown().await.expect("the server lives");
        let mut text = Vec::new();
        client.read_to_end(&mut text).await.expect("the server answers");
        served.await.expect("it ends").expect("it answered");
        assert_eq!(text, PAGE);
    }
}
