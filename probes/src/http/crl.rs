//! Certificate revocation lists (RFC 5280 section 5): whether bytes are one, and until when it counts.

use std::{fmt, time::Duration};

use tokio::{sync::Semaphore, task::spawn_blocking};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::tls::{Utc, escaped};

/// Bytes of a list that are read: most lists of public authorities are far smaller; of a longer one only its start speaks.
pub(super) const LIMIT: usize = 1024 * 1024;
/// Bytes of a list that is read at once, beside everything else: it takes a millisecond.
const SHORT: usize = 32 * 1024;
/// Longer lists that are read at once: where there are two processors, one remains for probing.
const AT_ONCE: usize = 1;
/// Who waits for a place has to be done before its deadline, as with everything else.
static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);
/// The DER tag of a SEQUENCE (X.690 section 8.9).
const SEQUENCE: u8 = 0x30;

/// What is kept of a certificate revocation list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crl {
    /// The issuer, escaped.
    pub issuer: String,
    /// When the list was made, seconds since the Unix epoch.
    pub this_update: i64,
    /// When the next list is due, seconds since the Unix epoch.
    pub next_update: Option<i64>,
    /// How many certificates it revokes.
    pub revoked: usize,
    /// Whether the next list was already due when this one came.
    pub overdue: bool,
}

impl fmt::Display for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CRL of {} made {}, {} revoked", self.issuer, Utc(self.this_update), self.revoked)?;
        match self.next_update {
            Some(next) if self.overdue => write!(f, ", next update was due {}", Utc(next)),
            Some(next) => write!(f, ", next update {}", Utc(next)),
            None => f.write_str(", without a next update"),
        }
    }
}

/// Reads a list as [`parse`] does, a long one beside the thread that probes: tens of thousands of certificates may be named there.
pub(super) async fn read(der: Vec<u8>, now: Duration) -> Option<Crl> {
    if der.len() <= SHORT {
        return parse(&der, now);
    }
    let place = ROOM.acquire().await.ok()?;
    let read = move || {
        // Taken until it was read, whether or not anybody still waits for it.
        let _place = place;
        parse(&der, now)
    };
    spawn_blocking(read).await.ok().flatten()
}

/// Reads a list in DER; `None` if the bytes are anything else. `now` is the time since the Unix epoch.
pub(super) fn parse(der: &[u8], now: Duration) -> Option<Crl> {
    let (rest, list) = CertificateRevocationList::from_der(der).ok()?;
    let next_update = list.next_update().map(|time| time.timestamp());
    rest.is_empty().then(|| Crl {
        issuer: escaped(&list.issuer().to_string()),
        this_update: list.last_update().timestamp(),
        next_update,
        revoked: list.iter_revoked_certificates().count(),
        overdue: next_update.is_some_and(|next| next < i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
    })
}

/// Whether bytes begin like a DER structure of more than 64 KiB.
pub(super) fn looks_like_der(start: &[u8]) -> bool {
    matches!(start, [SEQUENCE, 0x83 | 0x84, ..])
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;

    #[tokio::test]
    async fn a_long_list_is_read_beside_the_thread_that_probes_and_waits_for_its_turn() {
        let places = ROOM.acquire_many(AT_ONCE as u32).await.expect("it is never closed");
        let mut long = pin!(read(vec![SEQUENCE; SHORT + 1], Duration::ZERO));
        let is_waiting = poll_fn(|context| Poll::Ready(long.as_mut().poll(context).is_pending())).await;
        assert!(is_waiting, "this thread would have read it");
        let mut short = pin!(read(vec![SEQUENCE; SHORT], Duration::ZERO));
        let is_read = poll_fn(|context| Poll::Ready(short.as_mut().poll(context).is_ready())).await;
        assert!(is_read, "a short one takes no thread");
        drop(places);
        assert_eq!(long.await, None, "it is no list");
    }
}
