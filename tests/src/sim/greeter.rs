//! A TCP service of which nothing is known but that it accepts: port 12000.

use std::net::SocketAddr;

use anyhow::Result;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Behaviour, End, Running, listening};

/// Bytes that are sent at a time where many are.
const CHUNK: [u8; 16 * 1024] = [0x2e; 16 * 1024];

/// How the service treats every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Mood {
    /// It accepts and waits for the client to leave.
    #[default]
    Good,
    /// Nobody listens.
    Absent,
    /// It accepts and ends the connection at once.
    Ends {
        /// How.
        end: End,
    },
    /// It speaks first.
    Greets {
        /// What it says.
        text: String,
    },
    /// It sends without end what nobody asked for.
    Floods {
        /// How much, in bytes.
        bytes: u64,
    },
}

/// Starts a service.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr, mood: Behaviour<Mood>) -> Result<Running> {
    listening::tcp(address, mood, |mood| *mood == Mood::Absent, serve).await
}

async fn serve(mut stream: TcpStream, mood: Mood) {
    match mood {
        Mood::Good | Mood::Absent => wait(stream).await,
        Mood::Ends { end } => drop(end.of(stream).await),
        Mood::Greets { text } => {
            if stream.write_all(text.as_bytes()).await.is_ok() {
                wait(stream).await;
            }
        }
        Mood::Floods { bytes } => {
            for _ in 0..bytes.div_ceil(CHUNK.len() as u64) {
                if stream.write_all(&CHUNK).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads until the client leaves.
async fn wait(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer).await, Ok(len) if len > 0) {}
}
