//! Two editions of an export, and what must be said of the change.

use serde_json::{Value, json};

use super::{
    Question,
    diff::diff,
    tests::{BASE, group, question, rule},
    ways_tests::table,
};
use crate::lint::{
    change::{Change, Diff, Turn},
    finding::Severity,
    read::Export,
    seen::SeenFlow,
    traffic::Protocols,
};

fn export(values: &[Value]) -> Export {
    let mut export = Export::default();
    for value in values {
        export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    }
    export
}

fn compared(question: &Question, before: &[Value], after: &[Value], seen: &[SeenFlow]) -> Diff {
    diff(question, &export(before), &export(after), seen)
}

/// What changes between the base with some rules and the base with others.
fn of(before: &[&str], after: &[&str]) -> Diff {
    let with = |lines: &[&str]| group(&[BASE.as_slice(), lines].concat());
    compared(&question("ase-v2"), &[with(before)], &[with(after)], &[])
}

/// `breaks out-https` and the like, but for information.
fn turns(diff: &Diff) -> Vec<String> {
    let above = diff.changes.iter().filter(|change| change.severity > Severity::Info);
    let mut turns: Vec<String> = above.map(|change| format!("{} {}", change.turn.label(), change.about)).collect();
    turns.sort();
    turns
}

fn change<'a>(diff: &'a Diff, about: &str) -> &'a Change {
    diff.changes.iter().find(|change| change.about == about).unwrap_or_else(|| panic!("{about}: {:?}", diff.changes))
}

#[test]
fn the_same_twice_is_no_change_whatever_is_wrong_with_it() {
    let lines = ["200 Out deny tcp *>Internet 443 no-web", "300 Out allow tcp *>* 443 web"];
    let same = of(&lines, &lines);
    assert_eq!((same.changes.len(), same.verdict(), same.exit_code()), (0, "same", 0), "{:?}", same.changes);
    assert_eq!(same.unchanged, 2, "the denied requirement and the shadowed rule stand on both sides");
}

#[test]
fn a_new_deny_breaks_its_requirement_and_taking_it_away_mends_it() {
    let deny = ["200 Out deny tcp *>Internet 443 no-web"];
    let broken = of(&[], &deny);
    assert_eq!((turns(&broken), broken.exit_code()), (vec!["breaks out-https".to_owned()], 1));
    let what = change(&broken, "out-https");
    assert_eq!((what.before.verdict.as_str(), what.after.verdict.as_str()), ("default_only", "blocked"));
    assert_eq!(what.after.rule.as_deref(), Some("no-web"));
    let packet = what.packet.as_ref().expect("a packet");
    assert_eq!((packet.source.as_str(), packet.destination_port), ("10.20.1.4", 443));
    assert!(what.finding.as_ref().is_some_and(|finding| finding.fix.is_some() && finding.confirm.is_some()));
    let mended = of(&deny, &[]);
    assert_eq!((turns(&mended), mended.exit_code()), (vec!["mends out-https".to_owned()], 0));
    assert_eq!((mended.verdict(), change(&mended, "out-https").packet.is_some()), ("mends", true));
}

#[test]
fn more_of_what_was_denied_in_part_breaks_and_less_of_it_mends() {
    let some = ["200 Out allow udp *>203.0.113.0/24,198.51.100.0/24 123 time", "300 Out deny udp *>Internet 123 rest"];
    let fewer = ["200 Out allow udp *>203.0.113.0/24 123 time", "300 Out deny udp *>Internet 123 rest"];
    let more = of(&some, &fewer);
    assert_eq!(turns(&more), ["breaks out-ntp"]);
    let packet = change(&more, "out-ntp").packet.as_ref().expect("a packet");
    assert!(packet.destination.starts_with("198.51.100."), "one that passed before: {packet}");
    assert_eq!(turns(&of(&fewer, &some)), ["mends out-ntp"]);
    let altogether = of(&some, &["300 Out deny udp *>Internet 123 rest"]);
    assert_eq!(turns(&altogether), ["breaks out-ntp"], "from partly to altogether");
}

