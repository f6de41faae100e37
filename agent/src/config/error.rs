//! What is wrong with a configuration: the file and, for each mistake, the line where it is known, the key, the value and
//! the rule.

use std::fmt;

use crate::net::foreign;

/// Characters of one message; a value in a file may have a megabyte.
const LONGEST_MESSAGE: usize = 1000;

/// Line and column, from 1.
pub type At = (u64, u64);

/// Why a configuration is not accepted: all that is wrong with it, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or `built-in defaults`.
    pub origin: String,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where it is, where that is known.
    pub at: Option<At>,
    /// Key, value and rule.
    pub message: String,
}

impl Mistake {
    /// The message without key and value.
    fn rule(&self) -> &str {
        self.message.split_once(") ").map_or(&*self.message, |(_, rule)| rule)
    }
}

impl ConfigError {
    /// The mistakes in order; where one key breaks a rule for many endpoints the first stands for all.
    pub(super) fn new(origin: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.at);
        mistakes.iter_mut().for_each(|mistake| {
            mistake.message = foreign::within(std::mem::take(&mut mistake.message), LONGEST_MESSAGE);
        });
        mistakes
            .dedup_by(|later, earlier| later.at.is_some() && (later.at, later.rule()) == (earlier.at, earlier.rule()));
        Self { origin: origin.to_owned(), mistakes }
    }

    /// One mistake that has no line.
    pub(super) fn without_line(origin: &str, message: String) -> Self {
        Self::new(origin, vec![Mistake { at: None, message }])
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Mistake { at, message }) in self.mistakes.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            match at {
                Some((line, column)) => write!(f, "{}:{line}:{column}: {message}", self.origin)?,
                None => write!(f, "{}: {message}", self.origin)?,
            }
        }
        Ok(())
    }
}

/// A broken rule, before its line is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Key, value and rule.
    pub(super) message: String,
    /// Keys of the file that may have brought it about, the likeliest first, and the value.
    pub(super) places: Vec<String>,
    pub(super) value: String,
}

/// Names key, value and rule.
pub(super) fn broken<T>(key: &str, value: impl fmt::Display, rule: impl fmt::Display) -> Result<T, Broken> {
    let value = value.to_string();
    Err(Broken { message: format!("{key} ({value}) {rule}"), places: vec![key.to_owned()], value })
}

impl Broken {
    /// A rule whose words say all.
    pub(super) fn whole(words: impl fmt::Display) -> Self {
        Self { message: words.to_string(), places: Vec::new(), value: String::new() }
    }

    /// Puts the key below another one.
    pub(super) fn below(self, key: &str) -> Self {
        let places = self.places.iter().map(|place| format!("{key}.{place}")).collect();
        Self { message: format!("{key}.{}", self.message), places, ..self }
    }

    /// Says which keys of the file may have brought it about.
    pub(super) fn from(self, places: Vec<String>) -> Self {
        Self { places, ..self }
    }
}

/// The broken rules found so far: the rest is checked with what is left.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Broken>);

impl Findings {
    /// What is good of a result.
    pub(super) fn keep<T>(&mut self, result: Result<T, Broken>) -> Option<T> {
        result.map_err(|broken| self.0.push(broken)).ok()
    }

    /// What is good of many results.
    pub(super) fn keep_all<T>(&mut self, results: impl IntoIterator<Item = Result<T, Broken>>) -> Vec<T> {
        results.into_iter().filter_map(|result| self.keep(result)).collect()
    }
}

/// Names a word that is none of the valid ones.
pub(super) fn unknown(what: &str, found: &str, expected: &[&str]) -> String {
    let list = expected.join(", ");
    let found = found.escape_debug().to_string();
    match nearest(&found, expected.iter().copied()) {
        Some(near) => format!("unknown {what} `{found}`, did you mean `{near}`? (valid: {list})"),
        None => format!("unknown {what} `{found}` (valid: {list})"),
    }
}

/// The valid word that is nearest to a mistyped one, if any is near.
pub(super) fn nearest<'a>(found: &str, valid: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = valid.map(|word| (strsim::damerau_levenshtein(found, word), word));
    scored.min().filter(|(distance, word)| *distance <= (word.len().max(found.len()) / 2).min(4)).map(|(_, word)| word)
}
