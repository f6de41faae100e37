//! The witness itself: sockets in, sealed answers out. What is not a challenge under the key gets no byte and leaves nothing
//! behind: connections, their bytes and their time are bounded, and so is what is written to the log.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ase_probes::{clock, dns::Transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use super::{
    challenge::{ANSWER, ASKS, Answer, CHALLENGE, Challenge},
    guard::{Guard, Moment},
    half_open,
    key::Key,
    port::Port,
};

/// Connections at a time, and of one address: a knock opens eight.
const CONNECTIONS: usize = 64;
const OF_ONE: usize = 16;
/// The time that one connection gets for its challenge: three round trips with a packet that is sent again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause where no connection can be taken, for want of descriptors: those that are open end within their time.
const PAUSE: Duration = Duration::from_millis(100);
/// What was turned away is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// A socket with the port that it listens on.
#[derive(Debug)]
pub enum Open {
    /// For connections.
    Tcp(Port, std::net::TcpListener),
    /// For datagrams.
    Udp(Port, std::net::UdpSocket),
}

impl Open {
    /// Opens a port: on this address, else on every address of both families, or of IPv4 alone where there is no IPv6.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(port: Port, address: Option<IpAddr>) -> io::Result<Self> {
        let at = |ip: IpAddr| {
            let address = SocketAddr::new(ip, port.number);
            match port.transport {
                Transport::Tcp => std::net::TcpListener::bind(address).map(|socket| Self::Tcp(port, socket)),
                Transport::Udp => std::net::UdpSocket::bind(address).map(|socket| Self::Udp(port, socket)),
            }
        };
        let any = Ipv6Addr::UNSPECIFIED.into();
        let denied =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse);
        match address {
            Some(address) => at(address),
            None => at(any).or_else(|error| if denied(&error) { Err(error) } else { at(Ipv4Addr::UNSPECIFIED.into()) }),
        }
    }

    /// Takes a listener that was opened by somebody else.
    ///
    /// # Errors
    /// That it does not say where it listens.
    pub fn adopt_tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        let number = socket.local_addr()?.port();
        Ok(Self::Tcp(Port { transport: Transport::Tcp, number }, socket))
    }

    /// Takes a socket for datagrams that was opened by somebody else.
    ///
    /// # Errors
    /// That it does not say where it listens.
    pub fn adopt_udp(socket: std::net::UdpSocket) -> io::Result<Self> {
        let number = socket.local_addr()?.port();
        Ok(Self::Udp(Port { transport: Transport::Udp, number }, socket))
    }

    /// Where it listens.
    pub fn port(&self) -> Port {
        match self {
            Self::Tcp(port, _) | Self::Udp(port, _) => *port,
        }
    }
}