#[test]
fn another_rule_for_the_same_denial_is_no_change() {
    let diff = of(&["200 Out deny tcp *>Internet 443 a"], &["210 Out deny tcp *>Internet 443 b"]);
    assert_eq!((turns(&diff), diff.exit_code()), (vec![], 0), "{:?}", diff.changes);
    assert_eq!(of(&["200 In allow tcp *>* 80 web"], &["300 In allow tcp *>* 80 web-2"]).exit_code(), 0);
}

#[test]
fn what_is_no_requirement_counts_too() {
    let cut = of(&[], &["130 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"]);
    assert_eq!(turns(&cut), ["breaks in-lb-454-455", "breaks lb_cut@all"]);
    let shadowed = of(&[], &["200 Out deny * *>10.0.0.0/13 3389 a", "300 Out allow tcp *>10.3.0.0/16 3389 b"]);
    assert_eq!((turns(&shadowed), shadowed.exit_code()), (vec!["breaks shadowed@b".to_owned()], 2));
    let wide = of(&[], &["200 In allow tcp *>* 1433 sql"]);
    assert_eq!((change(&wide, "too_wide@sql").turn, wide.exit_code()), (Turn::Breaks, 0), "information ends no check");
}

#[test]
fn what_can_be_judged_no_more_opens_and_is_no_silent_pass() {
    let mut open = group(&BASE);
    let mut unknown = rule("101 Out deny * *>* * maybe");
    unknown["destinationAddressPrefixes"] = json!(["[parameters('blocked')]"]);
    open["securityRules"].as_array_mut().expect("a list").push(unknown);
    let asked = question("ase-v2");
    let opened = compared(&asked, &[group(&BASE)], std::slice::from_ref(&open), &[]);
    assert_eq!((opened.verdict(), opened.exit_code()), ("could_not_judge", 3));
    assert_eq!(change(&opened, "out-https").after.rule.as_deref(), Some("maybe"));
    let closed = compared(&asked, &[open], &[group(&BASE)], &[]);
    assert_eq!((closed.count(Turn::Opens), closed.exit_code()), (0, 0));
    let two = json!([group(&BASE), {"name": "other", "securityRules": []}]);
    for (before, after) in [(group(&BASE), two.clone()), (two, group(&BASE))] {
        let ambiguous = compared(&asked, &[before], &[after], &[]);
        assert_eq!((ambiguous.exit_code(), ambiguous.count(Turn::Mends)), (3, 0), "{:?}", ambiguous.changes);
    }
}

#[test]
fn a_group_that_comes_or_goes_is_compared_with_none() {
    let asked = question("ase-v2");
    let subnet = json!({"name": "ase", "id": "/x/subnets/ase", "addressPrefix": "10.20.1.0/24", "delegations": []});
    let denies = group(&[BASE.as_slice(), &["200 Out deny tcp *>Internet 443 no-web"]].concat());
    let comes = compared(&asked, std::slice::from_ref(&subnet), &[subnet.clone(), denies.clone()], &[]);
    assert!(turns(&comes).contains(&"breaks out-https".to_owned()), "{:?}", turns(&comes));
    assert!(comes.notes.iter().any(|note| note.starts_with("before: no security group")));
    let goes = compared(&asked, &[subnet.clone(), denies], &[subnet], &[]);
    assert!(turns(&goes).contains(&"mends out-https".to_owned()));
}

