//! From the wire to the pager: one lost dependency is one page that names its cause, and nothing less pages at all.

use std::process::Command;

use crate::process::{binary, require, run};

#[test]
fn a_cut_is_one_page_with_its_cause_and_smaller_things_are_none() {
    let needed = [("ip", "iproute2"), ("prometheus", "prometheus"), ("setpriv", "util-linux")];
    let is_there = |(program, package): &(&str, &str)| require(program, package);
    if !needed.iter().all(is_there) || !require("prometheus-alertmanager", "prometheus-alertmanager") {
        return;
    }
    let is_root = run(Command::new("id").arg("-u")).stdout == b"0\n";
    if !is_root {
        assert!(std::env::var_os("ASE_ALLOW_SKIP").is_some(), "a fault box needs root");
        println!("SKIPPED: a fault box needs root");
        return;
    }
    let output = run(Command::new(binary("ase-lab")).arg("alert"));
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{error}");
    assert_eq!(said.matches("nobody is paged").count(), 4, "{said}");
    assert!(said.contains("page: AseDependencyLost class=sql cause=dropped"), "{said}");
    assert!(said.contains("exactly one page and its resolve"), "{said}");
}
