//! What a file says, how far it could be read, and where each of its keys stands.

use std::path::Path;

use ase_probes::regular_file;

use super::{
    document::{self, Node},
    environment::{Expanded, expand},
    error::{Broken, ConfigError, Mistake},
    file::File,
    reading::{self, MAX_MISTAKES},
};

/// What a configuration without a file is called.
const BUILT_IN: &str = "built-in defaults";
/// A configuration file of this size is none, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A file, read.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it came from.
    pub(super) origin: String,
    /// What could be read.
    pub(super) file: File,
    /// What could not.
    pub(super) mistakes: Vec<Mistake>,
    tree: Option<Node>,
    expanded: Expanded,
}

impl Default for Source {
    fn default() -> Self {
        let (file, mistakes) = (File::default(), Vec::new());
        Self { origin: BUILT_IN.to_owned(), file, mistakes, tree: None, expanded: Expanded::default() }
    }
}

/// Reads a file as far as it can be read.
pub(super) fn load(path: &Path) -> Result<Source, ConfigError> {
    let origin = path.display().to_string();
    let bytes = regular_file::read(path, MAX_FILE);
    let bytes = bytes.map_err(|error| ConfigError::without_line(&origin, error.to_string()))?;
    of_bytes(&origin, bytes, &|name| std::env::var(name).ok())
}

/// Reads the bytes of a file; variables come from `lookup`.
pub(super) fn of_bytes(
    origin: &str,
    bytes: Vec<u8>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Source, ConfigError> {
    let text = text_of(bytes).map_err(|mistake| ConfigError::new(origin, vec![mistake]))?;
    parse(origin, &text, lookup)
}

/// The text behind a mark, in UTF-8 or, as editors of Windows call it, Unicode (YAML 1.2 section 5.2).
fn text_of(bytes: Vec<u8>) -> Result<String, Mistake> {
    let sixteen = |from: fn([u8; 2]) -> u16| -> Result<String, Mistake> {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect();
        let message = "is no text in UTF-16, which its mark says it is".to_owned();
        String::from_utf16(&units).map_err(|_| Mistake { at: None, message })
    };
    match &*bytes {
        [0xff, 0xfe, ..] => sixteen(u16::from_le_bytes),
        [0xfe, 0xff, ..] => sixteen(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => utf8(bytes[3..].to_vec()),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, Mistake> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() as u64 + 1;
        Mistake { at: Some((line, column)), message: "this byte is no UTF-8: save the file as UTF-8".to_owned() }
    })
}

/// Reads a text; variables come from `lookup`.
pub(super) fn parse(origin: &str, text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Source, ConfigError> {
    let (tree, mut mistakes) = document::read(text);
    let mut source = Source { origin: origin.to_owned(), ..Source::default() };
    let Some(mut tree) = tree else {
        return if mistakes.is_empty() { Ok(source) } else { Err(ConfigError::new(origin, mistakes)) };
    };
    mistakes.extend(expand(&mut tree, "", lookup, &mut source.expanded));
    let (file, refused, left) = reading::read::<File>(&tree);
    let places = left.places("endpoints.add");
    source.tree = Some(tree);
    let broken: Vec<String> = refused.iter().map(|(key, _)| key.clone()).collect();
    let hidden = |(_, Mistake { at, message })| Mistake { at, message: source.expanded.hide(message) };
    mistakes.extend(refused.into_iter().map(hidden));
    source.mistakes = mistakes;
    match file {
        Some(mut file) => {
            file.endpoints.add.0.iter_mut().zip(places).for_each(|((place, _), written)| *place = written);
            // What is left of an item that could not be read whole says nothing about what was meant.
            let is_whole = |place: usize| !broken.iter().any(|key| key.starts_with(&format!("endpoints.add[{place}]")));
            file.endpoints.add.0.retain(|(place, _)| is_whole(*place));
            source.file = file;
            // The rest would be judged by another catalogue.
            if source.has_read_everything_of(&["profile", "cloud"]) { Ok(source) } else { Err(source.error([])) }
        }
        None => Err(source.error([])),
    }
}

impl Source {
    /// What the file holds where a way of keys and places of items leads.
    pub(super) fn node(&self, path: &[&str]) -> Option<&Node> {
        self.tree.as_ref()?.below(path)
    }

    /// Whether nothing below these keys was left out for a mistake.
    pub(super) fn has_read_everything_of(&self, keys: &[&str]) -> bool {
        let tree = self.tree.as_ref();
        let spans = |key: &&str| tree.and_then(|tree| tree.entry(key));
        keys.iter().filter_map(spans).all(|(from, to)| {
            !self.mistakes.iter().any(|mistake| mistake.at.is_some_and(|at| at >= from && to.is_none_or(|to| at < to)))
        })
    }

    /// All that is wrong: what could not be read, and these broken rules with their lines.
    pub(super) fn error(&self, broken: impl IntoIterator<Item = Broken>) -> ConfigError {
        let placed = broken.into_iter().map(|broken| {
            let found = |place: &String| self.tree.as_ref()?.find(place, &broken.value);
            let exact = broken.places.iter().filter_map(found).find(|(_, is_exact)| *is_exact);
            let at = exact.or_else(|| broken.places.iter().find_map(found)).map(|(at, _)| at);
            Mistake { at, message: self.expanded.hide(broken.message) }
        });
        let mut error = ConfigError::new(&self.origin, self.mistakes.iter().cloned().chain(placed).collect());
        if error.mistakes.len() > MAX_MISTAKES {
            let more = error.mistakes.len() - MAX_MISTAKES;
            error.mistakes.truncate(MAX_MISTAKES);
            error.mistakes.push(Mistake { at: None, message: format!("and {more} more mistakes") });
        }
        error
    }
}
