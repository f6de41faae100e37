//! How a chain is judged: what a peer can make expensive is done beside the thread that probes, by two threads at most, and what
//! came of it is remembered. How much one chain may cost is decided in `checks.rs`; how long it may wait for its turn, by the
//! deadline of whoever asks.

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::task::spawn_blocking;

use super::{
    Certificate, Invalid,
    path::{Chain, Judgement},
    trust::Trust,
    verdicts::{believed_until, key},
};
use crate::clock;

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
        let _place = self.verdicts().place().await?;
        let (trust, name) = (self.clone(), name.clone());
        let (certificates, read) = (certificates.to_vec(), read.to_vec());
        let verify = move || trust.judge_now(Chain { certificates: &certificates, read: &read }, &name);
        spawn_blocking(verify).await.ok()
    }
}
