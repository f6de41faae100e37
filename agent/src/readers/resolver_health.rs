//! How each DNS server does, over UDP and over TCP, and whether the two agree. Pure: read from the endpoints' views.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use ase_probes::{
    dns::{Answer, Reply, Transport},
    outcome::Outcome,
    probe::Probe,
    verdict::Phase,
};

use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::Host,
        endpoint::{EndpointView, Status},
        visit::Visit,
    },
    resolvers::load::{Load, Throttling},
};

/// One server over one transport.
#[derive(Clone, Debug)]
pub struct TransportHealth<'a> {
    /// Whether it answers, confirmed; `None` while untested.
    pub up: Option<bool>,
    /// Time from the last question to its answer.
    pub response: Option<Duration>,
    /// The last answer, if there was one.
    pub answer: Option<&'a Answer>,
    /// What was worth a remark about the last exchange, in plain words.
    pub remarks: Vec<String>,
}

/// One server.
#[derive(Clone, Debug)]
pub struct ResolverHealth<'a> {
    /// The server.
    pub server: SocketAddr,
    /// Over UDP, where it is watched.
    pub udp: Option<TransportHealth<'a>>,
    /// Over TCP, where it is watched.
    pub tcp: Option<TransportHealth<'a>>,
    /// Whether it gave an address for a name that cannot exist; `None` while that is not known.
    pub invents: Option<bool>,
    /// Whether somebody on the path answers before it does.
    pub is_raced: bool,
    /// Signs that it drops questions when many are asked.
    pub throttling: Option<Throttling>,
}

impl<'a> ResolverHealth<'a> {
    /// Whether UDP and TCP gave the same kind of answer; `None` while one of them gave none. Addresses may rotate.
    pub fn agree(&self) -> Option<bool> {
        let (udp, tcp) = (self.udp_answer()?, self.tcp.as_ref()?.answer?);
        Some(udp.rcode == tcp.rcode && (udp.truncated || udp.addresses.is_empty() == tcp.addresses.is_empty()))
    }

    /// What an operator should look at, in plain words.
    pub fn remarks(&self) -> Vec<String> {
        let up = |side: &Option<TransportHealth>| side.as_ref().and_then(|side| side.up);
        let mut remarks: Vec<&str> = Vec::new();
        if up(&self.udp) == Some(true) && up(&self.tcp) == Some(false) {
            remarks.push("answers over UDP but not over TCP: large answers will be lost");
        }
        if up(&self.udp) == Some(false) && up(&self.tcp) == Some(true) {
            remarks.push("answers over TCP but not over UDP");
        }
        if self.agree() == Some(false) {
            remarks.push("gives different kinds of answers over UDP and TCP");
        }
        if let Some(answer) = self.udp_answer() {
            if !answer.recursion_available {
                remarks.push("offers no recursion");
            }
            if answer.edns_payload.is_none() && self.udp.as_ref().is_none_or(|side| side.remarks.is_empty()) {
                remarks.push("does not speak EDNS, or something on the path strips it");
            }
        }
        if self.is_raced {
            remarks.push(
                "somebody on the path answers in its place, faster than it does: two answers come, or it denies \
                          over TCP what an answer over UDP has",
            );
        }
        if self.invents == Some(true) {
            remarks.push("gives an address for a name that cannot exist: switch off its NXDOMAIN rewriting");
        }
        let throttled = self.throttling.map(|signs| {
            format!(
                "lost {} questions, only in seconds with {} or more, and answered all {} in quieter ones: it throttles; \
                 cache answers or raise its limit",
                signs.lost, signs.from_rate, signs.quiet
            )
        });
        let said = [("UDP", &self.udp), ("TCP", &self.tcp)].into_iter().flat_map(|(name, side)| {
            let remarks = side.iter().flat_map(|side| &side.remarks);
            remarks.map(move |remark| format!("over {name}: {remark}"))
        });
        remarks.into_iter().map(str::to_owned).chain(throttled).chain(said).collect()
    }

    /// The last answer over UDP, if there was one.
    pub fn udp_answer(&self) -> Option<&'a Answer> {
        self.udp.as_ref()?.answer
    }
}

