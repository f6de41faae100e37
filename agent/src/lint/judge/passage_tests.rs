//! Flows as they are measured, and the rule and route that decide each.

use serde_json::{Value, json};

use super::*;
use crate::lint::requirements::Profile;

const HERE: &str = "10.20.1.7";
const PUBLIC: &str = "203.0.113.9";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn rule(name: &str, priority: u32, access: &str, to: &str, ports: &str) -> Value {
    json!({
        "name": name, "priority": priority, "access": access, "direction": "Outbound", "protocol": "*",
        "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": to,
        "destinationPortRanges": [ports],
    })
}

fn group(rules: &[Value]) -> Value {
    json!({"name": "ase-nsg", "securityRules": rules})
}

fn table(routes: &[(&str, &str, &str, &str)]) -> Value {
    let route = |(name, prefix, kind, address): &(&str, &str, &str, &str)| json!({"name": name, "addressPrefix": prefix, "nextHopType": kind, "nextHopIpAddress": address});
    json!({"name": "ase-routes", "disableBgpRoutePropagation": true, "routes": routes.iter().map(route).collect::<Vec<_>>()})
}

fn fabric_of(values: &[Value], subnet: &str, vnet: &str) -> Fabric {
    let mut export = Export::default();
    for value in values {
        export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    }
    let nets = |text: &str| text.split_whitespace().map(|net| net.parse().expect("a prefix")).collect();
    let question = Question {
        profile: Profile::named("ase-v2").expect("a profile"),
        cloud: "public".to_owned(),
        subnet: nets(subnet),
        vnet: nets(vnet),
        service_endpoints: None,
        deployment: None,
        app_ports: Vec::new(),
        group: None,
        table: None,
        needs: Vec::new(),
        suppress: Vec::new(),
    };
    Fabric::new(&question, &export, Some(address(HERE)))
}

fn fabric(values: &[Value]) -> Fabric {
    fabric_of(values, "10.20.1.0/24", "10.20.0.0/16")
}

fn flow(to: &str, port: u16) -> Flow {
    Flow {
        source: Some(address(HERE)),
        destination: address(to),
        protocol: Protocols::TCP,
        ports: PortSet::one(port, port),
    }
}

/// What the rules do, in a word with the rule's name.
fn rules_say(fabric: &Fabric, to: &str, port: u16) -> String {
    match fabric.by_rules(&flow(to, port)) {
        ByRules::NotExported => "not exported".to_owned(),
        ByRules::Exempt => "exempt".to_owned(),
        ByRules::Allowed(rule) => format!("allowed by {}", rule.name),
        ByRules::Denied(rule) => format!("denied by {}", rule.name),
        ByRules::PartlyDenied(rule) => format!("partly denied by {}", rule.name),
        ByRules::Open(doubt) => {
            let otherwise = doubt.otherwise.map(|(access, rule)| format!(", else {access:?} by {}", rule.name));
            format!("open: {}{}", doubt.why, otherwise.unwrap_or_default())
        }
    }
}

fn routes_say(fabric: &Fabric, to: &str) -> String {
    match fabric.by_routes(&flow(to, 443)) {
        ByRoutes::NotExported => "not exported".to_owned(),
        ByRoutes::Exempt => "exempt".to_owned(),
        ByRoutes::Open(why) => format!("open: {why}"),
        ByRoutes::Way { routes, unless } => {
            let ways: Vec<_> = routes.iter().map(|(route, hop)| format!("{} to {hop}", route.name)).collect();
            let unless = unless.map(|route| format!(" unless {}", route.prefix)).unwrap_or_default();
            format!("{}{unless}", ways.join(" and "))
        }
    }
}

#[test]
fn the_rule_that_decides_a_measured_flow_is_named_with_priority_group_and_destination() {
    let deny = rule("DenyAllOutbound", 4000, "Deny", "*", "12000");
    let fabric = fabric(&[group(&[rule("AllowWeb", 100, "Allow", "*", "443"), deny])]);
    let ByRules::Denied(named) = fabric.by_rules(&flow(PUBLIC, 12_000)) else { panic!("it is denied") };
    assert_eq!((named.name.as_str(), named.priority), ("DenyAllOutbound", Some(4000)));
    assert_eq!((named.group.as_str(), named.destination.as_str(), named.is_default), ("ase-nsg", "any", false));
    assert_eq!(rules_say(&fabric, PUBLIC, 443), "allowed by AllowWeb");
    assert_eq!(rules_say(&fabric, PUBLIC, 123), "allowed by AllowInternetOutBound");
    assert_eq!(rules_say(&fabric, "10.20.9.9", 53), "allowed by AllowVnetOutBound");
}

