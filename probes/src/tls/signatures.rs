//! The signatures that are checked: those of ring, and beside them ECDSA on P-521 or with SHA-512 and RSASSA-PSS keys, which
//! ring leaves out and whole authorities of companies use. Checked only, never made.

use std::sync::LazyLock;

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use rustls::{
    SignatureScheme,
    crypto::{WebPkiSupportedAlgorithms, ring},
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use sha2::{Digest, Sha256, Sha384, Sha512};

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Every algorithm, ring's own first, so that peers choose one of those where they can.
pub(super) static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let usual = ring::default_provider().signature_verification_algorithms;
    let more = ECDSA.iter().map(|one| one as Algorithm).chain(PSS.iter().map(|one| one as Algorithm));
    let mut mapping: Vec<(SignatureScheme, &'static [Algorithm])> =
        usual.mapping.iter().map(|(scheme, usual)| (*scheme, with_p521(*scheme, usual))).collect();
    mapping.push((SignatureScheme::ECDSA_NISTP521_SHA512, hashed_by(alg_id::ECDSA_SHA512, &[])));
    for (scheme, signature) in PSS_SCHEMES {
        let keys = PSS.iter().filter(|one| one.signature_alg_id() == signature).map(|one| one as Algorithm);
        mapping.push((scheme, keys.collect::<Vec<_>>().leak()));
    }
    WebPkiSupportedAlgorithms {
        all: usual.all.iter().copied().chain(more).collect::<Vec<_>>().leak(),
        mapping: mapping.leak(),
    }
});

/// The schemes of keys that are for RSASSA-PSS only (RFC 8446 section 4.2.3, `rsa_pss_pss_*`).
pub(super) const PSS_SCHEMES: [(SignatureScheme, AlgorithmIdentifier); 3] = [
    (SignatureScheme::Unknown(0x0809), alg_id::RSA_PSS_SHA256),
    (SignatureScheme::Unknown(0x080a), alg_id::RSA_PSS_SHA384),
    (SignatureScheme::Unknown(0x080b), alg_id::RSA_PSS_SHA512),
];

/// Schemes that are offered last and cannot be checked, so that a peer with such a key shows its chain at least: Ed448 (RFC
/// 8446 section 4.2.3) and the Brainpool curves (RFC 8734).
pub(super) const UNCHECKED: [SignatureScheme; 4] = [
    SignatureScheme::ED448,
    SignatureScheme::Unknown(0x081a),
    SignatureScheme::Unknown(0x081b),
    SignatureScheme::Unknown(0x081c),
];

/// In TLS 1.2 a scheme names the hash alone, and any curve may come with it (RFC 5246 section 7.4.1.4.1).
fn with_p521(scheme: SignatureScheme, usual: &'static [Algorithm]) -> &'static [Algorithm] {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => hashed_by(alg_id::ECDSA_SHA256, usual),
        SignatureScheme::ECDSA_NISTP384_SHA384 => hashed_by(alg_id::ECDSA_SHA384, usual),
        _ => usual,
    }
}

fn hashed_by(signature: AlgorithmIdentifier, usual: &[Algorithm]) -> &'static [Algorithm] {
    let more = ECDSA.iter().filter(|one| one.signature == signature).map(|one| one as Algorithm);
    usual.iter().copied().chain(more).collect::<Vec<_>>().leak()
}

/// An ECDSA signature that ring does not check.
#[derive(Debug)]
struct Ecdsa {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    /// Takes the key (SEC 1 section 2.3.3), the message and the signature (RFC 3279 section 2.2.3).
    holds: fn(&[u8], &[u8], &[u8]) -> bool,
}

/// The hash as the curve's arithmetic wants it: as an integer of at least half the field's length.
macro_rules! ecdsa {
    ($curve:ident, $hash:ident) => {
        |key, message, signature| {
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(key);
            let signature = $curve::ecdsa::DerSignature::try_from(signature);
            let hash = $hash::digest(message);
            let mut padded = [0; 64];
            padded[64 - hash.len()..].copy_from_slice(&hash);
            let prehash: &[u8] = if hash.len() < 33 { &padded } else { &hash };
            matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_prehash(prehash, &signature).is_ok())
        }
    };
}

/// P-521 first: TLS 1.3 binds the scheme with SHA-512 to that curve.
static ECDSA: [Ecdsa; 5] = [
    Ecdsa { key: alg_id::ECDSA_P521, signature: alg_id::ECDSA_SHA512, holds: ecdsa!(p521, Sha512) },
    Ecdsa { key: alg_id::ECDSA_P521, signature: alg_id::ECDSA_SHA384, holds: ecdsa!(p521, Sha384) },
    Ecdsa { key: alg_id::ECDSA_P521, signature: alg_id::ECDSA_SHA256, holds: ecdsa!(p521, Sha256) },
    Ecdsa { key: alg_id::ECDSA_P384, signature: alg_id::ECDSA_SHA512, holds: ecdsa!(p384, Sha512) },
    Ecdsa { key: alg_id::ECDSA_P256, signature: alg_id::ECDSA_SHA512, holds: ecdsa!(p256, Sha512) },
];

impl SignatureVerificationAlgorithm for Ecdsa {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if (self.holds)(key, message, signature) { Ok(()) } else { Err(InvalidSignature) }
    }
}

/// `id-RSASSA-PSS` without parameters: a key for any hash (RFC 4055 section 3.1).
const ANY_PSS: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a]);

/// An RSASSA-PSS signature under a key that is for nothing else; the arithmetic is that of ordinary RSA keys.
#[derive(Debug)]
struct Pss {
    key: AlgorithmIdentifier,
    arithmetic: &'static Algorithm,
}

static PSS: [Pss; 6] = [
    Pss { key: ANY_PSS, arithmetic: &webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY },
    Pss { key: ANY_PSS, arithmetic: &webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY },
    Pss { key: ANY_PSS, arithmetic: &webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY },
    Pss { key: alg_id::RSA_PSS_SHA256, arithmetic: &webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY },
    Pss { key: alg_id::RSA_PSS_SHA384, arithmetic: &webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY },
    Pss { key: alg_id::RSA_PSS_SHA512, arithmetic: &webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY },
];

impl SignatureVerificationAlgorithm for Pss {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.arithmetic.signature_alg_id()
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.arithmetic.verify_signature(key, message, signature)
    }
}
