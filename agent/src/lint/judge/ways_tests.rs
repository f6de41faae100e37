//! Route tables and subnets, and what must and must not be said of each.

use serde_json::{Value, json};

use super::{
    Question,
    tests::{SUBNET, VNET, group, judged, question, worries},
};
use crate::lint::finding::Severity;

pub(super) fn table(bgp: bool, routes: &[(&str, &str, &str)]) -> Value {
    let route = |(name, prefix, hop): &(&str, &str, &str)| {
        let address = if *hop == "VirtualAppliance" { json!("10.20.9.4") } else { Value::Null };
        json!({"name": name, "addressPrefix": prefix, "nextHopType": hop, "nextHopIpAddress": address})
    };
    json!({"name": "rt", "location": "westeurope", "disableBgpRoutePropagation": !bgp, "routes": routes.iter().map(route).collect::<Vec<_>>()})
}

#[test]
fn routes_that_take_away_what_is_needed_are_named() {
    let with_endpoints = Question {
        service_endpoints: Some(
            ["Microsoft.Sql", "Microsoft.Storage", "Microsoft.EventHub"].map(str::to_owned).to_vec(),
        ),
        ..question("ase-v2")
    };
    let of = |routes: &[(&str, &str, &str)]| worries(&judged(&with_endpoints, &[table(true, routes)]));
    let tunnel = ("tunnel", "0.0.0.0/0", "VirtualAppliance");
    let management = ("management", "AppServiceManagement", "Internet");
    assert_eq!(of(&[("out", "0.0.0.0/0", "Internet")]), [""; 0]);
    assert_eq!(of(&[tunnel]), ["route.ip-dependencies@tunnel", "route.management@tunnel"]);
    assert_eq!(of(&[tunnel, management]), ["route.ip-dependencies@tunnel"]);
    let four = [
        ("a", "40.77.24.27/32", "Internet"),
        ("b", "13.90.249.229/32", "Internet"),
        ("c", "104.45.230.69/32", "Internet"),
        ("d", "13.82.184.151/32", "Internet"),
    ];
    assert_eq!(of(&[&[tunnel, management], four.as_slice()].concat()), [""; 0]);
    assert_eq!(of(&[&[tunnel, management], &four[..3]].concat()), ["route.ip-dependencies@tunnel"]);
    assert_eq!(of(&[tunnel, management, ("monitor", "AzureMonitor", "Internet")]), [""; 0], "the tag covers all four");
    assert_eq!(of(&[("none", "0.0.0.0/0", "None")]), ["route.internet@none", "route.management@none"]);
    assert_eq!(of(&[("gateway", "0.0.0.0/0", "VirtualNetworkGateway"), management]), ["route.ip-dependencies@gateway"]);
    assert_eq!(of(&[("own", SUBNET, "VirtualAppliance")]), ["route.own-subnet@own"]);
    assert_eq!(of(&[("network", VNET, "VirtualAppliance")]), ["route.own-subnet@network"]);
    assert_eq!(of(&[("network", VNET, "VirtualAppliance"), ("stay", SUBNET, "VnetLocal")]), [""; 0]);
    assert_eq!(of(&[("wide", "10.0.0.0/8", "VirtualAppliance")]), [""; 0], "the network's own route is longer");
    assert_eq!(of(&[("half", "10.20.1.128/25", "VirtualAppliance")]), ["route.own-subnet@half"]);
    assert_eq!(of(&[("cloud", "AzureCloud", "Internet")]), ["input@cloud"]);
}

#[test]
fn what_a_route_takes_away_beside_a_way_that_is_straight_is_named() {
    let with = |services: &[&str], routes: &[(&str, &str, &str)]| {
        let services = Some(services.iter().map(|one| (*one).to_owned()).collect());
        worries(&judged(&Question { service_endpoints: services, ..question("ase-v2") }, &[table(true, routes)]))
    };
    let out = ("out", "0.0.0.0/0", "Internet");
    let sql = ("sql", "Sql", "VirtualAppliance");
    assert_eq!(with(&[], &[out, sql]), ["route.service-endpoints@sql"]);
    assert_eq!(with(&["Microsoft.Sql"], &[out, sql]), [""; 0], "the endpoint goes past every route");
    assert_eq!(with(&[], &[out, ("blobs", "Storage.WestEurope", "None")]), ["route.service-endpoints@blobs"]);
    assert_eq!(with(&[], &[out, ("straight", "Sql", "Internet"), ("office", "203.0.113.0/24", "None")]), [""; 0]);
    assert_eq!(with(&[], &[out, ("high", "128.0.0.0/2", "None")])[0], "route.internet@high");
}

