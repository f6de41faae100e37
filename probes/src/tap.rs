//! One TCP connection as the protocols above it see it: its bytes counted against a budget, the first ones kept,
//! the first fault remembered, what is sent put together until somebody waits for the answer. It knows no protocol.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    clock, error_queue,
    evidence::{Ending, Operation, Trouble, os},
    journal::{Event, Layer, Page},
    pace::Pace,
};

/// Bytes of the peer's first words that are kept: a status line with some headers, as much as evidence shows.
const HEAD_LIMIT: usize = 512;
/// Bytes that wait to be sent together: a flight of a handshake with a request has less than 2 KiB.
const UNSENT_LIMIT: usize = 16 * 1024;

/// A counted connection; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Tap(Arc<Line>);

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    tally: Mutex<Tally>,
    page: Option<Page>,
}

#[derive(Debug, Default)]
struct Tally {
    received: usize,
    budget: usize,
    limit: &'static str,
    head: Vec<u8>,
    trouble: Option<Trouble>,
    echo: Option<i32>,
    unsent: Vec<u8>,
    /// How fast it comes, while somebody waits for a message that cannot be used before it is whole.
    pace: Option<Pace>,
    is_held: bool,
    is_kept: bool,
}

impl Tap {
    /// Wraps a connected stream; nothing may be read before [`Tap::allow`]. What is said is noted on the page, if there is one.
    pub(crate) fn new(stream: TcpStream, page: Option<Page>) -> Self {
        Self(Arc::new(Line { stream, tally: Mutex::default(), page }))
    }

    /// Where what is said is noted, if anybody wants to see it.
    pub(crate) fn page(&self) -> Option<&Page> {
        self.0.page.as_ref()
    }

    /// Lets the peer send this many bytes from now on; `limit` names the budget for people.
    pub(crate) fn allow(&self, bytes: usize, limit: &'static str) {
        let mut tally = self.tally();
        tally.budget = tally.received.saturating_add(bytes);
        tally.limit = limit;
    }

    /// Ends the exchange from our side: the peer broke a rule that is checked elsewhere.
    pub(crate) fn refuse(&self, trouble: Trouble) {
        self.tally().trouble.get_or_insert(trouble);
    }

    /// The peer itself ended the exchange with this TLS alert, whatever else befell the connection.
    pub(crate) fn hear_alert(&self, number: u8) {
        self.tally().trouble = Some(Trouble::Alert(number));
    }

    /// While held, nothing is sent before somebody reads, however often it is flushed: the records of one flight leave
    /// together then, and what follows the last flight goes with it.
    pub(crate) fn hold(&self, is_held: bool) {
        self.tally().is_held = is_held;
    }

    /// While kept, nothing is sent even when somebody reads: what a peer says then, it says unasked. The last flight of a
    /// handshake and the question leave together afterwards, so that nobody can answer the one before the other.
    pub(crate) fn keep(&self, is_kept: bool) {
        self.tally().is_kept = is_kept;
    }

    /// While watched, a peer that keeps talking and does not get on is not waited for (`pace.rs`).
    pub(crate) fn watch_pace(&self, is_watched: bool) {
        self.tally().pace = is_watched.then(Pace::default);
    }

    /// The first bytes the peer sent, at most 512.
    pub(crate) fn head(&self) -> Vec<u8> {
        self.tally().head.clone()
    }

