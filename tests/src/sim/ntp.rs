//! A time server.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use serde::Deserialize;

use super::{
    Behaviour, Running,
    listening::{self, Datagram},
    world::World,
};

/// Seconds from 1900 to 1970 (RFC 5905 section 6).
const ERA: u64 = 2_208_988_800;
/// Length of a packet in bytes.
const PACKET: usize = 48;

/// How the server treats every question.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Mood {
    /// It tells the time.
    #[default]
    Good,
    /// Nobody listens.
    Absent,
    /// It says nothing.
    Silent,
    /// It sends a kiss-o'-death.
    Kiss {
        /// The four letters, for example RATE (RFC 5905 section 7.4).
        code: String,
    },
    /// It has no time itself (leap indicator 3).
    Unsynchronised,
    /// It says this of itself.
    Claims(Claims),
    /// Its clock is wrong.
    Wrong {
        /// Seconds ahead of the right time.
        seconds: f64,
    },
    /// Its only answer is for somebody else: the origin timestamp is not the client's.
    WrongOrigin,
    /// Such answers come first, then the right one.
    StraysFirst {
        /// How many.
        count: u8,
    },
    /// It answers twice.
    Twice,
    /// It takes its time before it receives.
    Slow {
        /// How long.
        milliseconds: u64,
    },
    /// It sends no timestamps.
    NoTimestamps,
    /// It sends half a packet.
    Short,
}

/// Header fields of a reply; what is not given is as a healthy server has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Claims {
    /// The leap indicator, 0 to 3.
    pub leap: u8,
    /// The stratum.
    pub stratum: u8,
    /// Round trip to the primary source, in seconds.
    pub root_delay: f64,
    /// Dispersion to the primary source, in seconds.
    pub root_dispersion: f64,
    /// Time since its clock was last set, in seconds.
    pub reference_age: u64,
}

impl Default for Claims {
    fn default() -> Self {
        Self { leap: 0, stratum: 3, root_delay: 0.0156, root_dispersion: 0.0078, reference_age: 16 }
    }
}

/// Starts a server whose clock is the world's.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(address: SocketAddr, mood: Behaviour<Mood>, world: World) -> Result<Running> {
    listening::udp(
        address,
        mood,
        |mood| *mood == Mood::Absent,
        move |question, mood| serve(question, mood, world.clone()),
    )
    .await
}

async fn serve(question: Datagram, mood: Mood, world: World) {
    if let Mood::Slow { milliseconds } = mood {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let Some(reply) = answer(&question.bytes, &mood, world.now()) else { return };
    if let Mood::StraysFirst { count } = mood {
        for _ in 0..count {
            question.answer(&for_somebody_else(reply.clone())).await;
        }
    }
    question.answer(&reply).await;
    if mood == Mood::Twice {
        question.answer(&reply).await;
    }
}

/// What a time server in this mood says to a request; none where it stays silent or cannot read it.
pub(crate) fn answer(request: &[u8], mood: &Mood, now: Duration) -> Option<Vec<u8>> {
    let origin = request.get(40..PACKET)?;
    let claims = if let Mood::Claims(claims) = mood { claims.clone() } else { Claims::default() };
    let now = if let Mood::Wrong { seconds } = mood { shifted(now, *seconds) } else { now };
    let mut reply = header(&claims, now);
    reply[24..32].copy_from_slice(origin);
    reply[32..40].copy_from_slice(&timestamp(now));
    reply[40..48].copy_from_slice(&timestamp(now));
    match mood {
        Mood::Silent | Mood::Absent => return None,
        Mood::Unsynchronised => reply[0] |= 0xc0,
        Mood::Kiss { code } => {
            // RFC 5905 section 7.4: stratum 0, leap 3, the code in the reference id.
            reply[0] |= 0xc0;
            reply[1] = 0;
            let mut letters = code.clone().into_bytes();
            letters.resize(4, 0);
            reply[12..16].copy_from_slice(&letters);
        }
        Mood::WrongOrigin => reply = for_somebody_else(reply),
        Mood::NoTimestamps => reply[32..48].fill(0),
        Mood::Short => reply.truncate(PACKET / 2),
        Mood::Good
        | Mood::Claims(_)
        | Mood::Wrong { .. }
        | Mood::StraysFirst { .. }
        | Mood::Twice
        | Mood::Slow { .. } => {}
    }
    Some(reply)
}

fn header(claims: &Claims, now: Duration) -> Vec<u8> {
    let mut reply = vec![0; PACKET];
    reply[..4].copy_from_slice(&[claims.leap << 6 | 4 << 3 | 4, claims.stratum, 6, 0xe9]);
    reply[4..8].copy_from_slice(&short(claims.root_delay));
    reply[8..12].copy_from_slice(&short(claims.root_dispersion));
    reply[12..16].copy_from_slice(&[25, 66, 230, 1]);
    reply[16..24].copy_from_slice(&timestamp(now.saturating_sub(Duration::from_secs(claims.reference_age))));
    reply
}

fn for_somebody_else(mut reply: Vec<u8>) -> Vec<u8> {
    reply[24..32].iter_mut().for_each(|byte| *byte ^= 0x5a);
    reply
}

fn shifted(now: Duration, seconds: f64) -> Duration {
    let by = Duration::from_secs_f64(seconds.abs());
    if seconds < 0.0 { now.saturating_sub(by) } else { now + by }
}

/// The 16.16 format of RFC 5905 section 6.
fn short(seconds: f64) -> [u8; 4] {
    ((seconds * 65_536.0) as u32).to_be_bytes()
}

/// The 64-bit timestamp of RFC 5905 section 6, in the current era.
fn timestamp(at: Duration) -> [u8; 8] {
    let seconds = (at.as_secs() + ERA) & 0xffff_ffff;
    let fraction = (u64::from(at.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}
