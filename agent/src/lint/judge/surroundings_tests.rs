//! What is said of a subnet beside its rules: who lives in it, what is assigned to it, what its endpoints take, where answers go.

use serde_json::{Value, json};

use super::{
    Deployment, Question, judge,
    tests::{BASE, group, question},
};
use crate::lint::{
    finding::{Finding, Report, Severity},
    read::Export,
    requirements::{Peer, Requirement},
};

const ID: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network";

fn judged(question: &Question, values: &[Value]) -> Report {
    let mut export = Export::default();
    for value in values {
        export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    }
    judge(question, &export)
}

fn find<'a>(report: &'a Report, id: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|finding| finding.id() == id)
}

/// The severity of a finding, if there is one.
fn severity(report: &Report, id: &str) -> Option<Severity> {
    find(report, id).map(|finding| finding.severity)
}

fn subnet(more: &Value) -> Value {
    let mut subnet = json!({
        "name": "ase", "id": format!("{ID}/virtualNetworks/v/subnets/ase"), "addressPrefix": "10.20.1.0/24",
        "delegations": [{"name": "d", "serviceName": "Microsoft.Web/hostingEnvironments"}], "serviceEndpoints": [],
    });
    for (key, value) in more.as_object().expect("keys") {
        subnet[key] = value.clone();
    }
    subnet
}

fn interface(name: &str) -> Value {
    json!({"id": format!("{ID}/networkInterfaces/{name}/ipConfigurations/one")})
}

fn table(routes: &[(&str, &str, &str)]) -> Value {
    let route = |(name, prefix, hop): &(&str, &str, &str)| {
        let appliance = (*hop == "VirtualAppliance").then_some("10.20.9.4");
        json!({"name": name, "addressPrefix": prefix, "nextHopType": hop, "nextHopIpAddress": appliance})
    };
    json!({
        "name": "rt", "id": format!("{ID}/routeTables/rt"), "disableBgpRoutePropagation": true,
        "routes": routes.iter().map(route).collect::<Vec<_>>(),
    })
}

const TUNNEL: (&str, &str, &str) = ("default", "0.0.0.0/0", "VirtualAppliance");
const MANAGED: (&str, &str, &str) = ("management", "AppServiceManagement", "Internet");

#[test]
fn an_environment_of_version_3_is_created_in_an_empty_subnet_only() {
    let one = json!({"ipConfigurations": [interface("vm-nic")]});
    let report = judged(&question("ase-v3"), &[subnet(&one)]);
    let found = find(&report, "subnet.empty").expect("somebody lives there");
    assert_eq!(found.severity, Severity::Critical);
    assert!(found.message.starts_with("1 network interface in it"), "{}", found.message);
    for empty in [json!({"ipConfigurations": null}), json!({"ipConfigurations": []}), json!({})] {
        assert_eq!(severity(&judged(&question("ase-v3"), &[subnet(&empty)]), "subnet.empty"), None, "{empty}");
    }
    let lives = json!({
        "ipConfigurations": [interface("a"), interface("b")],
        "serviceAssociationLinks": [{"properties": {"linkedResourceType": "Microsoft.Web/hostingEnvironments"}}],
    });
    assert_eq!(severity(&judged(&question("ase-v3"), &[subnet(&lives)]), "subnet.empty"), None, "they are its own");
    assert_eq!(severity(&judged(&question("ase-v2"), &[subnet(&one)]), "subnet.empty"), Some(Severity::Info));
    assert_eq!(severity(&judged(&question("vnet-integration"), &[subnet(&one)]), "subnet.empty"), None);
}

#[test]
fn a_table_that_is_assigned_elsewhere_is_not_in_force_here() {
    let of = |subnets: &[&str]| {
        let mut table = table(&[("default", "0.0.0.0/0", "Internet")]);
        table["subnets"] =
            subnets.iter().map(|name| json!({"id": format!("{ID}/virtualNetworks/v/subnets/{name}")})).collect();
        table
    };
    let said = |table: Value, subnet: &Value| {
        let report = judged(&question("ase-v2"), &[table, subnet.clone()]);
        find(&report, "assignment").map(|finding| finding.message.clone())
    };
    let bare = subnet(&json!({"routeTable": null}));
    let elsewhere = said(of(&["other"]), &bare).expect("it is another subnet's");
    assert!(elsewhere.contains("is assigned to other and not to ase"), "{elsewhere}");
    assert_eq!(said(of(&["ASE"]), &bare), None, "names do not differ by their case");
    assert_eq!(said(of(&[]), &bare), None, "it is assigned to nobody yet");
    let with = |id: String| subnet(&json!({"routeTable": {"id": id}}));
    let other = with(format!("{}/routeTables/rt", ID.replace("/rg/", "/rg-hub/")));
    assert!(said(of(&["ase"]), &other).is_some_and(|said| said.contains("/rg/") && said.contains("/rg-hub/")));
    assert_eq!(said(of(&["ase"]), &with(format!("{ID}/routeTables/rt"))), None);
}