#[test]
fn routes_break_and_mend_and_more_astray_is_worse() {
    let asked = Question {
        service_endpoints: Some(vec![
            "Microsoft.Sql".to_owned(),
            "Microsoft.Storage".to_owned(),
            "Microsoft.EventHub".to_owned(),
        ]),
        ..question("ase-v2")
    };
    let straight = table(false, &[("out", "0.0.0.0/0", "Internet")]);
    let tunnel = ("tunnel", "0.0.0.0/0", "VirtualAppliance");
    let tunnelled = compared(&asked, std::slice::from_ref(&straight), &[table(false, &[tunnel])], &[]);
    assert_eq!(turns(&tunnelled), ["breaks ip-dependencies", "breaks management"]);
    let some = [tunnel, ("a", "13.64.0.0/12", "Internet")];
    assert_eq!(turns(&compared(&asked, &[table(false, &[tunnel])], &[table(false, &some)], &[])), ["mends management"]);
    assert_eq!(
        turns(&compared(&asked, &[table(false, &some)], &[table(false, &[tunnel])], &[])),
        ["breaks management"]
    );
    let own = compared(
        &asked,
        std::slice::from_ref(&straight),
        &[table(false, &[("own", "10.20.1.0/24", "VirtualAppliance"), ("out", "0.0.0.0/0", "Internet")])],
        &[],
    );
    assert_eq!(turns(&own), ["breaks own-subnet"]);
}

#[test]
fn a_changed_subnet_is_a_change() {
    let subnet = |prefix: &str, delegation: &str| {
        json!({"name": "ase", "id": "/x/subnets/ase", "addressPrefix": prefix, "serviceEndpoints": [],
        "delegations": [{"serviceName": delegation}]})
    };
    let asked = Question { subnet: Vec::new(), ..question("ase-v3") };
    let hosting = "Microsoft.Web/hostingEnvironments";
    let smaller = compared(&asked, &[subnet("10.20.1.0/24", hosting)], &[subnet("10.20.1.0/28", hosting)], &[]);
    assert_eq!((turns(&smaller), smaller.exit_code()), (vec!["breaks size".to_owned()], 1));
    let undelegated = compared(
        &asked,
        &[subnet("10.20.1.0/24", hosting)],
        &[subnet("10.20.1.0/24", "Microsoft.Web/serverFarms")],
        &[],
    );
    assert_eq!(turns(&undelegated), ["breaks delegation"]);
}

fn flow(name: &str, addresses: &[&str], port: u16) -> SeenFlow {
    SeenFlow {
        name: name.to_owned(),
        protocols: Protocols::TCP,
        port,
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
        failed: Vec::new(),
        severity: Severity::Critical,
        worked: true,
    }
}

fn of_flows(before: &[&str], after: &[&str], seen: &[SeenFlow]) -> Diff {
    compared(&question("custom"), &[group(before)], &[group(after)], seen)
}

#[test]
fn a_flow_that_was_seen_breaks_where_one_of_its_addresses_is_denied() {
    let seen = [
        flow("db:3306", &["203.0.113.7"], 3306),
        flow("api:443", &["198.51.100.7", "203.0.113.9"], 443),
        flow("other:443", &["192.0.2.1"], 443),
        flow("dns:53", &["168.63.129.16"], 53),
    ];
    let diff = of_flows(&[], &["200 Out deny * *>203.0.113.0/24 * no-partner"], &seen);
    let flows: Vec<_> = diff.changes.iter().filter(|change| !change.flows.is_empty()).collect();
    assert_eq!(
        flows.iter().map(|change| (change.turn, change.flows.as_slice())).collect::<Vec<_>>(),
        [(Turn::Breaks, ["api:443".to_owned()].as_slice()), (Turn::Breaks, ["db:3306".to_owned()].as_slice()),]
    );
    assert_eq!(flows[0].packet.as_ref().map(|packet| packet.destination.as_str()), Some("203.0.113.9"));
    assert_eq!(
        (flows[0].before.message.as_str(), flows[0].after.message.as_str()),
        ("allowed by AllowInternetOutBound, priority 65001", "denied by no-partner, priority 200")
    );
    assert_eq!(diff.exit_code(), 1);
    let back = of_flows(&["200 Out deny * *>203.0.113.0/24 * no-partner"], &[], &seen);
    assert!(back.changes.iter().filter(|change| !change.flows.is_empty()).all(|change| change.turn == Turn::Mends));
}

