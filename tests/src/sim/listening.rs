//! Sockets that come and go with a simulator's mood: while nobody listens, the kernel refuses, as it does for a dead
//! service.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use super::{Behaviour, Running};

/// The pause before a port that is not free yet is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// Serves every TCP connection by a task of its own while the mood is not `is_absent`. All connections end when it is.
///
/// # Errors
/// When the address cannot be bound.
pub(super) async fn tcp<T, F>(
    address: SocketAddr,
    mood: Behaviour<T>,
    is_absent: fn(&T) -> bool,
    serve: impl Fn(TcpStream, T) -> F + Send + Sync + 'static,
) -> Result<Running>
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut socket = match is_absent(&mood.get()) {
        true => None,
        false => Some(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?),
    };
    Ok(Running::spawn(async move {
        loop {
            // The mood may have changed before this task first ran: then nobody may hold the port.
            if is_absent(&mood.get()) {
                socket = None;
            }
            mood.until(|mood| !is_absent(mood)).await;
            match socket.take() {
                Some(socket) => accept(&socket, &mood, is_absent, &serve).await,
                None => tokio::time::sleep(AGAIN).await,
            }
            socket = if is_absent(&mood.get()) { None } else { TcpListener::bind(address).await.ok() };
        }
    }))
}

async fn accept<T, F>(
    socket: &TcpListener,
    mood: &Behaviour<T>,
    is_absent: fn(&T) -> bool,
    serve: impl Fn(TcpStream, T) -> F,
) where
    T: Clone,
    F: Future<Output = ()> + Send + 'static,
{
    let mut conversations = JoinSet::new();
    let absent = mood.until(is_absent);
    tokio::pin!(absent);
    loop {
        tokio::select! {
            () = &mut absent => return,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => drop(conversations.spawn(serve(stream, mood.get()))),
                Err(_) => tokio::time::sleep(AGAIN).await,
            },
            Some(_) = conversations.join_next() => {}
        }
    }
}

/// A datagram, where it came from, and the socket to answer from.
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8>,
    pub(super) from: SocketAddr,
    socket: Arc<UdpSocket>,
}

impl Datagram {
    /// Answers it.
    pub(super) async fn answer(&self, bytes: &[u8]) {
        drop(self.socket.send_to(bytes, self.from).await);
    }
}

/// Serves every datagram by a task of its own while the mood is not `is_absent`.
///
/// # Errors
/// When the address cannot be bound.
pub(super) async fn udp<T, F>(
    address: SocketAddr,
    mood: Behaviour<T>,
    is_absent: fn(&T) -> bool,
    serve: impl Fn(Datagram, T) -> F + Send + Sync + 'static,
) -> Result<Running>
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut socket = match is_absent(&mood.get()) {
        true => None,
        false => Some(UdpSocket::bind(address).await.with_context(|| format!("cannot listen on {address}"))?),
    };
    Ok(Running::spawn(async move {
        loop {
            // The mood may have changed before this task first ran: then nobody may hold the port.
            if is_absent(&mood.get()) {
                socket = None;
            }
            mood.until(|mood| !is_absent(mood)).await;
            match socket.take() {
                Some(socket) => receive(&Arc::new(socket), &mood, is_absent, &serve).await,
                None => tokio::time::sleep(AGAIN).await,
            }
            socket = if is_absent(&mood.get()) { None } else { UdpSocket::bind(address).await.ok() };
        }
    }))
}

async fn receive<T, F>(
    socket: &Arc<UdpSocket>,
    mood: &Behaviour<T>,
    is_absent: fn(&T) -> bool,
    serve: impl Fn(Datagram, T) -> F,
) where
    T: Clone,
    F: Future<Output = ()> + Send + 'static,
{
    let mut conversations = JoinSet::new();
    let mut buffer = [0; 4096];
    let absent = mood.until(is_absent);
    tokio::pin!(absent);
    loop {
        tokio::select! {
            () = &mut absent => return,
            received = socket.recv_from(&mut buffer) => if let Ok((len, from)) = received {
                let datagram = Datagram { bytes: buffer[..len].to_vec(), from, socket: Arc::clone(socket) };
                drop(conversations.spawn(serve(datagram, mood.get())));
            },
            Some(_) = conversations.join_next() => {}
        }
    }
}
