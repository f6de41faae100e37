//! How the lists that are embedded in the binary write what they have in common: documents with their edition, severities.

use serde::{Deserialize, de::DeserializeOwned};

use crate::model::catalog::Severity;

/// A document that rows were taken from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where it is published.
    pub document: String,
    /// Its edition, `YYYY-MM-DD`.
    pub as_of: String,
}

/// [`Severity`] as files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Something is missing.
    Warning,
    /// The environment degrades.
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Critical => Self::Critical,
        }
    }
}

/// Reads an embedded list strictly.
///
/// # Errors
/// What is wrong with it; a test of whoever embeds it prevents that.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}
