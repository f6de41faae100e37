//! The web server: the pages behind their paths, readiness, the limits of clients and time, and the one command, reload. It
//! holds no state of its own.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    live::Live,
    pages::{Page, Pages},
    site,
};
use crate::{
    engine::snapshot::Snapshot,
    readers::{
        json,
        metrics::{self, Serving},
        page,
    },
};

/// What a client can ask of the daemon's loop.
#[derive(Debug)]
pub enum Command {
    /// Load the configuration again; the answer is the error that kept the old one in force.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// Bounds that hold whatever clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Time for a request's head to arrive, and for an idle connection to wait for the next one.
    pub head: Duration,
    /// Age at which a connection is asked to end.
    pub lifetime: Duration,
    /// Time for a connection to end once it was asked to; then it is cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (head, lifetime) = (Duration::from_secs(10), Duration::from_secs(300));
        Self { connections: 64, head, lifetime, drain: Duration::from_secs(5) }
    }
}

/// The time that a reload may take before its client is told that it did not end.
const RELOAD_WITHIN: Duration = Duration::from_secs(30);

/// The largest request head in bytes; hyper's smallest buffer.
const HEAD_LIMIT: usize = 8192;

/// Pause after an accept that failed, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The agent's own version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone)]
struct Web {
    pages: Pages,
    commands: mpsc::Sender<Command>,
}

/// The routes over the newest snapshot; `live` keeps open pages up to date.
pub fn router(snapshots: watch::Receiver<Arc<Snapshot>>, commands: mpsc::Sender<Command>, live: Live) -> Router {
    let before = live.clone();
    let render = move |page: Page, snapshot: &Snapshot, serving: &Serving| match page {
        Page::Metrics => metrics::render(snapshot, VERSION) + &metrics::render_serving(serving),
        Page::Status => json::to_json(snapshot, VERSION),
        Page::Landing => page::landing(snapshot, &before.course()),
    };
    let pages = Pages::new(snapshots, Arc::new(render));
    routes(pages.clone(), commands).merge(site::routes(pages, live))
}

/// The routes over these pages.
pub(super) fn routes(pages: Pages, commands: mpsc::Sender<Command>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/api/v1/status", get(show_status))
        .route("/-/healthy", get(async || "Healthy\n"))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"))
        .with_state(Web { pages, commands })
}

/// Serves until `shutdown` completes, then lets connections end within `limits.drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, slot) = accept(&listener, &slots) => {
                connections.spawn(converse(stream, slot, router.clone(), limits, stopping.clone()));
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

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "a web connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection until it ends, grows too old, or the server stops.
async fn converse(
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    router: Router,
    limits: Limits,
    mut stopping: watch::Receiver<()>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(HEAD_LIMIT);
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        _ = stopping.changed() => {}
        () = sleep(limits.lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    match timeout(limits.drain, connection).await {
        Ok(ended) => note(ended),
        Err(_) => tracing::debug!("a web connection was cut"),
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a web connection ended early");
    }
}

async fn show_metrics(State(web): State<Web>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], web.pages.body(Page::Metrics)).into_response()
}

async fn show_status(State(web): State<Web>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], web.pages.body(Page::Status)).into_response()
}

async fn ready(State(web): State<Web>) -> (StatusCode, &'static str) {
    if web.pages.snapshot().agent.ready {
        (StatusCode::OK, "Ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: not every endpoint was visited once\n")
    }
}

async fn reload(State(web): State<Web>) -> (StatusCode, String) {
    let (answer, answered) = oneshot::channel();
    let ask = async {
        web.commands.send(Command::Reload(answer)).await.ok()?;
        answered.await.ok()
    };
    match timeout(RELOAD_WITHIN, ask).await {
        Ok(Some(Ok(()))) => (StatusCode::OK, "reloaded\n".to_owned()),
        Ok(Some(Err(error))) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Ok(None) => (StatusCode::INTERNAL_SERVER_ERROR, "the agent is stopping\n".to_owned()),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, format!("no answer within {}s\n", RELOAD_WITHIN.as_secs())),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
