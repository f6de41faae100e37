//! What Azure would refuse is named, and what it takes is not.

use serde_json::{Value, json};

use super::{
    Question,
    tests::{BASE, group, judged, question, worries},
    ways_tests::table,
};
use crate::lint::finding::Kind;

fn routes(lines: &[(&str, &str, &str)]) -> Vec<String> {
    let services = ["Microsoft.Sql", "Microsoft.Storage", "Microsoft.EventHub"].map(str::to_owned).to_vec();
    worries(&judged(&Question { service_endpoints: Some(services), ..question("ase-v2") }, &[table(false, lines)]))
}

fn away(address: Value) -> Vec<String> {
    let route = json!({"name": "away", "addressPrefix": "203.0.113.0/24", "nextHopType": "VirtualAppliance", "nextHopIpAddress": address});
    worries(&judged(&question("ase-v2"), &[json!({"name": "rt", "routes": [route]})]))
}

#[test]
fn one_name_twice_is_refused_whatever_its_case() {
    let twice = [BASE.as_slice(), &["130 In allow tcp *>* 443 Web", "140 In allow tcp *>* 80 web"]].concat();
    assert_eq!(worries(&judged(&question("ase-v2"), &[group(&twice)])), ["input@web"]);
}

#[test]
fn two_routes_for_one_prefix_are_refused_and_two_prefixes_are_not() {
    let straight = ("straight", "198.51.100.0/24", "Internet");
    assert_eq!(routes(&[straight, ("again", "198.51.100.0/24", "Internet")]), ["input@again"]);
    assert_eq!(routes(&[straight, ("half", "198.51.100.0/25", "Internet")]), [""; 0]);
    assert_eq!(routes(&[("a", "Sql", "Internet"), ("b", "sql", "Internet")]), ["input@b"]);
}

#[test]
fn an_appliance_has_an_address_or_an_expression_that_stands_for_one() {
    assert_eq!(away(json!("")), ["input@away"]);
    assert_eq!(away(Value::Null), ["input@away"]);
    assert_eq!(away(json!("firewall")), ["input@away"]);
    assert_eq!(away(json!("10.0.9.4")), [""; 0]);
    assert_eq!(away(json!("[parameters('firewall')]")), [""; 0]);
}

#[test]
fn a_subnet_lies_in_its_network() {
    let of = |subnet: &str, vnet: &[&str]| {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a prefix")).collect();
        let asked = Question { subnet: nets(&[subnet]), vnet: nets(vnet), ..question("custom") };
        worries(&judged(&asked, &[group(&[])]))
    };
    assert_eq!(of("10.9.1.0/24", &["10.20.0.0/16"]), ["input@"]);
    assert_eq!(of("10.20.1.0/24", &["10.9.0.0/16", "10.20.0.0/16"]), [""; 0]);
    assert_eq!(of("10.20.0.0/23", &["10.20.0.0/24", "10.20.1.0/24"]), [""; 0], "two prefixes that touch are one");
    assert_eq!(of("fd00:1::/64", &["10.20.0.0/16"]), [""; 0], "nobody said the network's own");
}

#[test]
fn a_tag_that_is_none_or_cannot_be_routed_is_named() {
    let slip = judged(&question("ase-v2"), &[table(false, &[("m", "AppServiceManagment", "Internet")])]);
    let open = slip.could_not_judge.iter().find(|open| open.rule.as_deref() == Some("m")).expect("it is named");
    assert!(open.why.contains("AppServiceManagement is meant?"), "{}", open.why);
    let file = |features: Value| {
        let entry = |name: &str, features: Value| json!({"name": name, "properties": {"addressPrefixes": ["20.9.0.0/24"], "networkFeatures": features}});
        json!({"changeNumber": 1, "cloud": "Public", "values": [entry("PowerBI", features), entry("PowerBI.eastus", Value::Null)]})
    };
    for (tag, features, expected) in [
        ("PowerBI", json!(["API", "NSG"]), vec!["input@x"]),
        ("PowerBI.eastus", json!(["API", "NSG"]), vec!["input@x"]),
        ("PowerBI", json!(["API", "NSG", "UDR"]), vec![]),
        ("PowerBI", Value::Null, vec![]),
    ] {
        let given = [table(false, &[("x", tag, "Internet")]), file(features.clone())];
        assert_eq!(worries(&judged(&question("ase-v3"), &given)), expected, "{tag} {features}");
    }
}

#[test]
fn destinations_without_any_effective_route_are_not_fine() {
    let one = |prefix: &str, hop: &str| json!({"name": null, "addressPrefix": [prefix], "nextHopType": hop, "nextHopIpAddress": [], "source": "Default", "state": "Active"});
    let cut = judged(&question("ase-v2"), &[json!({"value": [one("10.20.0.0/16", "VnetLocal")]})]);
    assert_eq!(cut.exit_code(), 3);
    let whole = json!({"value": [one("10.20.0.0/16", "VnetLocal"), one("0.0.0.0/0", "Internet")]});
    assert_eq!(judged(&question("ase-v2"), &[whole]).exit_code(), 0);
}

