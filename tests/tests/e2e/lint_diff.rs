//! `ase-agent lint diff` as the check of a pull request runs it, and the examples of the docs.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::process::{agent, run};

pub(crate) fn write(folder: &Path, name: &str, value: &Value) -> String {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().expect("it has a folder")).expect("the folder can be made");
    fs::write(&file, value.to_string()).expect("the folder is writable");
    file.display().to_string()
}

pub(crate) fn rule(priority: u32, name: &str, access: &str, direction: &str, to: &str, ports: &str) -> Value {
    let from = if direction == "Inbound" { "AppServiceManagement" } else { "*" };
    json!({"name": name, "priority": priority, "access": access, "direction": direction, "protocol": "Tcp",
        "sourceAddressPrefix": from, "sourcePortRange": "*", "destinationAddressPrefix": to, "destinationPortRange": ports})
}

pub(crate) fn group(more: &[Value]) -> Value {
    let rules = [&[rule(100, "management", "Allow", "Inbound", "*", "454-455")], more].concat();
    json!({"name": "nsg-ase", "securityRules": rules})
}

pub(crate) fn no_web() -> Value {
    rule(200, "no-web", "Deny", "Outbound", "Internet", "443")
}

fn subnet() -> Value {
    json!({"name": "ase", "id": "/x/subnets/ase", "addressPrefix": "10.0.1.0/24", "delegations": [], "serviceEndpoints": []})
}

pub(crate) fn agent_says(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        run(Command::new(agent()).args(arguments).env_remove("ASE_AGENT_CONFIG").env_remove("STATE_DIRECTORY"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn two_directories_are_compared_in_every_format() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (side, more) in [("base", vec![]), ("head", vec![no_web()])] {
        write(folder.path(), &format!("{side}/nsg.json"), &group(&more));
        write(folder.path(), &format!("{side}/subnet.json"), &subnet());
        write(folder.path(), &format!("{side}/package.json"), &json!({"name": "infra", "version": "1.0.0"}));
        fs::write(folder.path().join(side).join("README.md"), "no export").expect("the folder is writable");
    }
    let [base, head] = ["base", "head"].map(|side| folder.path().join(side).display().to_string());
    let diff = |more: &[&str]| agent_says(&[&["lint", "diff", &base, &head, "--vnet", "10.0.0.0/16"], more].concat());
    let (code, text, error) = diff(&[]);
    assert_eq!(code, Some(1), "{error}");
    for expected in [
        "BREAKS    critical  out-https: default_only [AllowInternetOutBound] -> blocked [no-web]",
        "packet   TCP 10.0.1.4 ->",
        "az network nsg rule create",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(text.contains("package.json is left out: an object with the keys name, version"), "{text}");
    let (code, text, _) = diff(&["--format", "json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/lint-diff.schema.json")).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    assert!(validator.is_valid(&document), "{:?}", validator.iter_errors(&document).next());
    assert_eq!(
        (code, &document["verdict"], &document["changes"][0]["turn"]),
        (Some(1), &json!("breaks"), &json!("breaks"))
    );
    let (_, text, _) = diff(&["--format", "markdown"]);
    assert!(text.contains("| breaks | critical | out-https |"), "{text}");
    let (code, text, _) = agent_says(&["lint", "diff", &head, &base, "--vnet", "10.0.0.0/16"]);
    assert!(code == Some(0) && text.contains("MENDS     critical  out-https"), "{text}");
    let (code, text, _) = agent_says(&["lint", "diff", &base, &base]);
    assert!(code == Some(0) && text.contains("0 critical and 0 warnings break, 0 get better"), "{text}");
}

#[test]
fn several_files_on_each_side_and_flows_that_were_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let before = write(folder.path(), "a.json", &group(&[]));
    let routes = write(folder.path(), "routes.json", &json!({"name": "rt", "routes": []}));
    let after =
        write(folder.path(), "b.json", &group(&[rule(200, "no-partner", "Deny", "Outbound", "203.0.113.0/24", "*")]));
    let both = write(folder.path(), "subnet.json", &subnet());
    let status = write(
        folder.path(),
        "status.json",
        &json!({"schema": "ase-agent/status/1", "endpoints": [
        {"id": "api.partner.example:443", "class": "https", "port": 443, "status": "healthy", "severity": "critical",
            "last_visit": "2026-01-01T00:00:00Z", "addresses": [{"address": "203.0.113.7:443"}]}]}),
    );
    let (code, text, error) = agent_says(&[
        "lint",
        "diff",
        "--before",
        &before,
        &routes,
        "--after",
        &after,
        &routes,
        "--both",
        &both,
        "--vnet",
        "10.0.0.0/16",
        "--seen",
        &status,
    ]);
    assert_eq!(code, Some(1), "{error}");
    assert!(
        text.contains(
            "BREAKS    critical  flow api.partner.example:443: allowed [AllowInternetOutBound] -> denied [no-partner]"
        ),
        "{text}"
    );
    assert!(
        text.contains("packet   TCP 10.0.1.4 -> 203.0.113.7 port 443") && text.contains("1 flows compared"),
        "{text}"
    );
}

#[test]
fn the_state_directory_of_a_daemon_tells_its_flows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    let mut store = ase_agent::store::Store::open(&state, std::time::Duration::from_secs(1)).expect("a store");
    store.add(ase_agent::store::rows::OutcomeRow {
        endpoint: "203.0.113.7:3306".into(),
        class: "tcp".into(),
        result: "healthy".into(),
        cause: None,
        phase: None,
        began: std::time::Duration::from_secs(1),
        ended: std::time::Duration::from_secs(2),
        count: 1,
        took: std::time::Duration::from_millis(3),
    });
    assert!(store.flush(), "it is on the disk");
    drop(store);
    let before = write(folder.path(), "a.json", &group(&[]));
    let after = write(folder.path(), "b.json", &group(&[rule(200, "no-db", "Deny", "Outbound", "Internet", "3306")]));
    let (code, text, error) = agent_says(&[
        "lint",
        "diff",
        &before,
        &after,
        "--subnet",
        "10.0.1.0/24",
        "--seen",
        &state.display().to_string(),
    ]);
    assert!(
        code == Some(2) && text.contains("flow 203.0.113.7:3306") && text.contains("denied by no-db"),
        "{text}{error}"
    );
}

#[test]
fn what_cannot_be_compared_is_a_usage_error_or_names_its_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = write(folder.path(), "good/nsg.json", &group(&[]));
    fs::create_dir_all(folder.path().join("empty")).expect("the folder is writable");
    let empty = folder.path().join("empty").display().to_string();
    write(folder.path(), "cut/nsg.json", &group(&[]));
    fs::write(folder.path().join("cut/nsg.json"), "{\"securityRules\": [").expect("the folder is writable");
    let cut = folder.path().join("cut").display().to_string();
    for (arguments, code, words) in [
        (vec![good.as_str()], 64, "AFTER"),
        (vec![], 64, "BEFORE"),
        (vec![&good, &empty], 78, "no export among"),
        (vec![&good, &cut], 78, "no JSON"),
        (vec![&good, "/nonexistent.json"], 78, "nonexistent.json"),
        (vec![&good, &good, "--seen", &good], 78, "no status of this agent"),
        (vec![&good, &good, "--seen", &empty], 78, "memory.db"),
        (vec!["--before", &good], 64, "--after"),
    ] {
        let (exit, _, error) = agent_says(&[&["lint", "diff"], arguments.as_slice()].concat());
        assert!(exit == Some(code) && error.contains(words), "{arguments:?}: {exit:?} {error}");
    }
}

