//! The HTTP and HTTPS probe: one request over one fresh connection, with the proof that the endpoint's row asks for.
//! It follows no redirect; whoever does builds the next question with [`redirect_target`].

mod crl;
mod exchange;
mod redirect;

use std::net::IpAddr;

pub use self::redirect::redirect_target;
use crate::{
    attempt::Attempt,
    cause::Cause,
    evidence::{Escaped, Stop, Trouble},
    progress::Progress,
    seen::{Exchange, Seen, Trace},
    stream,
    tap::Tap,
    tls::{self, Handshake, Trust, Utc, Verify},
    transport,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// Bytes of the body that are kept as evidence: Azure Firewall says why it denies in 70 to 165 bytes, and a page of a
/// proxy names itself in its title.
const BODY_START_LIMIT: usize = 512;
/// The status Azure Firewall gives to a request that its application rules deny.
const AZURE_FIREWALL_DENY: u16 = 470;
/// The authentication demand of a proxy (RFC 9110 section 15.5.8).
const PROXY_AUTHENTICATION: u16 = 407;
/// The answer of a captive portal (RFC 6585 section 6).
const NETWORK_AUTHENTICATION: u16 = 511;

/// Whether TLS comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, HTTP/2 where the peer offers it.
    Https(Verify),
}

/// What proves the peer, beyond a well-formed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Any well-formed answer; over TLS the certificate is the proof.
    AnyResponse,
    /// One of these status codes.
    Status(Vec<u16>),
    /// A 2xx answer whose body contains this text.
    Contains(String),
    /// A 2xx answer whose body is a certificate revocation list in DER (RFC 5280 section 5).
    Crl,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whether TLS comes first.
    pub scheme: Scheme,
    /// The host for SNI and the Host header.
    pub host: String,
    /// The port, for the Host header.
    pub port: u16,
    /// Path and query, starting with a slash.
    pub path: String,
    /// What proves the peer.
    pub proof: Proof,
}

/// Everything an HTTP exchange showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The TLS handshake, as far as it got.
    pub tls: Option<Handshake>,
    /// The answer; `None` if none came.
    pub answer: Option<Answer>,
}

/// The answer's head, and what its body proved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The protocol version, for example `HTTP/1.1`.
    pub version: &'static str,
    /// The Server header, escaped and cut.
    pub server: Option<String>,
    /// The Location header of a redirect, cut at 2048 characters.
    pub location: Option<String>,
    /// The peer's `Date` minus our wall clock when the head came, in seconds. It is cut to whole seconds, so that a
    /// right clock shows 0 to -1. `None` without a readable date, and for what a cache kept (`Age`).
    pub clock_offset: Option<f64>,
    /// Bytes of the body that were read.
    pub body_len: usize,
    /// The start of the body, at most 512 bytes.
    pub body_start: Vec<u8>,
    /// The revocation list, where one was asked for and came.
    pub crl: Option<Crl>,
    /// Whether the body holds the text that was asked for.
    pub contains: bool,
}

/// What is kept of a certificate revocation list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crl {
    /// The issuer, escaped.
    pub issuer: String,
    /// When the list was made, seconds since the Unix epoch.
    pub this_update: i64,
    /// When the next list is due, seconds since the Unix epoch.
    pub next_update: Option<i64>,
    /// How many certificates it revokes.
    pub revoked: usize,
    /// Whether the next list was already due when this one came.
    pub overdue: bool,
}

impl Question {
    /// Makes one attempt; a certificate is verified against `trust`.
    pub async fn run(&self, attempt: &Attempt<'_>, trust: &Trust) -> Exchange<Reply> {
        let (mut trace, mut reply) = (Trace::default(), Reply::default());
        trace.seen.stop = self.ask(attempt, trust, &mut trace, &mut reply).await.err();
        let certificate = reply.tls.as_ref().and_then(|tls| tls::judge(tls, trust));
        let verdict = self.judge(attempt.address.ip(), &trace.seen, &reply, certificate);
        trace.conclude(attempt.address, verdict, reply)
    }

