//! A stream under watch until the head of the answer is there: when its first byte came, whether that was before the
//! question, how it starts, and whether it drips.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{HEAD_LIMIT, HEAD_RULE, HEADER_LIMIT, HEADER_RULE};
use crate::{clock, evidence::Trouble, http::Answer, pace::Pace, tap::Tap};

/// Bytes of the start that are kept: version and status (RFC 9112 section 4).
const START: usize = 12;

/// What is seen; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    tap: Tap,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    has_asked: bool,
    spoke_first: bool,
    is_past_head: bool,
    first_byte: Option<Instant>,
    start: Vec<u8>,
    bytes: usize,
    lines: usize,
    pace: Pace,
}

impl Watch {
    pub(super) fn new(tap: &Tap) -> Self {
        Self { tap: tap.clone(), seen: Arc::default() }
    }

    /// The moment of the first byte, once it has come.
    pub(super) fn first_byte(&self) -> Option<Instant> {
        self.seen().first_byte
    }

    /// Whether the peer spoke before it could have heard a question.
    pub(super) fn spoke_first(&self) -> bool {
        self.seen().spoke_first
    }

    /// Takes in whether the peer sent its first bytes before it had the question.
    pub(super) fn spoke_first_if(&self, is_early: bool) {
        self.seen().spoke_first |= is_early;
    }

    /// An interim answer has come whole: the next one may take its time, and none of them is the answer.
    pub(super) fn begin_anew(&self) {
        let mut seen = self.seen();
        (seen.pace, seen.lines) = (Pace::default(), 0);
        seen.start.clear();
    }

    /// The head is there; the body is watched by whoever reads it.
    pub(super) fn leave_head(&self) {
        self.seen().is_past_head = true;
    }

    /// The limit that a head broke, if it was one.
    pub(super) fn too_long(&self, error: &hyper::Error) -> Option<Trouble> {
        let (bytes, lines) = {
            let seen = self.seen();
            (seen.bytes, seen.lines)
        };
        let rule = if bytes >= HEAD_LIMIT { Some(HEAD_RULE) } else { (lines > HEADER_LIMIT).then_some(HEADER_RULE) };
        rule.filter(|_| error.is_parse() && self.tap.trouble().is_none()).map(Trouble::TooMuch)
    }

    /// The answer as far as its status line tells.
    pub(super) fn status_line(&self) -> Option<Answer> {
        Answer::of_status_line(&self.seen().start)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, bytes: &[u8]) -> Result<(), Trouble> {
        let mut seen = self.seen();
        if seen.is_past_head {
            return Ok(());
        }
        let now = clock::now();
        if seen.first_byte.is_none() {
            seen.first_byte = Some(now);
            seen.spoke_first = !seen.has_asked;
        }
        let room = START - seen.start.len();
        seen.start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        seen.bytes += bytes.len();
        seen.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        seen.pace.note(bytes.len(), now)
    }
}

/// A stream under watch.
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, watch: Watch) -> Self {
        Self { inner, watch }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(cx, buf);
        if buf.filled().len() > before
            && let Err(trouble) = this.watch.hear(&buf.filled()[before..])
        {
            this.watch.tap.refuse(trouble);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch.seen().has_asked = true;
        this.watch.tap.keep(false);
        Pin::new(&mut this.inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
