//! A value of an export with its path, read the same whether keys are nested, flattened, capitalised or in snake case.

use std::collections::BTreeSet;

use serde_json::Value;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    /// The value.
    pub(crate) value: &'a Value,
    /// Its path, for example `securityRules[3].priority`.
    pub(crate) path: String,
}

/// Whether two keys are one but for case and underscores.
fn same_key(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
    a.eq_ignore_ascii_case(b) || (a.contains('_') && letters(a) == letters(b))
}

impl<'a> Node<'a> {
    /// The whole file.
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// The whole file, whose name stands before every path.
    pub(crate) fn of_file(file: &str, value: &'a Value) -> Self {
        Self { value, path: format!("{file}: ") }
    }

    fn below(&self, key: &str, value: &'a Value) -> Self {
        let is_root = self.path.is_empty() || self.path.ends_with(": ");
        let path = if is_root { format!("{}{key}", self.path) } else { format!("{}.{key}", self.path) };
        Self { value, path }
    }

    fn own(&self, name: &str) -> Option<Self> {
        let (key, value) = self.value.as_object()?.iter().find(|(key, _)| same_key(key, name))?;
        (!value.is_null()).then(|| self.below(key, value))
    }

    /// A field of its own or of its `properties`; null is as good as absent.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        self.own(name).or_else(|| self.own("properties")?.own(name))
    }

    /// Whether it has a field, null included.
    pub(crate) fn has(&self, name: &str) -> bool {
        let holds = |value: &Value| value.as_object().is_some_and(|map| map.keys().any(|key| same_key(key, name)));
        holds(self.value) || self.own("properties").is_some_and(|below| holds(below.value))
    }

    /// Its elements, if it is a list; in an object that stands for a list, its values.
    pub(crate) fn items(&self) -> Vec<Self> {
        match self.value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, value)| Self { value, path: format!("{}[{at}]", self.path) })
                .collect(),
            Value::Object(map) => map.iter().map(|(key, value)| self.below(key, value)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }

    /// The elements of a list that it has under a name.
    pub(crate) fn list(&self, name: &str) -> Vec<Self> {
        self.get(name).filter(|list| list.value.is_array()).map(|list| list.items()).unwrap_or_default()
    }

    /// A text, or a number as text.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The text under a name.
    pub(crate) fn text_of(&self, name: &str) -> Option<String> {
        self.get(name)?.text()
    }

    /// The texts under several names, each one text or a list of them, without empty ones and without repetitions.
    pub(crate) fn texts(&self, names: &[&str]) -> Vec<Self> {
        let (mut found, mut known): (Vec<Self>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
        for field in names.iter().filter_map(|name| self.get(name)) {
            let each = if field.value.is_array() { field.items() } else { vec![field] };
            for item in each {
                if item.text().is_some_and(|text| !text.is_empty() && known.insert(text)) {
                    found.push(item);
                }
            }
        }
        found
    }

    /// The expression that stands in its place, or in that of all its properties: then nothing of it is known.
    pub(crate) fn opaque(&self) -> Option<String> {
        self.text().or_else(|| self.own("properties")?.text())
    }

    /// The expression that stands in the place of a list, or of a loop that writes it.
    pub(crate) fn unlisted(&self, name: &str) -> Option<(Self, String)> {
        let whole = self.get(name).and_then(|list| list.text().map(|text| (list, text)));
        let looped = || {
            let writes = |copy: &Self| copy.text_of("name").as_deref() == Some(name);
            let places = [self.own("copy"), self.own("properties").and_then(|below| below.own("copy"))];
            let copy = places.into_iter().flatten().flat_map(|list| list.items()).find(writes)?;
            Some((copy, format!("a copy loop writes these {}", plain_words(name))))
        };
        whole.or_else(looped)
    }

    /// The id of a resource that it refers to under a name.
    pub(crate) fn reference(&self, name: &str) -> Option<String> {
        let field = self.get(name)?;
        field.text().or_else(|| field.text_of("id"))
    }
}

/// The name of a list in words: `securityRules` are rules.
fn plain_words(name: &str) -> &str {
    if name == "securityRules" { "rules" } else { name }
}

/// What stands in the place of a value that a plan only knows once it is applied, in Terraform's own words.
pub(crate) const AFTER_APPLY: &str = "(known after apply)";

/// Whether a text is an expression, which only a deployment knows the value of.
pub(crate) fn is_expression(text: &str) -> bool {
    text == AFTER_APPLY
        || (text.starts_with('[') && text.ends_with(']') && !text.starts_with("[["))
        || text.contains("${")
}

/// The last part of a resource's id, or the last quoted word of an expression that computes one.
pub fn last_name(id: &str) -> &str {
    if is_expression(id) {
        return id.rsplit('\'').nth(1).unwrap_or(id).trim_start_matches('/');
    }
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}
