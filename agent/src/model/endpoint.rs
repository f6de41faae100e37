//! One endpoint as it stands, and what its last visit shows at a glance.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use ase_probes::{
    cause::Cause,
    http::Crl,
    outcome::Outcome,
    tls::Certificate,
    verdict::{Finding, Verdict},
};

use super::{
    catalog::Endpoint,
    diagnosis::Diagnosis,
    visit::{Untested, Visit},
};

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The peer proved itself.
    Healthy,
    /// It answers, but something about it is wrong.
    Degraded(Finding),
    /// It did not prove itself, twice in a row.
    Failed(Finding),
    /// It could not be tested.
    Unknown(Untested),
}

impl Status {
    /// Returns the word used in reports and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the finding behind it, if there is one.
    pub fn finding(self) -> Option<Finding> {
        match self {
            Self::Healthy => None,
            Self::Degraded(finding) | Self::Failed(finding) => Some(finding),
            Self::Unknown(untested) => untested.finding(),
        }
    }
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Healthy => Self::Healthy,
            Verdict::Degraded(finding) => Self::Degraded(finding),
            Verdict::Failed(finding) => Self::Failed(finding),
            Verdict::Inconclusive(finding) => Self::Unknown(Untested::Inconclusive(finding)),
        }
    }
}

/// One endpoint as it stands.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// What is watched.
    pub endpoint: Arc<Endpoint>,
    /// How it stands, confirmed.
    pub status: Status,
    /// When the status last changed, since the Unix epoch.
    pub since: Duration,
    /// The last visit, with its evidence; `None` before the first.
    pub last: Option<Arc<Visit>>,
    /// Visits begun. Counted before the visit, also when the name does not resolve.
    pub attempts: u64,
    /// Visits that ended in failure, by cause.
    pub failures: BTreeMap<Cause, u64>,
    /// Why it is as it is, where a visit showed a sign of trouble.
    pub diagnosis: Option<Arc<Diagnosis>>,
    /// When the peer last proved itself, since the Unix epoch.
    pub last_success: Option<Duration>,
    /// The outcomes of the last eight visits that tested it, newest in the lowest bit, 1 for success (RFC 5905 reach
    /// register). Visits that tested nothing leave it alone.
    pub reach: u8,
    /// The number of the last outcome of it that the store was handed, see [`StoreView::outcomes_written`]; 0 before the first.
    pub handed_over: u64,
}

impl EndpointView {
    /// Takes in how it stands from this moment on, known `now`, both since the Unix epoch, and returns how it stood before.
    /// A visit that began before others changed the status changes it after them: it stood as they said until then. A
    /// moment that is yet to come is a clock's that was set back.
    pub fn stand(&mut self, status: Status, since: Duration, now: Duration) -> Status {
        if self.status.label() != status.label() {
            let is_in_order = since >= self.since || self.since > now;
            self.since = if is_in_order { since } else { now };
        }
        std::mem::replace(&mut self.status, status)
    }
}

/// How the memory under the state directory does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreView {
    /// Whether it takes what it is given; `None` where the agent remembers nothing beyond its end.
    pub ok: Option<bool>,
    /// How often a damaged or newer store was set aside, as far as its remains are still there.
    pub resets: u64,
    /// Outcomes that were not written because the disk was too slow.
    pub dropped: u64,
    /// The number of the last outcome that was written, or given up: every one of this process with a smaller number was, too.
    pub outcomes_written: u64,
    /// Rows of incidents that this process wrote so far: where there are more, what is remembered of one may be another thing.
    pub incidents_written: u64,
    /// When the clocks that this process took up were saved, since the Unix epoch; `None` if it began at zero.
    pub recalled: Option<Duration>,
    /// The ids under which it remembers the incidents of this process, open ones and the last that ended, by number.
    pub incidents: Arc<BTreeMap<u64, String>>,
    /// How incidents ended that an earlier process left open and this one saw nothing of, by the ids under which they are
    /// remembered.
    pub over_unseen: Arc<BTreeMap<String, OverUnseen>>,
}

/// Between what an incident ended whose end nobody saw, both since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverUnseen {
    /// When it was last seen.
    pub last_seen: Duration,
    /// When it was over at the latest.
    pub by: Duration,
}

/// What expires first among the paths that verified at the last visit, one for each address: a leaf or an intermediate of
/// its path. `None` before the first handshake and after a visit that was shown none.
pub fn earliest_expiry(view: &EndpointView) -> Option<Expiry<'_>> {
    let handshakes = view.last.as_ref()?.outcomes.iter().filter_map(Outcome::handshake);
    let ends = handshakes.filter_map(|tls| Some(Expiry { certificate: tls.ends_first()?, is_leaf: tls.decisive == 0 }));
    ends.min_by_key(|expiry| expiry.certificate.not_after)
}

/// A certificate that ends a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Whether it is the server's own.
    pub is_leaf: bool,
}

/// The revocation list that the last visit brought.
pub fn crl(view: &EndpointView) -> Option<&Crl> {
    view.last.as_ref()?.outcomes.iter().find_map(|outcome| outcome.http_answer()?.crl.as_ref())
}

/// The offset that the last visit's reply shows: server clock minus this machine's clock, in seconds.
pub fn ntp_offset(view: &EndpointView) -> Option<f64> {
    let packets = view.last.as_ref()?.outcomes.iter().filter_map(Outcome::ntp_packet);
    packets.filter(|packet| packet.has_timestamps).map(|packet| packet.offset).next()
}

/// How many of the addresses that the last visit tested answered as they should, and how many it tested.
pub fn addresses(view: &EndpointView) -> (usize, usize) {
    let mut addresses: BTreeMap<SocketAddr, bool> = BTreeMap::new();
    for outcome in view.last.iter().flat_map(|visit| &visit.outcomes) {
        let good = match outcome.verdict {
            Verdict::Healthy | Verdict::Degraded(_) => true,
            Verdict::Failed(_) => false,
            Verdict::Inconclusive(_) => continue,
        };
        addresses.insert(outcome.address, good);
    }
    (addresses.values().filter(|good| **good).count(), addresses.len())
}
