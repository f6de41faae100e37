//! The documents of smaller commands fit the schemas that are published of them, and the schemas refuse what is no such document.

use std::{net::SocketAddr, time::Duration};

use ase_probes::class::Class;
use serde_json::{Value, json};

use super::{
    ImportHead, checked_to_json, environment_to_json, history_to_json, inbound_to_json, outbound_to_json,
    resolved_to_json, round_to_json, survey_to_json,
};
use crate::{
    imports::{
        environment::{AddressKind, Environment},
        memory::Memory,
        outbound::Dependency,
        vantage::compare,
    },
    lint::{
        read::InboundEntry,
        render::size,
        requirements::Management,
        size::{Generation, Plan, add_up},
    },
    readers::history::Shown,
    resolvers::worker::Resolved,
    risk::estimate::{ClockTime, Level, RiskMemory},
    sample,
    store::{
        history::History,
        rows::{IncidentRow, OutcomeRow, StateRow},
    },
};

/// Holds a document to its schema, and the schema to being one: without any of its required fields it takes nothing.
fn fits(text: &str, schema: &str) -> Value {
    let (document, schema): (Value, Value) =
        (serde_json::from_str(text).expect("JSON"), serde_json::from_str(schema).expect("JSON"));
    jsonschema::meta::validate(&schema).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("it compiles");
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
    let mut lacking = document.clone();
    drop(lacking.as_object_mut().expect("an object").remove("schema"));
    assert!(!validator.is_valid(&lacking), "what does not say what it is, is nothing");
    let mut more = document.clone();
    more["surprise"] = json!(1);
    assert!(!validator.is_valid(&more), "what is not described is not there");
    document
}

#[test]
fn what_an_app_gets_and_both_sides_fit_one_schema() {
    let schema = include_str!("../../../../docs/nameresolver.schema.json");
    let server = SocketAddr::from(([10, 0, 0, 4], 53));
    let silent = Resolved { server, answer: None, tries: 2, fell_back: false, outcomes: Vec::new() };
    assert_eq!(fits(&resolved_to_json("db.example", &silent), schema)["resolved"], json!(false));
    let names = sample::snapshot().names;
    let view = names.iter().find(|view| view.last.is_some()).expect("one was compared");
    let survey = view.last.as_ref().expect("it was compared");
    assert_eq!(fits(&survey_to_json(survey), schema)["comparison"]["class"], json!("private_bypass"));
    assert_eq!(fits(&round_to_json(3, view), schema)["round"], json!(3));
}

#[test]
fn what_is_remembered_fits_its_schema() {
    let schema = include_str!("../../../../docs/history.schema.json");
    let (began, ended) = (Duration::from_secs(60), Duration::from_secs(120));
    let clock = ClockTime { outage: 12.5, loss: 0.5, healthy: 0 };
    let risk = RiskMemory { clocks: [(Class::Sql, clock)].into(), level: Level::Warn, ..RiskMemory::default() };
    let outcome = OutcomeRow {
        endpoint: "db.example:1433".into(),
        class: "sql".into(),
        result: "failed".into(),
        cause: Some("dropped".into()),
        phase: None,
        began,
        ended,
        count: 3,
        took: Duration::from_secs(7),
    };
    let mut state = StateRow { saved: ended, ..StateRow::default() };
    state.memory.risk = risk;
    let history = History {
        state: Some(state),
        incidents: vec![IncidentRow {
            id: "1".to_owned(),
            since: began,
            closed: Some(ended),
            ..IncidentRow::default()
        }],
        outcomes: vec![outcome],
        ..History::default()
    };
    for shown in [(true, true), (true, false), (false, true)] {
        let shown = Shown { incidents: shown.0, outcomes: shown.1 };
        let document = fits(&history_to_json(&history, shown, "0.1.0"), schema);
        assert_eq!(document["clocks"]["classes"][0]["lost_seconds"], json!(12.5));
    }
    let nothing = Shown { incidents: true, outcomes: true };
    let document = fits(&history_to_json(&History::default(), nothing, "0.1.0"), schema);
    assert_eq!(document["clocks"], Value::Null);
}

