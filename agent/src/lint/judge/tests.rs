//! Groups, tables and subnets, and what must and must not be said of each.

use serde_json::{Value, json};

use super::{Deployment, Question, judge};
use crate::lint::{
    finding::{Kind, Report, Severity, Verdict},
    read::Export,
    requirements::{Peer, Profile, Requirement},
};

const SUBNET: &str = "10.20.1.0/24";
const VNET: &str = "10.20.0.0/16";

/// A rule in one line: `100 in allow tcp AppServiceManagement>* 454-455 name`.
pub(super) fn rule(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [priority, direction, access, protocol, ends, ports, name] = words.as_slice() else { panic!("{line}") };
    let (source, destination) = ends.split_once('>').expect("source>destination");
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    json!({
        "name": name, "priority": priority.parse::<u32>().expect("a priority"), "access": access, "protocol": protocol,
        "direction": format!("{direction}bound"), "sourceAddressPrefixes": list(source), "sourcePortRange": "*",
        "destinationAddressPrefixes": list(destination), "destinationPortRanges": list(ports),
    })
}

pub(super) fn group(lines: &[&str]) -> Value {
    json!({"name": "nsg-ase", "securityRules": lines.iter().map(|line| rule(line)).collect::<Vec<_>>()})
}

pub(super) fn question(profile: &str) -> Question {
    Question {
        profile: Profile::named(profile).expect("a profile"),
        cloud: "public".to_owned(),
        subnet: vec![SUBNET.parse().expect("a prefix")],
        vnet: vec![VNET.parse().expect("a prefix")],
        service_endpoints: None,
        deployment: Some(Deployment::Ilb),
        app_ports: Vec::new(),
        group: None,
        table: None,
        needs: Vec::new(),
        suppress: Vec::new(),
    }
}

pub(super) fn judged(question: &Question, values: &[Value]) -> Report {
    let mut export = Export::default();
    for value in values {
        export.read("export.json", value.to_string().as_bytes()).expect("it is an export");
    }
    judge(question, &export)
}

/// The ids of what is above information, each with its rule: `blocked.out-http@deny`.
pub(super) fn worries(report: &Report) -> Vec<String> {
    let above = report.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let mut ids: Vec<String> =
        above.map(|finding| format!("{}@{}", finding.id(), finding.rule.as_deref().unwrap_or_default())).collect();
    ids.sort();
    ids
}

fn of(profile: &str, lines: &[&str]) -> Vec<String> {
    worries(&judged(&question(profile), &[group(lines)]))
}

/// What every v2 group below has, so that each differs in one thing.
pub(super) const BASE: [&str; 3] = [
    "100 In allow tcp AppServiceManagement>* 454-455 management",
    "110 In allow tcp AzureLoadBalancer>* 16001 keep-alive",
    "120 In allow * 10.20.1.0/24>10.20.1.0/24 * intra",
];

pub(super) fn base_and(lines: &[&str]) -> Vec<String> {
    of("ase-v2", &[BASE.as_slice(), lines].concat())
}

#[test]
fn what_is_fine_is_fine() {
    let nothing: [String; 0] = [];
    let deny = "4000 Out deny * *>* * deny-all";
    let outbound = [
        "100 Out allow udp *>* 53 dns",
        "110 Out allow udp *>* 123 ntp",
        "120 Out allow tcp *>* 80,443,12000 web",
        "130 Out allow tcp *>Sql 1433 sql",
        "140 Out allow * 10.20.1.0/24>10.20.1.0/24 * intra-out",
    ];
    assert_eq!(base_and(&[]), nothing, "defaults hold the rest");
    assert_eq!(base_and(&[outbound.as_slice(), &[deny]].concat()), nothing, "everything is allowed by name");
    assert_eq!(
        base_and(&["4000 In deny * Internet>* * deny-internet"]),
        nothing,
        "the load balancer is not in Internet"
    );
    assert_eq!(
        base_and(&[
            "4000 In deny tcp *>* * deny-tcp",
            "130 In allow * AzureLoadBalancer>* * lb",
            "140 In allow tcp *>* 80,443 web"
        ]),
        nothing
    );
    assert_eq!(
        base_and(&["200 Out deny * *>192.0.2.0/24,198.51.100.7/32 * unwanted"]),
        nothing,
        "a few unwanted peers are no hole"
    );
    assert_eq!(
        base_and(&["200 Out allow tcp *>13.0.0.0/8 443 some", "300 Out allow tcp *>AzureCloud 443 azure"]),
        nothing
    );
    assert_eq!(base_and(&["200 In deny * 192.0.2.0/24>* * unwanted-clients"]), nothing);
    assert_eq!(base_and(&["200 Out deny tcp *>Internet 25 no-mail"]), nothing);
    assert_eq!(of("ase-v3", &[]), nothing);
    assert_eq!(
        of(
            "ase-v3",
            &[
                "100 In allow tcp AzureLoadBalancer>10.20.1.0/24 80 lb",
                "110 In allow tcp VirtualNetwork>10.20.1.0/24 80,443 web",
                "4096 In deny * *>* * deny-all"
            ]
        ),
        nothing
    );
    assert_eq!(of("vnet-integration", &["100 In deny * *>* * deny-all"]), nothing);
    assert_eq!(
        of(
            "container-apps",
            &[
                "100 In allow tcp VirtualNetwork>10.20.1.0/24 443,31443,80,31080 web",
                "110 In allow tcp AzureLoadBalancer>* 30000-32767 lb",
                "120 In allow * 10.20.1.0/24>10.20.1.0/24 * intra",
                "4000 In deny * *>* * no"
            ]
        ),
        nothing
    );
    assert_eq!(of("apim-v2", &[]), nothing);
    assert_eq!(of("custom", &["4000 Out deny * *>* * deny-all"]), nothing);
}

