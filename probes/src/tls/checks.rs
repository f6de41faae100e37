//! How many signatures of one chain are checked: each once, however many paths lead over it, and no more than a bound, as a
//! peer chooses its chain and a check takes up to two milliseconds.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use sha2::{Digest, Sha256};

/// Checks for one chain. An honest one needs one for each certificate, and one more for each cross-sign.
const MOST: usize = 24;

/// The checks of one chain.
#[derive(Debug, Default)]
pub(super) struct Checks {
    made: Mutex<HashMap<[u8; 32], Result<(), InvalidSignature>>>,
    is_spent: AtomicBool,
}

impl Checks {
    /// These algorithms, whose checks are counted here.
    pub(super) fn counting<'a>(&'a self, algorithms: &'a [&'a dyn SignatureVerificationAlgorithm]) -> Vec<Counted<'a>> {
        algorithms.iter().map(|algorithm| Counted { algorithm: *algorithm, checks: self }).collect()
    }

    /// Whether a check was left out.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.load(Ordering::Relaxed)
    }
}

/// An algorithm whose checks are counted.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    algorithm: &'a dyn SignatureVerificationAlgorithm,
    checks: &'a Checks,
}

impl SignatureVerificationAlgorithm for Counted<'_> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let id = id([key, message, signature, &self.signature_alg_id(), &self.public_key_alg_id()]);
        let mut made = self.checks.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = made.get(&id) {
            return *result;
        }
        if made.len() >= MOST {
            self.checks.is_spent.store(true, Ordering::Relaxed);
            return Err(InvalidSignature);
        }
        let result = self.algorithm.verify_signature(key, message, signature);
        made.insert(id, result);
        result
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

fn id(parts: [&[u8]; 5]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
