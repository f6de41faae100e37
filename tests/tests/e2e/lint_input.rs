//! Bad input to `ase-agent lint`: each kind ends in a finding or an error that names file, path in the JSON and rule.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::process::{agent, run};

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let file = folder.join(name);
    fs::write(&file, bytes).expect("the folder is writable");
    file.display().to_string()
}

/// Exit code, the report as JSON where there is one, and what stands on standard error.
fn lint(files: &[&str]) -> (Option<i32>, Value, String) {
    let fixed = ["--subnet", "10.0.1.0/24", "--vnet", "10.0.0.0/16", "--format", "json"];
    let output = run(Command::new(agent()).arg("lint").args(files).args(fixed).env_remove("ASE_AGENT_CONFIG"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("panicked"), "{error}");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), error)
}

fn rule(name: &str) -> Value {
    json!({"name": name, "priority": 200, "access": "Allow", "direction": "Outbound", "protocol": "Tcp", "sourceAddressPrefix": "*",
        "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "443"})
}

fn changed(field: &str, value: Value) -> Value {
    let mut rule = rule("odd");
    rule[field] = value;
    json!({"name": "nsg-ase", "securityRules": [rule]})
}

/// The findings and open questions that concern a rule, each as its place and words.
fn about<'a>(report: &'a Value, rule: &str) -> Vec<(&'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let all = ["findings", "could_not_judge"].iter().flat_map(|list| report[list].as_array().expect("a list"));
    let of_rule = all.filter(|one| one["rule"] == rule);
    of_rule
        .map(|one| (text(&one["at"]), if one["message"].is_null() { text(&one["why"]) } else { text(&one["message"]) }))
        .collect()
}

#[test]
fn words_that_azure_would_refuse_are_findings_with_file_path_and_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases = [
        ("destinationPortRange", json!("443-80"), 1, "destinationPortRange", "the range 443-80 is reversed"),
        ("destinationPortRange", json!("0"), 2, "destinationPortRange", "port 0"),
        ("destinationPortRange", json!(70_000), 1, "destinationPortRange", "ports end at 65535"),
        ("sourcePortRanges", json!(["1-2", "5-4"]), 1, "sourcePortRanges[1]", "reversed"),
        ("destinationAddressPrefix", json!("10.0.1.7/24"), 2, "destinationAddressPrefix", "10.0.1.0/24 is meant"),
        ("destinationAddressPrefix", json!("10.0.1.0/40"), 1, "destinationAddressPrefix", "neither a prefix nor"),
        ("priority", json!(0), 1, "priority", "rules have 100 to 4096"),
        ("access", json!("Maybe"), 1, "access", "neither Allow nor Deny"),
    ];
    for (field, value, code, path, words) in cases {
        let file = write(folder.path(), "nsg.json", changed(field, value.clone()).to_string().as_bytes());
        let (exit, report, error) = lint(&[&file, "--profile", "custom"]);
        let found = about(&report, "odd");
        let wanted = format!("{file}: securityRules[0].{path}");
        assert!(
            found.iter().any(|(at, said)| *at == wanted && said.contains(words)),
            "{field} {value}: {found:?} {error}"
        );
        assert_eq!(exit, Some(code), "{field} {value}: {found:?}");
    }
}

#[test]
fn an_unknown_tag_and_a_circle_of_variables_leave_open_what_hangs_on_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut typo = changed("destinationAddressPrefix", json!("AzureKeyVualt"));
    typo["securityRules"][0]["access"] = json!("Deny");
    let file = write(folder.path(), "typo.json", typo.to_string().as_bytes());
    let (exit, report, _) = lint(&[&file, "--profile", "custom"]);
    let found = about(&report, "odd");
    assert_eq!(exit, Some(3), "{report}");
    assert!(
        found.iter().any(|(at, why)| *at == format!("{file}: securityRules[0]") && why.contains("azurekeyvualt")),
        "{found:?}"
    );

    let template = |variables: Value| {
        let mut rule = rule("odd");
        rule["access"] = json!("Deny");
        rule["destinationAddressPrefix"] = json!("[variables('a')]");
        let group = json!({"type": "Microsoft.Network/networkSecurityGroups", "name": "ase", "properties": {"securityRules": [
            {"name": "odd", "properties": rule}]}});
        json!({"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "variables": variables, "resources": [group]})
    };
    let circle = template(json!({"a": "[variables('b')]", "b": "[variables('a')]"}));
    let file = write(folder.path(), "circle.json", circle.to_string().as_bytes());
    let (exit, report, _) = lint(&[&file]);
    let found = about(&report, "odd");
    assert!(
        found.iter().any(|(at, why)| at.starts_with(&format!("{file}: resources[0]")) && why.contains("[variables('")),
        "{found:?}"
    );
    assert_ne!(exit, Some(0), "what depends on it is not passed");

    let many = |next: &str| Value::Array(vec![json!(format!("[variables('{next}')]")); 40]);
    let bomb =
        template(json!({"a": many("b"), "b": many("c"), "c": many("d"), "d": many("e"), "e": many("f"), "f": "*"}));
    let file = write(folder.path(), "bomb.json", bomb.to_string().as_bytes());
    let (exit, _, error) = lint(&[&file]);
    assert!(matches!(exit, Some(1 | 3 | 78)), "40 to the power of 5 values are not made: {exit:?} {error}");
}

#[test]
fn the_same_priority_twice_and_more_rules_than_priorities_are_critical() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let twins = json!({"name": "nsg-ase", "securityRules": [rule("first"), rule("odd")]});
    let file = write(folder.path(), "twins.json", twins.to_string().as_bytes());
    let (exit, report, _) = lint(&[&file, "--profile", "custom"]);
    let found = about(&report, "odd");
    assert_eq!(exit, Some(1));
    assert!(
        found.iter().any(
            |(at, said)| *at == format!("{file}: securityRules[1]") && said.contains("priority 200 Outbound twice")
        ),
        "{found:?}"
    );
    let many: Vec<Value> = (0..8_100).map(|at| rule(&format!("r{at}"))).collect();
    let file = write(folder.path(), "many.json", json!({"name": "g", "securityRules": many}).to_string().as_bytes());
    let (exit, report, _) = lint(&[&file]);
    assert_eq!(exit, Some(1));
    assert!(
        report["could_not_judge"][0]["why"].as_str().is_some_and(|why| why.contains("8100 rules")),
        "{}",
        report["could_not_judge"]
    );
}

