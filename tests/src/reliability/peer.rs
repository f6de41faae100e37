//! A peer on loopback that does its row's steps with everybody who comes, and counts what it gets rid of.

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use ase_probes::clock;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    bytes::{Bytes, Context},
    chain::{Identities, Tls},
    row::{Flood, Listens, Row, Step, Until},
};
use crate::sim::tds::Envelope;

/// Where peers listen.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where nobody does: no peer can get the port there that was found free.
const EMPTY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 54);
/// Where the peers of names listen, so that an answer can lead there and to nobody else.
pub(super) const NAMED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
/// How often a port is looked for that is free for UDP and TCP.
const TRIES: usize = 50;
/// The longest head or message that a peer reads, in bytes.
const LONGEST: usize = 64 << 10;

/// A peer that serves until it is dropped.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where.
    pub(super) address: SocketAddr,
    sent: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
    _queue: Option<(TcpListener, TcpStream)>,
}

impl Peer {
    /// The bytes that it got rid of.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Starts the peer of a row.
    ///
    /// # Errors
    /// When no port is free.
    pub(super) async fn start(row: &Row, identities: &Arc<Identities>) -> Result<Self> {
        let (sent, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let actor = |steps: &[Step], port| Actor {
            steps: steps.into(),
            identities: Arc::clone(identities),
            sent: Arc::clone(&sent),
            port,
        };
        let mut queue = None;
        let address = match row.listens {
            Listens::Nobody => TcpListener::bind((EMPTY, 0)).await?.local_addr()?,
            Listens::Full => {
                let (listener, first) = full().await?;
                let address = listener.local_addr()?;
                queue = Some((listener, first));
                address
            }
            Listens::Peer if row.is_udp() => {
                let host = if row.kind == super::row::Kind::Names { NAMED } else { HERE };
                let (socket, listener) = both(host).await?;
                let address = socket.local_addr()?;
                if let Some(steps) = &row.stream {
                    tasks.spawn(actor(steps, address.port()).accept(listener));
                }
                tasks.spawn(actor(&row.peer, address.port()).hear(socket));
                address
            }
            Listens::Peer => {
                let listener = TcpListener::bind((HERE, 0)).await?;
                let address = listener.local_addr()?;
                tasks.spawn(actor(&row.peer, address.port()).accept(listener));
                address
            }
        };
        Ok(Self { address, sent, _tasks: tasks, _queue: queue })
    }
}

/// A listener in whose queue somebody sits already: the kernel drops whoever knocks.
async fn full() -> Result<(TcpListener, TcpStream)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((HERE, 0).into())?;
    let listener = socket.listen(0)?;
    let first = TcpSocket::new_v4()?.connect(listener.local_addr()?).await?;
    Ok((listener, first))
}

/// A port for both protocols.
async fn both(host: Ipv4Addr) -> Result<(UdpSocket, TcpListener)> {
    for _ in 0..TRIES {
        let socket = UdpSocket::bind((host, 0)).await?;
        if let Ok(listener) = TcpListener::bind(socket.local_addr()?).await {
            return Ok((socket, listener));
        }
    }
    anyhow::bail!("no port of {host} is free for both protocols")
}

/// What does the steps.
#[derive(Clone)]
struct Actor {
    steps: Arc<[Step]>,
    identities: Arc<Identities>,
    sent: Arc<AtomicU64>,
    port: u16,
}

