//! Terraform: plans and states as `show -json` prints them, and raw state files.

use crate::lint::read::{
    Export,
    node::{Node, last_name},
    routes,
    rules::{self, Writer},
    template,
    words::Problems,
};
use crate::lint::route::{Origin, Table};
use crate::lint::rule::Known;

/// Reads a plan or a state.
pub(super) fn read(node: &Node<'_>, export: &mut Export, problems: &mut Problems) {
    let values = node.get("planned_values").or_else(|| node.get("values"));
    if let Some(root) = values.and_then(|values| values.get("root_module")) {
        module(&root, 0, export, problems);
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

fn module(node: &Node<'_>, depth: usize, export: &mut Export, problems: &mut Problems) {
    for resource in node.list("resources") {
        let kind = resource.text_of("type").unwrap_or_default();
        if let Some(values) = resource.get("values") {
            one(&kind, &values, export, problems);
        }
    }
    if depth < 32 {
        node.list("child_modules").iter().for_each(|child| module(child, depth + 1, export, problems));
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
            let takes_bgp = Known::Value(true);
            let (id, location, subnets) = (None, None, Vec::new());
            export.add_table(Table {
                name: table,
                id,
                location,
                takes_bgp,
                routes: vec![route],
                subnets,
                effective: false,
            });
        }
        "azurerm_virtual_network" => template::network(values, export, problems),
        "azurerm_subnet" => export.subnets.push(routes::subnet(values, problems)),
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
