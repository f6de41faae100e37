//! Whether a chain leads from a server's certificate to an authority (RFC 5280 section 6), and if not, why: a fault of the
//! peer's, or something that this agent cannot judge. Nothing is fetched: no OCSP, no missing issuer.

use std::{cell::Cell, collections::BTreeMap};

use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};
use x509_parser::{
    asn1_rs::Any,
    certificate::X509Certificate,
    extensions::{GeneralName, GeneralSubtree, NameConstraints, ParsedExtension},
    prelude::FromDer,
    x509::SubjectPublicKeyInfo,
};

use super::{Certificate, Invalid, certificate, checks::Checks};

/// Sizes of RSA keys whose signatures are checked, in bits: below is what NIST SP 800-131A has disallowed since 2014.
pub(super) const RSA_SIZES: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Intermediates of one name that are tried. Cross-signs make two or three; every further one multiplies the paths.
const OF_A_NAME: usize = 4;

/// What a chain is verified against.
pub(super) struct Judge<'a> {
    /// The authorities.
    pub(super) anchors: &'a [TrustAnchor<'static>],
    /// Certificates that are trusted as they are, whatever they are.
    pub(super) own: &'a [CertificateDer<'static>],
    /// How signatures are checked.
    pub(super) algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    /// The wall clock.
    pub(super) now: UnixTime,
}

/// A chain as it came, and what was read of it.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    /// The certificates, leaf first.
    pub(super) certificates: &'a [CertificateDer<'a>],
    /// The same, for people.
    pub(super) read: &'a [Certificate],
}

/// What is said of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Why it does not verify.
    pub(super) invalid: Option<Invalid>,
    /// The place in the chain of the certificate whose dates decide: of the verified path the one that ends first.
    pub(super) decisive: usize,
}

impl Judgement {
    /// The leaf does not verify.
    pub(super) fn fault(invalid: Invalid) -> Self {
        Self { invalid: Some(invalid), decisive: 0 }
    }
}

