//! An Azure SQL gateway as far as real clients need it: PRELOGIN, TLS, login, and `SELECT 1` (MS-TDS).

mod envelope;
mod tokens;

use std::{io, net::SocketAddr, time::Duration};

use anyhow::Result;
use rustls::SupportedProtocolVersion;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::{envelope::Envelope, tokens::prelogin as prelogin_options};
use super::{Behaviour, End, Front, Running, listening};
use crate::authority::{Flaw, server_config};

/// Packet types of MS-TDS 2.2.3.1.1.
const LOGIN7: u8 = 0x10;
/// The server's answers.
pub(crate) const TABULAR: u8 = 0x04;
/// The client's PRELOGIN, and TLS records during the handshake of TDS 7.x.
const PRELOGIN: u8 = 0x12;
/// Length of a packet's header in bytes.
const HEADER: usize = 8;
/// The longest message that is read, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// How the gateway, or what stands before it, treats every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Mood {
    /// It lets everybody in.
    #[default]
    Good,
    /// The host is there, the service is not: the port is refused.
    Absent,
    /// It knows nobody: login failed, error 18456.
    DeniesLogin,
    /// The connection is accepted and nothing comes, as behind a firewall that accepts for the server.
    Silent,
    /// The connection is accepted and ends at once.
    Ends {
        /// How.
        end: End,
    },
    /// PRELOGIN is read and the connection ends.
    AfterPrelogin {
        /// How.
        end: End,
    },
    /// PRELOGIN is answered and the connection ends at the ClientHello.
    AfterHello {
        /// How.
        end: End,
    },
    /// Bytes come that are no TDS, whatever the client says.
    Raw {
        /// The bytes, as text.
        text: String,
    },
    /// PRELOGIN is answered with these bytes, which need not be a packet.
    RawPrelogin {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The server chooses this encryption (MS-TDS 2.2.6.5).
    Encryption {
        /// 0 off, 1 on, 2 not supported, 3 required.
        value: u8,
    },
    /// A firewall inspects TLS with its own authority.
    Inspected,
    /// The certificate has a flaw.
    Certificate {
        /// Which.
        flaw: Flaw,
    },
    /// It takes its time before PRELOGIN is answered.
    Slow {
        /// How long.
        milliseconds: u64,
    },
    /// PRELOGIN's answer comes byte by byte.
    Drips {
        /// The time between two bytes.
        milliseconds: u64,
    },
}

impl Mood {
    fn flaw(&self) -> Flaw {
        if let Self::Certificate { flaw } = self { flaw.clone() } else { Flaw::None }
    }
}

/// Starts a gateway.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr, front: Front, mood: Behaviour<Mood>) -> Result<Running> {
    listening::tcp(
        address,
        mood,
        |mood| *mood == Mood::Absent,
        move |stream, mood| {
            let front = front.clone();
            async move { drop(serve(stream, &front, &mood).await) }
        },
    )
    .await
}

async fn serve(mut stream: TcpStream, front: &Front, mood: &Mood) -> io::Result<()> {
    match mood {
        Mood::Silent => return End::Silence.of(stream).await,
        Mood::Ends { end } => return end.of(stream).await,
        _ => {}
    }
    let mut first = [0];
    stream.peek(&mut first).await?;
    if let Mood::Raw { text } = mood {
        stream.read_buf(&mut Vec::with_capacity(4096)).await?;
        stream.write_all(text.as_bytes()).await?;
        return stream.shutdown().await;
    }
    // A TLS record of a handshake begins with 0x16: TDS 8.0 puts TLS before everything.
    if first[0] == 0x16 {
        let mut tls = acceptor(front, mood, &["tds/8.0"], rustls::ALL_VERSIONS)?.accept(stream).await?;
        prelogin(&mut tls, mood).await?;
        return session(tls, mood).await;
    }
    if let Mood::AfterPrelogin { end } = mood {
        read_message(&mut stream).await?;
        return end.of(stream).await;
    }
    prelogin(&mut stream, mood).await?;
    if let Mood::AfterHello { end } = mood {
        read_message(&mut stream).await?;
        return end.of(stream).await;
    }
    // Inside TDS 7.x packets the handshake must end with the server's word, which TLS 1.3 does not promise.
    let acceptor = acceptor(front, mood, &[], &[&rustls::version::TLS12])?;
    let (envelope, opener) = Envelope::new(stream);
    let tls = acceptor.accept(envelope).await?;
    opener.open();
    session(tls, mood).await
}

fn acceptor(
    front: &Front,
    mood: &Mood,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<TlsAcceptor> {
    let authority = if *mood == Mood::Inspected { &front.inspector } else { &front.authority };
    let config = server_config(authority, &front.name, &mood.flaw(), alpn, versions);
    config.map(TlsAcceptor::from).map_err(io::Error::other)
}

async fn prelogin(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), mood: &Mood) -> io::Result<()> {
    let (kind, _) = read_message(stream).await?;
    if kind != PRELOGIN {
        return Err(io::Error::other("a PRELOGIN is due"));
    }
    let encryption = if let Mood::Encryption { value } = mood { *value } else { tokens::ENCRYPT_ON };
    let answer = packet(TABULAR, &tokens::prelogin(encryption));
    match mood {
        Mood::RawPrelogin { bytes } => return stream.write_all(bytes).await,
        Mood::Slow { milliseconds } => tokio::time::sleep(Duration::from_millis(*milliseconds)).await,
        Mood::Drips { milliseconds } => {
            for byte in answer {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            }
            return Ok(());
        }
        _ => {}
    }
    stream.write_all(&answer).await
}

async fn session(mut stream: impl AsyncRead + AsyncWrite + Unpin, mood: &Mood) -> io::Result<()> {
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
pub(crate) fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + HEADER).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, 1, length[0], length[1], 0, 0, 1, 0], body].concat()
}
