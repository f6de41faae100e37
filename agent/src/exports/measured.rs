//! Which flows an incident was measured by: from where, to which addresses and ports, and whether anything came back.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ase_probes::{
    cause::Cause,
    evidence::Ending,
    outcome::Outcome,
    probe::Probe,
    resolve::Resolution,
    {dns, ntp},
};

use crate::{
    lint::{
        judge::passage::Flow,
        traffic::{PortSet, Protocols},
    },
    model::{catalog::EndpointId, diagnosis::Incident, endpoint::EndpointView},
};

/// Flows of one incident that are looked at: a rule that takes more of them takes these.
const MOST_FLOWS: usize = 24;
/// The ports that a gateway of Azure SQL redirects to ("Azure SQL connectivity architecture", redirect).
const REDIRECT: (u16, u16) = (11_000, 11_999);

/// What kind of sign a cause is, as far as rules and routes are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing comes back, as where a rule or a route drops packets.
    Silence,
    /// Something on the way answers, cuts, changes or slows.
    Interference,
}

/// What a cause is a sign of; `None` where rules and routes have nothing to do with it.
pub fn sign(cause: Cause) -> Option<Sign> {
    match cause {
        Cause::Dropped | Cause::DnsNoReply | Cause::DnsNoTcp | Cause::SqlRedirectBlocked => Some(Sign::Silence),
        Cause::Unreachable
        | Cause::Rejected
        | Cause::MtuBlackhole
        | Cause::PacketLoss
        | Cause::FlowHashLoss
        | Cause::FlowTableFull
        | Cause::AsymmetricReply
        | Cause::Slow
        | Cause::Refused
        | Cause::Reset
        | Cause::ProxiedBlind
        | Cause::DnsIntercepted
        | Cause::DnsDivergent
        | Cause::TlsBlocked
        | Cause::TlsIntercepted
        | Cause::HttpBlocked => Some(Sign::Interference),
        Cause::None
        | Cause::Unknown
        | Cause::LocalFdLimit
        | Cause::LocalPorts
        | Cause::LocalFirewall
        | Cause::LocalRoute
        | Cause::LocalClock
        | Cause::LocalSetup
        | Cause::LocalLimit
        | Cause::LocalStall
        | Cause::NextHopDown
        | Cause::DnsServfail
        | Cause::DnsRefused
        | Cause::DnsNxdomain
        | Cause::DnsNodata
        | Cause::TlsCertInvalid
        | Cause::TlsRejected
        | Cause::HttpStatus
        | Cause::NtpDenied
        | Cause::NtpUnsynced
        | Cause::NtpWrongTime
        | Cause::ProtocolViolation => None,
    }
}

/// A flow that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The flow.
    pub flow: Flow,
    /// Whether anything came back.
    pub is_answered: bool,
}

/// The flows of an incident, each once: those that failed, or all where none did. `source` is where packets leave from.
pub fn flows(incident: &Incident, views: &BTreeMap<&str, &EndpointView>, source: Option<IpAddr>) -> Vec<Measured> {
    let hidden: BTreeSet<&EndpointId> = incident.hides.iter().collect();
    let are_all_hidden = incident.endpoints.iter().all(|id| hidden.contains(id));
    let own = incident.endpoints.iter().filter(|id| are_all_hidden || !hidden.contains(id));
    let shown: Vec<&EndpointView> = own.filter_map(|id| views.get(&*id.0).copied()).collect();
    let mut all: Vec<Measured> = shown.iter().flat_map(|view| of_view(view, source, is_bad)).collect();
    if all.is_empty() {
        all = shown.iter().flat_map(|view| of_view(view, source, |_| true)).collect();
    }
    if incident.finding.cause == Cause::SqlRedirectBlocked {
        // The gateway's own port works; what is lost is where it sends the client to.
        let (ports, is_answered) = (PortSet::one(REDIRECT.0, REDIRECT.1), false);
        all = all
            .into_iter()
            .map(|one| Measured { flow: Flow { ports: ports.clone(), ..one.flow }, is_answered })
            .collect();
    }
    let mut each: Vec<Measured> = Vec::new();
    for one in all {
        match each.iter().position(|other| other.flow == one.flow) {
            Some(at) => each[at].is_answered |= one.is_answered,
            None if each.len() < MOST_FLOWS => each.push(one),
            None => {}
        }
    }
    let passes_in_part = passes_in_part(incident.finding.cause);
    each.iter_mut().for_each(|one| one.is_answered |= passes_in_part);
    each
}

/// Whether a cause lets some packets through, which no rule and no next hop of None does.
fn passes_in_part(cause: Cause) -> bool {
    matches!(cause, Cause::PacketLoss | Cause::FlowHashLoss | Cause::FlowTableFull | Cause::MtuBlackhole | Cause::Slow)
}

/// The flows of an endpoint that works.
pub fn of_working(view: &EndpointView, source: Option<IpAddr>) -> Vec<Flow> {
    of_view(view, source, |outcome| !is_bad(outcome)).into_iter().map(|one| one.flow).collect()
}

fn is_bad(outcome: &Outcome) -> bool {
    outcome.verdict.finding().is_some()
}

/// The flows of the last visit: to the name servers where the name did not resolve, else to its own addresses.
fn of_view(view: &EndpointView, source: Option<IpAddr>, wanted: fn(&Outcome) -> bool) -> Vec<Measured> {
    let Some(visit) = &view.last else { return Vec::new() };
    let measured = |outcome: &Outcome, protocol: Protocols| Measured {
        flow: Flow {
            source,
            destination: outcome.address.ip(),
            protocol,
            ports: PortSet::one(outcome.address.port(), outcome.address.port()),
        },
        is_answered: is_answered(outcome),
    };
    let own = visit.outcomes.iter().filter(|outcome| wanted(outcome));
    let own: Vec<Measured> = own.map(|outcome| measured(outcome, protocol(&view.endpoint.target.probe))).collect();
    if !own.is_empty() || !visit.outcomes.is_empty() {
        return own;
    }
    let lost: Vec<&Outcome> = visit.resolution.iter().flat_map(|found: &Resolution| &found.failures).collect();
    lost.into_iter().filter(|outcome| wanted(outcome)).map(|outcome| measured(outcome, Protocols::UDP)).collect()
}

fn protocol(probe: &Probe) -> Protocols {
    match probe {
        Probe::Ntp(ntp::Question) => Protocols::UDP,
        Probe::Dns(question) if question.transport == dns::Transport::Udp => Protocols::UDP,
        Probe::Dns(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => Protocols::TCP,
    }
}

/// Whether anything came back: a round trip, an ICMP message, or an end that is no silence.
fn is_answered(outcome: &Outcome) -> bool {
    let seen = &outcome.seen;
    let is_silent = seen.stop.as_ref().is_some_and(|stop| stop.trouble.ending() == Ending::Silence);
    seen.round_trip.is_some() || seen.icmp.is_some() || !is_silent
}
