//! What was exported from Azure as JSON: the files and their ages, the lint's findings, what threatens, and what the exports say
//! of one incident.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::{
    engine::snapshot::Snapshot,
    exports::{
        judged::Judged,
        said::{Part, Said},
        view::ExportsView,
    },
    lint::{
        finding::{Finding, Severity},
        judge::passage::{ByRoutes, ByRules, RouteName, RuleName},
        render::json::finding,
        route::NextHop,
        traffic::show_ports,
    },
    model::diagnosis::Incident,
    readers::summary::rfc3339,
};

/// The exports as a whole.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ExportsEntry<'a> {
    ok: bool,
    wrong: &'a [String],
    profile: Option<&'a str>,
    verdict: Option<&'static str>,
    files: Vec<FileEntry>,
    written: Option<String>,
    age_seconds: Option<f64>,
    stale: bool,
    findings: Vec<Value>,
    could_not_judge: Vec<OpenEntry<'a>>,
}

#[derive(Clone, Debug, Serialize)]
struct FileEntry {
    kind: &'static str,
    path: String,
    written: String,
    age_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
struct OpenEntry<'a> {
    requirement: Option<&'a str>,
    rule: Option<&'a str>,
    why: &'a str,
}

impl<'a> ExportsEntry<'a> {
    /// The entry of a snapshot whose configuration names exports.
    pub(super) fn of(snapshot: &'a Snapshot) -> Option<Self> {
        let view = snapshot.exports.as_ref()?;
        let (judged, now) = (view.reading.judged.as_deref(), snapshot.at);
        let report = judged.map(|judged| &judged.report);
        let worth_telling = |finding: &&Finding| finding.severity > Severity::Info;
        let findings = report.into_iter().flat_map(|report| &report.findings).filter(worth_telling);
        let open = report.into_iter().flat_map(|report| &report.could_not_judge);
        Some(Self {
            ok: view.reading.wrong.is_empty() && judged.is_some(),
            wrong: &view.reading.wrong,
            profile: judged.map(|judged| judged.profile.as_str()),
            verdict: report.map(|report| report.verdict().label()),
            files: judged.map(|judged| files(judged, now)).unwrap_or_default(),
            written: view.written().map(rfc3339),
            age_seconds: view.written().map(|written| now.saturating_sub(written).as_secs_f64()),
            stale: view.is_stale(now),
            findings: findings.map(finding).collect(),
            could_not_judge: open
                .map(|open| OpenEntry {
                    requirement: open.requirement.as_deref(),
                    rule: open.rule.as_deref(),
                    why: &open.why,
                })
                .collect(),
        })
    }
}

fn files(judged: &Judged, now: Duration) -> Vec<FileEntry> {
    let entry = |read: &crate::exports::disk::FileRead| FileEntry {
        kind: read.file.kind.label(),
        path: read.file.path.display().to_string(),
        written: rfc3339(read.written),
        age_seconds: now.saturating_sub(read.written).as_secs_f64(),
    };
    judged.files.iter().map(entry).collect()
}

/// The part of the risk that rests on exported rules and was never measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RiskOfExports {
    /// Always `exported rules`: nobody measured it.
    basis: &'static str,
    threatened: bool,
    findings: Vec<Threat>,
    age_seconds: Option<f64>,
    stale: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Threat {
    id: String,
    rule: Option<String>,
    message: String,
}

impl RiskOfExports {
    /// The part of a snapshot whose exports were judged.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let view = snapshot.exports.as_ref()?;
        let judged = view.reading.judged.as_ref()?;
        let threat = |finding: &Finding| Threat {
            id: finding.id(),
            rule: finding.rule.clone(),
            message: finding.message.clone(),
        };
        let findings: Vec<Threat> = judged.threats().map(threat).collect();
        Some(Self {
            basis: "exported rules",
            threatened: !findings.is_empty(),
            findings,
            age_seconds: view.written().map(|written| snapshot.at.saturating_sub(written).as_secs_f64()),
            stale: view.is_stale(snapshot.at),
        })
    }
}

