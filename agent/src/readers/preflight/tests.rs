//! A preflight of the sample and of what each check may say.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    golden::assert_golden,
    lint::{
        finding::{Finding, Kind, Severity, Unjudged},
        size::{FRONT_END_EVERY, Generation, Plan, add_up},
    },
    model::{endpoint::Status, visit::Untested},
    readers::paper::Look,
    resolvers::{compare::ComparisonClass, compare::Worry, names::NameView},
    sample,
};

const NARROW: Look = Look { width: Some(80), height: None, colour: false, verbose: false, only_failed: false };

/// The sample, all well, with a clock that was compared.
fn well() -> Snapshot {
    let mut snapshot = sample::snapshot();
    sample::set_all(&mut snapshot, Status::Healthy);
    snapshot.incidents.open.clear();
    snapshot.names = Arc::default();
    (snapshot.host_dns.suffixes, snapshot.exports) = (Vec::new(), None);
    snapshot
}

fn judged(snapshot: &Snapshot, exported: Option<&Exported<'_>>) -> Preflight {
    Preflight::of(Known { snapshot, exported, private: &BTreeSet::new(), planned: None })
}

fn state(preflight: &Preflight, id: &str) -> State {
    preflight.checks.iter().find(|check| check.id == id).expect("there is such a check").state()
}

#[test]
fn the_sample_reads_as_reviewed() {
    let snapshot = sample::snapshot();
    let view = snapshot.exports.as_ref().expect("the sample has exports");
    let report = view.reading.judged.as_deref().map(|judged| &judged.report);
    let exported = Exported { report, wrong: &[], has_subnet: true, is_stale: false };
    let preflight = judged(&snapshot, Some(&exported));
    let text =
        render(&preflight, &snapshot, NARROW).replace(&format!("agent {}", crate::readers::VERSION), "agent VERSION");
    assert_golden("tests/golden/preflight.txt", &text);
    assert_eq!((preflight.verdict(), preflight.verdict().exit_code()), (Verdict::NoGo, 1));
}

#[test]
fn where_all_is_well_it_is_a_go_and_what_was_not_given_is_named() {
    let preflight = judged(&well(), None);
    assert_eq!(preflight.verdict(), Verdict::Go, "{preflight:?}");
    assert!(preflight.sentence().starts_with("go: "), "{}", preflight.sentence());
    for id in ["exports", "subnet", "private_names"] {
        assert_eq!(state(&preflight, id), State::NotGiven, "{id}");
    }
    let servers = &preflight.checks[0];
    assert!(servers.looked.contains("only when it restarts"), "{servers:?}");
}

#[test]
fn a_planned_size_is_judged_by_the_sum_of_the_documents_and_one_without_a_subnet_is_open() {
    let (snapshot, private) = (well(), BTreeSet::new());
    let internal = Generation::V2 { internal: true, front_end_every: FRONT_END_EVERY };
    let plan = Plan { instances: 30, flavour: "any".to_owned(), container_apps: 0, zone_redundant: false };
    let sum = add_up(internal, &[plan]);
    for (prefix, verdict, expected) in [
        (Some(25), Verdict::Go, None),
        (Some(27), Verdict::NoGo, Some("a /27 has 32 addresses, 81 are needed while the largest plan is resized")),
        (None, Verdict::Undecided, Some("whether the planned size fits is open: nobody said the prefix of the subnet")),
    ] {
        let planned = Planned { instances: 30, sum: sum.clone(), prefix };
        let known = Known { snapshot: &snapshot, exported: None, private: &private, planned: Some(&planned) };
        let preflight = Preflight::of(known);
        let check = preflight.checks.last().expect("the subnet is the last check");
        assert_eq!(check.looked, "30 instances take 51 addresses, 81 at the peak");
        assert_eq!(check.reasons.first().map(|reason| &*reason.what), expected);
        assert_eq!(preflight.verdict(), verdict, "{prefix:?}");
    }
}

#[test]
fn a_change_of_servers_that_this_machine_remembers_is_a_warning_with_its_time() {
    let mut snapshot = well();
    snapshot.host_dns.changed = Some(sample::AT - Duration::from_secs(60));
    let preflight = judged(&snapshot, None);
    assert_eq!((preflight.verdict(), state(&preflight, "dns_servers")), (Verdict::GoWithWarnings, State::Warning));
    let what = &preflight.checks[0].reasons[0].what;
    assert!(what.contains("2027-01-15T07:59:00Z") && what.contains("restart"), "{what}");
}

#[test]
fn what_is_critical_and_not_known_decides_nothing() {
    let mut snapshot = well();
    Arc::make_mut(&mut snapshot.endpoints[5]).status = Status::Unknown(Untested::BudgetSpent);
    let preflight = judged(&snapshot, None);
    assert_eq!((preflight.verdict(), preflight.verdict().exit_code()), (Verdict::Undecided, 3));
    let mut lost = snapshot;
    let failed = sample::snapshot().endpoints[8].status;
    Arc::make_mut(&mut lost.endpoints[8]).status = failed;
    assert_eq!(judged(&lost, None).verdict(), Verdict::NoGo, "what is known to be lost decides");
}

#[test]
fn what_is_lost_of_lesser_severity_is_a_warning() {
    let mut snapshot = well();
    let warning =
        snapshot.endpoints.iter().position(|view| view.endpoint.severity != crate::model::catalog::Severity::Critical);
    let failed = sample::snapshot().endpoints[8].status;
    Arc::make_mut(&mut snapshot.endpoints[warning.expect("the sample has one")]).status = failed;
    assert_eq!(judged(&snapshot, None).verdict(), Verdict::GoWithWarnings);
}

