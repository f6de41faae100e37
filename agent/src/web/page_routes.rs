//! The pages for people behind their paths, the files beside them, and the stream of changes; what browsers are told about
//! them: nothing from elsewhere, nothing inline.

use std::{convert::Infallible, path};

use ase_probes::clock;
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::StreamExt;

use super::{
    live::Live,
    pages::{Page, Pages},
};
use crate::{
    readers::{
        links::Loss,
        page::{self, Place, assets::Asset, course::REACH},
    },
    store::{
        history::{self, Wanted},
        rows::{IncidentRow, OutcomeRow},
    },
};

/// What a browser may fetch and run for a page: the files beside it, and nothing that stands in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

#[derive(Clone)]
struct Shown {
    pages: Pages,
    live: Live,
}

/// The routes of the pages.
pub(super) fn routes(pages: Pages, live: Live) -> Router {
    Router::new()
        .route("/", get(landing))
        .route("/endpoint/{*id}", get(endpoint))
        .route("/incident/{key}", get(incident))
        .route("/events", get(events))
        .route("/assets/{name}", get(asset))
        .with_state(Shown { pages, live })
}

async fn landing(State(site): State<Shown>, asked: HeaderMap) -> Response {
    (HEADERS, site.pages.answer(Page::Landing, &asked)).into_response()
}

async fn endpoint(State(site): State<Shown>, uri: Uri, Path(id): Path<String>) -> Response {
    let slashes = uri.path().strip_prefix("/endpoint/").map_or(0, |id| id.matches('/').count());
    let asked = Place { id: &id, slashes };
    let snapshot = site.pages.snapshot();
    // Who asks for what is not watched has nothing read.
    let is_known = snapshot.endpoints.iter().any(|view| *view.endpoint.id.0 == *id);
    let rows = if is_known { outcomes(&site.live, id.clone()).await } else { Vec::new() };
    match page::endpoint(&snapshot, &site.live.course(), asked, &rows) {
        Some(page) => (HEADERS, page).into_response(),
        None => (StatusCode::NOT_FOUND, HEADERS, page::missing(&snapshot, "endpoint", asked)).into_response(),
    }
}

async fn incident(State(site): State<Shown>, Path(key): Path<String>) -> Response {
    let snapshot = site.pages.snapshot();
    if let Some(asked) = page::named(&snapshot, &key) {
        let row = remembered(&site.live, page::key(&snapshot, &asked)).await;
        return (HEADERS, page::incident(&snapshot, &asked, row.as_ref())).into_response();
    }
    match remembered(&site.live, key.clone()).await {
        Some(row) => (HEADERS, page::remembered_incident(&snapshot, &row)).into_response(),
        None => (StatusCode::NOT_FOUND, HEADERS, page::missing(&snapshot, "incident", &key)).into_response(),
    }
}

/// What the store remembers of an endpoint's last day; nothing where it cannot be read.
async fn outcomes(live: &Live, id: String) -> Vec<OutcomeRow> {
    let since = clock::wall().saturating_sub(REACH);
    let read = move |folder: &path::Path| history::outcomes(folder, since, &id).unwrap_or_default();
    live.read(read).await.unwrap_or_default()
}

/// The incident that the store remembers under this key.
async fn remembered(live: &Live, id: String) -> Option<IncidentRow> {
    let read = move |folder: &path::Path| {
        let wanted = Loss::of_key(&id).map_or(Wanted::Id(&id), |loss| Wanted::Cause(loss.cause));
        page::remembered(history::incidents(folder, wanted).ok()?, &id)
    };
    live.read(read).await.flatten()
}

async fn events(State(site): State<Shown>) -> Response {
    let Some(messages) = site.live.listen() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open: fetch now and then\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // nginx and those who do as it does hand on at once what says so, whatever they do with the rest.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(messages.map(Ok::<_, Infallible>))).into_response()
}

async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = Asset::named(&name) else { return (StatusCode::NOT_FOUND, "not found\n").into_response() };
    let headers = [
        (header::CONTENT_TYPE, asset.media),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.content).into_response()
}
