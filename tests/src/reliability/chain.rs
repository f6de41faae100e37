//! What hostile servers present: flawed certificates of the lab's authority, chains that are too long, lead in circles or
//! hold junk, and the wish for a certificate of the client's.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use serde::Deserialize;

use crate::authority::{Authority, Flaw, server_config};

/// The name that every peer of the bench goes by.
pub(super) const NAME: &str = "peer.example";

/// How a peer shakes hands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Tls {
    /// What it presents.
    chain: Chain,
    /// The protocols inside that it speaks (ALPN, RFC 7301).
    alpn: Vec<String>,
    /// `1.2` or `1.3`; both without it.
    version: Option<String>,
    /// Whether it wants a certificate of the client's.
    wants_certificate: bool,
}

/// What a peer presents.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Chain {
    /// A certificate of the lab's authority with a flaw, or none.
    Lab(Flaw),
    /// One that an inspecting firewall made.
    Inspected,
    /// One of an authority that nobody trusts.
    Foreign,
    /// A leaf below so many intermediates of a trusted root, all of which are sent.
    Long(usize),
    /// A leaf below so many intermediates of one name that sign each other in a circle.
    Maze(usize),
    /// A good leaf, and so many copies of it behind it.
    Copies(usize),
    /// A good leaf with so many names.
    Names(usize),
    /// A good leaf, and so many certificates behind it that are none.
    Junk(usize),
    /// A good leaf whose signature was spoilt.
    Forged,
}

impl Default for Chain {
    fn default() -> Self {
        Self::Lab(Flaw::None)
    }
}

/// The authorities of the bench.
pub(super) struct Identities {
    lab: Arc<Authority>,
    inspector: Arc<Authority>,
    stranger: Arc<Authority>,
    root: CertifiedIssuer<'static, KeyPair>,
}

/// Certificates, leaf first, and the leaf's key.
type Shown = (Vec<CertificateDer<'static>>, KeyPair);

impl Identities {
    /// Makes them.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub(super) fn new() -> Result<Self> {
        let new = |name: &str| Authority::new(name).map(Arc::new);
        Ok(Self {
            lab: new("Lab Root")?,
            inspector: new("Azure Firewall Manager CA")?,
            stranger: new("Root of Strangers")?,
            root: CertifiedIssuer::self_signed(authority("Deep Root"), KeyPair::generate()?)?,
        })
    }

    /// The authorities that the agent trusts, in PEM.
    pub(super) fn trusted(&self) -> String {
        self.lab.pem() + &self.root.as_ref().pem()
    }

    /// How a peer shakes hands, for rustls.
    ///
    /// # Errors
    /// When the chain cannot be made.
    pub(super) fn server(&self, tls: &Tls) -> Result<Arc<ServerConfig>> {
        let alpn: Vec<&str> = tls.alpn.iter().map(String::as_str).collect();
        let versions = versions(tls.version.as_deref())?;
        let of = |authority, flaw| server_config(authority, NAME, flaw, &alpn, &versions);
        let shown = match &tls.chain {
            Chain::Lab(flaw) if !tls.wants_certificate => return of(&self.lab, flaw),
            Chain::Inspected => return of(&self.inspector, &Flaw::None),
            Chain::Foreign => return of(&self.stranger, &Flaw::None),
            Chain::Lab(_) => self.long(0)?,
            Chain::Long(count) => self.long(*count)?,
            Chain::Maze(count) => maze(*count)?,
            Chain::Names(count) => self.with_names(*count)?,
            Chain::Copies(count) => behind(self.long(0)?, *count, |leaf| leaf.clone()),
            Chain::Junk(count) => behind(self.long(0)?, *count, |_| CertificateDer::from(vec![0x30, 0x03, 2, 1, 7])),
            Chain::Forged => self.forged()?,
        };
        self.showing(shown, tls, &versions)
    }

    fn showing(
        &self,
        (chain, key): Shown,
        tls: &Tls,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let builder = if tls.wants_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.lab.pem().as_bytes())?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build()?)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// A leaf below so many intermediates.
    fn long(&self, count: usize) -> Result<Shown> {
        let (key, leaf) = (KeyPair::generate()?, leaf(1)?);
        if count == 0 {
            return Ok((vec![leaf.signed_by(&key, &self.root)?.der().clone()], key));
        }
        let name = |number: usize| format!("Intermediate {number}");
        let mut above = KeyPair::generate()?;
        let mut chain = vec![authority(&name(0)).signed_by(&above, &self.root)?.der().clone()];
        for number in 1..count {
            let below = KeyPair::generate()?;
            let issuer = Issuer::new(authority(&name(number - 1)), above);
            chain.insert(0, authority(&name(number)).signed_by(&below, &issuer)?.der().clone());
            above = below;
        }
        let issuer = Issuer::new(authority(&name(count - 1)), above);
        chain.insert(0, leaf.signed_by(&key, &issuer)?.der().clone());
        Ok((chain, key))
    }

    fn with_names(&self, count: usize) -> Result<Shown> {
        let key = KeyPair::generate()?;
        Ok((vec![leaf(count)?.signed_by(&key, &self.root)?.der().clone()], key))
    }

    fn forged(&self) -> Result<Shown> {
        let (chain, key) = self.long(0)?;
        let mut der = chain.first().context("there is a leaf")?.to_vec();
        // The signature's last bytes are the end of the certificate (RFC 5280 section 4.1).
        let at = der.len() - 3;
        der[at] ^= 0x55;
        Ok((vec![der.into()], key))
    }
}