/// The commands in the shell blocks of a page that begin with these words.
fn commands(page: &str, begin: &[&str]) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2).filter(|block| block.starts_with("sh\n"));
    let lines = blocks.flat_map(|block| block.lines().skip(1).map(str::trim).map(str::to_owned).collect::<Vec<_>>());
    let is_whole =
        |text: &&str| [".json", "--plan", "explain "].iter().any(|part| text.contains(part)) && !text.contains('\n');
    let inline = page.split('`').skip(1).step_by(2).filter(is_whole).map(str::to_owned);
    let all = lines.chain(inline).filter(|line| begin.iter().any(|words| line.starts_with(words)));
    let mut all: Vec<String> = all.collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn every_example_of_these_commands_in_the_docs_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path();
    for side in ["base/network", "head/network"] {
        write(place, &format!("{side}/nsg.json"), &group(&[]));
    }
    for name in ["nsg.json", "nsg.old.json", "plan.json"] {
        write(place, name, &group(&[]));
    }
    write(place, "routes.json", &json!({"name": "rt", "routes": []}));
    write(place, "subnet.json", &subnet());
    write(place, "ServiceTags_Public.json", &json!({"changeNumber": 1, "cloud": "Public", "values": []}));
    write(place, "status.json", &json!({"schema": "ase-agent/status/1", "endpoints": []}));
    write(place, "outbound.json", &json!(["a.example.net"]));
    write(
        place,
        "inbound.json",
        &json!({"value": [{"description": "management", "endpoints": ["203.0.113.0/24"], "ports": ["454"]}]}),
    );
    write(place, "environment.json", &json!({"name": "ase-1", "properties": {"suspended": false}}));
    write(place, "addresses.json", &json!({"serviceIpAddress": "203.0.113.1", "vipMappings": []}));
    fs::create_dir(place.join("state")).expect("the folder is writable");
    let mut ran = 0;
    for page in ["README.md", "docs/lint.md", "docs/import.md"] {
        let text = fs::read_to_string(root.join(page)).expect("the page is there");
        for line in commands(&text, &["ase-agent lint", "ase-agent plan", "ase-agent import"]) {
            if line.contains("--live") {
                continue;
            }
            let line = line.replace("/var/lib/ase-agent", "state").replace(" FILE", " nsg.json");
            let output = run(Command::new("sh")
                .args(["-c", &line])
                .current_dir(place)
                .env("PATH", path_with_agent())
                .env_remove("STATE_DIRECTORY"));
            let code = output.status.code();
            assert!(
                matches!(code, Some(0..=3)),
                "{page}: {line}: {code:?} {}",
                String::from_utf8_lossy(&output.stderr)
            );
            ran += 1;
        }
    }
    assert!(ran >= 12, "the examples are found: {ran}");
}

fn path_with_agent() -> String {
    let folder = agent().parent().expect("a binary has a folder").display().to_string();
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}
