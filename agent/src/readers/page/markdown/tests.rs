//! What a copied report says, and that nothing in it is read as marks.

use std::sync::Arc;

use crate::{
    model::catalog::EndpointId,
    readers::page::reading::{copied, incident_of, page},
    sample,
};

#[test]
fn what_a_peer_says_is_no_markup_in_a_copied_report() {
    let mut snapshot = sample::snapshot();
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.evidence = vec!["server said ![x](http://x.example/) <img src=x> `a` **b**".to_owned()];
    incident.component = "[TCP 1433](http://x.example/)".to_owned();
    incident.hint = Some("ask `az network nic list`");
    for html in [page(&snapshot), incident_of(&snapshot)] {
        let report = copied(&html);
        for said in [
            "### \\[TCP 1433\\](http://x.example/): ",
            "- server said \\!\\[x\\](http://x.example/) &lt;img src=x&gt; \\`a\\` \\*\\*b\\*\\*",
            "- **Cause:** `dropped` (likely, side path, scope port)",
        ] {
            assert!(report.contains(said), "{said}: {report}");
        }
    }
}

#[test]
fn a_copied_report_says_all_that_the_page_says() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.hides = vec![incident.endpoints[1].clone()];
    for html in [page(&snapshot), incident_of(&snapshot)] {
        let report = copied(&html);
        for said in [
            "(the first visit that showed it; 12 min)\n",
            "\n- **Hint:** a rule for this port is the first suspect\n",
            "\n- **Hides:** 1 of these 2: its own service could not be tested\n",
            "\nEvidence:\n\n- no other host works on the same port\n- 203.0.113.40:1433",
            "\nWhat was asked and answered (rule R10 for 2 endpoints, observed):\n\n- ",
            "\nWhat else it could be:\n\n- `local_firewall` ",
            ": if the platform's own address does not answer either\n  - **Type:** `sudo nft list ruleset`\n",
        ] {
            assert!(report.contains(said), "{said:?}: {report}");
        }
    }
}

#[test]
fn a_copied_report_of_many_endpoints_names_some_whole_and_counts_the_rest() {
    let mut snapshot = sample::snapshot();
    let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
    incident.endpoints = (0..98).map(|number| EndpointId(format!("shard-{number}.example:1433").into())).collect();
    let report = copied(&page(&snapshot));
    let hits = report.lines().find(|line| line.starts_with("- **Hits:** ")).expect("a line of hits");
    let named = hits.matches(".example:1433").count();
    assert!(hits.starts_with("- **Hits:** shard-0.example:1433, shard-1.example:1433, "), "{hits}");
    assert!(
        named < 98 && hits.ends_with(&format!("shard-{}.example:1433 and {} more", named - 1, 98 - named)),
        "{hits}"
    );
}
