//! What a front end answers to a request.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use super::{Front, Mood, Page};
use crate::sim::world::World;

/// The answer of `www.msftconnecttest.com/connecttest.txt`.
const CONNECT_TEST: &str = "Microsoft Connect Test";

/// The answer to a request, by a front end in this mood.
pub(super) fn respond<B>(request: &Request<B>, front: &Front, mood: &Mood) -> Response<Full<Bytes>> {
    let mut response = match mood {
        Mood::Blocks(page) | Mood::InClear(page) => written(page),
        _ if !is_for(request, &front.name) => plain(StatusCode::NOT_FOUND, "no such site"),
        Mood::Answers(page) => written(page),
        Mood::Unavailable => plain(StatusCode::SERVICE_UNAVAILABLE, "try later"),
        _ => good(request.uri().path(), front, mood),
    };
    let headers = response.headers_mut();
    headers.entry(header::SERVER).or_insert(HeaderValue::from_static("ase-lab"));
    if let Some(date) = date(front.authority.world()).and_then(|date| HeaderValue::from_str(&date).ok()) {
        headers.insert(header::DATE, date);
    }
    response
}

fn good(path: &str, front: &Front, mood: &Mood) -> Response<Full<Bytes>> {
    match path {
        "/connecttest.txt" => plain(StatusCode::OK, CONNECT_TEST),
        "/" => plain(StatusCode::OK, "simulated"),
        path if path.ends_with(".crl") => match crl(front, mood) {
            Some(list) => typed(StatusCode::OK, "application/pkix-crl", list.into()),
            None => plain(StatusCode::INTERNAL_SERVER_ERROR, "the list cannot be signed"),
        },
        _ => plain(StatusCode::NOT_FOUND, "no such thing"),
    }
}

/// The revocation list in this mood.
fn crl(front: &Front, mood: &Mood) -> Option<Vec<u8>> {
    match mood {
        Mood::CrlGarbled => Some(b"\x30\x82\x01\x00 this begins like a list and is none".to_vec()),
        Mood::CrlOverdue { days } => front.authority.crl_overdue(*days).ok(),
        _ => front.authority.crl().ok(),
    }
}

/// The body for a path, for answers that are written by hand.
pub(super) fn body(path: &str, front: &Front) -> Vec<u8> {
    match path {
        "/connecttest.txt" => CONNECT_TEST.as_bytes().to_vec(),
        path if path.ends_with(".crl") => front.authority.crl().unwrap_or_default(),
        _ => b"simulated".to_vec(),
    }
}

/// Whether a request is for this host.
fn is_for<B>(request: &Request<B>, name: &str) -> bool {
    let named = request.uri().host().or_else(|| request.headers().get(header::HOST)?.to_str().ok());
    let without_port = |host: &str| match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => host.to_owned(),
    };
    named.map(without_port).as_deref() == Some(name)
}

/// The Date header by the world's clock (RFC 9110 section 6.6.1).
pub(super) fn date(world: &World) -> Option<String> {
    let seconds = i64::try_from(world.now().as_secs()).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::from_second(seconds).ok()?).ok()
}

fn written(page: &Page) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = typed(status, "text/html", page.body.clone().into_bytes().into());
    for (name, value) in &page.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    typed(status, "text/plain", Bytes::from_static(body.as_bytes()))
}

fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
