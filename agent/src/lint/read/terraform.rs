//! Terraform: plans and states as `show -json` prints them, and raw state files.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lint::read::{
    Export, Part,
    node::{AFTER_APPLY, Node, last_name},
    routes,
    rules::{self, Writer},
    template,
    words::Problems,
};
use crate::lint::route::Origin;

/// Reads a plan or a state.
pub(super) fn read(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    let values = node.get("planned_values").or_else(|| node.get("values"));
    if let Some(root) = values.and_then(|values| values.get("root_module")) {
        let unknown = after_apply(node);
        Plan { unknown, export, problems }.module(&root, 0);
        without_computed(export);
    }
    for resource in node.list("resources") {
        let kind = resource.text_of("type").unwrap_or_default();
        for instance in resource.list("instances") {
            if let Some(attributes) = instance.get("attributes") {
                one(&kind, &attributes, export, problems);
            }
        }
    }
}

/// What each resource of a plan holds only once it is applied, by its address.
fn after_apply<'a>(node: &Node<'a>) -> BTreeMap<String, &'a Value> {
    let unknown =
        |change: &Node<'a>| Some((change.text_of("address")?, change.get("change")?.get("afterUnknown")?.value));
    node.list("resource_changes").iter().filter_map(unknown).collect()
}

/// Lists that the provider computes: unknown in every plan whose rules, routes or subnets are resources of their own. The
/// provider's documents forbid both forms at once, so those resources are all there is.
fn without_computed(export: &mut Export) {
    for group in export.groups.iter_mut().filter(|group| group.rules.len() > 1) {
        group.rules.retain(|rule| rule.name != AFTER_APPLY);
    }
    for table in export.tables.iter_mut().filter(|table| table.routes.len() > 1) {
        table.routes.retain(|route| route.name != AFTER_APPLY);
    }
    if !export.subnets.is_empty() {
        export.unresolved.retain(|(part, open)| *part != Part::Subnets || !open.why.ends_with(AFTER_APPLY));
    }
}

struct Plan<'a, 'b> {
    unknown: BTreeMap<String, &'a Value>,
    export: &'b mut Export,
    problems: &'b mut Problems,
}

impl Plan<'_, '_> {
    fn module(&mut self, node: &Node<'_>, depth: usize) {
        for resource in node.list("resources") {
            let kind = resource.text_of("type").unwrap_or_default();
            let Some(values) = resource.get("values") else { continue };
            let unknown = resource.text_of("address").and_then(|address| self.unknown.get(&address).copied());
            let whole = unknown.map(|unknown| with_unknown(values.value, unknown));
            let values = Node { value: whole.as_ref().unwrap_or(values.value), path: values.path.clone() };
            one(&kind, &values, self.export, self.problems);
        }
        if depth < 32 {
            node.list("child_modules").iter().for_each(|child| self.module(child, depth + 1));
        }
    }
}

/// Puts [`AFTER_APPLY`] in the place of every value that is unknown; what only names a resource stays absent.
fn with_unknown(values: &Value, unknown: &Value) -> Value {
    let names =
        |key: &str| key == "id" || key == "name" || ["_id", "_ids", "_name"].iter().any(|end| key.ends_with(end));
    match (values, unknown) {
        (_, Value::Bool(true)) => Value::String(AFTER_APPLY.to_owned()),
        (Value::Object(_) | Value::Null, Value::Object(unknown)) => {
            let mut whole = values.as_object().cloned().unwrap_or_default();
            for (key, inner) in unknown.iter().filter(|(key, inner)| holds_true(inner) && !names(key)) {
                let known = whole.get(key).unwrap_or(&Value::Null);
                let filled = with_unknown(known, inner);
                whole.insert(key.clone(), filled);
            }
            whole.into()
        }
        (Value::Array(_) | Value::Null, Value::Array(unknown)) => {
            let known = values.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = |at: usize| {
                let known = known.get(at).unwrap_or(&Value::Null);
                unknown.get(at).map_or_else(|| known.clone(), |inner| with_unknown(known, inner))
            };
            (0..known.len().max(unknown.len())).map(at).collect()
        }
        _ => values.clone(),
    }
}

/// Whether anything is unknown in a part of `after_unknown`.
fn holds_true(unknown: &Value) -> bool {
    match unknown {
        Value::Bool(flag) => *flag,
        Value::Array(items) => items.iter().any(holds_true),
        Value::Object(map) => map.values().any(holds_true),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

fn one(kind: &str, values: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    match kind {
        "azurerm_network_security_group" => {
            let group = rules::group(values, Writer::Terraform, problems);
            export.add_group(group);
        }
        "azurerm_network_security_rule" => {
            let group = values.text_of("network_security_group_name").unwrap_or_default();
            export.add_rule(&group, rules::rule(values, Writer::Terraform, problems));
        }
        "azurerm_route_table" => export.add_table(routes::table(values, problems)),
        "azurerm_route" => {
            let table = values.text_of("route_table_name").unwrap_or_default();
            let route = routes::route(values, Origin::User, problems);
            export.add_table(routes::one_of(table, route));
        }
        "azurerm_virtual_network" => template::network(values, export, problems),
        "azurerm_subnet" => template::subnet(values, export, problems),
        "azurerm_subnet_network_security_group_association" => associate(values, export, true),
        "azurerm_subnet_route_table_association" => associate(values, export, false),
        _ => {}
    }
}

/// Joins a subnet with its group or table, where both ids are known before apply.
fn associate(values: &Node<'_>, export: &mut Export, is_group: bool) {
    let Some(subnet) = values.text_of("subnet_id") else { return };
    let other = values.text_of(if is_group { "network_security_group_id" } else { "route_table_id" });
    let found =
        export.subnets.iter_mut().find(|one| one.id.as_ref() == Some(&subnet) || one.name == last_name(&subnet));
    if let Some(found) = found {
        let place = if is_group { &mut found.group } else { &mut found.table };
        *place = other.or(place.take());
    }
}