fn compared(name: &str, class: ComparisonClass, addresses: &[&str]) -> NameView {
    let mut view = (*sample::snapshot().names[0]).clone();
    view.name = name.into();
    let mut survey = view.last.as_deref().expect("the first name is compared").clone();
    survey.custom.addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    view.last = Some(Arc::new(survey));
    let mut comparison = view.published.expect("the first name is compared");
    (comparison.class, comparison.worry) = (class, class.worry());
    view.published = Some(comparison);
    view
}

#[test]
fn a_private_name_must_lead_to_private_addresses_alone() {
    let declared: BTreeSet<String> = ["corp.example".to_owned()].into();
    let rows = [
        (&["10.0.0.20"][..], State::Go, ""),
        (&["10.0.0.20", "203.0.113.7"][..], State::NoGo, "the way changes"),
        (&["203.0.113.7"][..], State::NoGo, "public addresses only"),
    ];
    for (addresses, wanted, words) in rows {
        let mut snapshot = well();
        snapshot.names = Arc::new(vec![Arc::new(compared("db.corp.example", ComparisonClass::Identical, addresses))]);
        let preflight = Preflight::of(Known { snapshot: &snapshot, exported: None, private: &declared, planned: None });
        assert_eq!(state(&preflight, "private_names"), wanted, "{addresses:?}");
        let said = preflight.checks[2].reasons.first().map(|reason| reason.what.clone()).unwrap_or_default();
        assert!(said.contains(words), "{said}");
        assert_eq!(state(&preflight, "public_names"), State::NotGiven);
    }
    let other = compared("notcorp.example", ComparisonClass::Identical, &["203.0.113.7"]);
    let mut snapshot = well();
    snapshot.names = Arc::new(vec![Arc::new(other)]);
    let preflight = Preflight::of(Known { snapshot: &snapshot, exported: None, private: &declared, planned: None });
    assert_eq!((state(&preflight, "private_names"), state(&preflight, "public_names")), (State::NotGiven, State::Go));
}

#[test]
fn names_are_weighed_by_who_needs_them() {
    let rows = [
        ("named.example", ComparisonClass::CustomNegative, State::NoGo),
        ("named.example", ComparisonClass::AzureNegative, State::Warning),
        ("login.microsoftonline.com", ComparisonClass::Hijack, State::NoGo),
        ("crl.microsoft.com", ComparisonClass::Hijack, State::Warning),
    ];
    for (name, class, wanted) in rows {
        let mut snapshot = well();
        snapshot.names = Arc::new(vec![Arc::new(compared(name, class, &["203.0.113.7"]))]);
        assert_eq!(state(&judged(&snapshot, None), "public_names"), wanted, "{name} {class:?}");
    }
    assert_eq!(ComparisonClass::Hijack.worry(), Worry::Bad);
    let mut snapshot = well();
    snapshot.names = Arc::new(vec![Arc::clone(&sample::snapshot().names[1])]);
    assert_eq!(state(&judged(&snapshot, None), "public_names"), State::Open, "it was not compared");
}

#[test]
fn exports_are_weighed_as_the_lint_weighs_them() {
    let finding = |kind, severity| Finding::new(kind, severity, "because");
    let rows = [
        (vec![], vec![], State::Go, State::Go),
        (vec![finding(Kind::Blocked, Severity::Critical)], vec![], State::NoGo, State::Go),
        (vec![finding(Kind::Subnet, Severity::Critical)], vec![], State::Go, State::NoGo),
        (vec![finding(Kind::TooWide, Severity::Warning)], vec![], State::Warning, State::Go),
        (vec![finding(Kind::DefaultOnly, Severity::Info)], vec![], State::Go, State::Go),
        (vec![], vec![Unjudged { why: "no tags".to_owned(), ..Unjudged::default() }], State::Open, State::Go),
    ];
    for (findings, could_not_judge, rules, subnet) in rows {
        let report = Report { findings, could_not_judge, ..Report::default() };
        let exported = Exported { report: Some(&report), has_subnet: true, ..Exported::default() };
        let preflight = judged(&well(), Some(&exported));
        assert_eq!((state(&preflight, "exports"), state(&preflight, "subnet")), (rules, subnet), "{report:?}");
    }
    let wrong = ["exports.nsg (nsg.json) is empty".to_owned()];
    let exported = Exported { wrong: &wrong, ..Exported::default() };
    let preflight = judged(&well(), Some(&exported));
    assert_eq!((preflight.verdict(), state(&preflight, "subnet")), (Verdict::Undecided, State::NotGiven));
    let (report, empty) = (Report::default(), []);
    let exported = Exported { report: Some(&report), wrong: &empty, has_subnet: false, is_stale: true };
    assert_eq!(judged(&well(), Some(&exported)).verdict(), Verdict::GoWithWarnings);
}

#[test]
fn the_clock_is_compared_with_the_middle_of_the_servers() {
    let mut snapshot = well();
    assert_eq!(state(&judged(&snapshot, None), "clock"), State::Go);
    snapshot.endpoints.retain(|view| view.endpoint.class != ase_probes::class::Class::Ntp);
    assert_eq!(state(&judged(&snapshot, None), "clock"), State::NotGiven);
    let mut snapshot = well();
    for view in snapshot.endpoints.iter_mut().filter(|view| view.endpoint.class == ase_probes::class::Class::Ntp) {
        Arc::make_mut(view).last = None;
    }
    assert_eq!(state(&judged(&snapshot, None), "clock"), State::Open);
}
