//! A time server.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use ase_probes::clock;
use tokio::net::UdpSocket;

use super::{Behaviour, Running};

/// Seconds from 1900 to 1970 (RFC 5905 section 6).
const ERA: u64 = 2_208_988_800;
/// Length of a packet in bytes.
const PACKET: usize = 48;

/// How the server treats every question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It tells the time.
    #[default]
    Good,
    /// It asks to be left alone (kiss code RATE).
    Limits,
    /// It has no time itself (leap indicator 3).
    Unsynchronised,
    /// It says nothing.
    Silent,
}

/// Starts a server.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr, mood: Behaviour<Mood>) -> Result<Running> {
    let socket = UdpSocket::bind(address).await?;
    Ok(Running::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            if let Some(reply) = answer(&buffer[..len], mood.get()) {
                drop(socket.send_to(&reply, from).await);
            }
        }
    }))
}

fn answer(request: &[u8], mood: Mood) -> Option<Vec<u8>> {
    let origin = request.get(40..PACKET)?;
    let now = clock::wall();
    let mut reply = vec![0; PACKET];
    reply[..4].copy_from_slice(&[4 << 3 | 4, 3, 6, 0xe9]);
    reply[4..8].copy_from_slice(&0x0000_0400u32.to_be_bytes());
    reply[8..12].copy_from_slice(&0x0000_0200u32.to_be_bytes());
    reply[12..16].copy_from_slice(&[25, 66, 230, 1]);
    reply[16..24].copy_from_slice(&timestamp(now.saturating_sub(Duration::from_secs(16))));
    reply[24..32].copy_from_slice(origin);
    reply[32..40].copy_from_slice(&timestamp(now));
    reply[40..48].copy_from_slice(&timestamp(now));
    match mood {
        Mood::Good => {}
        Mood::Silent => return None,
        Mood::Unsynchronised => reply[0] |= 0xc0,
        Mood::Limits => {
            reply[1] = 0;
            reply[12..16].copy_from_slice(b"RATE");
        }
    }
    Some(reply)
}

/// The 64-bit timestamp of RFC 5905 section 6, in the current era.
fn timestamp(at: Duration) -> [u8; 8] {
    let seconds = (at.as_secs() + ERA) & 0xffff_ffff;
    let fraction = (u64::from(at.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}