    /// The first fault of the connection itself.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.tally().trouble.clone()
    }

    /// Sends every segment at once from now on, without waiting for the acknowledgement of the one before
    /// (`TCP_NODELAY`): for exchanges in which we speak twice in a row.
    pub(crate) fn send_at_once(&self) -> Result<(), Trouble> {
        self.stream().set_nodelay(true).map_err(os(Operation::Option))
    }

    /// The connection, for the kernel's counters.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.0.stream
    }

    /// The error number that the kernel made of an ICMP message for the connection, if one was noticed; `look` makes sure.
    pub(crate) fn echo(&self, look: bool) -> Option<i32> {
        if look
            && let Ok(Some(error)) = self.stream().take_error()
            && error_queue::is_echo(&error)
        {
            self.note_echo(&error);
        }
        self.tally().echo
    }

    fn note_echo(&self, error: &io::Error) {
        let mut tally = self.tally();
        tally.echo = tally.echo.or(error.raw_os_error());
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes one read may take: one more than the budget, so that an excess shows.
    fn room(&self) -> io::Result<usize> {
        let tally = self.tally();
        match tally.trouble {
            Some(Trouble::TooMuch(rule) | Trouble::Malformed(rule)) => Err(io::Error::other(rule)),
            Some(Trouble::Drips) => Err(io::ErrorKind::TimedOut.into()),
            Some(_) | None => Ok(tally.budget.saturating_sub(tally.received).saturating_add(1)),
        }
    }

    fn note(&self, bytes: &[u8]) -> io::Result<()> {
        match self.page() {
            Some(page) if bytes.is_empty() => page.note(Layer::Tcp, Event::Ended),
            Some(page) => page.received(Layer::Tcp, bytes),
            None => {}
        }
        let mut tally = self.tally();
        tally.received += bytes.len();
        let room = HEAD_LIMIT - tally.head.len();
        tally.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let Some(Err(trouble)) = tally.pace.as_mut().map(|pace| pace.note(bytes.len(), clock::now())) {
            tally.trouble.get_or_insert(trouble);
            return Err(io::ErrorKind::TimedOut.into());
        }
        if tally.received > tally.budget {
            let limit = tally.limit;
            tally.trouble.get_or_insert(Trouble::TooMuch(limit));
            return Err(io::Error::other(limit));
        }
        Ok(())
    }

    /// Sends what waits. Once the peer has left, that is lost and remembered, and yet no error: its last words, such as an
    /// alert that says why it left, can still be read.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let unsent = std::mem::take(&mut self.tally().unsent);
            if unsent.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let ready = self.stream().poll_write_ready(cx);
            let sent = match ready {
                Poll::Ready(Ok(())) => self.stream().try_write(&unsent),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => {
                    self.tally().unsent = unsent;
                    return Poll::Pending;
                }
            };
            let count = match sent {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) if error_queue::is_echo(&error) => {
                    self.note_echo(&error);
                    0
                }
                Err(error) => {
                    let error = self.fail(Operation::Send, error);
                    let has_left = self.trouble().is_some_and(|trouble| trouble.ending() == Ending::Cut);
                    return Poll::Ready(if has_left { Ok(()) } else { Err(error) });
                }
            };
            if let Some(page) = self.page().filter(|_| count > 0) {
                page.sent(Layer::Tcp, &unsent[..count]);
            }
            let mut tally = self.tally();
            tally.unsent.extend_from_slice(&unsent[count..]);
        }
    }

    fn fail(&self, operation: Operation, error: io::Error) -> io::Error {
        if let Some(page) = self.page() {
            let errno = error.raw_os_error().unwrap_or(0);
            page.note(Layer::Tcp, Event::Failed(Trouble::Os { operation, errno }));
        }
        let again = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        self.tally().trouble.get_or_insert_with(|| os(operation)(error));
        again
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let is_kept = self.tally().is_kept;
        if !is_kept && let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        let room = self.room()?.min(buf.remaining());
        loop {
            ready!(self.stream().poll_read_ready(cx)).map_err(|error| self.fail(Operation::Receive, error))?;
            let free = &mut buf.initialize_unfilled()[..room];
            match self.stream().try_read(free) {
                Ok(count) => {
                    let noted = self.note(&free[..count]);
                    buf.advance(count);
                    return Poll::Ready(noted);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error_queue::is_echo(&error) => self.note_echo(&error),
                Err(error) => return Poll::Ready(Err(self.fail(Operation::Receive, error))),
            }
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.tally().unsent.len() >= UNSENT_LIMIT {
            ready!(self.poll_send(cx))?;
        }
        self.tally().unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tally().is_held { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Poll::Ready(SockRef::from(self.stream()).shutdown(std::net::Shutdown::Write))
    }
}
