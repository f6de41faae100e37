//! The HTTP and HTTPS probe: one request over one fresh connection, with the proof that the endpoint's row asks for.

use crate::tls::{Handshake, Verify};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The TLS handshake, as far as it got.
    pub tls: Option<Handshake>,
    /// The answer; `None` if none came.
    pub answer: Option<Answer>,
}

/// The answer's head, and what its body proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The protocol version, for example `HTTP/1.1`.
    pub version: &'static str,
    /// The Server header, escaped and cut.
    pub server: Option<String>,
    /// The Location header of a redirect, cut at 2048 characters.
    pub location: Option<String>,
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
}

impl Reply {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, _lines: &mut Vec<String>) {}
}

impl Question {
    /// Makes one attempt.
    pub async fn run(&self, _attempt: &crate::attempt::Attempt<'_>) -> crate::outcome::Outcome {
        unimplemented!("written next")
    }
}
