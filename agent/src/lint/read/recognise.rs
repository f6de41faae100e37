//! What an export is, by its keys: and in plain words what it is when it is something else.

use serde_json::Value;

use crate::lint::read::{node::Node, rules::is_rule, what_if, words::shorten};

/// The shapes that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Group,
    Rules,
    EffectiveGroup,
    Table,
    Routes,
    EffectiveRoutes,
    Subnet,
    Network,
    Template,
    Terraform,
    WhatIf,
    Tags,
    Inbound,
    Addresses,
}

impl Shape {
    /// What the file is, in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Group => "network security group",
            Self::Rules => "list of security rules",
            Self::EffectiveGroup => "effective security rules",
            Self::Table => "route table",
            Self::Routes => "list of routes",
            Self::EffectiveRoutes => "effective routes",
            Self::Subnet => "subnet",
            Self::Network => "virtual network",
            Self::Template => "ARM template",
            Self::Terraform => "Terraform plan or state",
            Self::WhatIf => "what-if of a deployment",
            Self::Tags => "service tags",
            Self::Inbound => "inbound dependencies of an environment",
            Self::Addresses => "addresses of an environment",
        }
    }
}

/// The list in a file: the file itself, its `value`, or the `data` of an answer of Azure Resource Graph.
pub(super) fn list<'a>(root: &Node<'a>) -> Node<'a> {
    let data = || root.get("data").filter(|_| root.has("total_records") || root.has("totalRecords"));
    match root.get("value").or_else(data).filter(|value| value.value.is_array()) {
        Some(value) if !root.value.is_array() => value,
        _ => root.clone(),
    }
}

/// The objects in a file: the elements of its list, or itself.
pub(super) fn items<'a>(root: &Node<'a>) -> Vec<Node<'a>> {
    let list = list(root);
    if list.value.is_array() { list.items() } else { vec![list] }
}

/// What a file is.
///
/// # Errors
/// What it is instead, in words.
pub(super) fn shape(root: &Node<'_>) -> Result<Shape, String> {
    if let Some(shape) = of_file(root)? {
        return Ok(shape);
    }
    let items = items(root);
    let Some(first) = items.first() else {
        return match root.value {
            Value::Array(_) => Ok(Shape::Rules),
            _ => Err("an empty list of something: nothing to judge".to_owned()),
        };
    };
    of_item(first).ok_or_else(|| describe(first))
}

fn of_file(root: &Node<'_>) -> Result<Option<Shape>, String> {
    let schema = root.text_of("$schema").unwrap_or_default().to_ascii_lowercase();
    if schema.contains("deploymentparameters") {
        return Err("a parameter file of a deployment: give the template, or better the exported group".to_owned());
    }
    if root.get("error").is_some() && (root.has("changes") || root.has("status")) {
        return Err("a what-if that failed: it foretells nothing".to_owned());
    }
    let is_template = schema.contains("deploymenttemplate") || (root.has("contentVersion") && root.has("resources"));
    let has = |names: &[&str]| names.iter().any(|name| root.has(name));
    let is_state = root.has("terraform_version") && has(&["values", "resources", "planned_values", "resource_changes"]);
    let is_tags = root.list("values").first().is_some_and(|first| first.has("addressPrefixes"));
    Ok(match () {
        () if is_template => Some(Shape::Template),
        () if is_state || root.has("planned_values") => Some(Shape::Terraform),
        () if what_if::changes(root).is_some() => Some(Shape::WhatIf),
        () if is_tags || (root.has("changeNumber") && root.has("cloud")) => Some(Shape::Tags),
        () if root.has("vipMappings") => Some(Shape::Addresses),
        () => None,
    })
}

/// What one object is, by its keys.
pub(super) fn of_item(item: &Node<'_>) -> Option<Shape> {
    let has = |names: &[&str]| names.iter().any(|name| item.has(name));
    let kind = item.text_of("type").unwrap_or_default().to_ascii_lowercase();
    let is_inbound = item.has("ports") && item.list("endpoints").iter().all(|endpoint| endpoint.value.is_string());
    Some(match () {
        () if item.has("effectiveSecurityRules") => Shape::EffectiveGroup,
        () if is_rule(item) => Shape::Rules,
        () if has(&["securityRules", "defaultSecurityRules"]) || kind.ends_with("/networksecuritygroups") => {
            Shape::Group
        }
        () if item.has("nextHopType") && has(&["source", "state"]) => Shape::EffectiveRoutes,
        () if item.has("nextHopType") => Shape::Routes,
        () if item.has("routes") || kind.ends_with("/routetables") => Shape::Table,
        () if item.has("addressSpace") => Shape::Network,
        () if has(&["addressPrefix", "addressPrefixes"]) && !kind.contains("/routes") => Shape::Subnet,
        () if item.has("description") && is_inbound => Shape::Inbound,
        () => return None,
    })
}

/// Says what something is that cannot be judged.
fn describe(item: &Node<'_>) -> String {
    if item.get("endpoints").is_some_and(|list| list.items().iter().any(|endpoint| endpoint.has("domainName"))) {
        return "the outbound dependencies of an environment: a list of names, no rules".to_owned();
    }
    if let Some(kind) = item.text_of("type") {
        return format!("a resource of type {}: not a group, a table, a subnet or a network", shorten(&kind));
    }
    match item.value {
        Value::Object(map) => {
            let keys: Vec<_> = map.keys().take(6).map(|key| shorten(key)).collect();
            format!("an object with the keys {}: no export that can be judged", keys.join(", "))
        }
        Value::Array(_) => "a list of lists: no export that can be judged".to_owned(),
        other => format!("the value {}: no export that can be judged", shorten(&other.to_string())),
    }
}
