//! The certificate that a peer showed, as JSON.

use ase_probes::{
    outcome::Outcome,
    tls::{Handshake, Invalid},
};
use serde::Serialize;

use crate::{
    model::endpoint::{EndpointView, earliest_expiry},
    readers::summary::rfc3339_seconds,
};

/// The certificate that the peer showed at the last visit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CertificateEntry<'a> {
    subject: &'a str,
    issuer: &'a str,
    names: &'a [String],
    not_before: String,
    not_after: String,
    chain_expires: Option<String>,
    invalid: Option<&'a str>,
    tls_version: Option<&'static str>,
}

impl<'a> CertificateEntry<'a> {
    /// The entry of an endpoint, if its last visit was shown a certificate.
    pub(super) fn of(view: &'a EndpointView) -> Option<Self> {
        let shown = |tls: &&Handshake| !tls.chain.is_empty();
        let tls = view.last.as_ref()?.outcomes.iter().filter_map(Outcome::handshake).find(shown)?;
        let leaf = tls.chain.first()?;
        Some(Self {
            subject: &leaf.subject,
            issuer: &leaf.issuer,
            names: &leaf.names,
            not_before: rfc3339_seconds(leaf.not_before),
            not_after: rfc3339_seconds(leaf.not_after),
            chain_expires: earliest_expiry(view).map(|expiry| rfc3339_seconds(expiry.certificate.not_after)),
            invalid: tls.invalid.as_ref().map(invalid),
            tls_version: tls.version,
        })
    }
}

fn invalid(invalid: &Invalid) -> &str {
    match invalid {
        Invalid::Expired => "expired",
        Invalid::NotYetValid => "not yet valid",
        Invalid::WrongName => "wrong name",
        Invalid::NoNames => "no alternative name",
        Invalid::UnknownIssuer => "unknown issuer",
        Invalid::Other(words) | Invalid::Beyond(words) => words,
    }
}
