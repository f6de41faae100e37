//! What a what-if foretells is what stands after the deployment, and what it does not show stays open.

use serde_json::{Value, json};

use super::{
    Question,
    loss_tests::open,
    tests::{BASE, judged, question, rule, worries},
};
use crate::lint::{finding::Report, read::Export};

const GROUP: &str = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/networkSecurityGroups/edge";
const TABLE: &str = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/routeTables/ways";

fn properties(line: &str) -> (String, Value) {
    let mut properties = rule(line);
    let name = properties.as_object_mut().expect("an object").remove("name").expect("a name");
    (name.as_str().expect("a text").to_owned(), properties)
}

fn group(lines: &[&str]) -> Value {
    let rules: Vec<Value> = lines
        .iter()
        .map(|line| {
            let (name, properties) = properties(line);
            json!({"name": name, "properties": properties})
        })
        .collect();
    json!({"apiVersion": "2023-11-01", "id": GROUP, "name": "edge", "type": "Microsoft.Network/networkSecurityGroups",
        "properties": {"securityRules": rules}})
}

fn change(kind: &str, id: &str, before: Value, after: Value) -> Value {
    json!({"changeType": kind, "resourceId": id, "before": before, "after": after, "delta": null, "unsupportedReason": null})
}

/// The change of one rule by its line.
fn of_rule(kind: &str, line: &str) -> Value {
    let (name, properties) = properties(line);
    let state = json!({"apiVersion": "2023-11-01", "name": name, "properties": properties});
    let (before, after) = if kind == "Delete" { (state, Value::Null) } else { (Value::Null, state) };
    change(kind, &format!("{}/securityRules/{name}", GROUP.to_lowercase()), before, after)
}

fn foretold(changes: &[Value]) -> Report {
    judged(&question("ase-v2"), &[json!({"status": "Succeeded", "error": null, "changes": changes})])
}

const NO_WEB: &str = "200 Out deny tcp *>Internet 443 no-web";
const BLOCKED: &str = "blocked.out-https@no-web";

