//! What the agent knows already and nobody has to look up: who issued a certificate that does not verify, what Azure DNS does,
//! which way large packets are lost, and where they pass.

use std::net::IpAddr;

use ase_probes::{outcome::Outcome, probe::Probe};

use super::Shown;
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::Host,
        diagnosis::Incident,
        endpoint::{EndpointView, Status},
    },
    net::{
        address::{full_segment, is_private},
        port::Port,
    },
};

/// What is known beside the incident itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Azure DNS.
    pub(super) azure: IpAddr,
    /// Whether Azure DNS gives good answers; `None` where that is not watched, or it says nothing.
    pub(super) azure_answers: Option<bool>,
    /// Who issued the certificate that does not verify.
    pub(super) issuer: Option<String>,
}

impl Known {
    /// What is known of an incident that this endpoint shows.
    pub(super) fn of(shown: Option<&Shown<'_>>, snapshot: &Snapshot) -> Self {
        let azure = snapshot.resolvers.azure.ip();
        Self {
            azure,
            azure_answers: answers(azure, snapshot),
            issuer: shown.and_then(|shown| issuer(shown.view)).map(str::to_owned),
        }
    }
}

/// Whether a DNS server gives good answers over some transport; `None` where it says nothing, which may have another reason than
/// the name.
fn answers(server: IpAddr, snapshot: &Snapshot) -> Option<bool> {
    let is_it = |view: &&EndpointView| {
        view.endpoint.target.host == Host::Address(server) && matches!(view.endpoint.target.probe, Probe::Dns(_))
    };
    let views = snapshot.endpoints.iter().map(|view| &**view).filter(is_it);
    let known = views.filter_map(|view| match view.status {
        Status::Healthy | Status::Degraded(_) => Some(true),
        Status::Failed(_) if has_spoken(view) => Some(false),
        Status::Failed(_) | Status::Unknown(_) => None,
    });
    known.reduce(|one, other| one || other)
}

/// Whether a DNS server answered the last visit, whatever it said.
fn has_spoken(view: &EndpointView) -> bool {
    view.last.iter().flat_map(|visit| &visit.outcomes).any(|outcome| outcome.dns_answer().is_some())
}

/// Who issued the certificate of an endpoint that does not verify.
pub(super) fn issuer(view: &EndpointView) -> Option<&str> {
    let handshakes = view.last.as_ref()?.outcomes.iter().filter_map(Outcome::handshake);
    let issuers =
        handshakes.filter(|tls| tls.invalid.is_some()).filter_map(|tls| Some(tls.chain.first()?.issuer.as_str()));
    issuers.into_iter().find(|issuer| !issuer.is_empty())
}

/// Whether what the peer sends is lost, rather than what this machine sends: all of that was acknowledged.
pub(super) fn is_lost_on_its_way_here(view: &EndpointView) -> Option<bool> {
    let outcomes = &view.last.as_ref()?.outcomes;
    let bad = outcomes.iter().find(|outcome| outcome.verdict.finding().is_some())?;
    Some(bad.seen.tcp?.unacked == 0)
}

/// Another TCP port on which a full segment came since the incident began, from somebody outside as the peer is: a packet
/// size has no port. A peer whose own packets are a little smaller, or who says little, shows nothing. Nothing of what this
/// machine sends, which is not known of the others.
pub(super) fn passes_elsewhere(incident: &Incident, shown: &Shown<'_>, snapshot: &Snapshot) -> Option<Port> {
    if is_lost_on_its_way_here(shown.view) == Some(false) {
        return None;
    }
    let own = (shown.address.port(), is_private(shown.address.ip()));
    let passes = |view: &EndpointView| {
        let visit = view.last.as_ref().filter(|visit| visit.began >= incident.since)?;
        let full = visit.outcomes.iter().find(|outcome| {
            let (port, is_inside) = (outcome.address.port(), is_private(outcome.address.ip()));
            let full = full_segment(outcome.address.ip());
            port != own.0
                && is_inside == own.1
                && outcome.seen.tcp.is_some_and(|tcp| tcp.received_segment >= tcp.segment_size.max(full))
        })?;
        Some(Port::tcp(full.address.port()))
    };
    let healthy = snapshot.endpoints.iter().filter(|view| view.status == Status::Healthy);
    healthy.filter_map(|view| passes(view)).next()
}