    async fn ask(
        &self,
        attempt: &Attempt<'_>,
        trust: &Trust,
        trace: &mut Trace,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let request = exchange::Request::new(self).map_err(Stop::unasked)?;
        let tap = Tap::new(stream::connect(attempt, trace).await?);
        let mut progress = Progress::begin(self.first_phase(), &mut trace.phases);
        let result = attempt.deadline.bound(request.run(trust, &tap, &mut progress, reply)).await;
        let result = progress.end(result);
        reply.hear_without_tls(&tap);
        stream::finish(&tap, result.is_err(), &mut trace.seen);
        result
    }

    fn first_phase(&self) -> Phase {
        match self.scheme {
            Scheme::Http => Phase::Request,
            Scheme::Https(_) => Phase::Tls,
        }
    }

    /// Says what the exchange means: block pages first, whoever sent them, then the certificate, the connection and
    /// at last the proof.
    fn judge(&self, peer: IpAddr, seen: &Seen, reply: &Reply, certificate: Option<Finding>) -> Verdict {
        if reply.answer.as_ref().is_some_and(Answer::is_block_page) {
            let phase = seen.stop.as_ref().map_or(Phase::Response, |stop| stop.phase);
            return Finding::new(Cause::HttpBlocked, phase, Confidence::Confirmed).failed();
        }
        if let Some(finding) = certificate {
            return finding.failed();
        }
        let proved = match &reply.answer {
            Some(answer) => self.prove(answer),
            None => Verdict::Healthy,
        };
        match (&seen.stop, proved) {
            (None, proved) => proved,
            (Some(stop), Verdict::Healthy | Verdict::Degraded(_)) if self.is_proved_by_head(reply, stop) => {
                Verdict::Degraded(cut_short(stop, reply, seen, peer))
            }
            (Some(stop), _) => cut_short(stop, reply, seen, peer).failed(),
        }
    }

    /// Whether the status line alone is what the row asks for, and came before the exchange was cut.
    fn is_proved_by_head(&self, reply: &Reply, stop: &Stop) -> bool {
        let head_is_enough = match self.proof {
            Proof::AnyResponse | Proof::Status(_) => true,
            Proof::Contains(_) | Proof::Crl => false,
        };
        let broken = matches!(stop.trouble, Trouble::Malformed(_) | Trouble::TooMuch(_));
        head_is_enough && !broken && stop.phase == Phase::Response && reply.answer.is_some()
    }

    fn prove(&self, answer: &Answer) -> Verdict {
        let odd = Finding::new(Cause::HttpStatus, Phase::Response, self.confidence());
        let proved = match &self.proof {
            Proof::AnyResponse if answer.status >= 500 => return Verdict::Degraded(odd),
            Proof::AnyResponse => true,
            Proof::Status(wanted) => wanted.contains(&answer.status),
            Proof::Contains(_) => answer.contains,
            Proof::Crl => match &answer.crl {
                Some(crl) if crl.overdue => return Verdict::Degraded(odd),
                Some(_) => true,
                None if answer.is_list_beyond_limit() => return Verdict::Degraded(odd),
                None => false,
            },
        };
        if proved { Verdict::Healthy } else { Verdict::Failed(odd) }
    }

    /// In clear, anybody on the path may have written the answer.
    fn confidence(&self) -> Confidence {
        match self.scheme {
            Scheme::Http => Confidence::Possible,
            Scheme::Https(_) => Confidence::Confirmed,
        }
    }
}

/// What must hold for any revocation list: it is one or it is none, and can be shown.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz_list(bytes: &[u8]) {
    if let Some(list) = crl::parse(bytes, std::time::Duration::from_secs(1_700_000_000)) {
        assert!(!list.to_string().contains(|c: char| c.is_control()), "nothing steers the terminal");
    }
}

/// What must hold for any redirect: the target is a question that can be asked, or a rule that it breaks.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz_redirect(bytes: &[u8]) {
    let question = Question {
        scheme: Scheme::Https(Verify::Full),
        host: "a.example".to_owned(),
        port: 443,
        path: "/x/y?z".to_owned(),
        proof: Proof::AnyResponse,
    };
    let location = Some(String::from_utf8_lossy(bytes).into_owned());
    let answer = Answer { status: 302, location, ..Answer::default() };
    if let Some(Ok(next)) = redirect_target(&question, &answer) {
        assert!(!next.host.is_empty() && next.path.starts_with('/'), "{next:?}");
        assert!(!next.host.contains(['/', '@', ' ', '#', '?']), "{next:?}");
        assert!(next.path.bytes().all(|byte| byte.is_ascii_graphic()), "{next:?}");
        drop(exchange::Request::new(&next));
    }
}

