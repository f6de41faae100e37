//! The stream inside TLS. An alert that comes after the handshake is told to the connection, whoever reads then.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::{journal::Layer, tap::Tap};

/// A stream whose handshake is done.
#[derive(Debug)]
pub(crate) struct Secured<S> {
    stream: TlsStream<S>,
    tap: Tap,
}

impl<S> Secured<S> {
    pub(super) fn new(stream: TlsStream<S>, tap: Tap) -> Self {
        Self { stream, tap }
    }

    /// In TLS 1.3 a server looks at the client's flight, and refuses it, when the client is done already.
    fn hear<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result
            && let Some(rustls::Error::AlertReceived(alert)) = error.get_ref().and_then(|inner| inner.downcast_ref())
        {
            self.tap.hear_alert(u8::from(*alert));
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(page) = self.tap.page()
            && let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty())
        {
            page.received(Layer::Tls, bytes);
        }
        self.hear(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let (Some(page), Poll::Ready(Ok(count))) = (self.tap.page(), &result) {
            page.sent(Layer::Tls, &bytes[..*count]);
        }
        self.hear(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.hear(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
