//! TLS: a handshake that records the chain even when it does not verify, and what the certificate alone proves: valid, not
//! valid, or made by an inspecting device. What travels inside is the business of HTTP and TDS.

mod certificate;
mod checks;
mod path;
mod recording;
mod secured;
mod signatures;
mod trust;
mod verdicts;
mod verifying;
mod words;

use std::{io, sync::Arc};

use rustls::{CertificateError, Error, InvalidMessage, PeerMisbehaved, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

pub use self::trust::{Trust, TrustError};
pub(crate) use self::{certificate::escaped, trust::Application, words::Utc};
use self::{
    path::Judgement,
    recording::{HandshakeProof, Observed, Witness},
    secured::Secured,
};
use crate::{
    cause::Cause,
    evidence::{Ending, Stop, Trouble},
    inspectors,
    tap::Tap,
    verdict::{Confidence, Finding, Phase},
};

/// Bytes that a peer may send until the handshake is done: public chains take 3 to 6 KiB, ten times that is no mistake of
/// an honest server.
const HANDSHAKE_BUDGET: usize = 64 * 1024;
/// Bytes kept to recognise a peer that does not speak TLS: a whole status line.
const PREFIX_LIMIT: usize = 64;
/// How an exchange ends over a certificate that is beyond this agent.
const UNJUDGED: &str = "the certificate cannot be judged here";
/// Alerts with which a server without a certificate of the client's ends (RFC 8446 section 6.2, RFC 5246 section 7.2.2):
/// handshake_failure, no_certificate, bad_certificate, certificate_unknown, unknown_ca, access_denied,
/// certificate_required.
const WANTS_CERTIFICATE: [u8; 7] = [40, 41, 42, 46, 48, 49, CERTIFICATE_REQUIRED];
/// certificate_required (RFC 8446 section 6.2).
const CERTIFICATE_REQUIRED: u8 = 116;
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
    /// The place in the chain of the certificate whose dates decide: of the path that verified the one that ends first.
    pub decisive: usize,
    /// Whether the peer proved that it holds the leaf's key.
    pub proved: bool,
    /// Whether the peer asked for a certificate of ours, which the agent never has.
    pub wants_certificate: bool,
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
    /// Its key, for example `RSA key of 2048 bits`.
    pub key: String,
    /// How it is signed, for example `ECDSA with SHA-256`.
    pub signature: String,
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
    /// It has the asked name as its common name only, without any alternative name (RFC 9525 section 6.3).
    NoNames,
    /// No trusted authority issued it.
    UnknownIssuer,
    /// Any other fault; the rule that is broken.
    Other(String),
    /// This agent cannot tell; what it cannot do.
    Beyond(String),
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
    /// [`Trouble::Certificate`] or [`Trouble::Beyond`] when the handshake ran but the certificate does not verify: nothing
    /// may be sent then.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        tap: &Tap,
        record: &mut Handshake,
    ) -> Result<Secured<S>, Trouble> {
        tap.allow(HANDSHAKE_BUDGET, "64 KiB of TLS handshake");
        tap.send_at_once()?;
        tap.hold(true);
        tap.watch_pace(true);
        let witness = Arc::new(Witness::default());
        let connector = TlsConnector::from(self.trust.client(self.application, Arc::clone(&witness)));
        let shaken = connector.connect(self.name.clone(), stream).await;
        tap.hold(false);
        tap.watch_pace(false);
        self.examine(&witness.take(), record).await;
        match shaken {
            Ok(mut stream) => {
                let connection = stream.get_ref().1;
                record.version = connection.protocol_version().map(version);
                record.alpn = connection.alpn_protocol().map(|name| name.escape_ascii().to_string());
                let Some(refusal) = record.refusal() else { return Ok(Secured::new(stream, tap.clone())) };
                // The peer sees a handshake that was done, and an end.
                drop(stream.flush().await);
                Err(refusal)
            }
            Err(error) => Err(trouble(&error, tap, record)),
        }
    }

    /// Judges the chain, whether the handshake came to its end or not.
    async fn examine(&self, observed: &Observed, record: &mut Handshake) {
        record.wants_certificate = observed.asked_for_certificate;
        record.proved = observed.proof == HandshakeProof::Held;
        record.chain = observed.chain.iter().map(|der| certificate::read(der)).collect();
        let Some(leaf) = record.chain.first() else { return };
        // A deadline that passes meanwhile drops this work: the peer has done its part, and the delay is ours.
        record.invalid = Some(Invalid::unverified());
        let Judgement { invalid, decisive } = self.trust.judge(&observed.chain, &record.chain, self.name).await;
        let counts =
            |why: &Invalid| self.verify == Verify::Full || !matches!(why, Invalid::WrongName | Invalid::NoNames);
        let unread = || (observed.proof == HandshakeProof::Unreadable).then(|| Invalid::unreadable(leaf));
        record.invalid = invalid.filter(counts).or_else(unread);
        record.decisive = decisive;
    }
}

