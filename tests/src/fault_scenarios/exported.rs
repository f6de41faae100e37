//! What a scenario has exported from Azure: the files that are written into the world, and the keys that name them.

use std::fs::File;

use anyhow::{Context, Result};
use ase_agent::net::duration::HumanDuration;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::guest::Folder;

/// The exports of a scenario. What is an object or a list of objects is written to a file; a text is a key as it stands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Exported {
    nsg: Option<Value>,
    routes: Option<Value>,
    effective: Option<Value>,
    subnet: Option<Value>,
    vnet: Option<Value>,
    tags: Option<Value>,
    /// Further keys below `exports`, as in the configuration.
    keys: Map<String, Value>,
    /// How old the files are.
    age: Option<HumanDuration>,
}

impl Exported {
    /// Writes the files, and returns the configuration's key `exports`.
    pub(super) fn write(&self, folder: &Folder) -> Result<Value> {
        let mut keys = self.keys.clone();
        let all = [
            ("nsg", &self.nsg),
            ("routes", &self.routes),
            ("effective", &self.effective),
            ("subnet", &self.subnet),
            ("vnet", &self.vnet),
            ("tags", &self.tags),
        ];
        for (key, value) in all.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            let is_text = value.is_string();
            let said = if is_text { value.clone() } else { json!(self.file(folder, key, value)?) };
            keys.insert(key.to_owned(), said);
        }
        Ok(Value::Object(keys))
    }

    fn file(&self, folder: &Folder, key: &str, value: &Value) -> Result<String> {
        let path = folder.write(&format!("{key}.json"), &format!("{value:#}"))?;
        if let Some(age) = self.age {
            let file = File::options().write(true).open(&path)?;
            let now = file.metadata()?.modified()?;
            file.set_modified(now.checked_sub(age.0).context("exports.age is longer than time is old")?)?;
        }
        Ok(path.display().to_string())
    }
}
