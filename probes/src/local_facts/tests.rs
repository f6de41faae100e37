//! Facts from canned tables, from this machine, and from no machine at all.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
    eth0\t00000000\t0101000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
    eth1\t00000000\t0102000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
    eth0\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
    eth1\t0000A8C0\t0102000A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
    *\t070AA8C0\t00000000\t0205\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";
const NEIGHBOURS: &str = "IP address       HW type     Flags       HW address            Mask     Device\n\
    10.0.1.1         0x1         0x2         02:fc:00:00:00:05     *        eth0\n\
    10.0.2.1         0x1         0x0         00:00:00:00:00:00     *        eth1\n\
    10.0.1.1         0x1         0x0         00:00:00:00:00:00     *        eth1\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a temporary folder");
        fs::write(path, text).expect("a temporary file");
    }
    folder
}

#[test]
#[cfg(target_endian = "little")]
fn the_most_specific_usable_route_names_the_next_hop() {
    let folder = folder(&[("thread-self/net/route", ROUTES), ("thread-self/net/arp", NEIGHBOURS)]);
    for (peer, device, hop, answered) in [
        ("20.1.2.3", "eth0", "10.0.1.1", Some(true)),
        ("10.0.1.9", "eth0", "10.0.1.9", None),
        ("192.168.10.8", "eth1", "10.0.2.1", Some(false)),
        ("192.168.10.7", "eth1", "10.0.2.1", Some(false)),
    ] {
        let facts = LocalFacts::from_proc(folder.path(), peer.parse().expect("an address"));
        let address: Ipv4Addr = hop.parse().expect("an address");
        assert_eq!(facts.next_hop, Some(NextHop { device: device.to_owned(), address }), "{peer}");
        assert_eq!(facts.neighbour, answered.map(|answered| Neighbour { address, answered }), "{peer}");
    }
    assert_eq!(LocalFacts::from_proc(folder.path(), "2001:db8::1".parse().expect("an address")).next_hop, None);
}

#[test]
fn gauges_are_read_with_their_limits() {
    let folder = folder(&[
        (
            "thread-self/net/sockstat",
            "sockets: used 52\nTCP: inuse 7 orphan 0 tw 33 alloc 7 mem 332\nUDP: inuse 2 mem 0\nUDPLITE: inuse 9\n",
        ),
        ("thread-self/net/sockstat6", "TCP6: inuse 1\nUDP6: inuse 3\n"),
        ("sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ("sys/net/netfilter/nf_conntrack_count", "249100\n"),
        ("sys/net/netfilter/nf_conntrack_max", "262144\n"),
        (
            "self/limits",
            "Limit    Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n",
        ),
        ("self/fd/0", ""),
    ]);
    let facts = LocalFacts::from_proc(folder.path(), [20, 0, 0, 1].into());
    assert_eq!((facts.tcp_sockets, facts.tcp_waiting, facts.udp_sockets), (Some(8), Some(33), Some(5)));
    assert_eq!((facts.port_range, facts.ports()), (Some((32768, 60999)), Some(28232)));
    assert_eq!(facts.files.map(|files| files.limit), Some(1024));
    let flows = facts.tracked_flows.expect("both files are there");
    assert!(flows.is_nearly_full() && !Usage { used: 249_000, ..flows }.is_nearly_full());
    let lines = facts.describe();
    assert!(lines.contains(&"8 TCP sockets (33 more waiting) and 5 UDP sockets on 28232 local ports".to_owned()));
    assert!(
        lines.contains(&"connection tracking of this machine holds 249100 of 262144 flows".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn a_machine_that_tells_nothing_has_no_facts() {
    let folder = folder(&[]);
    let facts = LocalFacts::from_proc(folder.path(), [20, 0, 0, 1].into());
    assert_eq!((&facts, facts.describe()), (&LocalFacts::default(), Vec::new()));
}

#[test]
fn this_machine_knows_its_files_ports_and_loopback() {
    let peer = SocketAddr::from(([127, 0, 0, 1], 53));
    let facts = LocalFacts::about(peer, &Egress::default());
    assert!(facts.files.is_some_and(|files| files.used >= 3 && files.used < files.limit), "{:?}", facts.files);
    assert!(facts.ports() > Some(0) && facts.tcp_sockets.is_some(), "{facts:?}");
    assert_eq!(facts.source, Some(Ok(peer.ip())));
    let through_loopback = Egress { source: None, interface: Some("lo".to_owned()) };
    assert_eq!(LocalFacts::about(peer, &through_loopback).link, Some(true));
    let through_nothing = Egress { source: None, interface: Some("nothing7".to_owned()) };
    let facts = LocalFacts::about(peer, &through_nothing);
    assert_eq!((facts.source, facts.link), (None, None));
}

proptest! {
    #[test]
    fn any_table_is_read(route in "\\PC*", line in "[ 0-9a-fA-F\\tx.*]{0,80}", peer: [u8; 4]) {
        let hop = NextHop { device: "eth0".to_owned(), address: peer.into() };
        for table in [route, format!("header\n{line}")] {
            prop_assert!(route::next_hop(&table, peer.into()).is_none_or(|hop| !hop.device.is_empty()));
            prop_assert!(route::neighbour(&table, &hop).is_none_or(|found| found.address == hop.address));
            prop_assert!(pair(&table).is_none() || table.contains(char::is_numeric));
            prop_assert!(sum(&[Some(table.clone())], &["TCP:"], "inuse").is_none() || table.contains("inuse"));
        }
    }
}
