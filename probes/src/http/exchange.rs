//! One request and its answer over one connection, inside the limits that no peer can exceed.

use std::{error::Error as _, future::poll_fn, pin::pin};

use http::{HeaderName, Uri, header};
use http_body_util::Empty;
use hyper::{
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use self::{
    driven::{Driven, Tasks},
    reading::{SEARCH_LIMIT, read},
    watched::{Watch, Watched},
};
use super::{Proof, Question, Reply, Scheme, crl};
use crate::{
    evidence::{Operation, Trouble},
    kernel,
    progress::Progress,
    tap::Tap,
    tls::{Application, Client, Handshake, Trust, Verify, server_name},
    verdict::Phase,
};

mod driven;
mod reading;
mod watched;

/// Bytes of a head with everything that comes before it, interim answers too (RFC 9110 section 15.2): as much as browsers
/// take.
const HEAD_LIMIT: usize = 256 * 1024;
const HEAD_RULE: &str = "256 KiB before its body";
/// Headers in one answer: as many as curl takes.
const HEADER_LIMIT: usize = 5000;
const HEADER_RULE: &str = "5000 headers";
/// Bytes that a peer may send from its body on, whatever they are: four times the longest body that is searched, for what
/// HTTP/2 has under way when we stop reading.
const BODY_BUDGET: usize = 256 * 1024;
/// What the agent calls itself.
const USER_AGENT: &str = concat!("ase-agent/", env!("CARGO_PKG_VERSION"));

/// A question that can be put on the wire.
pub(super) struct Request<'a> {
    question: &'a Question,
    authority: String,
    uri: Uri,
    security: Option<(ServerName<'static>, Verify)>,
}

type Outgoing = http::Request<Empty<Bytes>>;

impl<'a> Request<'a> {
    /// Checks that the question can be asked at all.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn new(question: &'a Question) -> Result<Self, &'static str> {
        let security = match question.scheme {
            Scheme::Http => None,
            Scheme::Https(verify) => Some((server_name(&question.host)?, verify)),
        };
        let uri = question.url().parse().map_err(|_| "host and path must form a URI")?;
        Ok(Self { question, authority: question.authority(), uri, security })
    }

    /// Asks and reads the answer; what was seen stays in `reply` however it ends.
    pub(super) async fn run(
        &self,
        trust: &Trust,
        tap: &Tap,
        progress: &mut Progress<'_>,
        reply: &mut Reply,
    ) -> Result<(), Trouble> {
        let Some((name, verify)) = &self.security else {
            tap.allow(HEAD_LIMIT, HEAD_RULE);
            return self.http1(tap.clone(), tap, progress, reply).await;
        };
        let record = reply.tls.insert(Handshake::default());
        let application = if self.question.session.http1_only { Application::Http1 } else { Application::Web };
        let client = Client { trust, name, application, verify: *verify };
        let stream = client.handshake(tap.clone(), tap, record).await?;
        progress.enter(Phase::Request);
        tap.allow(HEAD_LIMIT, HEAD_RULE);
        if record.alpn.as_deref() == Some("h2") {
            self.http2(stream, tap, progress, reply).await
        } else {
            // hyper looks whether anything has come before it asks.
            tap.keep(true);
            self.http1(stream, tap, progress, reply).await
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        tap: &Tap,
        progress: &mut Progress<'_>,
        reply: &mut Reply,
    ) -> Result<(), Trouble> {
        let watch = Watch::new(tap);
        let (mut sender, connection) = lenient(http1::Builder::new())
            .handshake(TokioIo::new(Watched::new(stream, watch.clone())))
            .await
            .map_err(|error| trouble(&error, tap))?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = self.outgoing(path, &[(header::HOST, &self.authority), (header::CONNECTION, "close")])?;
        let interim = watch.clone();
        hyper::ext::on_informational(&mut request, move |_| interim.begin_anew());
        let acknowledged = acknowledged(tap);
        let connection = pin!(connection);
        let mut line = Driven::new(connection);
        let mut response = pin!(sender.send_request(request));
        let result = poll_fn(|cx| {
            let step = line.poll(response.as_mut(), cx);
            if let Some(at) = watch.first_byte()
                && progress.phase() == Phase::Request
            {
                // An answer carries the acknowledgement of what it answers.
                watch.spoke_first_if(acknowledged.is_some() && acknowledged == self::acknowledged(tap));
                progress.enter_at(Phase::Response, at);
            }
            step
        });
        let result = result.await;
        if watch.spoke_first() {
            return Err(Trouble::Malformed("the peer speaks before it is asked"));
        }
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                let trouble = watch.too_long(&error).unwrap_or_else(|| trouble(&error, tap));
                reply.answer = watch.status_line().filter(|_| matches!(trouble, Trouble::TooMuch(_)));
                return Err(trouble);
            }
        };
        check_head(&response)?;
        watch.leave_head();
        tap.allow(self.body_budget(), "256 KiB of body");
        read(response, line, (&self.question.proof, tap), &mut reply.answer).await
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        tap: &Tap,
        progress: &mut Progress<'_>,
        reply: &mut Reply,
    ) -> Result<(), Trouble> {
        let tasks = Tasks::default();
        let (mut sender, connection) = http2::Builder::new(tasks.spawner())
            .max_header_list_size(HEAD_LIMIT as u32)
            .initial_stream_window_size(SEARCH_LIMIT as u32)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| trouble(&error, tap))?;
        let request = self.outgoing(self.uri.clone(), &[])?;
        let connection = pin!(connection);
        let mut line = Driven::new(connection);
        let mut response = pin!(sender.send_request(request));
        let response = poll_fn(|cx| line.poll(response.as_mut(), cx)).await.map_err(|error| {
            reply.wants_http1 = reason(&error) == Some(h2::Reason::HTTP_1_1_REQUIRED);
            trouble(&error, tap)
        })?;
        progress.enter(Phase::Response);
        check_head(&response)?;
        tap.allow(self.body_budget(), "256 KiB of body");
        read(response, line, (&self.question.proof, tap), &mut reply.answer).await
    }

    fn outgoing<U>(&self, uri: U, more: &[(HeaderName, &str)]) -> Result<Outgoing, Trouble>
    where
        Uri: TryFrom<U>,
        <Uri as TryFrom<U>>::Error: Into<http::Error>,
    {
        // Without a word about codings every one of them is acceptable (RFC 9110 section 12.5.3).
        let mut request = http::Request::get(uri)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "*/*")
            .header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in more {
            request = request.header(name, *value);
        }
        if let Some(cookies) = self.question.session.cookie_header(self.question) {
            request = request.header(header::COOKIE, cookies);
        }
        request.body(Empty::new()).map_err(|_| Trouble::Malformed("the request's own host or path"))
    }

    fn body_budget(&self) -> usize {
        // Of a fast peer hyper has read two buffers more than anybody took.
        BODY_BUDGET + if self.question.proof == Proof::Crl { crl::LIMIT + 2 * HEAD_LIMIT } else { 0 }
    }
}

