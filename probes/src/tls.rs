//! TLS: the authorities we trust, and a handshake that records the chain even when it does not verify.

use std::sync::Arc;

use rustls::RootCertStore;

/// The authorities that certificates are verified against.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Trusts nobody: every certificate fails, and is recorded all the same.
    pub fn none() -> Self {
        Self { roots: Arc::new(RootCertStore::empty()) }
    }

    /// Whether there is no authority at all, a fault of this machine.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }
}

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
