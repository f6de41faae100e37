//! What is remembered of an environment between imports, and which changes are events: suspended, restored, other addresses.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};

use crate::{
    imports::environment::{AddressKind, Addresses, Environment},
    lint::read::node::Node,
    model::catalog::Severity,
};

/// The name and version of the file. Fields are only added.
const SCHEMA: &str = "ase-agent/environment/1";
/// The file in the state directory.
pub const FILE: &str = "environment.json";
/// A larger file is none of ours, in bytes: a hundred events are 100 kB.
pub const LARGEST: u64 = 1 << 20;
/// So many events are remembered.
const MOST_EVENTS: usize = 100;

/// Something that happened to an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was noticed, since the Unix epoch.
    pub at: Duration,
    /// How bad it is.
    pub severity: Severity,
    /// What happened.
    pub what: String,
    /// What it may mean, the likelier first.
    pub readings: Vec<String>,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The environment as it was told last; of what the last answer left out, what was told before.
    pub environment: Environment,
    /// When it was told, since the Unix epoch.
    pub seen: Duration,
    /// When its addresses changed last; none since they are remembered.
    pub addresses_changed: Option<Duration>,
    /// What happened, the newest last.
    pub events: Vec<Event>,
}

impl Memory {
    /// Takes in what was told now; returns what is remembered then, and what is new.
    pub fn note(before: Option<Self>, told: Environment, now: Duration) -> (Self, Vec<Event>) {
        let known = before.filter(|before| {
            before.environment.name.is_empty() || told.name.is_empty() || before.environment.name == told.name
        });
        let old = known.as_ref().map(|known| known.environment.clone()).unwrap_or_default();
        let mut fresh: Vec<Event> = suspension(&old, &told, now).into_iter().collect();
        let moved = known.as_ref().and_then(|_| moved(&old, &told, now));
        let addresses_changed = match &moved {
            Some(_) => Some(now),
            None => known.as_ref().and_then(|known| known.addresses_changed),
        };
        fresh.extend(moved);
        let mut events = known.map(|known| known.events).unwrap_or_default();
        events.extend(fresh.iter().cloned());
        events.drain(..events.len().saturating_sub(MOST_EVENTS));
        (Self { environment: filled(old, told), seen: now, addresses_changed, events }, fresh)
    }

    /// As a file.
    pub fn to_json(&self) -> String {
        let environment = &self.environment;
        let addresses: serde_json::Map<String, Value> =
            environment.addresses.iter().map(|(kind, set)| (kind.label().to_owned(), json!(set))).collect();
        let event = |event: &Event| json!({"at": event.at.as_secs(), "severity": event.severity.label(), "what": event.what, "readings": event.readings});
        let value = json!({
            "schema": SCHEMA,
            "name": environment.name,
            "kind": environment.kind,
            "status": environment.status,
            "suspended": environment.suspended,
            "addresses": addresses,
            "seen": self.seen.as_secs(),
            "addresses_changed": self.addresses_changed.map(|at| at.as_secs()),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        });
        format!("{value:#}\n")
    }

    /// Reads a file; none where it is none.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let root = Node::root(&value);
        root.text_of("schema").filter(|schema| schema == SCHEMA)?;
        let seconds = |node: &Node<'_>, name: &str| node.text_of(name)?.parse().ok().map(Duration::from_secs);
        let addresses = root.get("addresses");
        let of_kind = |kind: AddressKind| {
            let field = addresses.as_ref().filter(|node| node.has(kind.label()))?;
            Some((kind, field.texts(&[kind.label()]).iter().filter_map(|item| item.text()?.parse().ok()).collect()))
        };
        let event = |node: &Node<'_>| {
            Some(Event {
                at: seconds(node, "at")?,
                severity: match node.text_of("severity")?.as_str() {
                    "critical" => Severity::Critical,
                    "warning" => Severity::Warning,
                    _ => Severity::Info,
                },
                what: node.text_of("what")?,
                readings: node.texts(&["readings"]).iter().filter_map(Node::text).collect(),
            })
        };
        Some(Self {
            environment: Environment {
                name: root.text_of("name").unwrap_or_default(),
                kind: root.text_of("kind"),
                status: root.text_of("status"),
                suspended: root.get("suspended").and_then(|flag| flag.value.as_bool()),
                addresses: AddressKind::ALL.into_iter().filter_map(of_kind).collect(),
            },
            seen: seconds(&root, "seen")?,
            addresses_changed: seconds(&root, "addresses_changed"),
            events: root.list("events").iter().filter_map(event).collect(),
        })
    }
}