#[test]
fn what_is_lost_names_the_requirement_and_the_rule() {
    let cases: [(&[&str], &[&str]); 18] = [
        (&["200 Out deny tcp *>Internet 443 no-web"], &["blocked.out-https@no-web"]),
        (&["200 Out deny udp *>* 53 no-dns"], &["blocked.out-dns@no-dns", "partly_blocked.out-intra-subnet@no-dns"]),
        (&["200 Out deny udp *>Internet 53 no-dns"], &["partly_blocked.out-dns@no-dns"]),
        (&["200 Out deny * *>Internet 123 no-time"], &["blocked.out-ntp@no-time"]),
        (&["200 Out deny * *>Sql * no-sql"], &["blocked.out-sql@no-sql"]),
        (&["200 Out deny tcp *>Storage,PowerBI * no-storage"], &["partly_blocked.out-https@no-storage"]),
        (&["200 Out deny tcp *>Internet 12000 no-monitoring"], &["blocked.out-monitoring@no-monitoring"]),
        (
            &["200 Out allow tcp *>AzureCloud 443 azure", "300 Out deny tcp *>Internet 443 rest"],
            &["partly_blocked.out-https@rest"],
        ),
        (
            &["200 Out allow udp *>203.0.113.0/24 123 time", "300 Out deny udp *>Internet 123 rest"],
            &["partly_blocked.out-ntp@rest"],
        ),
        (
            &["200 Out allow tcp *>Sql.westeurope 1433 near", "300 Out deny tcp *>Internet 1433 rest"],
            &["partly_blocked.out-sql@rest"],
        ),
        (
            &["200 Out deny * *>AzureCloud * no-azure"],
            &["blocked.out-sql@no-azure", "partly_blocked.out-https@no-azure"],
        ),
        (
            &["200 Out deny * *>VirtualNetwork * apart"],
            &["blocked.out-intra-subnet@apart", "partly_blocked.out-dns@apart"],
        ),
        (&["200 Out deny udp *>10.20.1.0/24 * no-udp"], &["partly_blocked.out-intra-subnet@no-udp"]),
        (&["200 Out deny tcp *>AzurePlatformDNS * no-platform-dns"], &["platform_tag_denied@no-platform-dns"]),
        (&["200 Out deny * *>AzurePlatformLKM * no-kms"], &["platform_tag_denied@no-kms"]),
        (
            &["4000 In deny * *>* * all"],
            &[
                "app_port_closed.app-https@all",
                "app_port_closed.app-http@all",
                "blocked.in-lb-454-455@all",
                "lb_cut@all",
            ],
        ),
        (
            &["130 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"],
            &["blocked.in-lb-454-455@all", "lb_cut@all"],
        ),
        (
            &[
                "130 In allow tcp *>* 80,443 web",
                "140 In allow * AzureLoadBalancer>* 454-455 lb",
                "4000 In deny * *>* * all",
            ],
            &[],
        ),
    ];
    for (lines, expected) in cases {
        let mut expected: Vec<String> = expected.iter().map(|id| (*id).to_owned()).collect();
        expected.sort();
        assert_eq!(base_and(lines), expected, "{lines:?}");
    }
}

