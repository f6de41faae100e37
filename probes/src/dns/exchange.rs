//! One DNS question on the wire and what comes back for it, until the answer is there.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Question, Reply, Transport, wire};
use crate::{
    attempt::Attempt,
    clock,
    datagram::{Datagram, HEAR_OUT},
    evidence::{Operation, Stop, Trouble, os},
    seen::Trace,
    stream,
    tap::Tap,
    verdict::Phase,
};

/// The largest datagram that is read, in bytes: the starting point of RFC 6891 section 6.2.5; we offer
/// less.
const DATAGRAM: usize = 4096;
/// The largest message over TCP, in bytes: its length has 16 bits (RFC 7766 section 8).
const MESSAGE: usize = u16::MAX as usize;

/// Asks the attempt's server over the question's transport.
pub(super) async fn make(question: &Question, attempt: &Attempt<'_>) -> (Trace, Reply) {
    let mut asking = Asking { question, attempt, trace: Trace::default() };
    let mut reply = Reply::default();
    let result = match question.transport {
        Transport::Udp => asking.by_datagram(&mut reply).await,
        Transport::Tcp => asking.by_stream(&mut reply).await,
    };
    asking.trace.seen.stop = result.err();
    (asking.trace, reply)
}

/// One exchange under way.
struct Asking<'a> {
    question: &'a Question,
    attempt: &'a Attempt<'a>,
    trace: Trace,
}

impl Asking<'_> {
    async fn by_datagram(&mut self, reply: &mut Reply) -> Result<(), Stop> {
        let start = clock::now();
        let result = self.ask_by_datagram(reply).await;
        let elapsed = start.elapsed();
        self.trace.phases.record(Phase::Dns, elapsed);
        result.map_err(|trouble| Stop { phase: Phase::Dns, trouble, elapsed })
    }

    async fn ask_by_datagram(&mut self, reply: &mut Reply) -> Result<(), Trouble> {
        let id = self.id();
        let question = self.encode(id)?;
        let socket = Datagram::open(self.attempt)?;
        let sent = clock::wall();
        let result = match socket.send(&question).await {
            Ok(()) => self.await_answer(&socket, id, sent, reply).await,
            Err(trouble) => Err(trouble),
        };
        if result.is_err() {
            self.trace.seen.icmp = socket.icmp();
        }
        result
    }

    async fn await_answer(
        &mut self,
        socket: &Datagram,
        id: u16,
        sent: Duration,
        reply: &mut Reply,
    ) -> Result<(), Trouble> {
        let (mut buffer, mut end, mut objection) = (vec![0; DATAGRAM], self.attempt.deadline, None);
        loop {
            let received = match end.bound(socket.receive(&mut buffer)).await {
                Ok(received) => received,
                Err(trouble) if trouble != Trouble::TimedOut && objection.is_none() && socket.may_be_forged() => {
                    (objection, end) = (Some(trouble), end.at_most(HEAR_OUT));
                    continue;
                }
                Err(Trouble::TimedOut) => return Err(objection.or(unreadable(reply)).unwrap_or(Trouble::TimedOut)),
                Err(trouble) => return Err(objection.unwrap_or(trouble)),
            };
            if self.accept(&buffer[..received.len], id, reply) {
                self.trace.seen.round_trip = Some(received.at.saturating_sub(sent));
                self.trace.seen.icmp = socket.notice();
                (self.trace.seen.reply_source, self.trace.seen.hop_limit) = (received.from, received.hop_limit);
                reply.conflicting = self.hear_conflict(socket, id, reply, &mut buffer).await;
                return Ok(());
            }
            if reply.unreadable.is_some() {
                end = end.at_most(self.attempt.deadline.remaining() / 4);
            }
        }
    }

    /// Waits for a second answer to the same question and compares it with the first. A copy is no conflict.
    async fn hear_conflict(&self, socket: &Datagram, id: u16, reply: &Reply, buffer: &mut [u8]) -> bool {
        if self.question.linger.is_zero() {
            return false;
        }
        let end = self.attempt.deadline.at_most(self.question.linger);
        let said = |answer: &Answer| {
            let mut addresses = answer.addresses.clone();
            addresses.sort();
            (answer.rcode, addresses)
        };
        let first = reply.answer.as_ref().map(said);
        while let Ok(Ok(received)) = end.limit(socket.receive(buffer)).await {
            let second = wire::decode(&buffer[..received.len], id, self.question);
            if second.is_ok_and(|second| Some(said(&second)) != first) {
                return true;
            }
        }
        false
    }

    async fn by_stream(&mut self, reply: &mut Reply) -> Result<(), Stop> {
        let stream = stream::connect(self.attempt, &mut self.trace).await?;
        let start = clock::now();
        let tap = Tap::new(stream, self.trace.page.take());
        let result = self.ask_by_stream(tap.clone(), reply).await;
        let elapsed = start.elapsed();
        stream::finish(&tap, result.is_err(), &mut self.trace.seen);
        self.trace.phases.record(Phase::Dns, elapsed);
        result.map_err(|trouble| Stop { phase: Phase::Dns, trouble, elapsed })
    }

    async fn ask_by_stream(&mut self, mut stream: Tap, reply: &mut Reply) -> Result<(), Trouble> {
        let id = self.id();
        let question = self.encode(id)?;
        let mut framed = u16::try_from(question.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        framed.extend(question);
        stream.allow(MESSAGE + 2, "64 KiB of DNS message");
        let exchange = async {
            stream.write_all(&framed).await.map_err(os(Operation::Send))?;
            read_framed(&mut stream).await
        };
        let message = self.attempt.deadline.bound(exchange).await?;
        if self.accept(&message, id, reply) {
            return Ok(());
        }
        Err(unreadable(reply).unwrap_or(Trouble::Malformed("the answer is for another question")))
    }

    /// Takes a message in if it is the answer, else counts it as a stray.
    fn accept(&self, message: &[u8], id: u16, reply: &mut Reply) -> bool {
        match wire::decode(message, id, self.question) {
            Ok(answer) => {
                reply.answer = Some(answer);
                return true;
            }
            Err(wire::Stray::Broken(unreadable)) => reply.unreadable = Some(unreadable),
            Err(wire::Stray::NotOurs) => {}
        }
        reply.strays = reply.strays.saturating_add(1);
        false
    }

    fn encode(&self, id: u16) -> Result<Vec<u8>, Trouble> {
        wire::encode(self.question, id).ok_or(Trouble::Malformed("the name cannot be asked"))
    }

    /// The message id: 16 unpredictable bits (RFC 5452).
    fn id(&self) -> u16 {
        (self.attempt.nonce & 0xffff) as u16
    }
}

/// What ends an exchange in which nothing better came than a message that cannot be read.
fn unreadable(reply: &Reply) -> Option<Trouble> {
    reply.unreadable.map(|unreadable| Trouble::Malformed(unreadable.what))
}

async fn read_framed(stream: &mut Tap) -> Result<Vec<u8>, Trouble> {
    let ended = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Trouble::Closed,
        _ => os(Operation::Receive)(error),
    };
    let length = stream.read_u16().await.map_err(ended)?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.map_err(ended)?;
    Ok(message)
}
