//! What is told of an incident, wherever the pages tell of it.

use std::sync::Arc;

use ase_probes::cause::Cause;

use super::*;
use crate::{
    model::{diagnosis::Scope, endpoint::Status},
    readers::page::{
        reading::{card, copied, endpoint_of, incident_of, page, words},
        remembered_incident,
    },
    sample,
    store::rows::IncidentRow,
};

#[test]
fn a_card_says_first_what_it_types_first() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    let told = words(&incident_of(&snapshot));
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
    assert!(at("First check outbound NSG rules") < at("Next check what was changed"), "{told}");
    assert!(told.contains("Expect access Deny and its ruleName if an NSG drops it"), "{told}");
    assert!(told.contains("- **Expect:** access Deny and its ruleName"), "the copy says so as well: {told}");
    assert!(
        at("Next check what was changed") < at("test-ip-flow") && at("test-ip-flow") < at("show-next-hop"),
        "{told}"
    );
}

#[test]
fn what_is_to_be_known_before_one_types_stands_once_before_the_commands() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    Arc::make_mut(&mut snapshot.incidents.open[0]).scope = Scope::Egress;
    let (first, alone) = (page(&snapshot), incident_of(&snapshot));
    for html in [card(&first), alone.split("Report</h2>").next().expect("the report is last")] {
        let told = words(html);
        let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what}: {told}"));
        for said in ["az needs what is broken here", "GROUP: the resource group of", "NIC: its network interface"] {
            assert!(at(said) < at("az network") && told.matches(said).count() == 1, "{said}: {told}");
        }
    }
    for html in [first, alone] {
        let report = copied(&html);
        let at = |what: &str| report.find(what).unwrap_or_else(|| panic!("{what}: {report}"));
        assert!(at("- **Note:** `az` needs") < at("- **Type:**"), "{report}");
        assert!(at("- **Fill in:** GROUP: the resource group") < at("- **Type:**"), "{report}");
    }
    Arc::make_mut(&mut snapshot.incidents.open[0]).finding.cause = Cause::LocalClock;
    assert!(!page(&snapshot).contains("GROUP"), "there is nothing to fill in");
}

#[test]
fn a_command_that_changes_something_is_told_from_those_that_look() {
    let mut snapshot = sample::snapshot();
    snapshot.exports = None;
    Arc::make_mut(&mut snapshot.incidents.open[0]).finding.cause = Cause::LocalClock;
    for html in [page(&snapshot), incident_of(&snapshot)] {
        let told = words(&html);
        let changed = "this sets this machine's clock at once, and the times of logs and running programs leap with it";
        assert!(told.replace("&#39;", "'").contains(&format!("Mend {changed}: sudo chronyc makestep")), "{told}");
        assert_eq!(told.matches("Mend this ").count(), 1, "{told}");
        assert!(
            copied(&html).contains("`sudo chronyc makestep`") && copied(&html).contains("- **Mend** (this "),
            "{html}"
        );
    }
}

#[test]
fn since_when_an_incident_and_its_endpoints_are_lost_is_said_with_what_that_means() {
    let snapshot = sample::snapshot();
    let id = snapshot.incidents.open[0].endpoints[0].to_string();
    let first = words(&page(&snapshot));
    assert!(first.contains("Since: when the state was confirmed. An incident counts from the first visit"), "{first}");
    let alone = words(&endpoint_of(&snapshot, &id));
    assert!(alone.contains("UTC (confirmed then)"), "{alone}");
    assert!(alone.contains("since 2027-01-15 07:47:25 UTC (the first visit that showed it)"), "{alone}");
}

#[test]
fn the_phase_of_one_is_not_said_of_everything_outside() {
    let mut snapshot = sample::snapshot();
    assert!(words(&incident_of(&snapshot)).contains("likely on the path in phase connect Copy as Markdown What to do"));
    Arc::make_mut(&mut snapshot.incidents.open[0]).scope = Scope::Egress;
    let told = words(&incident_of(&snapshot));
    assert!(told.contains("likely on the path Copy as Markdown What to do"), "{told}");
    let row = |side: &str| IncidentRow { side: side.to_owned(), phase: "ntp".to_owned(), ..IncidentRow::default() };
    let told = |side| words(&remembered_incident(&snapshot, &row(side)));
    assert!(told("local").contains("on this machine") && !told("local").contains("phase ntp"));
    assert!(told("of a later version").contains("where is not known"));
}

#[test]
fn endpoints_of_an_incident_that_count_as_healthy_are_said_to_be_not_confirmed_yet() {
    let mut snapshot = sample::snapshot();
    assert!(!words(&page(&snapshot)).contains("not confirmed"), "all of the sample are");
    let id = snapshot.incidents.open[0].endpoints[1].clone();
    let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id == id).expect("it is watched");
    Arc::make_mut(view).status = Status::Healthy;
    let said = "Hits 2, of which 1 is not confirmed yet";
    assert!(words(&page(&snapshot)).contains(said));
    assert!(words(&incident_of(&snapshot)).contains("Endpoints 2, of which 1 is not confirmed yet"));
    let own = |snapshot: &Snapshot| endpoint_of(snapshot, &id.0);
    assert!(words(&own(&snapshot)).contains("; its last visit was bad, which is not confirmed yet"));
    sample::set_all(&mut snapshot, Status::Healthy);
    for view in &mut snapshot.endpoints {
        let visit = Arc::make_mut(view).last.as_mut().map(Arc::make_mut);
        visit.into_iter().for_each(|visit| visit.result = Ok(ase_probes::verdict::Verdict::Healthy));
    }
    assert!(!words(&page(&snapshot)).contains("not confirmed"), "who answers again needs no confirmation");
}
