//! An HTTP or HTTPS front end, and the firewall that may stand before it.

mod by_hand;
mod mood;
mod page;

pub use self::mood::{Mood, Page};

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::SupportedProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

pub use super::Front;
use super::{Behaviour, End, Running, listening};
use crate::authority::server_config;

/// Starts a plain HTTP front end.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start_http(address: SocketAddr, front: Front, mood: Behaviour<Mood>) -> Result<Running> {
    let count = AtomicUsize::new(0);
    let next = move || count.fetch_add(1, Ordering::Relaxed);
    listening::tcp(address, mood, Mood::is_absent, move |stream, mood| clear(stream, front.clone(), mood.at(next())))
        .await
}

/// Starts an HTTPS front end, h2 and HTTP/1.1 by ALPN.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start_https(address: SocketAddr, front: Front, mood: Behaviour<Mood>) -> Result<Running> {
    let count = AtomicUsize::new(0);
    listening::tcp(address, mood, Mood::is_absent, move |stream, mood| {
        let front = front.clone();
        let mood = mood.at(count.fetch_add(1, Ordering::Relaxed));
        async move { drop(encrypted(stream, front, mood).await) }
    })
    .await
}

async fn clear(mut stream: TcpStream, front: Front, mood: Mood) {
    match &mood {
        Mood::Silent => drop(End::Silence.of(stream).await),
        Mood::Ends { end } => drop(end.of(stream).await),
        Mood::Cuts { end, only } => {
            let named = by_hand::request(&mut stream).await.is_some_and(|request| is_of(only, &request.host));
            if named {
                drop(end.of(stream).await);
            }
        }
        mood if mood.is_by_hand() => by_hand::serve(stream, &front, mood).await,
        Mood::FirewallDenies | Mood::FirewallDeniesOldText => by_hand::deny(stream, &mood).await,
        _ => answer(stream, false, front, mood).await,
    }
}

/// Whether a list of names holds this one; none means all.
fn is_of(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|of| of == name)
}

async fn encrypted(stream: TcpStream, front: Front, mood: Mood) -> std::io::Result<()> {
    match &mood {
        Mood::Silent => return End::Silence.of(stream).await,
        Mood::Ends { end } => return end.of(stream).await,
        Mood::InClear(page) => return by_hand::in_clear(stream, page).await,
        _ => {}
    }
    tokio::time::sleep(mood.delays().0).await;
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let name = start.client_hello().server_name().unwrap_or_default().to_owned();
    match &mood {
        Mood::FirewallDenies | Mood::FirewallDeniesOldText => return End::Reset.of(start.io).await,
        Mood::Cuts { end, only } if is_of(only, &name) => return end.of(start.io).await,
        Mood::Alerts { number } => return alert(start, *number).await,
        _ => {}
    }
    let authority = if mood.is_inspected() { &front.inspector } else { &front.authority };
    let config = server_config(authority, &front.name, &mood.flaw(), mood.protocols(), versions(&mood));
    let mut tls = start.into_stream(config.map_err(std::io::Error::other)?).await?;
    if mood.is_by_hand() {
        by_hand::serve(tls, &front, &mood).await;
        return Ok(());
    }
    let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    tls.flush().await?;
    answer(tls, is_h2, front, mood).await;
    Ok(())
}

/// Firewalls that inspect speak TLS 1.2 to the client.
fn versions(mood: &Mood) -> &'static [&'static SupportedProtocolVersion] {
    const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
    if mood.is_inspected() || *mood == Mood::Tls12Only { TLS12 } else { rustls::ALL_VERSIONS }
}

/// Refuses a handshake: one record of type 21 with a fatal alert (RFC 8446 section 6).
async fn alert(mut start: StartHandshake<TcpStream>, number: u8) -> std::io::Result<()> {
    start.io.write_all(&[21, 3, 3, 0, 2, 2, number]).await?;
    start.io.shutdown().await
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, is_h2: bool, front: Front, mood: Mood) {
    let shared = Arc::new((front, mood));
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            tokio::time::sleep(shared.1.delays().1).await;
            Ok::<_, Infallible>(page::respond(&request, &shared.0, &shared.1))
        }
    });
    let io = TokioIo::new(stream);
    if is_h2 {
        drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
    } else {
        drop(http1::Builder::new().serve_connection(io, service).await);
    }
}
