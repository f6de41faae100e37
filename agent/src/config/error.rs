//! What is wrong with a configuration: the file, the line where it is known, the key, the value and the rule.

use std::fmt;

use serde_saphyr::Error as YamlError;

/// Why a configuration is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or `built-in defaults`.
    pub origin: String,
    /// Line and column, from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// Key, value and rule.
    pub message: String,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.origin, self.message),
            None => write!(f, "{}: {}", self.origin, self.message),
        }
    }
}

/// A broken rule, before the file is known: `key (value) rule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// Names key, value and rule.
pub(super) fn broken<T>(key: &str, value: impl fmt::Display, rule: impl fmt::Display) -> Result<T, Broken> {
    Err(Broken(format!("{key} ({value}) {rule}")))
}

impl Broken {
    pub(super) fn of(self, origin: &str) -> ConfigError {
        ConfigError { origin: origin.to_owned(), at: None, message: self.0 }
    }
}

/// Turns a YAML error into ours: an unknown key gets the nearest valid one, a wrong value its key and the rule.
pub(super) fn from_yaml(origin: &str, text: &str, error: &YamlError) -> ConfigError {
    let error = error.without_snippet();
    let at = error.location().map(|location| (location.line(), location.column()));
    let message = match error {
        YamlError::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        YamlError::SerdeMissingField { field, .. } => format!("missing key `{field}`"),
        YamlError::DuplicateMappingKey { key: Some(key), .. } => format!("key `{key}` stands there twice"),
        YamlError::InvalidScalar { ty, .. } => value_at(text, at, rule(ty)),
        YamlError::Unexpected { expected, .. } => value_at(text, at, rule(expected)),
        other => value_at(text, at, rule(&plain(&other.to_string()))),
    };
    ConfigError { origin: origin.to_owned(), at, message }
}

/// The rule behind the parser's word for what it expected.
fn rule(expected: &str) -> &str {
    match expected {
        "u16" => "must be a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "must be a whole number",
        "f64" => "must be a number",
        "bool" | "boolean" => "must be true or false",
        "sequence start" => "must be a list",
        "mapping start" => "must be a mapping of keys to values",
        "string scalar" => "must be one value",
        "invalid socket address syntax" => "must be an address with a port, for example 127.0.0.1:10123",
        "invalid IP address syntax" => "must be an IP address",
        other => other,
    }
}

/// `key (value) rule` for the value that begins here; the rule alone where the line does not show its key.
fn value_at(text: &str, at: Option<(u64, u64)>, rule: &str) -> String {
    let Some((before, value)) = at.and_then(|at| split_at(text, at)) else { return rule.to_owned() };
    let before = before.trim_end_matches([' ', '[', '"', '\'']);
    let Some(before) = before.strip_suffix(':') else { return rule.to_owned() };
    let key = before.rsplit(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).next().unwrap_or_default();
    let value = value.split([',', '}', ']', '#']).next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    match key {
        "" => rule.to_owned(),
        key if rule.contains(&format!("({value})")) => format!("{key}: {rule}"),
        key => format!("{key} ({}) {rule}", value.escape_debug()),
    }
}

/// What stands before and behind a position, on its line.
fn split_at(text: &str, (line, column): (u64, u64)) -> Option<(&str, &str)> {
    let line = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let index = usize::try_from(column).ok()?.checked_sub(1)?;
    let at = line.char_indices().nth(index).map_or(line.len(), |(at, _)| at);
    line.split_at_checked(at)
}

fn unknown(what: &str, found: &str, expected: &[&str]) -> String {
    let list = expected.join(", ");
    match nearest(found, expected.iter().copied()) {
        Some(near) => format!("unknown {what} `{found}`, did you mean `{near}`? (valid: {list})"),
        None => format!("unknown {what} `{found}` (valid: {list})"),
    }
}

/// The valid word that is nearest to a mistyped one, if any is near.
pub(super) fn nearest<'a>(found: &str, valid: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = valid.map(|word| (strsim::damerau_levenshtein(found, word), word));
    scored.min().filter(|(distance, word)| *distance <= (word.len().max(found.len()) / 2).min(4)).map(|(_, word)| word)
}

/// The first line of a parser's message, without its own position.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.split(" at line ").next().unwrap_or(line);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
