//! TLS records inside TDS packets: how TDS 7.x shakes hands (MS-TDS 3.2.5.1). The stream ends with the handshake.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::{END_OF_MESSAGE, HEADER, PAYLOAD_LIMIT, TYPE_PRELOGIN, TYPE_REPLY, payload_len};
use crate::{evidence::Trouble, tap::Tap};

/// A stream whose writes leave as TDS packets at each flush, and whose reads are the payloads of packets.
#[derive(Debug)]
pub(crate) struct Envelope {
    tap: Tap,
    header: [u8; HEADER],
    header_len: usize,
    payload_left: usize,
    unsent: Vec<u8>,
    packets: Vec<u8>,
}

impl Envelope {
    /// Wraps a connection whose PRELOGIN is done.
    pub(crate) fn new(tap: Tap) -> Self {
        Self { tap, header: [0; HEADER], header_len: 0, payload_left: 0, unsent: Vec::new(), packets: Vec::new() }
    }

    /// Reads headers until one announces a payload; false at the end of the stream.
    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.payload_left == 0 {
            let mut buf = ReadBuf::new(&mut self.header[self.header_len..]);
            ready!(Pin::new(&mut self.tap).poll_read(cx, &mut buf))?;
            let count = buf.filled().len();
            if count == 0 {
                return Poll::Ready(Ok(false));
            }
            self.header_len += count;
            if self.header_len == HEADER {
                self.header_len = 0;
                self.payload_left = self.announced()?;
            }
        }
        Poll::Ready(Ok(true))
    }

    fn announced(&self) -> io::Result<usize> {
        let kind = self.header[0];
        let payload = if kind == TYPE_PRELOGIN || kind == TYPE_REPLY {
            payload_len(self.header)
        } else {
            Err(Trouble::Malformed("a TLS record outside its TDS packet"))
        };
        payload.map_err(|trouble| {
            let error = io::Error::other(trouble.to_string());
            self.tap.refuse(trouble);
            error
        })
    }

    fn seal(&mut self) {
        let count = self.unsent.chunks(PAYLOAD_LIMIT - HEADER).len();
        for (index, payload) in self.unsent.chunks(PAYLOAD_LIMIT - HEADER).enumerate() {
            let status = if index + 1 == count { END_OF_MESSAGE } else { 0 };
            let [high, low] = ((HEADER + payload.len()) as u16).to_be_bytes();
            self.packets.extend_from_slice(&[TYPE_PRELOGIN, status, high, low, 0, 0, 1, 0]);
            self.packets.extend_from_slice(payload);
        }
        self.unsent.clear();
    }
}

impl AsyncRead for Envelope {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !ready!(this.poll_header(cx))? {
            return Poll::Ready(Ok(()));
        }
        let room = this.payload_left.min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.tap).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        this.payload_left -= count;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Envelope {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.seal();
        while !this.packets.is_empty() {
            let count = ready!(Pin::new(&mut this.tap).poll_write(cx, &this.packets))?;
            this.packets.drain(..count);
        }
        Pin::new(&mut this.tap).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tap).poll_shutdown(cx)
    }
}
