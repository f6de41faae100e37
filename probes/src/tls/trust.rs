//! The authorities that certificates are verified against, and the client configurations built on them once.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{
    path::{Chain, Judge, Judgement},
    recording::Witness,
    signatures::ALGORITHMS,
    verdicts::Verdicts,
};
use crate::{
    clock,
    regular_file::{self, FileError},
};

/// A larger file is none of authorities, in bytes: the bundle of a distribution is 220 kB.
const LARGEST_FILE: u64 = 16 << 20;
/// Characters of the reader's words that are repeated.
const LONGEST_REASON: usize = 200;
/// The mark that some editors put before a text (Unicode section 23.8), in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The authorities that certificates are verified against. Clones share everything.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    roots: RootCertStore,
    /// The certificates of files that the operator named: a server may present one of them itself.
    own: Vec<CertificateDer<'static>>,
    clients: Arc<Clients>,
    verdicts: Verdicts,
}

/// What the configurations of each application have in common; they do not depend on the authorities.
#[derive(Debug)]
struct Clients {
    web: ClientConfig,
    http1: ClientConfig,
    tds7: ClientConfig,
    tds8: ClientConfig,
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
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The file holds no certificate.
    #[error("{}: must hold at least one PEM certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What the environment names as this machine's authorities and cannot be read to an end: a pipe would be waited for. In a
/// directory only the names count that authorities have there (openssl-rehash(1): eight hexadecimal digits and a number).
fn odd_bundle() -> Option<String> {
    let is_named = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().get(8) == Some(&b'.'));
    let folders = env::var_os("SSL_CERT_DIR").unwrap_or_default();
    let entries = env::split_paths(&folders).filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(is_named);
    let mut all = env::var_os("SSL_CERT_FILE").map(PathBuf::from).into_iter().chain(files);
    all.find_map(|path| odd_file(&path))
}

/// Why a file of the system's authorities is not opened; one that is missing is said by whoever reads it.
fn odd_file(path: &Path) -> Option<String> {
    let why = match regular_file::open(path) {
        Ok(file) if file.metadata().is_ok_and(|about| about.len() > LARGEST_FILE) => {
            "is larger than any bundle".to_owned()
        }
        Err(error @ FileError::Special) => error.to_string(),
        Ok(_) | Err(_) => return None,
    };
    Some(format!("{} {why}: no certificate can verify", path.display()))
}

impl Trust {
    /// Trusts nobody: every certificate fails, and is recorded all the same.
    pub fn none() -> Self {
        Self::new(RootCertStore::empty(), Vec::new(), Arc::new(Clients::new()))
    }

    /// Trusts whom this machine trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR` or the system's bundle), with a warning for
    /// everything that could not be read.
    pub fn system() -> (Self, Vec<String>) {
        if let Some(warning) = odd_bundle() {
            return (Self::none(), vec![warning]);
        }
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
        (Self::new(roots, Vec::new(), Arc::new(Clients::new())), warnings)
    }

    /// Trusts the authorities of one PEM file as well, and each of its certificates where a server presents that very one.
    ///
    /// # Errors
    /// [`TrustError`] when the file cannot be read, holds none, or holds something else.
    pub fn with_pem_file(&self, path: impl AsRef<Path>) -> Result<Self, TrustError> {
        let path = path.as_ref();
        // The reader may repeat the line that it does not like, which may be the whole file.
        let broken = |reason: String| {
            let reason = reason.to_lowercase().chars().take(LONGEST_REASON).collect();
            TrustError::Pem { path: path.to_owned(), reason }
        };
        let bytes = regular_file::read(path, LARGEST_FILE).map_err(|error| broken(error.to_string()))?;
        let mut roots = self.0.roots.clone();
        let mut own = self.0.own.clone();
        for (index, certificate) in CertificateDer::pem_slice_iter(&without_marks(&bytes)).enumerate() {
            let certificate = certificate.map_err(|error| broken(error.to_string()))?;
            roots.add(certificate.clone()).map_err(|_| TrustError::Authority {
                path: path.to_owned(),
                number: index + 1,
                reason: "its encoding is damaged",
            })?;
            own.push(certificate);
        }
        if own.len() == self.0.own.len() {
            return Err(TrustError::Empty { path: path.to_owned() });
        }
        Ok(Self::new(roots, own, Arc::clone(&self.0.clients)))
    }

    /// Trusts one authority, given in DER.
    #[cfg(test)]
    pub(crate) fn only(authority: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority).expect("the fixture makes authorities");
        Self::new(roots, Vec::new(), Arc::new(Clients::new()))
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

    fn new(roots: RootCertStore, own: Vec<CertificateDer<'static>>, clients: Arc<Clients>) -> Self {
        Self(Arc::new(Inner { roots, own, clients, verdicts: Verdicts::default() }))
    }

    /// The configuration for one handshake, which `witness` observes.
    pub(super) fn client(&self, application: Application, witness: Arc<Witness>) -> Arc<ClientConfig> {
        let clients = &self.0.clients;
        let mut config = ClientConfig::clone(match application {
            Application::Web => &clients.web,
            Application::Http1 => &clients.http1,
            Application::Tds7 => &clients.tds7,
            Application::Tds8 => &clients.tds8,
        });
        config.dangerous().set_certificate_verifier(Arc::clone(&witness) as _);
        config.client_auth_cert_resolver = witness;
        Arc::new(config)
    }

    /// A client that goes on only when the peer's certificate verifies against these authorities, for questions that are no
    /// probe. HTTP/1.1 alone.
    pub fn strict_client(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("ring has cipher suites for both versions")
            .with_root_certificates(self.0.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// What came of earlier chains.
    pub(super) fn verdicts(&self) -> &Verdicts {
        &self.0.verdicts
    }

    /// Judges a chain on this thread.
    pub(super) fn judge_now(&self, chain: Chain<'_>, name: &ServerName<'_>) -> Judgement {
        let (anchors, own) = (&self.0.roots.roots, &self.0.own);
        let now = UnixTime::since_unix_epoch(clock::wall());
        Judge { anchors, own, algorithms: ALGORITHMS.all, now }.judge(chain, name)
    }
}

/// The bytes without marks, which stand before the first line, and where files were put together before others.
fn without_marks(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(MARK) {
            rest = after;
        } else {
            kept.push(*byte);
            rest = &rest[1..];
        }
    }
    kept
}

impl Clients {
    fn new() -> Self {
        let provider = Arc::new(ring::default_provider());
        let client = |versions: &[&'static SupportedProtocolVersion], alpn: &[&str]| {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)
                .expect("ring has cipher suites for both versions")
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Witness::default()))
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            config
        };
        Self {
            web: client(&[&TLS13, &TLS12], &["h2", "http/1.1"]),
            http1: client(&[&TLS13, &TLS12], &["http/1.1"]),
            tds7: client(&[&TLS12], &[]),
            tds8: client(&[&TLS13, &TLS12], &["tds/8.0"]),
        }
    }
}