/// Reads heads as ordinary clients do: folded lines are joined (RFC 9112 section 5.2), blanks before a colon are passed
/// over, and a line that is no header spoils none of the others.
fn lenient(mut builder: http1::Builder) -> http1::Builder {
    builder
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(HEADER_LIMIT)
        .max_buf_size(HEAD_LIMIT);
    builder
}

/// Bytes that the peer has acknowledged.
fn acknowledged(tap: &Tap) -> Option<u64> {
    kernel::tcp_info(tap.stream()).map(|info| info.bytes_acked)
}

/// The rules that no answer to this request may break, whatever is in it.
fn check_head<B>(response: &http::Response<B>) -> Result<(), Trouble> {
    let has = |name| response.headers().contains_key(name);
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(Trouble::Malformed("it switches protocols (101), which nobody asked for (RFC 9110 section 7.8)"));
    }
    if has(header::TRANSFER_ENCODING) && has(header::CONTENT_LENGTH) {
        return Err(Trouble::Malformed("both Transfer-Encoding and Content-Length"));
    }
    Ok(())
}

/// The reason that an HTTP/2 peer gave for its end.
fn reason(error: &hyper::Error) -> Option<h2::Reason> {
    error.source()?.downcast_ref::<h2::Error>()?.reason()
}

/// Says what ended an exchange: the connection's own fault where it has one, else the broken protocol.
fn trouble(error: &hyper::Error, tap: &Tap) -> Trouble {
    // Who talks nonsense and leaves is known by the nonsense; that nothing can be sent any more only follows from it.
    let is_nonsense = error.is_parse() || reason(error).is_some();
    match tap.trouble() {
        Some(Trouble::Os { operation: Operation::Send, .. }) if is_nonsense => {}
        Some(trouble) => return trouble,
        None => {}
    }
    if error.is_parse() {
        return Trouble::Malformed("the head is not HTTP/1");
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let ended = io.is_some_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof);
    if ended || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Trouble::Closed;
    }
    match reason(error) {
        Some(h2::Reason::HTTP_1_1_REQUIRED) => Trouble::Malformed("the peer wants HTTP/1.1 for this question"),
        Some(_) | None => Trouble::Malformed("the HTTP exchange is out of order"),
    }
}
