//! An answer of the management API: its pages, the items on them, and the address of the next page.

use serde_json::Value;

use crate::lint::read::{ReadError, node::Node, value};

/// One page, under the name of the file or the address that it came from.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it came from.
    pub from: String,
    /// What it holds.
    pub value: Value,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// [`ReadError`], which says what the bytes are.
    pub fn read(from: &str, bytes: &[u8]) -> Result<Self, ReadError> {
        Ok(Self { from: from.to_owned(), value: value(from, bytes)? })
    }

    /// Where the next page is; none on the last one.
    pub fn next(&self) -> Option<String> {
        Node::root(&self.value).text_of("nextLink").filter(|link| !link.is_empty())
    }

    /// The items of its list; itself where it is none.
    pub(super) fn items(&self) -> Vec<Node<'_>> {
        let root = Node::root(&self.value);
        let list = match root.get("value").filter(|value| value.value.is_array()) {
            Some(list) if !root.value.is_array() => list,
            _ => root,
        };
        if list.value.is_array() { list.items() } else { vec![list] }
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> ReadError {
        ReadError::WrongKind { file: self.from.clone(), what: what.into() }
    }
}

/// All items of all pages as one list, as the API would say it in one page.
pub fn joined(pages: &[Page]) -> String {
    let items: Vec<Value> = pages.iter().flat_map(|page| page.items()).map(|item| item.value.clone()).collect();
    format!("{:#}\n", serde_json::json!({"value": items, "nextLink": null}))
}
