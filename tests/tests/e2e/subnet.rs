//! The unmodified built-in profile in a subnet with a whole simulated Azure around it.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::Value;

use crate::process::{binary, require, run};

/// Runs a command in the subnet and returns its exit code and output.
fn in_subnet(stopped: &[&str], command: &[&str]) -> (Option<i32>, String) {
    if !require("ip", "iproute2") {
        return (None, String::new());
    }
    let mut lab = Command::new(binary("ase-lab"));
    lab.arg("subnet");
    stopped.iter().for_each(|host| _ = lab.args(["--stop", host]));
    let output = run(lab.arg("--").args(command));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code <= 2), "the lab works: {error}");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check(stopped: &[&str], config: &str) -> Option<(i32, Value)> {
    let script = format!("ase-agent check --output json {config}");
    let (code, text) = in_subnet(stopped, &["sh", "-c", &script]);
    Some((code?, serde_json::from_str(&text).expect("check prints JSON")))
}

fn ids(document: &Value, status: &str) -> BTreeSet<String> {
    let endpoints = document["endpoints"].as_array().expect("the document lists endpoints").iter();
    let of_status = endpoints.filter(|endpoint| endpoint["status"] == status);
    of_status.filter_map(|endpoint| endpoint["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_whole_built_in_profile_is_healthy_and_its_slots_are_listed() {
    let Some((code, document)) = check(&[], "") else { return };
    let (healthy, slots) = (ids(&document, "healthy"), ids(&document, "not_configured"));
    assert_eq!(code, 0);
    assert_eq!(healthy.len() + slots.len(), document["endpoints"].as_array().map(Vec::len).unwrap_or_default());
    assert_eq!((healthy.len(), slots.len()), (134, 11));
    assert!(slots.contains("sql-server") && slots.contains("monitoring"));
    let schema = include_str!("../../../docs/status.schema.json");
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    assert!(validator.is_valid(&document), "{:?}", validator.iter_errors(&document).next());
}

#[test]
fn the_metrics_of_the_built_in_profile_are_few_and_small() {
    if !require("curl", "curl") {
        return;
    }
    let script = "ase-agent run --listen 127.0.0.1:9600 2>/dev/null & agent=$!; \
        for i in $(seq 90); do sleep 1; curl -sf -o /dev/null http://127.0.0.1:9600/-/ready && break; done; \
        curl -sf --compressed -w '# packed %{size_download}\\n' http://127.0.0.1:9600/metrics; kill $agent";
    let (Some(_), text) = in_subnet(&[], &["sh", "-c", script]) else { return };
    let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let successes = series.iter().filter(|line| line.starts_with("ase_probe_success{") && line.ends_with(" 1"));
    assert_eq!(successes.count(), 134, "every endpoint was visited, and its phases are there");
    let packed = text.lines().find_map(|line| line.strip_prefix("# packed ")?.parse::<usize>().ok());
    assert!(series.len() <= 1500, "{} series", series.len());
    assert!(packed.is_some_and(|bytes| (1_000..=25_000).contains(&bytes)), "{packed:?} bytes");
    println!("{} series, {packed:?} bytes packed", series.len());
}

#[test]
fn with_the_labs_configuration_every_slot_is_healthy_too() {
    let Some((code, document)) = check(&[], "--config \"$ASE_LAB_CONFIG\"") else { return };
    assert_eq!(code, 0);
    assert_eq!(ids(&document, "healthy").len(), document["endpoints"].as_array().map(Vec::len).unwrap_or_default());
    assert!(ids(&document, "healthy").contains("lab-sql.database.windows.net:1433"));
}

#[test]
fn a_stopped_server_loses_exactly_its_endpoints() {
    let Some((code, document)) = check(&["crl.microsoft.com"], "") else { return };
    let lost: BTreeSet<String> = ["crl.microsoft.com:80", "crl.microsoft.com:443"].map(str::to_owned).into();
    assert_eq!((code, ids(&document, "failed")), (1, lost));
    let endpoints = document["endpoints"].as_array().expect("listed");
    let watched = endpoints.iter().filter(|endpoint| endpoint["status"] != "not_configured").count();
    assert_eq!(ids(&document, "healthy").len(), watched - 2, "of the whole profile nothing else is touched");
    let Some((code, document)) = check(&["wdcp.microsoft.com"], "") else { return };
    assert_eq!((code, ids(&document, "failed").len()), (2, 1), "a warning is not critical");
    let failed =
        document["endpoints"].as_array().expect("listed").iter().find(|e| e["status"] == "failed").expect("lost");
    assert_eq!((&failed["cause"], &failed["phase"]), (&"refused".into(), &"connect".into()), "{failed}");
}

#[test]
fn the_command_has_no_privileges() {
    let (code, text) = in_subnet(&[], &["sh", "-c", "id -u; grep CapEff /proc/self/status"]);
    if code.is_some() {
        assert!(text.starts_with("65534\n") && text.contains("CapEff:\t0000000000000000"), "{text}");
    }
}

#[test]
fn independent_clients_accept_the_simulated_azure() {
    let script = "dig +short login.live.com @168.63.129.16 && dig +tcp +short login.live.com && \
        curl -sS --http1.1 https://login.live.com/ && curl -sS --http2 https://management.azure.com/ && \
        curl -sS http://www.msftconnecttest.com/connecttest.txt && \
        curl -sS http://crl.microsoft.com/x.crl | openssl crl -inform DER -noout -issuer";
    if !["dig", "curl", "openssl"].iter().all(|tool| require(tool, "dnsutils, curl, openssl")) {
        return;
    }
    let (code, text) = in_subnet(&[], &["sh", "-c", script]);
    assert_eq!(code, Some(0), "{text}");
    for expected in ["198.18.", "simulatedsimulated", "Microsoft Connect Test", "ase-lab root"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn nameresolver_and_nslookup_answer_there() {
    let (code, text) = in_subnet(&[], &["ase-agent", "nameresolver", "login.live.com"]);
    let Some(code) = code else { return };
    assert_eq!(code, 0);
    assert!(
        text.starts_with(
            "Server: 10.53.0.4\n\nNon-authoritative answer:\nName: login.live.com\nAddresses: \n\t198.18."
        )
    );
    let (code, text) = in_subnet(&[], &["ase-agent", "nslookup", "nothing.example"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("*** 168.63.129.16 can't find nothing.example: Non-existent domain"), "{text}");
}

#[test]
fn every_odd_name_or_server_gets_a_clear_answer_there() {
    let no_server = "*** 10.9.9.9 can't find login.live.com: No response from server";
    for (arguments, code, words) in [
        (&["login.live.com."][..], 0, "Name: login.live.com\n"),
        (&["xn--bcher-kva.example"], 1, "can't find xn--bcher-kva.example: Non-existent domain"),
        (&["login.live.com", "10.9.9.9"], 1, no_server),
        (&["--compare", "login.live.com", "10.9.9.9"], 1, "bad: custom_failed (rule 2)"),
        (&["--compare", "nothing.example"], 0, "fine: identical_negative (rule 3)"),
    ] {
        let command = [&["ase-agent", "nameresolver"][..], arguments].concat();
        let (got, text) = in_subnet(&[], &command);
        let Some(got) = got else { return };
        assert!(got == code && text.contains(words), "{arguments:?}: {got} {text}");
    }
}

#[test]
fn the_servers_are_tried_and_invent_nothing_there() {
    let Some((_, document)) = check(&[], "") else { return };
    let dns = &document["dns"];
    assert_eq!(dns["intercepted"], false, "{dns}");
    let resolvers = dns["resolvers"].as_array().expect("the servers are listed");
    assert!(resolvers.len() == 2 && resolvers.iter().all(|resolver| resolver["invents"] == false), "{resolvers:?}");
    assert!(resolvers.iter().all(|resolver| resolver["answers"]["answer"].as_u64() > Some(50)), "{resolvers:?}");
}

#[test]
fn a_bypassed_private_endpoint_is_named_with_its_zone() {
    let (code, text) = in_subnet(&[], &["ase-agent", "nameresolver", "--compare", "lab-private.database.windows.net"]);
    let Some(code) = code else { return };
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("bad: private_bypass (rule 15)"), "{text}");
    assert!(text.contains("forward the zone database.windows.net to 168.63.129.16"), "{text}");
}

#[test]
fn any_command_runs_against_any_fault_on_the_path() {
    if !require("ip", "iproute2") || !require("curl", "curl") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fault.yaml");
    let rules = "box:\n- match: {protocol: tcp, host: login.live.com, segment: syn}\n  do: {icmp: {type: 3, code: 13}}\n\
        - match: {protocol: tcp, host: crl.microsoft.com, port: 80}\n  do: {accept: {then: azure-firewall-deny}}\n\
        - match: {protocol: tcp, host: internet, port: 80}\n  do: {accept: {then: relay}}\n";
    std::fs::write(&file, rules).expect("the folder is writable");
    let script = "curl -sS -m 5 https://login.live.com/ 2>&1; curl -sS -m 5 http://crl.microsoft.com/; \
        curl -sS -m 5 http://www.msftconnecttest.com/connecttest.txt; curl -sS -m 5 https://management.azure.com/";
    let mut lab = Command::new(binary("ase-lab"));
    let output = run(lab.args(["subnet", "--fault"]).arg(&file).args(["--", "sh", "-c", script]));
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if error.contains("only root may open /dev/net/tun") {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "{error}");
        println!("SKIPPED: {error}");
        return;
    }
    for words in ["Failed to connect to login.live.com", "Action: Deny", "Microsoft Connect Test", "simulated"] {
        assert!(text.contains(words), "{words}: {text}{error}");
    }
}

/// The binaries in a folder that only its owner may enter, with these rights: a clone in a private home.
fn private_home(programs: &[&'static str], rights: u32) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).expect("the folder is ours");
    for name in programs {
        let (built, own) = (binary(name), home.path().join(name));
        // A link costs nothing; its rights are those of the file, so another umask needs a copy.
        if rights != 0o755 || fs::hard_link(built, &own).is_err() {
            fs::copy(built, &own).expect("the folder is writable");
            fs::set_permissions(&own, fs::Permissions::from_mode(rights)).expect("the file is ours");
        }
    }
    home
}

#[test]
fn from_a_private_home_the_lab_brings_the_agent_and_the_files_that_a_command_names() {
    if !require("ip", "iproute2") {
        return;
    }
    for (rights, is_path) in [(0o755, false), (0o700, true)] {
        let home = private_home(&["ase-lab", "ase-agent"], rights);
        let config = home.path().join("own.yaml");
        fs::write(&config, "vantage: a private home\n").expect("the folder is writable");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        let agent = if is_path { home.path().join("ase-agent") } else { "ase-agent".into() };
        let mut lab = Command::new(home.path().join("ase-lab"));
        let output = run(lab.args(["subnet", "--"]).arg(agent).args(["config", "check"]).arg(&config));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{rights:o}: {error}");
    }
}

#[test]
fn without_the_agent_the_lab_says_how_to_build_it() {
    let home = private_home(&["ase-lab"], 0o755);
    let output = run(Command::new(home.path().join("ase-lab")).args(["subnet", "--", "ase-agent", "check"]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("ase-agent is missing: run `cargo build`"), "{error}");
}