impl Judge<'_> {
    /// Verifies a chain for a name.
    pub(super) fn judge(&self, chain: Chain<'_>, name: &ServerName<'_>) -> Judgement {
        let Some((leaf, intermediates)) = chain.certificates.split_first() else {
            return Judgement::fault(Invalid::UnknownIssuer);
        };
        if self.own.contains(leaf) {
            let invalid = self.dates(&chain.read[0]).or_else(|| wrong_name(chain, name));
            return Judgement { invalid, decisive: 0 };
        }
        let ((tried, is_cut), checks) = (few_of_a_name(intermediates), Checks::default());
        match self.path(leaf, &tried, chain, &checks) {
            // What was left out might have led further.
            Err(Error::UnknownIssuer | Error::InvalidSignatureForPublicKey) if is_cut => {
                self.fault(&Error::MaximumPathBuildCallsExceeded, chain, name)
            }
            Err(_) if checks.is_spent() => self.fault(&Error::MaximumSignatureChecksExceeded, chain, name),
            Ok(decisive) => Judgement { invalid: wrong_name(chain, name), decisive },
            Err(error) => self.fault(&error, chain, name),
        }
    }

    /// The decisive certificate of the path that lasts longest, so that an old cross-sign that nobody needs says nothing.
    fn path(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        chain: Chain<'_>,
        checks: &Checks,
    ) -> Result<usize, Error> {
        let best: Cell<Option<(i64, usize)>> = Cell::new(None);
        let weigh = |path: &VerifiedPath<'_>| {
            let (end, place) = first_to_end(path, chain);
            best.set(best.get().filter(|(other, _)| *other >= end).or(Some((end, place))));
            // A path that lasts as long as the leaf cannot be bettered; else the search goes on.
            if place == 0 { Ok(()) } else { Err(Error::UnknownIssuer) }
        };
        let usage = KeyUsage::server_auth();
        let algorithms = checks.counting(self.algorithms);
        let algorithms: Vec<_> = algorithms.iter().map(|one| one as &dyn SignatureVerificationAlgorithm).collect();
        let found = EndEntityCert::try_from(leaf)?
            .verify_for_usage(&algorithms, self.anchors, intermediates, self.now, usage, None, Some(&weigh))
            .map(drop);
        best.get().map(|(_, place)| place).ok_or(()).or_else(|()| found.map(|()| 0))
    }

    fn dates(&self, leaf: &Certificate) -> Option<Invalid> {
        let now = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
        if now > leaf.not_after {
            Some(Invalid::Expired)
        } else if now < leaf.not_before {
            Some(Invalid::NotYetValid)
        } else {
            None
        }
    }

    /// Puts the verifier's refusal into words.
    fn fault(&self, error: &Error, chain: Chain<'_>, name: &ServerName<'_>) -> Judgement {
        let at = |time: &UnixTime, date: fn(&Certificate) -> i64| {
            let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            chain.read.iter().position(|certificate| date(certificate) == seconds).unwrap_or(0)
        };
        match error {
            Error::CertExpired { not_after, .. } => {
                Judgement { invalid: Some(Invalid::Expired), decisive: at(not_after, |read| read.not_after) }
            }
            Error::CertNotValidYet { not_before, .. } => {
                Judgement { invalid: Some(Invalid::NotYetValid), decisive: at(not_before, |read| read.not_before) }
            }
            Error::UnknownIssuer => Judgement::fault(Invalid::UnknownIssuer),
            error => match self.limit(error, chain) {
                Some(limit) => Judgement::fault(self.fault_beside(chain, name).unwrap_or(Invalid::Beyond(limit))),
                None => Judgement::fault(Invalid::Other(broken_rule(error).to_owned())),
            },
        }
    }

    /// What this agent cannot do with the chain; `None` where the peer broke a rule.
    fn limit(&self, error: &Error, chain: Chain<'_>) -> Option<String> {
        match error {
            Error::UnsupportedSignatureAlgorithmContext(context) => {
                let signature = certificate::algorithm(&context.signature_algorithm_id);
                Some(format!("a certificate of its chain is signed by {signature}"))
            }
            Error::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
                let signature = certificate::algorithm(&context.signature_algorithm_id);
                let key = certificate::algorithm(&context.public_key_algorithm_id);
                Some(format!("a certificate of its chain is signed by {signature} under a key of {key}"))
            }
            Error::InvalidSignatureForPublicKey => {
                self.odd_rsa_key(chain).map(|key| format!("a certificate of its chain is signed with an {key}"))
            }
            Error::CaUsedAsEndEntity => Some("it is an authority's own certificate (CA:TRUE)".to_owned()),
            Error::UnsupportedCertVersion => Some("a certificate of its chain is X.509 version 1 or 2".to_owned()),
            Error::UnsupportedCriticalExtension => {
                Some("a certificate of its chain has a critical extension that is not known here".to_owned())
            }
            Error::NameConstraintViolation => self.names_of_other_kinds(chain),
            Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded
            | Error::MaximumNameConstraintComparisonsExceeded => {
                Some("there are more ways from it to an authority than are tried".to_owned())
            }
            _ => None,
        }
    }

    /// The first RSA key among the issuers whose signatures are not checked here for its size.
    fn odd_rsa_key(&self, chain: Chain<'_>) -> Option<String> {
        let shown = chain.certificates.iter().skip(1).filter_map(|der| certificate::key_of(der));
        let issuers = chain.certificates.iter().filter_map(|der| names(der)).map(|(_, issuer)| issuer);
        let trusted = issuers.flat_map(|issuer| {
            let anchors = self.anchors.iter().filter(move |anchor| anchor.subject.as_ref() == issuer);
            anchors.filter_map(|anchor| {
                let info = sequence(&anchor.subject_public_key_info);
                SubjectPublicKeyInfo::from_der(&info).ok().map(|(_, info)| certificate::key(&info))
            })
        });
        shown
            .chain(trusted)
            .find(|key| key.rsa_bits.is_some_and(|bits| !RSA_SIZES.contains(&bits)))
            .map(|key| key.words)
    }

    /// Constraints on directory names and the like are counted as broken by the verifier, which cannot read them.
    fn names_of_other_kinds(&self, chain: Chain<'_>) -> Option<String> {
        let mut others = false;
        let mut look = |constraints: &NameConstraints<'_>| -> bool {
            let subtrees = [&constraints.permitted_subtrees, &constraints.excluded_subtrees];
            others |= subtrees
                .into_iter()
                .flatten()
                .flatten()
                .any(|subtree| !matches!(subtree.base, GeneralName::DNSName(_) | GeneralName::IPAddress(_)));
            chain.read.first().is_some_and(|leaf| is_outside(leaf, constraints))
        };
        let mut outside = false;
        for der in chain.certificates {
            let Ok((_, parsed)) = X509Certificate::from_der(der) else { continue };
            for extension in parsed.extensions() {
                if let ParsedExtension::NameConstraints(constraints) = extension.parsed_extension() {
                    outside |= look(constraints);
                }
            }
        }
        for constraints in self.anchors.iter().filter_map(|anchor| anchor.name_constraints.as_ref()) {
            if let Ok((_, constraints)) = NameConstraints::from_der(&sequence(constraints)) {
                outside |= look(&constraints);
            }
        }
        let words = "its authority is constrained to directory names or other names that are not compared here";
        (others && !outside).then(|| words.to_owned())
    }

    /// What is wrong with a chain besides what cannot be judged: dates, name, and an issuer that nobody trusts.
    fn fault_beside(&self, chain: Chain<'_>, name: &ServerName<'_>) -> Option<Invalid> {
        let leaf = chain.read.first()?;
        self.dates(leaf).or_else(|| (!self.leads_to_an_anchor(chain)).then_some(Invalid::UnknownIssuer)).or_else(|| {
            let wrong = wrong_name(chain, name)?;
            // A version without extensions has no names that could be wrong.
            matches!(wrong, Invalid::WrongName).then_some(wrong)
        })
    }

    /// Whether the names of issuers lead to an authority, whatever the signatures are.
    fn leads_to_an_anchor(&self, chain: Chain<'_>) -> bool {
        let Some((leaf, (subject, mut issuer))) =
            chain.certificates.first().and_then(|leaf| Some((leaf, names(leaf)?)))
        else {
            return false;
        };
        // One that signed itself leads nowhere, unless it is an authority itself and not one of the same name.
        if subject == issuer {
            let key = X509Certificate::from_der(leaf).ok().map(|(_, parsed)| parsed.public_key().raw.to_vec());
            let is_same =
                |anchor: &TrustAnchor<'_>| key.as_deref() == Some(&*sequence(&anchor.subject_public_key_info));
            return self.anchors.iter().any(|anchor| anchor.subject.as_ref() == subject && is_same(anchor));
        }
        for _ in 0..chain.certificates.len() {
            if self.anchors.iter().any(|anchor| anchor.subject.as_ref() == issuer) {
                return true;
            }
            let next = chain.certificates.iter().skip(1).filter_map(|der| names(der)).find(|(of, _)| *of == issuer);
            match next {
                Some((_, next)) => issuer = next,
                None => return false,
            }
        }
        false
    }
}