#[test]
fn the_platform_must_come_in() {
    let without_management = &BASE[1..];
    assert_eq!(of("ase-v2", without_management), ["blocked.in-management@DenyAllInBound"]);
    let denied = [
        "100 In deny * AppServiceManagement>* * away",
        "101 In allow tcp AppServiceManagement>* 454-455 management",
        BASE[1],
        BASE[2],
    ];
    assert_eq!(of("ase-v2", &denied), ["blocked.in-management@away", "shadowed@management"]);
    let slip = [&["100 In allow tcp AppServiceManagement>* 444-445 management"], without_management].concat();
    assert_eq!(of("ase-v2", &slip), ["blocked.in-management@DenyAllInBound", "suspicious_port@management"]);
    let half = [&["100 In allow tcp AppServiceManagement>* 454 management"], without_management].concat();
    assert_eq!(of("ase-v2", &half), ["partly_blocked.in-management@DenyAllInBound", "suspicious_port@management"]);
    let udp = [&["100 In allow udp AppServiceManagement>* 454-455 management"], without_management].concat();
    assert_eq!(of("ase-v2", &udp), ["blocked.in-management@DenyAllInBound"]);
    let part =
        [&["100 In allow tcp AppServiceManagement>10.20.1.0/25 454-455 management"], without_management].concat();
    assert_eq!(of("ase-v2", &part), ["partly_blocked.in-management@DenyAllInBound"]);
}

#[test]
fn management_addresses_that_were_copied_are_compared_with_the_documented_ones() {
    let management = crate::lint::requirements::Management::of_cloud("public");
    let listed = |addresses: &[std::net::IpAddr]| {
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("100 In allow tcp {}>* 454-455 management", texts.join(","))
    };
    let all = listed(&management.addresses);
    assert_eq!(of("ase-v2", &[&[all.as_str()], &BASE[1..]].concat()), [""; 0], "the documented minimum");
    let most = listed(&management.addresses[..60]);
    let found = of("ase-v2", &[&[most.as_str()], &BASE[1..]].concat());
    assert_eq!(found, ["copied_addresses@management", "partly_blocked.in-management@DenyAllInBound"]);
}

#[test]
fn only_icmp_missing_within_the_subnet_is_a_warning() {
    let lines = [
        "100 In allow tcp AppServiceManagement>* 454-455 m",
        "110 In allow * AzureLoadBalancer>* * lb",
        "120 In allow tcp 10.20.1.0/24>10.20.1.0/24 * t",
        "121 In allow udp 10.20.1.0/24>10.20.1.0/24 * u",
        "125 In allow tcp *>* 80,443 w",
        "4000 In deny * *>* * all",
    ];
    let report = judged(&question("ase-v2"), &[group(&lines)]);
    let finding = &report.findings[0];
    assert_eq!((finding.id().as_str(), finding.severity), ("partly_blocked.in-intra-subnet", Severity::Warning));
    assert!(finding.message.contains("ICMP"), "{}", finding.message);
    let tcp_only: Vec<&str> = lines.iter().copied().filter(|line| !line.ends_with(" u")).collect();
    let report = judged(&question("ase-v2"), &[group(&tcp_only)]);
    assert_eq!(report.worst(), Some(Severity::Critical), "UDP is missing, too");
}

#[test]
fn a_few_ports_closed_within_the_subnet_are_a_warning() {
    let report = judged(
        &question("ase-v2"),
        &[group(
            &[
                &["100 In deny tcp *>* 22,3389 no-shell"],
                &["101 In allow tcp AppServiceManagement>* 454-455 m"],
                &BASE[1..],
            ]
            .concat(),
        )],
    );
    assert_eq!((worries(&report), report.exit_code()), (vec!["partly_blocked.in-intra-subnet@no-shell".to_owned()], 2));
}

#[test]
fn rules_that_do_nothing_are_named() {
    assert_eq!(
        base_and(&["200 Out deny * Internet>* * deny-internet"]),
        ["ineffective_rule@deny-internet"],
        "source and destination exchanged"
    );
    assert_eq!(base_and(&["200 Out allow * 10.99.0.0/24>* * copied"]), ["ineffective_rule@copied"]);
    assert_eq!(base_and(&["200 In allow * *>10.99.0.0/24 443 elsewhere"]), ["ineffective_rule@elsewhere"]);
    assert_eq!(base_and(&["200 Out allow * *>10.99.0.0/24 * to-own-subnet"]), ["ineffective_rule@to-own-subnet"]);
    assert_eq!(
        base_and(&["200 Out allow tcp *>10.99.0.7/32 3306 database"]),
        [""; 0],
        "a peer's address is no mistake"
    );
    assert_eq!(
        base_and(&["200 Out deny * *>10.0.0.0/13 3389 a", "300 Out allow tcp *>10.3.0.0/16 3389 b"]),
        ["shadowed@b"]
    );
    let partly = base_and(&["200 Out deny tcp *>Internet 8080 a", "300 Out allow tcp *>* 8080 b"]);
    assert_eq!(partly, ["shadowed_partly@b"]);
    let report = judged(
        &question("ase-v2"),
        &[group(&[BASE.as_slice(), &["200 In allow * 10.20.1.0/24>10.20.1.0/24 * again"]].concat())],
    );
    let again = report.findings.iter().find(|finding| finding.rule.as_deref() == Some("again")).expect("it is named");
    assert_eq!(
        (again.kind, again.severity, again.by.as_deref()),
        (Kind::IneffectiveRule, Severity::Info, Some("intra"))
    );
}

