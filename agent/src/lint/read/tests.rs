//! The same rules in every shape that tools export, and what is said of files that are none of them.

use serde_json::{Value, json};

use super::{Export, Part, ReadError};
use crate::lint::{
    rule::{Access, AddressTerm, Known, PortTerm},
    traffic::Direction,
};

fn read(value: &Value) -> Export {
    let mut export = Export::default();
    export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    export
}

fn refused(bytes: &[u8]) -> String {
    Export::default().read("export.json", bytes).expect_err("it is no export").to_string()
}

/// One rule as the management API writes its properties.
fn properties() -> Value {
    json!({
        "access": "Allow", "direction": "Inbound", "priority": 120, "protocol": "Tcp",
        "sourceAddressPrefix": null, "sourceAddressPrefixes": ["AppServiceManagement"],
        "destinationAddressPrefix": "10.0.1.0/24", "destinationAddressPrefixes": [],
        "sourcePortRange": "*", "sourcePortRanges": [],
        "destinationPortRange": null, "destinationPortRanges": ["454", "455"],
    })
}

fn with_name(mut value: Value) -> Value {
    value["name"] = json!("platform");
    value
}

/// The same rule in every shape.
fn shapes() -> Vec<(&'static str, Value)> {
    let flat = with_name(properties());
    let nested = json!({"name": "platform", "properties": properties()});
    let mut without_nulls = flat.clone();
    without_nulls.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    let group = |rule: &Value| json!({"name": "ase", "securityRules": [rule], "defaultSecurityRules": []});
    let resource = json!({"type": "Microsoft.Network/networkSecurityGroups", "apiVersion": "2023-11-01", "name": "ase",
        "properties": {"securityRules": [nested]}});
    let template = |resources: Value| {
        let schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
        json!({"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources})
    };
    let terraform_rule = json!({
        "name": "platform", "access": "Allow", "direction": "Inbound", "priority": 120, "protocol": "Tcp", "description": "",
        "source_address_prefix": "", "source_address_prefixes": ["AppServiceManagement"],
        "destination_address_prefix": "10.0.1.0/24", "destination_address_prefixes": [],
        "source_port_range": "*", "source_port_ranges": [], "destination_port_range": "", "destination_port_ranges": ["454", "455"],
        "source_application_security_group_ids": [], "destination_application_security_group_ids": [],
    });
    let terraform = |resources: Value| {
        json!({"format_version": "1.2", "terraform_version": "1.9.0", "planned_values": {"root_module": {
        "child_modules": [{"resources": resources}]}}})
    };
    let child = {
        let mut rule = terraform_rule.clone();
        rule["network_security_group_name"] = json!("ase");
        rule
    };
    let effective = json!({"name": "securityRules/platform", "access": "Allow", "direction": "Inbound", "priority": 120, "protocol": "Tcp",
        "sourceAddressPrefix": "AppServiceManagement", "sourceAddressPrefixes": ["AppServiceManagement"],
        "destinationAddressPrefix": "10.0.1.0/24", "destinationAddressPrefixes": ["10.0.1.0/24"],
        "sourcePortRange": "0-65535", "sourcePortRanges": ["0-65535"],
        "destinationPortRange": "454-454", "destinationPortRanges": ["454-454", "455-455"], "expandedSourceAddressPrefix": null});
    let shouting = json!({"Name": "securityRules/platform", "Access": "ALLOW", "Direction": "INBOUND", "Priority": 120, "Protocol": "TCP",
        "SourceAddressPrefix": ["APPSERVICEMANAGEMENT"], "DestinationAddressPrefix": ["10.0.1.0/24"],
        "SourcePortRange": ["0-65535"], "DestinationPortRange": ["454", "455"]});
    vec![
        ("az network nsg show, old", group(&flat)),
        ("az network nsg show, new", group(&without_nulls)),
        ("az network nsg list", json!([group(&flat)])),
        ("az network nsg rule list", json!([flat])),
        ("REST", json!({"name": "ase", "properties": {"securityRules": [nested]}})),
        ("REST list", json!({"value": [{"name": "ase", "properties": {"securityRules": [nested]}}], "nextLink": null})),
        ("template", template(json!([resource]))),
        ("template by symbolic name", template(json!({"group": resource}))),
        (
            "rule as a resource of its own",
            template(json!([{"type": "Microsoft.Network/networkSecurityGroups/securityRules",
            "apiVersion": "2023-11-01", "name": "ase/platform", "properties": properties()}])),
        ),
        (
            "deployment in a template",
            template(json!([{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inner",
            "properties": {"template": {"resources": [resource]}}}])),
        ),
        (
            "Terraform group",
            terraform(
                json!([{"type": "azurerm_network_security_group", "values": {"name": "ase", "security_rule": [terraform_rule]}}]),
            ),
        ),
        ("Terraform rule", terraform(json!([{"type": "azurerm_network_security_rule", "values": child}]))),
        (
            "Terraform state file",
            json!({"version": 4, "terraform_version": "1.9.0", "resources": [{"type": "azurerm_network_security_rule",
            "instances": [{"attributes": child}]}]}),
        ),
        (
            "effective rules, each twice",
            json!({"value": [{"networkSecurityGroup": {"id": "/x/networkSecurityGroups/ase"},
            "effectiveSecurityRules": [effective, effective]}]}),
        ),
        ("effective rules of PowerShell", json!([{"EffectiveSecurityRules": [shouting]}])),
    ]
}

#[test]
fn every_shape_holds_the_same_rule() {
    for (shape, value) in shapes() {
        let export = read(&value);
        assert!(export.problems.is_empty(), "{shape}: {:?}", export.problems);
        assert_eq!(export.groups.len(), 1, "{shape}");
        let rules = &export.groups[0].rules;
        assert_eq!(rules.len(), 1, "{shape}: {rules:?}");
        let rule = &rules[0];
        assert_eq!((rule.name.as_str(), &rule.priority), ("platform", &Known::Value(120)), "{shape}");
        assert_eq!(
            (&rule.access, &rule.direction),
            (&Known::Value(Access::Allow), &Known::Value(Direction::Inbound)),
            "{shape}"
        );
        let AddressTerm::Tag(tag) = &rule.source.addresses[0] else { panic!("{shape}: {:?}", rule.source) };
        assert_eq!(tag.to_string(), "AppServiceManagement", "{shape}");
        assert_eq!(rule.destination.ports, [PortTerm::Range(454, 454), PortTerm::Range(455, 455)], "{shape}");
        assert_eq!(rule.source.ports, [PortTerm::ANY], "{shape}");
    }
}

#[test]
fn an_expression_is_kept_and_named_and_a_variable_is_looked_up() {
    let template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
        "variables": {"port": "443", "round": "[variables('trip')]", "trip": "[variables('round')]"},
        "resources": [{"type": "Microsoft.Network/networkSecurityGroups", "name": "ase", "properties": {"securityRules": [
            {"name": "a", "properties": {"access": "Allow", "direction": "Inbound", "priority": "100", "protocol": "TCP",
                "sourceAddressPrefix": "[parameters('who')]", "destinationAddressPrefix": "*", "sourcePortRange": "*",
                "destinationPortRange": "[variables('port')]"}},
            {"name": "b", "properties": {"access": "Allow", "direction": "Inbound", "priority": 110, "protocol": "TCP",
                "sourceAddressPrefix": "[variables('round')]", "destinationAddressPrefix": "*", "sourcePortRange": "*",
                "destinationPortRange": 12000}}],
            "copy": [{"name": "securityRules", "count": 2, "input": {}}]}}],
    });
    let rules = &read(&template).groups[0].rules;
    assert_eq!(rules[0].destination.ports, [PortTerm::Range(443, 443)]);
    assert_eq!(rules[0].expressions(), ["[parameters('who')]"]);
    assert_eq!(rules[1].destination.ports, [PortTerm::Range(12_000, 12_000)], "a number is a port");
    assert!(rules[1].expressions()[0].starts_with("[variables("), "a circle stays an expression");
    assert_eq!(rules[2].priority, Known::Expression("a copy loop writes these rules".to_owned()));
}