#[test]
fn a_subnet_whose_prefix_no_file_says_is_not_judged_by_its_size() {
    let asked = Question { subnet: Vec::new(), ..question("ase-v3") };
    let delegations = json!([{"name": "d", "serviceName": "Microsoft.Web/hostingEnvironments"}]);
    let subnet = json!({"name": "ase", "id": "/x/virtualNetworks/v/subnets/ase", "addressPrefix": null, "delegations": delegations});
    let report = judged(&asked, &[subnet]);
    assert!(report.could_not_judge.iter().any(|open| open.requirement.as_deref() == Some("size")));
}

#[test]
fn a_packet_and_its_command_are_real_ones() {
    let id = "/subscriptions/s/resourceGroups/rg-net/providers/Microsoft.Network/networkSecurityGroups/nsg-ase";
    let shown = |line: &str| {
        let mut group = group(&[BASE.as_slice(), &[line]].concat());
        group["id"] = json!(id);
        let report = judged(&question("ase-v2"), &[group]);
        let finding = report.findings.iter().find(|finding| finding.packet.is_some()).expect("a finding has a packet");
        (finding.packet.clone().expect("a packet"), finding.confirm.clone().expect("a command"))
    };
    for (line, protocol, port) in [
        ("200 Out deny * *>Sql * no-sql", "TCP", 1_433),
        ("200 Out deny * *>AzureActiveDirectory 443 no-identity", "TCP", 443),
        ("200 Out deny udp *>* 123 no-time", "UDP", 123),
        ("90 In deny * AppServiceManagement>* 454 no-management", "TCP", 454),
    ] {
        let (packet, confirm) = shown(line);
        for end in [&packet.source, &packet.destination] {
            assert!(end.parse::<std::net::IpAddr>().is_ok(), "{line}: {end}");
        }
        assert_eq!((packet.protocol.as_str(), packet.destination_port), (protocol, port), "{line}");
        let (from, to) = if packet.direction == "Inbound" {
            (format!("{}:{}", packet.destination, port), format!("{}:49152", packet.source))
        } else {
            (format!("{}:49152", packet.source), format!("{}:{}", packet.destination, port))
        };
        let expected = format!(
            "az network watcher test-ip-flow -g rg-net --vm PROBE_VM --direction {} --protocol {protocol} --local {from} --remote {to}",
            packet.direction
        );
        assert_eq!(confirm, expected, "{line}");
    }
    let (packet, confirm) = shown("90 In deny icmp *>* * no-ping");
    assert_eq!((packet.protocol.as_str(), packet.destination_port), ("ICMP", 0));
    assert_eq!(
        confirm, "az network nic list-effective-nsg -g rg-net -n PROBE_NIC",
        "the check of a flow knows no ICMP"
    );
    let (packet, confirm) = shown("200 Out deny * *>Storage.WestEurope * no-region");
    assert_eq!(packet.destination, "Storage.westeurope", "of a region no address is documented");
    assert!(confirm.contains("list-service-tags -l westeurope") && confirm.contains("properties.region=='westeurope'"));
}

#[test]
fn the_commands_about_routes_name_what_the_exports_know() {
    let mut given = table(false, &[("tunnel", "0.0.0.0/0", "VirtualAppliance")]);
    given["id"] = json!("/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/routeTables/rt");
    let report = judged(&Question { service_endpoints: Some(vec![]), ..question("ase-v2") }, &[given]);
    for finding in &report.findings {
        let confirm = finding.confirm.as_deref().expect("a command");
        assert!(
            confirm.starts_with(
                "az network watcher show-next-hop -g rg-hub --vm PROBE_VM --source-ip 10.20.1.4 --dest-ip "
            )
        );
    }
    assert!(
        report.findings.iter().any(|finding| {
            finding.fix.as_deref().is_some_and(|fix| fix.contains("-g rg-hub --route-table-name rt"))
        })
    );
}

#[test]
fn several_values_in_one_text_are_named_and_read_as_they_are_meant() {
    let of = |field: &str, text: &str| {
        let mut group = group(&BASE);
        let rule = &mut group["securityRules"][0];
        rule.as_object_mut().expect("an object").remove(&format!("{field}s"));
        rule[field] = json!(text);
        let report = judged(&question("ase-v2"), &[group]);
        let message =
            report.findings.iter().find(|finding| finding.kind == Kind::Input).map(|finding| finding.message.clone());
        (worries(&report), report.exit_code(), message.unwrap_or_default())
    };
    let name = BASE[0].split_whitespace().last().expect("a name");
    for (field, text) in [
        ("destinationPortRange", "454,455"),
        ("destinationPortRange", "454, 455"),
        ("destinationPortRange", "80,454-455"),
        ("sourceAddressPrefix", "AppServiceManagement,203.0.113.0/24"),
    ] {
        let (worries, code, message) = of(field, text);
        assert_eq!((worries, code), (vec![format!("input@{name}")], 2), "{text}");
        assert!(message.starts_with(&format!("{field} is {text:?}: Azure takes one")), "{message}");
    }
    assert_eq!(of("destinationPortRange", "454-455").1, 0);
    assert_eq!(of("destinationPortRange", "[join(parameters('ports'), ',')]").1, 3, "an expression is no list");
}