/// How every watched server does, in order.
pub fn of(snapshot: &Snapshot) -> Vec<ResolverHealth<'_>> {
    let mut servers: BTreeMap<SocketAddr, ResolverHealth<'_>> = BTreeMap::new();
    for view in &snapshot.endpoints {
        let (Probe::Dns(question), Host::Address(address)) = (&view.endpoint.target.probe, &view.endpoint.target.host)
        else {
            continue;
        };
        let server = SocketAddr::new(*address, view.endpoint.target.port);
        let health = servers.entry(server).or_insert_with(|| ResolverHealth {
            server,
            udp: None,
            tcp: None,
            invents: snapshot.trial.as_ref().and_then(|trial| trial.invents(server)),
            is_raced: snapshot.trial.as_ref().is_some_and(|trial| trial.is_raced(server)),
            throttling: snapshot.resolver_loads.of(server).and_then(Load::throttling),
        });
        match question.transport {
            Transport::Udp => health.udp = Some(side(view)),
            Transport::Tcp => health.tcp = Some(side(view)),
        }
    }
    servers.into_values().collect()
}

fn side(view: &EndpointView) -> TransportHealth<'_> {
    let outcome = view.last.as_deref().and_then(|visit: &Visit| visit.outcomes.first());
    let answer = outcome.and_then(Outcome::dns_answer);
    TransportHealth {
        up: match view.status {
            Status::Healthy | Status::Degraded(_) => Some(true),
            Status::Failed(_) => Some(false),
            Status::Unknown(_) => None,
        },
        remarks: outcome.and_then(Outcome::dns_reply).map(Reply::remarks).unwrap_or_default(),
        response: outcome.filter(|_| answer.is_some()).and_then(|outcome| outcome.phases.of(Phase::Dns)),
        answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::dns::Rcode;

    fn answer(rcode: Rcode) -> Answer {
        Answer {
            rcode,
            authoritative: false,
            truncated: false,
            recursion_available: true,
            authentic: false,
            chain: Vec::new(),
            dead_end: None,
            addresses: vec![[20, 0, 0, 1].into()],
            hosts: Vec::new(),
            min_ttl: None,
            soa_zone: None,
            edns_payload: Some(1232),
            extended_errors: Vec::new(),
            oddity: None,
            length: 60,
        }
    }

    fn up(answer: &Answer) -> Option<TransportHealth<'_>> {
        let response = Some(Duration::from_millis(2));
        Some(TransportHealth { up: Some(true), response, answer: Some(answer), remarks: Vec::new() })
    }

    fn down() -> Option<TransportHealth<'static>> {
        Some(TransportHealth { up: Some(false), response: None, answer: None, remarks: Vec::new() })
    }

    fn health<'a>(udp: Option<TransportHealth<'a>>, tcp: Option<TransportHealth<'a>>) -> ResolverHealth<'a> {
        let server = ([10, 0, 0, 4], 53).into();
        ResolverHealth { server, udp, tcp, invents: None, is_raced: false, throttling: None }
    }

    #[test]
    fn each_flaw_of_a_server_has_its_remark() {
        let good = answer(Rcode::NoError);
        let denying = answer(Rcode::NxDomain);
        let proud = Answer { recursion_available: false, ..good.clone() };
        let plain = Answer { edns_payload: None, ..good.clone() };
        assert!(health(up(&good), up(&good)).remarks().is_empty());
        for (health, words) in [
            (health(up(&good), down()), "not over TCP"),
            (health(down(), up(&good)), "not over UDP"),
            (health(up(&good), up(&denying)), "different kinds"),
            (health(up(&proud), None), "no recursion"),
            (health(up(&plain), None), "EDNS"),
            (ResolverHealth { invents: Some(true), ..health(up(&good), None) }, "cannot exist"),
            (ResolverHealth { is_raced: true, ..health(up(&good), None) }, "faster than it does"),
            (
                health(up(&good).map(|side| TransportHealth { remarks: vec!["it explains".to_owned()], ..side }), None),
                "over UDP: it explains",
            ),
            (
                ResolverHealth {
                    throttling: Some(Throttling { lost: 12, from_rate: 40, quiet: 9 }),
                    ..health(up(&good), None)
                },
                "throttles",
            ),
        ] {
            let remarks = health.remarks();
            assert!(remarks.len() == 1 && remarks[0].contains(words), "{remarks:?}");
        }
        assert_eq!(health(up(&good), None).agree(), None);
    }

    #[test]
    fn servers_are_read_from_the_endpoints() {
        let snapshot = crate::sample::snapshot();
        let all = of(&snapshot);
        assert!(!all.is_empty() && all.iter().all(|health| health.udp.is_some() || health.tcp.is_some()));
    }
}
