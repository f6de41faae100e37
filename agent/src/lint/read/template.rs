//! ARM templates, also compiled from Bicep: resources as list or by symbolic name, nested ones, rules of their own.

use serde_json::Value;

use crate::lint::read::{
    Export, Part,
    expression::parent_of,
    node::{Node, is_expression, last_name},
    routes,
    rules::{self, Writer},
    words::Problems,
};
use crate::lint::{finding::Unjudged, route::Origin};

/// Deeper than this, deployments in deployments are not followed.
const DEEPEST: usize = 8;

/// Reads a template.
pub(super) fn read(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    resources(node, None, 0, export, problems);
}

/// Puts the literal values of `variables` in the place of their whole-string uses; cycles stay what they are.
pub(super) fn with_variables(template: &Value) -> Value {
    let variables = template.get("variables").cloned().unwrap_or(Value::Null);
    Variables { variables: &variables, left: MOST_VALUES }.substitute(template, 0)
}

/// Variables of variables may stand for more than any memory holds: beyond this many values they stay what they are.
const MOST_VALUES: usize = 1 << 20;

struct Variables<'a> {
    variables: &'a Value,
    left: usize,
}

impl Variables<'_> {
    fn substitute(&mut self, value: &Value, depth: usize) -> Value {
        if depth > 0 {
            self.left = self.left.saturating_sub(1);
        }
        match value {
            Value::String(text) => {
                let name = text.strip_prefix("[variables('").and_then(|rest| rest.strip_suffix("')]"));
                match name.and_then(|name| self.variables.get(name)) {
                    Some(literal) if depth < DEEPEST && self.left > 0 => self.substitute(literal, depth + 1),
                    _ => value.clone(),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.substitute(item, depth)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, item)| (key.clone(), self.substitute(item, depth)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

/// The resource that another one is written inside of.
pub(super) struct Parent {
    pub(super) kind: String,
    pub(super) name: String,
}

fn resources(node: &Node<'_>, parent: Option<&Parent>, depth: usize, export: &mut Export, problems: &mut Problems) {
    let Some(list) = node.get("resources").filter(|_| depth < DEEPEST) else { return };
    let mut list = list.items();
    // Whatever the order in the file: a child joins its parent, which has to be there.
    list.sort_by_key(|resource| resource.text_of("type").unwrap_or_default().matches('/').count());
    for resource in list {
        one(&resource, parent, depth, export, problems);
        let own = Parent { kind: kind_of(&resource, parent), name: resource.text_of("name").unwrap_or_default() };
        resources(&resource, Some(&own), depth + 1, export, problems);
    }
}

/// The type of a resource; one that is written inside its parent says the last part only.
fn kind_of(resource: &Node<'_>, parent: Option<&Parent>) -> String {
    let kind = resource.text_of("type").unwrap_or_default().to_ascii_lowercase();
    match parent {
        Some(parent) if !kind.contains('.') => format!("{}/{kind}", parent.kind),
        _ => kind,
    }
}

/// One resource, where it is of a network.
pub(super) fn one(
    resource: &Node<'_>,
    parent: Option<&Parent>,
    depth: usize,
    export: &mut Export,
    problems: &mut Problems,
) {
    let kind = kind_of(resource, parent);
    let inside = parent.filter(|parent| kind.strip_prefix(&parent.kind).is_some_and(|rest| rest.starts_with('/')));
    let parent_name = || match inside {
        Some(parent) => parent.name.clone(),
        None => parent_of(&resource.text_of("name").unwrap_or_default()),
    };
    match kind.as_str() {
        "microsoft.network/networksecuritygroups" => {
            export.groups.push(rules::group(resource, Writer::Azure, problems))
        }
        "microsoft.network/networksecuritygroups/securityrules" => {
            export.add_rule(&parent_name(), rules::rule(resource, Writer::Azure, problems));
        }
        "microsoft.network/routetables" => export.tables.push(routes::table(resource, problems)),
        "microsoft.network/routetables/routes" => {
            let mut route = routes::route(resource, Origin::User, problems);
            route.name = last_name(&route.name).to_owned();
            export.add_table(routes::one_of(parent_name(), route));
        }
        "microsoft.network/virtualnetworks" => network(resource, export, problems),
        "microsoft.network/virtualnetworks/subnets" => subnet(resource, export, problems),
        "microsoft.resources/deployments" => {
            if let Some(inner) = resource.get("template") {
                resources(&inner, None, depth + 1, export, problems);
            }
        }
        _ => {}
    }
    if resource.has("copy") && kind.starts_with("microsoft.network/") {
        let what = format!("{} is written by a copy loop: its copies are not judged one by one", resource.path);
        export.notes.push(what);
    }
}

/// A network with the subnets in it.
pub(super) fn network(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    if let Some(space) = node.get("addressSpace") {
        export.network.extend(if space.value.is_array() {
            routes::prefixes(node, &["addressSpace"], problems)
        } else {
            routes::prefixes(&space, &["addressPrefixes"], problems)
        });
    }
    let location = node.text_of("location");
    unread(node, export);
    for item in ["subnets", "subnet"].iter().flat_map(|name| node.list(name)) {
        subnet(&item, export, problems);
        if let Some(last) = export.subnets.last_mut() {
            last.location = last.location.take().or_else(|| location.clone());
        }
    }
}

/// What of a network only a deployment knows: its prefixes, its subnets.
fn unread(node: &Node<'_>, export: &mut Export) {
    let name = node.text_of("name").unwrap_or_default();
    let mut open = |part, (place, expression): (Node<'_>, String), what: &str| {
        let why = format!("{what} of {name} are known to a deployment only: {expression}");
        export.unresolved.push((part, Unjudged { at: Some(place.path), why, ..Unjudged::default() }));
    };
    let subnets = ["subnets", "subnet"].iter().find_map(|list| node.unlisted(list));
    let whole = node.opaque().map(|expression| (node.clone(), expression));
    if let Some(found) = subnets.or(whole) {
        open(Part::Subnets, found, "the subnets");
    }
    let space = node.get("addressSpace");
    let inner = space.as_ref().and_then(|space| space.get("addressPrefixes"));
    if let Some(found) = [space, inner].into_iter().flatten().find_map(|space| expression_in(&space)) {
        open(Part::Network, found, "the prefixes");
    }
}

/// The first expression of a text or of a list of them.
fn expression_in<'a>(node: &Node<'a>) -> Option<(Node<'a>, String)> {
    let items = if node.value.is_array() { node.items() } else { vec![node.clone()] };
    items.into_iter().find_map(|item| item.text().filter(|text| is_expression(text)).map(|text| (item, text)))
}

/// A subnet, by itself or in a network.
pub(super) fn subnet(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    let places = ["addressPrefix", "addressPrefixes"].iter().filter_map(|name| node.get(name));
    let whole = node.opaque().map(|expression| (node.clone(), expression));
    if let Some((place, expression)) = whole.or_else(|| places.into_iter().find_map(|place| expression_in(&place))) {
        let name = node.text_of("name").unwrap_or_default();
        let why = format!("the prefix of the subnet {name} is known to a deployment only: {expression}");
        export.unresolved.push((Part::Prefix, Unjudged { at: Some(place.path), why, ..Unjudged::default() }));
    }
    let mut subnet = routes::subnet(node, problems);
    if let Some(group) = node.get("networkSecurityGroup").filter(|group| group.has("securityRules")) {
        export.groups.push(rules::group(&group, Writer::Azure, problems));
    }
    subnet.name = last_name(&subnet.name).to_owned();
    export.add_subnet(subnet);
}
