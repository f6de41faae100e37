//! Facts from canned files, from this machine, and from no machine at all.

use proptest::prelude::*;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a temporary folder");
        fs::write(path, text).expect("a temporary file");
    }
    folder
}

/// The facts of a folder in the place of `/proc`; about the way the kernel says nothing.
fn facts_of(folder: &tempfile::TempDir) -> LocalFacts {
    let way = Way { next_hop: Err(Unread::Absent), neighbour: Err(Unread::Absent), link: Err(Unread::Absent) };
    LocalFacts::from_parts(folder.path(), Err(Unread::Absent), way)
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
    let facts = facts_of(&folder);
    assert_eq!((facts.tcp_sockets, facts.tcp_waiting, facts.udp_sockets), (Ok(8), Ok(33), Ok(5)));
    assert_eq!((facts.port_range, facts.ports()), (Ok(PortRange { first: 32768, last: 60999 }), Some(28232)));
    assert_eq!(facts.files.map(|files| files.limit), Ok(1024));
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
fn what_is_hidden_says_why_and_what_is_not_there_is_not_called_hidden() {
    let folder = folder(&[]);
    let nothing = facts_of(&folder);
    let gone = Unread::Refused(libc::ENOENT);
    let names = ["count of open files", "range of local ports", "count of TCP sockets", "count of waiting TCP sockets"];
    let names = names.into_iter().chain(["count of UDP sockets", "connection tracking table"]);
    let expected: Vec<_> = names.map(|name| (format!("the {name}"), gone)).collect();
    let hidden: Vec<_> = nothing.hidden().into_iter().map(|(what, why)| (what.to_owned(), why)).collect();
    assert_eq!(hidden, expected);
    let line = "the connection tracking table cannot be read: no such file or directory".to_owned();
    assert_eq!((nothing.describe().len(), nothing.describe().contains(&line)), (6, true), "{:?}", nothing.describe());
}

#[test]
fn a_machine_without_connection_tracking_hides_nothing() {
    let without = folder(&[("sys/net/ipv4/ip_local_port_range", "32768\t60999\n")]);
    assert_eq!(facts_of(&without).tracked_flows, Err(Unread::Absent));
    let odd = folder(&[
        ("sys/net/netfilter/nf_conntrack_count", "many\n"),
        ("sys/net/netfilter/nf_conntrack_max", "262144\n"),
        ("sys/net/ipv4/ip_local_port_range", "32768\n"),
    ]);
    let facts = facts_of(&odd);
    assert_eq!((facts.tracked_flows, facts.port_range), (Err(Unread::Unintelligible), Err(Unread::Unintelligible)));
    assert_eq!(facts.hidden()[1].1.to_string(), "its form is not known");
}

#[test]
fn this_machine_knows_its_files_ports_and_loopback_and_hides_nothing() {
    for peer in [SocketAddr::from(([127, 0, 0, 1], 53)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 53))] {
        let facts = LocalFacts::about(peer, &Egress::default());
        assert!(facts.files.is_ok_and(|files| files.used >= 3 && files.used < files.limit), "{:?}", facts.files);
        assert!(facts.ports() > Some(0) && facts.tcp_sockets.is_ok(), "{facts:?}");
        assert_eq!(facts.hidden(), Vec::new());
        // A machine may have no IPv6.
        if peer.is_ipv4() || facts.source == Ok(Ok(peer.ip())) {
            assert_eq!((facts.source, facts.link), (Ok(Ok(peer.ip())), Ok(true)));
            assert_eq!(facts.next_hop, Ok(NextHop { device: "lo".to_owned(), address: peer.ip() }));
        }
    }
}

#[test]
fn a_device_that_does_not_exist_has_no_facts() {
    let through_nothing = Egress { interface: Some("nothing7".to_owned()), ..Egress::default() };
    let facts = LocalFacts::about(SocketAddr::from(([127, 0, 0, 1], 53)), &through_nothing);
    assert_eq!((facts.source, facts.link), (Err(Unread::Absent), Err(Unread::Absent)));
    let through_loopback = Egress { interface: Some("lo".to_owned()), ..Egress::default() };
    assert_eq!(LocalFacts::about(SocketAddr::from(([127, 0, 0, 1], 53)), &through_loopback).link, Ok(true));
}

proptest! {
    #[test]
    fn any_file_is_read(text in "\\PC*", line in "[ 0-9a-zA-Z:\\tx.*]{0,80}") {
        for table in [text, format!("TCP: inuse 1\n{line}")] {
            prop_assert!(port_range(&table).is_err() || table.contains(char::is_numeric));
            let files = [Ok(table.clone()), Err(Unread::Absent)];
            prop_assert!(sum(&files, &["TCP:"], "inuse").is_err() || table.contains("inuse"));
        }
    }
}
