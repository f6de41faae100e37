//! Lets a handshake run to its end whatever the certificate is, so that version, protocol and chain are seen; the
//! chain is judged afterwards. It checks only that the peer holds the key, and that the chain has a sane size.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use webpki::EndEntityCert;

use super::{
    certificate,
    path::RSA_SIZES,
    signatures::{ALGORITHMS, PSS_SCHEMES, UNCHECKED},
};

/// Certificates in one chain: more than the verifier follows (6 intermediates), so that what it refuses is still shown.
const CHAIN_LIMIT: usize = 10;
/// Bytes of one certificate: usual ones have 1 to 2 KiB, one with some hundred names 10.
const CERTIFICATE_LIMIT: usize = 32 * 1024;
/// The rule that a chain beyond the limits breaks.
pub(super) const CHAIN_RULE: &str = "10 certificates of 32 KiB";

/// What one handshake showed, however it ended.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// The chain, leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Whether the peer proved that it holds the leaf's key.
    pub(super) proof: HandshakeProof,
    /// Whether it wanted a certificate of ours (RFC 8446 section 4.3.2, RFC 5246 section 7.4.4).
    pub(super) asked_for_certificate: bool,
}

/// What the handshake's own signature showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HandshakeProof {
    /// None came.
    #[default]
    Missing,
    /// It cannot be checked here.
    Unreadable,
    /// It fits the leaf's key.
    Held,
}

/// Accepts every chain within the limits, and keeps it; has no certificate of its own, and notes that one is wanted.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Observed>);

impl Witness {
    /// What was seen; nothing remains.
    pub(super) fn take(&self) -> Observed {
        std::mem::take(&mut *self.observed())
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the handshake's signature. One that cannot be checked here proves nothing, and ends nothing.
    fn check(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        by_curve: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proved = |proof| {
            self.observed().proof = proof;
            Ok(HandshakeSignatureValid::assertion())
        };
        if UNCHECKED.contains(&signed.scheme) {
            return proved(HandshakeProof::Unreadable);
        }
        let (_, algorithms) = ALGORITHMS
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let is_pss = PSS_SCHEMES.iter().any(|(scheme, _)| *scheme == signed.scheme);
        let algorithms = if by_curve && !is_pss { &algorithms[..1] } else { algorithms };
        let Ok(leaf) = EndEntityCert::try_from(certificate) else { return proved(HandshakeProof::Unreadable) };
        for algorithm in algorithms {
            match leaf.verify_signature(*algorithm, message, signed.signature()) {
                Ok(()) => return proved(HandshakeProof::Held),
                Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) if is_odd(certificate) => return proved(HandshakeProof::Unreadable),
                Err(_) => return Err(CertificateError::BadSignature.into()),
            }
        }
        proved(HandshakeProof::Unreadable)
    }
}

/// Whether the key is an RSA key whose size is not dealt with here, so that every signature fails.
fn is_odd(certificate: &CertificateDer<'_>) -> bool {
    let bits = certificate::key_of(certificate).and_then(|key| key.rsa_bits);
    bits.is_some_and(|bits| !RSA_SIZES.contains(&bits))
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
            let chain = std::iter::once(end_entity).chain(intermediates);
            self.observed().chain = chain.map(|der| der.clone().into_owned()).collect();
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
        self.check(message, certificate, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(message, certificate, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = ALGORITHMS.supported_schemes();
        schemes.extend(UNCHECKED);
        schemes
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.observed().asked_for_certificate = true;
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
