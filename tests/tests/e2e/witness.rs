//! `witness` and `witness knock` in a network of their own: which way loses a port, and what strangers get, which is nothing.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use serde_json::Value;

use crate::{
    field::world::World,
    private_systemd::{PrivateSystemd, shipped, shipped_file},
    process::{Program, agent, require, run, wait_for},
};

/// Where the witness is.
const HOST: &str = "20.1.1.1";
/// Datagrams and connections of a flood.
const FLOOD: usize = 10_000;

fn key(world: &World, name: &str, secret: &str) -> String {
    let file = world.file(name, secret.repeat(8));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    file.to_string_lossy().into_owned()
}

/// A network with a witness on these ports, one of which is 454.
fn witnessed(ports: &str) -> Option<(World, Program)> {
    if !require("nft", "nftables") {
        return None;
    }
    let world = World::new()?;
    let key = key(&world, "key", "secret");
    let program = agent().to_string_lossy().into_owned();
    let witness = world.program(&program, &["witness", "--listen", ports, "--key", &key], 454);
    Some((world, witness))
}

/// Knocks at these ports with this key; returns the exit code and the document, which fits its schema.
fn knock(world: &World, ports: &str, key: &str) -> (Option<i32>, Value) {
    let configuration = world.configuration("{host: 20.1.1.9, class: tcp, port: 9}", "");
    let words =
        ["witness", "knock", HOST, "--ports", ports, "--key", key, "--output", "json", "--config", &configuration];
    let output = run(&mut world.command(&agent().to_string_lossy(), &words));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{notes}"));
    let schema: Value = serde_json::from_str(include_str!("../../../docs/witness.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document:#}");
    (output.status.code(), document)
}

fn proved(document: &Value) -> Vec<&str> {
    document["ports"].as_array().expect("ports").iter().filter_map(|port| port["proved"].as_str()).collect()
}

#[test]
fn a_rule_that_drops_is_named_with_the_way_that_it_cuts() {
    let Some((world, _witness)) = witnessed("454,455,16001,8080,123/udp,124/udp") else { return };
    let key = key(&world, "key", "secret");
    let all = "454,455,16001,8080,9999,123/udp,124/udp";
    let (code, document) = knock(&world, "454,455,16001,8080,123/udp,124/udp", &key);
    assert_eq!((code, proved(&document)), (Some(0), vec!["answered"; 6]), "{document:#}");
    assert!(document["seen_as"].as_str().is_some_and(|seen| seen.starts_with(HOST)), "{document:#}");
    let rules = "add table inet t; add chain inet t in { type filter hook input priority 0; }; \
        add chain inet t out { type filter hook output priority 0; }; \
        add rule inet t in tcp dport 455 drop; add rule inet t in tcp dport 8080 reject with icmpx admin-prohibited; \
        add rule inet t in udp sport 124 drop; add rule inet t in tcp sport 16001 drop";
    assert_eq!(world.runs("nft", &[rules]).code, Some(0));
    let (code, document) = knock(&world, all, &key);
    let expected = ["answered", "dropped_in", "dropped_back", "stopped", "refused", "answered", "dropped_back"];
    assert_eq!((code, proved(&document)), (Some(1), expected.to_vec()), "{document:#}");
    // With no port open nobody can say which way loses it.
    let (code, document) = knock(&world, "455", &key);
    assert_eq!((code, proved(&document)), (Some(1), vec!["silent"]), "{document:#}");
}

#[test]
fn another_key_a_file_open_to_others_and_another_server_prove_nothing() {
    let Some((world, witness)) = witnessed("454") else { return };
    let other = key(&world, "other", "wrong!");
    let (code, document) = knock(&world, "454", &other);
    assert_eq!((code, proved(&document)), (Some(1), vec!["unproved"]), "{document:#}");
    world.tcp(HOST, 25, |mut stream| drop(stream.write_all(b"220 mail.example ready\r\n")));
    let (_, document) = knock(&world, "454,25", &key(&world, "key", "secret"));
    assert_eq!(proved(&document), ["answered", "unproved"], "{document:#}");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).expect("the file is ours");
    let said = world.agent(&["witness", "knock", HOST, "--ports", "454", "--key", &other]);
    assert_eq!(said.code, Some(78), "{}", said.text);
    assert!(said.text.contains("has mode 0644") && !said.text.contains("wrong!"), "{}", said.text);
    assert!(!witness.log().contains("secret") && !witness.log().contains("wrong!"), "{}", witness.log());
}