#[test]
fn an_appliance_without_service_endpoints_is_critical_and_unknown_endpoints_stay_open() {
    let routes = table(
        false,
        &[
            ("tunnel", "0.0.0.0/0", "VirtualAppliance"),
            ("management", "AppServiceManagement", "Internet"),
            ("monitor-1", "40.77.24.27/32", "Internet"),
            ("monitor-2", "13.90.249.229/32", "Internet"),
            ("monitor-3", "104.45.230.69/32", "Internet"),
            ("monitor-4", "13.82.184.151/32", "Internet"),
        ],
    );
    let with = |services: Option<Vec<String>>| {
        judged(&Question { service_endpoints: services, ..question("ase-v2") }, std::slice::from_ref(&routes))
    };
    assert_eq!(with(None).exit_code(), 3);
    assert_eq!(with(Some(vec![])).exit_code(), 1);
    assert_eq!(
        with(Some(vec!["Microsoft.Sql".to_owned(), "Microsoft.Storage.Global".to_owned()])).exit_code(),
        2,
        "the event hub is missing"
    );
    assert!(with(Some(vec![])).findings[0].message.contains("every Azure SQL server"));
}

#[test]
fn documented_addresses_by_hand_are_enough_and_the_tag_is_said_to_be_safer() {
    let management = crate::lint::requirements::Management::of_cloud("public");
    let names: Vec<String> = management.addresses.iter().map(|address| format!("{address}/32")).collect();
    let mut routes: Vec<(&str, &str, &str)> =
        names.iter().map(|name| (name.as_str(), name.as_str(), "Internet")).collect();
    routes.push(("tunnel", "0.0.0.0/0", "VirtualAppliance"));
    let asked = Question { service_endpoints: Some(Vec::new()), ..question("ase-v2") };
    let report = judged(&asked, &[table(false, &routes)]);
    let management = report.findings.iter().find(|finding| finding.id() == "route.management").expect("it is said");
    assert_eq!(management.severity, Severity::Info);
    let fewer = judged(&asked, &[table(false, &routes[1..])]);
    let management = fewer.findings.iter().find(|finding| finding.id() == "route.management").expect("it is said");
    assert_eq!(management.severity, Severity::Critical);
    assert!(management.message.starts_with("1 of 71"), "{}", management.message);
}

#[test]
fn a_subnet_is_judged_by_size_delegation_form_and_what_is_assigned() {
    let subnet = |prefix: &str, delegation: &str| {
        let delegations = if delegation.is_empty() { json!([]) } else { json!([{"serviceName": delegation}]) };
        json!({"name": "ase", "id": "/x/subnets/ase", "addressPrefix": prefix, "delegations": delegations, "serviceEndpoints": [],
            "networkSecurityGroup": {"id": "/x/networkSecurityGroups/nsg-other"}, "location": "North Europe"})
    };
    let of =
        |profile: &str, value: Value| worries(&judged(&Question { subnet: Vec::new(), ..question(profile) }, &[value]));
    let hosting = "Microsoft.Web/hostingEnvironments";
    assert_eq!(of("ase-v3", subnet("10.20.1.0/24", hosting)), [""; 0]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/26", hosting)), ["subnet.size@"]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/28", hosting)), ["subnet.size@"]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/24", "")), ["subnet.delegation@"]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/24", "Microsoft.Web/serverFarms")), ["subnet.delegation@"]);
    assert_eq!(of("vnet-integration", subnet("10.20.1.0/27", "Microsoft.Web/serverFarms")), ["subnet.size@"]);
    let mut list = subnet("10.20.1.0/24", hosting);
    list["addressPrefix"] = Value::Null;
    list["addressPrefixes"] = json!(["10.20.1.0/24"]);
    assert_eq!(of("ase-v3", list), ["subnet.form@"]);
    let asked = Question { subnet: Vec::new(), ..question("ase-v3") };
    let both = judged(&asked, &[subnet("10.20.1.0/24", hosting), group(&[]), table(true, &[])]);
    assert_eq!(worries(&both), ["assignment@", "assignment@"], "another group, and a table of another region");
}
