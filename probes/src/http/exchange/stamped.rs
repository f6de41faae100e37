//! A stream that notes when the first byte of the answer came.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;

/// The moment of the first byte; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstByte(Arc<OnceLock<Instant>>);

impl FirstByte {
    /// The moment, once it has come.
    pub(super) fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

/// A stream under watch.
#[derive(Debug)]
pub(super) struct Stamped<S> {
    inner: S,
    first_byte: FirstByte,
}

impl<S> Stamped<S> {
    pub(super) fn new(inner: S, first_byte: FirstByte) -> Self {
        Self { inner, first_byte }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stamped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.first_byte.0.get_or_init(clock::now);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