#[test]
fn what_azure_would_refuse_is_a_problem_that_names_rule_and_place() {
    let bad = |field: &str, value: Value| {
        let mut rule = with_name(properties());
        rule[field] = value;
        let export = read(&json!({"securityRules": [rule]}));
        let problem = export.problems.first().unwrap_or_else(|| panic!("{field} is a problem")).clone();
        assert_eq!(problem.rule.as_deref(), Some("platform"));
        assert!(
            problem.at.as_deref().is_some_and(|at| at.starts_with("export.json: securityRules[0]")),
            "{:?}",
            problem.at
        );
        problem.message
    };
    assert!(bad("destinationPortRange", json!("443-80")).contains("reversed"));
    assert!(bad("destinationPortRange", json!("70000")).contains("65535"));
    assert!(bad("destinationPortRange", json!("0")).contains("port 0"));
    assert!(bad("destinationPortRange", json!("https")).contains("no port"));
    assert!(bad("destinationAddressPrefix", json!("10.0.1.7/24")).contains("10.0.1.0/24 is meant"));
    assert!(bad("destinationAddressPrefix", json!("10.0.1.0/33")).contains("neither a prefix nor"));
    assert!(bad("priority", json!(4097)).contains("4096"));
    assert!(bad("priority", json!("first")).contains("no priority"));
    assert!(bad("access", json!("Permit")).contains("neither Allow nor Deny"));
    assert!(bad("direction", json!("Sideways")).contains("neither Inbound nor Outbound"));
    assert!(bad("protocol", json!("quic")).contains("no protocol"));
    assert!(bad("access", Value::Null).contains("has no access"));
}

