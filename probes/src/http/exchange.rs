//! One request and its answer over one connection, inside the limits that no peer can exceed.

use std::{
    error::Error as _,
    future::poll_fn,
    net::Ipv6Addr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, Response, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

use super::{Answer, BODY_START_LIMIT, Proof, Question, Reply, Scheme, crl, redirect::LOCATION_LIMIT};
use crate::{
    clock,
    evidence::{Escaped, Trouble},
    http::exchange::stamped::{FirstByte, Stamped},
    progress::Progress,
    tap::Tap,
    tls::{Application, Client, Handshake, Trust, Verify, server_name},
    verdict::Phase,
};

mod stamped;

/// Bytes that a peer may send after the handshake, whatever they are: four times the longest body that is searched, for
/// what HTTP/2 has under way when we stop reading.
const BUDGET: usize = 256 * 1024;
/// Bytes of a status line with all its headers: two lines of the length that Apache and nginx take at most (8 KiB).
const HEAD_LIMIT: usize = 16 * 1024;
/// Headers in one answer: what Apache and hyper allow by default.
const HEADER_LIMIT: usize = 100;
/// Interim answers (1xx) before the final one: honest servers send one or two (RFC 9110 section 15.2, RFC 8297).
const INTERIM_LIMIT: usize = 5;
/// Bytes of a body that is only evidence: 512 are kept; a short page is read to its end, so that closing resets nothing.
const BODY_LIMIT: usize = 4 * 1024;
/// Bytes of a body that is searched for a text: the pages that connectivity checks ask for have a few dozen.
const SEARCH_LIMIT: usize = 64 * 1024;
/// Characters of the Server header that are kept: one line of a report.
const SERVER_LIMIT: usize = 128;
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
        let (scheme, usual_port) = match question.scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https(_) => ("https", 443),
        };
        let security = match question.scheme {
            Scheme::Http => None,
            Scheme::Https(verify) => Some((server_name(&question.host)?, verify)),
        };
        let host = match question.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => question.host.clone(),
        };
        let authority = if question.port == usual_port { host } else { format!("{host}:{}", question.port) };
        let uri = format!("{scheme}://{authority}{}", question.path);
        let uri = uri.parse().map_err(|_| "host and path must form a URI")?;
        Ok(Self { question, authority, uri, security })
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
            tap.allow(self.budget(), "256 KiB in all");
            return self.http1(tap.clone(), tap, progress, &mut reply.answer).await;
        };
        let record = reply.tls.insert(Handshake::default());
        let client = Client { trust, name, application: Application::Web, verify: *verify };
        let stream = client.handshake(tap.clone(), tap, record).await?;
        progress.enter(Phase::Request);
        tap.allow(self.budget(), "256 KiB in all");
        if record.alpn.as_deref() == Some("h2") {
            self.http2(stream, tap, progress, &mut reply.answer).await
        } else {
            self.http1(stream, tap, progress, &mut reply.answer).await
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        tap: &Tap,
        progress: &mut Progress<'_>,
        answer: &mut Option<Answer>,
    ) -> Result<(), Trouble> {
        let first_byte = FirstByte::default();
        let stream = TokioIo::new(Stamped::new(stream, first_byte.clone()));
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(HEADER_LIMIT)
            .max_buf_size(HEAD_LIMIT)
            .handshake(stream)
            .await
            .map_err(|error| trouble(&error, tap))?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = self.outgoing(path, &[(header::HOST, &self.authority), (header::CONNECTION, "close")])?;
        let interim = count_interim(&mut request, tap);
        let connection = pin!(connection);
        let mut line = Driven::new(connection);
        let mut response = pin!(sender.send_request(request));
        let result = poll_fn(|cx| {
            let step = line.poll(response.as_mut(), cx);
            if let Some(at) = first_byte.at()
                && progress.phase() == Phase::Request
            {
                progress.enter_at(Phase::Response, at);
            }
            step
        });
        let response = result.await.map_err(|error| trouble(&error, tap))?;
        check_interim(&interim)?;
        if response.headers().contains_key(header::TRANSFER_ENCODING)
            && response.headers().contains_key(header::CONTENT_LENGTH)
        {
            return Err(Trouble::Malformed("both Transfer-Encoding and Content-Length"));
        }
        self.read(response, line, tap, answer).await
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        tap: &Tap,
        progress: &mut Progress<'_>,
        answer: &mut Option<Answer>,
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
        let response = poll_fn(|cx| line.poll(response.as_mut(), cx)).await.map_err(|error| trouble(&error, tap))?;
        progress.enter(Phase::Response);
        if response.headers().len() > HEADER_LIMIT {
            return Err(Trouble::TooMuch("100 headers"));
        }
        self.read(response, line, tap, answer).await
    }

    fn outgoing<U>(&self, uri: U, more: &[(HeaderName, &str)]) -> Result<Outgoing, Trouble>
    where
        Uri: TryFrom<U>,
        <Uri as TryFrom<U>>::Error: Into<http::Error>,
    {
        let mut request = http::Request::get(uri).header(header::USER_AGENT, USER_AGENT).header(header::ACCEPT, "*/*");
        for (name, value) in more {
            request = request.header(name, *value);
        }
        request.body(Empty::new()).map_err(|_| Trouble::Malformed("the request's own host or path"))
    }

    async fn read<C: Future>(
        &self,
        response: Response<Incoming>,
        mut line: Driven<'_, C>,
        tap: &Tap,
        answer: &mut Option<Answer>,
    ) -> Result<(), Trouble> {
        let (head, mut body) = response.into_parts();
        let answer = answer.insert(Answer {
            status: head.status.as_u16(),
            version: version(head.version),
            server: text(&head.headers, header::SERVER, SERVER_LIMIT),
            location: location(&head.headers),
            clock_offset: clock_offset(&head.headers, clock::wall()),
            ..Answer::default()
        });
        let proof = if head.status.is_success() { &self.question.proof } else { &Proof::AnyResponse };
        let limit = body_limit(proof);
        let mut kept = Vec::new();
        while answer.body_len <= limit {
            let mut frame = pin!(body.frame());
            let Some(frame) = poll_fn(|cx| line.poll(frame.as_mut(), cx)).await else { break };
            let frame = frame.map_err(|error| trouble(&error, tap))?;
            let Some(data) = frame.data_ref() else { continue };
            answer.body_len += data.len();
            let room = BODY_START_LIMIT - answer.body_start.len();
            answer.body_start.extend_from_slice(&data[..data.len().min(room)]);
            if limit > BODY_LIMIT {
                kept.extend_from_slice(&data[..data.len().min((limit + 1).saturating_sub(kept.len()))]);
            }
        }
        examine(proof, &kept, answer);
        Ok(())
    }

    fn budget(&self) -> usize {
        BUDGET + if self.question.proof == Proof::Crl { crl::LIMIT } else { 0 }
    }
}

