//! The JSON of `ase-agent import … --output json`, described by `docs/import.schema.json`.

use serde_json::{Value, json};

use super::environment::{EnvironmentEntry, event};
use crate::{
    imports::{
        inbound::ManagementList,
        memory::{Event, Memory},
        vantage::Compared,
    },
    lint::{read::InboundEntry, requirements::Management},
    readers::VERSION,
};

/// The part that all three have: whether an answer is about what goes out, what comes in or the environment, where it
/// came from, and what of it could not be used.
pub struct ImportHead<'a> {
    /// `outbound`, `inbound` or `environment`.
    pub what: &'static str,
    /// The files, or the resource that was asked for.
    pub source: &'a str,
    /// What could not be used, each with its place.
    pub left_out: &'a [String],
}

impl ImportHead<'_> {
    fn document(&self, more: Value) -> String {
        let Self { what, source, left_out } = self;
        let mut document = json!({
            "schema": "ase-agent/import/1", "version": VERSION, "what": what, "source": source, "left_out": left_out,
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut document, more) {
            all.extend(more);
        }
        format!("{document:#}\n")
    }
}

/// What the environment depends on, seen from both sides, and the configuration that watches it, as YAML.
pub fn outbound_to_json(head: &ImportHead, compared: &[Compared], configuration: &str) -> String {
    let entry = |one: &Compared| {
        let at = &one.dependency;
        json!({
            "category": at.category, "name": at.name, "address": at.address, "port": at.port,
            "environment_reaches": at.accessible, "latency_ms": at.latency, "agent_reaches": one.agent,
            "view": one.view.label(), "means": one.view.words(),
        })
    };
    let dependencies: Vec<Value> = compared.iter().map(entry).collect();
    head.document(json!({"dependencies": dependencies, "configuration": configuration}))
}

/// Who must reach the environment, and how its management addresses differ from the documented ones.
pub fn inbound_to_json(head: &ImportHead, entries: &[InboundEntry], management: &Management) -> String {
    let entry = |entry: &InboundEntry| json!({"description": entry.description, "endpoints": entry.endpoints, "ports": entry.ports});
    let counts = ManagementList::of(entries, management).map(|list| {
        // Of IPv6 a prefix may hold more than a number of JSON does.
        let count = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        json!({
            "tag": management.tag.to_string(), "source": management.source, "listed": count(list.listed),
            "not_documented": count(list.not_documented), "not_listed": count(list.not_listed),
        })
    });
    head.document(json!({"entries": entries.iter().map(entry).collect::<Vec<_>>(), "management": counts}))
}

/// The environment, and what happened since the last time; `remembered` says whether there is a last time for the next one.
pub fn environment_to_json(head: &ImportHead, memory: &Memory, news: &[Event], remembered: bool) -> String {
    let news: Vec<_> = news.iter().map(event).collect();
    head.document(json!({"environment": EnvironmentEntry::of(memory), "news": news, "remembered": remembered}))
}
