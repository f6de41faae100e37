//! How a web front end, or what stands before it, can treat its clients.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{authority::Flaw, sim::End};

/// How the front end, or what stands before it, treats every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Mood {
    /// It answers.
    #[default]
    Good,
    /// The host is there, the service is not: the port is refused.
    Absent,
    /// The connection is accepted and nothing comes.
    Silent,
    /// The connection is accepted and ends at once.
    Ends {
        /// How.
        end: End,
    },
    /// A firewall denies by application rule: 470 in clear, a reset after the server name over TLS.
    FirewallDenies,
    /// The same with the text of older builds.
    FirewallDeniesOldText,
    /// A firewall inspects TLS with its own authority.
    Inspected,
    /// It inspects TLS and denies the URL: 470 inside TLS.
    InspectedDenies,
    /// Somebody on the path ends the connection after the ClientHello.
    Cuts {
        /// How.
        end: End,
        /// Only these server names; none means all.
        #[serde(default)]
        only: Vec<String>,
    },
    /// The handshake is refused with a fatal alert.
    Alerts {
        /// The alert's number (RFC 8446 section 6).
        number: u8,
    },
    /// The certificate has a flaw.
    Certificate {
        /// Which.
        flaw: Flaw,
    },
    /// The service answers 503.
    Unavailable,
    /// The service answers this; for other hosts it has no page.
    Answers(Page),
    /// Every second connection is answered well, the others with this page: of two instances behind a balancer one is bad.
    Alternates(Page),
    /// Somebody on the path answers this, whatever the host: a block page, a portal, a proxy.
    Blocks(Page),
    /// Plain HTTP comes where TLS is due, with this page.
    InClear(Page),
    /// The service answers with these bytes, which need not be HTTP.
    Raw {
        /// The bytes, as text.
        text: String,
        /// How the connection ends then.
        end: End,
    },
    /// The service says this before it is asked, and nothing more.
    SpeaksFirst {
        /// The bytes, as text.
        text: String,
    },
    /// The service reads the request, and the connection ends.
    AfterRequest {
        /// How.
        end: End,
    },
    /// The revocation list should have been replaced.
    CrlOverdue {
        /// So long ago.
        days: u32,
    },
    /// The revocation list is no list.
    CrlGarbled,
    /// The body ends in the middle.
    Truncated,
    /// The body comes byte by byte.
    Drips {
        /// The time between two bytes.
        milliseconds: u64,
    },
    /// It answers, late.
    Slow {
        /// How late.
        milliseconds: u64,
    },
    /// It takes its time before the handshake.
    SlowHandshake {
        /// How long.
        milliseconds: u64,
    },
    /// It speaks TLS 1.2 only.
    Tls12Only,
    /// It speaks HTTP/1.1 only.
    Http1Only,
    /// It speaks HTTP/2 only.
    Http2Only,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
}

impl Mood {
    /// The mood as this connection finds it, counted from zero.
    pub(super) fn at(self, connection: usize) -> Self {
        match self {
            Self::Alternates(page) if connection.is_multiple_of(2) => Self::Answers(page),
            Self::Alternates(_) => Self::Good,
            other => other,
        }
    }

    /// Whether nobody listens.
    pub(super) fn is_absent(&self) -> bool {
        *self == Self::Absent
    }

    /// The flaw of the certificate.
    pub(super) fn flaw(&self) -> Flaw {
        if let Self::Certificate { flaw } = self { flaw.clone() } else { Flaw::None }
    }

    /// Whether a firewall's certificate is shown in the server's place.
    pub(super) fn is_inspected(&self) -> bool {
        matches!(self, Self::Inspected | Self::InspectedDenies)
    }

    /// Whether the answer is written byte by byte, over HTTP/1.1.
    pub(super) fn is_by_hand(&self) -> bool {
        matches!(
            self,
            Self::InspectedDenies
                | Self::SpeaksFirst { .. }
                | Self::Raw { .. }
                | Self::AfterRequest { .. }
                | Self::Truncated
                | Self::Drips { .. }
        )
    }

    /// The application protocols that are offered.
    pub(super) fn protocols(&self) -> &'static [&'static str] {
        match self {
            Self::Http2Only => &["h2"],
            Self::Http1Only => &["http/1.1"],
            _ if self.is_by_hand() => &["http/1.1"],
            _ => &["h2", "http/1.1"],
        }
    }

    /// The time before the handshake, and before the answer.
    pub(super) fn delays(&self) -> (Duration, Duration) {
        match self {
            Self::SlowHandshake { milliseconds } => (Duration::from_millis(*milliseconds), Duration::ZERO),
            Self::Slow { milliseconds } => (Duration::ZERO, Duration::from_millis(*milliseconds)),
            _ => (Duration::ZERO, Duration::ZERO),
        }
    }
}