/// Names the cause of an exchange that ended early, where the answer tells more than the connection.
fn cut_short(stop: &Stop, reply: &Reply, seen: &Seen, peer: IpAddr) -> Finding {
    let trickles = reply.answer.as_ref().is_none_or(|answer| answer.body_len > 0);
    if stop.phase == Phase::Response && stop.trouble == Trouble::TimedOut && trickles {
        return Finding::new(Cause::Slow, stop.phase, Confidence::Possible);
    }
    // An orderly end in the midst of a body is no reset: the answer is shorter than it says of itself.
    if stop.phase == Phase::Response && stop.trouble == Trouble::Closed && reply.answer.is_some() {
        return Finding::new(Cause::ProtocolViolation, stop.phase, Confidence::Likely);
    }
    transport::judge(stop, seen, peer)
}

impl Answer {
    /// Whether a firewall, proxy or portal wrote the answer in the peer's place.
    fn is_block_page(&self) -> bool {
        let text = self.body_start.to_ascii_lowercase();
        let says = |words: &str| text.windows(words.len()).any(|window| window == words.as_bytes());
        matches!(self.status, AZURE_FIREWALL_DENY | PROXY_AUTHENTICATION | NETWORK_AUTHENTICATION)
            || (says("action: deny") && says("no rule matched"))
            || says("proceeding with default action")
    }

    /// A revocation list can be longer than we read; then only its first bytes speak for it.
    fn is_list_beyond_limit(&self) -> bool {
        (200..300).contains(&self.status) && self.body_len > crl::LIMIT && crl::looks_like_der(&self.body_start)
    }

    /// Reads plain HTTP where TLS was expected (RFC 9112 section 4); `None` if it is not even that.
    fn without_tls(head: &[u8]) -> Option<Self> {
        let version = match head.get(..9)? {
            b"HTTP/1.0 " => "HTTP/1.0",
            b"HTTP/1.1 " => "HTTP/1.1",
            _ => return None,
        };
        let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
        let end = head.windows(4).position(|window| window == b"\r\n\r\n").map_or(head.len(), |at| at + 4);
        Some(Self { status, version, body_start: head[end..].to_vec(), body_len: head.len() - end, ..Self::default() })
    }

    fn describe(&self, lines: &mut Vec<String>) {
        let server = self.server.as_ref().map(|server| format!(" from `{server}`")).unwrap_or_default();
        lines.push(format!("{} {}{server}, {} bytes of body read", self.version, self.status, self.body_len));
        if let Some(location) = &self.location {
            lines.push(format!("redirects to {}", tls::escaped(location)));
        }
        if let Some(offset) = self.clock_offset {
            lines.push(format!("the peer's clock, by its Date, minus ours: {offset:+.1} s"));
        }
        if let Some(crl) = &self.crl {
            lines.push(crl.to_string());
        } else if self.contains {
            lines.push("the body holds the text that was asked for".to_owned());
        } else if !self.body_start.is_empty() {
            lines.push(format!("the body starts: {}", Escaped(&self.body_start)));
        }
    }
}

impl std::fmt::Display for Crl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CRL of {} made {}, {} revoked", self.issuer, Utc(self.this_update), self.revoked)?;
        match self.next_update {
            Some(next) if self.overdue => write!(f, ", next update was due {}", Utc(next)),
            Some(next) => write!(f, ", next update {}", Utc(next)),
            None => f.write_str(", without a next update"),
        }
    }
}

impl Reply {
    /// Where no TLS came, keeps what the peer said instead; plain HTTP in its place is an answer too.
    fn hear_without_tls(&mut self, tap: &Tap) {
        if let Some(tls) = &mut self.tls
            && tls.version.is_none()
        {
            let head = tap.head();
            self.answer = Answer::without_tls(&head);
            tls.keep_prefix(head);
        }
    }

    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        if let Some(answer) = &self.answer {
            answer.describe(lines);
        }
        if let Some(tls) = &self.tls {
            tls.describe(lines);
        }
    }
}

#[cfg(test)]
mod tests;
