//! TLS: a handshake that records the chain even when it does not verify, and what the certificate alone proves: valid, not
//! valid, or made by an inspecting device. What travels inside is the business of HTTP and TDS.

mod recording;
mod trust;

use std::{fmt, io};

use rustls::{ClientConnection, Error, InvalidMessage, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::time::ASN1Time;

pub use self::trust::{Trust, TrustError};
pub(crate) use self::{recording::escaped, trust::Application};
use crate::{
    cause::Cause,
    evidence::Trouble,
    inspectors,
    tap::Tap,
    verdict::{Confidence, Finding, Phase},
};

/// Bytes that a peer may send until the handshake is done: public chains take 3 to 6 KiB, ten times that is no mistake of
/// an honest server.
const HANDSHAKE_BUDGET: usize = 64 * 1024;
/// Bytes kept to recognise a peer that does not speak TLS: a whole status line.
const PREFIX_LIMIT: usize = 64;
/// How much of a certificate must verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Chain, dates and name (RFC 6125).
    #[default]
    Full,
    /// Chain and dates only: for endpoints known by address alone.
    Chain,
}

/// What a TLS handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The negotiated version, for example `TLS 1.3`.
    pub version: Option<&'static str>,
    /// The negotiated ALPN protocol, escaped.
    pub alpn: Option<String>,
    /// The peer's chain, leaf first, recorded even when it does not verify. At most 10.
    pub chain: Vec<Certificate>,
    /// Why the chain does not verify; `None` when it does or was never seen.
    pub invalid: Option<Invalid>,
    /// The first bytes the peer sent, at most 64, kept to recognise peers that do not speak TLS.
    pub prefix: Vec<u8>,
}

/// What is kept of one certificate (RFC 5280).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The subject, escaped.
    pub subject: String,
    /// The issuer, escaped.
    pub issuer: String,
    /// The DNS names of the subject alternative name extension, at most 16.
    pub names: Vec<String>,
    /// Start of validity, seconds since the Unix epoch.
    pub not_before: i64,
    /// End of validity, seconds since the Unix epoch.
    pub not_after: i64,
}

/// Why a chain does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The wall clock is after `not_after`.
    Expired,
    /// The wall clock is before `not_before`.
    NotYetValid,
    /// The certificate is for other names.
    WrongName,
    /// No trusted authority issued it.
    UnknownIssuer,
    /// Anything else; the verifier's words.
    Other(String),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it has expired"),
            Self::NotYetValid => f.write_str("it is not valid yet"),
            Self::WrongName => f.write_str("it is for other names"),
            Self::UnknownIssuer => f.write_str("no trusted authority issued it"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// One side of a handshake: whom to greet, and how strictly to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// The authorities.
    pub(crate) trust: &'a Trust,
    /// The name for SNI and the certificate.
    pub(crate) name: &'a ServerName<'static>,
    /// What speaks inside.
    pub(crate) application: Application,
    /// How much must verify.
    pub(crate) verify: Verify,
}

impl Client<'_> {
    /// Shakes hands over `stream`, whose bytes pass through `tap`, and records what it saw.
    ///
    /// # Errors
    /// [`Trouble::Certificate`] when the handshake ran but the certificate does not verify: nothing may be sent then.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        tap: &Tap,
        record: &mut Handshake,
    ) -> Result<TlsStream<S>, Trouble> {
        tap.allow(HANDSHAKE_BUDGET, "64 KiB of TLS handshake");
        tap.send_at_once()?;
        let connector = TlsConnector::from(self.trust.client(self.application));
        match connector.connect(self.name.clone(), stream).await {
            Ok(stream) => self.examine(stream.get_ref().1, record).map(|()| stream),
            Err(error) => Err(trouble(&error, tap, record)),
        }
    }

    fn examine(&self, connection: &ClientConnection, record: &mut Handshake) -> Result<(), Trouble> {
        let chain = connection.peer_certificates().unwrap_or_default();
        record.version = connection.protocol_version().map(version);
        record.alpn = connection.alpn_protocol().map(|name| name.escape_ascii().to_string());
        record.chain = chain.iter().map(|der| recording::certificate(der)).collect();
        record.invalid = self.trust.verify(chain, self.name).err().map(Invalid::from);
        if self.verify == Verify::Chain && record.invalid == Some(Invalid::WrongName) {
            record.invalid = None;
        }
        if record.invalid.is_some() { Err(Trouble::Certificate) } else { Ok(()) }
    }
}