#[test]
fn a_planned_subnet_fits_its_schema() {
    let schema = include_str!("../../../../docs/plan-subnet.schema.json");
    let plan = Plan { instances: 20, flavour: "any".to_owned(), container_apps: 0, zone_redundant: false };
    for generation in [Generation::V3, Generation::V2 { internal: true, front_end_every: 15 }] {
        let sum = add_up(generation, std::slice::from_ref(&plan));
        assert_eq!(fits(&size::json(&sum, None), schema)["current"], Value::Null);
        assert_eq!(fits(&size::json(&sum, Some(24)), schema)["current"]["fits"], json!(true));
    }
}

#[test]
fn a_checked_file_fits_its_schema_whether_it_is_good_or_not() {
    let schema = include_str!("../../../../docs/config-check.schema.json");
    let catalog = sample::snapshot().catalog;
    let warnings = ["no certificate authority is known".to_owned()];
    let good = fits(&checked_to_json("agent.yaml", Some((&catalog, &warnings)), &[]), schema);
    assert_eq!((&good["good"], &good["profile"], &good["mistakes"]), (&json!(true), &json!("ase-v2"), &json!([])));
    let mistakes = [(Some((2, 12)), "intervals.dns (1) must have a unit".to_owned()), (None, "x".to_owned())];
    let bad = fits(&checked_to_json("agent.yaml", None, &mistakes), schema);
    assert_eq!((&bad["good"], &bad["endpoints"]), (&json!(false), &Value::Null));
    assert_eq!((&bad["mistakes"][0]["line"], &bad["mistakes"][1]["line"]), (&json!(2), &Value::Null));
}

#[test]
fn each_import_fits_one_schema_and_says_which_it_is() {
    let schema = include_str!("../../../../docs/import.schema.json");
    let left_out = ["[3]: has no name".to_owned()];
    let head = |what| ImportHead { what, source: "answer.json", left_out: &left_out };
    let dependency = Dependency {
        category: "Azure SQL Database".to_owned(),
        name: "db.example".to_owned(),
        address: "203.0.113.7".parse().ok(),
        port: Some(1433),
        accessible: Some(false),
        latency: Some(2.5),
    };
    let outbound =
        fits(&outbound_to_json(&head("outbound"), &compare(&[dependency], &[]), "profile: ase-v2\n"), schema);
    assert_eq!(outbound["dependencies"][0]["view"], json!("unknown"));
    let management = Management::of_cloud("public");
    let entry = |what: &str| InboundEntry {
        description: what.to_owned(),
        endpoints: vec!["203.0.113.20/32".parse().expect("a prefix")],
        ports: vec![454, 455],
    };
    let inbound = fits(&inbound_to_json(&head("inbound"), &[entry("App Service management")], &management), schema);
    assert_eq!((&inbound["management"]["listed"], &inbound["management"]["not_documented"]), (&json!(1), &json!(1)));
    let without = fits(&inbound_to_json(&head("inbound"), &[entry("the subnet")], &management), schema);
    assert_eq!(without["management"], Value::Null);
    let mut told = Environment { name: "ase-1".to_owned(), suspended: Some(false), ..Environment::default() };
    told.addresses.insert(AddressKind::Outbound, ["203.0.113.1".parse().expect("an address")].into());
    let (memory, _) = Memory::note(None, told.clone(), Duration::from_secs(60));
    told.suspended = Some(true);
    let (memory, news) = Memory::note(Some(memory), told, Duration::from_secs(120));
    let document = fits(&environment_to_json(&head("environment"), &memory, &news, true), schema);
    assert_eq!(
        (&document["environment"]["suspended"], &document["news"][0]["severity"]),
        (&json!(true), &json!("critical"))
    );
}
