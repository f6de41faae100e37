//! What only a deployment knows is could_not_judge, and neither fine nor a finding.

use serde_json::{Value, json};

use super::{
    Question, judge,
    loss_tests::{open, tags},
    tests::{BASE, group, judged, question, rule, worries},
    ways_tests::table,
};
use crate::lint::{
    finding::{Kind, Report, Verdict},
    read::Export,
    requirements::{Peer, Requirement},
};

fn of_profile(profile: &str, value: &Value) -> Report {
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
    of_profile(
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
    assert_eq!(of_profile("ase-v2", &template(json!([network]))).exit_code(), 3);
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
        let report = of_profile("ase-v3", &subnet(json!({"delegations": delegations})));
        let open: Vec<_> = report.could_not_judge.iter().filter_map(|open| open.requirement.as_deref()).collect();
        assert_eq!((report.exit_code(), open), (3, vec!["delegation"]), "{:?}", report.findings);
    }
    assert_eq!(
        of_profile("ase-v3", &subnet(json!({"delegations": service("Microsoft.Web/hostingEnvironments")}))).exit_code(),
        0
    );
    assert_eq!(of_profile("ase-v3", &subnet(json!({"delegations": []}))).exit_code(), 1);
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
    let report = of_profile("ase-v2", &template(json!([group])));
    let found: Vec<String> =
        report.findings.iter().filter(|finding| finding.kind == Kind::Blocked).map(|finding| finding.id()).collect();
    assert_eq!(found, ["blocked.out-https"], "{:?}", report.could_not_judge);
    let route =
        json!({"type": "routes", "name": "drop", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "None"}});
    let table =
        json!({"type": "Microsoft.Network/routeTables", "name": "ways", "properties": {}, "resources": [route]});
    assert!(
        of_profile("ase-v2", &template(json!([table])))
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
    let report = of_profile("ase-v2", &template(json!(two)));
    assert!(report.could_not_judge.is_empty(), "{:?}", report.could_not_judge);
    assert!(
        !report.findings.iter().any(|finding| finding.rule.as_deref() == Some("nothing")),
        "the other one is not judged"
    );
    for id in [id.as_str(), "[reference('inner').outputs.id.value]"] {
        let report = of_profile("ase-v2", &template(json!([group("[parameters('edge')]", &BASE), network(id)])));
        assert!(!report.findings.iter().any(|finding| finding.kind == Kind::Assignment), "{id}");
    }
}

#[test]
fn what_a_file_does_not_hold_stays_open_and_is_never_fine() {
    let mut open = group(&BASE);
    let mut unknown = rule("101 Out deny * *>* * maybe");
    unknown["destinationAddressPrefixes"] = json!(["[parameters('blocked')]"]);
    open["securityRules"].as_array_mut().expect("a list").push(unknown);
    let report = judged(&question("ase-v2"), &[open]);
    assert_eq!((report.verdict(), report.exit_code()), (Verdict::CouldNotJudge, 3));
    assert!(
        report
            .could_not_judge
            .iter()
            .any(|open| open.rule.as_deref() == Some("maybe") && open.why.contains("[parameters('blocked')]"))
    );
    let typo = judged(
        &question("ase-v2"),
        &[group(&[BASE.as_slice(), &["200 Out allow tcp *>AzureKeyVolt 443 typo"]].concat())],
    );
    assert_eq!(typo.exit_code(), 3);
    let several = judged(&question("ase-v2"), &[json!([group(&BASE), {"name": "other", "securityRules": []}])]);
    assert_eq!(several.exit_code(), 3, "one of two groups is not guessed");
    let named = Question { group: Some("NSG-ASE".to_owned()), ..question("ase-v2") };
    assert_eq!(judged(&named, &[json!([group(&BASE), {"name": "other", "securityRules": []}])]).exit_code(), 0);
}