fn body_limit(proof: &Proof) -> usize {
    match proof {
        Proof::AnyResponse | Proof::Status(_) => BODY_LIMIT,
        Proof::Contains(_) => SEARCH_LIMIT,
        Proof::Crl => crl::LIMIT,
    }
}

fn examine(proof: &Proof, body: &[u8], answer: &mut Answer) {
    match proof {
        Proof::AnyResponse | Proof::Status(_) => {}
        Proof::Contains(text) => {
            answer.contains = text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes());
        }
        Proof::Crl => answer.crl = crl::parse(body, clock::wall()),
    }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP",
    }
}

fn text(headers: &HeaderMap, name: HeaderName, limit: usize) -> Option<String> {
    let value = headers.get(name)?.as_bytes();
    Some(Escaped(&value[..value.len().min(limit)]).to_string())
}

fn location(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::LOCATION)?.as_bytes();
    Some(value.iter().take(LOCATION_LIMIT).map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect())
}

/// The date of the answer (RFC 9110 section 6.6.1) minus our wall clock, in seconds.
fn clock_offset(headers: &HeaderMap, wall: Duration) -> Option<f64> {
    if headers.get(header::AGE).is_some_and(|age| age.as_bytes() != b"0") {
        return None;
    }
    let date = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    let date = date.duration_since(UNIX_EPOCH).ok()?;
    Some(date.as_secs_f64() - wall.as_secs_f64())
}

/// Counts the interim answers, and cuts the connection when a peer sends nothing else.
fn count_interim(request: &mut Outgoing, tap: &Tap) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, tap) = (Arc::clone(&count), tap.clone());
    hyper::ext::on_informational(request, move |_| {
        if counted.fetch_add(1, Ordering::Relaxed) >= INTERIM_LIMIT {
            tap.refuse(Trouble::TooMuch(INTERIM_RULE));
        }
    });
    count
}

const INTERIM_RULE: &str = "5 interim answers";

fn check_interim(count: &AtomicUsize) -> Result<(), Trouble> {
    if count.load(Ordering::Relaxed) > INTERIM_LIMIT { Err(Trouble::TooMuch(INTERIM_RULE)) } else { Ok(()) }
}

/// Says what ended an exchange: the connection's own fault where it has one, else the broken protocol.
fn trouble(error: &hyper::Error, tap: &Tap) -> Trouble {
    if let Some(trouble) = tap.trouble() {
        return trouble;
    }
    if error.is_parse() {
        return Trouble::Malformed("the head is not HTTP/1, or longer than 16 KiB or 100 headers");
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let ended = io.is_some_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof);
    if ended || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Trouble::Closed
    } else {
        Trouble::Malformed("the HTTP exchange is out of order")
    }
}

/// A connection that makes progress only while someone waits for something on it.
struct Driven<'a, C> {
    connection: Option<Pin<&'a mut C>>,
}

impl<'a, C: Future> Driven<'a, C> {
    fn new(connection: Pin<&'a mut C>) -> Self {
        Self { connection: Some(connection) }
    }

    fn poll<F: Future>(&mut self, mut work: Pin<&mut F>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(cx).is_ready()
        {
            self.connection = None;
        }
        work.poll(cx)
    }
}

/// The tasks of one HTTP/2 connection, which end with it.
#[derive(Default)]
struct Tasks(Spawner);

#[derive(Clone, Default)]
struct Spawner(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn spawner(&self) -> Spawner {
        self.0.clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async {
            work.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_date_is_compared_with_our_clock_unless_a_cache_kept_it() {
        let wall = Duration::from_millis(1_764_000_000_500);
        let date = "Mon, 24 Nov 2025 16:00:02 GMT";
        type Pairs<'a> = &'a [(HeaderName, &'a str)];
        let rows: [(Pairs, Option<f64>); 6] = [
            (&[(header::DATE, date)], Some(1.5)),
            (&[(header::DATE, "Monday, 24-Nov-25 16:00:02 GMT")], Some(1.5)),
            (&[(header::DATE, date), (header::AGE, "0")], Some(1.5)),
            (&[(header::DATE, date), (header::AGE, "60")], None),
            (&[(header::DATE, "yesterday")], None),
            (&[], None),
        ];
        for (pairs, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("visible"));
            }
            assert_eq!(clock_offset(&headers, wall), expected, "{pairs:?}");
        }
    }
}
