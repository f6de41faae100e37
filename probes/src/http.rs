//! The HTTP and HTTPS probe: one request over one fresh connection, with the proof that the endpoint's row asks for.
//! It follows no redirect; whoever does builds the next question with [`redirect_target`].

mod answer;
mod coding;
mod crl;
mod exchange;
mod redirect;
mod session;

use std::net::{IpAddr, Ipv6Addr};

pub use self::{
    answer::{Answer, Compression, Reply},
    crl::Crl,
    redirect::redirect_target,
    session::{Session, SetCookies},
};
use crate::{
    attempt::Attempt,
    cause::Cause,
    evidence::{Stop, Trouble},
    progress::Progress,
    seen::{Exchange, Seen, Trace},
    stream,
    tap::Tap,
    tls::{self, Trust, Verify},
    transport,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// Whether TLS comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, HTTP/2 where the peer offers it.
    Https(Verify),
}

impl Scheme {
    /// Its name in a URI and its usual port (RFC 9110 section 4.2).
    fn name_and_port(self) -> (&'static str, u16) {
        match self {
            Self::Http => ("http", 80),
            Self::Https(_) => ("https", 443),
        }
    }
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
    /// What earlier answers of the same visit left behind.
    pub session: Session,
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
        let tap = Tap::new(stream::connect(attempt, trace).await?, trace.page.take());
        let mut progress = Progress::begin(self.first_phase(), &mut trace.phases);
        let result = attempt.deadline.bound(request.run(trust, &tap, &mut progress, reply)).await;
        let result = progress.end(result);
        reply.hear_without_tls(&tap);
        stream::finish(&tap, result.is_err(), &mut trace.seen);
        result
    }

    /// The question as a URI.
    fn url(&self) -> String {
        let (scheme, _) = self.scheme.name_and_port();
        format!("{scheme}://{}{}", self.authority(), self.path)
    }

    /// The question as a report shows it: a query may carry what is nobody else's business.
    pub fn address(&self) -> String {
        self.url().split('?').next().unwrap_or_default().to_owned()
    }

    /// The host, in brackets where it is an IPv6 address, and the port where it is not the usual one.
    fn authority(&self) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.host.clone(),
        };
        let (_, usual) = self.scheme.name_and_port();
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
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
        if let Some(verdict) = self.without_certificate(seen, reply) {
            return verdict;
        }
        let proved = match &reply.answer {
            Some(answer) => self.prove(answer),
            None => Verdict::Healthy,
        };
        match (&seen.stop, proved) {
            (None, proved) => proved,
            (Some(stop), Verdict::Healthy | Verdict::Degraded(_)) if self.is_proved_before(stop, reply) => {
                Verdict::Degraded(cut_short(stop, reply, seen, peer))
            }
            (Some(stop), _) => cut_short(stop, reply, seen, peer).failed(),
        }
    }

    /// A server that wants a certificate of ours has proved itself by its own, and says nothing more.
    fn without_certificate(&self, seen: &Seen, reply: &Reply) -> Option<Verdict> {
        let (stop, tls) = (seen.stop.as_ref()?, reply.tls.as_ref()?);
        let confidence = tls.left_for_want_of_certificate(stop).filter(|_| reply.answer.is_none())?;
        if self.proof == Proof::AnyResponse && confidence == Confidence::Confirmed {
            return Some(Verdict::Healthy);
        }
        Some(Verdict::Degraded(Finding::new(Cause::TlsRejected, Phase::Tls, confidence)))
    }

    /// Whether what the row asks for came before the exchange was cut.
    fn is_proved_before(&self, stop: &Stop, reply: &Reply) -> bool {
        // Who wants to be asked in another way has answered.
        if reply.wants_http1 && self.proof == Proof::AnyResponse {
            return true;
        }
        let came = reply.answer.as_ref().is_some_and(|answer| match self.proof {
            Proof::AnyResponse | Proof::Status(_) => true,
            Proof::Contains(_) => answer.contains,
            Proof::Crl => false,
        });
        let is_broken = match stop.trouble {
            Trouble::Malformed(_) => true,
            // A verified peer may be long-winded; in clear nobody knows who floods us.
            Trouble::TooMuch(_) => self.scheme == Scheme::Http,
            _ => false,
        };
        came && !is_broken && stop.phase == Phase::Response
    }

    fn prove(&self, answer: &Answer) -> Verdict {
        let odd = Finding::new(Cause::HttpStatus, Phase::Response, self.confidence());
        let proved = match &self.proof {
            Proof::AnyResponse if answer.status >= 500 => return Verdict::Degraded(odd),
            Proof::AnyResponse => true,
            Proof::Status(wanted) => wanted.contains(&answer.status),
            Proof::Contains(_) if !answer.contains && answer.is_unread() => return Verdict::Degraded(odd),
            Proof::Contains(_) => answer.contains,
            Proof::Crl => match &answer.crl {
                Some(crl) if crl.overdue => return Verdict::Degraded(odd),
                Some(_) => true,
                None if answer.is_list_beyond_limit() || answer.is_unread() => return Verdict::Degraded(odd),
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
        session: Session::default(),
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

#[cfg(test)]
mod tests;
