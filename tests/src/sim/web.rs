//! An HTTP or HTTPS front end, and the firewall that may stand before it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{Behaviour, Running};
use crate::authority::{Authority, server_config};

/// The answer of `www.msftconnecttest.com/connecttest.txt`.
const CONNECT_TEST: &str = "Microsoft Connect Test";
/// What Azure Firewall answers to an HTTP request that no application rule allows.
const FIREWALL_DENY: &str = "HTTP/1.1 470 status code 470\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 70\r\nConnection: close\r\n\r\nAction: Deny. Reason: No rule matched. Proceeding with default action.";

/// How the front end, or what stands before it, treats every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    #[default]
    Good,
    /// A firewall denies by application rule: 470 in clear, a cut after the server name over TLS.
    FirewallDenies,
    /// A firewall inspects TLS with its own authority.
    Inspected,
    /// The service answers 503.
    Unavailable,
    /// The connection is accepted and nothing comes.
    Silent,
}

/// What a front end is made of.
#[derive(Clone, Debug)]
pub struct Front {
    /// The authority of its certificate.
    pub authority: Arc<Authority>,
    /// The authority of an inspecting firewall.
    pub inspector: Arc<Authority>,
    /// The name on the certificate for clients that send none.
    pub name: String,
}

/// Starts a plain HTTP front end.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start_http(address: SocketAddr, front: Front, mood: Behaviour<Mood>) -> Result<Running> {
    let listener = TcpListener::bind(address).await?;
    let crl = Bytes::from(front.authority.crl()?);
    Ok(Running::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(clear(stream, mood.get(), crl.clone()));
        }
    }))
}

/// Starts an HTTPS front end, h2 and HTTP/1.1 by ALPN.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start_https(address: SocketAddr, front: Front, mood: Behaviour<Mood>) -> Result<Running> {
    let listener = TcpListener::bind(address).await?;
    let alpn = ["h2", "http/1.1"];
    let own = TlsAcceptor::from(server_config(&front.authority, &front.name, &alpn, rustls::ALL_VERSIONS)?);
    let inspected = TlsAcceptor::from(server_config(&front.inspector, &front.name, &alpn, rustls::ALL_VERSIONS)?);
    let crl = Bytes::from(front.authority.crl()?);
    Ok(Running::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mood = mood.get();
            let acceptor = if mood == Mood::Inspected { inspected.clone() } else { own.clone() };
            tokio::spawn(encrypted(stream, acceptor, mood, crl.clone()));
        }
    }))
}

async fn clear(mut stream: TcpStream, mood: Mood, crl: Bytes) {
    match mood {
        Mood::Silent => hold(stream).await,
        Mood::FirewallDenies => {
            if stream.readable().await.is_ok() {
                drop(stream.write_all(FIREWALL_DENY.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        }
        Mood::Good | Mood::Inspected | Mood::Unavailable => answer(stream, false, mood, crl).await,
    }
}

async fn encrypted(stream: TcpStream, acceptor: TlsAcceptor, mood: Mood, crl: Bytes) {
    match mood {
        Mood::Silent => hold(stream).await,
        Mood::FirewallDenies => {
            // The name is read, then the connection is reset: closing with unread bytes makes the kernel send RST.
            drop(stream.readable().await);
        }
        Mood::Good | Mood::Inspected | Mood::Unavailable => {
            if let Ok(tls) = acceptor.accept(stream).await {
                let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                answer(tls, is_h2, mood, crl).await;
            }
        }
    }
}

/// Keeps a connection open without a word, for longer than any probe waits.
async fn hold(stream: TcpStream) {
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(stream);
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, is_h2: bool, mood: Mood, crl: Bytes) {
    let service = service_fn(move |request: Request<Incoming>| {
        let crl = crl.clone();
        async move { Ok::<_, Infallible>(respond(request.uri().path(), mood, crl)) }
    });
    let io = TokioIo::new(stream);
    if is_h2 {
        drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
    } else {
        drop(http1::Builder::new().serve_connection(io, service).await);
    }
}

fn respond(path: &str, mood: Mood, crl: Bytes) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (mood, path) {
        (Mood::Unavailable, _) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", Bytes::from_static(b"try later")),
        (_, "/connecttest.txt") => (StatusCode::OK, "text/plain", Bytes::from_static(CONNECT_TEST.as_bytes())),
        (_, path) if path.ends_with(".crl") => (StatusCode::OK, "application/pkix-crl", crl),
        (_, "/") => (StatusCode::OK, "text/plain", Bytes::from_static(b"simulated")),
        (_, _) => (StatusCode::NOT_FOUND, "text/plain", Bytes::from_static(b"no such thing")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response.headers_mut().insert(header::SERVER, header::HeaderValue::from_static("ase-lab"));
    response
}
