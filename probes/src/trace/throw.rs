//! One datagram and what came back for it.

use std::time::Duration;

use nix::errno::Errno;

use crate::{
    attempt::Attempt,
    clock,
    datagram::Datagram,
    evidence::{Operation, Trouble},
    knock::{Answer, Knock},
};

/// A question for the root's name servers (RFC 1035 section 4.1), which any DNS server answers in some way.
const DNS: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
/// What is sent to other ports: nobody takes it for a question.
const PLAIN: &[u8] = b"ase-agent trace\n";

/// What a server behind this port may answer.
pub(super) fn payload(port: u16) -> Vec<u8> {
    match port {
        53 => DNS.to_vec(),
        // A client's question (RFC 5905 section 7.3): version 4, mode 3.
        123 => [&[0x23][..], &[0; 47]].concat(),
        _ => PLAIN.to_vec(),
    }
}

/// Sends one datagram and waits at most `patience` for whatever comes: a datagram of the peer's, or ICMP.
pub(super) async fn throw(attempt: &Attempt<'_>, patience: Duration) -> Knock {
    let attempt = &Attempt { deadline: attempt.deadline.at_most(patience), ..*attempt };
    let start = clock::now();
    let answer = match Datagram::open(attempt) {
        Ok(socket) => sent(&socket, attempt, &payload(attempt.address.port())).await,
        Err(trouble) => Answer::Unasked(trouble),
    };
    Knock { answer, elapsed: start.elapsed(), retransmitted: false }
}

/// Sends these bytes and says what came back until the attempt's deadline.
pub(super) async fn sent(socket: &Datagram, attempt: &Attempt<'_>, payload: &[u8]) -> Answer {
    if let Err(trouble) = socket.send(payload).await {
        return heard(socket, attempt, trouble);
    }
    match attempt.deadline.bound(socket.receive(&mut [0; 64])).await {
        Ok(_) => Answer::Open,
        Err(trouble) => heard(socket, attempt, trouble),
    }
}

fn heard(socket: &Datagram, attempt: &Attempt<'_>, trouble: Trouble) -> Answer {
    let refused = Trouble::Os { operation: Operation::Receive, errno: Errno::ECONNREFUSED as i32 };
    match socket.icmp() {
        Some(icmp) if icmp.is_port_unreachable() && icmp.offender == Some(attempt.address.ip()) => Answer::Refused,
        Some(icmp) => Answer::Icmp(icmp),
        None if trouble == refused => Answer::Refused,
        None if trouble == Trouble::TimedOut => Answer::Silent,
        None => Answer::Unasked(trouble),
    }
}
