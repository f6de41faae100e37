//! The comparison of resolvers as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::resolver::survey_value;
use crate::{
    engine::snapshot::Snapshot,
    readers::{
        resolver_health,
        resolver_health::{ResolverHealth, TransportHealth},
        summary::rfc3339,
    },
    resolvers::{
        compare::DnsOutcome,
        load::{Load, OUTCOMES},
        names::NameView,
    },
};

/// Every name and where the servers come from.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DnsEntry {
    host: HostEntry,
    /// Whether something answers DNS where no server can be; null where that was not asked.
    intercepted: Option<bool>,
    resolvers: Vec<ResolverEntry>,
    names: Vec<NameEntry>,
}

#[derive(Clone, Debug, Serialize)]
struct HostEntry {
    servers: Vec<String>,
    suffixes: Vec<String>,
    dhcp: Option<LeaseEntry>,
    hint: Option<&'static str>,
    changed: Option<String>,
    findings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct LeaseEntry {
    file: String,
    servers: Vec<String>,
    suffixes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct NameEntry {
    name: String,
    /// The class in force; null until it is firm.
    class: Option<&'static str>,
    since: Option<String>,
    changes: u64,
    /// The last survey with both answers; null before the first.
    last: Option<Value>,
}

impl DnsEntry {
    /// The entry of a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let host = &snapshot.host_dns;
        Self {
            host: HostEntry {
                servers: host.servers.iter().map(ToString::to_string).collect(),
                suffixes: host.suffixes.clone(),
                dhcp: host.lease.as_ref().map(|lease| LeaseEntry {
                    file: lease.file.display().to_string(),
                    servers: lease.servers.iter().map(ToString::to_string).collect(),
                    suffixes: lease.suffixes.clone(),
                }),
                hint: host.hint(),
                changed: host.changed.map(rfc3339),
                findings: host.findings(&snapshot.resolvers),
            },
            intercepted: snapshot.trial.as_ref().and_then(|trial| trial.intercepted),
            resolvers: resolver_health::of(snapshot)
                .iter()
                .map(|health| ResolverEntry::of(health, snapshot.resolver_loads.of(health.server)))
                .collect(),
            names: snapshot.names.iter().map(|view| NameEntry::of(view)).collect(),
        }
    }
}

/// One DNS server over both transports.
#[derive(Clone, Debug, Serialize)]
struct ResolverEntry {
    server: String,
    udp: Option<SideEntry>,
    tcp: Option<SideEntry>,
    agree: Option<bool>,
    /// Whether it gives addresses for names that cannot exist; null while that is not known.
    invents: Option<bool>,
    throttled: bool,
    /// How it answered the agent's questions since the start.
    answers: BTreeMap<&'static str, u64>,
    remarks: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct SideEntry {
    up: Option<bool>,
    response_seconds: Option<f64>,
    rcode: Option<String>,
    recursion: Option<bool>,
    authoritative: Option<bool>,
    authentic: Option<bool>,
    truncated: Option<bool>,
    edns_payload: Option<u16>,
    zone: Option<String>,
}

impl ResolverEntry {
    fn of(health: &ResolverHealth<'_>, load: Option<&Load>) -> Self {
        let count = |outcome: DnsOutcome| (outcome.label(), load.map_or(0, |load| load.count(outcome)));
        Self {
            server: health.server.to_string(),
            udp: health.udp.as_ref().map(SideEntry::of),
            tcp: health.tcp.as_ref().map(SideEntry::of),
            agree: health.agree(),
            invents: health.invents,
            throttled: health.throttling.is_some(),
            answers: OUTCOMES.map(count).into(),
            remarks: health.remarks(),
        }
    }
}

impl SideEntry {
    fn of(side: &TransportHealth<'_>) -> Self {
        let answer = side.answer;
        Self {
            up: side.up,
            response_seconds: side.response.map(|time| time.as_secs_f64()),
            rcode: answer.map(|answer| answer.rcode.to_string()),
            recursion: answer.map(|answer| answer.recursion_available),
            authoritative: answer.map(|answer| answer.authoritative),
            authentic: answer.map(|answer| answer.authentic),
            truncated: answer.map(|answer| answer.truncated),
            edns_payload: answer.and_then(|answer| answer.edns_payload),
            zone: answer.and_then(|answer| answer.soa_zone.clone()),
        }
    }
}

impl NameEntry {
    fn of(view: &NameView) -> Self {
        Self {
            name: view.name.to_string(),
            class: view.published.as_ref().map(|comparison| comparison.class.label()),
            since: view.published.as_ref().map(|_| rfc3339(view.since)),
            changes: view.changes,
            last: view.last.as_ref().map(|survey| survey_value(survey)),
        }
    }
}
