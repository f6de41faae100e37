//! How a configuration that is shown is written: as YAML with the origin behind each value, or as JSON with all origins in a
//! key of their own, which is read over.

use serde_json::{Map, Value, json};

use super::{Effective, Origin, Shown};
use crate::net::foreign;

/// Words that YAML readers take for something else than text (YAML 1.1 and 1.2).
const TAKEN: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];

impl Effective {
    /// As YAML.
    pub fn to_yaml(&self) -> String {
        let mut text: String = self.head.iter().map(|line| format!("# {}\n", printable(line))).collect();
        if let Shown::Keys(entries) = &self.keys {
            entries.iter().for_each(|(key, part)| entry(&mut text, 0, key, part));
        }
        text
    }

    /// As JSON, which is a configuration too.
    pub fn to_json(&self) -> String {
        let mut origins = Map::new();
        let mut document = value_of(&self.keys, "", &mut origins);
        document["origins"] = Value::Object(origins);
        format!("{document:#}\n")
    }
}

impl Origin {
    fn words(&self) -> &str {
        match self {
            Self::File(place) => place,
            Self::Elsewhere(words) => words,
        }
    }
}

fn entry(text: &mut String, indent: usize, key: &str, part: &Shown) {
    let start = format!("{:indent$}{}:", "", word(key));
    match part {
        Shown::Value(Value::Null, origin) => text.push_str(&format!("{start}  # {}\n", printable(origin.words()))),
        Shown::Value(value, origin) => {
            text.push_str(&format!("{start} {}  # {}\n", flow(value), printable(origin.words())));
        }
        Shown::Row(cells) => text.push_str(&format!("{start} {}\n", row(cells))),
        Shown::Keys(entries) if entries.is_empty() => text.push_str(&format!("{start} {{}}\n")),
        Shown::Keys(entries) => {
            text.push_str(&format!("{start}\n"));
            entries.iter().for_each(|(key, part)| entry(text, indent + 2, key, part));
        }
        Shown::Items(items) if items.is_empty() => text.push_str(&format!("{start} []\n")),
        Shown::Items(items) => {
            text.push_str(&format!("{start}\n"));
            for item in items {
                let Shown::Row(cells) = item else { continue };
                text.push_str(&format!("{:indent$}  - {}\n", "", row(cells)));
            }
        }
    }
}

/// A row on one line: the commonest origin stands for all keys that are not named.
fn row(cells: &[(&'static str, Value, Origin)]) -> String {
    let pairs: Vec<String> = cells.iter().map(|(key, value, _)| format!("{key}: {}", flow(value))).collect();
    let mut origins: Vec<(&str, Vec<&str>)> = Vec::new();
    for (key, _, origin) in cells {
        match origins.iter_mut().find(|(words, _)| *words == origin.words()) {
            Some((_, keys)) => keys.push(key),
            None => origins.push((origin.words(), vec![key])),
        }
    }
    let commonest = origins.iter().map(|(_, keys)| keys.len()).max().unwrap_or_default();
    let rest = origins.iter().position(|(_, keys)| keys.len() == commonest).map(|at| origins.remove(at));
    let mut said: Vec<String> = origins.iter().map(|(words, keys)| format!("{}: {words}", keys.join(", "))).collect();
    let alone = said.is_empty();
    said.extend(rest.map(|(words, _)| if alone { words.to_owned() } else { format!("the rest: {words}") }));
    format!("{{{}}}  # {}", pairs.join(", "), printable(&said.join("; ")))
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => word(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(keys) => {
            let pairs: Vec<String> =
                keys.iter().map(|(key, value)| format!("{}: {}", word(key), flow(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text without quotes where every reader takes it for a text, else in those of JSON (YAML 1.2 section 7.3.1).
fn word(text: &str) -> String {
    let is_common = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let is_number = text.starts_with("0x") || text.starts_with("0o") || text.parse::<f64>().is_ok();
    let is_taken = TAKEN.iter().any(|taken| text.eq_ignore_ascii_case(taken));
    if begins && text.chars().all(is_common) && !is_number && !is_taken {
        return text.to_owned();
    }
    Value::from(text).to_string()
}

/// A comment ends with its line.
fn printable(text: &str) -> String {
    foreign::plain(text)
}

fn value_of(shown: &Shown, path: &str, origins: &mut Map<String, Value>) -> Value {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match shown {
        Shown::Value(value, origin) => {
            origins.insert(path.to_owned(), json!(origin.words()));
            value.clone()
        }
        Shown::Keys(entries) => {
            let of = |(key, part): &(String, Shown)| (key.clone(), value_of(part, &below(key), origins));
            Value::Object(entries.iter().map(of).collect())
        }
        Shown::Row(cells) => {
            origins.extend(cells.iter().map(|(key, _, origin)| (below(key), json!(origin.words()))));
            Value::Object(cells.iter().map(|(key, value, _)| ((*key).to_owned(), value.clone())).collect())
        }
        Shown::Items(items) => {
            let of = |(place, item): (usize, &Shown)| value_of(item, &format!("{path}[{place}]"), origins);
            Value::Array(items.iter().enumerate().map(of).collect())
        }
    }
}