#[test]
fn what_endpoints_take_goes_past_the_tunnel_and_storage_closes_one_account_only() {
    let with = |services: &[&str]| Question {
        service_endpoints: Some(services.iter().map(|one| (*one).to_owned()).collect()),
        ..question("ase-v2")
    };
    let all = with(&["Microsoft.Sql", "Microsoft.Storage", "Microsoft.EventHub"]);
    let tunnelled = judged(&all, &[table(&[TUNNEL, MANAGED])]);
    let said = &find(&tunnelled, "conditional.endpoints-beside-tunnel").expect("they are there").message;
    assert!(said.contains("past default: the appliance 10.20.9.4 sees none of it"), "{said}");
    assert!(said.contains("closes an account only that names this subnet"), "{said}");
    let straight = judged(&all, &[table(&[("default", "0.0.0.0/0", "Internet")])]);
    assert_eq!(severity(&straight, "conditional.endpoints-beside-tunnel"), None, "there is no tunnel");
    let sql = judged(&with(&["Microsoft.Sql"]), &[table(&[TUNNEL, MANAGED])]);
    assert!(!find(&sql, "conditional.endpoints-beside-tunnel").expect("one").message.contains("Storage"));
}

#[test]
fn the_endpoint_for_sql_counts_for_the_databases_of_the_apps_too() {
    let need = |host: &str, port| Requirement::of_endpoint(format!("app-{host}:{port}"), false, port, Peer::Somewhere);
    let asked = |services: &[&str], needs: Vec<Requirement>| {
        let service_endpoints = Some(services.iter().map(|one| (*one).to_owned()).collect());
        let report = judged(&Question { needs, service_endpoints, ..question("ase-v2") }, &[group(&BASE)]);
        find(&report, "conditional.sql-endpoint-all").map(|finding| finding.message.clone())
    };
    let shop = || vec![need("shop.database.windows.net", 1433), need("mail.mysql.database.azure.com", 3306)];
    let said = asked(&["Microsoft.Sql"], shop()).expect("both hang on it");
    assert!(said.contains("shop.database.windows.net:1433 and 1 more too") && said.contains("40914"), "{said}");
    assert_eq!(asked(&["Microsoft.Storage"], shop()), None);
    let others = vec![need("api.example", 443), need("shop.privatelink.database.windows.net", 1433)];
    assert_eq!(asked(&["Microsoft.Sql"], others), None, "no public database among them");
}

#[test]
fn answers_to_callers_from_the_internet_must_not_leave_through_an_appliance() {
    let open = "130 In allow tcp Internet>* 80,443 web";
    let few = "130 In allow tcp 203.0.113.0/24>* 443 web";
    let closed = "4000 In deny * Internet>* * no-internet";
    let external = Question { deployment: Some(Deployment::External), ..question("ase-v2") };
    let said = |question: &Question, rules: &[&str], routes: &[(&str, &str, &str)]| {
        let group = group(&[BASE.as_slice(), rules].concat());
        severity(&judged(question, &[group, table(routes)]), "route.callers")
    };
    assert_eq!(said(&external, &[open], &[TUNNEL, MANAGED]), Some(Severity::Warning));
    assert_eq!(
        said(&external, &[few, closed], &[TUNNEL, MANAGED]),
        Some(Severity::Warning),
        "some callers are callers"
    );
    let back = ("callers", "203.0.113.0/24", "Internet");
    assert_eq!(said(&external, &[few, closed], &[TUNNEL, MANAGED, back]), None, "there is a way back");
    assert_eq!(said(&external, &[closed], &[TUNNEL, MANAGED]), None, "nobody may call");
    assert_eq!(said(&external, &[open], &[("default", "0.0.0.0/0", "Internet")]), None);
    assert_eq!(said(&question("ase-v2"), &[open], &[TUNNEL, MANAGED]), None, "an internal one has no such callers");
}

#[test]
fn a_route_to_the_internet_may_be_beaten_by_what_a_gateway_announces() {
    let mut table = table(&[("default", "0.0.0.0/0", "Internet")]);
    let said =
        |table: &Value| severity(&judged(&question("ase-v2"), std::slice::from_ref(table)), "conditional.management");
    assert_eq!(said(&table), None, "nothing is taken from gateways");
    table["disableBgpRoutePropagation"] = json!(false);
    assert_eq!(said(&table), Some(Severity::Info));
}

#[test]
fn a_finding_of_an_integration_says_its_class_of_traffic() {
    let report = judged(&question("vnet-integration"), &[group(&["200 Out deny tcp *>Storage 443 no-storage"])]);
    let of_share = find(&report, "conditional.out-content-share-443").expect("it is denied");
    assert!(of_share.message.contains("class of traffic: contentShareTraffic"), "{}", of_share.message);
    let v2 = judged(&question("ase-v2"), &[group(&["200 Out deny tcp *>Internet 443 no-web"])]);
    assert!(v2.findings.iter().all(|finding| !finding.message.contains("class of traffic")));
}
