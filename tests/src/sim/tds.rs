//! An Azure SQL gateway as far as real clients need it: PRELOGIN, TLS, login, and `SELECT 1` (MS-TDS).

mod envelope;
mod tokens;

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::Result;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use self::envelope::Envelope;
use super::{Behaviour, Running};
use crate::authority::{Authority, server_config};

/// Packet types of MS-TDS 2.2.3.1.1.
const LOGIN7: u8 = 0x10;
/// The server's answers.
const TABULAR: u8 = 0x04;
/// The client's PRELOGIN, and TLS records during the handshake of TDS 7.x.
const PRELOGIN: u8 = 0x12;
/// Length of a packet's header in bytes.
const HEADER: usize = 8;
/// The longest message that is read, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// How the gateway treats every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It lets everybody in.
    #[default]
    Good,
    /// It knows nobody: login failed, error 18456.
    DeniesLogin,
    /// The connection is accepted and nothing comes, as behind a firewall that accepts for the server.
    Silent,
}

/// Starts a gateway whose certificate is for `name` where the client sends none.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(
    address: SocketAddr,
    authority: &Arc<Authority>,
    name: &str,
    mood: Behaviour<Mood>,
) -> Result<Running> {
    let listener = TcpListener::bind(address).await?;
    // Inside TDS 7.x packets the handshake must end with the server's word, which TLS 1.3 does not promise.
    let seven = server_config(authority, name, &[], &[&rustls::version::TLS12])?;
    let eight = server_config(authority, name, &["tds/8.0"], rustls::ALL_VERSIONS)?;
    Ok(Running::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&seven), Arc::clone(&eight), mood.get()));
        }
    }))
}

async fn serve(stream: TcpStream, seven: Arc<ServerConfig>, eight: Arc<ServerConfig>, mood: Mood) -> io::Result<()> {
    if mood == Mood::Silent {
        return std::future::pending().await;
    }
    let mut first = [0];
    stream.peek(&mut first).await?;
    // A TLS record of a handshake begins with 0x16: TDS 8.0 puts TLS before everything.
    if first[0] == 0x16 {
        let mut tls = TlsAcceptor::from(eight).accept(stream).await?;
        prelogin(&mut tls).await?;
        return session(tls, mood).await;
    }
    let mut stream = stream;
    prelogin(&mut stream).await?;
    let (envelope, opener) = Envelope::new(stream);
    let tls = TlsAcceptor::from(seven).accept(envelope).await?;
    opener.open();
    session(tls, mood).await
}

async fn prelogin(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let (kind, _) = read_message(stream).await?;
    if kind != PRELOGIN {
        return Err(io::Error::other("a PRELOGIN is due"));
    }
    stream.write_all(&packet(TABULAR, &tokens::prelogin())).await
}

async fn session(mut stream: impl AsyncRead + AsyncWrite + Unpin, mood: Mood) -> io::Result<()> {
    loop {
        let (kind, message) = read_message(&mut stream).await?;
        let reply = match (kind, mood) {
            (LOGIN7, Mood::DeniesLogin) => tokens::login_denied(),
            (LOGIN7, _) => tokens::login_accepted(),
            (_, _) if mentions_select(&message) => tokens::one_row(),
            (_, _) => tokens::done(),
        };
        stream.write_all(&packet(TABULAR, &reply)).await?;
        stream.flush().await?;
    }
}

/// Whether a batch, in UTF-16, asks for `SELECT 1`.
fn mentions_select(message: &[u8]) -> bool {
    let text: String =
        message.iter().filter(|byte| **byte != 0).map(|byte| byte.to_ascii_lowercase() as char).collect();
    text.contains("select 1")
}

/// Reads packets up to the end of a message.
async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let mut message = Vec::new();
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).await?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if length < HEADER || message.len() + length > MAX_MESSAGE {
            return Err(io::Error::other("a packet has an impossible length"));
        }
        let start = message.len();
        message.resize(start + length - HEADER, 0);
        stream.read_exact(&mut message[start..]).await?;
        if header[1] & 1 == 1 {
            return Ok((header[0], message));
        }
    }
}

/// Wraps a short message into one packet.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + HEADER).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, 1, length[0], length[1], 0, 0, 1, 0], body].concat()
}
