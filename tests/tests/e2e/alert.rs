//! From the wire to the pager: one lost dependency is one page that names its cause, and nothing less pages at all.

use std::process::Command;

use crate::process::{binary, require, run};

/// Runs `ase-lab alert`; `None` where a part is missing and may be.
fn alert(words: &[&str]) -> Option<String> {
    let needed = [
        ("ip", "iproute2"),
        ("prometheus", "prometheus"),
        ("prometheus-alertmanager", "prometheus-alertmanager"),
        ("setpriv", "util-linux"),
    ];
    if !needed.iter().all(|(program, package)| require(program, package)) {
        return None;
    }
    if run(Command::new("id").arg("-u")).stdout != b"0\n" {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "a fault box needs root");
        println!("SKIPPED: a fault box needs root");
        return None;
    }
    let output = run(Command::new(binary("ase-lab")).arg("alert").args(words));
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{error}");
    Some(said.into_owned())
}

#[test]
fn a_cut_is_one_page_with_its_cause_and_smaller_things_are_none() {
    let Some(said) = alert(&[]) else { return };
    assert_eq!(said.matches("nobody is paged").count(), 4, "{said}");
    assert!(said.contains("exactly one page and its resolve"), "{said}");
    assert!(said.contains("page: AseDependencyLost class=sql cause=dropped"), "{said}");
}

#[test]
fn a_lost_way_out_is_one_page_for_all_classes() {
    let Some(said) = alert(&["--cut", "egress", "--cut-only"]) else { return };
    assert!(said.contains("exactly one page and its resolve"), "{said}");
    assert!(said.contains("page: AseEgressLost class=- cause=dropped"), "{said}");
}

#[test]
fn a_silent_dns_server_is_one_page_for_all_names() {
    let Some(said) = alert(&["--cut", "dns", "--cut-only"]) else { return };
    assert!(said.contains("exactly one page and its resolve"), "{said}");
    assert!(said.contains("page: AseDnsLost class=dns"), "{said}");
}

#[test]
fn an_offline_machine_is_a_ticket_and_no_page() {
    let Some(said) = alert(&["--cut", "machine", "--cut-only"]) else { return };
    assert!(said.contains("ticket: AseProberOffline"), "{said}");
    assert_eq!(said.matches("nobody is paged").count(), 2, "{said}");
}
