//! What only a deployment knows is could_not_judge, and neither fine nor a finding.

use serde_json::{Value, json};

use super::judge;
use super::tests::{BASE, question, rule};
use crate::lint::{
    finding::{Kind, Report, Verdict},
    read::Export,
};

fn judged(profile: &str, value: &Value) -> Report {
    let mut export = Export::default();
    export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    let mut question = question(profile);
    question.service_endpoints =
        Some(vec!["Microsoft.Sql".into(), "Microsoft.Storage".into(), "Microsoft.EventHub".into()]);
    judge(&question, &export)
}

fn template(resources: Value) -> Value {
    let schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
    json!({"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources})
}

fn routes(routes: Value) -> Report {
    let properties = json!({"routes": routes, "disableBgpRoutePropagation": true});
    judged(
        "ase-v2",
        &template(json!([{"type": "Microsoft.Network/routeTables", "name": "ways", "properties": properties}])),
    )
}

#[test]
fn unknown_routes_leave_the_table_open() {
    let away = json!({"name": "all", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "VirtualAppliance",
        "nextHopIpAddress": "10.9.0.4"}});
    let some =
        json!({"name": "some", "properties": {"addressPrefix": "[parameters('to')]", "nextHopType": "Internet"}});
    for open in [json!("[parameters('ways')]"), json!([some]), json!([away, some])] {
        let report = routes(open);
        assert_eq!(report.verdict(), Verdict::CouldNotJudge, "{:?}", report.findings);
        assert!(report.could_not_judge.iter().any(|open| open.requirement.as_deref() == Some("management")));
    }
    assert_eq!(routes(json!([away])).exit_code(), 1, "what is known is judged");
    assert_eq!(routes(json!([])).verdict(), Verdict::Fine);
}

#[test]
fn unknown_subnets_stay_open() {
    let network = json!({"type": "Microsoft.Network/virtualNetworks", "name": "net", "properties": {
        "addressSpace": {"addressPrefixes": ["10.20.0.0/16"]}, "subnets": "[parameters('subnets')]"}});
    assert_eq!(judged("ase-v2", &template(json!([network]))).exit_code(), 3);
}

#[test]
fn whom_a_subnet_is_delegated_to_and_its_endpoints_may_be_an_expression() {
    let subnet = |properties: Value| {
        let mut whole = json!({"addressPrefix": "10.20.1.0/24"});
        whole.as_object_mut().expect("an object").extend(properties.as_object().expect("an object").clone());
        template(json!([{"type": "Microsoft.Network/virtualNetworks/subnets", "name": "net/ase", "properties": whole}]))
    };
    let service = |name: &str| json!([{"name": "d", "properties": {"serviceName": name}}]);
    for delegations in [json!("[parameters('delegations')]"), service("[parameters('service')]")] {
        let report = judged("ase-v3", &subnet(json!({"delegations": delegations})));
        let open: Vec<_> = report.could_not_judge.iter().filter_map(|open| open.requirement.as_deref()).collect();
        assert_eq!((report.exit_code(), open), (3, vec!["delegation"]), "{:?}", report.findings);
    }
    assert_eq!(
        judged("ase-v3", &subnet(json!({"delegations": service("Microsoft.Web/hostingEnvironments")}))).exit_code(),
        0
    );
    assert_eq!(judged("ase-v3", &subnet(json!({"delegations": []}))).exit_code(), 1);
    let routes = json!({"name": "ways", "routes": [
        {"name": "all", "addressPrefix": "0.0.0.0/0", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.9.0.4"},
        {"name": "m", "addressPrefix": "AppServiceManagement", "nextHopType": "Internet"},
        {"name": "n", "addressPrefix": "AzureMonitor", "nextHopType": "Internet"}]});
    for (endpoints, code) in
        [(json!("[variables('endpoints')]"), 3), (json!([{"service": "[parameters('one')]"}]), 3), (json!([]), 1)]
    {
        let mut export = Export::default();
        for file in [&routes, &subnet(json!({"serviceEndpoints": endpoints}))] {
            export.read("export.json", file.to_string().as_bytes()).expect("it is an export");
        }
        assert_eq!(judge(&question("ase-v2"), &export).exit_code(), code, "{endpoints}");
    }
}

#[test]
fn a_child_inside_its_parent_says_the_last_part_of_its_type_and_name() {
    let rule = |line: &str| {
        let mut properties = rule(line);
        let name = properties.as_object_mut().expect("an object").remove("name").expect("a name");
        json!({"type": "securityRules", "apiVersion": "2023-11-01", "name": name, "properties": properties})
    };
    let children: Vec<Value> =
        BASE.iter().chain(&["200 Out deny tcp *>Internet 443 no-web"]).map(|line| rule(line)).collect();
    let group = json!({"type": "Microsoft.Network/networkSecurityGroups", "name": "[parameters('edge')]", "properties": {}, "resources": children});
    let report = judged("ase-v2", &template(json!([group])));
    let found: Vec<String> =
        report.findings.iter().filter(|finding| finding.kind == Kind::Blocked).map(|finding| finding.id()).collect();
    assert_eq!(found, ["blocked.out-https"], "{:?}", report.could_not_judge);
    let route =
        json!({"type": "routes", "name": "drop", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "None"}});
    let table =
        json!({"type": "Microsoft.Network/routeTables", "name": "ways", "properties": {}, "resources": [route]});
    assert!(
        judged("ase-v2", &template(json!([table])))
            .findings
            .iter()
            .any(|finding| finding.rule.as_deref() == Some("drop"))
    );
}

#[test]
fn the_group_that_a_template_assigns_is_found_by_the_expression_of_its_name() {
    let group = |name: &str, lines: &[&str]| {
        json!({"type": "Microsoft.Network/networkSecurityGroups", "name": name,
        "properties": {"securityRules": lines.iter().map(|line| rule(line)).collect::<Vec<_>>()}})
    };
    let network = |id: &str| {
        json!({"type": "Microsoft.Network/virtualNetworks", "name": "net", "properties": {
        "addressSpace": {"addressPrefixes": ["10.20.0.0/16"]}, "subnets": [{"name": "ase", "properties": {
            "addressPrefix": "10.20.1.0/24", "networkSecurityGroup": {"id": id}}}]}})
    };
    let computed = "format('{0}-edge', parameters('site'))";
    let id = format!("[resourceId('Microsoft.Network/networkSecurityGroups', {computed})]");
    let closed = ["100 In deny * *>* * nothing"];
    let two = [group(&format!("[{computed}]"), &BASE), group("[parameters('other')]", &closed), network(&id)];
    let report = judged("ase-v2", &template(json!(two)));
    assert!(report.could_not_judge.is_empty(), "{:?}", report.could_not_judge);
    assert!(
        !report.findings.iter().any(|finding| finding.rule.as_deref() == Some("nothing")),
        "the other one is not judged"
    );
    for id in [id.as_str(), "[reference('inner').outputs.id.value]"] {
        let report = judged("ase-v2", &template(json!([group("[parameters('edge')]", &BASE), network(id)])));
        assert!(!report.findings.iter().any(|finding| finding.kind == Kind::Assignment), "{id}");
    }
}
