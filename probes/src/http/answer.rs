//! What an HTTP exchange brought, before anyone says what it means, and how it is shown.

use std::fmt;

use super::{
    SetCookies,
    crl::{self, Crl},
};
use crate::{
    evidence::Escaped,
    tap::Tap,
    tls::{self, Handshake},
};

/// Bytes of the body that are kept as evidence: Azure Firewall says why it denies in 70 to 165 bytes, and a page of a
/// proxy names itself in its title.
pub(super) const BODY_START_LIMIT: usize = 512;
/// The status Azure Firewall gives to a request that its application rules deny.
const AZURE_FIREWALL_DENY: u16 = 470;
/// The authentication demand of a proxy (RFC 9110 section 15.5.8).
const PROXY_AUTHENTICATION: u16 = 407;
/// The answer of a captive portal (RFC 6585 section 6).
const NETWORK_AUTHENTICATION: u16 = 511;

/// Words by which a page says that a filter wrote it, lower case. Services say that a request was blocked as well, so that
/// these are about sites and filters.
const FILTER_WORDS: &[&str] = &[
    "blocked by",
    "site is blocked",
    "page is blocked",
    ">blocked",
    "web filter",
    "url filter",
    "content filter",
    "secure web gateway",
];

/// Everything an HTTP exchange showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The TLS handshake, as far as it got.
    pub tls: Option<Handshake>,
    /// The answer; `None` if none came.
    pub answer: Option<Answer>,
    /// Whether the peer ended HTTP/2 because it wants HTTP/1.1 for this question (RFC 9113 section 7).
    pub wants_http1: bool,
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
    /// The Location header of a redirect, cut at 8000 characters.
    pub location: Option<String>,
    /// The cookies that a redirect sets.
    pub cookies: SetCookies,
    /// The peer's `Date` minus our wall clock when the head came, in seconds. It is cut to whole seconds, so that a
    /// right clock shows 0 to -1. `None` without a readable date, and for what a cache kept (`Age`).
    pub clock_offset: Option<f64>,
    /// Bytes of the body that were read.
    pub body_len: usize,
    /// The start of what the body says, at most 512 bytes.
    pub body_start: Vec<u8>,
    /// What the body was compressed with, although nobody asked for that.
    pub compression: Option<Compression>,
    /// The revocation list, where one was asked for and came.
    pub crl: Option<Crl>,
    /// Whether the body holds the text that was asked for.
    pub contains: bool,
}

/// A content coding that came unasked (RFC 9110 section 12.5.3 allows it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Its name, escaped.
    pub coding: String,
    /// Whether the body could be read all the same.
    pub is_read: bool,
}

impl Answer {
    /// Whether a firewall, proxy or portal wrote the answer in the peer's place.
    pub(super) fn is_block_page(&self) -> bool {
        let text = self.body_start.to_ascii_lowercase();
        let says = |words: &str| text.windows(words.len()).any(|window| window == words.as_bytes());
        matches!(self.status, AZURE_FIREWALL_DENY | PROXY_AUTHENTICATION | NETWORK_AUTHENTICATION)
            || (says("action: deny") && says("no rule matched"))
            || says("proceeding with default action")
    }

    /// Whether the page says of itself that a filter wrote it. Anybody can say that.
    pub fn names_a_filter(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body_start).to_lowercase();
        self.status < 500 && FILTER_WORDS.iter().any(|words| text.contains(words))
    }

    /// A revocation list can be longer than we read; then only its first bytes speak for it.
    pub(super) fn is_list_beyond_limit(&self) -> bool {
        (200..300).contains(&self.status) && self.body_len > crl::LIMIT && crl::looks_like_der(&self.body_start)
    }

    /// Reads plain HTTP where TLS was expected; `None` if it is not even that.
    fn without_tls(head: &[u8]) -> Option<Self> {
        let end = head.windows(4).position(|window| window == b"\r\n\r\n").map_or(head.len(), |at| at + 4);
        let body_start = head[end..].to_vec();
        Some(Self { body_start, body_len: head.len() - end, ..Self::of_status_line(head)? })
    }

    /// Reads the start of a status line (RFC 9112 section 4) of a final answer; `None` if it is none.
    pub(super) fn of_status_line(start: &[u8]) -> Option<Self> {
        let version = match start.get(..9)? {
            b"HTTP/1.0 " => "HTTP/1.0",
            b"HTTP/1.1 " => "HTTP/1.1",
            _ => return None,
        };
        let status = std::str::from_utf8(start.get(9..12)?).ok()?.parse().ok()?;
        (200..1000).contains(&status).then(|| Self { status, version, ..Self::default() })
    }

    /// Whether the body is compressed in a way that nobody here can read.
    pub(super) fn is_unread(&self) -> bool {
        (200..300).contains(&self.status) && self.compression.as_ref().is_some_and(|compression| !compression.is_read)
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
        lines.extend(self.compression.as_ref().map(Compression::to_string));
        if let Some(crl) = &self.crl {
            lines.push(crl.to_string());
        } else if self.contains {
            lines.push("the body holds the text that was asked for".to_owned());
        } else if !self.body_start.is_empty() {
            lines.push(format!("the body starts: {}", Escaped(&self.body_start)));
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body comes compressed ({}), although none was asked for", self.coding)?;
        if self.is_read { Ok(()) } else { f.write_str(", and cannot be read here") }
    }
}

impl Reply {
    /// Where no TLS came, keeps what the peer said instead; plain HTTP in its place is an answer too.
    pub(super) fn hear_without_tls(&mut self, tap: &Tap) {
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
