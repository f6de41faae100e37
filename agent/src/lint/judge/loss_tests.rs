//! What is lost of a requirement is judged by the words of the rules: a tag file changes no verdict.

use serde_json::{Value, json};

use super::{
    Question,
    tests::{BASE, base_and, group, judged, question, rule, worries},
};
use crate::lint::{
    finding::{Report, Severity},
    requirements::{Peer, Requirement},
};

/// A tag file in which each of these tags has addresses, regional ones within the whole and all of them within Azure.
pub(super) fn tags() -> Value {
    let tag = |name: &str, prefixes: &[&str]| {
        let region = name.split_once('.').map_or("", |(_, region)| region);
        json!({"name": name, "id": name, "properties": {"region": region, "addressPrefixes": prefixes}})
    };
    json!({"changeNumber": 5, "cloud": "Public", "values": [
        tag("AzureCloud", &["13.64.0.0/11", "20.0.0.0/8", "40.64.0.0/10"]),
        tag("AzureCloud.westeurope", &["13.69.0.0/17", "20.50.0.0/16"]),
        tag("AzureActiveDirectory", &["20.190.128.0/18"]),
        tag("Storage", &["20.38.0.0/15", "20.50.8.0/24"]),
        tag("Storage.westeurope", &["20.50.8.0/24"]),
        tag("Sql", &["13.69.104.0/26", "20.40.8.0/24"]),
        tag("Sql.westeurope", &["13.69.104.0/26"]),
        tag("PowerBI", &["20.36.0.0/20"]),
        tag("AzureMonitor", &["40.77.24.0/24", "13.90.249.0/24", "104.45.230.0/24", "13.82.184.0/24"]),
    ]})
}

fn v2(lines: &[&str], location: Option<&str>, files: &[Value]) -> Report {
    let mut group = group(&[BASE.as_slice(), lines].concat());
    if let Some(location) = location {
        group["location"] = json!(location);
    }
    judged(&question("ase-v2"), &[&[group], files].concat())
}

pub(super) fn open(report: &Report) -> Vec<String> {
    let mut open: Vec<String> = report.could_not_judge.iter().filter_map(|open| open.requirement.clone()).collect();
    open.sort();
    open
}

/// What is said of a group in a region, which has to be the same with a tag file and without.
fn said(lines: &[&str], location: Option<&str>) -> (Vec<String>, Vec<String>) {
    let (with, without) = (v2(lines, location, &[tags()]), v2(lines, location, &[]));
    let both = [&with, &without].map(|report| (worries(report), open(report)));
    let [with, without] = both;
    assert_eq!(with, without, "{lines:?} with a tag file and without");
    without
}

#[test]
fn a_denied_service_is_a_hole_where_it_is_needed_and_nothing_elsewhere() {
    for service in ["AzureActiveDirectory", "Storage", "Storage.WestEurope", "AzureCloud.westeurope"] {
        let line = format!("200 Out deny tcp *>{service} 443 no-service");
        let (worries, open) = said(&[&line], Some("westeurope"));
        assert_eq!((worries, open), (vec!["partly_blocked.out-https@no-service".to_owned()], vec![]), "{service}");
        let hole = v2(&[&line], None, &[tags()]);
        assert_eq!(hole.worst(), Some(Severity::Critical), "{service}");
    }
    let nothing = (Vec::<String>::new(), Vec::<String>::new());
    assert_eq!(said(&["200 Out deny * *>PowerBI * no-reports"], None), nothing);
    assert_eq!(said(&["200 Out deny * *>Storage.eastus * elsewhere"], Some("West Europe")), nothing);
    assert_eq!(said(&["200 Out deny udp *>Storage * no-datagrams"], None), nothing, "names are not asked of storage");
    assert_eq!(said(&["200 Out deny tcp *>PowerBI,192.0.2.0/24 443 unwanted"], None), nothing);
}

#[test]
fn all_of_azure_is_more_than_a_service() {
    let (worries, open) = said(&["200 Out deny * *>AzureCloud * no-azure"], None);
    assert_eq!(worries, ["blocked.out-sql@no-azure", "partly_blocked.out-https@no-azure"]);
    assert_eq!(open, ["out-dns", "out-http", "out-monitoring", "out-ntp"], "who answers there no document says");
}

#[test]
fn all_of_azure_in_one_region_is_judged_alike_with_a_tag_file_and_without() {
    let denied = ["200 Out deny * *>AzureCloud.westeurope * no-region"];
    let of_sql = |lines: &[&str], location| {
        let (worries, open) = said(lines, location);
        assert!(!open.contains(&"out-sql".to_owned()), "{location:?}: {open:?}");
        worries.into_iter().find(|one| one.contains("out-sql"))
    };
    let lost = Some("partly_blocked.out-sql@no-region".to_owned());
    assert_eq!(of_sql(&denied, Some("westeurope")), lost);
    assert_eq!(of_sql(&denied, None), lost);
    assert_eq!(of_sql(&denied, Some("North Europe")), None, "the database is in the own region");
    let only = ["200 Out allow tcp *>AzureCloud.westeurope 1433 near", "4000 Out deny tcp *>Internet 1433 rest"];
    assert_eq!(of_sql(&only, Some("westeurope")), None);
    assert_eq!(of_sql(&only, Some("North Europe")), Some("partly_blocked.out-sql@rest".to_owned()));
}

#[test]
fn a_region_is_the_own_one_however_its_tag_is_spelled() {
    let lines = ["200 Out allow tcp *>Sql.norwaye 1433 near", "4000 Out deny tcp *>Internet 1433 rest"];
    assert_eq!(v2(&lines, Some("Norway East"), &[]).worst(), Some(Severity::Info));
    assert_eq!(v2(&lines, Some("Norway West"), &[]).worst(), Some(Severity::Critical));
}