#[test]
fn flows_that_change_alike_stand_together() {
    let seen = [flow("a:443", &["203.0.113.7"], 443), flow("b:443", &["203.0.113.9"], 443)];
    let diff = of_flows(&[], &["200 Out deny tcp *>Internet 443 no-web"], &seen);
    let changed: Vec<_> = diff.changes.iter().filter(|change| !change.flows.is_empty()).collect();
    assert_eq!((changed.len(), changed[0].flows.len()), (1, 2));
}

#[test]
fn of_a_name_without_addresses_a_denied_part_stays_open_and_a_denied_whole_breaks() {
    let seen = [flow("login.example:443", &[], 443)];
    let part = of_flows(&[], &["200 Out deny tcp *>203.0.113.0/24 443 part"], &seen);
    assert_eq!((part.count(Turn::Opens), part.count(Turn::Breaks), part.exit_code()), (1, 0, 3));
    let whole = of_flows(&[], &["200 Out deny tcp *>* 443 whole"], &seen);
    assert_eq!((whole.count(Turn::Breaks), whole.exit_code()), (1, 1));
}

#[test]
fn the_platforms_addresses_are_touched_by_their_tags_only() {
    let seen = [
        SeenFlow { protocols: Protocols::UDP, ..flow("168.63.129.16:53/udp", &["168.63.129.16"], 53) },
        flow("168.63.129.16:80", &["168.63.129.16"], 80),
        flow("169.254.169.254:80", &["169.254.169.254"], 80),
    ];
    let all = of_flows(&[], &["200 Out deny * *>* * all"], &seen);
    assert!(all.changes.iter().all(|change| change.flows.is_empty()), "{:?}", all.changes);
    let tag = of_flows(&[], &["200 Out deny * *>AzurePlatformDNS * no-dns"], &seen);
    assert!(tag.changes.iter().any(|change| change.flows.len() == 1 && change.turn == Turn::Breaks));
}

#[test]
fn a_flow_that_is_routed_to_nowhere_breaks_and_another_way_is_said() {
    let seen = [flow("api:443", &["203.0.113.9"], 443), flow("dns:53", &["168.63.129.16"], 53)];
    let asked = question("custom");
    let straight = table(false, &[("out", "0.0.0.0/0", "Internet")]);
    let drop = compared(
        &asked,
        std::slice::from_ref(&straight),
        &[table(false, &[("hole", "203.0.113.0/24", "None"), ("out", "0.0.0.0/0", "Internet")])],
        &seen,
    );
    let change = drop.changes.iter().find(|change| !change.flows.is_empty()).expect("a flow");
    assert_eq!((change.turn, change.after.message.as_str()), (Turn::Breaks, "goes to nowhere by hole"));
    assert_eq!(drop.exit_code(), 1);
    let other = compared(&asked, &[straight], &[table(false, &[("tunnel", "0.0.0.0/0", "VirtualAppliance")])], &seen);
    let change = other.changes.iter().find(|change| !change.flows.is_empty()).expect("a flow");
    assert_eq!((change.turn, change.severity, change.flows.len()), (Turn::Differs, Severity::Info, 1));
    assert_eq!(other.exit_code(), 0);
}

#[test]
fn both_sides_number_their_tags_alike() {
    let before = [
        "200 Out allow tcp *>PowerBI 8443 a",
        "210 Out allow tcp *>Sql 1433 sql",
        "300 Out deny tcp *>Internet 1433 rest",
    ];
    let after = ["200 Out allow tcp *>EventHub 8443 a", "300 Out deny tcp *>Internet 1433 rest"];
    let diff = of(&before, &after);
    assert_eq!(turns(&diff), ["breaks out-sql"]);
    assert_eq!(
        change(&diff, "out-sql").packet.as_ref().map(|packet| packet.destination.as_str()),
        Some("13.69.104.4"),
        "an address of Sql"
    );
}