#[test]
fn a_priority_twice_cannot_be() {
    assert_eq!(base_and(&["100 In allow tcp *>* 80 twin"]), ["input@twin"]);
    assert_eq!(base_and(&["100 Out allow tcp *>* 80 other-direction"]), [""; 0]);
}

#[test]
fn what_belongs_elsewhere_is_information() {
    let kinds = |profile: &str, lines: &[&str]| -> Vec<Kind> {
        let report = judged(&question(profile), &[group(lines)]);
        assert_eq!(report.exit_code(), 0, "{:?}", worries(&report));
        report.findings.iter().map(|finding| finding.kind).collect()
    };
    let management = "100 In allow tcp AppServiceManagement>* 454-455 cargo";
    assert!(kinds("ase-v3", &[management]).contains(&Kind::NotNeeded));
    let integration = kinds("vnet-integration", &[management]);
    assert!(integration.contains(&Kind::NotNeeded) && integration.contains(&Kind::NoEffect));
    assert!(kinds("ase-v2", &[BASE.as_slice(), &["200 In allow tcp *>* 1433 sql"]].concat()).contains(&Kind::TooWide));
    assert!(
        kinds("ase-v2", &[BASE.as_slice(), &["200 In allow tcp *>* 4016-4022 debug"]].concat())
            .contains(&Kind::LegacyPort)
    );
    assert!(kinds("ase-v3", &["100 In allow tcp *>* 443 from-gateway"]).contains(&Kind::TooWide));
    let v3 = judged(&question("ase-v3"), &[group(&["100 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"])]);
    assert!(v3.findings.iter().any(|finding| finding.id() == "conditional.in-lb-21"));
}

#[test]
fn what_a_file_does_not_hold_stays_open_and_is_never_fine() {
    let mut open = group(&BASE);
    let mut unknown = rule("101 Out deny * *>* * maybe");
    unknown["destinationAddressPrefixes"] = json!(["[parameters('blocked')]"]);
    open["securityRules"].as_array_mut().expect("a list").push(unknown);
    let report = judged(&question("ase-v2"), &[open]);
    assert_eq!((report.verdict(), report.exit_code()), (Verdict::CouldNotJudge, 3));
    assert!(
        report
            .could_not_judge
            .iter()
            .any(|open| open.rule.as_deref() == Some("maybe") && open.why.contains("[parameters('blocked')]"))
    );
    let typo = judged(
        &question("ase-v2"),
        &[group(&[BASE.as_slice(), &["200 Out allow tcp *>AzureKeyVolt 443 typo"]].concat())],
    );
    assert_eq!(typo.exit_code(), 3);
    let several = judged(&question("ase-v2"), &[json!([group(&BASE), {"name": "other", "securityRules": []}])]);
    assert_eq!(several.exit_code(), 3, "one of two groups is not guessed");
    let named = Question { group: Some("NSG-ASE".to_owned()), ..question("ase-v2") };
    assert_eq!(judged(&named, &[json!([group(&BASE), {"name": "other", "securityRules": []}])]).exit_code(), 0);
}

#[test]
fn without_a_tag_file_an_address_may_be_of_a_tag_and_with_one_it_is_known() {
    let needs = vec![Requirement::of_endpoint(
        "app-db".to_owned(),
        false,
        3_306,
        Peer::Nets(vec!["52.1.2.3/32".parse().expect("a prefix")]),
    )];
    let asked = Question { needs, ..question("custom") };
    let lines = ["200 Out deny tcp *>AzureCloud 3306 no-azure"];
    assert_eq!(judged(&asked, &[group(&lines)]).exit_code(), 3);
    let file = |prefix: &str| {
        json!({"changeNumber": 77, "cloud": "Public", "values": [
        {"name": "AzureCloud", "properties": {"addressPrefixes": [prefix, "2603::/16"], "region": ""}}]})
    };
    let hit = judged(&asked, &[group(&lines), file("52.1.0.0/16")]);
    assert_eq!(worries(&hit), ["blocked.app-db@no-azure"]);
    assert!(hit.notes.iter().any(|note| note.contains("change 77")), "the edition is said");
    assert_eq!(judged(&asked, &[group(&lines), file("53.0.0.0/16")]).exit_code(), 0);
}

