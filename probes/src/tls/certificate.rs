//! What is kept of one certificate for people: who, by whom, for which names, how long, with which algorithms.
//! Algorithms that nobody here has a name for are shown by their object identifier.

use x509_parser::{
    asn1_rs::{Any, Integer, Oid},
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::FromDer,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

use super::Certificate;
use crate::evidence::Escaped;

/// Names kept of one certificate: enough for a person to see whose it is.
const NAME_LIMIT: usize = 16;

/// `rsaEncryption` (RFC 8017 appendix A.1).
const RSA: &str = "1.2.840.113549.1.1.1";
/// `id-RSASSA-PSS` (RFC 8017 appendix A.2.3).
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
const EC: &str = "1.2.840.10045.2.1";

/// What algorithms and curves are called (RFC 5480, RFC 8017, RFC 8410, RFC 5639).
const WORDS: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.4", "RSA with MD5"),
    ("1.2.840.113549.1.1.5", "RSA with SHA-1"),
    (RSA_PSS, "RSASSA-PSS"),
    ("1.2.840.113549.1.1.11", "RSA with SHA-256"),
    ("1.2.840.113549.1.1.12", "RSA with SHA-384"),
    ("1.2.840.113549.1.1.13", "RSA with SHA-512"),
    ("1.2.840.113549.1.1.14", "RSA with SHA-224"),
    ("1.2.840.10045.4.1", "ECDSA with SHA-1"),
    ("1.2.840.10045.4.3.1", "ECDSA with SHA-224"),
    ("1.2.840.10045.4.3.2", "ECDSA with SHA-256"),
    ("1.2.840.10045.4.3.3", "ECDSA with SHA-384"),
    ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.10040.4.1", "DSA"),
    (RSA, "RSA"),
];

/// Keeps what people need of one certificate; one that cannot be parsed says so in its subject.
pub(super) fn read(der: &[u8]) -> Certificate {
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
        key: key(parsed.public_key()).words,
        signature: words(&parsed.signature_algorithm.algorithm),
    }
}

/// The peer's text in a form that is safe on a terminal and in a log.
pub(crate) fn escaped(text: &str) -> String {
    Escaped(text.as_bytes()).to_string()
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name { Some(escaped(name)) } else { None }
}

/// A public key as far as this agent must know it.
pub(super) struct Key {
    /// What it is called, for example `RSA key of 2048 bits`.
    pub(super) words: String,
    /// The size of an RSA key in bits.
    pub(super) rsa_bits: Option<usize>,
}

/// Names a key, and its size where that matters.
pub(super) fn key(info: &SubjectPublicKeyInfo<'_>) -> Key {
    let algorithm = &info.algorithm;
    let rsa_bits = match algorithm.algorithm.to_id_string().as_str() {
        RSA | RSA_PSS => modulus_bits(&info.subject_public_key.data),
        _ => None,
    };
    let words = match rsa_bits {
        Some(bits) if algorithm.algorithm.to_id_string() == RSA_PSS => format!("RSASSA-PSS key of {bits} bits"),
        Some(bits) => format!("RSA key of {bits} bits"),
        None => format!("{} key", kind(algorithm)),
    };
    Key { words, rsa_bits }
}

/// The key of a certificate; `None` where it cannot be parsed.
pub(super) fn key_of(der: &[u8]) -> Option<Key> {
    X509Certificate::from_der(der).ok().map(|(_, parsed)| key(parsed.public_key()))
}

/// Names an algorithm by the contents of its `AlgorithmIdentifier` (RFC 5280 section 4.1.1.2), for a key the curve.
pub(super) fn algorithm(contents: &[u8]) -> String {
    let Ok((rest, algorithm)) = Oid::from_der(contents) else { return "an unreadable algorithm".to_owned() };
    match Oid::from_der(rest) {
        Ok((_, curve)) if algorithm.to_id_string() == EC => words(&curve),
        Ok(_) | Err(_) => words(&algorithm),
    }
}

fn kind(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match curve {
        Some(curve) if algorithm.algorithm.to_id_string() == EC => words(&curve),
        Some(_) | None => words(&algorithm.algorithm),
    }
}

fn words(oid: &Oid<'_>) -> String {
    let id = oid.to_id_string();
    WORDS
        .iter()
        .find(|(known, _)| *known == id)
        .map_or_else(|| format!("algorithm {id}"), |(_, words)| (*words).to_owned())
}

/// The size of the modulus of an `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (_, sequence) = Any::from_der(key).ok()?;
    let (_, modulus) = Integer::from_der(sequence.data).ok()?;
    let bytes = modulus.as_ref();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let first = bytes.get(zeros)?;
    Some((bytes.len() - zeros) * 8 - first.leading_zeros() as usize)
}
