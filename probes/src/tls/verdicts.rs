//! Verdicts on chains that are remembered for as long as no date passes, and room for the few that are verified at once. How they
//! are verified is in `verifying.rs`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Certificate, path::Judgement};

/// Chains that are verified at once; one processor remains for probing where there are two.
const AT_ONCE: usize = 2;
/// A verdict is believed for this long at most.
const BELIEVED: Duration = Duration::from_secs(3600);
/// Verdicts that are remembered; at 100 bytes each, and ten thousand endpoints with some addresses each.
const MOST: usize = 32_768;

/// A chain and the name that it is for, in short.
pub(super) type Key = [u8; 32];

/// What came of earlier chains.
#[derive(Debug)]
pub(super) struct Verdicts {
    known: Mutex<HashMap<Key, Known>>,
    room: Semaphore,
}

#[derive(Clone, Debug)]
struct Known {
    judgement: Judgement,
    /// Since the Unix epoch.
    until: Duration,
}

impl Default for Verdicts {
    fn default() -> Self {
        Self { known: Mutex::default(), room: Semaphore::new(AT_ONCE) }
    }
}

impl Verdicts {
    /// Keeps every chain waiting for as long as what it returns lives.
    #[cfg(test)]
    pub(super) async fn occupy(&self) -> SemaphorePermit<'_> {
        self.room.acquire_many(AT_ONCE as u32).await.expect("it is never closed")
    }

    /// What came of a chain, as far as that counts still.
    pub(super) fn known(&self, key: &Key, now: Duration) -> Option<Judgement> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|known| known.until > now).map(|known| known.judgement.clone())
    }

    /// A place among the chains that are verified at once; none where there will never be one.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().expect("nobody panicked").len()
    }

    /// Keeps what came of a chain.
    pub(super) fn remember(&self, key: Key, judgement: Judgement, until: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Peers that show another chain each time fill it; whoever is honest is verified once more.
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, Known { judgement, until });
    }
}

/// A chain, leaf first, and the name that it is for, in short.
pub(super) fn key(certificates: &[CertificateDer<'_>], name: &ServerName<'_>) -> Key {
    let mut hash = Sha256::new();
    let name = name.to_str();
    for part in certificates.iter().map(|der| der.as_ref()).chain([name.as_bytes()]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Until when a verdict holds: the next date of the chain that passes, or so long.
pub(super) fn believed_until(read: &[Certificate], now: Duration) -> Duration {
    let dates = read.iter().flat_map(|certificate| [certificate.not_before, certificate.not_after]);
    let coming = dates.filter_map(|date| u64::try_from(date).ok()).map(Duration::from_secs).filter(|date| *date >= now);
    coming.chain([now + BELIEVED]).min().unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_holds_until_a_date_passes_and_an_hour_at_most() {
        let now = Duration::from_secs(10_000);
        let read = |not_before, not_after| vec![Certificate { not_before, not_after, ..Certificate::default() }];
        for (read, until) in [
            (read(0, 10_500), 10_500),
            (read(10_100, 10_500), 10_100),
            (read(0, 1_000_000), 13_600),
            (read(-5, 9_000), 13_600),
            (Vec::new(), 13_600),
        ] {
            assert_eq!(believed_until(&read, now), Duration::from_secs(until));
        }
    }

    #[test]
    fn chains_and_names_that_differ_have_keys_that_differ() {
        let name = |name: &str| ServerName::try_from(name.to_owned()).expect("a name");
        let chain = |parts: &[&[u8]]| parts.iter().map(|part| CertificateDer::from(part.to_vec())).collect::<Vec<_>>();
        let one = key(&chain(&[b"ab", b"c"]), &name("a.example"));
        assert_eq!(one, key(&chain(&[b"ab", b"c"]), &name("a.example")));
        assert_ne!(one, key(&chain(&[b"a", b"bc"]), &name("a.example")));
        assert_ne!(one, key(&chain(&[b"ab", b"c"]), &name("b.example")));
    }
}
