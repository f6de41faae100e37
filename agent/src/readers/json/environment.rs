//! What the management API said of the environment, as JSON.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use crate::{
    imports::memory::{Event, Memory},
    readers::summary::rfc3339,
};

/// The environment as it was imported last.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EnvironmentEntry<'a> {
    name: &'a str,
    kind: Option<&'a str>,
    status: Option<&'a str>,
    suspended: Option<bool>,
    addresses: BTreeMap<&'static str, Vec<IpAddr>>,
    imported: String,
    addresses_changed: Option<String>,
    events: Vec<EventEntry<'a>>,
}

/// Something that happened to it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EventEntry<'a> {
    at: String,
    severity: &'static str,
    what: &'a str,
    readings: &'a [String],
}

/// The entry of an event.
pub(super) fn event(event: &Event) -> EventEntry<'_> {
    EventEntry { at: rfc3339(event.at), severity: event.severity.label(), what: &event.what, readings: &event.readings }
}

impl<'a> EnvironmentEntry<'a> {
    /// The entry of what is remembered.
    pub(super) fn of(memory: &'a Memory) -> Self {
        let environment = &memory.environment;
        Self {
            name: &environment.name,
            kind: environment.kind.as_deref(),
            status: environment.status.as_deref(),
            suspended: environment.suspended,
            addresses: environment
                .addresses
                .iter()
                .map(|(kind, set)| (kind.label(), set.iter().copied().collect()))
                .collect(),
            imported: rfc3339(memory.seen),
            addresses_changed: memory.addresses_changed.map(rfc3339),
            events: memory.events.iter().map(event).collect(),
        }
    }
}