#[test]
fn the_apps_own_needs_are_requirements() {
    let needs = |peer| vec![Requirement::of_endpoint("app-mysql".to_owned(), false, 3_306, peer)];
    let outbound = ["4000 Out deny tcp *>* 3306 no-mysql"];
    let asked = Question { needs: needs(Peer::Somewhere), ..question("custom") };
    assert_eq!(worries(&judged(&asked, &[group(&outbound)])), ["blocked.app-mysql@no-mysql"]);
    let partly = judged(&asked, &[group(&["4000 Out deny tcp *>Internet 3306 no-mysql"])]);
    assert_eq!(partly.worst(), Some(Severity::Info), "it may be a server in the network");
}

#[test]
fn ports_of_apps_with_an_address_of_their_own_are_judged_or_impossible() {
    let lines = [
        BASE.as_slice(),
        &["130 In allow * AzureLoadBalancer>* * lb", "140 In allow tcp *>* 80,443 web", "4000 In deny * *>* * all"],
    ]
    .concat();
    let external =
        Question { deployment: Some(Deployment::External), app_ports: vec![20_001, 20_003], ..question("ase-v2") };
    assert_eq!(worries(&judged(&external, &[group(&lines)])), ["app_port_closed.app-assigned@all"]);
    let internal = Question { app_ports: vec![20_001], ..question("ase-v2") };
    assert_eq!(worries(&judged(&internal, &[group(&lines)])), ["input.app-assigned@"]);
    let addresses = json!({"serviceIpAddress": "203.0.113.30", "vipMappings": [{"virtualIP": "203.0.113.31", "internalHttpPort": 20003, "internalHttpsPort": 20001}]});
    let external = Question { deployment: Some(Deployment::External), ..question("ase-v2") };
    assert_eq!(worries(&judged(&external, &[group(&lines), addresses])), ["app_port_closed.app-assigned@all"]);
}

#[test]
fn a_finding_can_be_set_aside_with_a_reason() {
    let suppress = vec![("blocked.out-monitoring".to_owned(), "agreed with support".to_owned())];
    let asked = Question { suppress, ..question("ase-v2") };
    let report = judged(&asked, &[group(&[BASE.as_slice(), &["200 Out deny tcp *>Internet 12000 x"]].concat())]);
    assert_eq!((report.exit_code(), report.suppressed.len()), (0, 1));
}

#[test]
fn a_packet_and_both_commands_prove_a_finding() {
    let report =
        judged(&question("ase-v2"), &[group(&[BASE.as_slice(), &["200 Out deny tcp *>Internet 443 no-web"]].concat())]);
    let finding = &report.findings[0];
    let packet = finding.packet.as_ref().expect("a packet");
    assert_eq!((packet.source.as_str(), packet.destination_port, packet.protocol.as_str()), ("10.20.1.4", 443, "TCP"));
    let fix = finding.fix.as_deref().expect("a fix");
    assert!(fix.starts_with("az network nsg rule create") && fix.contains("--priority 199"), "{fix}");
    assert!(finding.confirm.as_deref().is_some_and(|confirm| confirm.contains("test-ip-flow")));
    assert!(finding.source.as_deref().is_some_and(|source| source.contains("2023-11-20")));
}

pub(super) fn table(bgp: bool, routes: &[(&str, &str, &str)]) -> Value {
    let route = |(name, prefix, hop): &(&str, &str, &str)| {
        let address = if *hop == "VirtualAppliance" { json!("10.20.9.4") } else { Value::Null };
        json!({"name": name, "addressPrefix": prefix, "nextHopType": hop, "nextHopIpAddress": address})
    };
    json!({"name": "rt", "location": "westeurope", "disableBgpRoutePropagation": !bgp, "routes": routes.iter().map(route).collect::<Vec<_>>()})
}