/// The intermediates without repetitions, and of each name the first few; whether others were left out.
fn few_of_a_name<'a>(intermediates: &[CertificateDer<'a>]) -> (Vec<CertificateDer<'a>>, bool) {
    let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut kept: Vec<CertificateDer<'a>> = Vec::new();
    for der in intermediates {
        let subject = names(der).map(|(subject, _)| subject.to_vec()).unwrap_or_default();
        let count = counts.entry(subject).or_default();
        if !kept.contains(der) {
            *count += 1;
            if *count <= OF_A_NAME {
                kept.push(der.clone());
            }
        }
    }
    let is_cut = counts.values().any(|count| *count > OF_A_NAME);
    (kept, is_cut)
}

/// End and place of the certificate of a path that ends first. An authority has no end here: clients do not look at it.
fn first_to_end(path: &VerifiedPath<'_>, chain: Chain<'_>) -> (i64, usize) {
    let place = |der: &CertificateDer<'_>| chain.certificates.iter().position(|shown| shown == der);
    let intermediates = path.intermediate_certificates().filter_map(|certificate| place(&certificate.der()));
    let ends = std::iter::once(0).chain(intermediates).map(|place| (chain.read[place].not_after, place));
    ends.min().unwrap_or((i64::MAX, 0))
}

