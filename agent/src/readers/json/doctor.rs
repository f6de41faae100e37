//! The JSON of `ase-agent doctor --output json`, described by `docs/doctor.schema.json`.

use serde::Serialize;

use super::note::document;
use crate::{
    exports::mirror::Mirror,
    readers::{
        doctor::{Event, Examined, Instance},
        notes::{Note, exit_code},
    },
};

#[derive(Serialize)]
struct Body<'a> {
    configuration: &'a str,
    exit_code: u8,
    on_azure: bool,
    clock: Option<ClockEntry>,
    unit_running: bool,
    instance: Option<InstanceEntry<'a>>,
    events: Option<Vec<EventEntry<'a>>>,
    mirrors: Option<bool>,
    public_source: Option<String>,
}

#[derive(Serialize)]
struct ClockEntry {
    synchronised: bool,
    largest_error_seconds: f64,
}

#[derive(Serialize)]
struct InstanceEntry<'a> {
    cloud: &'a str,
    region: &'a str,
    subnets: Vec<String>,
    private_addresses: Vec<String>,
    public_addresses: Vec<String>,
}

#[derive(Serialize)]
struct EventEntry<'a> {
    kind: &'a str,
    status: &'a str,
    not_before: &'a str,
}

/// Renders one look as one document.
pub fn examined_to_json(examined: &Examined<'_>, notes: &[Note]) -> String {
    let metadata = examined.metadata;
    let events = metadata.and_then(|metadata| metadata.events.as_ref().ok());
    let mirrors = examined.mirror.and_then(|mirror| match mirror {
        Ok(Mirror::Compared { differences, .. }) => Some(differences.is_empty()),
        Ok(Mirror::OwnMissing | Mirror::EnvironmentMissing) | Err(_) => None,
    });
    let clock = examined.clock.as_ref().ok().map(|clock| ClockEntry {
        synchronised: clock.is_synchronised,
        largest_error_seconds: clock.largest_error.as_secs_f64(),
    });
    let source = examined.reflected.and_then(|reflected| reflected.as_ref().ok());
    let body = Body {
        configuration: &examined.settings.origin,
        exit_code: exit_code(notes),
        on_azure: examined.is_azure,
        clock,
        unit_running: examined.unit.is_running,
        instance: metadata.and_then(|metadata| metadata.instance.as_ref().ok()).map(InstanceEntry::of),
        events: events.map(|events| events.iter().map(EventEntry::of).collect()),
        mirrors,
        public_source: source.map(ToString::to_string),
    };
    document("ase-agent/doctor/1", examined.began, body, notes)
}

impl<'a> InstanceEntry<'a> {
    fn of(instance: &'a Instance) -> Self {
        Self {
            cloud: &instance.cloud,
            region: &instance.region,
            subnets: instance.subnets.iter().map(ToString::to_string).collect(),
            private_addresses: instance.private.iter().map(ToString::to_string).collect(),
            public_addresses: instance.public.iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> EventEntry<'a> {
    fn of(event: &'a Event) -> Self {
        Self { kind: &event.kind, status: &event.status, not_before: &event.not_before }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::readers::doctor::tests::Machine;

    #[test]
    fn the_document_says_what_was_found_and_fits_its_schema() {
        let machine = Machine::well();
        let examined = machine.examined();
        let document: Value = serde_json::from_str(&examined_to_json(&examined, &examined.notes())).expect("JSON");
        let schema: Value = serde_json::from_str(include_str!("../../../../docs/doctor.schema.json")).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert_eq!((&document["mirrors"], &document["instance"]["region"]), (&true.into(), &"westeurope".into()));
    }
}
