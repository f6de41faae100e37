//! A configuration file as a tree in which every key and value knows its line, before anybody says what they mean.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::Value;

use super::error::{At, Mistake};

/// Nodes of one file at most, copies by aliases counted: ten times what ten thousand endpoints need.
const MAX_NODES: usize = 1 << 20;
/// Nesting at most; the configuration itself nests five deep.
const MAX_DEPTH: usize = 64;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Scalar(Scalar),
    /// Items with their places in the file's own list, which stay when one of them is cut out.
    List(Vec<(usize, Node)>),
    Map(Vec<(Key, Node)>),
}

/// A single value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    /// The value in force.
    pub(super) text: String,
    /// The value as it is written, where a variable stands in it: the value in force is then nobody's business.
    pub(super) written: Option<String>,
    /// Whether it is written without quotes.
    pub(super) is_plain: bool,
}

/// A key of a mapping and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: At,
}

impl Node {
    /// Whether it is nothing: an empty value, `~` or `null` (YAML 1.2 section 10.3.2).
    pub(super) fn is_nothing(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.is_plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL"),
            Kind::List(_) | Kind::Map(_) => false,
        }
    }

    /// Where the value of a key like `endpoints.add[2].port` begins, and whether that key is there itself: else it is the
    /// nearest that there is on the way to it.
    pub(super) fn find(&self, key: &str, value: &str) -> Option<(At, bool)> {
        if key.is_empty() {
            return Some((self.item(value).unwrap_or(self.at), true));
        }
        match &self.kind {
            Kind::Scalar(_) => None,
            Kind::List(items) => {
                let (number, rest) = key.strip_prefix('[').and_then(|key| key.split_once(']'))?;
                let (_, item) = items.iter().find(|(place, _)| number.parse() == Ok(*place))?;
                Some(item.find(rest.strip_prefix('.').unwrap_or(rest), value).unwrap_or((item.at, false)))
            }
            Kind::Map(entries) => {
                let named = entries.iter().filter_map(|(at, item)| Some((at, rest_of(key, &at.text)?, item)));
                let (name, rest, item) = named.max_by_key(|(name, ..)| name.text.len())?;
                Some(item.find(rest, value).unwrap_or((name.at, false)))
            }
        }
    }

    /// The value that a way of keys and places of items leads to; none where nothing stands there.
    pub(super) fn below(&self, path: &[&str]) -> Option<&Self> {
        let Some((step, rest)) = path.split_first() else { return Some(self).filter(|node| !node.is_nothing()) };
        let next = match &self.kind {
            Kind::Scalar(_) => None,
            Kind::List(items) => items.iter().find(|(place, _)| step.parse() == Ok(*place)).map(|(_, item)| item),
            Kind::Map(entries) => entries.iter().find(|(name, _)| name.text == *step).map(|(_, value)| value),
        };
        next?.below(rest)
    }

    /// The value as it is written, where a variable stands somewhere in it.
    pub(super) fn with_variables(&self) -> Option<Value> {
        self.has_variables().then(|| self.written())
    }

    fn has_variables(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.written.is_some(),
            Kind::List(items) => items.iter().any(|(_, item)| item.has_variables()),
            Kind::Map(entries) => entries.iter().any(|(_, value)| value.has_variables()),
        }
    }

    fn written(&self) -> Value {
        match &self.kind {
            Kind::Scalar(_) if self.is_nothing() => Value::Null,
            Kind::Scalar(scalar) => scalar.written.as_ref().unwrap_or(&scalar.text).as_str().into(),
            Kind::List(items) => items.iter().map(|(_, item)| item.written()).collect(),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.text.clone(), value.written())).collect())
            }
        }
    }

    /// Where an entry of a mapping begins, and where the next one does.
    pub(super) fn entry(&self, key: &str) -> Option<(At, Option<At>)> {
        let Kind::Map(entries) = &self.kind else { return None };
        let from = entries.iter().find(|(name, _)| name.text == key)?.0.at;
        Some((from, entries.iter().map(|(name, _)| name.at).filter(|at| *at > from).min()))
    }

    /// The places that the items of a list had in the file.
    pub(super) fn places(&self, key: &str) -> Vec<usize> {
        let found = key.split('.').try_fold(self, |node, key| match &node.kind {
            Kind::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, value)| value),
            Kind::Scalar(_) | Kind::List(_) => None,
        });
        match found.map(|node| &node.kind) {
            Some(Kind::List(items)) => items.iter().map(|(place, _)| *place).collect(),
            _ => Vec::new(),
        }
    }

    /// The item or key of a list or mapping that says this.
    fn item(&self, value: &str) -> Option<At> {
        match &self.kind {
            Kind::Scalar(_) => None,
            Kind::List(items) => items.iter().map(|(_, item)| item).find(|item| item.says(value)).map(|item| item.at),
            Kind::Map(entries) => entries.iter().find(|(key, _)| key.text == value).map(|(key, _)| key.at),
        }
    }

    fn says(&self, value: &str) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.text.escape_debug().to_string() == value || scalar.text == value,
            Kind::List(_) | Kind::Map(_) => false,
        }
    }
}

