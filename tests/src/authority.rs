//! The lab's certificate authority: leaves for any name, and its revocation list.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    leaves: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes an authority with this common name.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate, leaves: Mutex::default() })
    }

    /// The authority's own certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's revocation list in DER, valid now.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn crl(&self) -> Result<Vec<u8>> {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2049, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().to_vec())
    }

    /// A certificate and its key for a name, both in PEM.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn leaf_pem(&self, name: &str) -> Result<(String, String)> {
        let (certificate, key) = self.issue(name)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn issue(&self, name: &str) -> Result<(rcgen::Certificate, KeyPair)> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name.chars().take(60).collect::<String>());
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2048, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate, key))
    }

    /// A certificate and key for a name, made once.
    fn leaf(&self, name: &str) -> Result<Arc<CertifiedKey>> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(name) {
            return Ok(Arc::clone(leaf));
        }
        let (certificate, key) = self.issue(name)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signing = ring::sign::any_supported_type(&private)?;
        let leaf = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));
        leaves.insert(name.to_owned(), Arc::clone(&leaf));
        Ok(leaf)
    }
}

/// Picks a leaf by the server name that the client sends; `fallback` names the leaf for clients that send none.
#[derive(Debug)]
struct ByName {
    authority: Arc<Authority>,
    fallback: String,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or(&self.fallback);
        self.authority.leaf(name).ok()
    }
}

/// A TLS server configuration with leaves of this authority, these ALPN protocols and TLS versions.
///
/// # Errors
/// When rustls refuses the protocol versions.
pub fn server_config(
    authority: &Arc<Authority>,
    fallback: &str,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>> {
    let resolver = ByName { authority: Arc::clone(authority), fallback: fallback.to_owned() };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}
