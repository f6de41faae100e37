//! The pages for people behind their paths, the files beside them, and the stream of changes; what browsers are told about
//! them: nothing from elsewhere, nothing inline.

use std::convert::Infallible;

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
    details::{Asked, Details},
    live::Live,
    pages::{Page, Pages},
};
use crate::readers::page::assets::Asset;

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
    details: Details,
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
        .with_state(Shown { details: Details::new(pages.clone(), live.clone()), pages, live })
}

async fn landing(State(site): State<Shown>, asked: HeaderMap) -> Response {
    (HEADERS, site.pages.answer(Page::Landing, &asked)).into_response()
}

async fn endpoint(State(site): State<Shown>, uri: Uri, Path(id): Path<String>) -> Response {
    let slashes = uri.path().strip_prefix("/endpoint/").map_or(0, |id| id.matches('/').count());
    detail(&site, Asked::Endpoint { id, slashes }).await
}

async fn incident(State(site): State<Shown>, Path(key): Path<String>) -> Response {
    detail(&site, Asked::Incident(key)).await
}

async fn detail(site: &Shown, asked: Asked) -> Response {
    let (status, page) = site.details.answer(asked).await;
    (status, HEADERS, page).into_response()
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