/// What the last answer left out stays as it was told before.
fn filled(old: Environment, told: Environment) -> Environment {
    let mut addresses = old.addresses;
    addresses.extend(told.addresses);
    Environment {
        name: if told.name.is_empty() { old.name } else { told.name },
        kind: told.kind.or(old.kind),
        status: told.status.or(old.status),
        suspended: told.suspended.or(old.suspended),
        addresses,
    }
}

fn suspension(old: &Environment, told: &Environment, now: Duration) -> Option<Event> {
    match (old.suspended, told.suspended) {
        (Some(true), Some(true)) => None,
        (_, Some(true)) => Some(Event {
            at: now,
            severity: Severity::Critical,
            what: "the environment is suspended: none of its apps is served".to_owned(),
            readings: vec![
                "inbound management or a dependency was cut for too long: mend that first (`ase-agent lint`, `ase-agent check`), then resume \
                 it in the portal; its addresses change then"
                    .to_owned(),
                "the account ran short".to_owned(),
            ],
        }),
        (Some(true), Some(false)) => Some(Event {
            at: now,
            severity: Severity::Info,
            what: "the environment is suspended no more".to_owned(),
            readings: vec!["it was resumed: its addresses may be others now".to_owned()],
        }),
        _ => None,
    }
}

/// The change of addresses between two answers, of the kinds that both told.
fn moved(old: &Environment, told: &Environment, now: Duration) -> Option<Event> {
    let migrated = match (&old.kind, &told.kind) {
        (Some(before), Some(after)) if !before.eq_ignore_ascii_case(after) => {
            Some(format!("kind went from {before} to {after}"))
        }
        _ => None,
    };
    let changes = changes(&old.addresses, &told.addresses);
    if changes.is_empty() && migrated.is_none() {
        return None;
    }
    let restored = "it was suspended and restored: its addresses change then".to_owned();
    let readings = match (&migrated, &told.kind) {
        (Some(kind), _) => vec![format!("it was migrated: {kind}")],
        (None, Some(kind)) => vec![format!("{restored}; its kind is still {kind}"), "the platform moved it".to_owned()],
        (None, None) => {
            vec![restored, "it was migrated: the kind of the environment would tell, and no answer has it".to_owned()]
        }
    };
    let what = [changes, migrated.into_iter().collect()].concat().join("; ");
    Some(Event { at: now, severity: Severity::Warning, what, readings })
}

