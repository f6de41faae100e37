//! The contrast D16, which other rules decide by: whose certificates verify, and which unknown issuers the others show, by domain: hosts of one domain share their
//! issuer anyway, unrelated ones do not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Certificate, Neighbourhood};
use crate::diagnosis::moments::{Moments, MomentsBy};

/// Domains without a verifying certificate that make a bundle of authorities suspect: two may be inspected, or be two
/// private services.
const UNVERIFIED: usize = 3;

/// The certificates of all latest visits.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    verified: Moments,
    /// The domains that show each unknown issuer.
    issuers: BTreeMap<Arc<str>, MomentsBy<usize>>,
    /// Unknown issuers, by when one was seen last.
    latest: BTreeSet<(Duration, Arc<str>)>,
}

impl Certificates {
    /// Enters what a visit showed, or takes it away.
    pub(super) fn set(
        &mut self,
        index: usize,
        domain: usize,
        began: Duration,
        certificate: &Certificate,
        is_member: bool,
    ) {
        let name = match certificate {
            Certificate::Verified => return self.verified.set(began, index, is_member),
            Certificate::Unknown(name) => name,
        };
        let issuer = self.issuers.entry(Arc::clone(name)).or_default();
        let before = issuer.newest();
        issuer.set(&domain, began, index, is_member);
        let after = issuer.newest();
        if after.is_none() {
            self.issuers.remove(name);
        }
        if before != after {
            self.latest.extend(after.map(|at| (at, Arc::clone(name))));
            if let Some(at) = before {
                self.latest.remove(&(at, Arc::clone(name)));
            }
        }
    }

    /// The unknown issuers that were seen since then, the newest first.
    fn unknown(&self, since: Duration) -> impl Iterator<Item = &Arc<str>> {
        self.latest.iter().rev().take_while(move |(at, _)| *at >= since).map(|(_, name)| name)
    }

    /// Whether so many domains showed an unknown issuer since then.
    fn are_unverified(&self, since: Duration, many: usize) -> bool {
        let mut domains = BTreeSet::new();
        let shown = self.unknown(since).flat_map(|name| self.issuers[name].since(since));
        shown.into_iter().any(|domain| {
            domains.insert(*domain);
            domains.len() >= many
        })
    }

    /// How many domains showed this issuer since then; more than two count as two.
    fn sharing(&self, issuer: &str, since: Duration) -> usize {
        self.issuers.get(issuer).map_or(0, |issuer| issuer.since(since).take(2).count())
    }
}

impl Neighbourhood {
    /// Whether unrelated hosts show certificates of the same unknown issuer as this endpoint.
    pub(super) fn issuer_shared(&self, index: usize, since: Duration) -> Option<bool> {
        let is_shared = self.own_issuer(index, since).is_some_and(|own| self.certificates.sharing(own, since) > 1);
        (is_shared || self.certificates.verified.any_since(since)).then_some(is_shared)
    }

    /// Whether no certificate verifies, whoever issued it.
    pub(super) fn issuers_plural(&self, index: usize, since: Duration) -> Option<bool> {
        let any_verifies = self.certificates.verified.any_since(since);
        if !any_verifies && !self.certificates.are_unverified(since, UNVERIFIED) {
            return None;
        }
        let own = self.own_issuer(index, since);
        let others = self.certificates.unknown(since).filter(|name| own.is_none_or(|own| ***name != *own)).take(2);
        Some(!any_verifies && others.count() + usize::from(own.is_some()) > 1)
    }

    fn own_issuer(&self, index: usize, since: Duration) -> Option<&str> {
        let last = self.places[index].last.as_ref().filter(|last| last.began >= since)?;
        match last.certificate.as_ref()? {
            Certificate::Verified => None,
            Certificate::Unknown(issuer) => Some(issuer),
        }
    }
}