impl Actor {
    async fn accept(self, listener: TcpListener) {
        let mut conversations = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let actor = self.clone();
            // What goes wrong with a client that is under test is the client's to judge.
            conversations.spawn(async move { drop(actor.converse(stream).await) });
        }
    }

    async fn hear(self, socket: UdpSocket) {
        let (socket, mut buffer) = (Arc::new(socket), vec![0; LONGEST]);
        let mut conversations = JoinSet::new();
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let (actor, heard, socket) = (self.clone(), buffer[..length].to_vec(), Arc::clone(&socket));
            conversations.spawn(async move { drop(actor.answer(&socket, from, &heard).await) });
        }
    }

    fn make(&self, bytes: &Bytes, heard: &[u8]) -> Vec<u8> {
        bytes.make(Context { heard, port: self.port, now: clock::wall() })
    }

    async fn answer(&self, socket: &UdpSocket, to: SocketAddr, heard: &[u8]) -> io::Result<()> {
        for step in self.steps.iter() {
            match step {
                Step::Send(bytes) => self.datagram(socket, to, &self.make(bytes, heard)).await?,
                Step::Elsewhere(bytes) => {
                    let other = UdpSocket::bind((HERE, 0)).await?;
                    self.datagram(&other, to, &self.make(bytes, heard)).await?;
                }
                Step::Flood(flood) => {
                    let bytes = self.make(&flood.send, heard);
                    for _ in 0..flood.times.unwrap_or(usize::MAX) {
                        self.datagram(socket, to, &bytes).await?;
                        pause(flood).await;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time.0).await,
                Step::Hold => pending().await,
                Step::Read(_) | Step::HalfClose | Step::Close | Step::Reset | Step::Tls(_) | Step::TdsTls(_) => {}
            }
        }
        Ok(())
    }

    async fn datagram(&self, socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let sent = socket.send_to(bytes, to).await?;
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn converse(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        if self.steps.iter().any(|step| matches!(step, Step::Reset)) {
            stream.set_zero_linger()?;
        }
        let mut talk = Talk { line: Line::Plain(stream), heard: Vec::new() };
        for step in self.steps.iter() {
            match step {
                Step::Read(until) => talk.read(*until).await?,
                Step::Send(bytes) => {
                    let bytes = self.make(bytes, &talk.heard);
                    self.write(&mut talk, &bytes).await?;
                }
                Step::Flood(flood) => self.flood(&mut talk, flood).await?,
                Step::Wait(time) => tokio::time::sleep(time.0).await,
                Step::Hold => pending().await,
                Step::HalfClose => {
                    talk.line.io().shutdown().await?;
                    while talk.line.io().read(&mut [0; 4096]).await? > 0 {}
                }
                Step::Close => talk.line.io().shutdown().await?,
                Step::Reset => return Ok(()),
                Step::Tls(tls) => talk.line = self.secure(talk.line, tls).await?,
                Step::TdsTls(tls) => talk.line = self.secure_inside_tds(talk.line, tls).await?,
                Step::Elsewhere(_) => {}
            }
        }
        Ok(())
    }

    async fn write(&self, talk: &mut Talk, bytes: &[u8]) -> Result<()> {
        let line = talk.line.io();
        // In pieces, so that what is not taken does not count.
        for piece in bytes.chunks(4096) {
            line.write_all(piece).await?;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        line.flush().await?;
        Ok(())
    }

    async fn flood(&self, talk: &mut Talk, flood: &Flood) -> Result<()> {
        let bytes = self.make(&flood.send, &talk.heard);
        for _ in 0..flood.times.unwrap_or(usize::MAX) {
            self.write(talk, &bytes).await?;
            pause(flood).await;
        }
        Ok(())
    }

    async fn secure(&self, line: Line, tls: &Tls) -> Result<Line> {
        let stream = line.plain()?;
        let acceptor = TlsAcceptor::from(self.identities.server(tls)?);
        Ok(Line::Inside(Box::new(acceptor.accept(stream).await?)))
    }

    async fn secure_inside_tds(&self, line: Line, tls: &Tls) -> Result<Line> {
        let acceptor = TlsAcceptor::from(self.identities.server(tls)?);
        let (envelope, opener) = Envelope::new(line.plain()?);
        let stream = acceptor.accept(envelope).await?;
        opener.open();
        Ok(Line::Inside(Box::new(stream)))
    }
}

async fn pause(flood: &Flood) {
    let every = flood.every.map_or(Duration::ZERO, |every| every.0);
    if every.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(every).await }
}

/// A connection under way.
struct Talk {
    line: Line,
    /// What was read last.
    heard: Vec<u8>,
}

impl Talk {
    async fn read(&mut self, until: Until) -> Result<()> {
        let line = self.line.io();
        self.heard.clear();
        match until {
            Until::Some => {
                let mut bytes = vec![0; LONGEST];
                let count = line.read(&mut bytes).await?;
                self.heard.extend_from_slice(&bytes[..count]);
            }
            Until::Head => {
                while !self.heard.ends_with(b"\r\n\r\n") && self.heard.len() < LONGEST {
                    self.heard.push(line.read_u8().await?);
                }
            }
            Until::Framed => {
                self.heard = vec![0; usize::from(line.read_u16().await?)];
                line.read_exact(&mut self.heard).await?;
            }
        }
        Ok(())
    }
}

/// Both directions of a connection.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, as it is or inside TLS.
enum Line {
    Plain(TcpStream),
    Inside(Box<dyn Duplex>),
}

impl Line {
    fn io(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Plain(stream) => stream,
            Self::Inside(stream) => stream,
        }
    }

    fn plain(self) -> Result<TcpStream> {
        let plain = if let Self::Plain(stream) = self { Some(stream) } else { None };
        plain.context("hands are shaken once")
    }
}
