//! What a handshake showed, in plain words: whose certificate, why it verifies or not, and the chain where it does not.

use std::fmt;

use x509_parser::time::ASN1Time;

use super::{Certificate, Handshake, Invalid};

/// Names of a certificate that evidence shows: enough to see whose it is, so that the verdict stays in sight.
const SHOWN_NAMES: usize = 3;

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it has expired"),
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::WrongName => f.write_str("it is for other names"),
            Self::NoNames => f.write_str(
                "it has no subject alternative name; older clients take the common name, which is the one asked for",
            ),
            Self::UnknownIssuer => f.write_str("no trusted authority issued it"),
            Self::Other(words) | Self::Beyond(words) => f.write_str(words),
        }
    }
}

impl Handshake {
    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        if let Some(leaf) = self.chain.first() {
            lines.push(self.verdict_on(leaf));
        }
        if self.invalid.is_some() {
            let count = self.chain.len();
            lines.extend(self.chain.iter().enumerate().map(|(index, one)| {
                let issuer = if one.is_self_issued() { "itself" } else { &one.issuer };
                let (subject, key, signature) = (&one.subject, &one.key, &one.signature);
                format!("certificate {} of {count}: {subject}, {key}, signed by {issuer} ({signature})", index + 1)
            }));
        }
        if self.wants_certificate {
            let proof = if self.is_proof() { ": its own is the proof" } else { "" };
            lines.push(format!("the server asks for a certificate of the client's, and this agent has none{proof}"));
        }
        if let Some(version) = self.version {
            let alpn = self.alpn.as_deref().map(|alpn| format!(" with {alpn}")).unwrap_or_default();
            lines.push(format!("{version}{alpn}"));
        } else if !self.prefix.is_empty() {
            lines.push(format!("the peer's first bytes: {}", self.prefix.escape_ascii()));
        }
    }

    fn verdict_on(&self, leaf: &Certificate) -> String {
        let (names, issuer) = (leaf.shown_names(), &leaf.issuer);
        let (from, until) = (Utc(leaf.not_before), Utc(leaf.not_after));
        let what = format!("certificate for {names} issued by {issuer}");
        match &self.invalid {
            None => match self.ends_first().filter(|_| self.decisive > 0) {
                Some(first) => {
                    format!("{what} verifies until {}, when {} of its chain ends", Utc(first.not_after), first.subject)
                }
                None => format!("{what} verifies until {until}"),
            },
            Some(Invalid::Beyond(limit)) => {
                format!("{what}, valid {from} to {until}, cannot be judged by this agent: {limit}")
            }
            Some(why) => {
                let why = self.reason(why, leaf);
                format!(
                    "the certificate does not verify: {why}; it is for {names}, issued by {issuer}, valid {from} to {until}"
                )
            }
        }
    }

    fn reason(&self, why: &Invalid, leaf: &Certificate) -> String {
        let other = self.ends_first().filter(|_| self.decisive > 0);
        match (why, other) {
            (Invalid::UnknownIssuer, _) if leaf.is_self_issued() => {
                "it is self-signed, and none of the certificates that are trusted here".to_owned()
            }
            (Invalid::Expired, Some(other)) => {
                format!("{} of its chain expired {}", other.subject, Utc(other.not_after))
            }
            (Invalid::NotYetValid, Some(other)) => {
                format!("{} of its chain is not valid before {}", other.subject, Utc(other.not_before))
            }
            (why, _) => why.to_string(),
        }
    }
}

impl Certificate {
    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    fn shown_names(&self) -> String {
        match self.names.len() {
            0 => self.subject.clone(),
            1..=SHOWN_NAMES => self.names.join(", "),
            _ => format!("{} and more", self.names[..SHOWN_NAMES].join(", ")),
        }
    }
}

/// Seconds since the Unix epoch, shown as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Utc(pub(crate) i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(time) = ASN1Time::from_timestamp(self.0) else {
            return write!(f, "second {} of the Unix epoch", self.0);
        };
        let time = time.to_datetime();
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second) = time.to_hms();
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
    }
}