#[test]
fn a_file_that_is_no_export_says_what_it_is() {
    assert!(refused(b"{\"securityRules\": [").contains("no JSON"));
    assert!(refused(&[0x7f, b'E', b'L', b'F', 0xff, 0xfe, 0x00]).contains("neither UTF-8 nor UTF-16"));
    assert!(refused(b"").contains("no JSON"));
    assert!(refused(b"{}").contains("no export"));
    assert!(refused(b"17").contains("the value 17"));
    assert!(refused(b"{\"value\": []}").contains("nothing to judge"));
    let disk = br#"{"type": "Microsoft.Compute/disks", "name": "d"}"#;
    assert!(refused(disk).contains("Microsoft.Compute/disks"));
    let outbound = br#"{"value": [{"category": "c", "endpoints": [{"domainName": "a.example"}]}]}"#;
    assert!(refused(outbound).contains("outbound dependencies"));
    let parameters = br#"{"$schema": "https://x/deploymentParameters.json#", "parameters": {}}"#;
    assert!(refused(parameters).contains("parameter file"));
    let deep = "[".repeat(100_000);
    assert!(refused(deep.as_bytes()).contains("no JSON"), "depth is bounded");
}

#[test]
fn a_redirect_of_powershell_is_utf_16_and_a_byte_order_mark_is_no_letter() {
    let text = json!([with_name(properties())]).to_string();
    let little: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let marked: Vec<u8> = [0xef, 0xbb, 0xbf].into_iter().chain(text.bytes()).collect();
    for bytes in [little, big, marked] {
        let mut export = Export::default();
        export.read("export.json", &bytes).expect("it is text");
        assert_eq!(export.groups[0].rules.len(), 1);
    }
    let odd = Export::default().read("export.json", &[0xff, 0xfe, 0x20]);
    assert!(matches!(odd, Err(ReadError::NotText { .. })));
}

