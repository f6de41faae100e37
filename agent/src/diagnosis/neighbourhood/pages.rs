//! Which odd pages came from which hosts: unrelated servers do not give the same one, unless somebody answers for all.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    time::Duration,
};

use ase_probes::{cause::Cause, outcome::Outcome, verdict::Verdict};

use super::{Neighbourhood, Peer};
use crate::{diagnosis::moments::MomentsBy, model::visit::Visit};

/// Hosts of different domains at different addresses that must give the same page: two may be twins, the third decides.
const HOSTS: usize = 3;
/// Bytes of pages that are compared: their titles stand there.
const START: usize = 256;

/// Odd pages, each by a digest.
pub(super) type Pages = BTreeMap<u64, Page>;

/// An odd page, and who got it last when.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    domains: MomentsBy<usize>,
    addresses: MomentsBy<IpAddr>,
}

impl Page {
    /// Enters an endpoint of a domain that got the page, or takes it away.
    pub(super) fn set(
        &mut self,
        index: usize,
        (domain, address): (usize, Option<IpAddr>),
        began: Duration,
        is_member: bool,
    ) {
        self.domains.set(&domain, began, index, is_member);
        if let Some(address) = address {
            self.addresses.set(&address, began, index, is_member);
        }
    }

    /// Whether nobody got it at the latest visit.
    pub(super) fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Whether so many unrelated hosts got it since then.
    fn is_shared(&self, since: Duration) -> bool {
        let domains = self.domains.since(since).take(HOSTS).count();
        domains == HOSTS && self.addresses.since(since).take(HOSTS).count() == HOSTS
    }
}

/// The digest of an answer that was not the expected one. A plain "not here" or "not now" is the same at many honest
/// servers, and an empty page at all.
pub(super) fn digest(visit: &Visit) -> Option<u64> {
    let is_odd = matches!(visit.result, Ok(Verdict::Failed(finding)) if finding.cause == Cause::HttpStatus);
    let answer = visit.outcomes.first().and_then(Outcome::http_answer).filter(|_| is_odd)?;
    let start = &answer.body_start[..answer.body_start.len().min(START)];
    // What was asked for stands in the query of a portal's address.
    let location = answer.location.as_deref().map(|location| location.split('?').next().unwrap_or_default());
    if matches!(answer.status, 404 | 410 | 429 | 500..) || (start.is_empty() && location.is_none()) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    match location {
        Some(location) => (answer.status, location).hash(&mut hasher),
        None => (answer.status, start).hash(&mut hasher),
    }
    Some(hasher.finish())
}

impl Neighbourhood {
    /// Whether unrelated hosts gave the same odd page as this endpoint; `None` while the others on its port were not
    /// visited since.
    pub(super) fn page_shared(&self, (index, target): (usize, &Peer), since: Duration) -> Option<bool> {
        let own = self.places[index].last.as_ref().and_then(|last| last.page);
        let Some(page) = own else { return Some(false) };
        if self.pages.get(&page).is_some_and(|page| page.is_shared(since)) {
            return Some(true);
        }
        let on_port = self.ports.get(&target.port).into_iter();
        let is_open = on_port.flat_map(|port| port.all.members.before(since)).any(|other| other != index);
        (!is_open).then_some(false)
    }
}
