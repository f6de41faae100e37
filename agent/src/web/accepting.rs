//! Takes in connections and serves each until it ends, is too old, has to make room, or the server stops. It knows the bounds
//! and no page.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    connection::{Patience, Ticket, Watched},
    crowd::{Crowd, Doing, Number},
    refusals::Refusals,
};
use crate::engine::plan::WEB_CONNECTIONS;
use ase_probes::clock;
use axum::Router;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Bounds that hold whatever clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; for a further one, another has to go. One client's address may have half of them.
    pub connections: usize,
    /// Time for a request's head to arrive, and for an idle connection to wait for the next one.
    pub head: Duration,
    /// Time for a client to take its answer.
    pub answer: Patience,
    /// Age at which a connection is asked to end.
    pub lifetime: Duration,
    /// Time for a connection to end once it was asked to; then it is cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (head, lifetime) = (Duration::from_secs(10), Duration::from_secs(300));
        let answer = Patience { stall: Duration::from_secs(5), whole: Duration::from_secs(30) };
        Self { connections: WEB_CONNECTIONS, head, answer, lifetime, drain: Duration::from_secs(5) }
    }
}

/// The largest request head in bytes; hyper's smallest buffer.
pub(super) const HEAD_LIMIT: usize = 8192;
/// Pause after an accept that failed, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// While answers of more bytes than this are under way, whoever takes one for longer than [`SLOW`] is cut: each may be a
/// page of its own, and 128 of 2 MB are more memory than the agent has.
const MOST_UNDER_WAY: usize = 16 << 20;
/// See [`MOST_UNDER_WAY`].
const SLOW: Duration = Duration::from_secs(1);

/// The client's address, as an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// What the connections say about themselves.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that are open.
    pub open: AtomicUsize,
    /// Connections that had to make room.
    pub shed: AtomicU64,
    /// Bytes of pages that are kept or under way to clients.
    pub under_way: AtomicUsize,
}

/// What is served.
#[derive(Clone, Debug)]
pub struct Site {
    /// The pages behind their paths.
    pub router: Router,
    /// What its connections say about themselves.
    pub tally: Arc<Tally>,
}

/// The connections of one server.
#[derive(Clone)]
struct House {
    site: Site,
    limits: Limits,
    crowd: Arc<Mutex<Crowd>>,
    cuts: Arc<Mutex<BTreeMap<Number, oneshot::Sender<()>>>>,
    stopping: watch::Receiver<()>,
}

/// Serves until `shutdown` completes, then lets connections end within `limits.drain`.
pub async fn serve(listener: TcpListener, site: Site, limits: Limits, shutdown: impl Future<Output = ()>) {
    let (stop, stopping) = watch::channel(());
    let crowd = Arc::new(Mutex::new(Crowd::new(limits.connections)));
    let house = House { site, limits, crowd, cuts: Arc::default(), stopping };
    let (mut connections, mut refusals) = (JoinSet::new(), Refusals::default());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, peer) = accept(&listener, &mut refusals) => {
                let (number, cut) = house.enter(peer.ip());
                connections.spawn(house.clone().converse(stream, (peer.ip(), number), cut));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop((listener, stop));
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "web connections cut at the end of the drain");
    }
}

async fn accept(listener: &TcpListener, refusals: &mut Refusals) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if let Some(unsaid) = refusals.say(clock::now()) {
                    tracing::warn!(%error, unsaid, "a web connection could not be accepted");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl House {
    /// Takes in a connection, and cuts the one that has to go for it.
    fn enter(&self, peer: IpAddr) -> (Number, oneshot::Receiver<()>) {
        let now = clock::now();
        let (number, goes) = self.crowd().enter(peer, now);
        self.site.tally.shed.fetch_add(u64::from(goes.is_some()), Ordering::Relaxed);
        self.relieve();
        let (cut, is_cut) = oneshot::channel();
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        goes.iter().for_each(|number| drop(cuts.remove(number)));
        cuts.insert(number, cut);
        self.site.tally.open.store(cuts.len(), Ordering::Relaxed);
        (number, is_cut)
    }

    /// Cuts who is slow to take an answer, while too much is under way.
    fn relieve(&self) {
        if self.site.tally.under_way.load(Ordering::Relaxed) <= MOST_UNDER_WAY {
            return;
        }
        let slow = clock::now().checked_sub(SLOW).map(|before| self.crowd().taking_since(before));
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        slow.iter().flatten().for_each(|number| drop(cuts.remove(number)));
    }

    fn leave(&self, number: Number) {
        self.crowd().leave(number);
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        drop(cuts.remove(&number));
        self.site.tally.open.store(cuts.len(), Ordering::Relaxed);
    }

    fn crowd(&self) -> std::sync::MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection until it ends, grows too old, has to go, or the server stops.
    async fn converse(self, stream: TcpStream, (peer, number): (IpAddr, Number), cut: oneshot::Receiver<()>) {
        let leaving = Leaving { house: &self, number };
        tokio::select! {
            () = self.answer(stream, peer, number) => {}
            _ = cut => tracing::debug!(%peer, "a web connection made room for another"),
        }
        drop(leaving);
    }

    async fn answer(&self, stream: TcpStream, peer: IpAddr, number: Number) {
        let ticket = Ticket { crowd: Arc::clone(&self.crowd), number };
        let pages = TowerToHyperService::new(self.site.router.clone());
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            ticket.note(Doing::Asking);
            self.relieve();
            request.extensions_mut().insert(Peer(peer));
            pages.call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.head).max_buf_size(HEAD_LIMIT);
        // A client may end its side behind its request, as `nc -N` does, and still wants the answer (RFC 9112, 9.6).
        builder.half_close(true);
        let stream = TokioIo::new(Watched::new(stream, ticket.clone(), self.limits.answer));
        let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
        let mut stopping = self.stopping.clone();
        tokio::select! {
            ended = connection.as_mut() => return note(ended),
            _ = stopping.changed() => {}
            () = sleep(self.limits.lifetime) => {}
        }
        connection.as_mut().graceful_shutdown();
        match timeout(self.limits.drain, connection).await {
            Ok(ended) => note(ended),
            Err(_) => tracing::debug!("a web connection was cut"),
        }
    }
}

/// Takes a connection out of the crowd however it ends.
struct Leaving<'a> {
    house: &'a House,
    number: Number,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.house.leave(self.number);
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a web connection ended early");
    }
}
