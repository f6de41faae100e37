//! ARM templates, also compiled from Bicep: resources as list or by symbolic name, nested ones, rules of their own.

use serde_json::Value;

use crate::lint::read::{
    Export,
    node::{Node, is_expression, last_name},
    routes,
    rules::{self, Writer},
    words::Problems,
};

/// Deeper than this, deployments in deployments are not followed.
const DEEPEST: usize = 8;

/// Reads a template.
pub(super) fn read(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    resources(node, 0, export, problems);
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

fn resources(node: &Node<'_>, depth: usize, export: &mut Export, problems: &mut Problems) {
    let Some(list) = node.get("resources").filter(|_| depth < DEEPEST) else { return };
    for resource in list.items() {
        one(&resource, depth, export, problems);
        resources(&resource, depth + 1, export, problems);
    }
}

fn one(resource: &Node<'_>, depth: usize, export: &mut Export, problems: &mut Problems) {
    let kind = resource.text_of("type").unwrap_or_default().to_ascii_lowercase();
    match kind.as_str() {
        "microsoft.network/networksecuritygroups" => {
            export.groups.push(rules::group(resource, Writer::Azure, problems))
        }
        "microsoft.network/networksecuritygroups/securityrules" => {
            let group = parent_name(resource);
            export.add_rule(&group, rules::rule(resource, Writer::Azure, problems));
        }
        "microsoft.network/routetables" => export.tables.push(routes::table(resource, problems)),
        "microsoft.network/virtualnetworks" => network(resource, export, problems),
        "microsoft.network/virtualnetworks/subnets" => subnet(resource, export, problems),
        "microsoft.resources/deployments" => {
            if let Some(inner) = resource.get("template") {
                resources(&inner, depth + 1, export, problems);
            }
        }
        _ => {}
    }
    if resource.has("copy") && kind.starts_with("microsoft.network/") {
        let what = format!("{} is written by a copy loop: its copies are not judged one by one", resource.path);
        export.notes.push(what);
    }
}

/// The name of the group that a rule of its own belongs to: `[format('{0}/{1}', 'group', 'rule')]` or `group/rule`.
fn parent_name(resource: &Node<'_>) -> String {
    let name = resource.text_of("name").unwrap_or_default();
    if is_expression(&name) {
        return name.rsplit('\'').nth(3).unwrap_or(&name).to_owned();
    }
    name.split_once('/').map_or(name.clone(), |(group, _)| group.to_owned())
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
    for item in node.list("subnets") {
        subnet(&item, export, problems);
        if let Some(last) = export.subnets.last_mut() {
            last.location = last.location.take().or_else(|| location.clone());
        }
    }
}

fn subnet(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    let mut subnet = routes::subnet(node, problems);
    if let Some(group) = node.get("networkSecurityGroup").filter(|group| group.has("securityRules")) {
        export.groups.push(rules::group(&group, Writer::Azure, problems));
    }
    subnet.name = last_name(&subnet.name).to_owned();
    export.subnets.push(subnet);
}
