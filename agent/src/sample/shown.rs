//! What a visit of the sample shows where a test wants it otherwise.

use std::{sync::Arc, time::Duration};

use ase_probes::{
    evidence::TcpInfo,
    outcome::{Outcome, Protocol},
    tls::Invalid,
};

use crate::{
    model::{
        endpoint::{EndpointView, Status},
        visit::Visit,
    },
    net::address::is_private,
};

/// The endpoint's certificate is one that nobody trusts, of this issuer.
pub(crate) fn inspected(view: &mut EndpointView, issuer: &str) {
    for outcome in &mut visit(view).outcomes {
        let Protocol::Http(reply) = &mut outcome.protocol else { continue };
        let Some(tls) = &mut reply.tls else { continue };
        tls.invalid = Some(Invalid::UnknownIssuer);
        tls.chain.truncate(1);
        tls.chain.iter_mut().for_each(|leaf| leaf.issuer = issuer.to_owned());
    }
}

/// More bytes than fill a segment came at this moment, in segments of this size at most.
pub(crate) fn many_bytes(view: &mut EndpointView, received_segment: u32, at: Duration) {
    let visit = visit(view);
    visit.began = at;
    let tcp = TcpInfo { bytes_received: 5000, segment_size: 1448, received_segment, ..TcpInfo::default() };
    visit.outcomes.iter_mut().for_each(|outcome| outcome.seen.tcp = Some(tcp));
}

/// Whether it works outside this network, on another port.
pub(crate) fn works_outside_beside(view: &EndpointView, port: u16) -> bool {
    let is_it = |outcome: &Outcome| outcome.address.port() != port && !is_private(outcome.address.ip());
    view.status == Status::Healthy && view.last.iter().flat_map(|visit| &visit.outcomes).any(is_it)
}

fn visit(view: &mut EndpointView) -> &mut Visit {
    Arc::make_mut(view.last.as_mut().expect("it was visited"))
}