/// Answers until it is dropped.
///
/// # Errors
/// What the system said when a socket was taken over.
pub async fn serve(sockets: Vec<Open>, key: Key) -> io::Result<()> {
    let ports = sockets.iter().map(Open::port).collect();
    let witness = Arc::new(Witness {
        key,
        ports,
        guard: Mutex::new(Guard::new(now())),
        visitors: Mutex::default(),
        tally: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    for socket in sockets {
        let witness = Arc::clone(&witness);
        match socket {
            Open::Tcp(port, socket) => {
                socket.set_nonblocking(true)?;
                let listener = TcpListener::from_std(socket)?;
                tasks.spawn(async move { accept(witness, listener, port).await });
            }
            Open::Udp(port, socket) => {
                socket.set_nonblocking(true)?;
                let socket = UdpSocket::from_std(socket)?;
                tasks.spawn(async move { hear(witness, socket, port).await });
            }
        }
    }
    tasks.spawn(tell(witness));
    while tasks.join_next().await.is_some() {}
    Ok(())
}

fn now() -> Moment {
    Moment { wall: clock::wall(), at: clock::now() }
}

/// What all sockets share.
struct Witness {
    key: Key,
    ports: Vec<Port>,
    guard: Mutex<Guard>,
    /// Open connections by address.
    visitors: Mutex<BTreeMap<IpAddr, usize>>,
    tally: Mutex<Tally>,
}

/// What happened since it was told last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    answered: u64,
    turned_away: u64,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    /// The answer to what was heard; `None` for everything but a challenge that may be answered.
    fn answer(&self, heard: &[u8], asker: SocketAddr, reached: Port) -> Option<Vec<u8>> {
        let answer = self.judge(heard, asker, reached);
        let mut tally = held(&self.tally);
        match &answer {
            Some(_) => tally.answered += 1,
            None => tally.turned_away += 1,
        }
        answer
    }

    fn judge(&self, heard: &[u8], asker: SocketAddr, reached: Port) -> Option<Vec<u8>> {
        let challenge = Challenge::read(heard, &self.key)?;
        let now = now();
        let mut guard = held(&self.guard);
        if let Err(refusal) = guard.admit(&challenge, asker.ip().to_canonical(), reached, now) {
            tracing::debug!(?refusal, "a challenge under the key is not answered");
            return None;
        }
        let is_tcp = |port: &Port| port.transport == Transport::Tcp;
        let half_open = if challenge.asked.iter().any(is_tcp) { half_open::ports(asker.ip()) } else { Vec::new() };
        let came = |port: &Port| guard.came(challenge.run, *port) || (is_tcp(port) && half_open.contains(&port.number));
        let answer = Answer {
            time: now.wall,
            run: challenge.run,
            serial: challenge.serial,
            asker: SocketAddr::new(asker.ip().to_canonical(), asker.port()),
            reached,
            listens: challenge.asked.iter().map(|port| self.ports.contains(port)).collect(),
            came: challenge.asked.iter().map(came).collect(),
        };
        Some(answer.write(&self.key))
    }

    /// Lets a connection in, if there is room for it.
    fn let_in(self: &Arc<Self>, address: IpAddr) -> Option<Visitor> {
        let mut visitors = held(&self.visitors);
        let all: usize = visitors.values().sum();
        let own = visitors.get(&address).copied().unwrap_or(0);
        if all >= CONNECTIONS || own >= OF_ONE {
            held(&self.tally).turned_away += 1;
            return None;
        }
        visitors.insert(address, own + 1);
        Some(Visitor { witness: Arc::clone(self), address })
    }
}

/// A connection that is counted while this lives.
struct Visitor {
    witness: Arc<Witness>,
    address: IpAddr,
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut visitors = held(&self.witness.visitors);
        let left = visitors.get(&self.address).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            visitors.remove(&self.address);
        } else {
            visitors.insert(self.address, left);
        }
    }
}

async fn accept(witness: Arc<Witness>, listener: TcpListener, port: Port) {
    let mut talks = JoinSet::new();
    loop {
        while talks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, asker)) => match witness.let_in(asker.ip()) {
                Some(visitor) => drop(talks.spawn(talk(visitor, stream, asker, port))),
                None => hang_up(stream),
            },
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn talk(visitor: Visitor, mut stream: TcpStream, asker: SocketAddr, port: Port) {
    let talked = tokio::time::timeout(PATIENCE, async {
        let mut heard = [0; CHALLENGE];
        stream.read_exact(&mut heard[..ASKS.len()]).await.ok()?;
        if heard[..ASKS.len()] == ASKS[..] {
            stream.read_exact(&mut heard[ASKS.len()..]).await.ok()?;
        }
        let answer = visitor.witness.answer(&heard, asker, port)?;
        debug_assert_eq!(answer.len(), ANSWER, "an answer has its length");
        stream.write_all(&answer).await.ok()?;
        stream.shutdown().await.ok()?;
        // Who knocked closes first, so that nothing lingers here; whatever else is said is not read.
        stream.read(&mut [0]).await.ok()
    });
    if !matches!(talked.await, Ok(Some(0))) {
        hang_up(stream);
    }
}

/// Ends a connection with a reset, which leaves nothing behind on this machine.
fn hang_up(stream: TcpStream) {
    drop(stream.set_zero_linger());
    drop(stream);
}

async fn hear(witness: Arc<Witness>, socket: UdpSocket, port: Port) {
    // One more than a challenge has, so that a longer datagram shows.
    let mut heard = [0; CHALLENGE + 1];
    loop {
        match socket.recv_from(&mut heard).await {
            Ok((length, asker)) => {
                if let Some(answer) = witness.answer(&heard[..length], asker, port) {
                    // An answer that cannot be sent is lost, as on the way.
                    drop(socket.try_send_to(&answer, asker));
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Tells what happened, in one line for all of it: a flood must not fill the log.
async fn tell(witness: Arc<Witness>) {
    loop {
        tokio::time::sleep(TOLD_EVERY).await;
        let Tally { answered, turned_away } = std::mem::take(&mut *held(&witness.tally));
        if (answered, turned_away) != (0, 0) {
            tracing::info!(answered, turned_away, seconds = TOLD_EVERY.as_secs(), "knocks");
        }
    }
}
