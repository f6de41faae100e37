//! From the tree of a file to its typed shape, and every mistake on the way: what is wrong is cut out and the rest is read
//! again, so that one slip hides no other.

use std::borrow::Cow;

use serde::{
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

use super::{
    document::{Kind, Node},
    error::{At, Mistake, unknown},
};

/// Mistakes of one file that are told; whoever has more begins with these.
pub(super) const MAX_MISTAKES: usize = 50;

/// Reads a tree; where parts cannot be read they are cut out of it and named, each with its key. The tree itself stays whole:
/// what is left of it comes as well, a copy where something was cut out.
pub(super) fn read<T: DeserializeOwned>(tree: &Node) -> (Option<T>, Vec<(String, Mistake)>, Cow<'_, Node>) {
    let (mut mistakes, mut left) = (Vec::new(), Cow::Borrowed(tree));
    while mistakes.len() < MAX_MISTAKES {
        match T::deserialize(Reader { node: &left }) {
            Ok(shape) => return (Some(shape), mistakes, left),
            Err(refusal) => {
                let place = refusal.at.unwrap_or(left.at);
                mistakes.push((refusal.key(), Mistake { at: Some(place), message: refusal.message() }));
                if !cut(left.to_mut(), &refusal.path) {
                    break;
                }
            }
        }
    }
    (None, mistakes, left)
}

/// Cuts out what a path leads to. The path is the way from the leaf up, its last step is the first from the root.
fn cut(node: &mut Node, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_last() else { return false };
    match (&mut node.kind, step) {
        (Kind::Map(entries), Step::Key(key)) => {
            let Some(found) = entries.iter().position(|(name, _)| name.text == *key) else { return false };
            if rest.is_empty() || !cut(&mut entries[found].1, rest) {
                entries.remove(found);
            }
            true
        }
        (Kind::List(items), Step::Item(place)) => {
            let Some(found) = items.iter().position(|(number, _)| number == place) else { return false };
            if rest.is_empty() || !cut(&mut items[found].1, rest) {
                items.remove(found);
            }
            true
        }
        (_, _) => false,
    }
}

/// One step down the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// Why a value is not read.
#[derive(Debug)]
struct Refusal {
    /// From the leaf up.
    path: Vec<Step>,
    at: Option<At>,
    /// The value as it is written, where it is one value.
    value: Option<String>,
    /// Whether a variable's value was refused: its words may repeat it.
    is_hidden: bool,
    rule: String,
    /// Whether the rule says all by itself.
    is_whole: bool,
}

impl Refusal {
    fn of(rule: impl Into<String>) -> Self {
        Self { path: Vec::new(), at: None, value: None, is_hidden: false, rule: rule.into(), is_whole: false }
    }

    fn at(mut self, node: &Node) -> Self {
        if self.at.is_none() {
            self.at = Some(node.at);
            if let Kind::Scalar(scalar) = &node.kind
                && !node.is_nothing()
            {
                self.is_hidden = scalar.written.is_some();
                self.value = Some(scalar.written.clone().unwrap_or_else(|| scalar.text.clone()));
            }
        }
        self
    }

    fn below(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    fn key(&self) -> String {
        let mut key = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(name) if key.is_empty() => key.push_str(&name.escape_debug().to_string()),
                Step::Key(name) => key.push_str(&format!(".{}", name.escape_debug())),
                Step::Item(place) => key.push_str(&format!("[{place}]")),
            }
        }
        key
    }

    fn message(&self) -> String {
        let key = self.key();
        let rule = if self.is_hidden { unquoted(&self.rule) } else { self.rule.clone() };
        match &self.value {
            _ if self.is_whole => rule,
            None if key.is_empty() => rule,
            Some(value) if rule.contains(&format!("({value})")) => format!("{key}: {rule}"),
            Some(value) => format!("{key} ({}) {rule}", value.escape_debug()),
            None => format!("{key} {rule}"),
        }
    }
}

