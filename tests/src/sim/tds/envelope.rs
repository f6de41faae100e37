//! TLS inside TDS packets: during the handshake of TDS 7.x every record travels in a packet of type 0x12; after it the
//! stream is plain TLS.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{HEADER, PRELOGIN};

/// A TCP stream whose bytes travel in packets until it is opened.
#[derive(Debug)]
pub(crate) struct Envelope {
    stream: TcpStream,
    open: Arc<AtomicBool>,
    /// The header of the packet that is being read, as far as it came.
    header: Vec<u8>,
    /// Bytes left in that packet.
    left: usize,
    /// Bytes of a packet that is being written.
    unsent: Vec<u8>,
}

/// Ends the wrapping.
#[derive(Debug)]
pub(crate) struct Opener(Arc<AtomicBool>);

impl Opener {
    /// From now on bytes travel as they are.
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Envelope {
    /// Wraps a stream.
    pub(crate) fn new(stream: TcpStream) -> (Self, Opener) {
        let open = Arc::new(AtomicBool::new(false));
        let opener = Opener(Arc::clone(&open));
        (Self { stream, open, header: Vec::new(), left: 0, unsent: Vec::new() }, opener)
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Reads up to the next packet's body; false at the end of the stream.
    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.left == 0 {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let Some(byte) = buffer.filled().first().copied() else { return Poll::Ready(Ok(false)) };
            self.header.push(byte);
            if self.header.len() == HEADER {
                let length = usize::from(u16::from_be_bytes([self.header[2], self.header[3]]));
                self.left = length.saturating_sub(HEADER);
                self.header.clear();
            }
        }
        Poll::Ready(Ok(true))
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            self.unsent.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Envelope {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_open() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        if !ready!(self.poll_header(cx))? {
            return Poll::Ready(Ok(()));
        }
        let limit = self.left.min(buffer.remaining());
        let mut part = buffer.take(limit);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        self.left -= read;
        let filled = buffer.filled().len() + read;
        buffer.set_filled(filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Envelope {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(cx))?;
        if self.is_open() {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        let part = &bytes[..bytes.len().min(4096 - HEADER)];
        self.unsent = super::packet(PRELOGIN, part);
        drop(self.poll_unsent(cx));
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
