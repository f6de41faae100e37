//! The JSON of `ase-agent portal --output json`, described by `docs/portal.schema.json`.

use serde::Serialize;

use super::note::document;
use crate::readers::{
    notes::{Note, exit_code},
    portal::{Named, Portal, Reached, Said},
};

#[derive(Serialize)]
struct Body<'a> {
    app: &'a str,
    suffix: &'a str,
    deployment: &'static str,
    address: Option<String>,
    address_given: bool,
    exit_code: u8,
    names: Vec<NameEntry<'a>>,
    ports: Vec<PortEntry>,
}

#[derive(Serialize)]
struct NameEntry<'a> {
    role: &'static str,
    name: &'a str,
    answers: Vec<AnswerEntry>,
}

#[derive(Serialize)]
struct AnswerEntry {
    server: String,
    side: &'static str,
    outcome: &'static str,
    addresses: Vec<String>,
}

#[derive(Serialize)]
struct PortEntry {
    service: &'static str,
    port: u16,
    role: Option<&'static str>,
    cause: Option<&'static str>,
    untested: Option<String>,
    seconds: f64,
}

/// Renders one look as one document.
pub fn portal_to_json(portal: &Portal<'_>, notes: &[Note]) -> String {
    let body = Body {
        app: portal.app,
        suffix: portal.suffix,
        deployment: portal.deployment.label(),
        address: portal.address.map(|address| address.to_string()),
        address_given: portal.is_given,
        exit_code: exit_code(notes),
        names: portal.names.iter().map(NameEntry::of).collect(),
        ports: portal.reached.iter().map(PortEntry::of).collect(),
    };
    document("ase-agent/portal/1", portal.began, body, notes)
}

impl<'a> NameEntry<'a> {
    fn of(named: &'a Named) -> Self {
        let answers = named.said.iter().map(AnswerEntry::of).collect();
        Self { role: named.role.label(), name: &named.name, answers }
    }
}

impl AnswerEntry {
    fn of(said: &Said) -> Self {
        Self {
            server: said.server.to_string(),
            side: if said.is_azure { "azure" } else { "custom" },
            outcome: said.answer.outcome.label(),
            addresses: said.answer.addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

impl PortEntry {
    fn of(reached: &Reached) -> Self {
        let finding = reached.visit.result.ok().and_then(|verdict| verdict.finding());
        Self {
            service: reached.service.label(),
            port: reached.port,
            role: reached.role.map(|role| role.label()),
            cause: finding.map(|finding| finding.cause.label()),
            untested: reached.visit.result.err().map(|untested| untested.reason()),
            seconds: reached.visit.took.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::readers::portal::tests::{both, names, portal};

    #[test]
    fn the_document_has_names_and_ports_and_fits_its_schema() {
        let (names, reached) = (names(), both());
        let portal = portal(&names, &reached);
        let document: Value = serde_json::from_str(&portal_to_json(&portal, &portal.notes())).expect("JSON");
        let schema: Value = serde_json::from_str(include_str!("../../../../docs/portal.schema.json")).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert_eq!(document["names"][1]["name"], "testapp.scm.contoso.appserviceenvironment.net");
        assert_eq!(document["names"][1]["answers"][1]["side"], "azure");
        assert_eq!((&document["exit_code"], &document["ports"][0]["port"]), (&0.into(), &443.into()));
    }
}
