//! Carries one message to a peer, over TCP or UDP, and its answer back: the errand of two agents that share a secret, of which
//! nothing is known here. What came back is bytes; what they prove is for the caller to say.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    attempt::Attempt,
    clock,
    datagram::{Datagram, HEAR_OUT},
    dns::Transport,
    evidence::{Operation, Stop, Trouble, os},
    seen::{Exchange, Trace},
    stream,
    tap::Tap,
    transport,
    verdict::{Phase, Verdict},
};

/// The longest answer, in bytes: what fits a datagram on any path (RFC 8200 section 5, without its headers).
const LONGEST: usize = 1232;

/// What to carry, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Over what.
    pub transport: Transport,
    /// What is said.
    pub message: &'a [u8],
    /// Bytes of the whole answer, at most 1232.
    pub answer: usize,
}

impl Delivery<'_> {
    /// Makes one attempt. Where no whole answer came the bytes are empty, and the verdict says what the transport showed.
    pub async fn run(&self, attempt: &Attempt<'_>) -> Exchange<Vec<u8>> {
        let mut trace = Trace::default();
        let result = match self.transport {
            Transport::Tcp => self.by_stream(attempt, &mut trace).await,
            Transport::Udp => self.by_datagram(attempt, &mut trace).await,
        };
        let reply = result.unwrap_or_else(|stop| {
            trace.seen.stop = Some(stop);
            Vec::new()
        });
        let verdict = match &trace.seen.stop {
            Some(stop) => transport::judge(stop, &trace.seen, attempt.address.ip()).failed(),
            None => Verdict::Healthy,
        };
        trace.conclude(attempt.address, verdict, reply)
    }

    async fn by_stream(&self, attempt: &Attempt<'_>, trace: &mut Trace) -> Result<Vec<u8>, Stop> {
        let stream = stream::connect(attempt, trace).await?;
        let start = clock::now();
        let mut tap = Tap::new(stream, trace.page.take());
        tap.allow(self.answer.min(LONGEST), "the answer's length");
        let result = attempt.deadline.bound(self.say_and_hear(&mut tap)).await;
        let elapsed = start.elapsed();
        stream::finish(&tap, result.is_err(), &mut trace.seen);
        trace.phases.record(Phase::Request, elapsed);
        result.map_err(|trouble| Stop { phase: Phase::Request, trouble, elapsed })
    }

    async fn say_and_hear(&self, tap: &mut Tap) -> Result<Vec<u8>, Trouble> {
        tap.write_all(self.message).await.map_err(os(Operation::Send))?;
        tap.flush().await.map_err(os(Operation::Send))?;
        let mut answer = vec![0; self.answer.min(LONGEST)];
        match tap.read_exact(&mut answer).await {
            Ok(_) => Ok(answer),
            Err(error) if error.raw_os_error().is_none() => Err(Trouble::Closed),
            Err(error) => Err(os(Operation::Receive)(error)),
        }
    }

    async fn by_datagram(&self, attempt: &Attempt<'_>, trace: &mut Trace) -> Result<Vec<u8>, Stop> {
        let start = clock::now();
        let result = self.send_and_await(attempt, trace).await;
        let elapsed = start.elapsed();
        trace.phases.record(Phase::Request, elapsed);
        result.map_err(|trouble| Stop { phase: Phase::Request, trouble, elapsed })
    }

    async fn send_and_await(&self, attempt: &Attempt<'_>, trace: &mut Trace) -> Result<Vec<u8>, Trouble> {
        let socket = Datagram::open(attempt)?;
        let sent = clock::wall();
        let result = match socket.send(self.message).await {
            Ok(()) => self.await_answer(&socket, attempt).await,
            Err(trouble) => Err(trouble),
        };
        if result.is_err() {
            trace.seen.icmp = socket.icmp();
        }
        let (at, answer) = result?;
        trace.seen.round_trip = Some(at.saturating_sub(sent));
        Ok(answer)
    }

    /// The first datagram of the answer's length; others are not heard. An ICMP message may be forged, so that the answer is
    /// waited for a while longer.
    async fn await_answer(&self, socket: &Datagram, attempt: &Attempt<'_>) -> Result<(Duration, Vec<u8>), Trouble> {
        let (mut buffer, mut end, mut objection) = (vec![0; LONGEST + 1], attempt.deadline, None);
        loop {
            match end.bound(socket.receive(&mut buffer)).await {
                Ok(received) if received.len == self.answer => {
                    return Ok((received.at, buffer[..self.answer].to_vec()));
                }
                Ok(_) => {}
                Err(Trouble::TimedOut) => return Err(objection.unwrap_or(Trouble::TimedOut)),
                Err(trouble) if objection.is_none() && socket.may_be_forged() => {
                    (objection, end) = (Some(trouble), end.at_most(HEAR_OUT));
                }
                Err(trouble) => return Err(objection.unwrap_or(trouble)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cause::Cause,
        deadline::Deadline,
        egress::{Egress, Shape},
        fixture::{serve, udp},
    };
    use std::net::SocketAddr;

    async fn carry(transport: Transport, address: SocketAddr, answer: usize) -> Exchange<Vec<u8>> {
        let egress = Egress::default();
        let deadline = Deadline::within(Duration::from_secs(2));
        let attempt = Attempt { address, deadline, egress: &egress, nonce: 7, shape: Shape::default() };
        Delivery { transport, message: b"open?", answer }.run(&attempt).await
    }

    #[tokio::test]
    async fn an_answer_of_the_length_that_was_named_comes_back_over_either_transport() {
        let (address, _served) = serve(|mut stream| async move {
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).await.expect("somebody asks");
            assert_eq!(&asked, b"open?");
            stream.write_all(b"yes").await.expect("somebody listens");
            stream
        })
        .await;
        let exchange = carry(Transport::Tcp, address, 3).await;
        assert_eq!((exchange.verdict, &*exchange.reply), (Verdict::Healthy, &b"yes"[..]));
        let address =
            udp(|asked| if asked == b"open?" { vec![b"not this".to_vec(), b"yes".to_vec()] } else { vec![] }).await;
        let exchange = carry(Transport::Udp, address, 3).await;
        assert_eq!((exchange.verdict, &*exchange.reply), (Verdict::Healthy, &b"yes"[..]));
    }

    #[tokio::test]
    async fn a_peer_that_closes_and_one_that_is_silent_are_told_apart() {
        let (address, _served) = serve(|mut stream| async move {
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).await.expect("somebody asks");
            drop(stream);
        })
        .await;
        let exchange = carry(Transport::Tcp, address, 3).await;
        let finding = exchange.verdict.finding().expect("no answer");
        assert_eq!((finding.cause, finding.phase), (Cause::Reset, Phase::Request));
        let address = udp(|_| Vec::new()).await;
        let exchange = carry(Transport::Udp, address, 3).await;
        assert_eq!(exchange.verdict.finding().map(|finding| finding.cause), Some(Cause::Dropped));
        assert!(exchange.reply.is_empty());
    }
}