#[test]
fn what_is_no_text_no_file_or_no_json_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let group = json!({"name": "nsg", "securityRules": [rule("web")]}).to_string();
    let latin = [&group.as_bytes()[..10], b"\xfc", &group.as_bytes()[10..]].concat();
    let cut: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(group.encode_utf16().flat_map(u16::to_le_bytes)).chain([0x7b]).collect();
    let cases: [(&str, &[u8], &str); 7] = [
        ("latin-1.json", &latin, "neither UTF-8 nor UTF-16"),
        ("odd-utf-16.json", &cut, "neither UTF-8 nor UTF-16"),
        ("program", b"\x7fELF\x02\x01\x01\x00\xff\xfe", "neither UTF-8 nor UTF-16"),
        ("archive.gz", b"\x1f\x8b\x08\x00", "neither UTF-8 nor UTF-16"),
        ("cut.json", &group.as_bytes()[..group.len() / 2], "no JSON: EOF"),
        ("yaml.json", b"securityRules:\n  - name: a\n", "no JSON"),
        ("twice.json", b"{\"a\": 1} {\"b\": 2}", "no JSON: trailing"),
    ];
    for (name, bytes, words) in cases {
        let file = write(folder.path(), name, bytes);
        let (exit, _, error) = lint(&[&file]);
        assert!(exit == Some(78) && error.contains(&file) && error.contains(words), "{name}: {exit:?} {error}");
    }
    let place = folder.path().display().to_string();
    let (exit, _, error) = lint(&[&place]);
    assert!(exit == Some(78) && error.contains(&place) && error.contains("a directory"), "{error}");
    let (exit, _, error) = lint(&["/dev/null"]);
    assert!(exit == Some(78) && error.contains("/dev/null"), "{error}");
    let sixteen: Vec<u8> = [0xff, 0xfe].into_iter().chain(group.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let (exit, ..) = lint(&[&write(folder.path(), "utf-16.json", &sixteen), "--profile", "custom"]);
    assert_eq!(exit, Some(0), "a redirect of PowerShell is no mistake");
}

#[test]
fn fifty_megabytes_are_read_or_refused_by_what_they_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let filler = "x".repeat(50 << 20);
    let group = json!({"name": "nsg-ase", "tags": {"note": filler}, "securityRules": [rule("odd"), rule("twin")]});
    let file = write(folder.path(), "huge.json", group.to_string().as_bytes());
    let (exit, report, _) = lint(&[&file, "--profile", "custom"]);
    assert_eq!(exit, Some(1), "the priority stands there twice");
    assert_eq!(about(&report, "twin")[0].0, format!("{file}: securityRules[1]"));
    let disk = json!({"type": "Microsoft.Compute/disks", "note": filler}).to_string();
    let (exit, _, error) = lint(&[&write(folder.path(), "disk.json", disk.as_bytes())]);
    assert!(exit == Some(78) && error.contains("Microsoft.Compute/disks"), "{error}");
    let larger = folder.path().join("larger.json");
    let sparse = fs::File::create(&larger).expect("the folder is writable");
    sparse.set_len(65 << 20).expect("a sparse file");
    let (exit, _, error) = lint(&[&larger.display().to_string()]);
    assert!(exit == Some(78) && error.contains("65 MB are more than an export has"), "{error}");
}