fn changes(old: &Addresses, told: &Addresses) -> Vec<String> {
    let list = |addresses: &mut dyn Iterator<Item = &IpAddr>| {
        addresses.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let of = |(kind, after): (&AddressKind, &std::collections::BTreeSet<IpAddr>)| {
        let before = old.get(kind).filter(|before| *before != after)?;
        let (gone, new) = (list(&mut before.difference(after)), list(&mut after.difference(before)));
        let said = [(gone, "gone"), (new, "new")].into_iter().filter(|(which, _)| !which.is_empty());
        let said: Vec<_> = said.map(|(which, word)| format!("{which} {word}")).collect();
        Some(format!("{} addresses changed: {}", kind.words(), said.join(", ")))
    };
    told.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(kind: &str, suspended: bool, outbound: &str) -> Environment {
        Environment {
            name: "ase-1".to_owned(),
            kind: Some(kind.to_owned()),
            status: Some("Ready".to_owned()),
            suspended: Some(suspended),
            addresses: Addresses::from([(AddressKind::Outbound, [outbound.parse().expect("an address")].into())]),
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_seen_first_is_no_change_but_a_suspension_is_said_at_once() {
        let (memory, events) = Memory::note(None, environment("ASEV2", false, "203.0.113.1"), at(1));
        assert_eq!((events.len(), memory.addresses_changed), (0, None));
        let (_, events) = Memory::note(None, environment("ASEV2", true, "203.0.113.1"), at(1));
        assert_eq!((events.len(), events[0].severity), (1, Severity::Critical));
    }

    #[test]
    fn suspended_resumed_and_other_addresses_are_events_each_once() {
        let (memory, _) = Memory::note(None, environment("ASEV2", false, "203.0.113.1"), at(1));
        let (memory, events) = Memory::note(Some(memory), environment("ASEV2", true, "203.0.113.1"), at(2));
        assert_eq!(events.iter().map(|event| event.severity).collect::<Vec<_>>(), [Severity::Critical]);
        let (memory, events) = Memory::note(Some(memory), environment("ASEV2", true, "203.0.113.1"), at(3));
        assert_eq!(events, []);
        let (memory, events) = Memory::note(Some(memory), environment("ASEV2", false, "203.0.113.9"), at(4));
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].what, "outbound addresses changed: 203.0.113.1 gone, 203.0.113.9 new");
        assert!(
            events[1].readings[0].contains("suspended and restored") && events[1].readings[0].contains("still ASEV2")
        );
        assert_eq!((memory.addresses_changed, memory.events.len()), (Some(at(4)), 3));
        let (memory, events) = Memory::note(Some(memory), environment("ASEV2", false, "203.0.113.9"), at(5));
        assert_eq!((events.len(), memory.addresses_changed), (0, Some(at(4))));
    }

    #[test]
    fn the_kind_tells_a_migration_apart() {
        let (memory, _) = Memory::note(None, environment("ASEV2", false, "203.0.113.1"), at(1));
        let (_, events) = Memory::note(Some(memory.clone()), environment("ASEV3", false, "203.0.113.9"), at(2));
        assert_eq!(events[0].readings, ["it was migrated: kind went from ASEV2 to ASEV3"]);
        let unknown = Environment { kind: None, ..environment("", false, "203.0.113.9") };
        let (memory, events) = Memory::note(Some(memory), unknown, at(2));
        assert_eq!(events[0].readings.len(), 2, "both readings stand");
        assert_eq!(memory.environment.kind.as_deref(), Some("ASEV2"), "what is left out stays as it was told");
    }

    #[test]
    fn an_answer_without_addresses_changes_none_and_another_environment_begins_anew() {
        let (memory, _) = Memory::note(None, environment("ASEV2", false, "203.0.113.1"), at(1));
        let without = Environment { addresses: Addresses::new(), ..environment("ASEV2", false, "203.0.113.1") };
        let (memory, events) = Memory::note(Some(memory), without, at(2));
        assert_eq!((events.len(), memory.environment.addresses.len()), (0, 1));
        let other = Environment { name: "ase-2".to_owned(), ..environment("ASEV3", false, "198.51.100.1") };
        let (memory, events) = Memory::note(Some(memory), other, at(3));
        assert_eq!((events.len(), memory.events.len()), (0, 0));
    }

    #[test]
    fn a_file_reads_back_and_what_is_none_is_none() {
        let (memory, _) = Memory::note(None, environment("ASEV2", false, "203.0.113.1"), at(1));
        let (memory, _) = Memory::note(Some(memory), environment("ASEV3", true, "203.0.113.9"), at(2));
        assert_eq!(Memory::from_json(memory.to_json().as_bytes()), Some(memory));
        for text in ["", "{}", "[]", "{\"schema\": \"ase-agent/environment/2\"}", "\u{0}"] {
            assert_eq!(Memory::from_json(text.as_bytes()), None, "{text}");
        }
    }
}
