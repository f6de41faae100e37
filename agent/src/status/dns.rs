//! The comparison of resolvers as JSON.

use serde::Serialize;
use serde_json::Value;

use super::resolver::survey_value;
use crate::{
    comparisons::NameView,
    reading::rfc3339,
    resolver_health::{self, ResolverHealth, Side},
    snapshot::Snapshot,
};

/// Every name and where the servers come from.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DnsEntry {
    host: HostEntry,
    resolvers: Vec<ResolverEntry>,
    names: Vec<NameEntry>,
}

#[derive(Clone, Debug, Serialize)]
struct HostEntry {
    servers: Vec<String>,
    suffixes: Vec<String>,
    hint: Option<&'static str>,
    changed: Option<String>,
    finding: Option<&'static str>,
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
                hint: host.hint(),
                changed: host.changed.map(rfc3339),
                finding: host.finding(snapshot.resolvers.azure.ip()),
            },
            resolvers: resolver_health::of(snapshot.endpoints.iter().map(|view| &**view))
                .iter()
                .map(ResolverEntry::of)
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
    remarks: Vec<&'static str>,
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
    fn of(health: &ResolverHealth) -> Self {
        Self {
            server: health.server.to_string(),
            udp: health.udp.as_ref().map(SideEntry::of),
            tcp: health.tcp.as_ref().map(SideEntry::of),
            agree: health.agree(),
            remarks: health.remarks(),
        }
    }
}

impl SideEntry {
    fn of(side: &Side) -> Self {
        let answer = side.answer.as_ref();
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
