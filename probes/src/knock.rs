//! A handshake that leads to nothing: who answers at this address and port, and how fast. What follow-up measurements
//! are made of.

use std::{fmt, os::fd::AsFd, time::Duration};

use nix::errno::Errno;
use socket2::SockRef;

use crate::{
    attempt::Attempt,
    clock,
    evidence::{IcmpError, Millis, Trouble},
    seen::Trace,
    stream,
};

/// What came back for a SYN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// SYN and ACK: somebody accepts, perhaps not the peer.
    Open,
    /// RST: somebody refuses, perhaps not the peer.
    Refused,
    /// An ICMP error; its offender sent it.
    Icmp(IcmpError),
    /// Nothing in the time given.
    Silent,
    /// Nothing was asked: this machine could not.
    Unasked(Trouble),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Refused => f.write_str("refused"),
            Self::Icmp(icmp) => icmp.fmt(f),
            Self::Silent => f.write_str("silent"),
            Self::Unasked(trouble) => write!(f, "not asked ({trouble})"),
        }
    }
}

/// One SYN and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knock {
    /// What came back.
    pub answer: Answer,
    /// Time from the SYN to the answer; for [`Answer::Silent`] the time waited.
    pub elapsed: Duration,
    /// Whether a SYN was sent again: then `elapsed` holds its wait too, unless the answer is open.
    pub retransmitted: bool,
}

impl fmt::Display for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {}", self.answer, Millis(self.elapsed))
    }
}

/// Connects and closes at once with a reset, which frees the flow everywhere. It waits at most `patience`, the
/// attempt's deadline and the 4 s of any handshake.
pub async fn knock(attempt: &Attempt<'_>, patience: Duration) -> Knock {
    let attempt = Attempt { deadline: attempt.deadline.at_most(patience), ..*attempt };
    let mut trace = Trace::default();
    let start = clock::now();
    let result = stream::connect(&attempt, &mut trace).await;
    let (waited, seen) = (start.elapsed(), trace.seen);
    let answer = match result {
        Ok(stream) => {
            hang_up(&stream);
            Answer::Open
        }
        Err(stop) => answer(stop.trouble, seen.icmp),
    };
    let elapsed = seen.round_trip.filter(|_| answer == Answer::Open).unwrap_or(waited);
    Knock { answer, elapsed, retransmitted: seen.tcp.is_some_and(|info| info.retransmits > 0) }
}

fn answer(trouble: Trouble, icmp: Option<IcmpError>) -> Answer {
    let errno = if let Trouble::Os { errno, .. } = trouble { Some(Errno::from_raw(errno)) } else { None };
    match (icmp, errno) {
        (Some(icmp), _) => Answer::Icmp(icmp),
        (None, Some(Errno::ECONNREFUSED)) => Answer::Refused,
        (None, Some(Errno::ETIMEDOUT)) => Answer::Silent,
        (None, _) if trouble == Trouble::TimedOut => Answer::Silent,
        (None, _) => Answer::Unasked(trouble),
    }
}

/// Makes the close a reset: no state stays behind, here or on the path.
pub(crate) fn hang_up(socket: &impl AsFd) {
    drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
}
