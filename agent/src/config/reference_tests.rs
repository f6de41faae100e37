//! The reference of the configuration, made of its schema and of what is in force without a file, and the proof that
//! `docs/configuration.md` is it.

use serde_json::{Map, Value};

use super::{effective::tests::shown_defaults, schema_tests::schema};
use crate::golden::assert_golden;

const INTRODUCTION: &str = "\
# The configuration

One YAML document; every key may be left out. This page is made of the types that read it. The [annotated
example](../systemd/ase-agent.yaml) says why one would set a key, [deploy](deploy.md) where the file lies, and editors check
and complete by the [schema](config.schema.json).

```sh
ase-agent config check /etc/ase-agent/ase-agent.yaml
ase-agent config show --effective --config /etc/ase-agent/ase-agent.yaml
ase-agent config schema
```

- A *duration* is a number with a unit, or several: `500ms`, `30s`, `1m 30s`, `2d`.
- Any single value may be `${NAME}` or `${NAME:-default}` from the environment; it is never shown.
- A key without a value, or with `null`, has its default. Where no default stands nothing is set.
- Unknown keys are errors that name file, line and the nearest valid key.
";

/// A page in the making: sections that were mentioned wait until they are written.
struct Reference {
    schema: Value,
    defaults: Value,
    waiting: Vec<(String, Map<String, Value>)>,
}

impl Reference {
    fn page(mut self) -> String {
        let mut text = INTRODUCTION.to_owned();
        let keys = self.schema["properties"].as_object().expect("the schema has keys").clone();
        self.section(&mut text, "", &keys);
        while !self.waiting.is_empty() {
            let (path, keys) = self.waiting.remove(0);
            self.section(&mut text, &path, &keys);
        }
        text
    }

    fn section(&mut self, text: &mut String, path: &str, keys: &Map<String, Value>) {
        let heading = if path.is_empty() { "All keys".to_owned() } else { format!("`{path}`") };
        text.push_str(&format!("\n## {heading}\n\n| key | value | default | what it is |\n|---|---|---|---|\n"));
        for (key, schema) in keys.iter().filter(|(key, _)| !(path.is_empty() && *key == "origins")) {
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let (kind, default) = (self.kind(&full, schema), self.default_of(&full));
            let words = schema["description"].as_str().unwrap_or_default().replace('|', "\\|");
            text.push_str(&format!("| `{key}` | {kind} | {default} | {words} |\n"));
        }
    }

    /// What may stand behind a key, in words; empty for what may stand behind every key.
    fn kind(&mut self, path: &str, schema: &Value) -> String {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let meant = self.schema["$defs"][name].clone();
            return match name {
                "HumanDuration" => "duration".to_owned(),
                "Variable" => String::new(),
                _ => self.kind(path, &meant),
            };
        }
        for ways in ["anyOf", "oneOf"] {
            if let Some(ways) = schema[ways].as_array() {
                let kinds: Vec<_> = ways.iter().map(|way| self.way(path, way)).filter(|way| !way.is_empty()).collect();
                return kinds.join(" or ");
            }
        }
        if let Some(words) = schema["enum"].as_array() {
            let mut words: Vec<_> = words.iter().map(code).collect();
            // A text may also be written as the number that it looks like.
            words.dedup();
            return words.join(" or ");
        }
        match schema["type"].as_str() {
            Some("null") => String::new(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("integer" | "number") => number(schema),
            Some("array") => format!("list ({})", self.kind(&format!("{path}[]"), &schema["items"])),
            Some("object") => self.object(path, schema),
            _ if schema["format"] == "ip" => "address".to_owned(),
            _ => "text".to_owned(),
        }
    }

    /// One of several things that may stand there: as its own words show it, or with them.
    fn way(&mut self, path: &str, schema: &Value) -> String {
        let words = schema["description"].as_str().unwrap_or_default().trim_end_matches('.');
        match (words.starts_with('`'), schema.get("const")) {
            (true, _) => words.to_owned(),
            (false, Some(value)) => format!("{} ({})", code(value), words[..1].to_lowercase() + &words[1..]),
            (false, None) => self.kind(path, schema),
        }
    }

    fn object(&mut self, path: &str, schema: &Value) -> String {
        let Some(keys) = schema["properties"].as_object() else {
            return format!("by name: {}", self.kind(&format!("{path}.NAME"), &schema["additionalProperties"]));
        };
        if let (Some(first), true) = (keys.values().next(), keys.values().all(|key| key["description"].is_null())) {
            return format!("by class: {}", self.kind(path, first));
        }
        let anchor =
            path.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect::<String>().to_lowercase();
        self.waiting.push((path.to_owned(), keys.clone()));
        format!("[keys](#{anchor})")
    }

    /// What is in force where nobody sets the key, if it is anything.
    fn default_of(&self, path: &str) -> String {
        let is_default = |path: &str| self.defaults["origins"][path] == "default";
        let value = path.split('.').fold(&self.defaults, |value, key| &value[key]);
        let is_whole = match value.as_object() {
            Some(keys) => !keys.is_empty() && keys.keys().all(|key| is_default(&format!("{path}.{key}"))),
            None => is_default(path),
        };
        // A section shows its defaults key by key.
        let is_section = self.waiting.iter().any(|(waiting, _)| waiting == path);
        let shown = flow(value);
        if is_whole && !is_section && !shown.is_empty() && shown != "[]" { format!("`{shown}`") } else { String::new() }
    }
}

fn code(value: &Value) -> String {
    format!("`{}`", flow(value))
}

/// A value as YAML writes it in one line.
fn flow(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(flow).collect())),
        Value::Object(keys) => {
            format!("{{{}}}", joined(keys.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect()))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn number(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("number, {least} to {most}"),
        (Some(least), None) => format!("number from {least}"),
        (None, _) => "number".to_owned(),
    }
}

#[test]
fn the_committed_reference_is_the_one_of_the_types() {
    let defaults = serde_json::from_str(&shown_defaults()).expect("what is shown is JSON");
    let page = Reference { schema: schema(), defaults, waiting: Vec::new() }.page();
    for promised in ["| `failing_interval` | duration | `10s` |", "| `intervals` | by class: duration | `{dns: 30s, "] {
        assert!(page.contains(promised), "{promised}: {page}");
    }
    assert_golden("../docs/configuration.md", &page);
}
