//! `ase-agent lint` as people run it: files in, exit code, words and JSON out.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::process::{agent, run};

fn rule(priority: u32, name: &str, access: &str, direction: &str, to: &str, ports: &str) -> Value {
    let from = if direction == "Inbound" { "AppServiceManagement" } else { "*" };
    json!({"name": name, "priority": priority, "access": access, "direction": direction, "protocol": "Tcp",
        "sourceAddressPrefix": from, "sourcePortRange": "*", "destinationAddressPrefix": to, "destinationPortRange": ports})
}

/// A group that lets the platform in and, with `more`, does something else.
fn write_group(folder: &Path, more: &[Value]) -> String {
    let rules = [&[rule(100, "management", "Allow", "Inbound", "*", "454-455")], more].concat();
    write(folder, "nsg.json", &json!({"name": "nsg-ase", "securityRules": rules}).to_string())
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).expect("the folder is writable");
    file.display().to_string()
}

fn lint(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(Command::new(agent()).arg("lint").args(arguments).env_remove("ASE_AGENT_CONFIG"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const WHERE: [&str; 6] = ["--subnet", "10.0.1.0/24", "--vnet", "10.0.0.0/16", "--deployment", "ilb"];

#[test]
fn a_deny_is_named_with_its_packet_and_both_commands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write_group(folder.path(), &[rule(200, "no-web", "Deny", "Outbound", "Internet", "443")]);
    let (code, text, error) = lint(&[&[file.as_str()], WHERE.as_slice()].concat());
    assert_eq!(code, Some(1), "{error}");
    for expected in [
        "CRITICAL  blocked.out-https [no-web]",
        "TCP 10.0.1.4 ->",
        "az network nsg rule create",
        "test-ip-flow",
        "edition 2023-11-20",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn the_json_follows_its_schema_in_every_verdict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/lint.schema.json")).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let deny = rule(200, "no-web", "Deny", "Outbound", "Internet", "443");
    let open = rule(200, "open", "Deny", "Outbound", "[parameters('x')]", "443");
    for (more, code, verdict) in [(vec![], 0, "fine"), (vec![deny], 1, "findings"), (vec![open], 3, "could_not_judge")]
    {
        let file = write_group(folder.path(), &more);
        let suppress = ["--suppress", "default_only.out-ntp=known"];
        let (exit, text, error) = lint(&[&[file.as_str(), "--format", "json"], WHERE.as_slice(), &suppress].concat());
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{error}"));
        assert_eq!((exit, document["verdict"].as_str()), (Some(code), Some(verdict)), "{text}");
        assert!(validator.is_valid(&document), "{:?}", validator.iter_errors(&document).next());
        assert_eq!(document["suppressed"][0]["reason"], "known");
    }
}

#[test]
fn sarif_has_a_level_a_place_and_a_rule_for_each_result() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write_group(folder.path(), &[rule(200, "no-web", "Deny", "Outbound", "Internet", "443")]);
    let (_, text, _) = lint(&[&[file.as_str(), "--format", "sarif"], WHERE.as_slice()].concat());
    let document: Value = serde_json::from_str(&text).expect("SARIF is JSON");
    assert_eq!(document["version"], "2.1.0");
    let driver = &document["runs"][0]["tool"]["driver"];
    for result in document["runs"][0]["results"].as_array().expect("results") {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().expect("a level")));
        assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], file.as_str());
    }
    let (_, text, _) = lint(&[&[file.as_str(), "--format", "markdown"], WHERE.as_slice()].concat());
    assert!(text.contains("| critical | blocked.out-https | `no-web` |"), "{text}");
}