/// What must hold for any certificate: it can be read as far as it goes, and be shown.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let chain = vec![recording::certificate(bytes)];
    for invalid in [None, Some(Invalid::UnknownIssuer)] {
        let mut lines = Vec::new();
        Handshake { chain: chain.clone(), invalid, ..Handshake::default() }.describe(&mut lines);
        assert!(!lines.concat().contains(|c: char| c.is_control()), "nothing steers the terminal");
    }
}

/// The name for SNI and the certificate; an address is a name too, but gets no SNI (RFC 6066 section 3).
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, &'static str> {
    ServerName::try_from(host.to_owned()).map_err(|_| "the host must be a DNS name or an address")
}

fn version(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
        rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "another TLS version",
    }
}

/// Says what ended a handshake: the peer's own words first, then the connection's fault, then its end.
fn trouble(error: &io::Error, tap: &Tap, record: &mut Handshake) -> Trouble {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return broken(error, record);
    }
    tap.trouble().unwrap_or(Trouble::Closed)
}

fn broken(error: &Error, record: &mut Handshake) -> Trouble {
    match error {
        Error::AlertReceived(alert) => Trouble::Alert(u8::from(*alert)),
        Error::InvalidCertificate(error) => {
            record.invalid = Some(error.clone().into());
            Trouble::Certificate
        }
        Error::General(rule) if rule == recording::CHAIN_RULE => Trouble::TooMuch(recording::CHAIN_RULE),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Trouble::Malformed("the first bytes are no TLS record")
        }
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => Trouble::Malformed("a TLS message is damaged"),
        Error::PeerIncompatible(_) => Trouble::Malformed("the TLS version or parameters are not supported"),
        _ => Trouble::Malformed("the TLS handshake is out of order"),
    }
}

/// Names the cause of a certificate that does not verify; `None` when there is nothing to say against it.
pub(crate) fn judge(handshake: &Handshake, trust: &Trust) -> Option<Finding> {
    let found = |cause, confidence| Some(Finding::new(cause, Phase::Tls, confidence));
    match handshake.invalid.as_ref()? {
        Invalid::UnknownIssuer if trust.is_empty() => {
            Some(Finding::new(Cause::LocalSetup, Phase::Local, Confidence::Confirmed))
        }
        Invalid::UnknownIssuer if handshake.is_inspected() => found(Cause::TlsIntercepted, Confidence::Likely),
        Invalid::WrongName => found(Cause::TlsCertInvalid, Confidence::Confirmed),
        Invalid::UnknownIssuer | Invalid::Expired | Invalid::NotYetValid | Invalid::Other(_) => {
            found(Cause::TlsCertInvalid, Confidence::Likely)
        }
    }
}

impl Handshake {
    /// Whether an issuer in the chain bears the name of an inspecting device.
    fn is_inspected(&self) -> bool {
        self.chain.iter().any(|certificate| inspectors::is_one(&certificate.issuer))
    }

    /// Keeps the peer's first bytes when they did not become a handshake.
    pub(crate) fn keep_prefix(&mut self, mut head: Vec<u8>) {
        if self.version.is_none() {
            head.truncate(PREFIX_LIMIT);
            self.prefix = head;
        }
    }

    /// Adds the evidence lines.
    pub(crate) fn describe(&self, lines: &mut Vec<String>) {
        if let Some(leaf) = self.chain.first() {
            lines.push(self.verdict_on(leaf));
        }
        if self.invalid.is_some() && self.chain.len() > 1 {
            let issuers: Vec<_> = self.chain.iter().map(|certificate| certificate.issuer.as_str()).collect();
            lines.push(format!("chain of {}, issued by: {}", self.chain.len(), issuers.join(" <- ")));
        }
        if let Some(version) = self.version {
            let alpn = self.alpn.as_deref().map(|alpn| format!(" with {alpn}")).unwrap_or_default();
            lines.push(format!("{version}{alpn}"));
        } else if !self.prefix.is_empty() {
            lines.push(format!("the peer's first bytes: {}", self.prefix.escape_ascii()));
        }
    }

    fn verdict_on(&self, leaf: &Certificate) -> String {
        let names = if leaf.names.is_empty() { &leaf.subject } else { &leaf.names.join(", ") };
        let (from, until) = (Utc(leaf.not_before), Utc(leaf.not_after));
        match &self.invalid {
            None => format!("certificate for {names} issued by {} verifies until {until}", leaf.issuer),
            Some(why) => {
                let issuer = &leaf.issuer;
                format!("certificate for {names} issued by {issuer}, valid {from} to {until}, does not verify: {why}")
            }
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

#[cfg(test)]
mod tests;