fn versions(text: Option<&str>) -> Result<Vec<&'static SupportedProtocolVersion>> {
    Ok(match text {
        None => vec![&TLS12, &TLS13],
        Some("1.2") => vec![&TLS12],
        Some("1.3") => vec![&TLS13],
        Some(other) => bail!("version ({other}) must be 1.2 or 1.3"),
    })
}

fn behind(
    (mut chain, key): Shown,
    count: usize,
    make: impl Fn(&CertificateDer<'static>) -> CertificateDer<'static>,
) -> Shown {
    let more: Vec<_> = chain.first().into_iter().flat_map(|leaf| (0..count).map(|_| make(leaf))).collect();
    chain.extend(more);
    (chain, key)
}

/// Whoever looks for a way through it finds one at every step, and none to a root.
fn maze(count: usize) -> Result<Shown> {
    let keys = (0..count.max(1)).map(|_| KeyPair::generate()).collect::<Result<Vec<_>, _>>()?;
    let same = || authority("One Name For All");
    let mut chain = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let signer = Issuer::new(same(), &keys[(number + 1) % keys.len()]);
        chain.push(same().signed_by(key, &signer)?.der().clone());
    }
    let key = KeyPair::generate()?;
    chain.insert(0, leaf(1)?.signed_by(&key, &Issuer::new(same(), &keys[0]))?.der().clone());
    Ok((chain, key))
}

fn leaf(names: usize) -> Result<CertificateParams> {
    let others = (1..names).map(|number| format!("other-{number}.{NAME}"));
    Ok(CertificateParams::new([NAME.to_owned()].into_iter().chain(others).collect::<Vec<_>>())?)
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_can_be_shown() {
        let identities = Identities::new().expect("ring makes keys");
        for chain in [
            Chain::default(),
            Chain::Inspected,
            Chain::Foreign,
            Chain::Long(3),
            Chain::Maze(4),
            Chain::Copies(2),
            Chain::Names(40),
            Chain::Junk(2),
            Chain::Forged,
        ] {
            let shown = format!("{chain:?}");
            for wants_certificate in [false, true] {
                let tls = Tls { chain: chain.clone(), wants_certificate, ..Tls::default() };
                identities.server(&tls).unwrap_or_else(|error| panic!("{shown}: {error:#}"));
            }
        }
    }
}
