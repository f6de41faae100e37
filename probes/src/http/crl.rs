//! Certificate revocation lists (RFC 5280 section 5): whether bytes are one, and until when it counts.

use std::time::Duration;

use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::Crl;
use crate::tls::escaped;

/// Bytes of a list that are read: most lists of public authorities are far smaller; of a longer one only its start speaks.
pub(super) const LIMIT: usize = 1024 * 1024;
/// The DER tag of a SEQUENCE (X.690 section 8.9).
const SEQUENCE: u8 = 0x30;

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