#[test]
fn ports_that_no_client_takes_are_missed_by_nobody() {
    let from = |ports: &str, line: &str| {
        let mut one = rule(line);
        one["sourcePortRange"] = json!(ports);
        let mut group =
            group(&[BASE[1], BASE[2], "130 In allow tcp *>* 80,443 web", "4000 In deny tcp *>* 454-455 rest"]);
        group["securityRules"].as_array_mut().expect("a list").push(one);
        worries(&judged(&question("ase-v2"), &[group]))
    };
    let management = "100 In allow tcp AppServiceManagement>* 454-455 management";
    let of_management = |worries: Vec<String>| worries.into_iter().find(|one| one.contains("in-management"));
    assert_eq!(of_management(from("1024-65535", management)), None);
    assert_eq!(of_management(from("49152-65535", management)), Some("partly_blocked.in-management@rest".to_owned()));
    assert_eq!(of_management(from("454-455", management)), Some("partly_blocked.in-management@rest".to_owned()));
}

#[test]
fn addresses_beside_a_service_are_judged_as_addresses() {
    let (worries, _) = said(&["200 Out deny tcp *>PowerBI,64.0.0.0/3 443 wide"], None);
    assert_eq!(worries, ["partly_blocked.out-https@wide"]);
}

#[test]
fn the_half_of_the_subnet_that_is_cut_off_is_as_bad_as_all_of_it() {
    let lines = ["200 Out allow tcp 10.20.1.0/25>Sql 1433 half", "4000 Out deny tcp *>Internet 1433 rest"];
    assert_eq!(said(&lines, None).0, ["partly_blocked.out-sql@rest"]);
    for files in [vec![], vec![tags()]] {
        assert_eq!(v2(&lines, None, &files).worst(), Some(Severity::Critical));
    }
}

#[test]
fn the_own_region_of_a_service_is_enough_and_another_one_is_not() {
    let lines = ["200 Out allow tcp *>Sql.WestEurope 1433 near", "4000 Out deny tcp *>Internet 1433 rest"];
    let worst = |location| {
        let (with, without) = (v2(&lines, location, &[tags()]), v2(&lines, location, &[]));
        assert_eq!(with.worst(), without.worst(), "{location:?}");
        with.worst()
    };
    assert_eq!(worst(Some("westeurope")), Some(Severity::Info));
    assert_eq!(worst(Some("North Europe")), Some(Severity::Critical));
    assert_eq!(worst(None), Some(Severity::Warning), "no file says the region");
}

#[test]
fn a_list_of_public_addresses_for_a_service_blocks_a_part() {
    let lines = ["200 Out allow tcp *>13.69.104.4,20.40.8.9 1433 list", "4000 Out deny tcp *>Internet 1433 rest"];
    assert_eq!(said(&lines, None).0, ["partly_blocked.out-sql@rest"]);
    let other = ["200 Out allow tcp *>10.20.9.9 1433 own-database", "4000 Out deny tcp *>Internet 1433 rest"];
    assert_eq!(said(&other, None).0, ["blocked.out-sql@rest"]);
}

#[test]
fn a_list_of_prefixes_that_leaves_out_nothing_public_is_everything() {
    let lines = [
        "200 Out allow tcp *>0.0.0.0/1,128.0.0.0/1 80,443,1433,12000 all",
        "210 Out allow * *>VirtualNetwork * inside",
        "220 Out allow udp *>Internet 123,53 datagrams",
        "4000 Out deny * *>* * rest",
    ];
    assert_eq!(said(&lines, None), (vec![], vec![]));
}

#[test]
fn a_name_of_the_configuration_is_not_in_the_own_subnet() {
    let needs = vec![Requirement::of_endpoint("app-mysql".to_owned(), false, 3_306, Peer::Somewhere)];
    let asked = Question { needs, ..question("ase-v2") };
    let intra = "140 Out allow * 10.20.1.0/24>10.20.1.0/24 * intra-out";
    let all = [BASE.as_slice(), &[intra, "4000 Out deny tcp *>* 3306 rest"]].concat();
    assert_eq!(worries(&judged(&asked, &[group(&all)])), ["blocked.app-mysql@rest"]);
    let public = [BASE.as_slice(), &["4000 Out deny tcp *>Internet 3306 rest"]].concat();
    let report = judged(&asked, &[group(&public)]);
    assert_eq!((report.exit_code(), open(&report)), (3, vec!["app-mysql".to_owned()]), "it may be in the network");
}

#[test]
fn what_becomes_of_icmp_by_a_rule_for_ports_is_no_warning() {
    let base = ["100 In allow tcp AppServiceManagement>* 454-455 m", "110 In allow * AzureLoadBalancer>* * lb"];
    let with = |intra: &str| {
        let lines = [base.as_slice(), &[intra, "125 In allow tcp *>* 80,443 w", "4000 In deny * *>* * all"]].concat();
        worries(&judged(&question("ase-v2"), &[group(&lines)]))
    };
    assert_eq!(with("120 In allow * 10.20.1.0/24>* 1-65535 intra"), [""; 0]);
    assert_eq!(with("120 In allow * 10.20.1.0/24>* 0-65535 intra"), [""; 0]);
    assert_eq!(with("120 In allow * 10.20.1.0/24>* 1024-65535 intra"), ["partly_blocked.in-intra-subnet@all"]);
    assert_eq!(base_and(&[]), [""; 0]);
}
