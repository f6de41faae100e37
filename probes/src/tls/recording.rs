//! Lets a handshake run to its end whatever the certificate is, so that version, protocol and chain are seen; the
//! chain is judged afterwards. It checks only that the peer holds the key, and that the chain has a sane size.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::{Certificate, Invalid};
use crate::evidence::Escaped;

/// Certificates in one chain: more than the verifier follows (6 intermediates), so that what it refuses is still shown.
const CHAIN_LIMIT: usize = 10;
/// Bytes of one certificate: usual ones have 1 to 2 KiB, one with some hundred names 10.
const CERTIFICATE_LIMIT: usize = 32 * 1024;
/// Names kept of one certificate: enough for a person to see whose it is.
const NAME_LIMIT: usize = 16;
/// The rule that a chain beyond the limits breaks.
pub(super) const CHAIN_RULE: &str = "10 certificates of 32 KiB";

/// Accepts every chain within the limits; the handshake's signature must still fit its key.
#[derive(Debug)]
pub(super) struct Witness {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Witness {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let sane = |certificate: &CertificateDer<'_>| certificate.len() <= CERTIFICATE_LIMIT;
        if intermediates.len() < CHAIN_LIMIT && sane(end_entity) && intermediates.iter().all(sane) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(CHAIN_RULE.to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Keeps what people need of one certificate; one that cannot be parsed says so in its subject.
pub(super) fn certificate(der: &[u8]) -> Certificate {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return Certificate { subject: "(not a certificate)".to_owned(), ..Certificate::default() };
    };
    let names = match parsed.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(dns_name).take(NAME_LIMIT).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    Certificate {
        subject: escaped(&parsed.subject.to_string()),
        issuer: escaped(&parsed.issuer.to_string()),
        names,
        not_before: parsed.validity.not_before.timestamp(),
        not_after: parsed.validity.not_after.timestamp(),
    }
}

/// The peer's text in a form that is safe on a terminal and in a log.
pub(crate) fn escaped(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name { Some(escaped(name)) } else { None }
}

impl From<CertificateError> for Invalid {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            other => Self::Other(escaped(&other.to_string())),
        }
    }
}