#[test]
fn without_a_tag_file_an_address_may_be_of_a_tag_and_with_one_it_is_known() {
    let needs = vec![Requirement::of_endpoint(
        "app-db".to_owned(),
        false,
        3_306,
        Peer::Nets(vec!["52.1.2.3/32".parse().expect("a prefix")]),
    )];
    let asked = Question { needs, ..question("custom") };
    let lines = ["200 Out deny tcp *>AzureCloud 3306 no-azure"];
    assert_eq!(judged(&asked, &[group(&lines)]).exit_code(), 3);
    let file = |prefix: &str| {
        json!({"changeNumber": 77, "cloud": "Public", "values": [
        {"name": "AzureCloud", "properties": {"addressPrefixes": [prefix, "2603::/16"], "region": ""}}]})
    };
    let hit = judged(&asked, &[group(&lines), file("52.1.0.0/16")]);
    assert_eq!(worries(&hit), ["blocked.app-db@no-azure"]);
    assert!(hit.notes.iter().any(|note| note.contains("change 77")), "the edition is said");
    assert_eq!(judged(&asked, &[group(&lines), file("53.0.0.0/16")]).exit_code(), 0);
}

#[test]
fn a_tag_with_a_slip_is_neither_empty_nor_everything() {
    let web = "130 In allow tcp *>* 80,443 web";
    let (no_more_in, lb) = ("4000 In deny * *>* * no-more", "110 In allow * AzureLoadBalancer>* * lb");
    let management = "100 In allow tcp AppServiceManagment>* 454-455 management";
    let cases: [(&[&str], &[&str], &[&str]); 8] = [
        (&[management, BASE[1], BASE[2]], &[], &["in-management"]),
        (
            &[
                "101 In deny tcp AppServiceManagement>* 455 away",
                "102 In allow tcp AppServiceManagment>* 454-455 slip",
                BASE[1],
                BASE[2],
            ],
            &["partly_blocked.in-management@away"],
            &[],
        ),
        (
            &[BASE[0], "110 In allow * AzureLoadBalancr>* * lb", BASE[2], web, no_more_in],
            &[],
            &["in-lb-16001", "in-lb-454-455"],
        ),
        (&[BASE[0], lb, "120 In allow * VirtualNetwrk>* * intra", web, no_more_in], &[], &["in-intra-subnet"]),
        (
            &[&BASE[..], &["200 Out allow tcp *>SQLS 1433 sql", "300 Out deny tcp *>Internet 1433 rest"]].concat(),
            &[],
            &["out-sql"],
        ),
        (
            &[&BASE[..], &["200 Out allow tcp *>AzureKeyVolt 443 keys", "300 Out deny tcp *>Internet 443 rest"]]
                .concat(),
            &["partly_blocked.out-https@rest"],
            &[],
        ),
        (
            &[&BASE[..], &["200 Out allow tcp *>Intrenet 443 all", "300 Out deny tcp *>Internet 443 rest"]].concat(),
            &[],
            &["out-https"],
        ),
        (&[&BASE[..], &["200 Out allow tcp *>Storge 443 some"]].concat(), &[], &[]),
    ];
    for (lines, expected, stay_open) in cases {
        for files in [vec![], vec![tags()]] {
            let report = judged(&question("ase-v2"), &[&[group(lines)], files.as_slice()].concat());
            assert_eq!((worries(&report), open(&report)), (words(expected), words(stay_open)), "{lines:?}");
            assert_eq!(report.exit_code(), if expected.is_empty() { 3 } else { 1 }, "{lines:?}");
        }
    }
    let said = judged(&question("ase-v2"), &[group(&[management, BASE[1], BASE[2]])]);
    assert!(said.could_not_judge.iter().all(|open| open.why.contains("(AppServiceManagement is meant?)")));
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_route_that_nothing_resolves_takes_nothing_for_certain() {
    let services = Some(["Sql", "Storage", "EventHub"].map(|one| format!("Microsoft.{one}")).to_vec());
    let asked = Question { service_endpoints: services, ..question("ase-v2") };
    let tunnel = ("tunnel", "0.0.0.0/0", "VirtualAppliance");
    let monitor = ("monitor", "AzureMonitor", "Internet");
    let of = |routes: &[(&str, &str, &str)]| judged(&asked, &[table(false, routes)]);
    let slip = of(&[tunnel, monitor, ("management", "AppServiceManagment", "Internet")]);
    assert_eq!((worries(&slip), slip.exit_code()), (vec![], 3));
    let lost = of(&[tunnel, monitor, ("management", "AppServiceManagment", "VirtualAppliance")]);
    assert_eq!(worries(&lost), ["route.management@tunnel"], "whatever the tag is");
    let out = ("out", "0.0.0.0/0", "Internet");
    for open in [("x", "[parameters('x')]", "VirtualAppliance"), ("x", "Storge", "None")] {
        let report = of(&[out, open]);
        assert_eq!((worries(&report), report.exit_code()), (vec![], 3), "{open:?}");
    }
    let region = of(&[tunnel, monitor, ("management", "AppServiceManagement.westeurop", "Internet")]);
    assert_eq!((worries(&region), open(&region)), (vec![], words(&["management"])), "it is no part of AzureMonitor");
    let own = of(&[out, ("own", "10.20.1.0/24", "VirtualAppliance"), ("x", "[parameters('x')]", "VnetLocal")]);
    assert_eq!((worries(&own), own.exit_code()), (vec![], 3));
}

#[test]
fn a_tag_with_a_slip_in_its_region_is_a_part_of_its_service_that_nobody_knows() {
    let located = |lines: &[&str]| {
        let mut whole = group(&[BASE.as_slice(), lines].concat());
        whole["location"] = json!("westeurope");
        judged(&question("ase-v2"), &[whole])
    };
    let cases: [(&[&str], &[&str], &[&str]); 7] = [
        (
            &["200 Out allow tcp *>AzureCloud.westeurop 443 slip", "300 Out deny tcp *>Internet 443 rest"],
            &["partly_blocked.out-https@rest"],
            &[],
        ),
        (&["200 Out allow tcp *>Sql.westeurop 1433 sql", "300 Out deny tcp *>Internet 1433 rest"], &[], &["out-sql"]),
        (&["200 Out deny tcp *>Sql.WestEuorpe 1433 slip"], &[], &["out-sql"]),
        (&["200 Out deny tcp *>Storage.WestEuorpe 443 slip"], &[], &["out-https"]),
        (&["200 Out deny tcp *>Storage.WestEuorpe * slip"], &[], &["out-https"]),
        (&["200 Out allow tcp *>Storage.westeurop 443 slip"], &[], &[]),
        (
            &["200 Out allow tcp *>Storage.westeurop 1433 slip", "300 Out deny tcp *>Internet 1433 rest"],
            &["blocked.out-sql@rest"],
            &[],
        ),
    ];
    for (lines, expected, stay_open) in cases {
        let report = located(lines);
        assert_eq!((worries(&report), open(&report)), (words(expected), words(stay_open)), "{lines:?}");
        let why: Vec<&str> = report.could_not_judge.iter().map(|open| open.why.as_str()).collect();
        let says = |why: &&str| why.contains(".westeurope is meant?)") && why.contains("Azure refuses");
        assert!(why.iter().any(says), "{lines:?}: {why:?}");
    }
    let nowhere = judged(
        &question("ase-v2"),
        &[group(&[&BASE[..], &["200 Out deny tcp *>Storage.westeurop 443 slip"]].concat())],
    );
    assert_eq!((worries(&nowhere), open(&nowhere)), (vec![], words(&["out-https"])), "no file says the region");
    let fine = located(&["200 Out allow tcp *>Sql.westeurope 1433 sql", "300 Out deny tcp *>Internet 1433 rest"]);
    assert_eq!(fine.exit_code(), 0);
}

#[test]
fn a_region_that_the_files_name_is_known() {
    let lines = ["200 Out allow tcp *>Sql.atlantiscentral 1433 sql", "300 Out deny tcp *>Internet 1433 rest"];
    let of = |location: &str, more: &[Value]| {
        let mut whole = group(&[BASE.as_slice(), &lines].concat());
        whole["location"] = json!(location);
        judged(&question("ase-v2"), &[&[whole], more].concat()).exit_code()
    };
    assert_eq!((of("westeurope", &[]), of("atlantiscentral", &[])), (3, 0));
    let file = json!({"changeNumber": 1, "cloud": "Public", "values": [
        {"name": "AzureCloud.atlantiscentral", "properties": {"addressPrefixes": ["20.9.0.0/16"]}}]});
    assert_eq!(of("westeurope", &[file]), 1, "another region than the subnet's");
}
