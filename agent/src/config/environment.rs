//! Variables of the environment in values: `${NAME}`, `${NAME:-default}`, and `$${` for the characters themselves.

use super::{
    document::{Kind, Node, Scalar},
    error::Mistake,
};

/// A value of a variable shorter than this says too little to be hidden, and is too often a part of other words.
const TELLING: usize = 4;

/// What was put in the place of variables, and what may therefore not stand in messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded(Vec<(String, String)>);

impl Expanded {
    /// Puts the names of variables in the place of their values.
    pub(super) fn hide(&self, message: String) -> String {
        let hidden = self.0.iter().filter(|(_, value)| value.len() >= TELLING);
        hidden.fold(message, |message, (name, value)| {
            let lower = value.to_ascii_lowercase();
            let mask = format!("${{{name}}}");
            message.replace(value, &mask).replace(&*value.escape_debug().to_string(), &mask).replace(&lower, &mask)
        })
    }
}

/// Puts values in the place of variables everywhere below a node. `key` is the node's path, for messages; a variable that
/// is empty counts as unset.
pub(super) fn expand(
    node: &mut Node,
    key: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    found: &mut Expanded,
) -> Vec<Mistake> {
    match &mut node.kind {
        Kind::Scalar(scalar) => {
            let mistake = scalar_of(scalar, lookup, found).err();
            mistake.map(|rule| Mistake { at: Some(node.at), message: format!("{key} {rule}") }).into_iter().collect()
        }
        Kind::List(items) => {
            items.iter_mut().flat_map(|(n, item)| expand(item, &format!("{key}[{n}]"), lookup, found)).collect()
        }
        Kind::Map(entries) => {
            let dot = if key.is_empty() { "" } else { "." };
            entries
                .iter_mut()
                .flat_map(|(name, value)| expand(value, &format!("{key}{dot}{}", name.text), lookup, found))
                .collect()
        }
    }
}

fn scalar_of(scalar: &mut Scalar, lookup: &dyn Fn(&str) -> Option<String>, found: &mut Expanded) -> Result<(), String> {
    if !scalar.text.contains("${") {
        return Ok(());
    }
    let written = scalar.text.clone();
    let mut text = String::new();
    let mut rest = &*written;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            text.push_str(before);
            text.push_str("${");
            rest = after;
            continue;
        }
        text.push_str(before);
        let (inside, after) =
            after.split_once('}').ok_or_else(|| format!("({written}) must close its `${{` by `}}`"))?;
        let value = value_of(inside, &written, lookup)?;
        text.push_str(&value);
        found.0.push((inside.split(":-").next().unwrap_or(inside).to_owned(), value));
        rest = after;
    }
    text.push_str(rest);
    (scalar.text, scalar.written) = (text, Some(written));
    Ok(())
}

fn value_of(inside: &str, written: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    let is_name = name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let rule = "must name a variable by letters, digits and underscores; write `$${` for the characters themselves";
        return Err(format!("({}) {rule}", written.escape_debug()));
    }
    let value = lookup(name).filter(|value| !value.is_empty()).or_else(|| default.map(str::to_owned));
    value.ok_or_else(|| format!("({written}) needs the environment variable {name}, which is not set"))
}