#[test]
fn a_tag_whose_addresses_are_not_known_leaves_the_flow_open_and_says_what_decides_else() {
    let rules = [rule("AllowSql", 100, "Allow", "Sql", "1433"), rule("DenyAll", 4000, "Deny", "*", "*")];
    let fabric = fabric(&[group(&rules)]);
    let said = rules_say(&fabric, PUBLIC, 1433);
    assert_eq!(said, "open: AllowSql is about Sql, whose addresses no export holds, else Deny by DenyAll");
    assert_eq!(rules_say(&fabric, PUBLIC, 443), "denied by DenyAll", "the tag's rule is for another port");
    let known = json!({"changeNumber": 1, "cloud": "Public", "values": [{"name": "Sql", "id": "Sql", "properties":
        {"addressPrefixes": ["203.0.113.0/28"], "region": "", "platform": "Azure", "systemService": "AzureSQL"}}]});
    let fabric = super::tests::fabric(&[group(&rules), known]);
    assert_eq!(rules_say(&fabric, PUBLIC, 1433), "allowed by AllowSql");
    assert_eq!(rules_say(&fabric, "203.0.113.99", 1433), "denied by DenyAll");
}

#[test]
fn where_nobody_says_the_subnet_the_place_of_the_agent_stands_for_it() {
    let rules = [
        json!({"name": "Own", "priority": 100, "access": "Allow", "direction": "Outbound", "protocol": "Tcp",
            "sourceAddressPrefix": "10.20.1.0/24", "sourcePortRange": "*", "destinationAddressPrefix": "*",
            "destinationPortRange": "443"}),
        rule("DenyAll", 4000, "Deny", "*", "*"),
    ];
    let fabric = fabric_of(&[group(&rules)], "", "");
    assert_eq!(rules_say(&fabric, PUBLIC, 443), "allowed by Own");
    assert_eq!(fabric.is_in_subnet(address(HERE)), None);
    let elsewhere = fabric_of(&[group(&rules)], "10.20.2.0/24", "");
    assert_eq!(rules_say(&elsewhere, PUBLIC, 443), "allowed by Own", "the measured source counts");
    assert_eq!(elsewhere.is_in_subnet(address(HERE)), Some(false));
}

#[test]
fn only_a_rule_by_the_platforms_tag_touches_azure_dns() {
    let all = fabric(&[group(&[rule("DenyAll", 4000, "Deny", "*", "*")])]);
    assert_eq!(rules_say(&all, "168.63.129.16", 53), "exempt");
    assert_eq!(routes_say(&all, "168.63.129.16"), "exempt");
    let tagged = fabric(&[group(&[rule("NoAzureDns", 4000, "Deny", "AzurePlatformDNS", "*")])]);
    assert_eq!(rules_say(&tagged, "168.63.129.16", 53), "denied by NoAzureDns");
    assert_eq!(rules_say(&tagged, "168.63.129.16", 80), "exempt");
}

#[test]
fn every_group_of_an_interface_must_let_a_flow_pass() {
    let effective = |name: &str, access: &str| {
        json!({"networkSecurityGroup": {"id": format!("/subscriptions/s/x/{name}")}, "effectiveSecurityRules": [{
            "name": format!("securityRules/{name}-rule"), "priority": 200, "access": access, "direction": "Outbound",
            "protocol": "All", "sourceAddressPrefix": "0.0.0.0/0", "sourcePortRange": "0-65535",
            "destinationAddressPrefix": "0.0.0.0/0", "destinationPortRange": "443-443"}]})
    };
    let both = json!({"value": [effective("subnet-nsg", "Deny"), effective("nic-nsg", "Allow")]});
    let said = rules_say(&fabric(&[both]), PUBLIC, 443);
    assert!(said.starts_with("denied by ") && said.contains("subnet-nsg-rule"), "{said}");
}

#[test]
fn the_route_and_its_next_hop_are_named() {
    let routes = [("default", "0.0.0.0/0", "None", ""), ("hq", "198.51.100.0/24", "VirtualAppliance", "10.0.9.4")];
    let fabric = fabric(&[table(&routes)]);
    assert_eq!(routes_say(&fabric, PUBLIC), "default to nowhere");
    assert_eq!(routes_say(&fabric, "198.51.100.7"), "hq to the appliance 10.0.9.4");
    assert_eq!(routes_say(&fabric, "10.20.7.7"), "the fabric's route within the network to the virtual network");
    assert!(routes_say(&fabric, "10.77.0.1").starts_with("open: whether 10.77.0.1 belongs to the network"));
    assert_eq!(rules_say(&fabric, PUBLIC, 443), "not exported");
    let tagged = [("default", "0.0.0.0/0", "VirtualAppliance", "10.0.9.4"), ("sql", "Sql", "Internet", "")];
    let fabric = super::tests::fabric(&[table(&tagged)]);
    assert_eq!(routes_say(&fabric, PUBLIC), "default to the appliance 10.0.9.4 unless Sql");
}

#[test]
fn a_flow_to_one_of_many_ports_is_denied_in_part() {
    let fabric = fabric(&[group(&[rule("NoRedirect", 300, "Deny", "*", "11500-11999")])]);
    let ports = PortSet::one(11_000, 11_999);
    let said = fabric.by_rules(&Flow { ports, ..flow(PUBLIC, 1433) });
    assert!(matches!(said, ByRules::PartlyDenied(rule) if rule.name == "NoRedirect"));
}
