//! Azure's file of service tags: the download and `az network list-service-tags`.

use ipnet::IpNet;

use crate::lint::{addresses::AddressSet, read::node::Node, tags::Tag, world::Book};

/// Reads the tags. Prefixes that cannot be read are counted in the edition's text, never dropped silently.
pub(super) fn read(node: &Node<'_>) -> Book {
    let mut book = Book::default();
    let mut unread = 0;
    for entry in node.list("values") {
        let Some(tag) = entry.text_of("name").and_then(|name| Tag::parse(&name)) else {
            unread += 1;
            continue;
        };
        let listed = entry.get("addressPrefixes");
        let texts = listed.as_ref().and_then(|list| list.value.as_array()).map_or(&[] as &[_], Vec::as_slice);
        let nets: Vec<IpNet> = texts.iter().filter_map(|item| item.as_str()?.trim().parse().ok()).collect();
        unread += texts.len() - nets.len();
        if let Some(features) = entry.get("networkFeatures").filter(|features| features.value.is_array()) {
            let can = features.items().iter().any(|one| one.text().is_some_and(|one| one.eq_ignore_ascii_case("UDR")));
            book.routable.insert(tag.clone(), can);
        }
        book.regions.extend(tag.region().map(str::to_owned));
        book.complete.insert(tag, AddressSet::of(&nets));
    }
    let cloud = node.text_of("cloud").unwrap_or_else(|| "unknown cloud".to_owned());
    let number = node.text_of("changeNumber").unwrap_or_else(|| "without number".to_owned());
    let left = if unread == 0 { String::new() } else { format!(", {unread} entries unread") };
    book.edition = Some(format!("{cloud}, change {number}, {} tags{left}", book.complete.len()));
    book
}