#[test]
fn routes_that_take_away_what_is_needed_are_named() {
    let with_endpoints = Question {
        service_endpoints: Some(
            ["Microsoft.Sql", "Microsoft.Storage", "Microsoft.EventHub"].map(str::to_owned).to_vec(),
        ),
        ..question("ase-v2")
    };
    let of = |routes: &[(&str, &str, &str)]| worries(&judged(&with_endpoints, &[table(true, routes)]));
    let tunnel = ("tunnel", "0.0.0.0/0", "VirtualAppliance");
    let management = ("management", "AppServiceManagement", "Internet");
    assert_eq!(of(&[("out", "0.0.0.0/0", "Internet")]), [""; 0]);
    assert_eq!(of(&[tunnel]), ["route.ip-dependencies@tunnel", "route.management@tunnel"]);
    assert_eq!(of(&[tunnel, management]), ["route.ip-dependencies@tunnel"]);
    let four = [
        ("a", "40.77.24.27/32", "Internet"),
        ("b", "13.90.249.229/32", "Internet"),
        ("c", "104.45.230.69/32", "Internet"),
        ("d", "13.82.184.151/32", "Internet"),
    ];
    assert_eq!(of(&[&[tunnel, management], four.as_slice()].concat()), [""; 0]);
    assert_eq!(of(&[&[tunnel, management], &four[..3]].concat()), ["route.ip-dependencies@tunnel"]);
    assert_eq!(of(&[tunnel, management, ("monitor", "AzureMonitor", "Internet")]), [""; 0], "the tag covers all four");
    assert_eq!(of(&[("none", "0.0.0.0/0", "None")]), ["route.internet@none", "route.management@none"]);
    assert_eq!(of(&[("gateway", "0.0.0.0/0", "VirtualNetworkGateway"), management]), ["route.ip-dependencies@gateway"]);
    assert_eq!(of(&[("own", SUBNET, "VirtualAppliance")]), ["route.own-subnet@own"]);
    assert_eq!(of(&[("network", VNET, "VirtualAppliance")]), ["route.own-subnet@network"]);
    assert_eq!(of(&[("network", VNET, "VirtualAppliance"), ("stay", SUBNET, "VnetLocal")]), [""; 0]);
    assert_eq!(of(&[("wide", "10.0.0.0/8", "VirtualAppliance")]), [""; 0], "the network's own route is longer");
    assert_eq!(of(&[("half", "10.20.1.128/25", "VirtualAppliance")]), ["route.own-subnet@half"]);
    assert_eq!(of(&[("cloud", "AzureCloud", "Internet")]), ["input@cloud"]);
}

#[test]
fn what_is_open_to_everybody_for_an_app_gives_the_load_balancer_nothing() {
    let deny = "4000 In deny * *>* * deny-all";
    let cut =
        |rule: &str| base_and(&[rule, "140 In allow tcp *>* 80,443 web", deny]).contains(&"lb_cut@deny-all".to_owned());
    assert!(cut("130 In allow tcp *>* 4016-4022 debugger"));
    assert!(cut("130 In allow tcp *>* 8080 custom"));
    assert!(!cut("130 In allow tcp *>* 1024-65535 everything"));
    assert!(!cut("130 In allow tcp *>* 454-455 probes"));
}

#[test]
fn clients_who_are_let_in_are_whoever_the_owner_wants_and_a_whole_network_is_not_a_few() {
    let deny = ["130 In allow * AzureLoadBalancer>* * lb", "4000 In deny * *>* * deny-all"];
    let with = |rules: &[&str]| base_and(&[rules, deny.as_slice()].concat());
    assert_eq!(with(&["140 In allow tcp 10.90.0.0/16>* 80,443 office"]), [""; 0]);
    assert_eq!(with(&[]), ["app_port_closed.app-http@deny-all", "app_port_closed.app-https@deny-all"]);
    let apps = of("container-apps", &["100 In allow tcp *>10.20.1.4 443 static-address", deny[0], deny[1]]);
    assert!(apps.iter().any(|id| id.ends_with("in-client-443@deny-all")), "{apps:?}");
}

#[test]
fn a_wider_tag_holds_the_documented_addresses_and_one_that_was_retired_is_missed_by_nobody() {
    let rest = ["110 In allow * AzureLoadBalancer>* * lb", "120 In allow * 10.20.1.0/24>10.20.1.0/24 * intra"];
    let managed = |sources: &str| {
        let management = format!("100 In allow tcp {sources}>* 454-455 management");
        let last = ["130 In allow tcp *>* 80,443 web", "4000 In deny * *>* * deny-all"];
        worries(&judged(&question("ase-v2"), &[group(&[&[&*management], rest.as_slice(), &last].concat())]))
    };
    assert_eq!(managed("AzureCloud"), [""; 0]);
    let current = crate::lint::requirements::Management::of_cloud("public").current();
    let copied = current.prefixes().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    assert_eq!(managed(&copied), [""; 0]);
}

#[test]
fn where_nothing_was_judged_nothing_is_fine() {
    let report = judge(&question("ase-v2"), &Export::default());
    assert_eq!((report.exit_code(), report.verdict()), (3, Verdict::CouldNotJudge));
}

#[test]
fn what_a_route_takes_away_beside_a_way_that_is_straight_is_named() {
    let with = |services: &[&str], routes: &[(&str, &str, &str)]| {
        let services = Some(services.iter().map(|one| (*one).to_owned()).collect());
        worries(&judged(&Question { service_endpoints: services, ..question("ase-v2") }, &[table(true, routes)]))
    };
    let out = ("out", "0.0.0.0/0", "Internet");
    let sql = ("sql", "Sql", "VirtualAppliance");
    assert_eq!(with(&[], &[out, sql]), ["route.service-endpoints@sql"]);
    assert_eq!(with(&["Microsoft.Sql"], &[out, sql]), [""; 0], "the endpoint goes past every route");
    assert_eq!(with(&[], &[out, ("blobs", "Storage.WestEurope", "None")]), ["route.service-endpoints@blobs"]);
    assert_eq!(with(&[], &[out, ("straight", "Sql", "Internet"), ("office", "203.0.113.0/24", "None")]), [""; 0]);
    assert_eq!(with(&[], &[out, ("high", "128.0.0.0/2", "None")])[0], "route.internet@high");
}

