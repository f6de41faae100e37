//! What other readers of rules get wrong, each as a test of this one.

use serde_json::json;

use super::{
    Question,
    tests::{BASE, base_and, group, judged, of, question, rule, worries},
};
use crate::lint::{
    finding::Kind,
    requirements::{Peer, Requirement},
};

#[test]
fn a_rule_for_all_protocols_keeps_its_ports() {
    let lines = ["100 Out allow * *>* 443 web", "200 Out deny * *>* * rest"];
    assert!(base_and(&lines).contains(&"blocked.out-http@rest".to_owned()));
    assert!(!base_and(&lines).contains(&"blocked.out-https@rest".to_owned()));
}

#[test]
fn a_tag_is_not_empty() {
    assert_eq!(base_and(&["200 Out allow tcp *>Sql 1433 sql", "300 Out deny tcp *>Internet 1433 rest"]), [""; 0]);
    assert_eq!(base_and(&["200 Out deny tcp *>AzureCloud 1433 no-azure"]), ["blocked.out-sql@no-azure"]);
}

#[test]
fn the_network_is_what_it_is_and_not_what_private_addresses_are() {
    let asked = Question {
        subnet: vec!["172.20.1.0/24".parse().expect("a prefix")],
        vnet: vec!["172.20.0.0/16".parse().expect("a prefix")],
        ..question("ase-v2")
    };
    let lines = [
        BASE[0],
        BASE[1],
        "120 In allow * VirtualNetwork>VirtualNetwork * intra",
        "130 In allow * AzureLoadBalancer>* * lb",
        "4000 In deny * *>* * rest",
    ];
    assert_eq!(worries(&judged(&asked, &[group(&lines)])), [""; 0], "172.20.0.0/16 lies in 172.16.0.0/12");
}

#[test]
fn allow_in_small_letters_is_an_allow() {
    let lines: Vec<String> = BASE.iter().map(|line| line.to_lowercase()).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(of("ase-v2", &lines), [""; 0]);
}

#[test]
fn a_direction_in_small_letters_does_not_make_a_rule_vanish() {
    assert_eq!(base_and(&["200 out DENY TCP *>internet 443 no-web"]), ["blocked.out-https@no-web"]);
}

#[test]
fn a_tag_in_capitals_is_the_same_tag() {
    assert_eq!(base_and(&["200 Out deny tcp *>INTERNET 443 no-web"]), ["blocked.out-https@no-web"]);
}

#[test]
fn icmp_groups_of_interfaces_and_ipv6_are_known() {
    let mut interfaces = rule("200 Out deny tcp *>* 8443 to-interfaces");
    interfaces["destinationAddressPrefixes"] = json!([]);
    interfaces["destinationApplicationSecurityGroups"] = json!([{"id": "/x/applicationSecurityGroups/web"}]);
    let mut value = group(
        &[BASE.as_slice(), &["210 Out deny * *>::/0 * no-six", "220 Out deny icmp *>Internet * no-ping"]].concat(),
    );
    value["securityRules"].as_array_mut().expect("a list").push(interfaces);
    assert_eq!(worries(&judged(&question("ase-v2"), &[value])), [""; 0]);
}

#[test]
fn flattened_output_of_the_command_line_is_read_like_the_api() {
    let flat = rule("200 Out deny tcp *>* 443 no-web");
    let nested = json!({"name": "no-web", "properties": flat});
    for one in [flat, nested] {
        let report = judged(&question("custom"), &[json!({"name": "g", "securityRules": [one]})]);
        assert!(report.findings.iter().all(|finding| finding.kind != Kind::Input));
    }
}

#[test]
fn ports_are_numbers_and_not_parts_of_texts() {
    assert_eq!(base_and(&["200 Out deny tcp *>Internet 14430,4433 others"]), [""; 0]);
    assert_eq!(base_and(&["200 Out deny tcp *>Internet 400-500 range"]), ["blocked.out-https@range"]);
}

#[test]
fn not_every_address_that_begins_with_172_is_private() {
    let needs = vec![Requirement::of_endpoint(
        "app-x".to_owned(),
        false,
        443,
        Peer::Nets(vec!["172.64.0.1/32".parse().expect("a prefix")]),
    )];
    let asked = Question { needs, ..question("custom") };
    assert_eq!(
        worries(&judged(&asked, &[group(&["200 Out deny tcp *>Internet 443 no-web"])])),
        ["blocked.app-x@no-web"]
    );
}

#[test]
fn lists_of_prefixes_and_ports_count() {
    let lines = ["200 Out deny tcp *>198.18.0.0/15,Internet 80,443 list"];
    assert_eq!(base_and(&lines), ["blocked.out-http@list", "blocked.out-https@list"]);
}

#[test]
fn an_allow_that_overlaps_is_not_enough() {
    let lines = ["200 Out allow tcp *>8.8.8.0/24 443 narrow", "300 Out deny tcp *>Internet 443 rest"];
    assert_eq!(base_and(&lines), ["partly_blocked.out-https@rest"]);
}
