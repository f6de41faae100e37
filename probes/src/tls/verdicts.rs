//! Verdicts on chains: what a peer can make expensive is done beside the thread that probes, by two threads at most, and what
//! came of it is remembered for as long as no date passes. How much one chain may cost is decided in `checks.rs`; how long it
//! may wait for its turn, by the deadline of whoever asks.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    Certificate, Invalid,
    path::{Chain, Judgement},
    trust::Trust,
};
use crate::clock;

/// Chains that are verified at once; one processor remains for probing where there are two.
const AT_ONCE: usize = 2;
/// A verdict is believed for this long at most.
const BELIEVED: Duration = Duration::from_secs(3600);
/// Verdicts that are remembered; at 100 bytes each, and ten thousand endpoints with some addresses each.
const MOST: usize = 32_768;

/// A chain and the name that it is for, in short.
type Key = [u8; 32];

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
    pub(super) async fn occupy(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.room.acquire_many(AT_ONCE as u32).await.expect("it is never closed")
    }

    fn known(&self, key: &Key, now: Duration) -> Option<Judgement> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|known| known.until > now).map(|known| known.judgement.clone())
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().expect("nobody panicked").len()
    }

    fn remember(&self, key: Key, judgement: Judgement, until: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Peers that show another chain each time fill it; whoever is honest is verified once more.
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, Known { judgement, until });
    }
}

impl Trust {
    /// Judges a chain, leaf first, of which this was read.
    pub(super) async fn judge(
        &self,
        certificates: &[CertificateDer<'static>],
        read: &[Certificate],
        name: &ServerName<'static>,
    ) -> Judgement {
        let (key, now) = (key(certificates, name), clock::wall());
        if let Some(judgement) = self.verdicts().known(&key, now) {
            return judgement;
        }
        let Some(judgement) = self.verified(certificates, read, name).await else {
            return Judgement::fault(Invalid::unverified());
        };
        self.verdicts().remember(key, judgement.clone(), believed_until(read, now));
        judgement
    }

    /// The verdict of another thread; none if that died.
    async fn verified(
        &self,
        certificates: &[CertificateDer<'static>],
        read: &[Certificate],
        name: &ServerName<'static>,
    ) -> Option<Judgement> {
        let _room = self.verdicts().room.acquire().await.ok()?;
        let (trust, name) = (self.clone(), name.clone());
        let (certificates, read) = (certificates.to_vec(), read.to_vec());
        let verify = move || trust.judge_now(Chain { certificates: &certificates, read: &read }, &name);
        spawn_blocking(verify).await.ok()
    }
}

fn key(certificates: &[CertificateDer<'_>], name: &ServerName<'_>) -> Key {
    let mut hash = Sha256::new();
    let name = name.to_str();
    for part in certificates.iter().map(|der| der.as_ref()).chain([name.as_bytes()]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Until when a verdict holds: the next date of the chain that passes, or so long.
fn believed_until(read: &[Certificate], now: Duration) -> Duration {
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