/// What exports say of one incident.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SaidEntry<'a> {
    verdict: &'static str,
    summary: &'a str,
    written: Option<String>,
    age_seconds: Option<f64>,
    stale: bool,
    source: Option<String>,
    source_in_subnet: Option<bool>,
    contradicted_by: &'a [String],
    flows: Vec<PartEntry>,
}

#[derive(Clone, Debug, Serialize)]
struct PartEntry {
    verdict: &'static str,
    protocol: String,
    ports: String,
    destinations: Vec<String>,
    rule: Option<RuleEntry>,
    rule_access: Option<&'static str>,
    routes: Vec<RouteEntry>,
    unknown: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct RuleEntry {
    name: String,
    priority: Option<u32>,
    group: String,
    destination: String,
    is_default: bool,
}

#[derive(Clone, Debug, Serialize)]
struct RouteEntry {
    name: String,
    prefix: String,
    table: String,
    next_hop: &'static str,
    addresses: Vec<String>,
}

impl<'a> SaidEntry<'a> {
    /// The entry of an incident that the exports say something of.
    pub(super) fn of(incident: &Incident, view: &'a ExportsView, now: Duration) -> Option<Self> {
        let said: &Said = view.of(incident)?;
        Some(Self {
            verdict: said.verdict.label(),
            summary: &said.line,
            written: said.written.map(rfc3339),
            age_seconds: said.written.map(|written| now.saturating_sub(written).as_secs_f64()),
            stale: said.is_stale,
            source: said.source.map(|source| source.to_string()),
            source_in_subnet: said.is_inside,
            contradicted_by: &said.witnesses,
            flows: said.parts.iter().map(PartEntry::of).collect(),
        })
    }
}

impl PartEntry {
    fn of(part: &Part) -> Self {
        let (rule, rule_access, open_rule) = match &part.rules {
            ByRules::Allowed(rule) => (Some(rule), Some("allow"), None),
            ByRules::Denied(rule) | ByRules::PartlyDenied(rule) => (Some(rule), Some("deny"), None),
            ByRules::Open(doubt) => (doubt.rule.as_ref(), None, Some(doubt.why.clone())),
            ByRules::NotExported | ByRules::Exempt => (None, None, None),
        };
        let (routes, open_route) = match &part.routes {
            ByRoutes::Way { routes, .. } => (routes.iter().map(RouteEntry::of).collect(), None),
            ByRoutes::Open(why) => (Vec::new(), Some(why.clone())),
            ByRoutes::NotExported | ByRoutes::Exempt => (Vec::new(), None),
        };
        Self {
            verdict: part.verdict.label(),
            protocol: part.protocol.to_string(),
            ports: show_ports(&part.ports),
            destinations: part.destinations.iter().map(ToString::to_string).collect(),
            rule: rule.map(RuleEntry::of),
            rule_access,
            routes,
            unknown: open_rule.or(open_route),
        }
    }
}

impl RuleEntry {
    fn of(rule: &RuleName) -> Self {
        Self {
            name: rule.name.clone(),
            priority: rule.priority,
            group: rule.group.clone(),
            destination: rule.destination.clone(),
            is_default: rule.is_default,
        }
    }
}

impl RouteEntry {
    fn of((route, hop): &(RouteName, NextHop)) -> Self {
        let addresses = match hop {
            NextHop::Appliance(addresses) => addresses.iter().map(ToString::to_string).collect(),
            NextHop::Internet
            | NextHop::VnetLocal
            | NextHop::Peering
            | NextHop::Gateway
            | NextHop::ServiceEndpoint
            | NextHop::Nowhere
            | NextHop::Unknown(_) => Vec::new(),
        };
        let next_hop = match hop {
            NextHop::Internet => "Internet",
            NextHop::VnetLocal => "VnetLocal",
            NextHop::Peering => "VNetPeering",
            NextHop::Gateway => "VirtualNetworkGateway",
            NextHop::Appliance(_) => "VirtualAppliance",
            NextHop::ServiceEndpoint => "VirtualNetworkServiceEndpoint",
            NextHop::Nowhere => "None",
            NextHop::Unknown(_) => "unknown",
        };
        let RouteName { name, prefix, table, .. } = route.clone();
        Self { name, prefix, table, next_hop, addresses }
    }
}
