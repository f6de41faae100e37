//! Entry point of the fuzz target for what web clients send (`tests/fuzz`), and what must hold for any bytes.
//! Not part of the library: it exists for fuzzing and for the tests that replay the seeds.

use std::{convert::Infallible, net::IpAddr};

use axum::http::{Response, StatusCode, header};
use http_body_util::Full;
use hyper::{Request, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    runtime::Builder,
};

use super::{accepting::HEAD_LIMIT, coding, permission};

/// Bytes that either side of a connection may hold; no answer here is longer.
const ROOM: usize = 1 << 20;

/// Any bytes as requests: each is answered as HTTP or not at all, and nobody far away, nor a page of another site, may
/// change anything.
pub fn head(bytes: &[u8]) {
    let runtime = Builder::new_current_thread().build().expect("a runtime without sockets");
    let answer = runtime.block_on(async {
        let (mut client, server) = duplex(ROOM);
        let sent = client.write_all(&bytes[..bytes.len().min(ROOM)]).await;
        drop(sent.and(client.shutdown().await));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_LIMIT);
        // A request that breaks the rules ends the connection.
        drop(builder.serve_connection(TokioIo::new(server), service_fn(answer)).await);
        let mut answer = Vec::new();
        drop(client.read_to_end(&mut answer).await);
        answer
    });
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (uri, asked) = (request.uri(), request.headers());
    let may = |peer: [u8; 4]| permission::to_change(IpAddr::from(peer), uri, asked, &[]).is_ok();
    assert!(!may([203, 0, 113, 9]), "nobody far away");
    let is_foreign = |origin: &[u8]| !origin.starts_with(b"http://");
    if asked.get_all(header::ORIGIN).iter().any(|origin| is_foreign(origin.as_bytes())) {
        assert!(!may([127, 0, 0, 1]), "no page of another site");
    }
    let status = if coding::takes_gzip(asked) { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = Response::new(Full::new(Bytes::from_static(b"x")));
    *response.status_mut() = status;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::replay;

    #[test]
    fn every_seed_keeps_what_must_hold_for_any_bytes() {
        replay::seeds("head", super::head);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_as_http_or_not_at_all(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            name in "(host|origin|sec-fetch-site|accept-encoding|content-length)", value in "[ -~]{0,40}",
        ) {
            super::head(&bytes);
            super::head(format!("POST /-/reload HTTP/1.1\r\nhost: localhost\r\n{name}: {value}\r\n\r\n").as_bytes());
        }
    }
}