#[test]
fn an_appliance_without_service_endpoints_is_critical_and_unknown_endpoints_stay_open() {
    let routes = table(
        false,
        &[
            ("tunnel", "0.0.0.0/0", "VirtualAppliance"),
            ("management", "AppServiceManagement", "Internet"),
            ("monitor-1", "40.77.24.27/32", "Internet"),
            ("monitor-2", "13.90.249.229/32", "Internet"),
            ("monitor-3", "104.45.230.69/32", "Internet"),
            ("monitor-4", "13.82.184.151/32", "Internet"),
        ],
    );
    let with = |services: Option<Vec<String>>| {
        judged(&Question { service_endpoints: services, ..question("ase-v2") }, std::slice::from_ref(&routes))
    };
    assert_eq!(with(None).exit_code(), 3);
    assert_eq!(with(Some(vec![])).exit_code(), 1);
    assert_eq!(
        with(Some(vec!["Microsoft.Sql".to_owned(), "Microsoft.Storage.Global".to_owned()])).exit_code(),
        2,
        "the event hub is missing"
    );
    assert!(with(Some(vec![])).findings[0].message.contains("every Azure SQL server"));
}

#[test]
fn documented_addresses_by_hand_are_enough_and_the_tag_is_said_to_be_safer() {
    let management = crate::lint::requirements::Management::of_cloud("public");
    let names: Vec<String> = management.addresses.iter().map(|address| format!("{address}/32")).collect();
    let mut routes: Vec<(&str, &str, &str)> =
        names.iter().map(|name| (name.as_str(), name.as_str(), "Internet")).collect();
    routes.push(("tunnel", "0.0.0.0/0", "VirtualAppliance"));
    let asked = Question { service_endpoints: Some(Vec::new()), ..question("ase-v2") };
    let report = judged(&asked, &[table(false, &routes)]);
    let management = report.findings.iter().find(|finding| finding.id() == "route.management").expect("it is said");
    assert_eq!(management.severity, Severity::Info);
    let fewer = judged(&asked, &[table(false, &routes[1..])]);
    let management = fewer.findings.iter().find(|finding| finding.id() == "route.management").expect("it is said");
    assert_eq!(management.severity, Severity::Critical);
    assert!(management.message.starts_with("1 of 71"), "{}", management.message);
}

#[test]
fn a_subnet_is_judged_by_size_delegation_form_and_what_is_assigned() {
    let subnet = |prefix: &str, delegation: &str| {
        let delegations = if delegation.is_empty() { json!([]) } else { json!([{"serviceName": delegation}]) };
        json!({"name": "ase", "id": "/x/subnets/ase", "addressPrefix": prefix, "delegations": delegations, "serviceEndpoints": [],
            "networkSecurityGroup": {"id": "/x/networkSecurityGroups/nsg-other"}, "location": "North Europe"})
    };
    let of =
        |profile: &str, value: Value| worries(&judged(&Question { subnet: Vec::new(), ..question(profile) }, &[value]));
    let hosting = "Microsoft.Web/hostingEnvironments";
    assert_eq!(of("ase-v3", subnet("10.20.1.0/24", hosting)), [""; 0]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/26", hosting)), ["subnet.size@"]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/28", hosting)), ["subnet.size@"]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/24", "")), ["subnet.delegation@"]);
    assert_eq!(of("ase-v3", subnet("10.20.1.0/24", "Microsoft.Web/serverFarms")), ["subnet.delegation@"]);
    assert_eq!(of("vnet-integration", subnet("10.20.1.0/27", "Microsoft.Web/serverFarms")), ["subnet.size@"]);
    let mut list = subnet("10.20.1.0/24", hosting);
    list["addressPrefix"] = Value::Null;
    list["addressPrefixes"] = json!(["10.20.1.0/24"]);
    assert_eq!(of("ase-v3", list), ["subnet.form@"]);
    let asked = Question { subnet: Vec::new(), ..question("ase-v3") };
    let both = judged(&asked, &[subnet("10.20.1.0/24", hosting), group(&[]), table(true, &[])]);
    assert_eq!(worries(&both), ["assignment@", "assignment@"], "another group, and a table of another region");
}

mod what_other_readers_get_wrong {
    use super::*;

