//! The JSON Schema of the configuration, made of its types and loosened to what the file's reader takes, and the proof that
//! the committed one is it.

use std::{borrow::Cow, collections::BTreeSet};

use ase_probes::class::Class;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    file::{File, Texts},
    profile::Profile,
};
use crate::golden::assert_golden;

/// What stands in every value's place: a variable of the environment.
const VARIABLE: &str = "#/$defs/Variable";

/// The names of the built-in profiles.
pub(super) fn profiles(_: &mut SchemaGenerator) -> Schema {
    words(Profile::all().map(|profile| profile.profile))
}

/// The clouds that some profile knows.
pub(super) fn clouds(_: &mut SchemaGenerator) -> Schema {
    words(Profile::all().map(|profile| profile.cloud))
}

/// The packs that some profile has.
pub(super) fn packs(_: &mut SchemaGenerator) -> Schema {
    let names: BTreeSet<String> = Profile::all().flat_map(|profile| profile.packs.into_keys()).collect();
    json_schema!({"type": "array", "items": {"type": "string", "enum": names}})
}

/// Lists of hosts by the slots that some profile has.
pub(super) fn slots(_: &mut SchemaGenerator) -> Schema {
    let slots = || Profile::all().flat_map(|profile| profile.slots);
    let hosts =
        |hint: String| json!({"description": hint, "type": "array", "items": {"type": "string"}, "minItems": 1});
    let mut named = Map::new();
    for slot in slots() {
        named.entry(slot.name).or_insert_with(|| hosts(slot.hint));
    }
    json_schema!({"type": "object", "properties": named, "additionalProperties": false})
}

/// A share for each class.
pub(super) fn weights(_: &mut SchemaGenerator) -> Schema {
    let share = |class: Class| (class.label().to_owned(), json!({"type": "number", "minimum": 0, "maximum": 1}));
    let shares: Map<String, Value> = Class::ALL.into_iter().map(share).collect();
    json_schema!({"type": "object", "properties": shares, "additionalProperties": false})
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    }
}

fn words(all: impl Iterator<Item = String>) -> Schema {
    let all: BTreeSet<String> = all.collect();
    json_schema!({"type": "string", "enum": all})
}

/// The schema as it is committed.
pub(super) fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>().to_value();
    let structured = structured(&schema);
    loosen(&mut schema, &structured);
    // What a type is for is said of each key that has it.
    let types = schema["$defs"].as_object_mut().into_iter().flat_map(Map::values_mut);
    types.filter_map(Value::as_object_mut).for_each(|keys| drop(keys.remove("description")));
    schema["title"] = json!("Configuration of ase-agent");
    schema["description"] = json!("One YAML document. Every key may be left out, or have no value, which is the same.");
    schema["$defs"]["Variable"] = json!({
        "description": "A value from the environment: ${NAME}, or ${NAME:-default} where it may be unset or empty.",
        "type": "string",
        "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
    });
    schema["$defs"]["TdsName"] = json!({"enum": ["7.x", "8.0", 8.0]});
    schema
}

/// References to types that are no single value, for which no variable can stand.
fn structured(schema: &Value) -> BTreeSet<String> {
    let types = schema["$defs"].as_object().into_iter().flatten();
    let is_structured = |(_, one): &(&String, &Value)| one["type"] == "object" || one["type"] == "array";
    types.filter(is_structured).map(|(name, _)| format!("#/$defs/{name}")).collect()
}

/// Lets every single value be a variable, and every key be without a value, as the reader does.
fn loosen(schema: &mut Value, structured: &BTreeSet<String>) {
    let Some(keys) = schema.as_object_mut() else { return };
    keys.remove("default");
    for key in ["properties", "$defs"] {
        let named = keys.get_mut(key).and_then(Value::as_object_mut);
        named.into_iter().flat_map(Map::values_mut).for_each(|part| loosen(part, structured));
    }
    for key in ["items", "additionalProperties"] {
        keys.get_mut(key).into_iter().for_each(|part| loosen(part, structured));
    }
    for key in ["anyOf", "oneOf"] {
        keys.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(|part| loosen(part, structured));
    }
    if let Some(properties) = keys.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|part| open(part, structured));
    }
    if keys.get("additionalProperties").is_some_and(Value::is_object) {
        keys.get_mut("additionalProperties").into_iter().for_each(|part| open(part, structured));
    }
}

/// The schema of a key's value, with the two things that may stand in its place.
fn open(value: &mut Value, structured: &BTreeSet<String>) {
    let mut inner = std::mem::take(value);
    let Some(keys) = inner.as_object_mut() else { return };
    let description = keys.remove("description");
    let mut ways = match keys.remove("anyOf") {
        Some(Value::Array(ways)) => ways,
        _ => vec![inner],
    };
    ways.retain(|way| *way != json!({"type": "null"}));
    for way in &mut ways {
        if let Some(Value::Array(types)) = way.get("type").cloned() {
            way["type"] = types.into_iter().find(|one| one != "null").unwrap_or_default();
        }
    }
    let takes_any_text = ways.iter().any(|way| *way == json!({"type": "string"}));
    let is_structured = |way: &Value| {
        let reference = way["$ref"].as_str();
        way["type"] == "array" || way["type"] == "object" || reference.is_some_and(|name| structured.contains(name))
    };
    if !takes_any_text && !ways.iter().any(is_structured) {
        ways.push(json!({"$ref": VARIABLE}));
    }
    ways.push(json!({"type": "null"}));
    *value = json!({"anyOf": ways});
    description.into_iter().for_each(|words| value["description"] = words);
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let schema = schema();
    jsonschema::meta::validate(&schema).expect("it is a schema");
    assert_golden("../docs/config.schema.json", &format!("{schema:#}\n"));
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let validator = jsonschema::validator_for(&schema()).expect("it compiles");
    for (file, is_good) in [
        ("", true),
        ("slots:\nendpoints:\n  add:\npace:\n", true),
        ("vantage: ${SITE}\nlisten: '${LISTEN:-127.0.0.1:10123}'\npace: {concurrency: '${N}'}\n", true),
        ("intervals: {https: 1m, ntp: 2d}\nrisk: {prior: {half: 2h, ninety_five: 4h}, weights: {dns: 0.5}}\n", true),
        (
            "endpoints: {add: [{host: db.example, class: sql, tds: 8.0, severity: info}], override: {'*': {interval: 1m}}}",
            true,
        ),
        (
            "endpoints: {add: [{host: a.example, class: http, expect: {status: [200]}}, {host: b.example, class: http, expect: crl}]}",
            true,
        ),
        ("intervalls: {dns: 30s}", false),
        ("intervals: {dnss: 30s}", false),
        ("intervals: {dns: 30}", false),
        ("slots: {sqlserver: [db.example]}", false),
        ("pace: {concurrency: 0}", false),
        ("endpoints: {add: [{class: https}]}", false),
        ("endpoints: {add: [{host: a.example, expect: maybe}]}", false),
        ("profile: ase-v3\npacks: [functions, linux-build]\n", true),
        ("packs: [gardening]", false),
        ("profile: container-apps", false),
        ("cloud: moon", false),
        ("pace: '${PACE}'", false),
        ("endpoints: {add: '${LIST}'}", false),
        ("risk: {weights: {dns: 2}}", false),
    ] {
        let document: Value = serde_saphyr::from_str::<Option<Value>>(file).expect(file).unwrap_or_else(|| json!({}));
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(errors.is_empty(), is_good, "{file}: {errors:?}");
    }
}
