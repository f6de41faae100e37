//! The comparison of resolvers as JSON.

use serde::Serialize;
use serde_json::Value;

use super::resolver::survey_value;
use crate::{comparisons::NameView, reading::rfc3339, snapshot::Snapshot};

/// Every name and where the servers come from.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DnsEntry {
    host: HostEntry,
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
            names: snapshot.names.iter().map(|view| NameEntry::of(view)).collect(),
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