/// Descriptors and resident kilobytes of a process.
fn weight(process: u32) -> (usize, u64) {
    let files = fs::read_dir(format!("/proc/{process}/fd")).expect("it lives").count();
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    (files, line.trim().trim_end_matches(" kB").parse().expect("a number"))
}

/// Sends so many datagrams and opens so many connections, half of them with garbage; returns the bytes that came back.
fn flood(world: &World, count: usize) -> usize {
    world.inside(move || {
        let address: SocketAddr = "20.1.1.1:454".parse().expect("an address");
        let udp = UdpSocket::bind("20.1.1.1:0")?;
        udp.set_nonblocking(true)?;
        let mut heard = 0;
        for number in 0..count {
            drop(udp.send_to(&[b'x'; 168], "20.1.1.1:123"));
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            if number.is_multiple_of(2) {
                drop(stream.write_all(b"ASEKNOCK and nothing that is sealed"));
            } else {
                drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n"));
                heard += stream.read(&mut [0; 64]).unwrap_or(0);
            }
        }
        let mut buffer = [0; 512];
        loop {
            match udp.recv(&mut buffer) {
                Ok(length) => heard += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(heard),
                Err(_) => {}
            }
        }
    })
}

#[test]
fn a_flood_gets_no_byte_and_leaves_the_witness_as_it_was() {
    let Some((world, witness)) = witnessed("454,123/udp") else { return };
    let key = key(&world, "key", "secret");
    assert_eq!(flood(&world, FLOOD / 10), 0);
    let rested = |files: usize| {
        wait_for("the last connection's end", || (weight(witness.id()).0 <= files).then_some(()));
    };
    let (files, before) = weight(witness.id());
    assert_eq!(flood(&world, FLOOD), 0, "{}", witness.log());
    rested(files);
    let (_, after) = weight(witness.id());
    assert!(after <= before + 1024, "{before} kB before, {after} kB after");
    let (code, document) = knock(&world, "454,123/udp", &key);
    assert_eq!((code, proved(&document)), (Some(0), vec!["answered"; 2]), "{document:#}");
    assert!(witness.log().lines().count() < 10, "{}", witness.log());
}

#[test]
fn the_shipped_units_open_low_ports_for_a_user_without_rights() {
    let configuration = "profile: custom\nendpoints: {add: [{host: 127.0.0.1, class: tcp, port: 9}]}\n";
    let Some(systemd) = PrivateSystemd::boot(&shipped(), configuration) else { return };
    let unit = |name: &str| fs::read_to_string(shipped_file(name)).expect("it is shipped");
    for name in ["ase-agent-witness.socket", "ase-agent-witness.service"] {
        systemd.does(&format!("{{ cat >/run/systemd/system/{name} <<'END'\n{}END\n}}", unit(name)));
    }
    systemd.does("umask 077; head -c 32 /dev/urandom | base64 >/etc/ase-agent/witness.key");
    systemd.does("systemctl daemon-reload; systemd-analyze verify ase-agent-witness.socket ase-agent-witness.service");
    systemd.does("systemctl start ase-agent-witness.socket");
    let command = "ase-agent witness knock 127.0.0.1 --ports 454,455,16001,80,443 --key /etc/ase-agent/witness.key \
        --config /etc/ase-agent/ase-agent.yaml";
    let said = systemd.says(&format!("{command}; echo exit $?"));
    assert!(said.contains("exit 0"), "{said}{}", systemd.says("journalctl --no-pager -u ase-agent-witness"));
    let user = systemd.says("systemctl show -p User,DynamicUser,CapabilityBoundingSet ase-agent-witness.service");
    assert!(user.contains("DynamicUser=yes") && user.lines().any(|line| line == "CapabilityBoundingSet="), "{user}");
}
