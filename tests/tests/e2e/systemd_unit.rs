//! The shipped unit file under a real systemd: the agent runs behind its restrictions, every fact about the machine is
//! read through them, and the rules that rest on those facts fire.

use std::net::{Ipv4Addr, UdpSocket};

use serde_json::{Value, json};

use crate::{
    http_client::{standing, status},
    private_systemd::{PAGE, PrivateSystemd, shipped},
    process::wait_for,
};

/// An address behind a wire whose other end is in the same namespace and answers nothing.
const SILENT: &str = "10.53.1.9:443";
const CONFIGURATION: &str = "resolvers: {custom: [127.0.0.1]}\nprofile: custom\nendpoints:\n  \
    add: [{class: tcp, host: 10.53.1.9, port: 443, interval: 1s, timeout: 500ms}]\n\
    pace: {failing_interval: 500ms, confirm_after: 200ms, flows_per_destination: 1000}\n";
/// A device with a router that never answers and is known by its link address, so that what is sent there is silence.
const WIRE: &str = "ip link set lo up; ip link add wire1 type veth peer name far; ip link set far up; \
    ip addr add 10.53.1.4/24 dev wire1; ip link set wire1 up; \
    for a in 10.53.1.1 10.53.1.9; do ip neigh add $a lladdr 02:00:00:00:00:01 dev wire1; done; \
    ip route add default via 10.53.1.1";
/// Connection tracking begins with the first rule that asks for it.
const TRACKING: &str = "nft add table inet t; nft 'add chain inet t out { type filter hook output priority 0; }'; \
    nft add rule inet t out oif lo accept; nft add rule inet t out ct state invalid drop";

/// Boots with a wire and connection tracking.
fn booted(unit: &str) -> Option<PrivateSystemd> {
    let systemd = PrivateSystemd::boot(unit, CONFIGURATION)?;
    systemd.does(WIRE);
    systemd.does(TRACKING);
    operstate(&systemd, "up");
    Some(systemd)
}

fn operstate(systemd: &PrivateSystemd, wanted: &str) {
    wait_for(wanted, || (systemd.says("cat /sys/class/net/wire1/operstate").trim() == wanted).then_some(()));
}

/// Starts the unit and returns the first status.
fn started(systemd: &PrivateSystemd) -> Value {
    systemd.does("systemctl start ase-agent");
    wait_for("the agent", || {
        assert_eq!(systemd.says("systemctl is-active ase-agent").trim(), "active", "the agent has ended");
        systemd.inside(|| status(PAGE))
    })
}

/// Waits until the silent endpoint is said to have this cause, and returns everything that is said then.
fn until_cause(systemd: &PrivateSystemd, wanted: &str) -> String {
    wait_for(wanted, || {
        let now = systemd.inside(|| status(PAGE))?;
        (standing(&now, SILENT).1.as_deref() == Some(wanted)).then(|| now.to_string())
    })
}

#[test]
fn the_agent_runs_behind_the_shipped_restrictions_and_reads_every_fact() {
    let unit = shipped();
    let Some(systemd) = booted(&unit) else { return };
    assert_eq!(systemd.says("systemd-analyze verify ase-agent.service"), "", "the unit is clean");
    systemd.does("systemd-analyze security --offline=true --threshold=15 --no-pager ase-agent.service");
    let machine = started(&systemd)["machine"].clone();
    assert_eq!(machine["hidden"], json!([]));
    assert_eq!(machine["link_up"], json!(true));
    assert_eq!(machine["source"], json!("10.53.1.4"));
    assert_eq!(machine["next_hop"], json!({"device": "wire1", "address": "10.53.1.1"}));
    assert_eq!(machine["neighbour_answered"], json!(true));
    let number = |script: &str| systemd.says(script).trim().parse::<u64>().expect("a number");
    let limit = number("cat /proc/sys/net/netfilter/nf_conntrack_max");
    assert_eq!(machine["tracked_flows"]["limit"], json!(limit));
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let (first, last) = (number(&format!("cut -f1 {range}")), number(&format!("cut -f2 {range}")));
    assert_eq!(machine["port_range"], json!([first, last]));
    let files = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")).expect("the unit says how many files");
    assert_eq!(machine["files"]["limit"].to_string(), files);
    assert!(!systemd.journal().contains("cannot be read"));
    systemd.does("systemctl reload ase-agent; systemctl stop ase-agent");
    assert_eq!(systemd.says("systemctl show -P Result ase-agent").trim(), "success");
}

#[test]
fn a_unit_that_restricts_more_hides_facts_and_the_agent_says_which() {
    for (from, to, expected) in [
        (
            "ProtectProc=invisible\n",
            "ProtectProc=invisible\nProcSubset=pid\n",
            [("port_range", "the range of local ports"), ("tracked_flows", "the connection tracking table")],
        ),
        ("AF_NETLINK ", "", [("link_up", "the link state"), ("next_hop", "the route")]),
    ] {
        let unit = shipped().replace(from, to);
        assert_ne!(unit, shipped(), "{from:?} is in the unit");
        let Some(systemd) = booted(&unit) else { return };
        let machine = started(&systemd)["machine"].clone();
        let journal = systemd.journal();
        for (key, fact) in expected {
            assert_eq!(machine[key], Value::Null, "{key}: {journal}");
            let hidden = machine["hidden"].as_array().expect("a list").iter().any(|entry| entry["fact"] == fact);
            assert!(hidden && journal.contains(fact), "{fact}: {machine}\n{journal}");
        }
    }
}

#[test]
fn a_link_that_is_down_is_found_behind_the_shipped_restrictions() {
    let Some(systemd) = booted(&shipped()) else { return };
    systemd.does("ip link set far down");
    operstate(&systemd, "lowerlayerdown");
    assert_eq!(started(&systemd)["machine"]["link_up"], json!(false));
    let said = until_cause(&systemd, "next_hop_down");
    assert!(said.contains("the network card has no link"), "{said}");
}

#[test]
fn a_full_connection_tracking_table_is_found_behind_the_shipped_restrictions() {
    let Some(systemd) = booted(&shipped()) else { return };
    let gauge = |name: &str| -> u64 {
        systemd.says(&format!("cat /proc/sys/net/netfilter/nf_conntrack_{name}")).trim().parse().expect("a number")
    };
    systemd.does("echo 600 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout");
    // A full table lets known flows pass and drops the first packet of every other.
    systemd.does("nft add rule inet t out ct state new drop");
    let limit = gauge("max");
    systemd.inside(move || fill(limit - limit / 50));
    assert!(gauge("count") >= limit - limit / 20, "{} of {limit}", gauge("count"));
    let machine = started(&systemd)["machine"].clone();
    assert_eq!(machine["tracked_flows"]["limit"], json!(limit), "{machine}");
    let said = until_cause(&systemd, "local_firewall");
    assert!(said.contains("net.netfilter.nf_conntrack_max"), "{said}");
}

/// Makes so many flows over the loopback device, which never answer: one datagram to each of as many of its addresses.
fn fill(flows: u64) {
    let sink = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("there are free ports");
    let port = sink.local_addr().expect("bound above").port();
    let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 0));
    for number in 0..u32::try_from(flows).expect("the kernel's limit is a small number") {
        source.send_to(b"flow", (Ipv4Addr::from(first + number), port)).expect("loopback takes it");
    }
}
