//! How far packets of an established connection come. A box that knows the connection lets them pass where it drops a lone
//! SYN, and a proxy that accepts in the peer's place acknowledges them itself.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::{
    attempt::Attempt,
    clock,
    egress::limit_hops,
    error_queue,
    evidence::{Operation, Trouble, os},
    kernel,
    knock::hang_up,
    seen::Trace,
    stream,
};

/// The wait for a sign: the kernel sends an unacknowledged segment again after 200 ms at least (`TCP_RTO_MIN`), so that two are
/// lost before a hop counts as silent.
const PATIENCE: Duration = Duration::from_millis(900);
/// Time between two looks: an acknowledgement without data wakes nobody.
const LOOK: Duration = Duration::from_millis(5);
/// The hop limit with which a connection is ended, so that the end arrives.
const FAR: u8 = 64;

/// What showed for a segment of an established connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Whoever holds the other end acknowledged it.
    Acknowledged,
    /// An ICMP message came. For an established connection the kernel does not tell from whom.
    Icmp,
    /// Nothing.
    Silent,
    /// The connection was cut.
    Cut,
    /// There was no connection.
    Unasked(Trouble),
}

impl Sign {
    /// Returns the word used in reports.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Icmp => "icmp",
            Self::Silent => "silent",
            Self::Cut => "cut",
            Self::Unasked(_) => "unasked",
        }
    }
}

/// One connection whose next segment could travel so far and no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The hop limit of the segment.
    pub hop_limit: u8,
    /// What showed for it.
    pub sign: Sign,
    /// After which time.
    pub elapsed: Duration,
}

/// Connects, sends one byte that may travel so many hops, and ends the connection with a reset. It waits at most 0.9 s for a
/// sign beside the handshake.
pub async fn inside(attempt: &Attempt<'_>, hop_limit: u8) -> Inside {
    let stream = match stream::connect(attempt, &mut Trace::default()).await {
        Ok(stream) => stream,
        Err(stop) => return Inside { hop_limit, sign: Sign::Unasked(stop.trouble), elapsed: stop.elapsed },
    };
    let start = clock::now();
    let sign = match limited(&stream, attempt, hop_limit) {
        Ok(()) => await_sign(&stream, attempt).await,
        Err(trouble) => Sign::Unasked(trouble),
    };
    let elapsed = start.elapsed();
    drop(limit_hops(&SockRef::from(&stream), attempt.address, FAR));
    hang_up(&stream);
    Inside { hop_limit, sign, elapsed }
}

/// Sends the first byte of what the port's protocol begins with.
fn limited(stream: &TcpStream, attempt: &Attempt<'_>, hop_limit: u8) -> Result<(), Trouble> {
    limit_hops(&SockRef::from(stream), attempt.address, hop_limit).map_err(os(Operation::Option))?;
    let first = match attempt.address.port() {
        80 => b"G",
        1433 => b"\x12",
        _ => b"\x16",
    };
    stream.try_write(first).map(drop).map_err(os(Operation::Send))
}

async fn await_sign(stream: &TcpStream, attempt: &Attempt<'_>) -> Sign {
    let deadline = attempt.deadline.at_most(PATIENCE);
    loop {
        if let Ok(Some(error)) = stream.take_error() {
            return if error_queue::is_echo(&error) { Sign::Icmp } else { Sign::Cut };
        }
        match kernel::tcp_info(stream) {
            Some(info) if !info.is_established => return Sign::Cut,
            Some(info) if info.unacked == 0 => return Sign::Acknowledged,
            Some(_) | None => {}
        }
        if deadline.remaining().is_zero() {
            return Sign::Silent;
        }
        tokio::time::sleep(LOOK).await;
    }
}
