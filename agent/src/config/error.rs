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

/// Turns a YAML error into ours: an unknown key gets the nearest valid one.
pub(super) fn from_yaml(origin: &str, error: &YamlError) -> ConfigError {
    let error = error.without_snippet();
    let at = error.location().map(|location| (location.line(), location.column()));
    let message = match error {
        YamlError::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        other => plain(&other.to_string()),
    };
    ConfigError { origin: origin.to_owned(), at, message }
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