#[test]
fn what_is_no_export_ends_with_78_and_says_what_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases = [
        ("cut.json", r#"{"securityRules": [{"name""#, "no JSON"),
        ("disk.json", r#"{"type": "Microsoft.Compute/disks"}"#, "a resource of type Microsoft.Compute/disks"),
        ("empty.json", "", "no JSON"),
        ("list.json", r#"{"value": []}"#, "nothing to judge"),
    ];
    for (name, text, expected) in cases {
        let file = write(folder.path(), name, text);
        let (code, _, error) = lint(&[&file]);
        assert_eq!(code, Some(78), "{name}: {error}");
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    let (code, _, error) = lint(&[&folder.path().display().to_string()]);
    assert!(code == Some(78) && error.contains("a directory"), "{error}");
    let (code, _, error) = lint(&[&folder.path().join("none.json").display().to_string()]);
    assert!(code == Some(78) && error.contains("none.json"), "{error}");
    let (code, _, error) = lint(&["x.json", "--profile", "ase-v9"]);
    assert!(code == Some(64) && error.contains("ase-v3"), "{error}");
    let (code, _, error) = lint(&["x.json", "--subnet", "10.0.1.7/24"]);
    assert!(code == Some(64) && error.contains("10.0.1.0/24 is meant"), "{error}");
    let (code, _, error) = lint(&["x.json", "--suppress", "shadowed"]);
    assert!(code == Some(64) && error.contains("for a reason"), "{error}");
}

#[test]
fn a_finding_is_explained_and_an_unknown_one_is_a_usage_error() {
    let (code, text, _) = lint(&["explain", "blocked.in-management"]);
    assert!(code == Some(0) && text.contains("suspended") && text.contains("edition 2022-10-24"), "{text}");
    let (code, text, _) = lint(&["explain"]);
    assert!(code == Some(0) && text.lines().count() == 21, "{text}");
    let (code, _, error) = lint(&["explain", "gremlins"]);
    assert!(code == Some(64) && error.contains("no such finding"), "{error}");
}

#[test]
fn group_routes_subnet_and_tags_are_judged_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let group = write_group(folder.path(), &[]);
    let routes = write(folder.path(), "routes.json", &json!({"name": "rt", "routes": [
        {"name": "tunnel", "addressPrefix": "0.0.0.0/0", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.0.9.4"},
        {"name": "management", "addressPrefix": "AppServiceManagement", "nextHopType": "Internet"},
        {"name": "monitor", "addressPrefix": "AzureMonitor", "nextHopType": "Internet"}]}).to_string());
    let subnet = write(folder.path(), "subnet.json", &json!({"name": "ase", "id": "/x/subnets/ase", "addressPrefix": "10.0.1.0/24",
        "serviceEndpoints": [{"service": "Microsoft.Sql"}, {"service": "Microsoft.Storage"}, {"service": "Microsoft.EventHub"}],
        "networkSecurityGroup": {"id": "/x/nsg-ase"}, "routeTable": {"id": "/x/rt"}, "delegations": []}).to_string());
    let monitor = ["40.77.24.27/32", "13.90.249.229/32", "104.45.230.69/32", "13.82.184.151/32"];
    let tags = write(
        folder.path(),
        "tags.json",
        &json!({"changeNumber": 350, "cloud": "Public", "values": [
        {"name": "AzureMonitor", "properties": {"addressPrefixes": monitor}}]})
        .to_string(),
    );
    let files = [group.as_str(), &routes, &subnet, "--vnet", "10.0.0.0/16"];
    let (code, text, _) = lint(&files);
    assert!(code == Some(0) && !text.contains("route.ip-dependencies"), "{text}");
    let (code, text, _) = lint(&[files.as_slice(), &["--tags", &tags]].concat());
    assert!(code == Some(0) && text.contains("Public, change 350"), "{text}");
}

/// A group of 1 000 rules beside a tag file of 100 000 prefixes.
#[test]
fn a_large_group_and_a_full_tag_file_are_judged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tag = |number: u32| {
        let prefixes: Vec<String> = (0..1_000)
            .map(|at| format!("{}.{}.{}.0/24", 20 + number / 10, (number % 10) * 20 + at / 256, at % 256))
            .collect();
        json!({"name": format!("Service{number}"), "properties": {"addressPrefixes": prefixes}})
    };
    let tags = json!({"changeNumber": 1, "cloud": "Public", "values": (0..100).map(tag).collect::<Vec<_>>()});
    let tags = write(folder.path(), "tags.json", &tags.to_string());
    let rules: Vec<Value> = (101..1_101)
        .map(|at| rule(at, &format!("r{at}"), "Deny", "Outbound", &format!("Service{}", at % 100), "8080"))
        .collect();
    let file = write_group(folder.path(), &rules);
    let (code, text, error) = lint(&[&[file.as_str(), "--tags", &tags], WHERE.as_slice()].concat());
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("ineffective_rule [r1100]"), "rules that repeat are named");
}

#[test]
fn a_subnet_is_planned_with_its_steps_and_compared_with_the_one_that_there_is() {
    let plan = |arguments: &[&str]| {
        let output = run(Command::new(agent()).args(["plan", "subnet"]).args(arguments));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = plan(&["--plan", "20"]);
    assert!(
        code == Some(0) && text.contains("=     53  in the normal state") && text.contains("=     73  at the peak"),
        "{text}"
    );
    assert!(
        text.contains("/25 (128 addresses) is the smallest that fits") && text.contains("uncertain: 7 to 27 by load"),
        "{text}"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let current =
        write(folder.path(), "subnet.json", r#"{"name": "ase", "addressPrefix": "10.0.1.0/25", "delegations": []}"#);
    let (code, text) = plan(&["--plan", "25:windows:5", "--plan", "40:linux/I1v2", "--current", &current]);
    assert!(code == Some(1) && text.contains("too small"), "{text}");
    let (code, text) = plan(&["--ase", "v2", "--external", "--plan", "30", "--current", &current, "--output", "json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &document["peak"], &document["current"]["fits"]), (Some(0), &json!(80), &json!(true)));
}
