//! The web server: the pages behind their paths, readiness, and the one command, reload. It holds no state of its own.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    accepting::{Peer, Site},
    live::Live,
    page_routes,
    pages::{Page, Pages},
    permission,
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

/// The time that a reload may take before its client is told that it did not end.
const RELOAD_WITHIN: Duration = Duration::from_secs(30);

/// The agent's own version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone)]
struct Web {
    pages: Pages,
    commands: mpsc::Sender<Command>,
}

/// The routes over the newest snapshot; `live` keeps open pages up to date.
pub fn site(snapshots: watch::Receiver<Arc<Snapshot>>, commands: mpsc::Sender<Command>, live: Live) -> Site {
    let before = live.clone();
    let render = move |page: Page, snapshot: &Snapshot, serving: &Serving| match page {
        Page::Metrics => metrics::render(snapshot, VERSION) + &metrics::render_serving(serving, snapshot.agent.started),
        Page::Status => json::to_json(snapshot, VERSION),
        Page::Landing => page::landing(snapshot, &before.course_to(snapshot)),
    };
    let pages = Pages::new(snapshots, Arc::new(render));
    let tally = pages.tally();
    Site { router: routes(pages.clone(), commands).merge(page_routes::routes(pages, live)), tally }
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

async fn show_metrics(State(web): State<Web>, asked: HeaderMap) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], web.pages.answer(Page::Metrics, &asked)).into_response()
}

async fn show_status(State(web): State<Web>, asked: HeaderMap) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], web.pages.answer(Page::Status, &asked)).into_response()
}

async fn ready(State(web): State<Web>) -> (StatusCode, &'static str) {
    if web.pages.snapshot().agent.ready {
        (StatusCode::OK, "Ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: not every endpoint was visited once\n")
    }
}

async fn reload(
    State(web): State<Web>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
    asked: HeaderMap,
) -> (StatusCode, String) {
    if let Err(refused) = permission::to_change(peer, &uri, &asked, &web.pages.snapshot().agent.reload_from) {
        tracing::warn!(%peer, refused, "a reload was refused");
        return (StatusCode::FORBIDDEN, format!("{refused}\n"));
    }
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