    #[test]
    fn a_rule_for_all_protocols_keeps_its_ports() {
        let lines = ["100 Out allow * *>* 443 web", "200 Out deny * *>* * rest"];
        assert!(base_and(&lines).contains(&"blocked.out-http@rest".to_owned()));
        assert!(!base_and(&lines).contains(&"blocked.out-https@rest".to_owned()));
    }

    #[test]
    fn a_tag_is_not_empty() {
        assert_eq!(base_and(&["200 Out allow tcp *>Sql 1433 sql", "300 Out deny tcp *>Internet 1433 rest"]), [""; 0]);
        assert_eq!(base_and(&["200 Out deny tcp *>AzureCloud 1433 no-azure"]), ["blocked.out-sql@no-azure"]);
    }

    #[test]
    fn the_network_is_what_it_is_and_not_what_private_addresses_are() {
        let asked = Question {
            subnet: vec!["172.20.1.0/24".parse().expect("a prefix")],
            vnet: vec!["172.20.0.0/16".parse().expect("a prefix")],
            ..question("ase-v2")
        };
        let lines = [
            BASE[0],
            BASE[1],
            "120 In allow * VirtualNetwork>VirtualNetwork * intra",
            "130 In allow * AzureLoadBalancer>* * lb",
            "4000 In deny * *>* * rest",
        ];
        assert_eq!(worries(&judged(&asked, &[group(&lines)])), [""; 0], "172.20.0.0/16 lies in 172.16.0.0/12");
    }

    #[test]
    fn allow_in_small_letters_is_an_allow() {
        let lines: Vec<String> = BASE.iter().map(|line| line.to_lowercase()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(of("ase-v2", &lines), [""; 0]);
    }

    #[test]
    fn a_direction_in_small_letters_does_not_make_a_rule_vanish() {
        assert_eq!(base_and(&["200 out DENY TCP *>internet 443 no-web"]), ["blocked.out-https@no-web"]);
    }

    #[test]
    fn a_tag_in_capitals_is_the_same_tag() {
        assert_eq!(base_and(&["200 Out deny tcp *>INTERNET 443 no-web"]), ["blocked.out-https@no-web"]);
    }

    #[test]
    fn icmp_groups_of_interfaces_and_ipv6_are_known() {
        let mut interfaces = rule("200 Out deny tcp *>* 8443 to-interfaces");
        interfaces["destinationAddressPrefixes"] = json!([]);
        interfaces["destinationApplicationSecurityGroups"] = json!([{"id": "/x/applicationSecurityGroups/web"}]);
        let mut value = group(
            &[BASE.as_slice(), &["210 Out deny * *>::/0 * no-six", "220 Out deny icmp *>Internet * no-ping"]].concat(),
        );
        value["securityRules"].as_array_mut().expect("a list").push(interfaces);
        assert_eq!(worries(&judged(&question("ase-v2"), &[value])), [""; 0]);
    }

    #[test]
    fn flattened_output_of_the_command_line_is_read_like_the_api() {
        let flat = rule("200 Out deny tcp *>* 443 no-web");
        let nested = json!({"name": "no-web", "properties": flat});
        for one in [flat, nested] {
            let report = judged(&question("custom"), &[json!({"name": "g", "securityRules": [one]})]);
            assert!(report.findings.iter().all(|finding| finding.kind != Kind::Input));
        }
    }

    #[test]
    fn ports_are_numbers_and_not_parts_of_texts() {
        assert_eq!(base_and(&["200 Out deny tcp *>Internet 14430,4433 others"]), [""; 0]);
        assert_eq!(base_and(&["200 Out deny tcp *>Internet 400-500 range"]), ["blocked.out-https@range"]);
    }

    #[test]
    fn not_every_address_that_begins_with_172_is_private() {
        let needs = vec![Requirement::of_endpoint(
            "app-x".to_owned(),
            false,
            443,
            Peer::Nets(vec!["172.64.0.1/32".parse().expect("a prefix")]),
        )];
        let asked = Question { needs, ..question("custom") };
        assert_eq!(
            worries(&judged(&asked, &[group(&["200 Out deny tcp *>Internet 443 no-web"])])),
            ["blocked.app-x@no-web"]
        );
    }

    #[test]
    fn lists_of_prefixes_and_ports_count() {
        let lines = ["200 Out deny tcp *>198.18.0.0/15,Internet 80,443 list"];
        assert_eq!(base_and(&lines), ["blocked.out-http@list", "blocked.out-https@list"]);
    }

    #[test]
    fn an_allow_that_overlaps_is_not_enough() {
        let lines = ["200 Out allow tcp *>8.8.8.0/24 443 narrow", "300 Out deny tcp *>Internet 443 rest"];
        assert_eq!(base_and(&lines), ["partly_blocked.out-https@rest"]);
    }
}