/// What is left of a path behind its first key.
fn rest_of<'a>(path: &'a str, key: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(key)?;
    match rest.as_bytes().first() {
        None | Some(b'[') => Some(rest),
        Some(b'.') => Some(&rest[1..]),
        Some(_) => None,
    }
}

/// Reads the only document of a file; `None` where it says nothing. What is wrong with it comes beside what can be read.
pub(super) fn read(text: &str) -> (Option<Node>, Vec<Mistake>) {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0, mistakes: Vec::new() };
    let root = reader.stream();
    let root = root.unwrap_or_else(|mistake| {
        reader.mistakes.push(mistake);
        None
    });
    (root.filter(|root| !root.is_nothing()), reader.mistakes)
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    fn stream(&mut self) -> Result<Option<Node>, Mistake> {
        let mut root = None;
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentStart(..) if documents == 1 => {
                    let rule = "a second document begins here: one file holds one document";
                    self.mistakes.push(Mistake { at: Some(at(&span.start)), message: rule.to_owned() });
                    return Ok(root);
                }
                Event::DocumentStart(..) => documents += 1,
                Event::StreamEnd => return Ok(root),
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                    root = Some(self.node(event, span, 0)?);
                }
                _ => {}
            }
        }
    }

    /// The next event that is no comment.
    fn next(&mut self) -> Result<(Event<'a>, Span), Mistake> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let rule = error.info().lines().next().unwrap_or_default().to_owned();
                    return Err(Mistake { at: Some(at(error.marker())), message: format!("this is no YAML: {rule}") });
                }
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Mistake> {
        let place = at(&span.start);
        let before = self.count(1, place)?;
        if depth > MAX_DEPTH {
            return Err(Mistake { at: Some(place), message: format!("must nest at most {MAX_DEPTH} deep") });
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                (Kind::Scalar(Scalar { text: text.into_owned(), written: None, is_plain }), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let (copy, nodes) = self.anchors.get(&anchor).cloned().unwrap_or_else(|| (nothing(place), 1));
                self.count(nodes, place)?;
                return Ok(Node { at: place, ..copy });
            }
            _ => (nothing(place).kind, 0),
        };
        let node = Node { at: place, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    /// Counts nodes, so that aliases of aliases cannot fill the memory. Returns the count before.
    fn count(&mut self, nodes: usize, place: At) -> Result<usize, Mistake> {
        let before = self.nodes;
        self.nodes += nodes;
        match self.nodes {
            many if many > MAX_NODES => {
                Err(Mistake { at: Some(place), message: format!("aliases make more than {MAX_NODES} values here") })
            }
            _ => Ok(before),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(Kind::List(items)),
                (event, span) => items.push((items.len(), self.node(event, span, depth + 1)?)),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Kind::Scalar(Scalar { text, is_plain, .. }) = key.kind else {
                self.mistakes.push(Mistake { at: Some(key.at), message: "a key must be one word".to_owned() });
                continue;
            };
            if is_plain && text == "<<" {
                merged.push(value);
            } else if known.insert(text.clone()) {
                entries.push((Key { text, at: key.at }, value));
            } else {
                let message = format!("key `{}` stands there twice", text.escape_debug());
                self.mistakes.push(Mistake { at: Some(key.at), message });
            }
        }
        for (key, value) in merged.into_iter().flat_map(entries_of) {
            if known.insert(key.text.clone()) {
                entries.push((key, value));
            }
        }
        Ok(Kind::Map(entries))
    }
}

/// The entries that a merge key (`<<`) brings: those of a mapping, or of every mapping in a list.
fn entries_of(node: Node) -> Vec<(Key, Node)> {
    match node.kind {
        Kind::Map(entries) => entries,
        Kind::List(items) => items.into_iter().flat_map(|(_, item)| entries_of(item)).collect(),
        Kind::Scalar(_) => Vec::new(),
    }
}

fn nothing(at: At) -> Node {
    let empty = Scalar { text: String::new(), written: None, is_plain: true };
    Node { at, kind: Kind::Scalar(empty) }
}

/// Lines and columns are counted from 1.
fn at(marker: &Marker) -> At {
    (marker.line() as u64, marker.col() as u64 + 1)
}
