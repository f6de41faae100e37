//! The web server: the pages behind their paths, readiness, and the one command, reload. It holds no state of its own.

use std::{fmt::Write, sync::Arc, time::Duration};

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
    pages::{Page, Pages},
    permission,
};
use crate::{
    engine::snapshot::Snapshot,
    readers::{
        exports, json,
        metrics::{self, Serving},
        summary::Summary,
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

/// The routes over the newest snapshot.
pub fn site(snapshots: watch::Receiver<Arc<Snapshot>>, commands: mpsc::Sender<Command>) -> Site {
    let pages = Pages::new(snapshots, Arc::new(render));
    let tally = pages.tally();
    Site { router: routes(pages, commands), tally }
}

/// The routes over these pages.
pub(super) fn routes(pages: Pages, commands: mpsc::Sender<Command>) -> Router {
    Router::new()
        .route("/", get(landing))
        .route("/metrics", get(show_metrics))
        .route("/api/v1/status", get(show_status))
        .route("/-/healthy", get(async || "Healthy\n"))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"))
        .with_state(Web { pages, commands })
}

fn render(page: Page, snapshot: &Snapshot, serving: &Serving) -> String {
    match page {
        Page::Metrics => metrics::render(snapshot, VERSION) + &metrics::render_serving(serving, snapshot.agent.started),
        Page::Status => json::to_json(snapshot, VERSION),
        Page::Landing => landing_page(snapshot),
    }
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

async fn landing(State(web): State<Web>, asked: HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, web.pages.answer(Page::Landing, &asked)).into_response()
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}\
th,td{text-align:left;padding:.1rem 1rem .1rem 0}";

fn landing_page(snapshot: &Snapshot) -> String {
    let (agent, catalog) = (&snapshot.agent, &snapshot.catalog);
    let mut rows = String::new();
    for class in &snapshot.classes {
        let state = match class.is_up() {
            Some(true) => "up",
            Some(false) => "down",
            None => "unknown",
        };
        let (label, up, all) = (class.class.label(), class.up, class.endpoints);
        let (failed, unknown, unfilled) = (class.failed, class.unknown, class.not_configured);
        let _ = writeln!(rows, "<tr><td>{label}<td>{state}<td>{up}/{all}<td>{failed}<td>{unknown}<td>{unfilled}</tr>");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>ase-agent</title><style>{STYLE}</style>\n\
         <h1>ase-agent</h1>\n<p>{sentence}</p>\n\
         <table>\n<tr><th>class<th>state<th>answering<th>failed<th>unknown<th>not configured</tr>\n{rows}</table>\n\
         {exports}<ul>\n<li><a href=\"/metrics\">metrics</a>\n<li><a href=\"/api/v1/status\">status (JSON)</a>\n\
         <li><a href=\"/-/healthy\">healthy</a>\n<li><a href=\"/-/ready\">ready</a>\n</ul>\n\
         <p>Version {VERSION}, seen from {vantage}; profile {profile}, cloud {cloud}, edition {edition}; \
         configuration: {origin}.</p>\n</html>\n",
        sentence = escaped(&Summary::of(snapshot).sentence()),
        exports = exported_rules(snapshot),
        vantage = escaped(&agent.vantage),
        profile = escaped(&catalog.profile),
        cloud = escaped(&catalog.cloud),
        edition = escaped(&catalog.edition),
        origin = escaped(&agent.origin),
    )
}

/// The exported rules in short: how many findings, how old, which are the worst.
fn exported_rules(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for line in exports::lines(snapshot) {
        let _ = writeln!(text, "<li>{}", escaped(&line));
    }
    if text.is_empty() { text } else { format!("<h2>Exported rules</h2>\n<ul>\n{text}</ul>\n") }
}

/// The text with the characters escaped that mean something in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