impl Invalid {
    /// No thread of this machine came to an end with the chain.
    fn unverified() -> Self {
        Self::Beyond("its chain was not verified in time: this machine is too busy".to_owned())
    }

    /// The handshake is signed with a key that this agent cannot check.
    fn unreadable(leaf: &Certificate) -> Self {
        Self::Beyond(format!("the handshake's signature under its {} cannot be checked", leaf.key))
    }
}

/// What must hold for any certificate: it can be read as far as it goes, and be shown.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let chain = vec![certificate::read(bytes)];
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
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            record.invalid = Some(Invalid::Other("the handshake is not signed with its key".to_owned()));
            Trouble::Certificate
        }
        // What TLS 1.2 does with RSASSA-PSS keys, and keys that cannot be read at all.
        Error::PeerMisbehaved(PeerMisbehaved::SignedKxWithWrongAlgorithm) | Error::InvalidCertificate(_) => {
            record.invalid = record.invalid.take().or_else(|| record.chain.first().map(Invalid::unreadable));
            record.refusal().unwrap_or(Trouble::Beyond(UNJUDGED))
        }
        Error::General(rule) if rule == recording::CHAIN_RULE => Trouble::TooMuch(recording::CHAIN_RULE),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Trouble::Malformed("the first bytes are no TLS record")
        }
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => Trouble::Malformed("a TLS message is damaged"),
        Error::PeerIncompatible(_) => {
            Trouble::Beyond("the peer chose a TLS version or parameters that this agent does not speak")
        }
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
        Invalid::Beyond(_) => Some(Finding::new(Cause::LocalLimit, Phase::Local, Confidence::Confirmed)),
        Invalid::WrongName | Invalid::NoNames => found(Cause::TlsCertInvalid, Confidence::Confirmed),
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

    /// What ends an exchange whose handshake is done; `None` where the certificate verified.
    fn refusal(&self) -> Option<Trouble> {
        Some(match self.invalid.as_ref()? {
            Invalid::Beyond(_) => Trouble::Beyond(UNJUDGED),
            Invalid::Expired
            | Invalid::NotYetValid
            | Invalid::WrongName
            | Invalid::NoNames
            | Invalid::UnknownIssuer
            | Invalid::Other(_) => Trouble::Certificate,
        })
    }

    /// Whether the peer proved to be the one that its certificate names, and the certificate verifies.
    pub fn is_proof(&self) -> bool {
        self.proved && self.invalid.is_none() && !self.chain.is_empty()
    }

    /// The certificate whose end of validity counts: of the path that verified the one that ends first, else the leaf or the
    /// one whose dates do not hold.
    pub fn ends_first(&self) -> Option<&Certificate> {
        self.chain.get(self.decisive)
    }

    /// How sure it is that a peer which proved itself ended the exchange for want of a certificate of ours.
    pub(crate) fn left_for_want_of_certificate(&self, stop: &Stop) -> Option<Confidence> {
        match (&stop.trouble, stop.trouble.ending()) {
            _ if !self.is_proof() => None,
            (Trouble::Alert(CERTIFICATE_REQUIRED), _) => Some(Confidence::Confirmed),
            (Trouble::Alert(number), _) if self.wants_certificate && WANTS_CERTIFICATE.contains(number) => {
                Some(Confidence::Confirmed)
            }
            (_, Ending::Cut) if self.wants_certificate => Some(Confidence::Likely),
            _ => None,
        }
    }

    /// Keeps the peer's first bytes when they did not become a handshake.
    pub(crate) fn keep_prefix(&mut self, mut head: Vec<u8>) {
        if self.version.is_none() && self.chain.is_empty() {
            head.truncate(PREFIX_LIMIT);
            self.prefix = head;
        }
    }
}

#[cfg(test)]
mod tests;
