//! The lab's certificate authority: leaves for any name, and its revocation list.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
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
use serde::Deserialize;

use crate::sim::world::World;

/// One day.
const DAY: Duration = Duration::from_secs(86_400);
/// Further names of every certificate: real ones list dozens, so that a handshake does not fit one packet.
const ORDINARY_NAMES: u32 = 36;
/// Further names on a certificate that is large: together about 12 KiB.
const MANY_NAMES: u32 = 250;

/// What is wrong with a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// It was valid until three days ago.
    Expired,
    /// It will be valid in three days.
    NotYetValid,
    /// It is for another name.
    WrongName {
        /// That name.
        name: String,
    },
    /// It signed itself.
    SelfSigned,
    /// Nothing, but it has very many names.
    Large,
}

/// A certificate authority, or several that speak as one.
pub struct Authority {
    /// One issues all certificates of a name.
    issuers: Vec<(Issuer<'static, KeyPair>, rcgen::Certificate)>,
    world: World,
    /// By name, flaw and the world's offset when it was made.
    leaves: Mutex<BTreeMap<(String, Flaw, i64), Arc<CertifiedKey>>>,
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
        Self::in_world(common_name, World::default())
    }

    /// Makes an authority that lives by this world's clock; its own certificate is valid by every clock.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn in_world(common_name: &str, world: World) -> Result<Self> {
        Self::several(&[common_name], world)
    }

    /// Makes authorities with these common names that share the work, as those of the web do: unrelated hosts have
    /// unrelated issuers.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn several(common_names: &[&str], world: World) -> Result<Self> {
        let issuers = common_names.iter().map(|name| Self::issuer(name)).collect::<Result<_>>()?;
        Ok(Self { issuers, world, leaves: Mutex::default() })
    }

    fn issuer(common_name: &str) -> Result<(Issuer<'static, KeyPair>, rcgen::Certificate)> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok((Issuer::new(params, key), certificate))
    }

    /// The authority's own certificate in PEM, or those of all.
    pub fn pem(&self) -> String {
        self.issuers.iter().map(|(_, certificate)| certificate.pem()).collect()
    }

    /// The issuer of a name's certificates: the same name has always the same.
    fn issuer_of(&self, name: &str) -> &Issuer<'static, KeyPair> {
        let sum: usize = name.bytes().map(usize::from).sum();
        &self.issuers[sum % self.issuers.len()].0
    }

    /// The clock that it lives by.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The authority's revocation list in DER, valid by the world's clock: a week old, the next one due in three months.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn crl(&self) -> Result<Vec<u8>> {
        let now = self.world.now();
        self.signed_list(now.saturating_sub(DAY * 7), now + DAY * 90)
    }

    /// The authority's revocation list in DER, replaced by a newer one that many days ago.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn crl_overdue(&self, days: u32) -> Result<Vec<u8>> {
        let due = self.world.now().saturating_sub(DAY * days);
        self.signed_list(due.saturating_sub(DAY * 97), due)
    }

    fn signed_list(&self, made: Duration, next: Duration) -> Result<Vec<u8>> {
        let epoch = date_time_ymd(1970, 1, 1);
        let params = CertificateRevocationListParams {
            this_update: epoch + Duration::from_secs(made.as_secs()),
            next_update: epoch + Duration::from_secs(next.as_secs()),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuers[0].0)?.der().to_vec())
    }

    /// A certificate and its key for a name, both in PEM.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn leaf_pem(&self, name: &str) -> Result<(String, String)> {
        let (certificate, key) = self.issue(name, &Flaw::None)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn issue(&self, name: &str, flaw: &Flaw) -> Result<(rcgen::Certificate, KeyPair)> {
        let name = if let Flaw::WrongName { name } = flaw { name } else { name };
        let more = if *flaw == Flaw::Large { MANY_NAMES } else { ORDINARY_NAMES };
        let others = (0..more).map(|number| format!("one-of-very-many-names-{number}.{name}"));
        let names: Vec<String> = std::iter::once(name.to_owned()).chain(others).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name.chars().take(60).collect::<String>());
        let now = self.world.now();
        let (from, to) = match flaw {
            Flaw::Expired => (now.saturating_sub(DAY * 368), now.saturating_sub(DAY * 3)),
            Flaw::NotYetValid => (now + DAY * 3, now + DAY * 368),
            Flaw::None | Flaw::WrongName { .. } | Flaw::SelfSigned | Flaw::Large => {
                (now.saturating_sub(DAY * 65), now + DAY * 300)
            }
        };
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(from.as_secs());
        params.not_after = epoch + Duration::from_secs(to.as_secs());
        let key = KeyPair::generate()?;
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key)?,
            _ => params.signed_by(&key, self.issuer_of(name))?,
        };
        Ok((certificate, key))
    }

    /// A certificate and key for a name, made once.
    fn leaf(&self, name: &str, flaw: &Flaw) -> Result<Arc<CertifiedKey>> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        let what = (name.to_owned(), flaw.clone(), self.world.offset());
        if let Some(leaf) = leaves.get(&what) {
            return Ok(Arc::clone(leaf));
        }
        let (certificate, key) = self.issue(name, flaw)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signing = ring::sign::any_supported_type(&private)?;
        let leaf = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));
        leaves.insert(what, Arc::clone(&leaf));
        Ok(leaf)
    }
}

/// Picks a leaf by the server name that the client sends; `fallback` names the leaf for clients that send none.
#[derive(Debug)]
struct ByName {
    authority: Arc<Authority>,
    fallback: String,
    flaw: Flaw,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or(&self.fallback);
        self.authority.leaf(name, &self.flaw).ok()
    }
}

/// A TLS server configuration with leaves of this authority and with this flaw, these ALPN protocols and TLS versions.
///
/// # Errors
/// When rustls refuses the protocol versions.
pub fn server_config(
    authority: &Arc<Authority>,
    fallback: &str,
    flaw: &Flaw,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>> {
    let resolver = ByName { authority: Arc::clone(authority), fallback: fallback.to_owned(), flaw: flaw.clone() };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}
