//! The authorities that certificates are verified against, and the client configurations built on them once.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::recording::Witness;
use crate::clock;

/// The authorities that certificates are verified against. Clones share everything.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    roots: Arc<RootCertStore>,
    /// `None` without any authority.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    clients: Arc<Clients>,
}

/// One client configuration per application; they do not depend on the authorities.
#[derive(Debug)]
struct Clients {
    provider: Arc<CryptoProvider>,
    web: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    tds7: Arc<ClientConfig>,
    tds8: Arc<ClientConfig>,
}

/// What speaks inside TLS, which decides versions and ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Application {
    /// HTTP/2 or HTTP/1.1.
    Web,
    /// HTTP/1.1 alone, for a peer that refused the other.
    Http1,
    /// TDS 7.x: TLS 1.2 without ALPN (MS-TDS 2.2.6.5).
    Tds7,
    /// TDS 8.0: ALPN `tds/8.0` (MS-TDS 2.2.6.5).
    Tds8,
}

/// Why a file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("{}: certificates must be readable PEM: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The reader's words.
        reason: String,
    },
    /// A certificate in the file cannot be an authority.
    #[error("{}: certificate {number} must be an X.509 authority: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Its place in the file, from 1.
        number: usize,
        /// The parser's words.
        reason: String,
    },
    /// The file holds no certificate.
    #[error("{}: must hold at least one PEM certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Trust {
    /// Trusts nobody: every certificate fails, and is recorded all the same.
    pub fn none() -> Self {
        Self::new(RootCertStore::empty(), Arc::new(Clients::new()))
    }

    /// Trusts whom this machine trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR` or the system's bundle), with a warning for
    /// everything that could not be read.
    pub fn system() -> (Self, Vec<String>) {
        let found = rustls_native_certs::load_native_certs();
        let mut warnings: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let mut roots = RootCertStore::empty();
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 {
            warnings.push(format!("{ignored} certificates of the system's bundle cannot be authorities"));
        }
        if roots.is_empty() {
            warnings.push("the system's bundle holds no authority: no certificate can verify".to_owned());
        }
        (Self::new(roots, Arc::new(Clients::new())), warnings)
    }

    /// Trusts the authorities of one PEM file as well.
    ///
    /// # Errors
    /// [`TrustError`] when the file cannot be read, holds none, or holds something else.
    pub fn with_pem_file(&self, path: impl AsRef<Path>) -> Result<Self, TrustError> {
        let path = path.as_ref();
        let pem = |error: rustls::pki_types::pem::Error| TrustError::Pem {
            path: path.to_owned(),
            reason: error.to_string().to_lowercase(),
        };
        let mut roots = RootCertStore::clone(&self.0.roots);
        let mut count = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(pem)? {
            count += 1;
            roots.add(certificate.map_err(pem)?).map_err(|error| TrustError::Authority {
                path: path.to_owned(),
                number: count,
                reason: error.to_string(),
            })?;
        }
        if count == 0 {
            return Err(TrustError::Empty { path: path.to_owned() });
        }
        Ok(Self::new(roots, Arc::clone(&self.0.clients)))
    }

    /// Trusts one authority, given in DER.
    #[cfg(test)]
    pub(crate) fn only(authority: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority).expect("the fixture makes authorities");
        Self::new(roots, Arc::new(Clients::new()))
    }

    /// Whether there is no authority at all, a fault of this machine.
    pub fn is_empty(&self) -> bool {
        self.0.roots.is_empty()
    }

    /// How many authorities there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.roots.len()
    }

    fn new(roots: RootCertStore, clients: Arc<Clients>) -> Self {
        let roots = Arc::new(roots);
        let provider = Arc::clone(&clients.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build().ok();
        Self(Arc::new(Inner { roots, verifier, clients }))
    }

    pub(super) fn client(&self, application: Application) -> Arc<ClientConfig> {
        let clients = &self.0.clients;
        Arc::clone(match application {
            Application::Web => &clients.web,
            Application::Http1 => &clients.http1,
            Application::Tds7 => &clients.tds7,
            Application::Tds8 => &clients.tds8,
        })
    }

    /// Verifies a chain, leaf first, now. Nothing is fetched: no OCSP, no missing issuer.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Result<(), CertificateError> {
        let (Some((leaf, rest)), Some(verifier)) = (chain.split_first(), &self.0.verifier) else {
            return Err(CertificateError::UnknownIssuer);
        };
        let now = UnixTime::since_unix_epoch(clock::wall());
        match verifier.verify_server_cert(leaf, rest, name, &[], now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(error)) => Err(error),
            Err(error) => Err(CertificateError::Other(rustls::OtherError(Arc::new(error)))),
        }
    }
}

impl Clients {
    fn new() -> Self {
        let provider = Arc::new(ring::default_provider());
        let client = |versions: &[&'static SupportedProtocolVersion], alpn: &[&str]| {
            let witness = Arc::new(Witness::new(provider.signature_verification_algorithms));
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)
                .expect("ring has cipher suites for both versions")
                .dangerous()
                .with_custom_certificate_verifier(witness)
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            Arc::new(config)
        };
        Self {
            web: client(&[&TLS13, &TLS12], &["h2", "http/1.1"]),
            http1: client(&[&TLS13, &TLS12], &["http/1.1"]),
            tds7: client(&[&TLS12], &[]),
            tds8: client(&[&TLS13, &TLS12], &["tds/8.0"]),
            provider,
        }
    }
}
