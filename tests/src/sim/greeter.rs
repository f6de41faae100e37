//! A TCP service of which nothing is known but that it accepts: port 12000.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::Running;

/// Starts a service that accepts and waits for the client to leave.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr) -> Result<Running> {
    let listener = TcpListener::bind(address).await?;
    Ok(Running::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while matches!(stream.read(&mut buffer).await, Ok(len) if len > 0) {}
            });
        }
    }))
}