/// The rule without what it quotes of a value.
fn unquoted(rule: &str) -> String {
    let mut words = String::new();
    for (number, part) in rule.split('`').enumerate() {
        words.push_str(if number % 2 == 0 { part } else { "…" });
    }
    words.split(" (").next().unwrap_or_default().to_owned()
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: std::fmt::Display>(rule: T) -> Self {
        Self::of(rule_of(&rule.to_string()))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { is_whole: true, ..Self::of(unknown("key", field, expected)) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self { is_whole: true, ..Self::of(unknown("value", variant, expected)) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { is_whole: true, ..Self::of(format!("missing key `{field}`")) }
    }
}

/// The rule behind another library's words.
fn rule_of(words: &str) -> &str {
    match words {
        "invalid IP address syntax" => "must be an IP address",
        other => other,
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
}

impl<'a> Reader<'a> {
    fn refuse(self, rule: &str) -> Refusal {
        Refusal::of(rule).at(self.node)
    }

    fn text(self) -> Result<&'a str, Refusal> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Ok(&scalar.text),
            Kind::List(_) | Kind::Map(_) => Err(self.refuse("must be one value")),
        }
    }

    fn number<T: std::str::FromStr>(self, rule: &str) -> Result<T, Refusal> {
        self.text()?.parse().map_err(|_| self.refuse(rule))
    }
}

const WHOLE: &str = "must be a whole number";

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.kind {
            Kind::Scalar(scalar) => visitor.visit_str(&scalar.text).map_err(|refusal: Refusal| refusal.at(self.node)),
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.text()?).map_err(|refusal: Refusal| refusal.at(self.node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.node.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.text()? {
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            _ => Err(self.refuse("must be true or false")),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_u16(self.number("must be a whole number from 0 to 65535")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_u32(self.number(WHOLE)?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_u64(self.number(WHOLE)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_f64(self.number("must be a number")?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.kind {
            Kind::List(items) => visitor.visit_seq(Items(items.iter())).map_err(|refusal| refusal.at(self.node)),
            Kind::Scalar(_) | Kind::Map(_) => Err(self.refuse("must be a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.kind {
            Kind::Map(entries) => {
                let entries = Entries { entries: entries.iter(), value: None };
                visitor.visit_map(entries).map_err(|refusal| refusal.at(self.node))
            }
            Kind::Scalar(_) | Kind::List(_) => Err(self.refuse("must be a mapping of keys to values")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match &self.node.kind {
            Kind::Scalar(scalar) => {
                let name: StrDeserializer<'_, Refusal> = scalar.text.as_str().into_deserializer();
                visitor.visit_enum(name).map_err(|refusal| refusal.at(self.node))
            }
            Kind::Map(entries) if entries.len() == 1 => {
                let (key, value) = &entries[0];
                visitor.visit_enum(Variant { key, value }).map_err(|refusal: Refusal| refusal.at(self.node))
            }
            Kind::Map(_) | Kind::List(_) => Err(self.refuse(&format!("must be one of: {}", variants.join(", ")))),
        }
    }

    forward_to_deserialize_any! { i8 i16 i32 i64 u8 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    ignored_any }
}

/// The items of a list.
struct Items<'a>(std::slice::Iter<'a, (usize, Node)>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        let Some((place, node)) = self.0.next() else { return Ok(None) };
        if node.is_nothing() {
            return Err(Refusal::of("is an empty item: give it a value or take it out")
                .at(node)
                .below(Step::Item(*place)));
        }
        seed.deserialize(Reader { node }).map(Some).map_err(|refusal| refusal.at(node).below(Step::Item(*place)))
    }
}

/// The entries of a mapping that say something: a key without a value is as if it were not there.
struct Entries<'a> {
    entries: std::slice::Iter<'a, (super::document::Key, Node)>,
    value: Option<(&'a str, &'a Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some((key, value)) = self.entries.find(|(_, value)| !value.is_nothing()) else { return Ok(None) };
        self.value = Some((&key.text, value));
        let name: StrDeserializer<'_, Refusal> = key.text.as_str().into_deserializer();
        let placed = |refusal: Refusal| Refusal { at: Some(key.at), ..refusal }.below(Step::Key(key.text.clone()));
        seed.deserialize(name).map(Some).map_err(placed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let (key, node) = self.value.take().ok_or_else(|| Refusal::of("has no value"))?;
        seed.deserialize(Reader { node }).map_err(|refusal| refusal.at(node).below(Step::Key(key.to_owned())))
    }
}

/// A variant that holds something: `{status: [200]}`.
struct Variant<'a> {
    key: &'a super::document::Key,
    value: &'a Node,
}

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        let name: StrDeserializer<'_, Refusal> = self.key.text.as_str().into_deserializer();
        let found = seed.deserialize(name).map_err(|refusal: Refusal| Refusal { at: Some(self.key.at), ..refusal })?;
        Ok((found, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Err(Refusal::of("must be one word").at(self.value))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        let step = Step::Key(self.key.text.clone());
        seed.deserialize(Reader { node: self.value }).map_err(|refusal| refusal.at(self.value).below(step))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::of("must be one value").at(self.value))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::of("must be one value").at(self.value))
    }
}