/// The fault of a certificate that is not for this name (RFC 9525 section 6).
fn wrong_name(chain: Chain<'_>, name: &ServerName<'_>) -> Option<Invalid> {
    let leaf = chain.read.first()?;
    let fits = EndEntityCert::try_from(chain.certificates.first()?)
        .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok());
    if fits {
        None
    } else if leaf.names.is_empty() && common_name_fits(&leaf.subject, &name.to_str()) {
        Some(Invalid::NoNames)
    } else {
        Some(Invalid::WrongName)
    }
}

/// Whether a subject's common name is this name, as clients took it before alternative names were required.
fn common_name_fits(subject: &str, name: &str) -> bool {
    let names = subject.split(", ").filter_map(|part| part.strip_prefix("CN="));
    let fits = |common: &str| match common.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => common.eq_ignore_ascii_case(name),
    };
    names.into_iter().any(fits)
}

/// Subject and issuer, each as the contents of its DER sequence.
fn names<'a>(der: &'a CertificateDer<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let contents = |name: &'a [u8]| Any::from_der(name).ok().map(|(_, name)| name.data);
    Some((contents(parsed.tbs_certificate.subject.as_raw())?, contents(parsed.tbs_certificate.issuer.as_raw())?))
}

/// Whether one of the certificate's DNS names lies outside what an authority may certify (RFC 5280 section 4.2.1.10).
fn is_outside(leaf: &Certificate, constraints: &NameConstraints<'_>) -> bool {
    let bases = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| -> Vec<String> {
        let bases = subtrees.iter().flatten().filter_map(|subtree| match subtree.base {
            GeneralName::DNSName(base) => Some(base.trim_start_matches('.').to_ascii_lowercase()),
            _ => None,
        });
        bases.collect()
    };
    let within = |name: &str, base: &String| {
        let name = name.to_ascii_lowercase();
        base.is_empty() || name == *base || name.strip_suffix(base.as_str()).is_some_and(|rest| rest.ends_with('.'))
    };
    let (permitted, excluded) = (bases(&constraints.permitted_subtrees), bases(&constraints.excluded_subtrees));
    leaf.names.iter().any(|name| {
        let refused = !permitted.is_empty() && !permitted.iter().any(|base| within(name, base));
        refused || excluded.iter().any(|base| within(name, base))
    })
}

/// Contents with the header of a DER sequence before them (X.690 section 8.1.3).
fn sequence(contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let header = match length {
        0..=0x7f => vec![0x30, length as u8],
        0x80..=0xff => vec![0x30, 0x81, length as u8],
        _ => vec![0x30, 0x82, (length >> 8) as u8, length as u8],
    };
    [&header, contents].concat()
}

/// The rule that a chain breaks.
fn broken_rule(error: &Error) -> &'static str {
    match error {
        Error::InvalidSignatureForPublicKey => "a signature in its chain does not fit its issuer's key",
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            "it is not meant for servers (extended key usage)"
        }
        Error::EndEntityUsedAsCa => "a certificate that is no authority's signed another",
        Error::PathLenConstraintViolated => "its chain is longer than an authority in it allows",
        Error::NameConstraintViolation => "its name lies outside what its authority may certify",
        Error::InvalidCertValidity => "its validity ends before it begins",
        Error::CertRevoked | Error::CertDistrusted => "an authority in its chain is distrusted",
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => "a certificate of its chain is damaged",
        Error::InvalidSerialNumber | Error::ExtensionValueInvalid | Error::MalformedExtensions => {
            "a certificate of its chain breaks RFC 5280"
        }
        _ => "a certificate of its chain breaks RFC 5280 in a way that has no name here",
    }
}