fn with(line: &'static str) -> Vec<&'static str> {
    BASE.iter().copied().chain([line]).collect()
}

#[test]
fn what_stands_after_the_deployment_is_judged() {
    let (closed, fine) = (group(&with(NO_WEB)), group(&BASE));
    for (kind, before, after, expected) in [
        ("Create", Value::Null, closed.clone(), vec![BLOCKED]),
        ("Modify", fine.clone(), closed.clone(), vec![BLOCKED]),
        ("Modify", closed.clone(), fine.clone(), vec![]),
        ("NoChange", closed.clone(), closed.clone(), vec![BLOCKED]),
        ("NoChange", closed.clone(), Value::Null, vec![BLOCKED]),
        ("Ignore", closed.clone(), Value::Null, vec![BLOCKED]),
        ("Deploy", fine.clone(), closed.clone(), vec![BLOCKED]),
    ] {
        let report = foretold(&[change(kind, GROUP, before, after)]);
        assert_eq!(
            (worries(&report), open(&report).len()),
            (expected.iter().map(|w| (*w).to_owned()).collect(), 0),
            "{kind}"
        );
    }
    let asked = question("ase-v2");
    let rest =
        json!({"status": "Succeeded", "properties": {"changes": [change("Create", GROUP, Value::Null, closed)]}});
    assert_eq!(worries(&judged(&asked, &[rest])), [BLOCKED], "the management API's own answer");
}

#[test]
fn a_rule_says_more_of_itself_than_its_group_does() {
    let stays = |lines: &[&str]| change("NoChange", GROUP, group(lines), group(lines));
    let closed = with(NO_WEB);
    for (changes, expected) in [
        (vec![of_rule("Create", NO_WEB), stays(&BASE)], vec![BLOCKED]),
        (vec![of_rule("Delete", NO_WEB), stays(&closed)], vec![]),
        (vec![stays(&closed), of_rule("Modify", "200 Out allow tcp *>Internet 443 no-web")], vec![]),
        (vec![stays(&closed), of_rule("NoChange", NO_WEB)], vec![BLOCKED]),
    ] {
        let report = foretold(&changes);
        assert_eq!((worries(&report), open(&report).len()), (expected.iter().map(|w| (*w).to_owned()).collect(), 0));
    }
}

#[test]
fn what_it_does_not_show_stays_open() {
    let unshown = |kind: &str, id: &str| change(kind, id, Value::Null, Value::Null);
    for changes in [
        vec![unshown("Deploy", GROUP)],
        vec![unshown("Unsupported", GROUP)],
        vec![unshown("Modify", TABLE)],
        vec![
            change("Modify", GROUP, group(&BASE), group(&BASE)),
            unshown("Modify", &format!("{GROUP}/securityRules/x")),
        ],
        vec![unshown("Unsupported", "[resourceId('Microsoft.Network/networkSecurityGroups', parameters('edge'))]")],
        vec![
            change("Modify", GROUP, group(&BASE), group(&BASE)),
            unshown(
                "Unsupported",
                "[resourceId('Microsoft.Network/networkSecurityGroups/securityRules', 'edge', 'x')]",
            ),
        ],
        vec![unshown(
            "Unsupported",
            "/subscriptions/s/providers/Microsoft.Network/routeTables/[format('{0}/x', 'ways')]",
        )],
        vec![of_rule("Create", BASE[0])],
        vec![change(
            "Create",
            &format!("{TABLE}/routes/x"),
            Value::Null,
            json!({"name": "x", "properties": {
            "addressPrefix": "AppServiceManagement", "nextHopType": "Internet"}}),
        )],
    ] {
        let report = foretold(&changes);
        assert_eq!((worries(&report), report.exit_code()), (vec![], 3), "{changes:?}");
    }
    let once = foretold(&[unshown("Deploy", GROUP)]);
    let words = "depends on [what-if says Deploy of edge and not what it becomes], which only a deployment knows";
    assert!(once.could_not_judge.iter().all(|open| open.why.ends_with(words)), "{:?}", once.could_not_judge);
    let gone = foretold(&[change("Delete", GROUP, group(&with(NO_WEB)), Value::Null)]);
    assert_eq!(worries(&gone), [""; 0]);
    assert!(gone.notes.iter().any(|note| note.contains("edge is deleted")), "{:?}", gone.notes);
}

#[test]
fn subnets_and_routes_are_read_from_it() {
    let network = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/net";
    let subnet = |prefix: &str| json!({"name": "ase", "properties": {"addressPrefix": prefix, "delegations": []}});
    let whole = json!({"name": "net", "properties": {"addressSpace": {"addressPrefixes": ["10.20.0.0/16"]}, "subnets": [subnet("10.20.1.0/28")]}});
    let drop = json!({"name": "all", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "None"}});
    let ways = json!({"name": "ways", "properties": {"disableBgpRoutePropagation": true, "routes": []}});
    let changes = [
        change("NoChange", network, whole.clone(), whole),
        change("Modify", &format!("{network}/subnets/ase"), Value::Null, subnet("10.20.1.0/24")),
        change("Create", &format!("{TABLE}/routes/all"), Value::Null, drop),
        change("Create", TABLE, Value::Null, ways),
    ];
    let asked = Question { subnet: Vec::new(), vnet: Vec::new(), ..question("ase-v2") };
    let text = json!({"status": "Succeeded", "changes": changes}).to_string();
    let mut export = Export::default();
    export.read("what-if.json", text.as_bytes()).expect("it is read");
    assert_eq!(export.subnets.iter().map(|one| one.prefixes[0].to_string()).collect::<Vec<_>>(), ["10.20.1.0/24"]);
    let report = super::judge(&asked, &export);
    let of_route = report.findings.iter().find(|finding| finding.rule.as_deref() == Some("all")).expect("it is named");
    assert_eq!(of_route.at.as_deref(), Some("what-if.json: changes[2].after"));
}

#[test]
fn a_what_if_that_failed_or_is_about_nothing_of_a_network_says_so() {
    let failed = json!({"status": "Failed", "error": {"code": "InvalidTemplate"}, "changes": null});
    let error = Export::default().read("w.json", failed.to_string().as_bytes()).expect_err("it foretells nothing");
    assert!(error.to_string().contains("a what-if that failed"), "{error}");
    let other = change(
        "Create",
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.Web/sites/shop",
        Value::Null,
        json!({}),
    );
    assert!(foretold(&[other]).notes.iter().any(|note| note.contains("none of the changes")));
}
