//! `doctor` in a network of its own: on a machine that is not Azure's nothing goes to the metadata service, on one that is its
//! answers are read.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::{
    field::world::World,
    process::{agent, require, run},
};

/// The asset tag of Azure's chassis, and one of somebody else's.
const AZURE: &str = "7783-7084-3265-9085-8269-3286-77";
const OTHER: &str = "Default string";
const SERVICE: &str = "169.254.169.254";

/// A network with a metadata service, packets to which are counted, on a machine with this chassis.
fn world(tag: &str) -> Option<(World, Arc<Mutex<Vec<String>>>)> {
    if !(require("nft", "nftables") && require("mount", "mount")) {
        return None;
    }
    let world = World::new()?;
    let script = format!(
        "set -e; ip addr add {SERVICE}/32 dev lo; mount -t tmpfs tmpfs /sys/class; mkdir -p /sys/class/dmi/id; \
        echo '{tag}' >/sys/class/dmi/id/chassis_asset_tag; nft add table inet t; \
        nft 'add chain inet t out {{ type filter hook output priority 0; }}'; \
        nft add rule inet t out ip daddr {SERVICE} counter"
    );
    let said = world.runs("sh", &["-c", &script]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    world.http(SERVICE, 80, move |head| {
        heard.lock().expect("nobody panics").push(head.to_owned());
        let body = if head.starts_with("GET /metadata/instance?") {
            r#"{"compute": {"azEnvironment": "AzurePublicCloud", "location": "westeurope"}, "network": {"interface": [{"ipv4":
            {"ipAddress": [{"privateIpAddress": "10.0.2.4", "publicIpAddress": ""}], "subnet": [{"address": "10.0.2.0",
            "prefix": "24"}]}}]}}"#
        } else {
            r#"{"DocumentIncarnation": 1, "Events": []}"#
        };
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
    });
    Some((world, asked))
}

/// Looks; returns the exit code and the document, which fits its schema. A proxy in the environment changes nothing.
fn doctor(world: &World, exports: &str, words: &[&str]) -> (Option<i32>, Value) {
    let configuration = world.configuration("{host: 20.1.1.9, class: tcp, port: 9}", exports);
    let words = [&["doctor", "--config", &*configuration, "--output", "json"], words].concat();
    let mut command = world.command(&agent().to_string_lossy(), &words);
    let output = run(command.env("http_proxy", "http://20.1.1.1:3128").env("HTTP_PROXY", "http://20.1.1.1:3128"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{notes}"));
    let schema: Value = serde_json::from_str(include_str!("../../../docs/doctor.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
    (output.status.code(), document)
}

/// Packets that left for the metadata service.
fn packets(world: &World) -> u64 {
    let said = world.runs("nft", &["list", "chain", "inet", "t", "out"]);
    let words: Vec<&str> = said.text.split_whitespace().collect();
    let place = words.iter().position(|word| *word == "packets").expect("a counter");
    words[place + 1].parse().expect("a number")
}

#[test]
fn no_packet_goes_to_the_metadata_service_unless_this_is_azure_or_it_is_told_so() {
    let Some((world, asked)) = world(OTHER) else { return };
    let (_, document) = doctor(&world, "", &[]);
    assert_eq!((&document["on_azure"], &document["instance"]), (&false.into(), &Value::Null), "{document:#}");
    assert_eq!((packets(&world), asked.lock().expect("nobody panics").len()), (0, 0));
    let (_, document) = doctor(&world, "", &["--azure"]);
    assert_eq!((&document["on_azure"], &document["instance"]["region"]), (&false.into(), &"westeurope".into()));
    assert!(packets(&world) > 0, "the counter counts");
}

#[test]
fn a_machine_of_azure_s_knows_its_subnet_and_whether_that_is_a_mirror() {
    let Some((world, asked)) = world(AZURE) else { return };
    let subnet = |name: &str, prefix: &str, table: &str| {
        format!(
            r#"{{"name": "{name}", "id": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/{name}",
            "addressPrefix": "{prefix}", "networkSecurityGroup": {{"id": "/subscriptions/1/networkSecurityGroups/ase-nsg"}},
            "routeTable": {{"id": "/subscriptions/1/routeTables/{table}"}}, "delegations": [], "serviceEndpoints": []}}"#
        )
    };
    let network = format!(
        r#"{{"name": "n", "addressSpace": {{"addressPrefixes": ["10.0.0.0/16"]}}, "subnets": [{}, {}]}}"#,
        subnet("ase", "10.0.1.0/24", "ase-routes"),
        subnet("mirror", "10.0.2.0/24", "default-routes"),
    );
    let file = world.file("vnet.json", network);
    let group = world.file("nsg.json", r#"{"name": "ase-nsg", "securityRules": []}"#);
    let exports = format!("exports: {{nsg: {}, vnet: {}}}", group.display(), file.display());
    let (_, document) = doctor(&world, &exports, &[]);
    assert_eq!(document["instance"]["subnets"][0], "10.0.2.0/24", "{document:#}");
    assert_eq!((&document["on_azure"], &document["mirrors"]), (&true.into(), &false.into()), "{document:#}");
    assert!(document.to_string().contains("route table here default-routes, there ase-routes"), "{document:#}");
    let asked = asked.lock().expect("nobody panics");
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|head| head.to_lowercase().contains("metadata: true")), "{asked:?}");
}
