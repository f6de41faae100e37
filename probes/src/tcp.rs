//! The TCP probe: does anyone accept a connection, and does the peer say something by itself?
//! An accept alone is weak evidence: an appliance can give it in the peer's place.

use tokio::io::AsyncReadExt;

use crate::{
    attempt::Attempt,
    evidence::Escaped,
    seen::{Exchange, Seen, Trace},
    stream,
    tap::Tap,
    transport,
    verdict::Verdict,
};

/// Bytes read from a peer that speaks first: an SSH identification has at most 255 (RFC 4253 section 4.2), and an SMTP
/// greeting names its host well before.
const GREETING_LIMIT: usize = 256;

/// What to ask: nothing. The connection itself is the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// How long to wait for a peer that speaks first; zero asks for the accept only.
    pub listen: std::time::Duration,
}

/// What the accepted connection showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the peer said by itself, at most 256 bytes. Empty: a bare accept, the weaker evidence.
    pub greeting: Vec<u8>,
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        lines.push(if self.greeting.is_empty() {
            "a bare accept: the connection was accepted, the peer itself is not proved".to_owned()
        } else {
            format!("the peer spoke first: {}", Escaped(&self.greeting))
        });
    }
}

impl Question {
    /// Makes one attempt. There is no reply where nobody accepted.
    pub async fn run(&self, attempt: &Attempt<'_>) -> Exchange<Option<Reply>> {
        let mut trace = Trace::default();
        let reply = match stream::connect(attempt, &mut trace).await {
            Err(stop) => {
                trace.seen.stop = Some(stop);
                None
            }
            Ok(_) if self.listen.is_zero() => Some(Reply { greeting: Vec::new() }),
            Ok(stream) => {
                let tap = Tap::new(stream, trace.page.take());
                let greeting = self.listen(tap.clone(), attempt).await;
                stream::finish(&tap, false, &mut trace.seen);
                Some(Reply { greeting })
            }
        };
        let verdict = judge(attempt, &trace.seen);
        trace.conclude(attempt.address, verdict, reply)
    }

    async fn listen(&self, mut tap: Tap, attempt: &Attempt<'_>) -> Vec<u8> {
        let mut greeting = vec![0; GREETING_LIMIT];
        tap.allow(GREETING_LIMIT, "256 bytes of greeting");
        let wait = attempt.deadline.at_most(self.listen);
        let len = match wait.limit(tap.read(&mut greeting)).await {
            Ok(Ok(len)) => len,
            Ok(Err(_)) | Err(_) => 0,
        };
        greeting.truncate(len);
        greeting
    }
}

/// Says what the exchange means: an accept is healthy here, and its evidence says how weak that is.
fn judge(attempt: &Attempt<'_>, seen: &Seen) -> Verdict {
    match &seen.stop {
        Some(stop) => transport::judge(stop, seen, attempt.address.ip()).failed(),
        None => Verdict::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cause::Cause,
        deadline::Deadline,
        egress::{Egress, Shape},
        outcome::{Outcome, Protocol},
        verdict::Phase,
    };
    use std::{net::SocketAddr, time::Duration};
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    /// Long enough for a machine that is busy.
    const DEADLINE: Duration = Duration::from_secs(30);

    async fn ask(address: SocketAddr) -> Outcome {
        let egress = Egress::default();
        let deadline = Deadline::within(DEADLINE);
        let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() };
        Question { listen: Duration::from_millis(200) }.run(&attempt).await.into()
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("bound above");
        (listener, address)
    }

    #[tokio::test]
    async fn a_bare_accept_is_healthy_and_says_that_it_is_weak() {
        let (_listener, address) = listener().await;
        let outcome = ask(address).await;
        assert_eq!(outcome.verdict, Verdict::Healthy);
        assert!(outcome.evidence()[0].contains("bare accept"), "{:?}", outcome.evidence());
        assert!(outcome.seen.round_trip.is_some_and(|rtt| rtt <= outcome.phases.total()));
    }

    #[tokio::test]
    async fn a_greeting_is_kept_up_to_its_limit() {
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.expect("one client comes");
            peer.write_all(&[b'x'; 4096]).await.expect("the client reads or closes later");
            std::future::pending::<()>().await;
        });
        let outcome = ask(address).await;
        let Protocol::Tcp(reply) = outcome.protocol else { panic!("a TCP reply is due") };
        assert_eq!(reply.greeting.len(), GREETING_LIMIT);
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_at_once() {
        let (listener, address) = listener().await;
        drop(listener);
        let outcome = ask(address).await;
        let finding = outcome.verdict.finding().expect("nobody listens");
        assert_eq!((finding.cause, finding.phase), (Cause::Refused, Phase::Connect));
        assert!(outcome.phases.total() < DEADLINE, "it is not waited for");
    }
}
