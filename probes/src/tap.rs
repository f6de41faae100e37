//! One TCP connection as the protocols above it see it: its bytes counted against a budget, the first ones kept,
//! the first fault remembered. It knows no protocol.

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
    error_queue,
    evidence::{Operation, Trouble, os},
};

/// Bytes of the peer's first words that are kept: a status line with some headers, as much as evidence shows.
const HEAD_LIMIT: usize = 512;

/// A counted connection; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Tap(Arc<Line>);

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    tally: Mutex<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    received: usize,
    budget: usize,
    limit: &'static str,
    head: Vec<u8>,
    trouble: Option<Trouble>,
    echo: Option<i32>,
}

impl Tap {
    /// Wraps a connected stream; nothing may be read before [`Tap::allow`].
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Line { stream, tally: Mutex::default() }))
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
        let mut tally = self.tally();
        tally.received += bytes.len();
        let room = HEAD_LIMIT - tally.head.len();
        tally.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if tally.received > tally.budget {
            let limit = tally.limit;
            tally.trouble.get_or_insert(Trouble::TooMuch(limit));
            return Err(io::Error::other(limit));
        }
        Ok(())
    }

    fn fail(&self, operation: Operation, error: io::Error) -> io::Error {
        let again = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        self.tally().trouble.get_or_insert_with(|| os(operation)(error));
        again
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
        loop {
            ready!(self.stream().poll_write_ready(cx)).map_err(|error| self.fail(Operation::Send, error))?;
            match self.stream().try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error_queue::is_echo(&error) => self.note_echo(&error),
                Err(error) => return Poll::Ready(Err(self.fail(Operation::Send, error))),
                Ok(count) => return Poll::Ready(Ok(count)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.stream()).shutdown(std::net::Shutdown::Write))
    }
}
