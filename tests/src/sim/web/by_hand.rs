//! Answers written byte by byte: those of firewalls and proxies, and those that no HTTP library would send.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{Front, Mood, Page, page};
use crate::sim::{End, FOREVER};

/// The longest request head that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// What Azure Firewall says of a request that no application rule allows.
const DENY: &str = "Action: Deny. Reason: No rule matched. Proceeding with default action.";
/// What older builds say.
const OLD_DENY: &str = "Action: Deny. No rule matched. Proceeding with default action";

/// The head of a request.
pub(super) struct Head {
    /// The Host header, without a port.
    pub(super) host: String,
    path: String,
}

/// Reads the head of a request; `None` if the client leaves before it is whole.
pub(super) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Head> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
    let host = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().split(':').next().unwrap_or_default().to_owned())
    });
    Some(Head { host: host.unwrap_or_default(), path })
}

/// Azure Firewall's answer to a request in clear, as it was captured.
pub(super) async fn deny(mut stream: TcpStream, mood: &Mood) {
    let Some(request) = request(&mut stream).await else { return };
    let client = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
    drop(stream.write_all(denial(mood, &request, &client).as_bytes()).await);
    drop(stream.shutdown().await);
}

fn denial(mood: &Mood, request: &Head, client: &str) -> String {
    let Head { host, path } = request;
    let body = match mood {
        Mood::FirewallDeniesOldText => {
            format!("HTTP request from {client} to {host}:80. Url: {host}{path}. {OLD_DENY}")
        }
        _ => DENY.to_owned(),
    };
    format!(
        "HTTP/1.1 470 status code 470\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Plain HTTP, whatever the client sends first.
pub(super) async fn in_clear(mut stream: TcpStream, page: &Page) -> std::io::Result<()> {
    let mut first = [0; 4096];
    let read = stream.read(&mut first).await?;
    if read > 0 {
        let headers: String = page.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let Page { status, body, .. } = page;
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: text/html\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// Answers the first request in a mood that is written by hand.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Connection>(mut stream: S, front: &Front, mood: &Mood) {
    if let Mood::SpeaksFirst { text } = mood {
        drop(stream.write_all(text.as_bytes()).await);
        drop(stream.flush().await);
        return finish(stream, End::Silence).await;
    }
    let Some(request) = request(&mut stream).await else { return };
    let ending = match mood {
        Mood::InspectedDenies => {
            drop(stream.write_all(denial(mood, &request, "").as_bytes()).await);
            End::Close
        }
        Mood::Raw { text, end } => {
            drop(stream.write_all(text.as_bytes()).await);
            *end
        }
        Mood::AfterRequest { end } => *end,
        Mood::Truncated => {
            let whole = whole(&request.path, front);
            // The client hears of twice as much as comes.
            let half = whole.len() - page::body(&request.path, front).len() / 2;
            drop(stream.write_all(&whole[..half]).await);
            End::Close
        }
        Mood::Drips { milliseconds } => {
            drip(&mut stream, &whole(&request.path, front), Duration::from_millis(*milliseconds)).await;
            End::Close
        }
        _ => End::Close,
    };
    drop(stream.flush().await);
    finish(stream, ending).await;
}

async fn drip(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], pause: Duration) {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    let (head, body) = bytes.split_at(head);
    if stream.write_all(head).await.is_err() {
        return;
    }
    for byte in body {
        if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// A whole good answer.
fn whole(path: &str, front: &Front) -> Vec<u8> {
    let body = page::body(path, front);
    let date = page::date(front.authority.world()).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: ase-lab\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// A connection below HTTP.
pub(super) trait Connection {
    /// Makes the end a reset.
    fn reset(&self);
}

impl Connection for TcpStream {
    fn reset(&self) {
        drop(self.set_zero_linger());
    }
}

impl Connection for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        drop(self.get_ref().0.set_zero_linger());
    }
}

async fn finish<S: AsyncWrite + Unpin + Connection>(mut stream: S, end: End) {
    match end {
        End::Reset => stream.reset(),
        End::Close => drop(stream.shutdown().await),
        End::Silence => tokio::time::sleep(FOREVER).await,
    }
}
