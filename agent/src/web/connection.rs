//! The bytes of one connection: it notes what its client is about, and gives up a client that does not take its answer in
//! time. It knows neither HTTP nor pages.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use ase_probes::clock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep_until},
};

use super::crowd::{Crowd, Doing, Number};

/// How long a client may take for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without taking a byte.
    pub stall: Duration,
    /// For the whole answer.
    pub whole: Duration,
}

/// A guest of the crowd, for as long as this lives.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(super) crowd: Arc<Mutex<Crowd>>,
    pub(super) number: Number,
}

impl Ticket {
    /// Notes what the connection is about now.
    pub fn note(&self, doing: Doing) {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner).note(self.number, doing, clock::now());
    }
}

/// A connection's bytes.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    ticket: Ticket,
    patience: Patience,
    /// When the client got the first byte of its answer; `None` while there is none.
    began: Option<Instant>,
    /// When it is given up, while the kernel takes no more.
    until: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    /// Watches a stream.
    pub fn new(stream: TcpStream, ticket: Ticket, patience: Patience) -> Self {
        Self { stream, ticket, patience, began: None, until: None }
    }

    fn begin(&mut self) {
        if self.began.is_none() {
            self.began = Some(clock::now());
            self.ticket.note(Doing::Taking);
        }
    }

    /// What the kernel said to a write: taken, or the client is given up once its time is over.
    fn waited<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let whole = self.began.map(|began| began + self.patience.whole);
        let stall = clock::now() + self.patience.stall;
        let until = whole.map_or(stall, |whole| whole.min(stall));
        let sleep = self.until.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.begin();
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waited(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begin();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.waited(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        // What is not copied into one piece is shared by all who take it.
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.began.take().is_some() {
            self.ticket.note(Doing::Waiting);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