#[test]
fn propagation_is_one_switch_under_three_names() {
    let takes = |values: Value| {
        let mut table = values;
        table["routes"] = json!([]);
        read(&table).tables[0].takes_bgp.clone()
    };
    assert_eq!(takes(json!({"disableBgpRoutePropagation": true})), Known::Value(false));
    assert_eq!(takes(json!({"bgp_route_propagation_enabled": true})), Known::Value(true));
    assert_eq!(takes(json!({"properties": {"disableBgpRoutePropagation": true}})), Known::Value(false));
    assert_eq!(takes(json!({})), Known::Value(true));
}

#[test]
fn effective_routes_have_lists_several_hops_and_routes_that_lost() {
    let export = read(&json!({"value": [
        {"name": null, "source": "Default", "state": "Active", "addressPrefix": ["10.0.0.0/16"], "nextHopIpAddress": [], "nextHopType": "VnetLocal"},
        {"name": null, "source": "VirtualNetworkGateway", "state": "Active", "addressPrefix": ["0.0.0.0/0"],
            "nextHopIpAddress": ["10.9.0.4", "10.9.0.5"], "nextHopType": "VirtualNetworkGateway"},
        {"name": null, "source": "Default", "state": "Invalid", "addressPrefix": ["0.0.0.0/0"], "nextHopIpAddress": [], "nextHopType": "Internet"},
        {"name": null, "source": "Default", "state": "Active", "addressPrefix": ["20.0.0.0/16", "20.9.0.0/24"], "nextHopIpAddress": [],
            "nextHopType": "VirtualNetworkServiceEndpoint", "destinationServiceTags": [], "tagMap": {}}]}));
    let routes = &export.tables[0].routes;
    assert!(export.tables[0].effective);
    assert_eq!(routes.iter().map(|route| route.active).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(routes[3].destinations.len(), 2);
}

#[test]
fn a_subnet_is_read_with_list_or_string_and_from_terraform() {
    let azure = &read(&json!({"name": "ase", "addressPrefix": null, "addressPrefixes": ["10.0.1.0/24"], "delegations": [
        {"serviceName": "Microsoft.Web/hostingEnvironments"}], "serviceEndpoints": [{"service": "Microsoft.Sql", "locations": ["*"]}],
        "networkSecurityGroup": {"id": "/x/nsg"}})).subnets[0];
    assert!(!azure.has_single_prefix);
    assert_eq!(
        (azure.delegations.len(), azure.service_endpoints.as_slice()),
        (1, ["Microsoft.Sql".to_owned()].as_slice())
    );
    assert_eq!(azure.group.as_deref(), Some("/x/nsg"));
    let plan = json!({"terraform_version": "1", "planned_values": {"root_module": {"resources": [{"type": "azurerm_subnet", "values": {
        "name": "ase", "address_prefixes": ["10.0.1.0/24"], "service_endpoints": ["Microsoft.Storage"],
        "delegation": [{"name": "d", "service_delegation": [{"name": "Microsoft.Web/hostingEnvironments"}]}]}}]}}});
    let planned = &read(&plan).subnets[0];
    assert_eq!(planned.delegations, ["Microsoft.Web/hostingEnvironments"]);
    assert_eq!(planned.service_endpoints, ["Microsoft.Storage"]);
}

fn template(resources: Value) -> Value {
    let schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
    json!({"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources})
}

fn planned(kind: &str, values: Value, unknown: Value) -> Value {
    let address = format!("{kind}.one");
    json!({"terraform_version": "1", "planned_values": {"root_module": {"resources": [
        {"address": address, "type": kind, "values": values}]}},
        "resource_changes": [{"address": address, "type": kind, "change": {"after_unknown": unknown}}]})
}

fn routes_of(properties: Value) -> Vec<(String, AddressTerm)> {
    let export =
        read(&template(json!([{"type": "Microsoft.Network/routeTables", "name": "ways", "properties": properties}])));
    assert!(export.problems.is_empty(), "{:?}", export.problems);
    export.tables[0].routes.iter().map(|route| (route.next_hop.to_string(), route.destinations[0].clone())).collect()
}

#[test]
fn a_route_that_only_a_deployment_knows_is_unknown_and_never_absent() {
    let is_open = |routes: Vec<(String, AddressTerm)>| {
        assert!(matches!(&routes[..], [(_, AddressTerm::Expression(_))]), "{routes:?}");
    };
    is_open(routes_of(json!({"routes": "[parameters('ways')]"})));
    is_open(routes_of(json!("[parameters('all')]")));
    is_open(routes_of(json!({"routes": ["[variables('way')]"]})));
    is_open(routes_of(json!({"routes": [{"name": "a", "properties": "[parameters('way')]"}]})));
    is_open(routes_of(json!({"copy": [{"name": "routes", "count": 2, "input": {"name": "a"}}]})));
    let prefix = json!({"name": "a", "properties": {"addressPrefix": "[parameters('to')]", "nextHopType": "Internet"}});
    is_open(routes_of(json!({"routes": [prefix]})));
    let apply =
        planned("azurerm_route_table", json!({"name": "ways"}), json!({"id": true, "route": true, "subnets": true}));
    assert!(matches!(read(&apply).tables[0].routes[0].destinations[..], [AddressTerm::Expression(_)]));
}

#[test]
fn a_route_that_is_a_resource_of_its_own_belongs_to_its_table() {
    let route = |name: &str| {
        json!({"type": "Microsoft.Network/routeTables/routes", "name": name, "properties": {
        "addressPrefix": "0.0.0.0/0", "nextHopType": "None"}})
    };
    for (table, child) in
        [("ways", "ways/out"), ("[parameters('ways')]", "[format('{0}/{1}', parameters('ways'), 'out')]")]
    {
        let parent = json!({"type": "Microsoft.Network/routeTables", "name": table, "properties": {"routes": []}});
        let export = read(&template(json!([route(child), parent])));
        let routes: Vec<_> = export.tables[0].routes.iter().map(|route| route.name.as_str()).collect();
        assert_eq!((export.tables.len(), routes.as_slice()), (1, ["out"].as_slice()), "{table}");
    }
}

#[test]
fn subnets_and_prefixes_that_only_a_deployment_knows_are_told() {
    let network = |space: Value, subnets: Value| {
        let export =
            read(&template(json!([{"type": "Microsoft.Network/virtualNetworks", "name": "net", "properties": {
            "addressSpace": {"addressPrefixes": space}, "subnets": subnets}}])));
        export.unresolved.iter().map(|(part, _)| *part).collect::<Vec<_>>()
    };
    assert_eq!(network(json!(["10.0.0.0/16"]), json!([])), []);
    let both = network(json!(["[parameters('space')]"]), json!("[parameters('subnets')]"));
    assert_eq!(both, [Part::Subnets, Part::Network]);
    let prefix = json!([{"name": "ase", "properties": {"addressPrefix": "[parameters('own')]"}}]);
    assert_eq!(network(json!("[parameters('space')]"), prefix), [Part::Network, Part::Prefix]);
    let apply = planned("azurerm_subnet", json!({"name": "ase"}), json!({"address_prefixes": true}));
    assert_eq!(read(&apply).unresolved[0].0, Part::Prefix);
}

#[test]
fn what_a_plan_knows_after_apply_only_is_unknown() {
    let group = |known: Value, unknown: Value| {
        let mut values = json!({"name": "edge"});
        values["security_rule"] = known;
        let plan = planned("azurerm_network_security_group", values, json!({"id": true, "security_rule": unknown}));
        read(&plan).groups[0].rules.iter().map(|rule| rule.expressions().len()).collect::<Vec<_>>()
    };
    assert_eq!(group(Value::Null, json!(true)).len(), 1, "the whole list");
    let rule = json!({"name": "a", "access": "Allow", "direction": "Inbound", "priority": 100, "protocol": "Tcp",
        "source_port_range": "*", "destination_port_range": "443", "destination_address_prefix": "*",
        "source_address_prefixes": ["10.0.0.0/8", null]});
    assert_eq!(group(json!([rule]), json!([{"source_address_prefixes": [false, true]}])), [1], "one address of two");
    assert_eq!(group(json!([rule]), json!([{"source_address_prefixes": [false, false]}])), [0]);
    assert_eq!(group(json!([rule]), json!([{"access": true}])), [1]);
}

#[test]
fn a_list_that_the_provider_computes_is_not_unknown_where_its_entries_are_resources() {
    let mut plan = planned("azurerm_network_security_group", json!({"name": "edge"}), json!({"security_rule": true}));
    let own = json!({"name": "a", "network_security_group_name": "edge", "access": "Allow", "direction": "Inbound", "priority": 100,
        "protocol": "*", "source_port_range": "*", "destination_port_range": "*", "source_address_prefix": "*", "destination_address_prefix": "*"});
    let resources = plan["planned_values"]["root_module"]["resources"].as_array_mut().expect("a list");
    resources.push(
        json!({"address": "azurerm_network_security_rule.a", "type": "azurerm_network_security_rule", "values": own}),
    );
    let rules = &read(&plan).groups[0].rules;
    assert_eq!(rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn rules_whose_properties_are_an_expression_are_unknown_and_no_mistake() {
    let child = json!({"type": "Microsoft.Network/networkSecurityGroups/securityRules", "copy": {"name": "c", "count": 2},
        "name": "[format('{0}/{1}', 'edge', parameters('all')[copyIndex()].name)]", "properties": "[parameters('all')[copyIndex()]]"});
    let parent = json!({"type": "Microsoft.Network/networkSecurityGroups", "name": "edge", "properties": {}});
    let export = read(&template(json!([child, parent])));
    assert!(export.problems.is_empty(), "{:?}", export.problems);
    assert_eq!(export.groups.len(), 1);
    assert!(matches!(export.groups[0].rules[0].access, Known::Expression(_)));
}

#[test]
fn subnets_in_a_network_of_terraform_are_read_with_their_group() {
    let subnet = json!({"name": "ase", "address_prefixes": ["10.0.1.0/28"], "security_group": "/x/edge"});
    let values = json!({"name": "net", "address_space": ["10.0.0.0/16"], "subnet": [subnet]});
    let export = read(&planned("azurerm_virtual_network", values, json!({"id": true})));
    assert_eq!((export.subnets[0].prefixes.len(), export.subnets[0].group.as_deref()), (1, Some("/x/edge")));
}

#[test]
fn each_object_of_a_mixed_list_is_what_it_is() {
    let export = read(
        &json!([{"name": "edge", "securityRules": []}, {"name": "ways", "routes": []}, {"name": "s", "addressPrefix": "10.0.1.0/24"}]),
    );
    assert_eq!((export.groups.len(), export.tables.len(), export.subnets.len()), (1, 1, 1));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = Export::default().read("x", &bytes);
    }

    #[test]
    fn no_value_in_a_known_place_makes_the_reader_panic(
        at in 0usize..15, field in "[a-zA-Z]{0,12}", text in ".{0,30}", number in proptest::prelude::any::<f64>(),
    ) {
        let (_, mut value) = shapes().swap_remove(at);
        let wild = serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number);
        disturb(&mut value, &field, &json!(text));
        let _ = Export::default().read("x", value.to_string().as_bytes());
        disturb(&mut value, "priority", &wild);
        disturb(&mut value, "destinationPortRange", &wild);
        let _ = Export::default().read("x", value.to_string().as_bytes());
    }
}

/// Puts something else in the place of every value under a key, or of every text where no key is called so.
fn disturb(value: &mut Value, key: &str, with: &Value) {
    match value {
        Value::Object(map) => map
            .iter_mut()
            .for_each(|(name, inner)| if name == key { *inner = with.clone() } else { disturb(inner, key, with) }),
        Value::Array(items) => items.iter_mut().for_each(|item| disturb(item, key, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
